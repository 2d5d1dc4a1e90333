use umbrella_media::{Codec, Spatial};
use umbrella_room::command::{Join, NewTrack};
use umbrella_room::model::TrackSettings;
use umbrella_room::{Effect, Notification, Reason};

use crate::harness::*;

const LOW: Option<Spatial> = Some(Spatial::LOW);
const MEDIUM: Option<Spatial> = Some(Spatial::MEDIUM);
const HIGH: Option<Spatial> = Some(Spatial::HIGH);

/// What a publisher was asked to send of its track `c`.
fn asked(effects: &[Effect], name: &str) -> Vec<Option<Spatial>> {
    let asked = told(effects, name).into_iter().filter_map(|notification| {
        let Notification::LayersWanted { track, highest, .. } = notification else {
            return None;
        };
        assert_eq!(*track, tr("c"));
        Some(*highest)
    });
    asked.collect()
}

fn hidden_tile() -> TrackSettings {
    TrackSettings {
        disabled: true,
        ..tile(640, 360)
    }
}

/// A camera of `a`, and these who watch it; everybody has been counted.
fn watched_by(names: &[&str]) -> Harness {
    let mut room = Harness::with(&["a"]);
    for name in names {
        room.join(newcomer(name));
    }
    room.live("a", camera("c"));
    room.wait(1_000);
    room
}

#[test]
fn large_layer_that_nobody_shows_is_sent_for_ever() {
    let mut room = watched_by(&["b", "d"]);
    let effects = room.settings("b", "c", tile(160, 90));
    assert!(effects.iter().all(|e| !matches!(e, Effect::Notify { .. })));
    assert!(
        asked(&room.wait(20_000), "a").is_empty(),
        "another one shows it large"
    );
    room.settings("d", "c", tile(160, 90));
    assert_eq!(asked(&room.wait(10_000), "a"), [LOW]);
    assert_eq!(room.next_reason(), None);
}

#[test]
fn picture_that_is_opened_large_stays_blurred() {
    let mut room = watched_by(&["b"]);
    room.settings("b", "c", tile(160, 90));
    room.wait(10_000);
    let effects = room.settings("b", "c", tile(640, 360));
    assert_eq!(asked(&effects, "a"), [MEDIUM], "at once");
    assert_eq!(
        asked(&room.settings("b", "c", tile(1280, 720)), "a"),
        [HIGH]
    );
}

#[test]
fn scrolling_past_a_tile_restarts_an_encoder() {
    let mut room = watched_by(&["b"]);
    for _ in 0..10 {
        room.settings("b", "c", hidden_tile());
        assert_eq!(room.next_reason(), Some(Reason::Layers));
        assert!(asked(&room.wait(1_000), "a").is_empty());
        let effects = room.settings("b", "c", tile(1280, 720));
        assert!(asked(&effects, "a").is_empty());
        assert_eq!(room.next_reason(), None);
    }
}

#[test]
fn layer_that_was_just_wanted_goes_with_those_that_were_not() {
    let mut room = watched_by(&["b"]);
    room.settings("b", "c", tile(640, 360));
    room.wait(3_900);
    room.settings("b", "c", tile(160, 90));
    assert_eq!(asked(&room.wait(200), "a"), [MEDIUM]);
    assert_eq!(asked(&room.wait(10_000), "a"), [LOW]);
}

#[test]
fn camera_without_a_viewer_sends_for_ever() {
    let mut room = watched_by(&[]);
    assert_eq!(asked(&room.wait(10_000), "a"), [None]);
    let effects = room.join(newcomer("b"));
    assert_eq!(asked(&effects, "a"), [HIGH], "back at once");
    let effects = room.subscribe("b", "c", false);
    assert!(asked(&effects, "a").is_empty());
    assert_eq!(asked(&room.wait(10_000), "a"), [None]);
    room.subscribe("b", "c", true);
    room.leave("b");
    assert_eq!(asked(&room.wait(10_000), "a"), [None]);
}

#[test]
fn camera_goes_on_for_a_tile_that_is_hidden_or_cannot_be_decoded() {
    let mut room = watched_by(&["b"]);
    room.settings("b", "c", hidden_tile());
    assert_eq!(asked(&room.wait(10_000), "a"), [None]);
    assert_eq!(
        asked(&room.settings("b", "c", tile(640, 360)), "a"),
        [MEDIUM]
    );
    room.fail("b", "c", None);
    assert_eq!(asked(&room.wait(10_000), "a"), [None]);
}

#[test]
fn newcomer_with_small_tiles_wakes_only_the_small_layer() {
    let mut room = watched_by(&[]);
    room.wait(10_000);
    let adaptive = Join {
        adaptive_stream: true,
        ..newcomer("b")
    };
    assert_eq!(asked(&room.join(adaptive), "a"), [LOW]);
}

#[test]
fn picture_in_one_size_is_switched_off_for_a_small_tile() {
    for layers in [0, 1] {
        let mut single = camera("c");
        single.layers = single.layers.split_off(3 - layers);
        let mut room = Harness::with(&["a", "b"]);
        room.live("a", single);
        room.settings("b", "c", tile(16, 9));
        assert!(asked(&room.wait(20_000), "a").is_empty());
        room.settings("b", "c", hidden_tile());
        assert_eq!(asked(&room.wait(10_000), "a"), [None]);
        assert_eq!(asked(&room.settings("b", "c", tile(16, 9)), "a"), [HIGH]);
    }
}

#[test]
fn layer_that_is_not_announced_leaves_its_viewer_without_a_picture() {
    let mut two = camera("c");
    two.layers.remove(0);
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", two);
    let low = TrackSettings {
        quality: Some(umbrella_media::Layer::BASE),
        ..tile(0, 0)
    };
    room.settings("b", "c", low);
    assert_eq!(asked(&room.wait(10_000), "a"), [MEDIUM]);

    let mut two = camera("c");
    two.layers.pop();
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", two);
    room.wait(10_000);
    room.settings("b", "c", tile(160, 90));
    assert_eq!(asked(&room.wait(10_000), "a"), [LOW]);
    assert_eq!(
        asked(&room.settings("b", "c", tile(4000, 3000)), "a"),
        [MEDIUM]
    );
}

#[test]
fn publisher_is_asked_for_a_codec_that_it_never_offered() {
    let new = NewTrack {
        codec: Some(Codec::Vp9),
        ..camera("c")
    };
    let mut room = Harness::with(&["a"]);
    room.live("a", new);
    let codec = Codec::Vp8;
    room.handle(umbrella_room::Command::TrackCodec {
        track: tr("c"),
        codec,
    });
    let effects = room.wait(10_000);
    let mut codecs = told(&effects, "a").into_iter().filter_map(|notification| {
        let Notification::LayersWanted { codec, .. } = notification else {
            return None;
        };
        Some(*codec)
    });
    assert_eq!(codecs.next(), Some(Some(Codec::Vp9)));
}

#[test]
fn sound_is_switched_off() {
    let mut room = Harness::with(&["a"]);
    room.live("a", microphone("m"));
    assert!(asked(&room.wait(20_000), "a").is_empty());
}

#[test]
fn ended_track_wakes_the_room() {
    let mut room = watched_by(&[]);
    assert_eq!(room.next_reason(), Some(Reason::Layers));
    room.handle(umbrella_room::Command::Unpublish { track: tr("c") });
    room.wait(1_000);
    assert_eq!(room.next_reason(), None);
}
