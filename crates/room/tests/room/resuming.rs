use umbrella_room::command::{Moderation, SubscriptionReport};
use umbrella_room::model::{Identity, LeaveReason, ParticipantState};
use umbrella_room::{Command, Effect, Notification};

use crate::harness::{Harness, anything, camera, hidden, microphone, newcomer, pa, seen, told, tr};

fn resume(harness: &mut Harness, name: &str) -> Vec<Effect> {
    harness.handle(Command::Resume {
        participant: pa(name),
    })
}

#[test]
fn who_left_meanwhile_stays_on_the_screen_of_who_comes_back() {
    let mut harness = Harness::with(&["ann", "bob", "eve"]);
    harness.leave("eve");
    harness.join(newcomer("carl"));
    let effects = resume(&mut harness, "bob");
    let views = seen(&effects, "bob");
    let named = |state| {
        let views = views.iter().filter(move |view| view.state == state);
        views
            .map(|view| view.identity.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(named(ParticipantState::Left), ["eve"]);
    assert_eq!(named(ParticipantState::Joined), ["ann", "bob", "carl"]);
    assert!(told(&effects, "ann").is_empty(), "others hear of it");
}

#[test]
fn who_left_and_is_back_vanishes_from_the_screen_of_who_comes_back() {
    let mut harness = Harness::with(&["ann", "bob"]);
    harness.leave("ann");
    let mut again = newcomer("ann");
    again.id = pa("ann again");
    harness.join(again);
    let views = seen(&resume(&mut harness, "bob"), "bob");
    assert!(
        views
            .iter()
            .all(|view| view.state != ParticipantState::Left)
    );
}

#[test]
fn hidden_people_are_shown_to_who_comes_back() {
    let mut harness = Harness::with(&["ann", "bob"]);
    harness.join(hidden("spy"));
    harness.join(hidden("ghost"));
    harness.leave("ghost");
    let mut unseen = anything();
    unseen.hidden = true;
    harness.permit("ann", unseen);
    let views = seen(&resume(&mut harness, "bob"), "bob");
    let names: Vec<_> = views
        .iter()
        .map(|view| (view.identity.as_str(), view.state))
        .collect();
    assert_eq!(
        names,
        [
            ("ann", ParticipantState::Left),
            ("bob", ParticipantState::Joined)
        ]
    );
}

#[test]
fn muted_by_a_moderator_and_unmuted_by_coming_back() {
    let mut harness = Harness::with(&["ann", "bob"]);
    harness.live("bob", microphone("mic"));
    harness.moderate(Moderation::Mute {
        track: tr("mic"),
        muted: true,
    });
    let effects = resume(&mut harness, "bob");
    let told = told(&effects, "bob");
    let muted = told
        .iter()
        .position(|it| matches!(it, Notification::TrackMuted { muted: true, .. }));
    let views = told
        .iter()
        .position(|it| matches!(it, Notification::Participants(_)));
    assert!(
        muted.unwrap() < views.unwrap(),
        "it unmutes before it is told"
    );
}

#[test]
fn paused_picture_looks_like_a_fault_after_coming_back() {
    let mut harness = Harness::with(&["ann", "bob"]);
    harness.live("ann", camera("cam"));
    harness.handle(Command::Subscription {
        participant: pa("bob"),
        track: tr("cam"),
        report: SubscriptionReport::Starved(true),
    });
    let effects = resume(&mut harness, "bob");
    let paused =
        |it: &&&Notification| matches!(it, Notification::StreamPaused { paused: true, .. });
    assert_eq!(told(&effects, "bob").iter().filter(paused).count(), 1);
}

#[test]
fn track_that_was_taken_away_meanwhile_is_shown_to_its_publisher_for_ever() {
    let mut harness = Harness::with(&["ann", "bob"]);
    harness.live("bob", camera("cam"));
    harness.live("ann", camera("hers"));
    let tracks = vec![tr("cam"), tr("gone"), tr("hers")];
    let effects = harness.handle(Command::ConfirmTracks {
        participant: pa("bob"),
        tracks,
    });
    let ended: Vec<_> = told(&effects, "bob")
        .into_iter()
        .filter_map(|it| {
            let Notification::TrackUnpublished { track } = it else {
                return None;
            };
            Some(track.clone())
        })
        .collect();
    assert_eq!(ended, [tr("gone"), tr("hers")]);
}

#[test]
fn reason_for_leaving_is_forgotten_at_once_or_never() {
    let mut harness = Harness::with(&["ann", "bob"]);
    harness.moderate(Moderation::Remove {
        identity: Identity::new("bob"),
    });
    assert_eq!(
        harness.room.departure(&pa("bob")),
        Some(LeaveReason::Removed)
    );
    assert_eq!(harness.room.departure(&pa("ann")), None);
    harness.now += std::time::Duration::from_secs(61);
    harness.join(newcomer("carl"));
    harness.leave("carl");
    assert_eq!(harness.room.departure(&pa("bob")), None);
}
