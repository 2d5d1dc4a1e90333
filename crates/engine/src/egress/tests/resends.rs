use umbrella_media::codec::Parser;
use umbrella_media::{Rewriter, Verdict};

use super::*;

#[test]
fn a_missing_packet_is_sent_again_on_the_rtx_stream() {
    let mut rig = Rig::new();
    let video = rig.open_video();
    let seq = video.next_seq;
    rig.write(video.stream, seq, 50);
    let original = rig.media().remove(0);
    let resend = FeedbackEvent::Resend {
        stream: video.stream,
        seq,
    };
    assert_eq!(rig.nack(VIDEO, [seq as u16]), [resend]);
    let mut rtx_seqs = HashSet::new();
    for _ in 0..3 {
        let again = packet(seq, 50, rig.now);
        rig.egress
            .resend(rig.now, video.stream, &again, outgoing(seq), VP8);
        rig.pass(Duration::from_millis(10));
        let rtx = rig.media().remove(0);
        assert_eq!((rtx.ssrc, rtx.payload_type), (VIDEO_RTX, 97));
        assert_eq!(
            (rtx.timestamp, rtx.marker),
            (original.timestamp, original.marker)
        );
        assert_eq!(rtx.payload[..2], original.seq.to_be_bytes());
        assert_eq!(rtx.payload[2..], original.payload);
        assert!(rtx_seqs.insert(rtx.seq));
    }
    assert_eq!(
        rig.egress.statistics(rig.now, video.stream).unwrap().resent,
        3
    );
}

#[test]
fn a_packet_is_sent_again_once_per_round_trip() {
    let mut rig = Rig::new();
    let video = rig.open_video();
    let seq = video.next_seq;
    rig.write(video.stream, seq, 50);
    rig.media();
    assert_eq!(rig.nack(VIDEO, [seq as u16, seq as u16]).len(), 1);
    rig.pass(Duration::from_millis(5));
    assert_eq!(rig.nack(VIDEO, [seq as u16]).len(), 0);
    rig.pass(Duration::from_millis(45));
    assert_eq!(rig.nack(VIDEO, [seq as u16]).len(), 1);
    assert_eq!(
        rig.egress.counters(),
        EgressCounters {
            nacked: 4,
            nacks_ignored: 2,
            ..EgressCounters::default()
        }
    );
}

impl Rig {
    /// Sends again what was granted, in packets of that size.
    fn resend(&mut self, granted: Vec<FeedbackEvent>, size: usize) {
        for event in granted {
            let FeedbackEvent::Resend { stream, seq } = event else {
                panic!("{event:?}")
            };
            let again = packet(seq, size, self.now);
            self.egress
                .resend(self.now, stream, &again, outgoing(seq), VP8);
        }
    }

    /// The peer misses packets; how many are sent again at once.
    fn answer(&mut self, missing: &[u64]) -> usize {
        let granted = self.nack(VIDEO, missing.iter().map(|seq| *seq as u16));
        self.resend(granted, 1200);
        self.media()
            .iter()
            .filter(|rtp| rtp.ssrc == VIDEO_RTX)
            .count()
    }
}

#[test]
fn a_nack_storm_costs_little() {
    let mut rig = Rig::new();
    let video = rig.open_video();
    for i in 0..3000 {
        rig.write(video.stream, video.next_seq + i, 1000);
    }
    while rig.next_send().is_some() {
        rig.pass(Duration::from_millis(5));
        rig.raw();
    }
    let (mut events, mut resent) = (0, 0);
    for round in 0..200u64 {
        let seqs = (0..4000).map(|i| (video.next_seq + i % 3000) as u16);
        let wanted = rig.nack(VIDEO, seqs);
        assert!(wanted.len() <= MAX_NACKS as usize);
        events += wanted.len();
        rig.resend(wanted, 1000);
        resent += rig.raw().iter().map(Vec::len).sum::<usize>();
        rig.pass(Duration::from_millis(5 + round % 3));
    }
    // Half of three megabytes, never more than half a megabyte at once.
    assert!(resent <= 700_000, "{resent} bytes sent again");
    assert!(events <= 3000, "{events} look-ups");
}

/// What is lost of a large picture is asked for when its path has got slow, all at once; then a small
/// one begins.
#[test]
fn resends_of_a_large_picture_are_paid_for_by_the_small_one() {
    let ms = Duration::from_millis;
    let mut rig = Rig::new();
    let video = rig.open_video();
    rig.feed(&remb(400_000));
    let mut seq = video.next_seq;
    for _ in 0..200 {
        rig.write(video.stream, seq, 1200);
        rig.raw();
        rig.pass(ms(10));
        seq += 1;
    }
    let lost: Vec<u64> = (seq - 100..seq).collect();
    let mut resent = rig.answer(&lost);
    for _ in 0..10 {
        rig.pass(ms(10));
        resent += rig.raw().len();
    }
    assert!((10..40).contains(&resent), "{resent} packets sent again");

    rig.egress.forget_before(video.stream, seq);
    for _ in 0..10 {
        rig.write(video.stream, seq, 1200);
        rig.raw();
        seq += 1;
    }
    rig.pass(ms(100));
    assert_eq!(rig.answer(&[seq - 5]), 1, "the small picture stands still");
}

