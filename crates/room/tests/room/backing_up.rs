//! People who cannot decode what somebody sends, and get another codec.

use umbrella_media::{Codec, Spatial};
use umbrella_room::command::NewTrack;
use umbrella_room::effect::Refusal;
use umbrella_room::model::TrackId;
use umbrella_room::{Command, Effect, Notification};

use crate::harness::*;

/// What a publisher was asked to send: track, codec, up to which layer.
fn asked(effects: &[Effect], name: &str) -> Vec<(TrackId, Option<Codec>, Option<Spatial>)> {
    let asked = told(effects, name).into_iter().filter_map(|it| {
        let Notification::LayersWanted {
            track,
            codec,
            highest,
        } = it
        else {
            return None;
        };
        Some((track.clone(), *codec, *highest))
    });
    asked.collect()
}

fn modern() -> NewTrack {
    NewTrack {
        codec: Some(Codec::Av1),
        backup: Some(Codec::Vp8),
        ..camera("cam")
    }
}

fn old() -> NewTrack {
    NewTrack {
        codec: Some(Codec::Vp8),
        backup_of: Some(tr("cam")),
        ..camera("old")
    }
}

/// Ann sends AV1, which Bob can decode and Eve cannot; her publisher has been asked for VP8.
fn meeting() -> (Harness, Vec<Effect>) {
    let mut harness = Harness::with(&["ann", "bob", "eve"]);
    harness.live("ann", modern());
    let effects = harness.fail("eve", "cam", Some(Codec::Av1));
    (harness, effects)
}

#[test]
fn who_cannot_decode_the_first_codec_never_sees_anything() {
    let (mut harness, effects) = meeting();
    let wanted = (tr("cam"), Some(Codec::Vp8), Some(Spatial::HIGH));
    assert_eq!(asked(&effects, "ann"), [wanted]);
    let effects = harness.publish("ann", old());
    let published = told(&effects, "ann").into_iter().any(|it| {
        matches!(it, Notification::TrackPublished { first: Some(first), .. } if *first == tr("cam"))
    });
    assert!(published, "it does not learn which track this is");
    let effects = harness.open("old");
    let opened: Vec<_> = effects
        .iter()
        .filter_map(|effect| {
            let Effect::OpenConsumer {
                subscriber,
                track,
                shown,
                ..
            } = effect
            else {
                return None;
            };
            Some((subscriber.clone(), track.clone(), shown.clone()))
        })
        .collect();
    assert_eq!(opened, [(pa("eve"), tr("old"), tr("cam"))]);
    assert!(seen(&effects, "bob").is_empty(), "it is shown as a track");
}

#[test]
fn publisher_is_asked_for_the_other_codec_again_and_again() {
    let (mut harness, _) = meeting();
    harness.join(newcomer("fay"));
    let effects = harness.fail("fay", "cam", Some(Codec::Av1));
    assert!(asked(&effects, "ann").is_empty());
    // And for one that does not help nobody asks.
    let mut harness = Harness::with(&["ann", "bob"]);
    harness.live("ann", modern());
    let effects = harness.fail("bob", "cam", Some(Codec::Vp8));
    assert!(asked(&effects, "ann").is_empty());
    let mut harness = Harness::with(&["ann", "bob"]);
    harness.live("ann", camera("cam"));
    let effects = harness.fail("bob", "cam", Some(Codec::Av1));
    assert!(asked(&effects, "ann").is_empty());
}

#[test]
fn tile_of_the_other_codec_ignores_its_size_and_the_mute_button() {
    let (mut harness, _) = meeting();
    harness.publish("ann", old());
    harness.open("old");
    let effects = harness.settings("eve", "cam", tile(160, 90));
    let changed = configured(&effects);
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].1.layer.spatial, Spatial::LOW);
    let effects = harness.mute("ann", "cam", true);
    let paused: Vec<_> = effects
        .iter()
        .filter_map(|effect| {
            let Effect::PauseProducer { track, paused } = effect else {
                return None;
            };
            Some((track.clone(), *paused))
        })
        .collect();
    assert_eq!(paused, [(tr("cam"), true), (tr("old"), true)]);
    let effects = harness.subscribe("eve", "cam", false);
    assert_eq!(closed(&effects), [(pa("eve"), tr("old"))]);
}

#[test]
fn other_codec_outlives_its_track() {
    let (mut harness, _) = meeting();
    harness.publish("ann", old());
    harness.open("old");
    let effects = harness.handle(Command::Unpublish { track: tr("cam") });
    assert!(closed(&effects).contains(&(pa("eve"), tr("old"))));
    assert!(harness.room.track(&tr("old")).is_none());
    // A track that is gone cannot be backed up.
    let effects = harness.publish("ann", old());
    let refused = told(&effects, "ann");
    let reason = Refusal::NotFound;
    let client_id = "client-old".to_owned();
    assert_eq!(refused, [&Notification::TrackRefused { client_id, reason }]);
}

#[test]
fn codec_that_nobody_asked_for_is_taken() {
    let mut harness = Harness::with(&["ann", "bob"]);
    harness.live("ann", modern());
    let refused = |effects: &[Effect], name: &str| {
        let mut told = told(effects, name).into_iter();
        told.any(|it| matches!(it, Notification::TrackRefused { .. }))
    };
    let effects = harness.publish("ann", old());
    assert!(refused(&effects, "ann"), "before anybody needs it");
    harness.fail("bob", "cam", Some(Codec::Av1));
    let effects = harness.publish("bob", old());
    assert!(refused(&effects, "bob"), "of somebody else's track");
    let other = NewTrack {
        codec: Some(Codec::H264),
        ..old()
    };
    let effects = harness.publish("ann", other);
    assert!(refused(&effects, "ann"), "another one than was asked for");
    let effects = harness.publish("ann", old());
    assert!(!refused(&effects, "ann"));
}

#[test]
fn who_gets_the_other_codec_gets_both_when_the_first_changes() {
    let (mut harness, _) = meeting();
    harness.publish("ann", old());
    harness.open("old");
    let effects = harness.handle(Command::TrackCodec {
        track: tr("cam"),
        codec: Codec::H264,
    });
    let opened: Vec<_> = opened(&effects)
        .into_iter()
        .map(|(who, track, _)| (who, track))
        .collect();
    assert_eq!(opened, [(pa("eve"), tr("cam"))]);
    assert_eq!(closed(&effects), [(pa("eve"), tr("old"))]);
}

#[test]
fn other_codec_is_sent_although_nobody_watches_it() {
    let (mut harness, _) = meeting();
    harness.publish("ann", old());
    harness.open("old");
    harness.leave("eve");
    let effects = harness.wait(10_000);
    assert_eq!(
        asked(&effects, "ann"),
        [(tr("cam"), Some(Codec::Vp8), None)]
    );
}
