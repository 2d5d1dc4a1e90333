use std::sync::Arc;

use umbrella_room::command::{Join, Moderation, Reliability};
use umbrella_room::mesh::Person;
use umbrella_room::model::{
    Identity, LeaveReason, NodeId, ParticipantId, ParticipantKind, ParticipantState,
    ParticipantView,
};
use umbrella_room::quality::{Measured, Quality};
use umbrella_room::{Command, Effect, Notification, Sight};

use crate::harness::*;

fn security(name: &str) -> Join {
    Join {
        kind: ParticipantKind::Ingress,
        ..newcomer(name)
    }
}

/// Somebody who sees these cameras and no others.
fn guest(name: &str, cameras: &[&str]) -> Join {
    Join {
        sight: Sight::only(cameras.iter().map(|name| Identity::new(*name))),
        ..newcomer(name)
    }
}

/// The cameras `door` and `yard` with picture and sound, `ann` who sees both and `gus` who sees
/// the door.
fn watched() -> Harness {
    let mut room = Harness::new();
    for name in ["door", "yard"] {
        room.join(security(name));
        room.live(name, camera(&format!("{name}-picture")));
        room.live(name, microphone(&format!("{name}-sound")));
    }
    room.join(newcomer("ann"));
    room.join(guest("gus", &["door"]));
    room.wait(2_000);
    room
}

fn snapshot(effects: &[Effect], name: &str) -> umbrella_room::effect::Snapshot {
    let told = told(effects, name);
    let [Notification::Joined(snapshot), ..] = told[..] else {
        panic!("not let in: {told:?}");
    };
    (**snapshot).clone()
}

fn names(views: &[Arc<ParticipantView>]) -> Vec<&str> {
    views.iter().map(|view| view.identity.as_str()).collect()
}

/// Nothing in what somebody is told, and nothing that is sent to it, is of somebody else.
fn assert_nothing_of(effects: &[Effect], viewer: &str, other: &str) {
    let told = format!("{:?}", told(effects, viewer));
    assert!(!told.contains(other), "{viewer} is told of {other}: {told}");
    let mut media = opened(effects).into_iter();
    let sent = media.find(|(to, track, _)| *to == pa(viewer) && track.as_str().contains(other));
    assert_eq!(sent, None);
}

#[test]
fn hidden_camera_is_among_those_whom_a_guest_finds_in_the_room() {
    let mut room = watched();
    let effects = room.join(guest("eve", &["yard"]));
    let found = snapshot(&effects, "eve");
    assert_eq!(names(&found.others), ["yard", "ann", "gus"]);
    assert_nothing_of(&effects, "eve", "door");
    let effects = room.join(guest("bob", &[]));
    assert_eq!(
        names(&snapshot(&effects, "bob").others),
        ["ann", "gus", "eve"]
    );
    assert!(opened(&effects).is_empty());
    // Who may see all of them does.
    let effects = room.join(newcomer("kim"));
    let all = ["door", "yard", "ann", "gus", "eve", "bob"];
    assert_eq!(names(&snapshot(&effects, "kim").others), all);
    assert_eq!(opened(&effects).len(), 4);
}

#[test]
fn hidden_camera_shows_up_in_the_number_of_participants() {
    let mut room = watched();
    let effects = room.join(guest("eve", &[]));
    let view = snapshot(&effects, "eve").room;
    assert_eq!((view.participants, view.publishers), (3, 0));
    let view = room.room.view();
    assert_eq!((view.participants, view.publishers), (5, 2));
    let sight = Sight::only([Identity::new("yard")]);
    assert_eq!(room.room.view_for(&sight).publishers, 1);
    room.wait(2_000);
    // Not even that something has changed is told.
    room.join(security("shed"));
    room.live("shed", camera("shed-picture"));
    let effects = room.wait(2_000);
    assert!(told(&effects, "eve").is_empty());
    assert_eq!(told(&effects, "ann").len(), 1);
    // What concerns it is told, once.
    room.live("ann", microphone("mic"));
    let effects = room.wait(2_000);
    let [Notification::Room(view)] = told(&effects, "eve")[..] else {
        panic!("{effects:?}");
    };
    assert_eq!((view.participants, view.publishers), (3, 1));
}

