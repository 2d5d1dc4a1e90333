use super::*;

#[test]
fn audio_does_not_wait_behind_a_key_frame() {
    let mut rig = Rig::new();
    let (video, audio) = (rig.open_video(), rig.open_audio());
    for i in 0..100 {
        rig.write(video.stream, video.next_seq + i, 1200);
    }
    rig.write(audio.stream, audio.next_seq, 100);
    let first = rig.media();
    assert_eq!(first[0].ssrc, AUDIO);
    assert!(first.len() < 20, "{} packets at once", first.len());
}

#[test]
fn a_key_frame_is_spread_over_time_and_arrives_whole() {
    let mut rig = Rig::new();
    let video = rig.open_video();
    for i in 0..100 {
        rig.write(video.stream, video.next_seq + i, 1200);
    }
    let (start, mut seqs, mut bursts) = (rig.now, vec![], vec![]);
    while let Some(at) = rig.next_send() {
        assert!(seqs.is_empty() || at > rig.now, "no progress without time");
        rig.now = rig.now.max(at);
        let burst = rig.media();
        bursts.push(burst.len());
        seqs.extend(burst.into_iter().map(|rtp| u64::from(rtp.seq)));
    }
    let expected: Vec<u64> = (0..100).map(|i| (video.next_seq + i) & 0xffff).collect();
    assert_eq!(seqs, expected);
    // A usual frame's worth at once, then 110 kB at 10 Mbit/s and a little more.
    let took = rig.now - start;
    assert!((60..110).contains(&took.as_millis()), "{took:?}");
    assert!(bursts[0] <= 14, "{bursts:?}");
    assert!(bursts[1..].iter().all(|burst| *burst <= 8), "{bursts:?}");
}

#[test]
fn a_fixed_pace_is_kept() {
    let mut rig = Rig::new();
    rig.egress.set_pacing(Pacing::Fixed(1_000_000));
    let video = rig.open_video();
    // What leaves at once at the beginning comes on top.
    let mut bytes = -16_000;
    for i in 0..1000 {
        if i < 300 {
            rig.write(video.stream, video.next_seq + i, 1200);
        }
        bytes += rig.raw().iter().map(Vec::len).sum::<usize>() as i64;
        rig.pass(Duration::from_millis(1));
    }
    assert!(
        (115_000..135_000).contains(&bytes),
        "{bytes} bytes in a second"
    );
}

#[test]
fn too_much_video_drops_the_oldest_frame_whole_and_asks_for_a_key_frame() {
    let mut rig = Rig::new();
    let video = rig.open_video();
    let first = video.next_seq.next_multiple_of(10);
    let packets = (MAX_VIDEO_BYTES / 1260) as u64;
    for seq in first..=first + packets {
        rig.write(video.stream, seq, 1200);
    }
    let event = rig.egress.poll_event();
    assert_eq!(
        event,
        Some(FeedbackEvent::KeyFrameWanted {
            stream: video.stream
        })
    );
    assert_eq!(rig.egress.poll_event(), None);
    assert_eq!(
        rig.egress
            .statistics(rig.now, video.stream)
            .unwrap()
            .dropped,
        10
    );
    let sent = rig.media();
    assert_eq!(u64::from(sent[0].seq), first + 10);
    // What was dropped is not sent again, the next frame is.
    assert_eq!(rig.nack(VIDEO, [first as u16, first as u16 + 9]), []);
    let seq = first + 10;
    let resend = FeedbackEvent::Resend {
        stream: video.stream,
        seq,
    };
    assert_eq!(rig.nack(VIDEO, [seq as u16]), [resend]);
}
