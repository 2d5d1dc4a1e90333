//! The cases and what must come of them. Bounds hold for the mean over all runs, or for each of
//! them where `least`, `most` and `worst_p95` are asked.

use super::MS;
use super::network::{Flow, Kind, Link, Network};
use super::report::{Figures, Runs, Table, runs};

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

/// Cases 5.1 and 5.2: the queue that a drop has filled is empty again after so many seconds.
const DRAINED: f64 = 3.0;

/// The spans in which a capacity stands, less the first `settle` seconds of each.
fn spans(capacity: &[(f64, f64)], end: f64, settle: f64) -> Vec<((f64, f64), f64)> {
    let ends = capacity.iter().skip(1).map(|(from, _)| *from).chain([end]);
    let spans = capacity.iter().zip(ends);
    spans
        .map(|((from, bits), to)| ((from + settle, to), *bits))
        .collect()
}

/// The first `count` flows, each in a row of its own.
fn each(runs: &Runs, table: &mut Table, count: usize, span: (f64, f64)) -> Vec<Figures> {
    (0..count)
        .map(|n| runs.figures(table, &format!("{}", n + 1), n, span))
        .collect()
}

/// All of them share a link that carries `bits`: it is used, not flooded, and all have about the
/// same.
fn shared(runs: &Runs, table: &mut Table, flows: &[usize], span: (f64, f64), bits: f64) {
    let together = runs.together(table, flows, span);
    assert!(together.least > 0.8 * bits, "the link is left unused");
    assert!(together.most < 1.01 * bits);
    assert!(together.evenness > 0.85, "somebody starves");
}

/// Within 20 % of what a path carries within ten seconds, and much of it at once.
pub(super) fn bottleneck(table: &mut Table) {
    for capacity in [1e6, 3e6, 20e6] {
        let case = format!("{} Mbit/s", capacity / 1e6);
        let runs = runs(&case, &network(&[(0.0, capacity)]), &[flow(50)], 60.0);
        let soon = runs.figures(table, "1", 0, (1.0, 3.0));
        assert!(soon.least > 0.5 * capacity, "the first picture waits");
        let tenth = runs.figures(table, "1", 0, (8.0, 12.0));
        assert!(tenth.arrives > 0.8 * capacity && tenth.least > 0.7 * capacity);
        let after = runs.figures(table, "1", 0, (10.0, 60.0));
        assert!(after.least > 0.8 * capacity && after.estimate < 1.02 * capacity);
        assert!(after.worst_p95 < 50.0);
    }
}

/// RFC 8867 section 5.1.
pub(super) fn variable_capacity(table: &mut Table) {
    let capacity = [(0.0, 1e6), (40.0, 2.5e6), (60.0, 0.6e6), (80.0, 1e6)];
    for delay in [50, 100] {
        let case = format!("5.1, {delay} ms");
        let runs = runs(&case, &network(&capacity), &[flow(delay)], 100.0);
        for (span, bits) in spans(&capacity, 100.0, 15.0) {
            let late = runs.figures(table, "1", 0, span);
            assert!(late.arrives > 0.8 * bits && late.least > 0.75 * bits);
            assert!(late.most < 1.01 * bits && late.estimate < 1.02 * bits);
        }
        for (span, _) in spans(&capacity, 100.0, DRAINED) {
            assert!(runs.figures(table, "1", 0, span).worst_p95 < 100.0);
        }
    }
}

/// RFC 8867 section 5.2.
pub(super) fn variable_capacity_of_two(table: &mut Table) {
    let capacity = [
        (0.0, 4e6),
        (25.0, 2e6),
        (50.0, 3.5e6),
        (75.0, 1e6),
        (100.0, 2e6),
    ];
    let runs = runs("5.2", &network(&capacity), &[flow(50), flow(50)], 125.0);
    for (span, bits) in spans(&capacity, 125.0, 10.0) {
        for figures in each(&runs, table, 2, span) {
            assert!(figures.least > 0.1 * bits && figures.queue_p95 < 120.0);
        }
        shared(&runs, table, &[0, 1], span, bits);
    }
}

/// RFC 8867 section 5.3: pictures both ways, and feedback behind those of the other direction.
pub(super) fn congested_feedback(table: &mut Table) {
    let there = [(0.0, 2e6), (20.0, 1e6), (40.0, 0.5e6), (60.0, 2e6)];
    let back = [(0.0, 2e6), (35.0, 0.8e6), (70.0, 2e6)];
    let network = Network {
        links: vec![Link::new(&there), Link::new(&back)],
        ..network(&[])
    };
    let one_way = |out, back| Flow {
        out: vec![out],
        back: vec![back],
        ..flow(50)
    };
    let runs = runs("5.3", &network, &[one_way(0, 1), one_way(1, 0)], 100.0);
    let spans = [spans(&there, 100.0, 10.0), spans(&back, 100.0, 10.0)];
    for (flow, spans) in spans.into_iter().enumerate() {
        for (span, bits) in spans {
            let figures = runs.figures(table, &format!("{}", flow + 1), flow, span);
            // Feedback takes its share too.
            assert!(figures.arrives > 0.75 * bits && figures.most < bits);
            assert!(figures.worst_p95 < 100.0);
        }
    }
}

