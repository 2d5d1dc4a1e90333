use umbrella_media::{Codec, Kind};
use umbrella_room::command::{NewTrack, TrackChange};
use umbrella_room::effect::Refusal;
use umbrella_room::model::{Permission, Source, VideoLayer};
use umbrella_room::{Command, Effect, Limits, Notification};

use crate::harness::*;

fn refusal(effects: &[Effect], name: &str) -> Option<Refusal> {
    let [Notification::TrackRefused { reason, .. }] = told(effects, name)[..] else {
        return None;
    };
    Some(*reason)
}

#[test]
fn nobody_hears_of_a_track_before_its_media_can_flow() {
    let mut room = Harness::with(&["a", "b"]);
    let effects = room.publish("a", microphone("m"));
    assert!(matches!(
        told(&effects, "a")[..],
        [Notification::TrackPublished { .. }]
    ));
    assert_eq!(effects.len(), 1);
    let effects = room.open("m");
    assert_eq!(seen(&effects, "b")[0].tracks[0].id, tr("m"));
    assert!(seen(&effects, "b")[0].publishing);
    assert!(seen(&effects, "a").is_empty());
}

#[test]
fn media_of_a_stranger_never_arrives() {
    let mut room = Harness::with(&["a", "b"]);
    let effects = room.live("a", microphone("m"));
    let shown = place(&effects, |effect| {
        matches!(effect, Effect::Notify { to, notification:
        Notification::Participants(_) } if *to == pa("b"))
    });
    let sent = place(&effects, |effect| {
        matches!(effect, Effect::OpenConsumer { .. })
    });
    assert!(shown < sent);
}

#[test]
fn watcher_cannot_publish() {
    let mut room = Harness::new();
    let mut watcher = newcomer("a");
    watcher.permission.publish = false;
    room.join(watcher);
    let effects = room.publish("a", microphone("m"));
    assert_eq!(refusal(&effects, "a"), Some(Refusal::NotAllowed));
}

#[test]
fn microphone_grant_does_not_allow_a_camera() {
    let mut room = Harness::new();
    let mut speaker = newcomer("a");
    speaker.permission.sources = vec![Source::Microphone];
    room.join(speaker);
    assert_eq!(
        refusal(&room.publish("a", camera("c")), "a"),
        Some(Refusal::NotAllowed)
    );
    assert_eq!(refusal(&room.publish("a", microphone("m")), "a"), None);
}

#[test]
fn hidden_participant_cannot_give_itself_away_by_publishing() {
    let mut room = Harness::new();
    room.join(hidden("h"));
    assert_eq!(
        refusal(&room.publish("h", microphone("m")), "h"),
        Some(Refusal::NotAllowed)
    );
}

#[test]
fn track_published_twice_is_refused_and_the_first_lives() {
    let mut room = Harness::with(&["a"]);
    room.publish("a", microphone("m"));
    let twin = NewTrack {
        id: tr("other"),
        ..microphone("m")
    };
    assert_eq!(
        refusal(&room.publish("a", twin), "a"),
        Some(Refusal::Duplicate)
    );
    assert!(room.room.track(&tr("m")).is_some());
}

#[test]
fn same_track_can_be_published_again_after_it_ended() {
    let mut room = Harness::with(&["a"]);
    room.live("a", microphone("m"));
    room.handle(Command::Unpublish { track: tr("m") });
    let again = NewTrack {
        id: tr("other"),
        ..microphone("m")
    };
    assert_eq!(refusal(&room.publish("a", again), "a"), None);
}

#[test]
fn flood_of_tracks_is_bounded() {
    let mut room = Harness::with(&["a"]);
    for i in 0..32 {
        assert_eq!(
            refusal(&room.publish("a", microphone(&i.to_string())), "a"),
            None
        );
    }
    for i in 32..100 {
        let effects = room.publish("a", microphone(&i.to_string()));
        assert_eq!(refusal(&effects, "a"), Some(Refusal::LimitExceeded));
    }
}

#[test]
fn endless_names_are_refused() {
    let mut room = Harness::limited(
        0,
        Limits {
            name: 8,
            ..Limits::default()
        },
    );
    room.join(newcomer("a"));
    for track in [
        NewTrack {
            name: "x".repeat(9),
            client_id: String::new(),
            ..microphone("m")
        },
        NewTrack {
            stream: "x".repeat(9),
            client_id: String::new(),
            ..microphone("m")
        },
        NewTrack {
            client_id: "x".repeat(9),
            ..microphone("m")
        },
    ] {
        assert_eq!(
            refusal(&room.publish("a", track), "a"),
            Some(Refusal::LimitExceeded)
        );
    }
}

#[test]
fn nonsense_layers_are_left_out_and_put_in_order() {
    let mut room = Harness::with(&["a"]);
    let mut track = camera("c");
    let odd = |quality| VideoLayer {
        quality,
        ..track.layers[0].clone()
    };
    track.layers = vec![odd(2), odd(9), odd(0), odd(2)];
    room.publish("a", track);
    let (_, view) = room.room.track(&tr("c")).unwrap();
    let qualities: Vec<_> = view.layers.iter().map(|layer| layer.quality).collect();
    assert_eq!(qualities, [0, 2]);
    assert!(view.simulcast);
}

