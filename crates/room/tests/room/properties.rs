use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use umbrella_media::Kind;
use umbrella_room::delivery::delivery;
use umbrella_room::model::{TrackSettings, TrackView, VideoLayer};
use umbrella_room::{Effect, Notification};

use crate::harness::*;

fn track() -> impl Strategy<Value = TrackView> {
    let layers = prop::collection::vec((1u32..4000, 1u32..4000), 0..=3);
    (layers, any::<bool>()).prop_map(|(mut sizes, audio)| {
        sizes.sort_by_key(|(width, height)| width.min(height).to_owned());
        let layers = sizes
            .into_iter()
            .zip(0u8..)
            .map(|((width, height), quality)| VideoLayer {
                quality,
                width,
                height,
                bitrate: 0,
                rid: String::new(),
            });
        let new = camera("c");
        TrackView {
            id: new.id,
            kind: if audio { Kind::Audio } else { Kind::Video },
            source: new.source,
            name: new.name,
            stream: new.stream,
            muted: false,
            codec: None,
            width: 0,
            height: 0,
            layers: layers.collect(),
            simulcast: true,
            disable_dtx: false,
            stereo: false,
            disable_red: false,
            encryption: 0,
            audio_features: Vec::new(),
        }
    })
}

proptest! {
    // The same cases everywhere, every time.
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn growing_a_tile_never_makes_the_picture_smaller(
        track in track(),
        (width, height) in (1u32..5000, 1u32..5000),
        (more, higher) in (0u32..5000, 0u32..5000),
    ) {
        let layer = |width, height| delivery(&track, Some(&tile(width, height)), true, false).layer;
        prop_assert!(layer(width, height) <= layer(width + more, height + higher));
    }

    #[test]
    fn settings_pause_only_when_they_say_so(
        track in track(),
        (width, height, frame_rate) in (any::<u32>(), any::<u32>(), any::<u32>()),
        disabled in any::<bool>(),
    ) {
        let settings = TrackSettings { disabled, width, height, quality: None, frame_rate };
        prop_assert_eq!(delivery(&track, Some(&settings), true, false).paused, disabled);
    }

    #[test]
    fn whatever_is_heard_everybody_who_began_to_speak_stops_once(
        intervals in prop::collection::vec(
            (0u8..=255, any::<f32>(), 0u8..=255, any::<f32>(), 0u64..900),
            0..40,
        ),
    ) {
        let mut room = Harness::with(&["a", "b"]);
        room.live("a", microphone("m"));
        room.live("b", microphone("n"));
        let mut effects = Vec::new();
        for (a, voice_a, b, voice_b, pause) in intervals {
            effects.extend(room.hear(&[("m", a, voice_a), ("n", b, voice_b)]));
            effects.extend(room.wait(pause));
        }
        effects.extend(room.wait(10_000));
        prop_assert!(room.next_reason().is_none());
        for name in ["a", "b"] {
            let mut active = false;
            for speaker in heard_of(&effects, name) {
                prop_assert!((0.0..=1.0).contains(&speaker.1));
                prop_assert!(active || speaker.0, "stopped without having begun");
                active = speaker.0;
            }
            prop_assert!(!active, "speaks for ever");
        }
    }
}

/// What `b` was told of somebody: active, level.
fn heard_of(effects: &[Effect], name: &str) -> Vec<(bool, f32)> {
    let lists = told(effects, "b").into_iter().filter_map(|notification| {
        let Notification::Speakers(speakers) = notification else {
            return None;
        };
        Some(speakers.to_vec())
    });
    let of_name = lists
        .flatten()
        .filter(|speaker| speaker.participant == pa(name));
    of_name
        .map(|speaker| (speaker.active, speaker.level))
        .collect()
}
