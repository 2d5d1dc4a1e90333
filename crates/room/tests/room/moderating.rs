use umbrella_room::command::{Moderation, ParticipantChange};
use umbrella_room::effect::Refusal;
use umbrella_room::model::{Identity, LeaveReason, ParticipantState, Permission, Source};
use umbrella_room::{Command, Effect, Limits, Notification};

use crate::harness::*;

#[test]
fn removed_person_is_told_and_gone() {
    let mut room = Harness::with(&["a", "b"]);
    let effects = room.moderate(Moderation::Remove {
        identity: Identity::new("a"),
    });
    assert_eq!(
        told(&effects, "a"),
        [&Notification::Leave(LeaveReason::Removed)]
    );
    assert_eq!(seen(&effects, "b")[0].left, Some(LeaveReason::Removed));
    assert!(
        room.moderate(Moderation::Remove {
            identity: Identity::new("a")
        })
        .is_empty()
    );
}

#[test]
fn removing_the_last_one_ends_the_room() {
    let mut room = Harness::with(&["a"]);
    let effects = room.moderate(Moderation::Remove {
        identity: Identity::new("a"),
    });
    assert!(is_empty_effect(effects.last().unwrap()));
}

#[test]
fn muted_by_a_moderator_is_quiet_at_once_and_may_unmute_itself() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", microphone("m"));
    let effects = room.moderate(Moderation::Mute {
        track: tr("m"),
        muted: true,
    });
    assert_eq!(
        told(&effects, "a"),
        [&Notification::TrackMuted {
            track: tr("m"),
            muted: true
        }],
        "an echo of its own state could make its client answer"
    );
    assert!(seen(&effects, "b")[0].tracks[0].muted);
    assert!(
        effects
            .iter()
            .any(|e| matches!(e, Effect::PauseProducer { paused: true, .. }))
    );
    let effects = room.mute("a", "m", false);
    assert!(!seen(&effects, "b")[0].tracks[0].muted);
}

#[test]
fn watcher_promoted_to_speaker_can_publish() {
    let mut room = Harness::with(&["b"]);
    let mut watcher = newcomer("a");
    watcher.permission.publish = false;
    room.join(watcher);
    let effects = room.permit("a", anything());
    assert!(
        seen(&effects, "a")[0].permission.publish,
        "its client shows the buttons now"
    );
    assert!(seen(&effects, "b")[0].permission.publish);
    assert!(!opened(&{ room.live("a", microphone("m")) }).is_empty());
}

#[test]
fn speaker_made_a_watcher_is_cut_off() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", microphone("m"));
    room.live("a", camera("c"));
    let mike_only = Permission {
        sources: vec![Source::Microphone],
        ..anything()
    };
    let effects = room.permit("a", mike_only);
    assert_eq!(closed(&effects), [(pa("b"), tr("c"))]);
    assert!(told(&effects, "a").contains(&&Notification::TrackUnpublished { track: tr("c") }));
    assert_eq!(seen(&effects, "b").len(), 1, "one update says all");
    assert_eq!(seen(&effects, "b")[0].tracks.len(), 1);
    let effects = room.permit(
        "a",
        Permission {
            publish: false,
            ..anything()
        },
    );
    assert_eq!(closed(&effects), [(pa("b"), tr("m"))]);
    assert!(!seen(&effects, "b")[0].publishing);
}

#[test]
fn pending_track_does_not_survive_the_loss_of_its_grant() {
    let mut room = Harness::with(&["a", "b"]);
    room.publish("a", microphone("m"));
    let effects = room.permit(
        "a",
        Permission {
            publish: false,
            ..anything()
        },
    );
    assert!(told(&effects, "a").contains(&&Notification::TrackUnpublished { track: tr("m") }));
    assert!(room.open("m").is_empty());
}

#[test]
fn lost_grant_to_listen_closes_and_a_new_one_opens() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", microphone("m"));
    room.live("a", camera("c"));
    room.subscribe("b", "c", false);
    let effects = room.permit(
        "b",
        Permission {
            subscribe: false,
            ..anything()
        },
    );
    assert_eq!(closed(&effects), [(pa("b"), tr("m"))]);
    let effects = room.permit("b", anything());
    assert_eq!(opened(&effects).len(), 1, "what it did not want stays away");
    assert_eq!(opened(&effects)[0].1, tr("m"));
    assert!(room.permit("b", anything()).is_empty());
}

