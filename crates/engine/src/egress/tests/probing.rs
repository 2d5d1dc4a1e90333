//! Probes, and what feedback on them brings about.

use super::*;

const MS: Duration = Duration::from_millis(1);

impl Rig {
    /// What leaves within a time, a millisecond at a time, and when.
    fn watch(&mut self, time: Duration) -> Vec<(Instant, Rtp)> {
        let end = self.now + time;
        let mut seen = vec![];
        while self.now < end {
            let now = self.now;
            seen.extend(self.media().into_iter().map(|rtp| (now, rtp)));
            self.pass(MS);
        }
        seen
    }

    /// Tells that packets have arrived as they left, a while later.
    fn acknowledge(&mut self, seen: &[(Instant, Rtp)]) {
        let Some((mut last, first)) = seen.first().map(|(at, rtp)| (*at, number(rtp))) else {
            return;
        };
        let deltas: Vec<Option<i16>> = seen
            .iter()
            .map(|(at, _)| {
                let delta = (*at - last).as_micros() / 250;
                last = *at;
                Some(delta as i16)
            })
            .collect();
        self.feed(&write_report(first, 1, &deltas));
    }
}

/// The transport-wide number.
fn number(rtp: &Rtp) -> u16 {
    let value = rtp.extensions.iter().find(|(id, _)| *id == 3).unwrap();
    u16::from_be_bytes([value.1[0], value.1[1]])
}

/// A rig that has sent a frame, so that it knows where padding may go.
fn started() -> (Rig, u64, StreamId) {
    let mut rig = Rig::new();
    let opened = rig.open_video();
    for seq in opened.next_seq..opened.next_seq + 10 {
        rig.write(opened.stream, seq, 1000);
    }
    let seen = rig.watch(100 * MS);
    assert_eq!(seen.len(), 10);
    (rig, opened.next_seq + 10, opened.stream)
}

#[test]
fn demand_beyond_the_estimate_is_not_probed_for() {
    let (mut rig, ..) = started();
    let before = rig.egress.bandwidth().estimate();
    rig.egress.set_demand(rig.now, before / 2);
    assert!(rig.watch(200 * MS).is_empty(), "nobody wants more");
    rig.egress.set_demand(rig.now, 5_000_000);
    assert!(rig.egress.next_timeout().is_some());
    let seen = rig.watch(100 * MS);
    assert!(seen.iter().all(|(_, rtp)| rtp.ssrc == VIDEO_RTX));
    assert!(seen.iter().all(|(_, rtp)| rtp.payload_type == 97));
    let numbers: Vec<u16> = seen.iter().map(|(_, rtp)| number(rtp)).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    // Two bursts, of three and six times the rate at the start.
    let bytes: usize = seen.iter().map(|(_, rtp)| rtp.payload.len()).sum();
    assert!((10_000..14_000).contains(&bytes), "{bytes}");
    // Nothing but padding: its last byte says so.
    assert!(seen.iter().all(|(_, rtp)| rtp.payload.last() == Some(&255)));
}

#[test]
fn padding_takes_numbers_of_the_media() {
    let (mut rig, next, stream) = started();
    rig.egress.set_demand(rig.now, 5_000_000);
    rig.watch(100 * MS);
    rig.write(stream, next, 500);
    let seen = rig.watch(50 * MS);
    let media: Vec<_> = seen.iter().filter(|(_, rtp)| rtp.ssrc == VIDEO).collect();
    assert_eq!(media.len(), 1);
    assert_eq!(u64::from(media[0].1.seq), next);
}

#[test]
fn media_waits_behind_padding() {
    let (mut rig, next, stream) = started();
    for seq in next..next + 20 {
        rig.write(stream, seq, 1000);
    }
    rig.egress.set_demand(rig.now, 5_000_000);
    let seen = rig.watch(100 * MS);
    let last_media = seen.iter().rposition(|(_, rtp)| rtp.ssrc == VIDEO).unwrap();
    let first_padding = seen.iter().position(|(_, rtp)| rtp.ssrc == VIDEO_RTX);
    assert!(first_padding.is_none_or(|first| first > last_media));
    let sent = seen.iter().filter(|(_, rtp)| rtp.ssrc == VIDEO).count();
    assert_eq!(sent, 20);
}

#[test]
fn proven_bandwidth_is_not_believed() {
    let (mut rig, ..) = started();
    rig.egress.set_demand(rig.now, 5_000_000);
    let before = rig.egress.bandwidth().estimate();
    for _ in 0..40 {
        let seen = rig.watch(50 * MS);
        rig.acknowledge(&seen);
    }
    let after = rig.egress.bandwidth().estimate();
    assert!(after > 4 * before, "{before} has become {after}");
}

#[test]
fn receiver_without_transport_wide_feedback_bounds_us_by_remb() {
    let mut rig = Rig::new();
    rig.open_video();
    rig.feed(&remb(3_000_000));
    assert_eq!(rig.egress.bandwidth().estimate(), 3_000_000);
    rig.feed(&remb(160_000));
    assert_eq!(rig.egress.bandwidth().estimate(), 160_000);
}

#[test]
fn probe_is_wanted_where_nothing_can_carry_it() {
    let mut rig = Rig::new();
    rig.open_audio();
    rig.egress.set_demand(rig.now, 5_000_000);
    assert!(rig.watch(500 * MS).is_empty());
    // It does not ask to be called at once for ever.
    let next = rig.egress.next_timeout();
    assert!(next.is_none_or(|at| at > rig.now));
}
