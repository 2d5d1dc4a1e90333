//! The cases of RFC 8867 (all of section 5, and 6.3) and others, on a network in virtual time, with
//! upper as well as lower bounds. `-- --nocapture` prints the figures; with `UPDATE_DOCS=1` they are
//! written to docs/congestion-results.md.
//!
//! Not there: 6.1, because no flow is worth more than another to us, and 6.2, because transport-wide
//! feedback does not carry ECN marks.

mod cases;
mod media;
mod network;
mod pictures;
mod report;
mod tcp;

use std::time::{Duration, Instant};

use self::report::Table;
use super::{BandwidthEstimator, LEAST, MOST, PacketResult};

const MS: Duration = Duration::from_millis(1);

/// Every case, and the test that runs it.
macro_rules! cases {
    ($($symptom:ident: $case:ident,)*) => {
        $(#[test]
        fn $symptom() {
            cases::$case(&mut Table::default());
        })*

        fn run_all(table: &mut Table) {
            $(cases::$case(table);)*
        }
    };
}

cases! {
    bottleneck_is_left_unused_or_flooded: bottleneck,
    variable_capacity_is_not_followed: variable_capacity,
    variable_capacity_is_left_to_one_of_two: variable_capacity_of_two,
    feedback_behind_pictures_is_taken_for_a_full_path: congested_feedback,
    lost_feedback_is_taken_for_lost_media: lost_feedback,
    newcomers_starve_or_starve_others: newcomers,
    long_round_trip_starves_beside_short_ones: round_trips,
    picture_starves_beside_a_long_transfer: long_tcp,
    pictures_starve_beside_short_transfers: short_tcp,
    share_of_one_who_pauses_is_lost_for_good: pause,
    flow_across_two_bottlenecks_starves: two_bottlenecks,
    drop_is_not_forgotten_when_it_is_lifted: lifted_drop,
    random_loss_halves_the_rate: random_loss,
    thin_path_is_flooded: thin,
    pictures_stay_small_on_a_path_that_carries_more: pictures,
}

/// Not compared: other machines compute other last digits, and a run multiplies them.
#[test]
fn results_are_written_down_on_demand() {
    if std::env::var_os("UPDATE_DOCS").is_none() {
        return;
    }
    let mut table = Table::default();
    run_all(&mut table);
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/congestion-results.md"
    );
    std::fs::write(path, table.page()).unwrap();
}

#[test]
fn clocks_of_the_peer_jump_and_lie() {
    let start = Instant::now();
    let mut estimator = BandwidthEstimator::new(start, 1);
    let mut random = 7u64;
    for n in 0..20_000u32 {
        let now = start + 5 * MS * n;
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        estimator.on_sent();
        estimator.set_demand(now, random % MOST);
        while estimator.poll_probe().is_some() {}
        let result = PacketResult {
            sent: now,
            size: (random >> 40) as usize % 1500,
            arrival: (!random.is_multiple_of(3)).then_some((random as i64) >> (random % 40)),
            cluster: random.is_multiple_of(5).then_some(n % 64),
        };
        estimator.on_feedback(now, None, &[result, result]);
        estimator.handle_timeout(now);
        assert!((LEAST..=MOST).contains(&estimator.estimate()));
        let next = estimator.next_timeout();
        assert!(next.is_none_or(|at| at > now), "at once, for ever");
    }
}
