//! The cases of RFC 8867 that fit one path, and others, with upper as well as lower bounds.
//! `cargo test -p umbrella-engine congestion -- --nocapture` prints the figures.

mod path;

use std::time::Duration;

use path::{Flow, Path, Sample, run};

const MS: Duration = Duration::from_millis(1);
/// Cases in which chance decides run this often, each time with other numbers.
const SEEDS: u64 = 4;

fn path(capacity: &[(f64, f64)]) -> Path {
    Path {
        capacity: capacity.to_vec(),
        loss: 0.0,
        feedback_loss: 0.0,
        jitter: 3 * MS,
        random: 0x5EED,
    }
}

fn seeded(seed: u64, capacity: &[(f64, f64)]) -> Path {
    Path {
        random: 0x5EED + 77 * seed,
        ..path(capacity)
    }
}

fn flow(delay: u32) -> Flow {
    Flow {
        delay: delay * MS,
        active: vec![(0.0, f64::INFINITY)],
        most: 25_000_000,
    }
}

/// What happened between two times.
#[derive(Debug)]
struct Figures {
    /// Mean, in bits per second.
    arrives: f64,
    estimate: f64,
    /// The wait below which 95 % of the tenths of a second are, and the mean, in ms.
    queue_p95: f64,
    queue_mean: f64,
}

fn between(case: &str, samples: &[Sample], from: f64, to: f64) -> Figures {
    let all: Vec<&Sample> = samples
        .iter()
        .filter(|s| (from..to).contains(&s.at))
        .collect();
    let count = all.len() as f64;
    let mean = |of: fn(&Sample) -> f64| all.iter().map(|s| of(s)).sum::<f64>() / count;
    let mut queued: Vec<f64> = all.iter().map(|s| s.queued).collect();
    queued.sort_by(f64::total_cmp);
    let figures = Figures {
        arrives: mean(|s| s.arrived),
        estimate: mean(|s| s.estimate),
        queue_p95: queued[queued.len() * 95 / 100] * 1e3,
        queue_mean: mean(|s| s.queued) * 1e3,
    };
    println!(
        "{case}, {from} to {to} s: {:.0} kbit/s arrive, estimate {:.0}, queue p95 {:.0} ms, mean {:.0}",
        figures.arrives / 1e3,
        figures.estimate / 1e3,
        figures.queue_p95,
        figures.queue_mean,
    );
    figures
}

/// How even shares are: 1 for all the same (Jain's index).
fn evenness(rates: &[f64]) -> f64 {
    let sum: f64 = rates.iter().sum();
    sum * sum / (rates.len() as f64 * rates.iter().map(|r| r * r).sum::<f64>())
}

#[test]
fn bottleneck_is_left_unused_or_flooded() {
    for capacity in [1e6, 3e6, 20e6] {
        let samples = run(&mut path(&[(0.0, capacity)]), &[flow(50)], 60.0);
        let after = between(
            &format!("{} Mbit/s", capacity / 1e6),
            &samples[0],
            10.0,
            60.0,
        );
        assert!(after.arrives > 0.8 * capacity);
        assert!(after.estimate < 1.1 * capacity);
        assert!(after.queue_p95 < 100.0);
        // The first picture does not wait for the tenth second.
        let soon = between("at first", &samples[0], 1.0, 3.0);
        assert!(soon.arrives > 0.5 * capacity);
    }
}

#[test]
fn variable_capacity_is_not_followed() {
    // RFC 8867 section 5.1.
    let capacity = [(0.0, 1e6), (40.0, 2.5e6), (60.0, 0.6e6), (80.0, 1e6)];
    for delay in [50, 100] {
        let samples = run(&mut path(&capacity), &[flow(delay)], 100.0);
        for (index, (from, bits)) in capacity.iter().enumerate() {
            let to = capacity.get(index + 1).map_or(100.0, |next| next.0);
            let case = format!("5.1, {delay} ms");
            let late = between(&case, &samples[0], from + 15.0, to);
            assert!(late.arrives > 0.8 * bits && late.arrives < 1.01 * bits);
            assert!(late.estimate < 1.1 * bits);
            // What the drop has filled is empty again three seconds later.
            let settled = between(&case, &samples[0], from + 3.0, to);
            assert!(settled.queue_p95 < 120.0);
        }
    }
}

