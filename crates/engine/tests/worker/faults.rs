//! Peers and machines that misbehave: what they do costs little, and nobody else notices.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use umbrella_engine::{ConsumerId, Report, Request, Statistics};
use umbrella_media::{Codec, Delivery};

use super::network::{Network, is_media};
use super::peer::{Got, Numbers, Publish};
use super::{SECOND, assert_seamless, connect, since, started, track};

/// What somebody sends, and who gets it.
struct Call {
    net: Network,
    sender: usize,
    receiver: usize,
}

fn call(seed: u64, publish: Publish) -> Call {
    let mut net = Network::new(seed);
    let sender = net.join(&[publish], 0, 0);
    let receiver = net.join(&[], 2, 2);
    connect(&mut net);
    let mut call = Call {
        net,
        sender,
        receiver,
    };
    let consumer = call.watch(sender, receiver);
    assert!(call.net.until(3 * SECOND, |net| started(net, consumer)));
    call
}

impl Call {
    fn watch(&mut self, sender: usize, receiver: usize) -> ConsumerId {
        let track = track(&mut self.net, sender, 0);
        self.net.consume(receiver, &track, Delivery::FULL)
    }

    fn got(&self) -> &[Got] {
        &self.net.peers[self.receiver].got
    }

    fn since(&self, at: Instant) -> Vec<Got> {
        since(&self.net.peers[self.receiver], at)
    }

    fn figures(&mut self) -> Statistics {
        self.net.request(Request::Statistics);
        self.net.run(SECOND / 10);
        let figures = self
            .net
            .reports
            .iter()
            .rev()
            .find_map(|report| match report {
                Report::Statistics(figures) => Some(figures.clone()),
                _ => None,
            });
        *figures.unwrap()
    }

    /// Lets the sender begin anew, under another SSRC or the same one.
    fn restart(&mut self, ssrc: Option<u32>, numbers: Numbers) {
        let sender = &mut self.net.peers[self.sender];
        if let Some(ssrc) = ssrc {
            sender.change_ssrc(0, 0, ssrc);
        }
        sender.sending[0].restart(0, numbers);
    }
}

/// No picture stands still for long, and nothing comes twice.
fn longest_gap(got: &[Got]) -> Duration {
    let gaps = got.windows(2).map(|pair| pair[1].at - pair[0].at);
    gaps.max().unwrap_or_default()
}

/// How many numbers are missing, of packets that are in order and whose time goes on.
fn holes(got: &[Got]) -> usize {
    let holes = got.windows(2).map(|pair| {
        assert!(pair[1].seq > pair[0].seq, "out of order");
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!(step < 90_000, "time jumps by {step}");
        (pair[1].seq - pair[0].seq - 1) as usize
    });
    holes.sum()
}

