//! The synthetic participants against a real server of ours, all in one process.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails is a test that fails"
)]

mod server;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use server::{options, plan, start};
use umbrella_loadgen::loss::Loss;
use umbrella_loadgen::media::VideoCodec;
use umbrella_loadgen::report::Report;
use umbrella_loadgen::run::{Options, run};
use umbrella_loadgen::{Plan, Quality, Scenario, witness};
use umbrella_server::{control, metrics};

async fn measure(plan: Plan) -> Report {
    measure_with_loss(plan, Loss::default()).await
}

async fn measure_with_loss(plan: Plan, loss: Loss) -> Report {
    let (address, _control) = start(1).await;
    measure_at(address, plan, loss).await
}

async fn measure_at(address: SocketAddr, plan: Plan, loss: Loss) -> Report {
    run(&options(address, plan, loss)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_reaches_every_subscriber_without_loss() {
    let report = measure(plan(Scenario::Broadcast, 1, 3)).await;
    assert_eq!(report.failures, Vec::<String>::new());
    assert_eq!((report.lost, report.duplicates), (0, 0), "{report:?}");
    // Three subscribers with picture and sound each.
    assert_eq!((report.tracks, report.tracks_expected), (6, 6));
    assert!(report.packets_in > 50, "{report:?}");
    // The edges of the measurement cut some packets off for the one or the other side.
    let (out, expected) = (report.packets_out, report.packets_in * 3);
    assert!(out.abs_diff(expected) * 10 < expected, "{out} {expected}");
    assert!(report.latency_ms.p50 > 0.0 && report.latency_ms.p50 <= report.latency_ms.max);
    assert!(report.join_ms.p50 > 0.0);
    assert!(report.rss_peak_kb > Some(0) && report.server_cpu_us_per_packet > Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_in_a_meeting_gets_the_encoding_that_they_asked_for() {
    let meeting = Plan {
        codec: VideoCodec::H264,
        quality: Some(Quality::Low),
        ..plan(Scenario::Meeting, 3, 0)
    };
    let report = measure(meeting).await;
    assert_eq!(report.failures, Vec::<String>::new());
    assert_eq!((report.tracks, report.tracks_expected), (12, 12));
    assert_eq!((report.lost, report.silent_tracks), (0, 0), "{report:?}");
    // The lowest of three encodings is a tenth of the highest.
    assert!(report.bytes_out < report.bytes_in * 2, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_datagrams_stay_lost() {
    let loss = Loss {
        share: 0.05,
        seed: 7,
    };
    let report = measure_with_loss(plan(Scenario::Broadcast, 1, 2), loss).await;
    assert_eq!(report.failures, Vec::<String>::new());
    let datagrams = report.datagrams;
    assert!(
        datagrams.received_lost > 0 && datagrams.sent_lost > 0,
        "{report:?}"
    );
    assert!(report.wire_loss > 0.01, "{report:?}");
    // What was missing has been sent again, most of it.
    assert!(report.loss < report.wire_loss, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_and_goes_is_not_let_in_again() {
    let soak = Plan {
        rooms: 2,
        stay: Duration::from_millis(500),
        ..plan(Scenario::Soak, 2, 1)
    };
    let report = measure(soak).await;
    let turnover = report.turnover.clone().unwrap();
    assert_eq!(turnover.reasons, Vec::<String>::new());
    assert!(turnover.stays >= 12 && turnover.rooms >= 2, "{turnover:?}");
    assert!(report.packets_out > 0, "{report:?}");
    // Two who publish and watch, and one who watches, in each of two rooms.
    let full: Vec<usize> = report.full_houses.iter().map(|it| it.connections).collect();
    assert_eq!(full, [10, 10]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_does_not_notice_that_it_knows_everybody() {
    let (address, _control) = start(1).await;
    let options = options(address, plan(Scenario::Idle, 0, 5), Loss::default());
    let options = Options {
        watch_url: Some(options.url.clone()),
        ..options
    };
    let said = std::sync::Mutex::new(Vec::new());
    let say = |what: &str| said.lock().unwrap().push(what.to_owned());
    witness::run(&options, say).await.unwrap();
    let mut said = said.into_inner().unwrap();
    // At one server it knows them before all have settled.
    said.sort();
    assert_eq!(said, [witness::KNOWN, witness::THERE]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_core_carries_a_large_room_while_the_others_rest() {
    let (address, control) = start(2).await;
    let crowd = Plan {
        bitrate: 60_000,
        fps: 10,
        join_within: Duration::from_secs(2),
        ..plan(Scenario::Broadcast, 1, 90)
    };
    let most = tokio::spawn(async move {
        let mut most = [0, 0];
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let workers = control.workers().await;
            let now = [0, 1].map(|index| workers[index].transports);
            if now == [0, 0] && most != [0, 0] {
                return most;
            }
            most = [most[0].max(now[0]), most[1].max(now[1])];
        }
    });
    let report = measure_at(address, crowd, Loss::default()).await;
    assert_eq!(report.failures, Vec::<String>::new());
    assert_eq!((report.tracks, report.tracks_expected), (180, 180));
    assert_eq!(
        (report.lost, report.duplicates, report.silent_tracks),
        (0, 0, 0)
    );
    let most = most.await.unwrap();
    assert!(most[0].abs_diff(most[1]) <= 12, "connections: {most:?}");
}

/// Every series of the figures.
async fn figures(control: &control::Handle) -> BTreeMap<String, f64> {
    let text = metrics::scrape(control, None, None, SystemTime::now())
        .await
        .unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// The largest value of every series until so many have come to one room and left again. What only
/// counts must not fall meanwhile.
async fn most_until_all_have_left(
    control: control::Handle,
    expected: f64,
) -> BTreeMap<String, f64> {
    let mut most: BTreeMap<String, f64> = BTreeMap::new();
    loop {
        for (series, value) in figures(&control).await {
            let old = most.entry(series.clone()).or_insert(value);
            let fell = only_counts(&series) && value < *old;
            assert!(!fell, "{series} falls from {old} to {value}");
            *old = old.max(value);
        }
        let rooms = control.rooms().await;
        let left = rooms.iter().all(|room| room.participants == 0);
        if left && rooms.len() == 1 && most["umbrella_participants"] == expected {
            return most;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn only_counts(series: &str) -> bool {
    series.contains("_total") || series.contains("_duration_seconds")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_fall_or_lack_what_went_through_the_server() {
    let (address, control) = start(2).await;
    let watcher = tokio::spawn(most_until_all_have_left(control.clone(), 4.0));
    let report = measure_at(address, plan(Scenario::Broadcast, 1, 3), Loss::default()).await;
    assert_eq!(report.failures, Vec::<String>::new());
    let most = watcher.await.unwrap();
    let packets = |way: &str, kind: &str| {
        most[&format!("umbrella_rtp_packets_total{{direction=\"{way}\",kind=\"{kind}\"}}")]
    };
    for kind in ["audio", "video"] {
        let (arrived, left) = (packets("in", kind), packets("out", kind));
        assert!(arrived > 50.0, "{arrived} {kind} in");
        // Subscribers join while the publisher sends, and nobody gets more than there is.
        assert!(
            left > arrived && left <= 3.0 * arrived,
            "{arrived} in, {left} out"
        );
        assert_eq!(most[&format!("umbrella_tracks{{kind=\"{kind}\"}}")], 1.0);
        assert_eq!(
            most[&format!("umbrella_subscriptions{{kind=\"{kind}\"}}")],
            3.0
        );
    }
    assert!(most["umbrella_key_frames_received_total"] >= 1.0);
    assert!(most["umbrella_peer_connections{protocol=\"udp\"}"] >= 4.0);
    let joins = "umbrella_join_duration_seconds";
    assert_eq!(
        (
            most["umbrella_joins_total"],
            most[&format!("{joins}_count")]
        ),
        (4.0, 4.0)
    );
    assert!(most[&format!("{joins}_sum")] > 0.0);
    // Nothing is left of them, but what was counted.
    let after = loop {
        let after = figures(&control).await;
        if after["umbrella_participants"] == 0.0 {
            break after;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    for (series, value) in &most {
        let fell = only_counts(series) && after[series] < *value;
        assert!(!fell, "{series} falls at the end");
    }
    let leaves = after
        .iter()
        .filter(|it| it.0.starts_with("umbrella_leaves_total"));
    assert_eq!(leaves.map(|(_, count)| count).sum::<f64>(), 4.0);
}