#[test]
fn drop_is_not_forgotten_when_it_is_lifted() {
    for seed in 0..SEEDS {
        let capacity = [(0.0, 5e6), (20.0, 0.4e6), (40.0, 5e6)];
        let samples = run(&mut seeded(seed, &capacity), &[flow(20)], 70.0);
        let before = between("drop", &samples[0], 10.0, 20.0);
        let during = between("drop", &samples[0], 23.0, 40.0);
        assert!(during.arrives > 0.8 * 0.4e6 && during.queue_p95 < 100.0);
        let after = between("drop", &samples[0], 50.0, 70.0);
        assert!(after.arrives > 0.9 * before.arrives);
    }
}

#[test]
fn lost_feedback_is_taken_for_lost_media() {
    // RFC 8867 section 5.3, with reports that do not come instead of a slow way back.
    let mut path = path(&[(0.0, 2e6)]);
    path.feedback_loss = 0.2;
    let samples = run(&mut path, &[flow(50)], 60.0);
    let after = between("5.3", &samples[0], 10.0, 60.0);
    assert!(after.arrives > 0.7 * 2e6 && after.queue_p95 < 150.0);
}

#[test]
fn random_loss_halves_the_rate() {
    let rate_with = |loss| {
        let mut path = path(&[(0.0, 3e6)]);
        path.loss = loss;
        let samples = run(&mut path, &[flow(50)], 60.0);
        between(&format!("{loss} lost"), &samples[0], 10.0, 60.0).arrives
    };
    let lossless = rate_with(0.0);
    assert!(rate_with(0.02) > 0.8 * lossless);
    assert!(rate_with(0.05) > 0.7 * lossless);
    // More than a path loses by itself: less is sent, but the call goes on.
    assert!(rate_with(0.1) > 500_000.0);
}

#[test]
fn newcomers_starve_or_starve_others() {
    // RFC 8867 sections 5.4 (one after another) and 5.5 (different round trips).
    let late = |delay, from| Flow {
        active: vec![(from, f64::INFINITY)],
        ..flow(delay)
    };
    let one_after_another = [flow(50), late(50, 20.0), late(50, 40.0)];
    let round_trips = [10, 25, 50, 100, 150].map(flow);
    for (case, capacity, flows) in [
        ("5.4", 3.5e6, &one_after_another[..]),
        ("5.5", 4e6, &round_trips[..]),
    ] {
        let mut even = 0.0;
        for seed in 0..SEEDS {
            let samples = run(&mut seeded(seed, &[(0.0, capacity)]), flows, 240.0);
            let all: Vec<Figures> = samples
                .iter()
                .map(|samples| between(case, samples, 60.0, 240.0))
                .collect();
            let rates: Vec<f64> = all.iter().map(|figures| figures.arrives).collect();
            let sum: f64 = rates.iter().sum();
            assert!(sum > 0.8 * capacity && sum < 1.01 * capacity);
            assert!(all[0].queue_mean < 80.0);
            even += evenness(&rates) / SEEDS as f64;
        }
        println!("{case}: evenness {even:.2}");
        assert!(even > 0.8);
    }
}

#[test]
fn share_of_one_who_pauses_is_lost_for_good() {
    // RFC 8867 section 5.8: others take the share, and give it back.
    let flows = [
        flow(50),
        Flow {
            active: vec![(0.0, 40.0), (60.0, f64::INFINITY)],
            ..flow(50)
        },
        flow(50),
    ];
    let (mut during, mut after) = (0.0, 0.0);
    for seed in 0..SEEDS {
        let samples = run(&mut seeded(seed, &[(0.0, 3.5e6)]), &flows, 120.0);
        for others in [&samples[0], &samples[2]] {
            during += between("5.8 others", others, 45.0, 60.0).arrives;
        }
        after += between("5.8 back", &samples[1], 80.0, 120.0).arrives;
    }
    assert!(during / SEEDS as f64 > 0.8 * 3.5e6);
    assert!(after / SEEDS as f64 > 0.5 * 3.5e6 / 3.0);
}

#[test]
fn silence_of_the_receiver_goes_unnoticed() {
    let mut path = path(&[(0.0, 3e6)]);
    path.feedback_loss = 1.0;
    let samples = run(&mut path, &[flow(50)], 30.0);
    let after = between("no feedback", &samples[0], 25.0, 30.0);
    assert!(after.estimate < 100_000.0);
}

#[test]
fn clocks_of_the_peer_jump_and_lie() {
    use std::time::Instant;

    use super::{BandwidthEstimator, LEAST, MOST, PacketResult};

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
