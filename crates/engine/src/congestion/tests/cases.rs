//! The cases and what must come of them.

use std::time::Duration;

use super::MS;
use super::network::{Flow, Kind, Link, Network};
use super::report::{Table, runs};

const ALWAYS: (f64, f64) = (0.0, f64::INFINITY);

/// One link that carries so many bits per second from so many seconds on.
fn network(capacity: &[(f64, f64)]) -> Network {
    Network {
        links: vec![Link::new(capacity)],
        feedback_loss: 0.0,
        jitter: 3 * MS,
        random: 0x5EED,
    }
}

/// A picture that wants as much as there is.
fn flow(delay: u32) -> Flow {
    Flow {
        kind: Kind::Media { most: 25_000_000 },
        delay: delay * MS,
        active: vec![ALWAYS],
        out: vec![0],
        back: vec![],
    }
}

fn from(second: f64, flow: Flow) -> Flow {
    Flow {
        active: vec![(second, f64::INFINITY)],
        ..flow
    }
}

fn tcp(kind: Kind) -> Flow {
    Flow { kind, ..flow(50) }
}

/// The spans in which a capacity stands, less the first `settle` seconds of each.
fn spans(capacity: &[(f64, f64)], end: f64, settle: f64) -> Vec<((f64, f64), f64)> {
    let ends = capacity.iter().skip(1).map(|(from, _)| *from).chain([end]);
    let spans = capacity.iter().zip(ends);
    spans.map(|((from, bits), to)| ((from + settle, to), *bits)).collect()
}

fn bottleneck(table: &mut Table) {
    for capacity in [1e6, 3e6, 20e6] {
        let case = format!("{} Mbit/s", capacity / 1e6);
        let runs = runs(&case, &network(&[(0.0, capacity)]), &[flow(50)], 60.0);
        let after = runs.figures(table, "one", 0, (10.0, 60.0));
        let soon = runs.figures(table, "one", 0, (1.0, 3.0));
        let at_once = runs.figures(table, "one", 0, (8.0, 12.0));
    }
}

fn variable_capacity(table: &mut Table) {
    let capacity = [(0.0, 1e6), (40.0, 2.5e6), (60.0, 0.6e6), (80.0, 1e6)];
    for delay in [50, 100] {
        let case = format!("5.1, {delay} ms");
        let runs = runs(&case, &network(&capacity), &[flow(delay)], 100.0);
        for (span, bits) in spans(&capacity, 100.0, 15.0) {
            runs.figures(table, "one", 0, span);
        }
        for (span, bits) in spans(&capacity, 100.0, 3.0) {
            runs.figures(table, "one", 0, span);
        }
    }
}

fn variable_capacity_of_two(table: &mut Table) {
    let capacity = [(0.0, 4e6), (25.0, 2e6), (50.0, 3.5e6), (75.0, 1e6), (100.0, 2e6)];
    let case = "5.2";
    let runs = runs(case, &network(&capacity), &[flow(50), flow(50)], 125.0);
    for (span, bits) in spans(&capacity, 125.0, 10.0) {
        for n in 0..2 {
            runs.figures(table, "each", n, span);
        }
        let (sums, even) = runs.together(&[0, 1], span);
        table.evenness(case, span, &sums, even);
    }
}

fn congested_feedback(table: &mut Table) {
    let there = [(0.0, 2e6), (20.0, 1e6), (40.0, 0.5e6), (60.0, 2e6)];
    let back = [(0.0, 2e6), (35.0, 0.8e6), (70.0, 2e6)];
    let network = Network { links: vec![Link::new(&there), Link::new(&back)], ..network(&[]) };
    let flows = [
        Flow { out: vec![0], back: vec![1], ..flow(50) },
        Flow { out: vec![1], back: vec![0], ..flow(50) },
    ];
    let runs = runs("5.3", &network, &flows, 100.0);
    for (span, bits) in spans(&there, 100.0, 10.0) {
        runs.figures(table, "there", 0, span);
    }
    for (span, bits) in spans(&back, 100.0, 10.0) {
        runs.figures(table, "back", 1, span);
    }
}

fn newcomers(table: &mut Table) {
    let flows = [flow(50), from(20.0, flow(50)), from(40.0, flow(50))];
    let r = runs("5.4", &network(&[(0.0, 3.5e6)]), &flows, 120.0);
    for n in 0..3 { r.figures(table, "each", n, (60.0, 120.0)); }
    let (sums, even) = r.together(&[0, 1, 2], (60.0, 120.0));
    table.evenness("5.4", (60.0, 120.0), &sums, even);
    let round_trips: Vec<Flow> = [10, 25, 50, 100, 150].iter().enumerate().map(|(n, d)| from(10.0 * n as f64, flow(*d))).collect();
    let r = runs("5.5", &network(&[(0.0, 4e6)]), &round_trips, 300.0);
    for n in 0..5 { r.figures(table, "each", n, (60.0, 300.0)); }
    let (sums, even) = r.together(&[0, 1, 2, 3, 4], (60.0, 300.0));
    table.evenness("5.5", (60.0, 300.0), &sums, even);
}

