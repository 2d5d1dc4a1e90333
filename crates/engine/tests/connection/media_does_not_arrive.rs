//! A connection that sends twenty-five tracks and receives at the same time, under loss, with
//! each SRTP profile and in both DTLS roles.

use std::collections::HashSet;
use std::time::Duration;

use crate::pair::{Pair, Setup, VIDEO_BURST};
use str0m::crypto::dtls::SrtpProfile;
use umbrella_media::Kind;

fn run(profile: SrtpProfile, client_active: bool, seed: u64) {
    let setup = Setup {
        profile,
        client_active,
        seed,
        publish: true,
        video: 20,
        audio: 5,
        loss: 0.02,
    };
    let mut pair = Pair::connect(setup);
    assert_eq!(pair.server.profile(), Some(profile));
    pair.tracks[19].muted = true; // a silent stream
    pair.run(Duration::from_secs(3));
    // What is lost at the very end is not missed.
    pair.media = false;
    pair.run(Duration::from_secs(1));

    everything_arrives(&pair);
    reports_are_right(&pair);
    feedback_is_right(&pair);
    the_other_direction_works(&pair);
    assert_eq!(pair.wire.reused, 0, "an index was used twice");
    let counters = pair.server.counters();
    assert_eq!((counters.rtp_dropped, counters.out_refused), (0, 0));
    assert!(
        counters.reports_corrected > 0 && counters.reports_demoted > 0,
        "{counters:?}"
    );
}

fn everything_arrives(pair: &Pair) {
    let client = &pair.client;
    assert_eq!((client.damaged, client.wrong_headers), (0, 0));
    let mut lost = 0;
    for track in &pair.tracks {
        // A receiver takes no resend of what is older than the first packet that it saw, and
        // does not miss the last.
        let settled = track.first + VIDEO_BURST..track.next.saturating_sub(VIDEO_BURST);
        for seq in settled {
            let index = (track.ssrc, seq as u16);
            let direct = pair.wire.delivered.contains(&index);
            lost += usize::from(!direct);
            let resent = track.kind == Kind::Video;
            assert!(
                client.received.contains(&index) || !(direct || resent),
                "{index:?}"
            );
        }
        let statistics = pair.egress.statistics(pair.now, track.stream).unwrap();
        assert_eq!(statistics.packets, track.next - track.first);
        assert_eq!(statistics.dropped, 0);
    }
    assert!(lost > 50, "the network was too good: {lost} lost");
}

fn reports_are_right(pair: &Pair) {
    let talking: HashSet<u32> = pair
        .tracks
        .iter()
        .filter(|track| !track.muted)
        .map(|track| track.ssrc)
        .collect();
    assert_eq!(pair.client.sender_reports, talking);
    assert!(
        pair.client.worst_report < 0.005,
        "{} s",
        pair.client.worst_report
    );
    let round_trip = pair.egress.round_trip().expect("measured");
    assert!((38..60).contains(&round_trip.as_millis()), "{round_trip:?}");
}

fn feedback_is_right(pair: &Pair) {
    let feedback = pair.egress.feedback().statistics();
    // What a lost report said is not said again.
    let reports = feedback.reports + feedback.reports_missed;
    let told = feedback.sent * feedback.reports / reports;
    assert!(feedback.received > told * 9 / 10, "{feedback:?}");
    assert!(feedback.received <= feedback.sent, "{feedback:?}");
    assert!(feedback.reports > 20, "{feedback:?}");
}

fn the_other_direction_works(pair: &Pair) {
    assert_eq!(pair.damaged, 0);
    for up in pair.client.published() {
        let sent: Vec<_> = up.sent().collect();
        let settled = &sent[4..sent.len() - 4];
        let missing = settled
            .iter()
            .filter(|index| !pair.received.contains(index))
            .count();
        match up.kind() {
            Kind::Video => assert_eq!(missing, 0),
            Kind::Audio => assert!(missing < sent.len() / 10, "{missing} of {}", sent.len()),
        }
    }
}

#[test]
fn with_aes_cm_as_client() {
    run(SrtpProfile::AES128_CM_SHA1_80, false, 11);
}

#[test]
fn with_aes_cm_as_server() {
    run(SrtpProfile::AES128_CM_SHA1_80, true, 12);
}

#[test]
fn with_gcm_128_as_client() {
    run(SrtpProfile::AEAD_AES_128_GCM, false, 13);
}

#[test]
fn with_gcm_128_as_server() {
    run(SrtpProfile::AEAD_AES_128_GCM, true, 14);
}

#[test]
fn with_gcm_256_as_client() {
    run(SrtpProfile::AEAD_AES_256_GCM, false, 15);
}

#[test]
fn with_gcm_256_as_server() {
    run(SrtpProfile::AEAD_AES_256_GCM, true, 16);
}
