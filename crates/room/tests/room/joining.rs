use umbrella_room::effect::Refusal;
use umbrella_room::model::{LeaveReason, ParticipantState, Permission};
use umbrella_room::{Command, Effect, Limits, Notification, Reason};

use crate::harness::*;

#[test]
fn newcomer_knows_everybody_before_it_hears_anything_else() {
    let mut room = Harness::with(&["a"]);
    room.live("a", microphone("m"));
    let effects = room.join(newcomer("b"));
    let told = told(&effects, "b");
    let Notification::Joined(snapshot) = told[0] else {
        panic!("{told:?}")
    };
    assert_eq!(snapshot.participant.id, pa("b"));
    assert_eq!(snapshot.others.len(), 1);
    assert_eq!(snapshot.others[0].tracks[0].id, tr("m"));
    assert_eq!(snapshot.room.participants, 2);
    assert!(matches!(&effects[0], Effect::Notify { to, .. } if *to == pa("b")));
}

#[test]
fn others_see_who_joins_and_who_leaves() {
    let mut room = Harness::with(&["a"]);
    let joined = seen(&room.join(newcomer("b")), "a");
    assert_eq!(
        (joined[0].id.clone(), joined[0].state),
        (pa("b"), ParticipantState::Joined)
    );
    let left = seen(&room.leave("b"), "a");
    assert_eq!(left[0].state, ParticipantState::Left);
    assert_eq!(left[0].left, Some(LeaveReason::Asked));
    assert!(left[0].version > joined[0].version);
}

#[test]
fn reloaded_page_does_not_meet_its_own_ghost() {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", microphone("m"));
    let mut again = newcomer("a");
    again.id = pa("a2");
    let effects = room.join(again);
    assert!(told(&effects, "a").contains(&&Notification::Leave(LeaveReason::DuplicateIdentity)));
    assert!(effects.iter().any(|effect| matches!(effect,
        Effect::Disconnect { participant, reason: LeaveReason::DuplicateIdentity }
        if *participant == pa("a"))));
    let seen = seen(&effects, "b");
    assert_eq!(
        (seen[0].id.clone(), seen[0].state),
        (pa("a"), ParticipantState::Left)
    );
    assert_eq!(
        (seen[1].id.clone(), seen[1].state),
        (pa("a2"), ParticipantState::Joined)
    );
    let Notification::Joined(snapshot) = told(&effects, "a2")[0] else {
        panic!()
    };
    assert!(snapshot.others.iter().all(|other| other.id == pa("b")));
}

#[test]
fn only_one_in_the_room_can_reload_without_the_room_ending() {
    let mut room = Harness::with(&["a"]);
    let mut again = newcomer("a");
    again.id = pa("a2");
    assert!(!room.join(again).iter().any(is_empty_effect));
    assert_eq!(
        room.leave("a2")
            .iter()
            .filter(|effect| is_empty_effect(effect))
            .count(),
        1
    );
}

#[test]
fn late_goodbye_of_a_replaced_stay_does_not_remove_the_new_one() {
    let mut room = Harness::with(&["a"]);
    let mut again = newcomer("a");
    again.id = pa("a2");
    room.join(again);
    assert!(room.leave("a").is_empty());
    assert!(room.room.participant_by_id(&pa("a2")).is_some());
}

#[test]
fn full_room_says_so_and_lets_nobody_in() {
    let mut room = Harness::limited(2, Limits::default());
    room.join(newcomer("a"));
    room.join(newcomer("b"));
    assert_eq!(room.room.admit(&newcomer("c")), Err(Refusal::RoomFull));
    let effects = room.join(newcomer("c"));
    assert!(matches!(
        effects[..],
        [
            Effect::Notify {
                notification: Notification::Leave(_),
                ..
            },
            Effect::Disconnect { .. },
        ]
    ));
    assert!(room.room.participant_by_id(&pa("c")).is_none());
    assert_eq!(room.room.admit(&hidden("c")), Ok(()));
}

#[test]
fn lower_bound_sends_somebody_away_or_lets_more_in() {
    let bound = |participants| Limits {
        participants,
        ..Limits::default()
    };
    let mut room = Harness::limited(0, bound(3));
    room.join(newcomer("a"));
    room.join(newcomer("b"));
    room.room.set_limits(bound(1));
    assert!(room.room.participant_by_id(&pa("b")).is_some());
    assert_eq!(room.room.admit(&newcomer("c")), Err(Refusal::RoomFull));
    room.room.set_limits(bound(3));
    assert_eq!(room.room.admit(&newcomer("c")), Ok(()));
}

#[test]
fn full_room_lets_a_reloaded_page_back_in() {
    let mut room = Harness::limited(
        2,
        Limits {
            participants: 2,
            ..Limits::default()
        },
    );
    room.join(newcomer("a"));
    room.join(newcomer("b"));
    let mut again = newcomer("a");
    again.id = pa("a2");
    assert_eq!(room.room.admit(&again), Ok(()));
}

