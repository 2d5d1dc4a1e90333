use std::sync::Arc;

use umbrella_room::{Effect, Notification};

use crate::harness::*;

#[test]
fn thousand_people_are_told_by_one_shared_view() {
    let mut room = Harness::new();
    for i in 0..999 {
        room.join(newcomer(&i.to_string()));
    }
    let effects = room.join(newcomer("last"));
    let mut views = effects.iter().filter_map(|effect| {
        let Effect::Notify {
            notification: Notification::Participants(views),
            ..
        } = effect
        else {
            return None;
        };
        Some(&views[0])
    });
    let first = views.next().unwrap();
    assert_eq!(views.filter(|view| Arc::ptr_eq(view, first)).count(), 998);
    assert_eq!(effects.len(), 1000);
}

#[test]
fn one_publisher_among_a_thousand_watchers_costs_two_effects_each() {
    let mut room = Harness::new();
    for i in 0..1000 {
        room.join(newcomer(&i.to_string()));
    }
    room.publish("0", camera("c"));
    assert_eq!(room.open("c").len(), 2 * 999);
    assert_eq!(room.mute("0", "c", true).len(), 999 + 1);
    assert_eq!(room.leave("0").len(), 2 * 999 + 2);
}
