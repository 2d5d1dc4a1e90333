//! A consumer that takes over the section, and so the SSRC, of an earlier one must go on with
//! its sequence numbers: a repeated one would break the encryption, and the peer's receiver.

use std::time::Duration;

use crate::pair::{Pair, Setup};

#[test]
fn sequence_numbers_go_on() {
    let setup = Setup {
        video: 2,
        audio: 1,
        loss: 0.02,
        ..Setup::default()
    };
    let mut pair = Pair::connect(setup);
    for round in 0..10 {
        pair.run(Duration::from_millis(300));
        pair.reopen(round % 3);
    }
    pair.run(Duration::from_millis(300));
    assert_eq!((pair.client.damaged, pair.wire.reused), (0, 0));
    let sent: u64 = pair
        .tracks
        .iter()
        .map(|track| track.next - track.first)
        .sum();
    assert!(pair.client.received.len() as u64 > sent * 95 / 100);
}

#[test]
fn a_key_frame_request_finds_its_stream() {
    let mut pair = Pair::connect(Setup {
        video: 3,
        ..Setup::default()
    });
    pair.run(Duration::from_millis(500));
    pair.reopen(1);
    let (ssrc, stream) = (pair.tracks[1].ssrc, pair.tracks[1].stream);
    pair.run(Duration::from_millis(100));
    pair.client.request_key_frame(pair.now, ssrc);
    pair.run(Duration::from_millis(500));
    assert_eq!(pair.key_frames_wanted, [stream]);
}
