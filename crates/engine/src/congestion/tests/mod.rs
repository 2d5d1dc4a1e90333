//! The cases of RFC 8867 (all of section 5, and 6.3), and others, with upper as well as lower
//! bounds. `cargo test -p umbrella-engine congestion -- --nocapture` prints the figures;
//! `UPDATE_DOCS=1 cargo test -p umbrella-engine congestion` writes docs/congestion-results.md.

mod cases;
mod media;
mod network;
mod report;
mod tcp;

use std::time::{Duration, Instant};

use super::{BandwidthEstimator, LEAST, MOST, PacketResult};

const MS: Duration = Duration::from_millis(1);

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
    }
}
