use super::*;

#[test]
fn numbers_are_consecutive_over_all_streams() {
    let mut rig = Rig::new();
    let (video, audio) = (rig.open_video(), rig.open_audio());
    let mut numbers = vec![];
    for i in 0..20 {
        rig.write(video.stream, video.next_seq + i, 500);
        rig.write(audio.stream, audio.next_seq + i, 50);
        rig.pass(Duration::from_millis(20));
        for rtp in rig.media() {
            let (_, value) = rtp.extensions.iter().find(|(id, _)| *id == 3).unwrap();
            numbers.push(u16::from_be_bytes([value[0], value[1]]));
            assert!(rtp.extensions.contains(&(4, b"7".to_vec())));
        }
    }
    assert_eq!(numbers, (0..40).collect::<Vec<u16>>());
    let report = write_report(0, 0, &[Some(1); 40]);
    rig.feed(&report);
    let statistics = rig.egress.feedback().statistics();
    assert_eq!((statistics.received, statistics.sent), (40, 40));
}

#[test]
fn a_sender_report_follows_the_first_packet_and_then_every_second() {
    let mut rig = Rig::new();
    let audio = rig.open_audio();
    assert_eq!(rig.egress.sender_info(rig.now, AUDIO), None, "silent");
    let mut reports = vec![];
    for i in 0..150 {
        rig.write(audio.stream, audio.next_seq + i, 80);
        reports.extend(rig.reports());
        rig.pass(Duration::from_millis(20));
    }
    assert_eq!(reports.len(), 3);
    assert_eq!(reports[0][..8], [0x80, 200, 0, 6, 0, 0, 7, 208]);
    assert_eq!(reports[0][20..28], [0, 0, 0, 1, 0, 0, 0, 80]);
    assert_eq!(reports[0][28..32], [0x81, 202, 0, 4]);
    // A report of somebody else counts.
    rig.egress.sender_info(rig.now, AUDIO).unwrap();
    rig.write(audio.stream, audio.next_seq + 150, 80);
    assert_eq!(rig.reports(), Vec::<Vec<u8>>::new());
    // A clock that becomes known later is told at once.
    let ntp = rig.egress.clock.ntp(rig.now);
    rig.egress
        .set_clock(audio.stream, ClockPoint { ntp, rtp: 5000 });
    rig.write(audio.stream, audio.next_seq + 151, 80);
    assert_eq!(rig.reports()[0][16..20], 5000u32.to_be_bytes());
    rig.egress.set_clock(
        audio.stream,
        ClockPoint {
            ntp: ntp + (1 << 32),
            rtp: 53_010,
        },
    );
    rig.write(audio.stream, audio.next_seq + 152, 80);
    assert_eq!(rig.reports(), Vec::<Vec<u8>>::new(), "that was no news");
}

#[test]
fn lips_and_voice_of_one_publisher_stay_together() {
    let mut rig = Rig::new();
    let (video, audio) = (rig.open_video(), rig.open_audio());
    let captured = rig.egress.clock.ntp(rig.now);
    rig.egress.set_clock(
        video.stream,
        ClockPoint {
            ntp: captured,
            rtp: 90_000,
        },
    );
    rig.egress.set_clock(
        audio.stream,
        ClockPoint {
            ntp: captured,
            rtp: 48_000,
        },
    );
    rig.write(audio.stream, audio.next_seq, 80);
    rig.raw();
    // The video arrives and leaves much later.
    rig.pass(Duration::from_millis(400));
    rig.write(video.stream, video.next_seq, 80);
    rig.raw();
    rig.pass(Duration::from_millis(600));
    let video = rig.egress.sender_info(rig.now, VIDEO).unwrap();
    let audio = rig.egress.sender_info(rig.now, AUDIO).unwrap();
    assert_eq!((video.rtp, audio.rtp), (180_000, 96_000));
    assert_eq!(video.ntp, audio.ntp);
}

#[test]
fn receiver_reports_tell_loss_jitter_and_round_trip() {
    let mut rig = Rig::new();
    let audio = rig.open_audio();
    rig.write(audio.stream, audio.next_seq, 80);
    let report = rig.reports().remove(0);
    let last_report = [report[10], report[11], report[12], report[13]];
    rig.pass(Duration::from_millis(1040));
    let mut body = vec![0x81, 201, 0, 7, 0, 0, 0, 1];
    body.extend_from_slice(&AUDIO.to_be_bytes());
    body.extend_from_slice(&[64, 0, 0, 1, 0, 0, 0, 0]);
    body.extend_from_slice(&480u32.to_be_bytes());
    body.extend_from_slice(&last_report);
    body.extend_from_slice(&(1u32 << 16).to_be_bytes()); // a second
    rig.feed(&body);
    let statistics = rig.egress.statistics(rig.now, audio.stream).unwrap();
    assert_eq!(statistics.loss, 0.25);
    assert_eq!(statistics.jitter, Some(Duration::from_millis(10)));
    let round_trip = rig.egress.round_trip().unwrap();
    assert!(round_trip.abs_diff(Duration::from_millis(40)) < Duration::from_millis(1));
    // A peer that lies about the delay harms nobody.
    let lie = body.len() - 4;
    for delay in [0u32, u32::MAX, 2 << 16, 1 << 31] {
        body[lie..].copy_from_slice(&delay.to_be_bytes());
        rig.feed(&body);
        assert!(rig.egress.round_trip().unwrap() < Duration::from_secs(31));
    }
}