/// RFC 8867 section 5.3 with reports that do not come at all.
pub(super) fn lost_feedback(table: &mut Table) {
    let mut network = network(&[(0.0, 3e6)]);
    network.feedback_loss = 0.2;
    let fifth = runs("a fifth of the reports lost", &network, &[flow(50)], 60.0);
    let after = fifth.figures(table, "1", 0, (10.0, 60.0));
    assert!(after.arrives > 0.75 * 3e6 && after.worst_p95 < 100.0);
    network.feedback_loss = 1.0;
    let all = runs("all reports lost", &network, &[flow(50)], 30.0);
    let after = all.figures(table, "1", 0, (25.0, 30.0));
    assert!(after.estimate < 100_000.0);
}

/// RFC 8867 section 5.4.
pub(super) fn newcomers(table: &mut Table) {
    let flows = [flow(50), from(20.0, flow(50)), from(40.0, flow(50))];
    let runs = runs("5.4", &network(&[(0.0, 3.5e6)]), &flows, 120.0);
    let span = (60.0, 120.0);
    for figures in each(&runs, table, 3, span) {
        assert!(figures.least > 0.4 * 3.5e6 / 3.0 && figures.queue_p95 < 100.0);
    }
    shared(&runs, table, &[0, 1, 2], span, 3.5e6);
}

/// RFC 8867 section 5.5.
pub(super) fn round_trips(table: &mut Table) {
    let flows: Vec<Flow> = [10, 25, 50, 100, 150]
        .iter()
        .enumerate()
        .map(|(n, delay)| from(10.0 * n as f64, flow(*delay)))
        .collect();
    let runs = runs("5.5", &network(&[(0.0, 4e6)]), &flows, 300.0);
    let span = (60.0, 300.0);
    for figures in each(&runs, table, 5, span) {
        assert!(figures.least > 0.4 * 4e6 / 5.0 && figures.most < 2.0 * 4e6 / 5.0);
        assert!(figures.queue_p95 < 100.0);
    }
    shared(&runs, table, &[0, 1, 2, 3, 4], span, 4e6);
}

/// RFC 8867 section 5.6: a picture does not starve, nor does TCP.
pub(super) fn long_tcp(table: &mut Table) {
    for queue in [300, 1000] {
        let mut network = network(&[(0.0, 2e6)]);
        network.links[0].queue = queue * MS;
        let case = format!("5.6, queue of {queue} ms");
        let flows = [from(5.0, flow(50)), tcp(Kind::LongTcp)];
        let runs = runs(&case, &network, &flows, 120.0);
        let picture = runs.figures(table, "picture", 0, (20.0, 120.0));
        assert!(picture.least > 150_000.0, "a picture starves beside TCP");
        let transfer = runs.figures(table, "TCP", 1, (20.0, 120.0));
        assert!(transfer.least > 0.5 * 2e6 && transfer.most < 2e6);
    }
}

/// RFC 8867 section 5.7: ten short transfers at a time, and two pictures.
pub(super) fn short_tcp(table: &mut Table) {
    let mut flows = vec![flow(50), flow(50)];
    flows.extend(vec![tcp(Kind::ShortTcp); 10]);
    let runs = runs("5.7", &network(&[(0.0, 2e6)]), &flows, 300.0);
    for figures in each(&runs, table, 2, (20.0, 300.0)) {
        assert!(figures.arrives > 150_000.0 && figures.least > 100_000.0);
    }
    let transfers: Vec<usize> = (2..12).collect();
    let together = runs.together(table, &transfers, (20.0, 300.0));
    assert!(together.least > 0.3 * 2e6, "transfers starve");
}

/// RFC 8867 section 5.8: others take the share of one who pauses, and give it back.
pub(super) fn pause(table: &mut Table) {
    let paused = Flow {
        active: vec![(0.0, 40.0), (60.0, f64::INFINITY)],
        ..flow(50)
    };
    let flows = [flow(50), paused, flow(50)];
    let runs = runs("5.8", &network(&[(0.0, 3.5e6)]), &flows, 120.0);
    shared(&runs, table, &[0, 2], (45.0, 60.0), 3.5e6);
    for figures in each(&runs, table, 3, (80.0, 120.0)) {
        assert!(figures.least > 0.4 * 3.5e6 / 3.0 && figures.queue_p95 < 100.0);
    }
    shared(&runs, table, &[0, 1, 2], (80.0, 120.0), 3.5e6);
}