#[test]
fn configured_bound_counts_hidden_ones_too() {
    let mut room = Harness::limited(
        0,
        Limits {
            participants: 1,
            ..Limits::default()
        },
    );
    room.join(hidden("h"));
    assert_eq!(room.room.admit(&newcomer("a")), Err(Refusal::RoomFull));
}

#[test]
fn huge_metadata_in_a_token_is_refused_at_the_door() {
    let room = Harness::limited(
        0,
        Limits {
            metadata: 10,
            ..Limits::default()
        },
    );
    let join = umbrella_room::command::Join {
        metadata: "x".repeat(11),
        ..newcomer("a")
    };
    assert_eq!(room.room.admit(&join), Err(Refusal::LimitExceeded));
}

#[test]
fn hidden_participant_is_noticed_by_nobody_and_sees_everybody() {
    let mut room = Harness::with(&["a"]);
    room.live("a", microphone("m"));
    let effects = room.join(hidden("h"));
    assert!(told(&effects, "a").is_empty());
    let Notification::Joined(snapshot) = told(&effects, "h")[0] else {
        panic!()
    };
    assert_eq!(snapshot.others.len(), 1);
    assert_eq!(snapshot.room.participants, 1);
    assert_eq!(opened(&effects).len(), 1);

    let media = room.handle(Command::MediaConnected {
        participant: pa("h"),
    });
    assert!(told(&media, "a").is_empty());
    assert_eq!(seen(&media, "h").len(), 1);
    let effects = room.join(newcomer("b"));
    let Notification::Joined(snapshot) = told(&effects, "b")[0] else {
        panic!()
    };
    assert_eq!(snapshot.others.len(), 1);
    assert_eq!(seen(&effects, "h").len(), 1);
    assert!(told(&room.leave("h"), "a").is_empty());
}

#[test]
fn administrator_sees_hidden_ones() {
    let mut room = Harness::with(&["a"]);
    room.join(hidden("h"));
    let flags: Vec<_> = room
        .room
        .participants()
        .map(|p| p.permission.hidden)
        .collect();
    assert_eq!(flags, [false, true]);
}

#[test]
fn media_coming_up_is_told_once() {
    let mut room = Harness::with(&["a", "b"]);
    let effects = room.handle(Command::MediaConnected {
        participant: pa("a"),
    });
    assert_eq!(seen(&effects, "b")[0].state, ParticipantState::Active);
    assert_eq!(seen(&effects, "a")[0].state, ParticipantState::Active);
    assert!(
        room.handle(Command::MediaConnected {
            participant: pa("a")
        })
        .is_empty()
    );
}

#[test]
fn empty_is_said_when_the_last_one_goes_and_only_then() {
    let mut room = Harness::with(&["a", "b"]);
    assert!(!room.leave("a").iter().any(is_empty_effect));
    let effects = room.leave("b");
    assert!(is_empty_effect(effects.last().unwrap()));
    assert!(room.leave("b").is_empty());
    assert_eq!(room.next_reason(), None);
}

#[test]
fn crowd_at_the_door_does_not_repeat_the_head_count_to_everybody() {
    let mut room = Harness::new();
    for name in ["a", "b", "c", "d"] {
        let effects = room.join(newcomer(name));
        assert!(!effects.iter().any(|effect| matches!(
            effect,
            Effect::Notify {
                notification: Notification::Room(_),
                ..
            }
        )));
    }
    assert_eq!(room.next_reason(), Some(Reason::RoomChanged));
    let effects = room.wait(1000);
    assert_eq!(told(&effects, "a").len(), 1);
    let Notification::Room(view) = told(&effects, "a")[0] else {
        panic!()
    };
    assert_eq!(view.participants, 4);
    assert!(room.wait(5000).is_empty());
}

#[test]
fn newcomer_between_two_changes_is_not_left_with_a_stale_head_count() {
    let mut room = Harness::with(&["a", "b"]);
    room.wait(1000);
    room.join(newcomer("c"));
    room.leave("b");
    let effects = room.wait(1000);
    let Notification::Room(view) = told(&effects, "c")[0] else {
        panic!()
    };
    assert_eq!(view.participants, 2);
}

#[test]
fn recorder_is_announced_even_when_hidden() {
    let mut room = Harness::with(&["a"]);
    room.wait(1000);
    let mut recorder = hidden("r");
    recorder.permission = Permission {
        recorder: true,
        ..recorder.permission
    };
    room.join(recorder);
    let effects = room.wait(1000);
    let Notification::Room(view) = told(&effects, "a")[0] else {
        panic!()
    };
    assert!(view.recording);
    assert_eq!(view.participants, 1);
}
