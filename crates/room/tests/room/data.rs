use std::sync::Arc;

use umbrella_room::command::Reliability;
use umbrella_room::model::{Identity, ParticipantId};
use umbrella_room::{Command, Effect, Limits};

use crate::harness::*;

fn send(room: &mut Harness, from: Option<&str>, to: &[&str], size: usize) -> Vec<ParticipantId> {
    let effects = room.handle(Command::Data {
        from: from.map(pa),
        to: to.iter().map(|name| Identity::new(*name)).collect(),
        reliability: Reliability::Reliable,
        payload: Arc::from(vec![7; size]),
    });
    match effects.as_slice() {
        [] => Vec::new(),
        [Effect::SendData { to, .. }] => to.clone(),
        effects => panic!("{effects:?}"),
    }
}

#[test]
fn message_reaches_everybody_but_its_sender() {
    let mut room = Harness::with(&["a", "b", "c"]);
    room.join(hidden("h"));
    assert_eq!(
        send(&mut room, Some("a"), &[], 1),
        [pa("b"), pa("c"), pa("h")]
    );
    assert_eq!(
        send(&mut room, Some("h"), &[], 1),
        [pa("a"), pa("b"), pa("c")]
    );
    assert_eq!(send(&mut room, None, &[], 1).len(), 4);
}

#[test]
fn private_message_reaches_nobody_else_and_nobody_twice() {
    let mut room = Harness::with(&["a", "b", "c"]);
    assert_eq!(
        send(&mut room, Some("a"), &["c", "c", "a", "stranger"], 1),
        [pa("c")]
    );
    assert_eq!(send(&mut room, None, &["b"], 1), [pa("b")]);
}

#[test]
fn message_to_strangers_only_is_not_sent_to_all() {
    let mut room = Harness::with(&["a", "b"]);
    assert!(send(&mut room, Some("a"), &["stranger"], 1).is_empty());
}

#[test]
fn silenced_participant_cannot_write() {
    let mut room = Harness::with(&["b"]);
    let mut silenced = newcomer("a");
    silenced.permission.publish_data = false;
    room.join(silenced);
    assert!(send(&mut room, Some("a"), &[], 1).is_empty());
    assert!(send(&mut room, Some("gone"), &[], 1).is_empty());
}

#[test]
fn oversized_message_is_dropped() {
    let mut room = Harness::limited(
        0,
        Limits {
            data_message: 10,
            ..Limits::default()
        },
    );
    room.join(newcomer("a"));
    room.join(newcomer("b"));
    assert_eq!(send(&mut room, Some("a"), &[], 10).len(), 1);
    assert!(send(&mut room, Some("a"), &[], 11).is_empty());
}
