//! It passes where all is well, and it can fail: each of these breaks one thing.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// What can be seen of a datagram from outside (RFC 5764, section 5.1.2; RFC 5761, section 4).
#[derive(PartialEq, Eq)]
enum Sort {
    Handshake,
    Media,
    Reports,
}

fn sort(datagram: &[u8]) -> Sort {
    match datagram {
        [128..192, 192..224, ..] => Sort::Reports,
        [128..192, ..] => Sort::Media,
        _ => Sort::Handshake,
    }
}

fn broken(between: Between, patience: fn(Stage) -> Duration) -> Report {
    let setup = Setup {
        patience,
        between,
        ..Setup::usual()
    };
    run(&setup, &mut |_| {}).unwrap()
}

fn passing(passes: fn(Hop, &[u8]) -> bool) -> Between {
    Between {
        passes,
        ..Setup::usual().between
    }
}

fn describing(description: fn(&str) -> String) -> Between {
    Between {
        description,
        ..Setup::usual().between
    }
}

/// What the operator reads of the stage that ended it.
fn last(report: &Report) -> String {
    report.stages.last().unwrap().to_string()
}

/// All but the page, which tests are built without where nobody has built it.
fn failed(report: &Report) -> Vec<&str> {
    let mut failed = report.failed();
    failed.retain(|stage| *stage != "page");
    failed
}

/// The steps of all calls that have failed; each call must have failed in the same one.
fn step_that_failed(report: &Report) -> String {
    let failed = failed(report);
    let mut calls = vec!["UDP", "TCP"];
    if report.ipv6 {
        calls.insert(1, "UDP over IPv6");
    }
    let split = failed.iter().map(|stage| stage.split_once(": ").unwrap());
    let (routes, steps): (Vec<_>, Vec<_>) = split.unzip();
    assert_eq!(routes, calls, "{report:?}");
    assert!(steps.windows(2).all(|pair| pair[0] == pair[1]), "{steps:?}");
    let text = report.summary();
    assert!(failed.iter().all(|stage| text.contains(stage)), "{text}");
    steps[0].to_owned()
}

/// Little time for one step, which is expected to wait in vain.
macro_rules! short {
    ($step:pat) => {
        |stage| match stage {
            Stage::Call(_, $step) => Duration::from_secs(1),
            Stage::Faults
            | Stage::Page
            | Stage::Tls
            | Stage::Database
            | Stage::Worker
            | Stage::Call(..) => STAGE,
        }
    };
}

#[test]
fn good_machine_is_called_broken() {
    let mut told = Vec::new();
    let report = run(&Setup::usual(), &mut |outcome| {
        told.push(outcome.to_string())
    })
    .unwrap();
    assert_eq!(failed(&report), Vec::<&str>::new(), "{report:?}");
    let calls = if report.ipv6 { 3 } else { 2 };
    assert_eq!(report.stages.len(), 5 + calls * STEPS.len());
    assert_eq!(told.len(), report.stages.len());
    assert_eq!(
        report.summary().contains("All is well."),
        report.failed().is_empty()
    );
}

#[test]
fn address_where_nothing_listens_passes() {
    let description = |sdp: &str| {
        let lines = sdp.lines().map(|line| {
            let mut words: Vec<&str> = line.split(' ').collect();
            if line.starts_with("a=candidate:") {
                words[5] = "1";
            }
            words.join(" ") + "\r\n"
        });
        lines.collect()
    };
    let report = broken(describing(description), short!(Step::Ice));
    assert_eq!(step_that_failed(&report), "ICE");
    let text = last(&report);
    assert!(
        text.contains("FAILED") && text.contains("packet filter"),
        "{text}"
    );
}

#[test]
fn firewall_that_drops_everything_passes() {
    let report = broken(passing(|_, _| false), short!(Step::Ice));
    assert_eq!(step_that_failed(&report), "ICE");
}

/// A description of somebody else's certificate.
fn forged(sdp: &str) -> String {
    let lines = sdp
        .lines()
        .map(|line| match line.split_once("a=fingerprint:sha-256 ") {
            Some((_, digits)) => {
                let digits = match digits.strip_prefix("00") {
                    Some(rest) => format!("01{rest}"),
                    None => format!("00{}", &digits[2..]),
                };
                format!("a=fingerprint:sha-256 {digits}\r\n")
            }
            None => format!("{line}\r\n"),
        });
    lines.collect()
}

#[test]
fn server_that_is_not_who_it_said_passes() {
    let report = broken(describing(forged), |_| STAGE);
    assert_eq!(step_that_failed(&report), "DTLS");
}

/// Whether the publishing peer has come as far as DTLS.
static AHEAD: AtomicBool = AtomicBool::new(false);

#[test]
fn peer_that_is_ahead_fails_and_the_network_is_blamed() {
    let passes = |hop, data: &[u8]| {
        match (hop, data.first()) {
            (Hop::FromPublisher, Some(0..4)) => AHEAD.store(false, Ordering::Relaxed),
            (Hop::ToPublisher, Some(20..64)) => AHEAD.store(true, Ordering::Relaxed),
            _ => {}
        }
        hop != Hop::FromWatcher || AHEAD.load(Ordering::Relaxed)
    };
    let between = Between {
        description: forged,
        ..passing(passes)
    };
    assert_eq!(step_that_failed(&broken(between, |_| STAGE)), "DTLS");
}

#[test]
fn media_that_never_arrive_pass() {
    let between = passing(|hop, data| hop != Hop::ToWatcher || sort(data) != Sort::Media);
    let report = broken(between, short!(Step::Audio));
    assert_eq!(step_that_failed(&report), "audio");
    let text = last(&report);
    assert!(text.contains("0 packets came"), "{text}");
}

#[test]
fn kernel_that_loses_large_datagrams_passes() {
    // Larger than those of audio.
    let between = passing(|_, data| sort(data) != Sort::Media || data.len() < 250);
    assert_eq!(
        step_that_failed(&broken(between, short!(Step::Video))),
        "video"
    );
}

#[test]
fn key_frame_that_nobody_hears_of_passes() {
    let between = passing(|hop, data| hop != Hop::FromWatcher || sort(data) != Sort::Reports);
    let report = broken(between, short!(Step::KeyFrame));
    assert_eq!(step_that_failed(&report), "key frame");
    let text = last(&report);
    assert!(text.contains("nobody asked"), "{text}");
}

#[test]
fn data_messages_that_are_lost_pass() {
    // Handshakes with a certificate of ours are shorter.
    let between = passing(|_, data| sort(data) != Sort::Handshake || data.len() < 900);
    assert_eq!(
        step_that_failed(&broken(between, short!(Step::Data))),
        "data"
    );
}

#[test]
fn what_hangs_keeps_the_operator_waiting() {
    let report = broken(Setup::usual().between, |_| Duration::ZERO);
    let failed = report.failed();
    assert!(failed.contains(&"worker"), "{report:?}");
}

#[test]
fn machine_without_a_place_for_files_is_called_broken() {
    let passed = parts::database(std::path::Path::new("/nowhere")).unwrap();
    assert_eq!(passed.detail, "in memory");
    assert!(passed.remarks[0].contains("/nowhere"), "{passed:?}");
}

#[test]
fn files_of_the_test_stay() {
    let place = tempfile::tempdir().unwrap();
    let passed = parts::database(place.path()).unwrap();
    assert!(passed.remarks.is_empty());
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}