/// RFC 8867 section 6.3: the first flow shares its first link with the second flow, and its last
/// one with the third.
pub(super) fn two_bottlenecks(table: &mut Table) {
    let links = [2e6, 8e6, 1.5e6].map(|bits| Link::new(&[(0.0, bits)]));
    let network = Network {
        links: links.to_vec(),
        ..network(&[])
    };
    let across = |delay, out: &[usize]| Flow {
        out: out.to_vec(),
        ..flow(delay)
    };
    let flows = [across(100, &[0, 1, 2]), across(40, &[0]), across(40, &[2])];
    let runs = runs("6.3", &network, &flows, 300.0);
    let span = (20.0, 300.0);
    for figures in each(&runs, table, 3, span) {
        assert!(figures.least > 0.5 * 1.5e6 / 2.0 && figures.worst_p95 < 100.0);
    }
    for (flows, bits) in [([0, 1], 2e6), ([0, 2], 1.5e6)] {
        let together = runs.together(table, &flows, span);
        assert!(together.least > 0.85 * bits && together.most < 1.01 * bits);
        // Who crosses both is held up twice.
        assert!(together.evenness > 0.75);
    }
}

/// Four fifths of what was before within ten seconds after a drop.
pub(super) fn lifted_drop(table: &mut Table) {
    let capacity = [(0.0, 5e6), (20.0, 0.4e6), (40.0, 5e6)];
    let runs = runs("drop", &network(&capacity), &[flow(20)], 70.0);
    let before = runs.figures(table, "1", 0, (10.0, 20.0));
    let during = runs.figures(table, "1", 0, (20.0 + DRAINED, 40.0));
    assert!(during.least > 0.8 * 0.4e6 && during.worst_p95 < 100.0);
    let back = runs.figures(table, "1", 0, (48.0, 52.0));
    assert!(back.least > 0.8 * before.arrives);
    let after = runs.figures(table, "1", 0, (50.0, 70.0));
    assert!(after.arrives > 0.9 * before.arrives && after.worst_p95 < 50.0);
}

/// Loss that no queue explains.
pub(super) fn random_loss(table: &mut Table) {
    let mut lossless = 0.0;
    for (loss, keeps) in [(0.0, 1.0), (0.02, 0.9), (0.05, 0.85), (0.1, 0.4)] {
        let mut network = network(&[(0.0, 3e6)]);
        network.links[0].loss = loss;
        let case = format!("{} % lost", loss * 100.0);
        let runs = runs(&case, &network, &[flow(50)], 60.0);
        let figures = runs.figures(table, "1", 0, (10.0, 60.0));
        if loss == 0.0 {
            lossless = figures.arrives;
        }
        assert!(figures.least > 0.9 * keeps * lossless && figures.worst_p95 < 50.0);
    }
}

/// Paths that carry sound and hardly more, with a short and a long queue.
pub(super) fn thin(table: &mut Table) {
    for (capacity, queue) in [(80e3, 300), (150e3, 300), (150e3, 1500), (400e3, 1500)] {
        let mut network = network(&[(0.0, capacity)]);
        network.links[0].queue = queue * MS;
        let case = format!("{} kbit/s, queue of {queue} ms", capacity / 1e3);
        let runs = runs(&case, &network, &[flow(50)], 60.0);
        let figures = runs.figures(table, "1", 0, (30.0, 60.0));
        assert!(figures.least > 0.8 * capacity && figures.estimate < 1.02 * capacity);
        assert!(figures.worst_p95 < 100.0, "a thin path is flooded");
    }
}

/// Four cameras over a link between sites that is narrow and loses some, both ways: an allocator
/// chooses their sizes, and what the estimate allows must not lie idle.
pub(super) fn pictures(table: &mut Table) {
    let link = Link {
        loss: 0.01,
        ..Link::new(&[(0.0, 2e6)])
    };
    let network = Network {
        links: vec![link.clone(), link],
        ..network(&[])
    };
    let cameras = Flow {
        kind: Kind::Pictures { count: 4 },
        back: vec![1],
        ..flow(40)
    };
    let runs = runs("four cameras, 1 % lost", &network, &[cameras], 60.0);
    let soon = runs.figures(table, "1", 0, (10.0, 20.0));
    let figures = runs.figures(table, "1", 0, (20.0, 60.0));
    assert!(
        soon.arrives > 0.5 * 2e6,
        "what failed at first is not tried again"
    );
    assert!(figures.least > 0.65 * 2e6, "pictures stay small");
    assert!(figures.estimate < 1.1 * 2e6 && figures.worst_p95 < 150.0);
}