#[test]
fn track_that_starts_muted_is_muted_for_everybody() {
    let mut room = Harness::with(&["a", "b"]);
    room.publish(
        "a",
        NewTrack {
            muted: true,
            ..microphone("m")
        },
    );
    let effects = room.open("m");
    assert!(seen(&effects, "b")[0].tracks[0].muted);
    let paused = place(&effects, |e| {
        matches!(e, Effect::PauseProducer { paused: true, .. })
    });
    assert!(paused < place(&effects, |e| matches!(e, Effect::OpenConsumer { .. })));
}

#[test]
fn mute_is_seen_by_others_and_stops_the_packets() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", microphone("m"));
    for muted in [true, false] {
        let effects = room.mute("a", "m", muted);
        assert_eq!(seen(&effects, "b")[0].tracks[0].muted, muted);
        assert!(effects.iter().any(|effect| matches!(effect,
            Effect::PauseProducer { paused, .. } if *paused == muted)));
        assert!(
            told(&effects, "a").is_empty(),
            "its echo could undo a later click"
        );
        assert!(room.mute("a", "m", muted).is_empty());
    }
}

#[test]
fn mute_before_the_track_opens_is_not_lost() {
    let mut room = Harness::with(&["a", "b"]);
    room.publish("a", microphone("m"));
    room.mute("a", "m", true);
    let effects = room.open("m");
    assert!(seen(&effects, "b")[0].tracks[0].muted);
    assert!(
        effects
            .iter()
            .any(|e| matches!(e, Effect::PauseProducer { paused: true, .. }))
    );
}

#[test]
fn nobody_can_mute_or_change_another_ones_track() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", microphone("m"));
    assert!(room.mute("b", "m", true).is_empty());
    let change = TrackChange::Audio { features: vec![1] };
    let effects = room.handle(Command::UpdateTrack {
        participant: pa("b"),
        track: tr("m"),
        change,
    });
    assert!(effects.is_empty());
}

#[test]
fn ended_track_leaves_nothing_behind() {
    let mut room = Harness::with(&["a", "b", "c"]);
    room.live("a", microphone("m"));
    let effects = room.handle(Command::Unpublish { track: tr("m") });
    assert_eq!(closed(&effects), [(pa("b"), tr("m")), (pa("c"), tr("m"))]);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::CloseProducer { .. }))
    );
    assert!(seen(&effects, "b")[0].tracks.is_empty());
    assert!(!seen(&effects, "b")[0].publishing);
    assert!(
        room.handle(Command::Unpublish { track: tr("m") })
            .is_empty()
    );
}

#[test]
fn track_given_up_before_it_opened_is_never_seen() {
    let mut room = Harness::with(&["a", "b"]);
    room.publish("a", microphone("m"));
    let effects = room.handle(Command::Unpublish { track: tr("m") });
    assert!(told(&effects, "b").is_empty());
    assert!(room.open("m").is_empty());
}

#[test]
fn codec_of_the_wrong_kind_is_not_believed() {
    let mut room = Harness::with(&["a", "b"]);
    room.publish("a", microphone("m"));
    room.handle(Command::TrackOpened {
        track: tr("m"),
        codec: Some(Codec::Vp8),
    });
    room.handle(Command::TrackCodec {
        track: tr("m"),
        codec: Codec::H264,
    });
    let (_, view) = room.room.track(&tr("m")).unwrap();
    assert_eq!((view.kind, view.codec), (Kind::Audio, None));
}

#[test]
fn changed_codec_is_told() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", camera("c"));
    let effects = room.handle(Command::TrackCodec {
        track: tr("c"),
        codec: Codec::Vp9,
    });
    assert_eq!(seen(&effects, "b")[0].tracks[0].codec, Some(Codec::Vp9));
    let effects = room.handle(Command::TrackCodec {
        track: tr("c"),
        codec: Codec::Vp9,
    });
    assert!(effects.is_empty());
}

#[test]
fn resized_screen_moves_the_layers_that_tiles_choose_from() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", camera("c"));
    room.settings("b", "c", tile(640, 360));
    let resize = |room: &mut Harness, width, height| {
        let change = TrackChange::Video { width, height };
        room.handle(Command::UpdateTrack {
            participant: pa("a"),
            track: tr("c"),
            change,
        })
    };
    let effects = resize(&mut room, 640, 360);
    assert_eq!(seen(&effects, "b")[0].tracks[0].layers[2].width, 640);
    assert_eq!(configured(&effects).len(), 1);
    resize(&mut room, 1, 1);
    let effects = resize(&mut room, 1280, 720);
    assert_eq!(
        seen(&effects, "b")[0].tracks[0].layers[0].width,
        320,
        "rounding added up"
    );
}

#[test]
fn publisher_learns_once_that_somebody_is_there() {
    let mut room = Harness::with(&["a", "b", "c"]);
    room.live("a", microphone("m"));
    let started = |name| Command::Subscription {
        participant: pa(name),
        track: tr("m"),
        report: umbrella_room::command::SubscriptionReport::Started,
    };
    let effects = room.handle(started("b"));
    assert_eq!(
        told(&effects, "a"),
        [&Notification::TrackSubscribed { track: tr("m") }]
    );
    assert!(room.handle(started("c")).is_empty());
}

#[test]
fn grants_name_the_sources_or_mean_all() {
    let all = Permission {
        sources: vec![],
        ..anything()
    };
    assert!(all.may_publish(Source::Unknown));
    let none = Permission {
        publish: false,
        ..anything()
    };
    assert!(!none.may_publish(Source::Camera));
}