#[test]
fn forged_media_is_heard_or_ends_the_call() {
    let mut call = call(50, Publish::Audio);
    call.net.tapped = Some(call.sender);
    call.net.run(SECOND);
    let tape = std::mem::take(&mut call.net.tape);
    let genuine: Vec<_> = tape.into_iter().filter(|data| is_media(data)).collect();
    assert!(genuine.len() > 40);
    let from = call.net.peers[call.sender].address;
    let begun = call.net.now;
    let mut forged = genuine.last().unwrap().clone();
    // Every bit of it: also such that the number lies far ahead, or belongs to another stream.
    for bit in 0..forged.len() * 8 {
        forged[bit / 8] ^= 1 << (bit % 8);
        call.net.throw(from, &forged);
        forged[bit / 8] ^= 1 << (bit % 8);
        if bit % 64 == 0 {
            call.net.run(SECOND / 50);
        }
    }
    call.net.run(2 * SECOND);
    let got = call.since(begun);
    assert!(got.len() > 90, "the call has ended: {}", got.len());
    assert_seamless(call.got());
    // Each was sent once: 20 ms apart, none from the forger.
    let frames: Vec<u32> = got.iter().map(|packet| packet.stamp().1).collect();
    assert!(frames.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn replayed_media_is_heard_twice() {
    let mut call = call(51, Publish::Audio);
    let from = call.net.peers[call.sender].address;
    let listener = call.net.peers[call.receiver].address;
    call.net.tapped = Some(call.sender);
    for _ in 0..20 {
        call.net.run(SECOND / 10);
        let tape = std::mem::take(&mut call.net.tape);
        for data in tape.iter().chain(&tape).filter(|data| is_media(data)) {
            // Also as if somebody else had sent it, whose keys are others.
            call.net.throw(from, data);
            call.net.throw(listener, data);
        }
    }
    call.net.run(SECOND);
    let got = call.got();
    assert!(got.len() > 140);
    assert_seamless(got);
    let frames: HashSet<u32> = got.iter().map(|packet| packet.stamp().1).collect();
    assert_eq!(frames.len(), got.len(), "something came twice");
    let figures = call.figures();
    assert_eq!(figures.producers[0].encodings[0].lost, 0);
}

#[test]
fn a_receiver_without_feedback_holds_up_the_others() {
    let mut call = call(52, Publish::Video);
    let silent = call.net.join(&[], 0, 1);
    connect(&mut call.net);
    call.watch(call.sender, silent);
    call.net.run(2 * SECOND);
    call.net.mute = Some(silent);
    let begun = call.net.now;
    call.net.run(60 * SECOND);
    assert_seamless(call.got());
    assert!(longest_gap(&call.since(begun)) < SECOND / 10);
    // Nor does the call of the silent one end: it may have a strange firewall.
    let late = since(&call.net.peers[silent], call.net.now - 5 * SECOND);
    assert!(!late.is_empty(), "nothing comes any more");
    assert!(!call.net.peers[silent].closed);
}

#[test]
fn numbers_come_to_their_end_and_the_call_with_them() {
    let mut call = call(53, Publish::Audio);
    // Two seconds before the end of both, and at a pace at which both come to it often.
    let timestamp = u32::MAX - 96_000;
    call.restart(
        Some(4711),
        Numbers {
            seq: 65_436,
            timestamp,
            frame: 0,
        },
    );
    call.net.run(5 * SECOND);
    let begun = call.net.now;
    call.net.peers[call.sender].sending[0].hurry(SECOND / 500);
    call.net.run(300 * SECOND);
    let got = call.since(begun);
    assert!(got.len() > 2 * 65_536, "{}", got.len());
    assert_seamless(call.got());
    let first = got[0].stamp().1;
    for (packet, frame) in got.iter().zip(first..) {
        assert_eq!(packet.stamp().1, frame);
    }
    let figures = call.figures();
    assert_eq!(figures.producers[0].encodings[0].lost, 0);
}

#[test]
fn timestamps_come_to_their_end_and_the_picture_with_them() {
    let mut call = call(54, Publish::Video);
    for round in 1..4u32 {
        // A camera that counts from anywhere, a second before the end.
        call.restart(
            Some(5000 + round),
            Numbers {
                seq: 65_500,
                timestamp: u32::MAX - 90_000,
                frame: 1000 * round,
            },
        );
        let begun = call.net.now;
        call.net.run(4 * SECOND);
        let got = call.since(begun);
        assert!(got.len() > 200, "round {round}: {}", got.len());
        assert!(longest_gap(&got) < SECOND / 2);
        assert_seamless(call.got());
    }
    let got = call.got();
    let span = got.last().unwrap().timestamp.wrapping_sub(got[0].timestamp);
    let time = (got.last().unwrap().at - got[0].at).as_secs_f64() * 90_000.0;
    // Seen from the receiver it is one clock that goes on.
    assert!((f64::from(span) - time).abs() < 90_000.0, "{span} {time}");
}

#[test]
fn an_encoder_that_restarts_freezes_the_picture() {
    for (jump, change_codec, change_ssrc) in [
        (20_000, false, true),
        (0, true, true),
        // Further ahead no SRTP receiver could follow (RFC 3711, section 3.3.1).
        (20_000, true, false),
        (20_000, false, false),
    ] {
        let mut call = call(55, Publish::Video);
        call.net.run(2 * SECOND);
        let ssrc = call.net.peers[call.sender].ssrc(0, 0);
        if change_codec {
            call.net.peers[call.sender].sending[0].change_codec();
        }
        let numbers = Numbers {
            seq: if change_ssrc { jump } else { 65_300 + jump },
            timestamp: 0x8000_0000 + jump as u32,
            frame: 0,
        };
        call.restart(change_ssrc.then_some(ssrc ^ 0x55), numbers);
        let begun = call.net.now;
        call.net.run(4 * SECOND);
        let case = format!("new codec {change_codec}, new SSRC {change_ssrc}");
        let got = call.since(begun);
        assert!(got.len() > 200, "{case}: {}", got.len());
        assert!(longest_gap(&got) < SECOND / 2, "{case}");
        // If nothing else tells that it has restarted, thousands of packets are missing, of which
        // the receiver is told one.
        let unseen = !change_ssrc && !change_codec;
        assert_eq!(holes(call.got()), usize::from(unseen), "{case}");
        let codec = if change_codec {
            Codec::H264
        } else {
            Codec::Vp8
        };
        let figures = call.figures();
        assert_eq!(figures.producers[0].codec, Some(codec), "{case}");
    }
}

#[test]
fn two_publishers_with_one_ssrc_are_mixed_up() {
    let mut call = call(56, Publish::Audio);
    let other = call.net.join(&[Publish::Audio], 0, 0);
    connect(&mut call.net);
    let ssrc = call.net.peers[call.sender].ssrc(0, 0);
    call.net.peers[other].change_ssrc(0, 0, ssrc);
    let numbers = Numbers {
        seq: 65_000,
        timestamp: 0,
        frame: 1_000_000,
    };
    call.net.peers[other].sending[0].restart(0, numbers);
    call.watch(other, call.receiver);
    call.net.run(SECOND);
    let begun = call.net.now;
    call.net.run(3 * SECOND);
    let (theirs, ours): (Vec<Got>, Vec<Got>) = call
        .since(begun)
        .into_iter()
        .partition(|packet| packet.stamp().1 >= 1_000_000);
    for got in [&theirs, &ours] {
        assert!(got.len() > 140, "{}", got.len());
        assert_seamless(got);
        assert!(got.iter().all(|packet| packet.ssrc == got[0].ssrc));
    }
    assert_ne!(theirs[0].ssrc, ours[0].ssrc);
}

#[test]
fn a_publisher_that_takes_an_ssrc_of_ours_disturbs_others() {
    let mut net = Network::new(57);
    let sender = net.join(&[Publish::Audio], 1, 0);
    let thief = net.join(&[Publish::Audio], 1, 0);
    let listener = net.join(&[], 2, 0);
    connect(&mut net);
    let tracks = [track(&mut net, sender, 0), track(&mut net, thief, 0)];
    net.consume(thief, &tracks[0], Delivery::FULL);
    net.consume(listener, &tracks[0], Delivery::FULL);
    net.consume(listener, &tracks[1], Delivery::FULL);
    net.run(2 * SECOND);
    // That under which we send to it.
    let ssrc = net.peers[thief].got[0].ssrc;
    net.peers[thief].change_ssrc(0, 0, ssrc);
    let begun = net.now;
    net.run(5 * SECOND);
    let got = since(&net.peers[listener], begun);
    let first = net.peers[listener].got[0].ssrc;
    let (one, two): (Vec<Got>, Vec<Got>) = got.into_iter().partition(|it| it.ssrc == first);
    assert!(
        one.len() > 240 || two.len() > 240,
        "{} {}",
        one.len(),
        two.len()
    );
    // Whichever is the honest one: what arrives has no holes.
    assert_seamless(&one);
    assert_seamless(&two);
    assert!(since(&net.peers[sender], begun).is_empty());
}

#[test]
fn two_encodings_with_one_ssrc_break_the_worker() {
    let mut call = call(58, Publish::Simulcast);
    let other = call.net.join(&[Publish::Audio], 0, 0);
    connect(&mut call.net);
    call.watch(other, call.receiver);
    call.net.run(2 * SECOND);
    let ssrc = call.net.peers[call.sender].ssrc(0, 0);
    call.net.peers[call.sender].change_ssrc(0, 2, ssrc);
    let begun = call.net.now;
    call.net.run(5 * SECOND);
    let got = call.since(begun);
    let (audio, video): (Vec<Got>, Vec<Got>) =
        got.into_iter().partition(|it| it.payload_type == 111);
    assert!(audio.len() > 240, "{}", audio.len());
    assert_seamless(&audio);
    // Whatever becomes of the picture, its numbers are in order.
    let mut seqs: Vec<u64> = video.iter().map(|packet| packet.seq).collect();
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), video.len(), "a number was used twice");
}

