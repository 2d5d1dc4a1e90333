use super::*;

#[test]
fn a_reopened_ssrc_never_repeats_a_sequence_number() {
    let mut rig = Rig::new();
    let first = rig.open_video();
    assert_eq!(
        rig.egress.open_stream(rig.now, &video_config()),
        Err(in_use(VIDEO))
    );
    let mut indexes = HashSet::new();
    let mut stream = first;
    for _ in 0..3 {
        for i in 0..5 {
            let seq = stream.next_seq + i;
            rig.write(stream.stream, seq, 50);
            let packet = packet(seq, 50, rig.now);
            rig.egress
                .resend(rig.now, stream.stream, &packet, outgoing(seq), VP8);
            rig.pass(Duration::from_millis(50));
            for rtp in rig.media() {
                assert!(indexes.insert((rtp.ssrc, rtp.seq)), "{} twice", rtp.seq);
            }
        }
        rig.write(stream.stream, stream.next_seq + 5, 50); // never leaves
        rig.egress.close_stream(stream.stream);
        assert!(rig.next_send().is_none());
        rig.write(stream.stream, stream.next_seq + 6, 50); // the name is no longer good
        let next = rig.open_video();
        assert_ne!(next.stream, stream.stream);
        assert_eq!(next.next_seq, stream.next_seq + 6);
        stream = next;
    }
    assert_eq!(indexes.len(), 30);
    // An old packet number is refused even if somebody insists.
    rig.write(stream.stream, first.next_seq, 50);
    assert_eq!(rig.media(), []);
    assert_eq!(
        rig.egress
            .statistics(rig.now, stream.stream)
            .unwrap()
            .dropped,
        1
    );
}

fn in_use(ssrc: u32) -> StreamError {
    StreamError::SsrcInUse { ssrc }
}

#[test]
fn one_ssrc_serves_one_stream() {
    let mut rig = Rig::new();
    rig.open_video();
    let taken = StreamConfig {
        ssrc: VIDEO_RTX,
        resends: Resends::Never,
        ..video_config()
    };
    assert_eq!(
        rig.egress.open_stream(rig.now, &taken),
        Err(in_use(VIDEO_RTX))
    );
    let taken = StreamConfig {
        ssrc: 5,
        ..video_config()
    };
    assert_eq!(
        rig.egress.open_stream(rig.now, &taken),
        Err(in_use(VIDEO_RTX))
    );
    let same = StreamConfig {
        ssrc: 5,
        resends: Resends::Rtx { ssrc: 5 },
        ..video_config()
    };
    assert_eq!(rig.egress.open_stream(rig.now, &same), Err(in_use(5)));
}

#[test]
fn coming_and_going_keeps_numbers_for_ever() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        let video = rig.open_video();
        rig.egress.close_stream(video.stream);
        assert_eq!(rig.egress.streams.parked(), 2);
        rig.egress.forget(VIDEO, Some(VIDEO_RTX));
        assert_eq!(rig.egress.streams.parked(), 0);
    }
}

#[test]
fn a_reopened_ssrc_goes_on_in_time() {
    let mut rig = Rig::new();
    let audio = rig.open_audio();
    rig.write(audio.stream, audio.next_seq, 50);
    rig.raw();
    rig.egress.close_stream(audio.stream);
    rig.pass(Duration::from_secs(2));
    let again = rig.open_audio();
    assert_eq!(
        again.next_timestamp,
        outgoing(audio.next_seq).timestamp + 96_001
    );
}

#[test]
fn late_packets_are_sent_and_repeated_ones_are_not() {
    let mut rig = Rig::new();
    let audio = rig.open_audio();
    let base = audio.next_seq;
    for seq in [base + 2, base, base + 1, base + 2, base] {
        rig.write(audio.stream, seq, 50);
    }
    let seqs: Vec<u64> = rig.media().iter().map(|rtp| u64::from(rtp.seq)).collect();
    assert_eq!(seqs, [base + 2, base, base + 1]);
    assert_eq!(
        rig.egress
            .statistics(rig.now, audio.stream)
            .unwrap()
            .dropped,
        2
    );
}

#[test]
fn sequence_numbers_roll_over() {
    let mut rig = Rig::new();
    let audio = rig.open_audio();
    rig.write(audio.stream, 65_533, 50);
    rig.raw();
    rig.nack(AUDIO, [65_533]); // packets are kept from now on
    for seq in [65_534, 65_535, 65_536, 65_537] {
        rig.write(audio.stream, seq, 50);
    }
    let raw = rig.raw();
    let read: Vec<u16> = raw[..4]
        .iter()
        .zip([0, 0, 1, 1])
        .map(|(datagram, roc)| rig.reader.rtp(datagram, roc).seq)
        .collect();
    assert_eq!(read, [65_534, 65_535, 0, 1]);
    rig.nack(AUDIO, [65_535, 1]);
    assert_eq!(rig.raw(), [raw[1].clone(), raw[3].clone()]);
    let refused = rig
        .egress
        .statistics(rig.now, audio.stream)
        .unwrap()
        .dropped;
    rig.write(audio.stream, u64::MAX, 50);
    assert_eq!(rig.media(), []);
    assert_eq!(
        rig.egress
            .statistics(rig.now, audio.stream)
            .unwrap()
            .dropped,
        refused + 1
    );
}

#[test]
fn new_keys_start_a_new_index() {
    let mut rig = Rig::new();
    let audio = rig.open_audio();
    rig.write(audio.stream, audio.next_seq, 50);
    assert_eq!(rig.media().len(), 1);
    rig.sealer = sealer();
    rig.reader = Reader::new();
    rig.write(audio.stream, audio.next_seq + 1, 50);
    assert_eq!(rig.media().len(), 1);
}
