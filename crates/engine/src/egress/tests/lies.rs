//! Transport-wide feedback that is not true: it costs nobody but the liar anything.

use super::*;
use crate::congestion::{LEAST, MOST};

const MS: Duration = Duration::from_millis(1);

/// What would be sent if the path carried everything, in bits per second.
const DEMAND: u64 = 2_000_000;

/// Tells lies of what was sent: the number after the last packet, and a source of chance.
type Lie = fn(u16, u64) -> Vec<u8>;

/// Arrivals of packets that were never sent, before and after those that were.
fn never_sent(next: u16, random: u64) -> Vec<u8> {
    let deltas: Vec<Option<i16>> = (0..500).map(|_| Some(1)).collect();
    let base = match random % 3 {
        0 => next,
        1 => next.wrapping_sub(250),
        _ => random as u16,
    };
    write_report(base, random as u8, &deltas)
}

/// Each packet came before the one that was sent before it, eight seconds earlier.
fn backwards(next: u16, random: u64) -> Vec<u8> {
    let deltas: Vec<Option<i16>> = (0..12).map(|_| Some(i16::MIN)).collect();
    write_report(next.wrapping_sub(12), random as u8, &deltas)
}

/// Everything came at once: a path without end.
fn at_once(next: u16, random: u64) -> Vec<u8> {
    let deltas: Vec<Option<i16>> = (0..40).map(|_| Some(0)).collect();
    write_report(next.wrapping_sub(40), random as u8, &deltas)
}

/// Nothing ever came.
fn nothing(next: u16, random: u64) -> Vec<u8> {
    let deltas: Vec<Option<i16>> = (0..40).map(|_| None).collect();
    write_report(next.wrapping_sub(40), random as u8, &deltas)
}

/// Anything, also about the same packets again.
fn anything(next: u16, random: u64) -> Vec<u8> {
    let mut random = random;
    let deltas: Vec<Option<i16>> = (0..60)
        .map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005) + 1;
            (!random.is_multiple_of(4)).then_some((random >> 48) as i16)
        })
        .collect();
    write_report(
        next.wrapping_sub((random >> 57) as u16),
        random as u8,
        &deltas,
    )
}

/// What left in twenty seconds: bytes of media, and of everything else.
fn told(lie: Lie) -> (usize, usize) {
    let mut rig = Rig::new();
    let video = rig.open_video();
    rig.egress.set_demand(rig.now, DEMAND);
    let (mut random, mut seq) = (7u64, video.next_seq);
    let (mut media, mut others, mut next) = (0, 0, 0u16);
    for ms in 0..20_000u32 {
        if ms % 8 == 0 {
            rig.write(video.stream, seq, 1000);
            seq += 1;
        }
        for datagram in rig.flush() {
            let Datagram::Rtp(rtp) = datagram else {
                continue;
            };
            let number = rtp.extensions.iter().find(|(id, _)| *id == 3).unwrap();
            next = u16::from_be_bytes([number.1[0], number.1[1]]).wrapping_add(1);
            let bytes = if rtp.ssrc == VIDEO {
                &mut media
            } else {
                &mut others
            };
            *bytes += rtp.payload.len();
        }
        if ms % 50 == 49 {
            random = random.wrapping_mul(6_364_136_223_846_793_005) + 1;
            rig.feed(&lie(next, random >> 8));
            let estimate = rig.egress.bandwidth().estimate();
            assert!((LEAST..=MOST).contains(&estimate), "{estimate}");
        }
        // It does not ask to be called at once for ever, either.
        let due = rig.egress.next_timeout();
        assert!(due.is_none_or(|at| at + 100 * MS > rig.now));
        rig.pass(MS);
    }
    let statistics = rig.egress.feedback().statistics();
    assert!(statistics.received <= statistics.sent, "{statistics:?}");
    (media, others)
}

#[test]
fn a_liar_is_sent_more_than_there_is_or_nothing_any_more() {
    for (name, lie) in [
        ("never sent", never_sent as Lie),
        ("backwards", backwards),
        ("at once", at_once),
        ("nothing", nothing),
        ("anything", anything),
    ] {
        let (media, others) = told(lie);
        println!("{name}: {media} bytes of media, {others} of probes");
        // A megabit per second for twenty seconds, all of which leaves.
        assert!(media >= 2_480_000, "{name}: {media}");
        // What nobody has asked for stays below what the path is said to lack.
        let most = (DEMAND / 8 * 20) as usize;
        assert!(media + others < most, "{name}: {others} bytes of padding");
    }
}