/// The peer says how many of the sound's packets it misses; and what we count as lost then.
fn report(rig: &mut Rig, lost: i32, stream: StreamId) -> u64 {
    let mut body = vec![0x81, 201, 0, 7, 0, 0, 0, 1];
    body.extend_from_slice(&AUDIO.to_be_bytes());
    body.extend_from_slice(&(lost & 0xFF_FFFF).to_be_bytes());
    body.extend_from_slice(&[0; 16]);
    rig.feed(&body);
    let statistics = rig.egress.statistics(rig.now, stream);
    statistics.map_or(0, |statistics| statistics.lost)
}

#[test]
fn what_a_publisher_loses_is_blamed_on_its_subscribers() {
    let mut rig = Rig::new();
    let audio = rig.open_audio();
    // Every third one never came.
    for i in (0..30).filter(|i| i % 3 != 1) {
        rig.write(audio.stream, audio.next_seq + i, 80);
        rig.media();
    }
    assert_eq!(report(&mut rig, 10, audio.stream), 0);
    assert_eq!(report(&mut rig, 14, audio.stream), 4);
}

#[test]
fn lost_packets_are_counted_twice_or_beyond_what_was_sent() {
    let mut rig = Rig::new();
    let first = rig.open_audio();
    for i in 0..10 {
        rig.write(first.stream, first.next_seq + i, 80);
        rig.media();
    }
    let counts = [3, 3, -2, 2, 5].map(|lost| report(&mut rig, lost, first.stream));
    assert_eq!(counts, [3, 3, 3, 3, 5]);
    rig.egress.close_stream(first.stream);
    assert_eq!(rig.egress.sent().audio.lost, 5);
    // The peer counts on, as the SSRC is the same.
    let second = rig.open_audio();
    rig.write(second.stream, second.next_seq, 80);
    rig.media();
    assert_eq!(report(&mut rig, 5, second.stream), 0);
    assert_eq!(
        report(&mut rig, 0x7F_FFFF, second.stream),
        1,
        "one was sent"
    );
    let sent = rig.egress.sent().audio;
    assert_eq!((sent.packets, sent.lost), (11, 6));
}

#[test]
fn a_key_frame_is_asked_for_once_per_need() {
    let mut rig = Rig::new();
    let video = rig.open_video();
    let wanted = [FeedbackEvent::KeyFrameWanted {
        stream: video.stream,
    }];
    let loss = feedback(206, 1, VIDEO, &[]);
    assert_eq!(rig.feed(&[loss.clone(), loss.clone()].concat()), wanted);
    assert_eq!(rig.feed(&loss), wanted);
    let intra = |number| {
        let mut body = VIDEO.to_be_bytes().to_vec();
        body.extend_from_slice(&[number, 0, 0, 0]);
        feedback(206, 4, 0, &body)
    };
    assert_eq!(rig.feed(&intra(7)), wanted);
    assert_eq!(rig.feed(&intra(7)), [], "a repetition");
    assert_eq!(rig.feed(&intra(8)), wanted);
    assert_eq!(rig.feed(&feedback(206, 1, 12345, &[])), []);
}

proptest! {
    #[test]
    fn hostile_rtcp_does_no_harm(
        compounds in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..300), 200u8..208, 0u8..32, any::<bool>()),
            1..20,
        ),
    ) {
        let mut rig = Rig::new();
        let (video, audio) = (rig.open_video(), rig.open_audio());
        for i in 0..20 {
            rig.write(video.stream, video.next_seq + i, 100);
            rig.write(audio.stream, audio.next_seq + i, 100);
        }
        rig.raw();
        for (mut compound, kind, format, ours) in compounds {
            let words = (compound.len() / 4).saturating_sub(1) as u16;
            if compound.len() >= 16 {
                compound[0] = 0x80 | format;
                compound[1] = kind;
                compound[2..4].copy_from_slice(&words.to_be_bytes());
                if ours {
                    compound[8..12].copy_from_slice(&VIDEO.to_be_bytes());
                    compound[12..14].copy_from_slice(&(video.next_seq as u16).to_be_bytes());
                }
            }
            let events = rig.feed(&compound);
            prop_assert!(events.len() <= MAX_NACKS as usize + 2);
            rig.pass(Duration::from_millis(7));
            prop_assert!(rig.raw().len() < 100);
        }
    }
}
