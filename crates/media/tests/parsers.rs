//! Every parser against any bytes: what the fuzz targets do, in short.

mod common;

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use umbrella_media::codec::{Parser, av1, dependency, h264, h265, opus, red, vp8, vp9};
use umbrella_media::{Codec, Detail, History, HistoryLimits, Kind, LevelMeter};

const VIDEO: [Codec; 5] = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::H265, Codec::Av1];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn parsers_end_on_any_bytes(data in prop::collection::vec(any::<u8>(), 0..80), marker: bool) {
        vp8::parse(&data, marker);
        vp9::parse(&data);
        h264::parse(&data, marker);
        h265::parse(&data, marker);
        av1::parse(&data, marker);
        opus::parse(&data);
        if let Some(primary) = red::primary(&data) {
            prop_assert!(primary.range.end == data.len() && primary.range.start <= data.len());
        }
    }

    #[test]
    fn vp8_numbers_are_where_the_descriptor_says(data in prop::collection::vec(any::<u8>(), 0..12)) {
        if let Some(Detail::Vp8(ids)) = vp8::parse(&data, false).map(|found| found.detail) {
            let mut at = usize::from(ids.offset);
            at += match ids.picture {
                Some(vp8::PictureId::Long(_)) => 2,
                Some(vp8::PictureId::Short(_)) => 1,
                None => 0,
            };
            if let Some(tl0) = ids.tl0 {
                prop_assert_eq!(data[at], tl0);
                at += 1;
            }
            if let Some(layer) = ids.layer {
                prop_assert_eq!(data[at], layer);
            }
        }
    }

    #[test]
    fn dependency_descriptors_in_a_row_end_on_any_bytes(
        descriptors in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..8),
    ) {
        let mut reader = dependency::Reader::new();
        let mut parser = Parser::new(Codec::Av1);
        for mut data in descriptors {
            reader.read(&data);
            parser.parse(&[0x10, 1], true, Some(&data));
            if let Some(flags) = data.get_mut(3) {
                *flags |= 0x80;
            }
            reader.read(&data);
        }
    }

    #[test]
    fn whole_parser_ends_on_any_stream(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..24), 1..20),
    ) {
        for codec in VIDEO {
            let mut parser = Parser::new(codec);
            for payload in &packets {
                parser.parse(payload, payload.len() % 2 == 0, payload.get(..12));
            }
        }
    }

    #[test]
    fn history_answers_what_it_kept_and_nothing_else(seqs in prop::collection::vec(0u64..300, 1..200)) {
        let limits = HistoryLimits { video: 64, ..HistoryLimits::default() };
        let mut history = History::new(Kind::Video, limits);
        let start = Instant::now();
        let mut kept = std::collections::BTreeSet::new();
        for seq in seqs {
            let new = history.insert(Arc::new(common::packet(Codec::Vp8, seq, &[1], start)));
            let highest = kept.last().copied().unwrap_or(seq);
            prop_assert_eq!(new, seq + 64 > highest && kept.insert(seq));
            kept.insert(seq);
        }
        let highest = *kept.last().unwrap();
        prop_assert_eq!(history.highest(), Some(highest));
        let first = highest.saturating_sub(40);
        let expected: Vec<_> = kept.range(first + 1..).copied().collect();
        let found: Vec<_> = history.after(first).map(|packet| packet.seq).collect();
        prop_assert_eq!(found, expected);
        prop_assert!((0..400).all(|seq| history.get(seq).is_none_or(|packet| packet.seq == seq)));
    }
}

#[test]
fn levels_are_means_over_the_interval() {
    let mut meter = LevelMeter::new();
    assert_eq!(meter.take(), None);
    for (level, voice) in [(20, true), (31, true), (127, false), (250, false)] {
        meter.add(umbrella_media::AudioLevel { level, voice });
    }
    let level = meter.take().unwrap();
    assert_eq!((level.level, level.voice), (76, 0.5));
    assert_eq!(meter.take(), None);
}