fn beside_tcp(table: &mut Table) {
    for queue in [300u64, 1000] {
        let mut network = network(&[(0.0, 2e6)]);
        network.links[0].queue = Duration::from_millis(queue);
        let case = format!("5.6, queue of {queue} ms");
        let runs = runs(&case, &network, &[from(5.0, flow(50)), tcp(Kind::LongTcp)], 120.0);
        runs.figures(table, "picture", 0, (20.0, 120.0));
        runs.figures(table, "TCP", 1, (20.0, 120.0));
    }
    let mut flows = vec![flow(50), flow(50)];
    flows.extend(vec![tcp(Kind::ShortTcp); 10]);
    let runs = runs("5.7", &network(&[(0.0, 2e6)]), &flows, 300.0);
    for n in 0..3 { runs.figures(table, "each", n, (20.0, 300.0)); }
    let (sums, even) = runs.together(&[2,3,4,5,6,7,8,9,10,11], (20.0, 300.0));
    table.evenness("5.7 TCP", (20.0, 300.0), &sums, even);
}

fn pause(table: &mut Table) {
    let flows = [
        flow(50),
        Flow { active: vec![(0.0, 40.0), (60.0, f64::INFINITY)], ..flow(50) },
        flow(50),
    ];
    let runs = runs("5.8", &network(&[(0.0, 3.5e6)]), &flows, 120.0);
    for n in 0..3 { runs.figures(table, "each", n, (20.0, 40.0)); }
    let (sums, even) = runs.together(&[0, 2], (45.0, 60.0));
    table.evenness("5.8 others", (45.0, 60.0), &sums, even);
    let (sums, even) = runs.together(&[0, 1, 2], (80.0, 120.0));
    for n in 0..3 { runs.figures(table, "each", n, (80.0, 120.0)); }
    table.evenness("5.8 back", (80.0, 120.0), &sums, even);
}

fn two_bottlenecks(table: &mut Table) {
    let network = Network {
        links: vec![Link::new(&[(0.0, 2e6)]), Link::new(&[(0.0, 8e6)]), Link::new(&[(0.0, 1.5e6)])],
        ..network(&[])
    };
    let flows = [
        Flow { out: vec![0, 1, 2], ..flow(100) },
        Flow { out: vec![0], ..flow(40) },
        Flow { out: vec![2], ..flow(40) },
    ];
    let runs = runs("6.3", &network, &flows, 300.0);
    for n in 0..3 { runs.figures(table, "each", n, (20.0, 300.0)); }
    let (sums, even) = runs.together(&[0, 1], (20.0, 300.0));
    table.evenness("6.3 A", (20.0, 300.0), &sums, even);
    let (sums, even) = runs.together(&[0, 2], (20.0, 300.0));
    table.evenness("6.3 C", (20.0, 300.0), &sums, even);
}

fn drop_and_loss(table: &mut Table) {
    let capacity = [(0.0, 5e6), (20.0, 0.4e6), (40.0, 5e6)];
    let r = runs("drop", &network(&capacity), &[flow(20)], 70.0);
    for span in [(10.0, 20.0), (23.0, 40.0), (48.0, 52.0), (50.0, 70.0)] { r.figures(table, "one", 0, span); }
    for (capacity, queue) in [(50e3, 300u32), (50e3, 1500), (80e3, 300), (2e6, 300), (150e3, 300), (80e3, 1500), (150e3, 1500), (400e3, 1500), (2e6, 1500)] {
        let mut network = network(&[(0.0, capacity)]);
        network.links[0].queue = queue * MS;
        let r = runs(&format!("thin {capacity} {queue}"), &network, &[flow(50)], 60.0);
        r.figures(table, "one", 0, (10.0, 30.0));
        r.figures(table, "one", 0, (30.0, 60.0));
    }
    for loss in [0.0, 0.02, 0.05, 0.1] {
        let mut network = network(&[(0.0, 3e6)]);
        network.links[0].loss = loss;
        let r = runs(&format!("{loss} lost"), &network, &[flow(50)], 60.0);
        r.figures(table, "one", 0, (10.0, 60.0));
    }
    for loss in [0.2, 1.0] {
        let mut network = network(&[(0.0, 3e6)]);
        network.feedback_loss = loss;
        let r = runs(&format!("{loss} feedback lost"), &network, &[flow(50)], 60.0);
        r.figures(table, "one", 0, (10.0, 60.0));
    }
}

#[test]
fn explore() {
    let t = &mut Table::default();
    bottleneck(t);
    variable_capacity(t);
    variable_capacity_of_two(t);
    congested_feedback(t);
    newcomers(t);
    beside_tcp(t);
    pause(t);
    two_bottlenecks(t);
    drop_and_loss(t);
}

#[test]
fn series() {
    use super::network::run;
    for seed in 1..9u64 {
        let mut network = network(&[(0.0, 20e6)]);
        network.random += 0x9E37_79B9_7F4A_7C15u64.wrapping_mul(seed);
        let samples = run(&mut network, &[flow(50)], 10.0);
        for n in 0..60 {
            println!("S {seed} {:.1} q {:3.0} | {:5.0} {:5.0}", samples[0][n].at, samples[0][n].queued * 1e3, samples[0][n].estimate / 1e3, samples[0][n].arrived / 1e3);
        }
    }
}