#[test]
fn who_becomes_hidden_vanishes_and_can_come_back() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", microphone("m"));
    room.wait(1000);
    let effects = room.permit(
        "a",
        Permission {
            hidden: true,
            ..anything()
        },
    );
    assert_eq!(closed(&effects), [(pa("b"), tr("m"))]);
    let last = seen(&effects, "b");
    assert_eq!((last.len(), last[0].state), (1, ParticipantState::Left));
    assert!(last[0].tracks.is_empty());
    assert!(seen(&effects, "a")[0].permission.hidden);
    assert_eq!(room.room.view().participants, 1);
    let effects = room.permit("a", anything());
    let back = seen(&effects, "b");
    assert_eq!(
        (back[0].state, back[0].left),
        (ParticipantState::Joined, None)
    );
    assert!(back[0].version > last[0].version);
}

#[test]
fn moderator_can_rename_but_not_beyond_the_limits() {
    let mut room = Harness::limited(
        0,
        Limits {
            name: 4,
            ..Limits::default()
        },
    );
    room.join(newcomer("a"));
    let named = |name: &str| ParticipantChange {
        name: Some(name.to_owned()),
        ..Default::default()
    };
    let (a, nobody) = (Identity::new("a"), Identity::new("nobody"));
    assert_eq!(room.room.admit_change(&a, &named("Bob")), Ok(()));
    assert_eq!(
        room.room.admit_change(&nobody, &named("Bob")),
        Err(Refusal::NotFound)
    );
    assert_eq!(
        room.room.admit_change(&a, &named("Robert")),
        Err(Refusal::LimitExceeded)
    );
    let update = |change, permission| Moderation::Update {
        identity: a.clone(),
        change,
        permission,
    };
    assert_eq!(
        seen(&room.moderate(update(named("Bob"), None)), "a")[0].name,
        "Bob"
    );
    let none = Permission {
        publish: false,
        ..anything()
    };
    assert!(
        room.moderate(update(named("Robert"), Some(none)))
            .is_empty()
    );
}

#[test]
fn room_metadata_reaches_everybody_at_once() {
    let mut room = Harness::with(&["a"]);
    room.wait(1000);
    room.join(hidden("h"));
    let set = |metadata: &str| Moderation::SetRoomMetadata {
        metadata: metadata.to_owned(),
    };
    let effects = room.moderate(set("topic"));
    for name in ["a", "h"] {
        let Notification::Room(view) = told(&effects, name)[0] else {
            panic!()
        };
        assert_eq!(view.metadata, "topic");
    }
    assert!(room.moderate(set("topic")).is_empty());
    assert!(room.moderate(set(&"x".repeat(70_000))).is_empty());
    let effects = room.join(newcomer("b"));
    let Notification::Joined(snapshot) = told(&effects, "b")[0] else {
        panic!()
    };
    assert_eq!(snapshot.room.metadata, "topic");
}

#[test]
fn closed_room_sends_everybody_away_and_ends_once() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", microphone("m"));
    let effects = room.moderate(Moderation::Close {
        reason: LeaveReason::RoomDeleted,
    });
    for name in ["a", "b"] {
        assert_eq!(
            told(&effects, name),
            [&Notification::Leave(LeaveReason::RoomDeleted)]
        );
    }
    assert_eq!(closed(&effects).len(), 1);
    assert_eq!(
        effects
            .iter()
            .filter(|effect| is_empty_effect(effect))
            .count(),
        1
    );
    assert!(is_empty_effect(effects.last().unwrap()));
    assert!(room.room.is_empty());
    assert!(
        room.moderate(Moderation::Close {
            reason: LeaveReason::RoomDeleted
        })
        .is_empty()
    );
    assert!(
        room.handle(Command::MediaConnected {
            participant: pa("a")
        })
        .is_empty()
    );
}

#[test]
fn new_bound_on_participants_sends_somebody_away_or_is_not_told() {
    let mut room = Harness::with(&["a", "b"]);
    let bound = |max_participants| Moderation::SetMaxParticipants { max_participants };
    let effects = room.moderate(bound(1));
    for name in ["a", "b"] {
        let [Notification::Room(view)] = told(&effects, name)[..] else {
            panic!("{effects:?}");
        };
        assert_eq!((view.max_participants, view.participants), (1, 2));
    }
    assert_eq!(room.room.admit(&newcomer("c")), Err(Refusal::RoomFull));
    assert!(room.moderate(bound(1)).is_empty(), "nothing has changed");
    room.moderate(bound(3));
    assert_eq!(room.room.admit(&newcomer("c")), Ok(()));
}