#[test]
fn a_machine_that_slept_wakes_up_in_a_flood() {
    let mut call = call(59, Publish::Video);
    call.net.run(2 * SECOND);
    call.net.sleep(600 * SECOND);
    let woken = call.net.now;
    call.net.run(60 * SECOND);
    // Nothing is made up for: not more than a picture's worth at a time.
    let got = call.since(woken);
    let mut most = 0;
    for packet in &got {
        let end = packet.at + SECOND / 10;
        most = most.max(
            got.iter()
                .filter(|it| (packet.at..end).contains(&it.at))
                .count(),
        );
    }
    assert!(most < 40, "{most} packets in a tenth of a second");
    // Whoever was there goes on or knows that it is over; whoever comes now is served.
    let gone = |net: &Network| {
        let is = |r: &Report| matches!(r, Report::Closed { .. });
        net.reports.iter().any(is)
    };
    assert!(gone(&call.net) || got.len() > 1000, "{}", got.len());
    let sender = call.net.join(&[Publish::Audio], 0, 0);
    let receiver = call.net.join(&[], 1, 0);
    let up = |net: &Network| net.peers[sender].connected && net.peers[receiver].connected;
    assert!(call.net.until(5 * SECOND, up));
    call.watch(sender, receiver);
    call.net.run(3 * SECOND);
    assert!(call.net.peers[receiver].got.len() > 100);
    assert_seamless(&call.net.peers[receiver].got);
}
