//! What people in a call would notice, between a worker and stock str0m peers on a seeded network
//! with a virtual clock. Tests are named by the complaint that they prevent.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic, and looks for what it waits for"
)]

mod allocation;
mod cameras;
mod connections;
mod faults;
mod mirrors;
mod network;
mod peer;
mod sections;
mod totals;
mod tracks;
mod trunks;

use std::time::Duration;

use network::{Network, Track};
use peer::{Got, Peer};
use umbrella_engine::{ConsumerId, Report};

const SECOND: Duration = Duration::from_secs(1);

/// Waits until all are connected.
fn connect(net: &mut Network) {
    let all = |net: &Network| net.peers.iter().all(|peer| peer.connected);
    assert!(
        net.until(5 * SECOND, all),
        "somebody does not connect: {:?}",
        net.reports
    );
}

/// The track that a peer sends, once the worker knows it.
fn track(net: &mut Network, peer: usize, index: usize) -> Track {
    let of = |net: &Network| {
        net.tracks
            .iter()
            .filter(|t| t.peer == peer)
            .nth(index)
            .cloned()
    };
    assert!(net.until(5 * SECOND, |net| of(net).is_some()), "no track");
    of(net).unwrap()
}

fn started(net: &Network, consumer: ConsumerId) -> bool {
    let is = |r: &Report| matches!(r, Report::ConsumerStarted { consumer: c } if *c == consumer);
    net.reports.iter().any(is)
}

/// Checks what every receiver relies on: no hole in the numbers, no time running backwards.
fn assert_seamless(got: &[Got]) {
    for pair in got.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq + 1, "a hole, or out of order");
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!(step < 1 << 31, "timestamps run backwards");
    }
}

/// What arrived since a moment.
fn since(peer: &Peer, at: std::time::Instant) -> Vec<Got> {
    peer.got
        .iter()
        .filter(|got| got.at >= at)
        .cloned()
        .collect()
}