#[test]
fn rubbish_nacks_are_ignored() {
    let mut rig = Rig::new();
    let video = rig.open_video();
    assert_eq!(
        rig.nack(VIDEO, [0, 1, 2, video.next_seq as u16]),
        [],
        "nothing was sent yet"
    );
    rig.write(video.stream, video.next_seq, 50);
    rig.media();
    let unknown = [video.next_seq as u16 + 1, video.next_seq as u16 - 1];
    assert_eq!(rig.nack(VIDEO, unknown), []);
    assert_eq!(rig.nack(VIDEO_RTX, [1]), [], "resends are not resent");
    assert_eq!(rig.nack(99, [1]), []);
    assert_eq!(rig.nack(VIDEO, [video.next_seq as u16]).len(), 1);
}

#[test]
fn without_rtx_a_resend_is_the_very_same_bytes() {
    let mut rig = Rig::new();
    let audio = rig.open_audio();
    let wire = |i: u64| (audio.next_seq + i) as u16;
    let mut sent = vec![];
    for i in 0..100 {
        rig.write(audio.stream, audio.next_seq + i, 80);
        sent.push(rig.raw().remove(0));
        rig.pass(Duration::from_millis(20));
        if i == 20 {
            assert_eq!(rig.nack(AUDIO, [wire(20)]), []);
            let again = rig.raw();
            assert_eq!(again, Vec::<Vec<u8>>::new(), "nobody had asked before");
        }
    }
    let numbers = rig.egress.feedback().statistics().sent;
    assert_eq!(rig.nack(AUDIO, [wire(90), wire(10), wire(99)]), []);
    let again = rig.raw();
    assert_eq!(
        again,
        [sent[90].clone(), sent[99].clone()],
        "10 is no longer there"
    );
    assert_eq!(
        rig.egress.feedback().statistics().sent,
        numbers,
        "no new number"
    );
}

#[test]
fn a_stream_that_resends_nothing_resends_nothing() {
    let mut rig = Rig::new();
    let opened = rig.open(AUDIO, Kind::Audio, Resends::Never);
    rig.write(opened.stream, opened.next_seq, 80);
    rig.raw();
    assert_eq!(rig.nack(AUDIO, [opened.next_seq as u16]), []);
    let packet = packet(opened.next_seq, 80, rig.now);
    rig.egress.resend(
        rig.now,
        opened.stream,
        &packet,
        outgoing(opened.next_seq),
        VP8,
    );
    assert_eq!(rig.raw(), Vec::<Vec<u8>>::new());
}

/// A VP8 packet with a 15-bit picture id (RFC 7741 section 4.2) that is a whole picture.
fn picture(seq: u64, id: u8, now: Instant) -> Arc<Packet> {
    let payload = [0x90, 0x80, 0x80, id, 1, 2, 3, 4];
    let mut packet = (*packet(seq, 1, now)).clone();
    packet.descriptor = Parser::new(Codec::Vp8).parse(&payload, true, None);
    packet.payload = Arc::from(payload);
    Arc::new(packet)
}

#[test]
fn a_rewritten_picture_id_is_sent_and_sent_again_but_never_shared() {
    let mut rig = Rig::new();
    let video = rig.open_video();
    let mut rewriter = Rewriter::new(video.next_seq, video.next_timestamp);
    let marker = true;
    let verdicts = [
        Verdict::Start { marker },
        Verdict::Drop,
        Verdict::Forward { marker },
    ];
    let mut last = None;
    for (i, verdict) in verdicts.into_iter().enumerate() {
        let packet = picture(i as u64, 10 + i as u8, rig.now);
        if let Some(outgoing) = rewriter.rewrite(&packet, verdict, &[None; 3]) {
            rig.egress
                .write(rig.now, video.stream, &packet, outgoing, VP8);
            last = Some((packet, outgoing));
        }
    }
    let (packet, outgoing) = last.unwrap();
    let sent = rig.media();
    assert_eq!(sent[0].payload, [0x90, 0x80, 0x80, 10, 1, 2, 3, 4]);
    // The picture between was dropped, so that this one follows.
    assert_eq!(sent[1].payload, [0x90, 0x80, 0x80, 11, 1, 2, 3, 4]);
    assert_eq!(packet.payload[3], 12);
    rig.egress
        .resend(rig.now, video.stream, &packet, outgoing, VP8);
    assert_eq!(rig.media()[0].payload[2..], sent[1].payload);
}
