//! str0m does not check SRTCP for replays; the connection does.

use std::time::Duration;

use crate::pair::{Pair, Setup};

#[test]
fn feedback_counts_once() {
    let mut pair = Pair::connect(Setup {
        loss: 0.05,
        ..Setup::default()
    });
    pair.run(Duration::from_secs(2));
    let feedback = pair.wire.last_rtcp.clone().unwrap();
    pair.wire.loss = 0.0;
    pair.run(Duration::from_millis(100)); // now it has arrived, or later ones have
    pair.inject(&feedback);
    let before = pair.server.counters();
    for _ in 0..3 {
        pair.inject(&feedback);
    }
    let after = pair.server.counters();
    assert_eq!(after.rtcp_in, before.rtcp_in);
    assert_eq!(after.rtcp_in_refused, before.rtcp_in_refused + 3);
}

#[test]
fn forged_feedback_is_refused() {
    let mut pair = Pair::connect(Setup::default());
    pair.run(Duration::from_secs(1));
    let before = pair.server.counters();
    let mut forged = pair.wire.last_rtcp.clone().unwrap();
    for at in 0..forged.len() {
        forged[at] ^= 0x04;
        pair.inject(&forged);
        forged[at] ^= 0x04;
    }
    pair.inject(&[0x80, 201]);
    pair.inject(&[]);
    assert_eq!(pair.server.counters().rtcp_in, before.rtcp_in);
}
