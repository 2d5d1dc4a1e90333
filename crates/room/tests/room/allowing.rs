use umbrella_room::command::{Allowance, AllowedSubscribers};
use umbrella_room::model::{Identity, TrackId};
use umbrella_room::{Command, Effect, Notification};

use crate::harness::*;

fn of_identity(name: &str, tracks: Option<&[&str]>) -> Allowance {
    Allowance {
        participant: None,
        identity: Some(Identity::new(name)),
        tracks: tracks.map(|tracks| tracks.iter().map(|track| tr(track)).collect()),
    }
}

fn of_stay(name: &str) -> Allowance {
    Allowance {
        participant: Some(pa(name)),
        identity: None,
        tracks: None,
    }
}

fn allow(room: &mut Harness, name: &str, list: Vec<Allowance>) -> Vec<Effect> {
    room.handle(Command::AllowSubscribers {
        participant: pa(name),
        allowed: AllowedSubscribers::Listed(list),
    })
}

/// What somebody was told that it may have, or may not.
fn allowed(effects: &[Effect], name: &str) -> Vec<(TrackId, bool)> {
    let allowed = told(effects, name).into_iter().filter_map(|notification| {
        let Notification::SubscriptionAllowed {
            publisher,
            track,
            allowed,
        } = notification
        else {
            return None;
        };
        assert_eq!(*publisher, pa("a"));
        Some((track.clone(), *allowed))
    });
    allowed.collect()
}

/// `a` publishes `m` and `c`; `b` and `d` are in.
fn room() -> Harness {
    let mut room = Harness::with(&["a", "b", "d"]);
    room.live("a", microphone("m"));
    room.live("a", camera("c"));
    room
}

#[test]
fn picture_goes_on_to_somebody_who_may_not_have_it_any_more() {
    let mut room = room();
    let effects = allow(&mut room, "a", vec![of_identity("b", Some(&["m"]))]);
    assert_eq!(
        closed(&effects),
        [(pa("d"), tr("m")), (pa("b"), tr("c")), (pa("d"), tr("c"))]
    );
    assert_eq!(allowed(&effects, "b"), [(tr("c"), false)]);
    assert_eq!(allowed(&effects, "d"), [(tr("m"), false), (tr("c"), false)]);
    let effects = room.subscribe("d", "m", true);
    assert!(opened(&effects).is_empty());
    assert_eq!(allowed(&effects, "d"), [(tr("m"), false)], "it asked again");
    let again = allow(&mut room, "a", vec![of_identity("b", Some(&["m"]))]);
    assert!(again.is_empty(), "nothing has changed");

    let effects = room.handle(Command::AllowSubscribers {
        participant: pa("a"),
        allowed: AllowedSubscribers::Everybody,
    });
    assert_eq!(opened(&effects).len(), 3);
    assert_eq!(allowed(&effects, "b"), [(tr("c"), true)]);
    let told = place(
        &effects,
        |e| matches!(e, Effect::Notify { to, .. } if *to == pa("b")),
    );
    let sent = place(
        &effects,
        |e| matches!(e, Effect::OpenConsumer { subscriber, .. } if *subscriber == pa("b")),
    );
    assert!(told < sent);
}

#[test]
fn who_comes_later_gets_what_is_not_for_it() {
    let mut room = room();
    allow(&mut room, "a", vec![of_identity("e", None)]);
    let effects = room.join(newcomer("f"));
    assert!(opened(&effects).is_empty());
    assert_eq!(allowed(&effects, "f"), [(tr("m"), false), (tr("c"), false)]);
    let joined = place(&effects, |e| {
        matches!(
            e,
            Effect::Notify {
                notification: Notification::Joined(_),
                ..
            }
        )
    });
    assert_eq!(joined, 0, "it knows the tracks before it hears of them");
}

#[test]
fn invited_identity_is_locked_out_when_it_comes_later() {
    let mut room = room();
    allow(&mut room, "a", vec![of_identity("e", None)]);
    let effects = room.join(newcomer("e"));
    assert_eq!(opened(&effects).len(), 2);
    assert!(allowed(&effects, "e").is_empty());
}

#[test]
fn new_track_is_sent_to_somebody_who_may_not_have_it() {
    let mut room = room();
    allow(
        &mut room,
        "a",
        vec![of_identity("b", None), of_identity("d", Some(&["m"]))],
    );
    let effects = room.live("a", microphone("n"));
    let got: Vec<_> = opened(&effects).into_iter().map(|(who, ..)| who).collect();
    assert_eq!(got, [pa("b")]);
    assert_eq!(allowed(&effects, "d"), [(tr("n"), false)]);
}

#[test]
fn allowance_of_a_stay_ends_with_it() {
    let mut room = room();
    assert!(closed(&allow(&mut room, "a", vec![of_stay("b"), of_stay("d")])).is_empty());
    room.leave("b");
    let again = umbrella_room::command::Join {
        id: pa("b2"),
        ..newcomer("b")
    };
    assert!(opened(&room.join(again)).is_empty());
}

#[test]
fn nonsense_lets_somebody_in() {
    let mut room = room();
    let nobody = Allowance {
        participant: None,
        identity: None,
        tracks: None,
    };
    let two = Allowance {
        participant: Some(pa("b")),
        ..of_identity("d", None)
    };
    let foreign = of_identity("d", Some(&["nothing"]));
    let list = vec![nobody, two, of_stay("gone"), foreign];
    assert_eq!(closed(&allow(&mut room, "a", list)).len(), 4);
}

#[test]
fn name_and_stale_stay_of_one_person_lock_it_out() {
    let mut room = room();
    let both = Allowance {
        participant: Some(pa("earlier")),
        ..of_identity("b", None)
    };
    let list = vec![
        both,
        of_identity("d", Some(&["m"])),
        of_identity("d", Some(&["c"])),
    ];
    assert!(allow(&mut room, "a", list).is_empty());
}

#[test]
fn longest_list_is_cut() {
    let mut room = room();
    let mut list: Vec<_> = (0..5000)
        .map(|n| of_identity(&n.to_string(), None))
        .collect();
    list.push(of_identity("b", None));
    assert_eq!(closed(&allow(&mut room, "a", list)).len(), 4);
}

#[test]
fn somebody_else_decides_over_a_track() {
    let mut room = room();
    assert!(allow(&mut room, "b", vec![of_identity("b", None)]).is_empty());
    assert!(allow(&mut room, "nobody", Vec::new()).is_empty());
}
