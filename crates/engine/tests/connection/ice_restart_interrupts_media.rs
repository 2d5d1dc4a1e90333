//! An ICE restart keeps the keys, so nothing about media may change.

use std::time::Duration;

use crate::pair::{Pair, Setup, server_path};

#[test]
fn media_flows_on_under_the_same_keys() {
    let mut pair = Pair::connect(Setup {
        video: 3,
        publish: true,
        ..Setup::default()
    });
    pair.run(Duration::from_secs(1));
    let epoch = pair.server.epoch();
    assert!(epoch.is_some());
    assert_eq!(pair.server.path(), Some(server_path()));
    pair.restart_ice();
    let before = pair.client.received.len();
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.server.epoch(), epoch);
    // Three video tracks with 120 packets a second, one audio track with 50.
    let after = pair.client.received.len() - before;
    assert!(after > 780, "{after} packets in two seconds");
    assert_eq!((pair.client.damaged, pair.wire.reused), (0, 0));
}
