use std::time::{Duration, UNIX_EPOCH};

use super::families::SECTIONS;
use super::*;

/// A snapshot of a server with so many workers.
fn snapshot(workers: usize) -> Snapshot {
    Snapshot {
        left: vec![("asked", 1)],
        workers: vec![WorkerSnapshot::default(); workers],
        ..Snapshot::default()
    }
}

fn write(snapshot: &Snapshot) -> String {
    let started_at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
    let process = Process {
        started_at,
        memory: &Memory::new(Some(1 << 27)),
        certificates: vec![("files", 2_000_000_000)],
    };
    let states = [("connected", 1)];
    page::write(snapshot, &states, &Doors::default(), &process)
}

fn value(text: &str, series: &str) -> String {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {text}"))
        .to_owned()
}

#[test]
fn metric_is_declared_and_never_written() {
    let text = write(&snapshot(1));
    let written: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next())
        .collect();
    let declared: Vec<&str> = SECTIONS
        .iter()
        .flat_map(|(_, families)| families.iter().map(|family| family.name))
        .collect();
    assert_eq!(written, declared);
}

#[test]
fn reference_of_metrics_in_the_documentation_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, reference()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == reference(),
        "docs/metrics.md is stale: UPDATE_DOCS=1 cargo test -p umbrella reference"
    );
}

#[test]
fn one_trunk_is_counted_as_another() {
    let trunk = |node: &str, count| TrunkSnapshot {
        node: node.to_owned(),
        name: format!("Site \"{node}\""),
        media: count > 1,
        round_trip: Some(Duration::from_millis(25)),
        estimate: (count > 1).then_some(count),
        sent: Traffic {
            datagrams: count,
            bytes: 100 * count,
        },
        tracks: (0, count),
        ..TrunkSnapshot::default()
    };
    let text = write(&Snapshot {
        trunks: vec![trunk("ND_a", 1), trunk("ND_b", 2)],
        ..snapshot(1)
    });
    for (series, expected) in [
        ("umbrella_trunks{state=\"connected\"}", "1"),
        (
            "umbrella_trunk_info{node=\"ND_a\",name=\"Site \\\"ND_a\\\"\"}",
            "1",
        ),
        ("umbrella_trunk_media_up{node=\"ND_a\"}", "0"),
        ("umbrella_trunk_media_up{node=\"ND_b\"}", "1"),
        ("umbrella_trunk_round_trip_seconds{node=\"ND_b\"}", "0.025"),
        (
            "umbrella_trunk_bandwidth_bits_per_second{node=\"ND_b\"}",
            "2",
        ),
        (
            "umbrella_trunk_bytes_total{node=\"ND_b\",direction=\"out\"}",
            "200",
        ),
        ("umbrella_trunk_tracks{node=\"ND_b\",direction=\"in\"}", "0"),
    ] {
        assert_eq!(value(&text, series), expected, "{series}");
    }
    let unknown = "umbrella_trunk_bandwidth_bits_per_second{node=\"ND_a\"}";
    assert!(!text.contains(unknown), "a guess");
}

#[test]
fn figures_of_one_worker_pass_for_those_of_all() {
    let mut both = snapshot(2);
    for (index, worker) in both.workers.iter_mut().enumerate() {
        let count = 10u64.pow(index as u32);
        worker.totals.received.video.packets = count;
        worker.totals.sent.audio.dropped = count;
        worker.totals.present.udp = count;
        worker.totals.present.paths.bands[8] = count;
        worker.totals.datagrams = (count, 2 * count);
        worker.counts.udp_dropped = count;
        worker.counts.busy_us = 1_500_000 * count;
        worker.answered = index == 1;
    }
    let text = write(&both);
    for (series, expected) in [
        (
            "umbrella_rtp_packets_total{direction=\"in\",kind=\"video\"}",
            "11",
        ),
        ("umbrella_queue_dropped_total{queue=\"egress_audio\"}", "11"),
        ("umbrella_queue_dropped_total{queue=\"udp_out\"}", "11"),
        ("umbrella_peer_connections{protocol=\"udp\"}", "11"),
        ("umbrella_subscriber_paths{bandwidth=\"25M-\"}", "11"),
        (
            "umbrella_worker_datagrams_total{worker=\"1\",direction=\"out\"}",
            "20",
        ),
        ("umbrella_worker_busy_seconds_total{worker=\"0\"}", "1.5"),
        ("umbrella_worker_answered{worker=\"0\"}", "0"),
        ("umbrella_worker_answered{worker=\"1\"}", "1"),
        ("umbrella_process_start_time_seconds", "1700000000.5"),
        (
            "umbrella_certificate_end_time_seconds{source=\"files\"}",
            "2000000000",
        ),
        ("umbrella_leaves_total{reason=\"asked\"}", "1"),
    ] {
        assert_eq!(value(&text, series), expected, "{series}");
    }
}
