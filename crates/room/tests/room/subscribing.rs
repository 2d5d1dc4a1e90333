use umbrella_media::{Codec, Delivery, Spatial};
use umbrella_room::model::TrackSettings;
use umbrella_room::{Command, Notification};

use crate::harness::*;

#[test]
fn everybody_gets_what_is_published_before_and_after_joining() {
    let mut room = Harness::with(&["a", "b"]);
    assert_eq!(
        opened(&room.live("a", microphone("m"))),
        [(pa("b"), tr("m"), Delivery::FULL)]
    );
    assert_eq!(
        opened(&room.join(newcomer("c"))),
        [(pa("c"), tr("m"), Delivery::FULL)]
    );
}

#[test]
fn nobody_hears_itself() {
    let mut room = Harness::with(&["a"]);
    assert!(opened(&room.live("a", microphone("m"))).is_empty());
    assert!(room.subscribe("a", "m", true).is_empty());
    assert!(room.settings("a", "m", tile(1, 1)).is_empty());
}

#[test]
fn unsubscribed_track_stops_and_can_be_had_again() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", microphone("m"));
    assert_eq!(
        closed(&room.subscribe("b", "m", false)),
        [(pa("b"), tr("m"))]
    );
    assert!(room.subscribe("b", "m", false).is_empty());
    assert_eq!(opened(&room.subscribe("b", "m", true)).len(), 1);
    assert!(room.subscribe("b", "m", true).is_empty());
}

#[test]
fn choosing_client_gets_nothing_that_it_did_not_choose() {
    let mut room = Harness::with(&["a"]);
    room.live("a", microphone("m"));
    let chooser = umbrella_room::command::Join {
        auto_subscribe: false,
        ..newcomer("b")
    };
    assert!(opened(&room.join(chooser)).is_empty());
    assert!(opened(&room.live("a", camera("c"))).is_empty());
    assert_eq!(opened(&room.subscribe("b", "c", true)).len(), 1);
}

#[test]
fn who_may_not_subscribe_gets_nothing_whatever_it_asks() {
    let mut room = Harness::with(&["a"]);
    room.live("a", microphone("m"));
    let mut deaf = newcomer("b");
    deaf.permission.subscribe = false;
    assert!(opened(&room.join(deaf)).is_empty());
    assert!(room.subscribe("b", "m", true).is_empty());
}

#[test]
fn hidden_tile_stops_its_packets_and_shows_again() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", camera("c"));
    let off = TrackSettings {
        disabled: true,
        ..tile(640, 360)
    };
    assert!(configured(&room.settings("b", "c", off))[0].1.paused);
    let on = configured(&room.settings("b", "c", tile(640, 360)));
    assert!(!on[0].1.paused);
    assert_eq!(on[0].1.layer.spatial, Spatial::MEDIUM);
}

#[test]
fn window_dragged_wider_does_not_flood_the_engine() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", camera("c"));
    let changes: usize = (100..1400)
        .map(|width| configured(&room.settings("b", "c", tile(width, width * 9 / 16))).len())
        .sum();
    assert_eq!(
        changes, 4,
        "to low, to medium, to high, and to what is large"
    );
}

#[test]
fn settings_survive_an_unsubscription() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", camera("c"));
    room.settings("b", "c", tile(100, 50));
    room.subscribe("b", "c", false);
    assert!(room.settings("b", "c", tile(120, 60)).is_empty());
    let again = opened(&room.subscribe("b", "c", true));
    assert_eq!(again[0].2.layer.spatial, Spatial::LOW);
}

#[test]
fn adaptive_client_is_not_flooded_on_joining() {
    let mut room = Harness::with(&["a"]);
    room.live("a", camera("c"));
    room.live("a", microphone("m"));
    let adaptive = umbrella_room::command::Join {
        adaptive_stream: true,
        ..newcomer("b")
    };
    let opened = opened(&room.join(adaptive));
    assert_eq!(opened[0].2.layer.spatial, Spatial::LOW);
    assert_eq!(opened[1].2, Delivery::FULL);
}

#[test]
fn undecodable_track_is_reported_and_tried_again_with_another_codec() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", camera("c"));
    room.handle(Command::TrackCodec {
        track: tr("c"),
        codec: Codec::Av1,
    });
    let effects = room.fail("b", "c", Some(Codec::Av1));
    assert_eq!(
        told(&effects, "b"),
        [&Notification::SubscriptionFailed {
            track: tr("c"),
            codec: Some(Codec::Av1)
        }]
    );
    assert!(
        closed(&effects).is_empty(),
        "the engine has closed it already"
    );
    assert!(room.settings("b", "c", tile(10, 10)).is_empty());
    let effects = room.handle(Command::TrackCodec {
        track: tr("c"),
        codec: Codec::Vp8,
    });
    assert_eq!(opened(&effects).len(), 1);
}

#[test]
fn failed_subscription_can_be_asked_for_again() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", camera("c"));
    room.fail("b", "c", None);
    assert!(room.fail("b", "c", None).is_empty());
    assert_eq!(opened(&room.subscribe("b", "c", true)).len(), 1);
}

#[test]
fn failure_that_crossed_with_an_unsubscription_is_ignored() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", camera("c"));
    room.subscribe("b", "c", false);
    assert!(room.fail("b", "c", None).is_empty());
}

#[test]
fn leaving_subscriber_leaves_no_consumer_behind() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", camera("c"));
    room.live("b", microphone("m"));
    let mut closed = closed(&room.leave("b"));
    closed.sort();
    assert_eq!(closed, [(pa("a"), tr("m")), (pa("b"), tr("c"))]);
    assert!(opened(&room.live("a", microphone("n"))).is_empty());
}

#[test]
fn commands_about_what_is_gone_do_nothing() {
    let mut room = Harness::with(&["a", "b"]);
    assert!(room.subscribe("b", "nothing", true).is_empty());
    assert!(room.subscribe("nobody", "nothing", true).is_empty());
    assert!(room.settings("b", "nothing", tile(1, 1)).is_empty());
    assert!(room.fail("b", "nothing", None).is_empty());
    assert!(room.open("nothing").is_empty());
    assert!(room.mute("b", "nothing", true).is_empty());
    assert!(room.publish("nobody", microphone("m")).is_empty());
}
