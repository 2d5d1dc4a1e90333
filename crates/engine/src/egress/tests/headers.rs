use super::*;

#[test]
fn a_header_holds_what_the_packet_has_and_no_more() {
    let mut rig = Rig::new();
    let audio = rig.open_audio();
    let mut full = (*packet(audio.next_seq, 50, rig.now)).clone();
    full.audio_level = Some(AudioLevel {
        level: 30,
        voice: true,
    });
    full.orientation = Some(2);
    full.playout_delay = Some((0x123, 0x456));
    full.capture_time = Some(Arc::from([9u8; 8]));
    let seq = audio.next_seq;
    let write = |rig: &mut Rig, packet: Packet, seq, frame_number| {
        let outgoing = Outgoing {
            frame_number,
            ..outgoing(seq)
        };
        rig.egress
            .write(rig.now, audio.stream, &Arc::new(packet), outgoing, OPUS);
        let raw = rig.raw().remove(0);
        (rig.reader.rtp(&raw, 0), raw[12])
    };
    let (rtp, profile) = write(&mut rig, full.clone(), seq, None);
    assert_eq!(profile, 0xBE);
    assert_eq!(
        rtp.extensions[3..],
        [
            (1, vec![0x80 | 30]),
            (13, vec![2]),
            (5, vec![0x12, 0x34, 0x56]),
            (6, vec![9; 8]),
        ]
    );
    // A long dependency descriptor needs the other form, and gets its own frame number.
    full.dependency = Some((0..40).collect());
    let (rtp, profile) = write(&mut rig, full, seq + 1, Some(0xabcd));
    assert_eq!(profile, 0x10);
    let (id, value) = rtp.extensions.last().unwrap();
    assert_eq!(
        (*id, &value[..4], value.len()),
        (12, &[0, 0xab, 0xcd, 3][..], 40)
    );
    let bare = (*packet(seq + 2, 50, rig.now)).clone();
    let (rtp, profile) = write(&mut rig, bare, seq + 2, None);
    assert_eq!((profile, rtp.extensions.len()), (0xBE, 3));
}

#[test]
fn a_receiver_without_extensions_gets_plain_headers() {
    let mut rig = Rig::new();
    let extensions = ExtensionIds::default();
    let config = StreamConfig {
        extensions,
        resends: Resends::Never,
        ..video_config()
    };
    let opened = rig.egress.open_stream(rig.now, &config).unwrap();
    rig.write(opened.stream, opened.next_seq, 50);
    let raw = rig.raw().remove(0);
    assert_eq!((raw[0], raw.len()), (0x80, 12 + 50 + 16));
    assert_eq!(rig.egress.feedback().statistics().sent, 0);
}

proptest! {
    #[test]
    fn headers_read_back(
        id_seed in proptest::collection::vec(proptest::option::weighted(0.8, 1u8..=20), 8),
        mid in "[a-z0-9]{1,20}",
        level in proptest::option::of((0u8..128, any::<bool>())),
        orientation in proptest::option::of(any::<u8>()),
        delay in proptest::option::of((0u16..4096, 0u16..4096)),
        dependency in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..100)),
        marker: bool,
        timestamp: u32,
    ) {
        // Ids are unique in a session description.
        let mut taken = HashSet::new();
        let id: Vec<_> = id_seed.into_iter().map(|id| id.filter(|id| taken.insert(*id))).collect();
        let ids = ExtensionIds {
            mid: id[0], transport_cc: id[1], abs_send_time: id[2], audio_level: id[3],
            orientation: id[4], playout_delay: id[5], capture_time: id[6], dependency: id[7],
        };
        let mut packet = (*packet(0, 1, Instant::now())).clone();
        packet.audio_level = level.map(|(level, voice)| AudioLevel { level, voice });
        packet.orientation = orientation;
        packet.playout_delay = delay;
        packet.dependency = dependency.clone().map(Arc::from);
        let mut expected = HashSet::new();
        let mut expect = |id: Option<u8>, value: Option<Vec<u8>>| {
            expected.extend(id.zip(value));
        };
        expect(ids.mid, Some(mid.clone().into_bytes()));
        expect(ids.transport_cc, Some(vec![0xab, 0xcd]));
        expect(ids.abs_send_time, Some(vec![1, 2, 3]));
        expect(ids.audio_level, level.map(|(level, voice)| vec![u8::from(voice) << 7 | level]));
        expect(ids.orientation, orientation.map(|value| vec![value]));
        expect(ids.playout_delay, delay.map(|(min, max)| {
            vec![(min >> 4) as u8, (min << 4) as u8 | (max >> 8) as u8, max as u8]
        }));
        expect(ids.dependency, dependency);
        let fields = header::Fields {
            payload_type: 100, marker, timestamp, transport_cc: 0xabcd,
            abs_send_time: [1, 2, 3], frame_number: None,
        };
        let mut out = vec![];
        header::Template::new(&mid, ids).write(&packet, fields, &mut out);
        let (len, read) = crate::secure::testing::extensions(&out);
        prop_assert_eq!(len, out.len());
        prop_assert_eq!(read.len(), expected.len());
        prop_assert_eq!(read.into_iter().collect::<HashSet<_>>(), expected);
        prop_assert_eq!(out[1], 100 | u8::from(marker) << 7);
        prop_assert_eq!(&out[4..8], &timestamp.to_be_bytes()[..]);
    }
}