#[test]
fn hidden_camera_comes_changes_and_goes_before_the_eyes_of_a_guest() {
    let mut room = watched();
    let mut effects = room.join(security("shed"));
    effects.extend(room.live("shed", camera("shed-picture")));
    effects.extend(room.live("shed", microphone("shed-sound")));
    effects.extend(room.mute("shed", "shed-sound", true));
    effects.extend(room.handle(Command::UpdateSelf {
        participant: pa("shed"),
        request: 1,
        change: umbrella_room::command::ParticipantChange {
            name: Some("Shed".to_owned()),
            ..Default::default()
        },
    }));
    let unseen = umbrella_room::model::Permission {
        hidden: true,
        ..anything()
    };
    effects.extend(room.permit("shed", unseen));
    effects.extend(room.permit("shed", anything()));
    effects.extend(room.leave("shed"));
    effects.extend(room.wait(2_000));
    assert!(told(&effects, "gus").is_empty(), "{effects:?}");
    assert_nothing_of(&effects, "gus", "shed");
    assert!(seen(&effects, "ann").len() > 6);
    // The other one does.
    let effects = room.leave("door");
    let [last] = &seen(&effects, "gus")[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(last.state, ParticipantState::Left);
}

#[test]
fn hidden_camera_shows_up_as_a_speaker() {
    let mut room = watched();
    let mut effects = Vec::new();
    for _ in 0..5 {
        effects.extend(room.hear(&[("yard-sound", 10, 1.0), ("door-sound", 20, 1.0)]));
    }
    assert_nothing_of(&effects, "gus", "yard");
    assert!(format!("{:?}", told(&effects, "gus")).contains("door"));
    assert!(format!("{:?}", told(&effects, "ann")).contains("yard"));
    // Nor to somebody who comes meanwhile, nor by falling silent when it has left.
    let mut effects = room.join(guest("eve", &[]));
    effects.extend(room.leave("yard"));
    effects.extend(room.wait(5_000));
    let heard = |name| {
        let told = told(&effects, name).into_iter();
        let of_speakers = told.filter(|it| matches!(it, Notification::Speakers(_)));
        of_speakers.count()
    };
    assert_eq!(heard("eve"), 0);
    assert_nothing_of(&effects, "gus", "yard");
    assert!(heard("gus") > 0 && heard("ann") > 0);
}

#[test]
fn hidden_camera_is_said_to_be_badly_connected() {
    let mut room = watched();
    let lost = |name, lost| Command::ConnectionLost {
        participant: pa(name),
        lost,
    };
    let mut effects = room.handle(lost("yard", true));
    assert!(told(&effects, "gus").is_empty());
    let measured = Measured {
        loss: 0.3,
        round_trip: None,
        missing: 0.0,
    };
    let all = ["yard", "door"].map(|name| (pa(name), measured));
    effects.extend(room.handle(lost("yard", false)));
    effects.extend(room.handle(Command::Measured(all.into())));
    effects.extend(room.handle(lost("door", true)));
    effects.extend(room.join(guest("eve", &["door"])));
    assert_nothing_of(&effects, "gus", "yard");
    assert_nothing_of(&effects, "eve", "yard");
    let bad = format!("{:?}", Quality::Lost);
    assert!(format!("{:?}", told(&effects, "eve")).contains(&bad));
}

#[test]
fn guest_has_the_picture_of_a_hidden_camera_by_asking_for_it() {
    let mut room = watched();
    let mut effects = room.subscribe("gus", "yard-picture", true);
    effects.extend(room.settings("gus", "yard-picture", tile(1280, 720)));
    effects.extend(room.fail("gus", "yard-picture", None));
    effects.extend(room.subscribe("gus", "yard-picture", true));
    effects.extend(room.handle(Command::AllowSubscribers {
        participant: pa("yard"),
        allowed: umbrella_room::command::AllowedSubscribers::Listed(Vec::new()),
    }));
    effects.extend(room.handle(Command::AllowSubscribers {
        participant: pa("yard"),
        allowed: umbrella_room::command::AllowedSubscribers::Everybody,
    }));
    effects.extend(room.permit("gus", anything()));
    // As with a track that does not exist: nothing is said at all.
    assert!(told(&effects, "gus").is_empty(), "{effects:?}");
    assert!(opened(&effects).iter().all(|(to, ..)| *to != pa("gus")));
    assert!(configured(&effects).iter().all(|(to, _)| *to != pa("gus")));
    let effects = room.settings("gus", "door-picture", tile(160, 90));
    assert_eq!(configured(&effects).len(), 1);
}

#[test]
fn guest_who_comes_back_is_reminded_of_a_hidden_camera() {
    let mut room = watched();
    room.join(security("shed"));
    room.leave("shed");
    let back = |room: &mut Harness| {
        room.handle(Command::Resume {
            participant: pa("gus"),
        })
    };
    let effects = back(&mut room);
    assert_nothing_of(&effects, "gus", "yard");
    assert_nothing_of(&effects, "gus", "shed");
    assert_eq!(names(&seen(&effects, "gus")), ["door", "ann", "gus"]);
    // How the room is has to be said each time: it may have been missed.
    for effects in [effects, back(&mut room)] {
        let told = told(&effects, "gus");
        let mut rooms = told.iter().filter_map(|it| {
            let Notification::Room(view) = it else {
                return None;
            };
            Some((view.participants, view.publishers))
        });
        assert_eq!(rooms.next(), Some((3, 1)));
    }
}

#[test]
fn messages_go_to_and_come_from_a_camera_that_is_hidden() {
    let mut room = watched();
    let receivers = |room: &mut Harness, from: &str, to: &[&str]| {
        let effects = room.handle(Command::Data {
            from: Some(pa(from)),
            to: to.iter().map(|name| Identity::new(*name)).collect(),
            reliability: Reliability::Reliable,
            payload: Arc::from(&b"hello"[..]),
        });
        let mut sent = effects.into_iter().filter_map(|effect| {
            let Effect::SendData { to, .. } = effect else {
                return None;
            };
            Some(to)
        });
        sent.next().unwrap_or_default()
    };
    assert_eq!(receivers(&mut room, "yard", &[]), [pa("door"), pa("ann")]);
    assert!(receivers(&mut room, "yard", &["gus"]).is_empty());
    let from_door = receivers(&mut room, "door", &[]);
    assert_eq!(from_door, [pa("yard"), pa("ann"), pa("gus")]);
    // A list of which nobody is left is not everybody.
    assert!(receivers(&mut room, "gus", &["yard"]).is_empty());
    while room.room.poll_share().is_some() {}
    assert_eq!(receivers(&mut room, "gus", &["yard", "ann"]), [pa("ann")]);
    assert!(room.room.poll_share().is_none(), "goes to other servers");
}

#[test]
fn people_are_hidden_from_a_guest_who_does_not_see_all_cameras() {
    let mut room = watched();
    let mut effects = Vec::new();
    for (name, kind) in [
        ("bot", ParticipantKind::Agent),
        ("tape", ParticipantKind::Egress),
        ("phone", ParticipantKind::Sip),
        ("kim", ParticipantKind::Standard),
    ] {
        effects.extend(room.join(Join {
            kind,
            ..newcomer(name)
        }));
        effects.extend(room.live(name, camera(&format!("{name}-picture"))));
    }
    let opened = opened(&effects);
    let to_gus = opened.iter().filter(|(to, ..)| *to == pa("gus"));
    assert_eq!(to_gus.count(), 4);
    // And the camera sees the guest, whom it does not have to know.
    let effects = room.live("gus", microphone("mic"));
    assert_eq!(names(&seen(&effects, "yard")), ["gus"]);
}

#[test]
fn camera_that_does_not_see_itself_is_not_told_what_becomes_of_it() {
    let mut room = Harness::new();
    let blind = Join {
        sight: Sight::only([]),
        ..security("door")
    };
    let effects = room.join(blind);
    assert_eq!(snapshot(&effects, "door").room.participants, 1);
    room.live("door", camera("picture"));
    let effects = room.handle(Command::MediaConnected {
        participant: pa("door"),
    });
    assert_eq!(names(&seen(&effects, "door")), ["door"]);
}

#[test]
fn camera_that_is_set_later_is_seen_by_who_may_see_only_others() {
    let mut room = watched();
    room.leave("door");
    // Its identity stays; the stay is another one.
    let effects = room.join(Join {
        id: pa("door again"),
        ..security("door")
    });
    assert_eq!(names(&seen(&effects, "gus")), ["door"]);
    let effects = room.moderate(Moderation::Close {
        reason: LeaveReason::RoomDeleted,
    });
    assert_eq!(told(&effects, "gus").len(), 1);
}

fn at_another_site(name: &str, kind: ParticipantKind, version: u32) -> Command {
    let Join {
        id,
        identity,
        permission,
        ..
    } = newcomer(name);
    let view = ParticipantView {
        id,
        identity,
        name: String::new(),
        metadata: String::new(),
        attributes: Default::default(),
        kind,
        state: ParticipantState::Active,
        joined_at_ms: 0,
        version,
        permission,
        publishing: false,
        client: Default::default(),
        capabilities: Vec::new(),
        left: None,
        tracks: Vec::new(),
    };
    let person = Person {
        view: Arc::new(view),
        tracks: Vec::new(),
        access: Arc::default(),
    };
    Command::Remote {
        origin: NodeId::new("there"),
        remote: umbrella_room::command::Remote::Person(Box::new(person)),
    }
}

#[test]
fn hidden_camera_of_another_site_is_seen() {
    let mut room = watched();
    let ingress = ParticipantKind::Ingress;
    let mut effects = room.handle(at_another_site("gate", ingress, 1));
    assert_eq!(names(&seen(&effects, "ann")), ["gate"]);
    // Not by the word of its server either that it is somebody else.
    effects.extend(room.handle(at_another_site("gate", ParticipantKind::Standard, 2)));
    effects.extend(room.handle(Command::Remote {
        origin: NodeId::new("there"),
        remote: umbrella_room::command::Remote::Gone {
            participant: ParticipantId::new("PA_gate"),
            reason: LeaveReason::Asked,
        },
    }));
    effects.extend(room.wait(2_000));
    assert!(told(&effects, "gus").is_empty(), "{effects:?}");
}

#[test]
fn who_left_stays_on_the_screen_of_a_guest_as_a_hidden_camera_has_its_identity() {
    let mut room = watched();
    room.join(newcomer("eve"));
    room.leave("eve");
    room.join(Join {
        id: pa("eve as a camera"),
        ..security("eve")
    });
    let effects = room.handle(Command::Resume {
        participant: pa("gus"),
    });
    let views = seen(&effects, "gus");
    let eve = views.iter().find(|view| view.identity.as_str() == "eve");
    assert_eq!(eve.map(|view| view.state), Some(ParticipantState::Left));
}
