use std::collections::BTreeMap;

use umbrella_room::command::ParticipantChange;
use umbrella_room::effect::Refusal;
use umbrella_room::{Command, Effect, Limits, Notification};

use crate::harness::*;

fn update(room: &mut Harness, name: &str, change: ParticipantChange) -> Vec<Effect> {
    room.handle(Command::UpdateSelf {
        participant: pa(name),
        request: 5,
        change,
    })
}

fn answer(effects: &[Effect], name: &str) -> Result<(), Refusal> {
    let last = told(effects, name).pop();
    let Some(Notification::Response { request: 5, result }) = last else {
        panic!("{last:?}")
    };
    *result
}

fn attributes(pairs: &[(&str, &str)]) -> ParticipantChange {
    let attributes: BTreeMap<_, _> = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    ParticipantChange {
        attributes,
        ..ParticipantChange::default()
    }
}

#[test]
fn new_name_is_seen_by_all_and_acknowledged() {
    let mut room = Harness::with(&["a", "b"]);
    let change = ParticipantChange {
        name: Some("Ann".to_owned()),
        ..Default::default()
    };
    let effects = update(&mut room, "a", change.clone());
    assert_eq!(seen(&effects, "b")[0].name, "Ann");
    assert_eq!(seen(&effects, "a")[0].name, "Ann");
    assert_eq!(answer(&effects, "a"), Ok(()));
    let effects = update(&mut room, "a", change);
    assert!(told(&effects, "b").is_empty(), "nothing has changed");
    assert_eq!(answer(&effects, "a"), Ok(()));
}

#[test]
fn attributes_are_merged_and_removed_by_an_empty_value() {
    let mut room = Harness::with(&["a", "b"]);
    update(&mut room, "a", attributes(&[("x", "1"), ("y", "2")]));
    let effects = update(&mut room, "a", attributes(&[("y", ""), ("z", "3")]));
    let keys: Vec<_> = seen(&effects, "b")[0].attributes.keys().cloned().collect();
    assert_eq!(keys, ["x", "z"]);
}

#[test]
fn rename_needs_its_grant() {
    let mut room = Harness::with(&["b"]);
    let mut plain = newcomer("a");
    plain.permission.update_own_metadata = false;
    room.join(plain);
    let effects = update(&mut room, "a", attributes(&[("x", "1")]));
    assert_eq!(answer(&effects, "a"), Err(Refusal::NotAllowed));
    assert!(told(&effects, "b").is_empty());
}

#[test]
fn attributes_cannot_grow_for_ever_in_small_steps() {
    let mut room = Harness::limited(
        0,
        Limits {
            attributes: 20,
            ..Limits::default()
        },
    );
    room.join(newcomer("a"));
    let mut refused = 0;
    for i in 0..20 {
        let key = format!("key{i:02}");
        let effects = update(&mut room, "a", attributes(&[(&key, "x")]));
        refused += usize::from(answer(&effects, "a") == Err(Refusal::LimitExceeded));
    }
    assert_eq!(refused, 17);
}

#[test]
fn half_of_a_refused_update_is_not_applied() {
    let mut room = Harness::limited(
        0,
        Limits {
            metadata: 4,
            ..Limits::default()
        },
    );
    room.join(newcomer("a"));
    let change = ParticipantChange {
        name: Some("Ann".to_owned()),
        metadata: Some("12345".to_owned()),
        ..Default::default()
    };
    assert_eq!(
        answer(&update(&mut room, "a", change), "a"),
        Err(Refusal::LimitExceeded)
    );
    assert_eq!(room.room.participant_by_id(&pa("a")).unwrap().name, "A");
}

#[test]
fn every_change_is_a_newer_version() {
    let mut room = Harness::with(&["a", "b"]);
    let mut versions = Vec::new();
    let mut note = |effects: Vec<Effect>| {
        versions.extend(seen(&effects, "b").iter().map(|view| view.version));
    };
    note(room.handle(Command::MediaConnected {
        participant: pa("a"),
    }));
    note(room.live("a", camera("c")));
    note(room.mute("a", "c", true));
    note(update(&mut room, "a", attributes(&[("x", "1")])));
    note(room.handle(Command::Unpublish { track: tr("c") }));
    note(room.leave("a"));
    assert_eq!(versions.len(), 6);
    assert!(
        versions.windows(2).all(|pair| pair[0] < pair[1]),
        "{versions:?}"
    );
}
