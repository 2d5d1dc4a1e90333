//! A room that spans several servers, which tell each other everything at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use umbrella_media::Spatial;
use umbrella_room::command::{Moderation, ParticipantChange, Reliability, Remote};
use umbrella_room::mesh::{
    Data, LayerDemand, LinkId, Mesh, MeshConfig, MeshLimits, Neighbour, Order, Output, Person,
    Rooms, Share,
};
use umbrella_room::model::{
    Identity, LeaveReason, NodeId, ParticipantId, ParticipantView, RoomName, TrackId,
};
use umbrella_room::{Command, Effect, Notification};

use crate::harness::*;

struct Site {
    harness: Harness,
    mesh: Mesh,
    /// What was to be done here since it was last asked for.
    effects: Vec<Effect>,
    carried: BTreeMap<(LinkId, TrackId), LayerDemand>,
}

struct Sites {
    sites: BTreeMap<&'static str, Site>,
    links: BTreeMap<LinkId, (&'static str, &'static str)>,
    name: RoomName,
}

impl Sites {
    /// Sites in a line, with nobody in.
    fn line(names: &[&'static str]) -> Sites {
        Sites::bounded(names, &MeshLimits::default())
    }

    fn bounded(names: &[&'static str], limits: &MeshLimits) -> Sites {
        let mut sites = Sites {
            sites: BTreeMap::new(),
            links: BTreeMap::new(),
            name: RoomName::new("room"),
        };
        let now = Harness::new().now;
        for name in names {
            let mut harness = Harness::new();
            harness.now = now;
            let mesh = Mesh::new(MeshConfig {
                node: NodeId::new(*name),
                name: format!("site {name}"),
                limits: limits.clone(),
                ..MeshConfig::default()
            });
            let (effects, carried) = (Vec::new(), BTreeMap::new());
            let site = Site {
                harness,
                mesh,
                effects,
                carried,
            };
            sites.sites.insert(*name, site);
        }
        for pair in names.windows(2) {
            if let [a, b] = pair {
                sites.link(a, b);
            }
        }
        sites
    }

    fn site(&mut self, name: &str) -> &mut Site {
        self.sites.get_mut(name).expect("a site of the test")
    }

    fn link(&mut self, a: &'static str, b: &'static str) {
        let link = LinkId(self.links.len() as u64 + 1);
        self.links.insert(link, (a, b));
        for (here, there) in [(a, b), (b, a)] {
            let site = self.site(here);
            let now = site.harness.now;
            let neighbour = Neighbour {
                node: NodeId::new(there),
                rooms: Rooms::default(),
                may_moderate: true,
            };
            site.mesh.link_up(now, link, neighbour);
            site.mesh.link_media(now, link, true);
        }
        self.settle();
    }

    fn cut(&mut self, link: u64) {
        let (a, b) = self.links.remove(&LinkId(link)).expect("a link");
        for site in [a, b] {
            let site = self.site(site);
            site.mesh.link_down(site.harness.now, LinkId(link));
        }
        self.settle();
    }

    /// Something happens at a site; yields what that brings about there, in the end.
    fn at(&mut self, name: &str, command: Command) -> Vec<Effect> {
        let room = self.name.clone();
        let site = self.site(name);
        if matches!(command, Command::Join(_)) {
            site.mesh.use_room(site.harness.now, &room, true);
        }
        let effects = site.harness.handle(command);
        site.effects.extend(effects);
        self.settle();
        self.seen_at(name)
    }

    /// What has happened at a site since that was asked last.
    fn seen_at(&mut self, name: &str) -> Vec<Effect> {
        std::mem::take(&mut self.site(name).effects)
    }

    fn join(&mut self, site: &str, name: &str) -> Vec<Effect> {
        self.at(site, Command::Join(Box::new(newcomer(name))))
    }

    fn live(&mut self, site: &str, name: &str, track: umbrella_room::command::NewTrack) {
        let id = track.id.clone();
        let (participant, track) = (pa(name), Box::new(track));
        self.at(site, Command::Publish { participant, track });
        self.at(
            site,
            Command::TrackOpened {
                track: id,
                codec: None,
            },
        );
        for site in self.sites.values_mut() {
            site.effects.clear();
        }
    }

    fn wait(&mut self, ms: u64) {
        for site in self.sites.values_mut() {
            let effects = site.harness.wait(ms);
            site.effects.extend(effects);
            site.mesh.handle_timeout(site.harness.now);
        }
        self.settle();
    }

    /// Lets everybody say what they have to say until nobody has anything to say any more.
    fn settle(&mut self) {
        for _ in 0..1000 {
            let mut quiet = true;
            for name in self.sites.keys().copied().collect::<Vec<_>>() {
                quiet &= !self.settle_site(name);
            }
            if quiet {
                return;
            }
        }
        panic!("they never come to an end");
    }

    fn settle_site(&mut self, name: &'static str) -> bool {
        let room = self.name.clone();
        let links = self.links.clone();
        let site = self.site(name);
        let now = site.harness.now;
        let mut busy = false;
        while let Some(share) = site.harness.room.poll_share() {
            site.mesh.share(now, &room, share);
            busy = true;
        }
        if site.effects.iter().any(|it| matches!(it, Effect::Empty)) {
            site.mesh.use_room(now, &room, false);
        }
        let mut sent = Vec::new();
        while let Some(output) = site.mesh.poll_output() {
            busy = true;
            match output {
                Output::Send { link, message } => sent.push((link, message)),
                Output::Room { origin, remote, .. } => {
                    let remote = *remote;
                    let effects = site.harness.handle(Command::Remote { origin, remote });
                    site.effects.extend(effects);
                }
                Output::Carry {
                    link,
                    track,
                    layers,
                    ..
                } => {
                    site.carried.insert((link, track), layers);
                }
                Output::Attend { .. } | Output::Ended { .. } | Output::Copied { .. } => {}
            }
        }
        for (link, message) in sent {
            let Some((a, b)) = links.get(&link) else {
                continue;
            };
            let other = if *a == name { b } else { a };
            let site = self.site(other);
            site.mesh.receive(now, link, message);
        }
        busy
    }

    /// Who is in at a site.
    fn people(&self, site: &str) -> Vec<Arc<ParticipantView>> {
        let room = &self.sites[site].harness.room;
        let mut people: Vec<_> = room.participants().cloned().collect();
        people.sort_by(|a, b| a.id.cmp(&b.id));
        people
    }

    fn names(&self, site: &str) -> Vec<String> {
        let people = self.people(site).into_iter();
        people.map(|view| view.id.to_string()).collect()
    }
}

/// `a` at one end of a line of three, `c` at the other.
fn ends() -> Sites {
    let mut sites = Sites::line(&["1", "2", "3"]);
    sites.join("1", "a");
    sites.join("3", "c");
    for site in sites.sites.values_mut() {
        site.effects.clear();
    }
    sites
}

fn left(effects: &[Effect], name: &str) -> Vec<LeaveReason> {
    let gone = effects.iter().filter_map(|effect| {
        let Effect::Disconnect {
            participant,
            reason,
        } = effect
        else {
            return None;
        };
        (*participant == pa(name)).then_some(*reason)
    });
    gone.collect()
}

#[test]
fn somebody_at_another_site_is_missing() {
    let mut sites = ends();
    assert_eq!(sites.names("1"), ["PA_a", "PA_c"]);
    assert_eq!(sites.names("3"), ["PA_a", "PA_c"]);
    // Nobody is in between, and nothing is kept there for anybody.
    assert!(sites.names("2").is_empty());
    sites.live("1", "a", camera("cam"));
    sites.live("1", "a", microphone("mic"));
    assert_eq!(sites.people("3")[0].tracks.len(), 2);
    // Who comes late sees everybody.
    let effects = sites.join("2", "b");
    assert_eq!(sites.names("2"), ["PA_a", "PA_b", "PA_c"]);
    assert_eq!(opened(&effects).len(), 2);
    assert_eq!(sites.names("1"), ["PA_a", "PA_b", "PA_c"]);
    let effects = sites.at("3", leave("c"));
    assert_eq!(left(&effects, "c"), [LeaveReason::Asked]);
    assert_eq!(sites.names("1"), ["PA_a", "PA_b"]);
    assert!(sites.names("3").is_empty());
}

fn leave(name: &str) -> Command {
    Command::Leave {
        participant: pa(name),
        reason: LeaveReason::Asked,
    }
}

#[test]
fn picture_crosses_for_nobody() {
    let mut sites = ends();
    sites.live("1", "a", camera("cam"));
    let over = |sites: &Sites, site: &str, link: u64| {
        let key = (LinkId(link), tr("cam"));
        let carried = sites.sites[site].carried.get(&key).copied();
        carried.unwrap_or_default().highest()
    };
    // `c` subscribes to everything: one layer, over each link.
    assert_eq!(over(&sites, "1", 1), Some(Spatial::HIGH));
    assert_eq!(over(&sites, "2", 2), Some(Spatial::HIGH));
    let small = Command::SetTrackSettings {
        participant: pa("c"),
        tracks: vec![tr("cam")],
        settings: tile(160, 90),
    };
    sites.at("3", small);
    sites.wait(5_000);
    assert_eq!(over(&sites, "1", 1), Some(Spatial::LOW));
    sites.wait(10_000);
    let told: Vec<_> = layers_asked(&sites.seen_at("1"), "a");
    assert_eq!(told.last(), Some(&Some(Spatial::LOW)));
    sites.at(
        "3",
        Command::Subscribe {
            participant: pa("c"),
            tracks: vec![tr("cam")],
            subscribe: false,
        },
    );
    sites.wait(5_000);
    assert_eq!(over(&sites, "1", 1), None);
    assert_eq!(over(&sites, "2", 2), None);
    sites.wait(10_000);
    let told: Vec<_> = layers_asked(&sites.seen_at("1"), "a");
    assert_eq!(told.last(), Some(&None));
}

fn layers_asked(effects: &[Effect], name: &str) -> Vec<Option<Spatial>> {
    let told = told(effects, name).into_iter().filter_map(|notification| {
        let Notification::LayersWanted { highest, .. } = notification else {
            return None;
        };
        Some(*highest)
    });
    told.collect()
}

#[test]
fn publisher_does_not_learn_that_somebody_far_away_listens() {
    let mut sites = ends();
    let (participant, track) = (pa("a"), Box::new(microphone("mic")));
    sites.at("1", Command::Publish { participant, track });
    let opened = Command::TrackOpened {
        track: tr("mic"),
        codec: None,
    };
    let effects = sites.at("1", opened);
    let subscribed = Notification::TrackSubscribed { track: tr("mic") };
    assert!(told(&effects, "a").contains(&&subscribed));
}

#[test]
fn moderator_reaches_only_people_at_the_same_site() {
    let mut sites = ends();
    sites.live("1", "a", microphone("mic"));
    let (track, muted) = (tr("mic"), true);
    sites.at("3", Command::Moderate(Moderation::Mute { track, muted }));
    let muted = Notification::TrackMuted {
        track: tr("mic"),
        muted,
    };
    assert!(told(&sites.seen_at("1"), "a").contains(&&muted));
    assert!(sites.people("3")[0].tracks[0].muted);
    let change = ParticipantChange {
        name: Some("Ada".to_owned()),
        ..ParticipantChange::default()
    };
    let identity = Identity::new("a");
    sites.at(
        "3",
        Command::Moderate(Moderation::Update {
            identity: identity.clone(),
            change,
            permission: None,
        }),
    );
    assert_eq!(sites.people("3")[0].name, "Ada");
    assert_eq!(sites.people("1")[0].name, "Ada");
    sites.at("3", Command::Moderate(Moderation::Remove { identity }));
    assert_eq!(left(&sites.seen_at("1"), "a"), [LeaveReason::Removed]);
    assert_eq!(sites.names("3"), ["PA_c"]);
}

#[test]
fn server_that_may_not_moderate_does() {
    let mut sites = ends();
    let site = sites.site("1");
    let room = RoomName::new("room");
    // A link over which nobody may moderate.
    let neighbour = Neighbour {
        node: NodeId::new("4"),
        rooms: Rooms::default(),
        may_moderate: false,
    };
    let now = site.harness.now;
    site.mesh.link_up(now, LinkId(9), neighbour);
    site.mesh.receive(
        now,
        LinkId(9),
        umbrella_room::mesh::Message::Order {
            room,
            origin: NodeId::new("1"),
            participant: pa("a"),
            order: Order::Remove,
            hops: 3,
        },
    );
    sites.settle();
    assert_eq!(sites.names("1"), ["PA_a", "PA_c"]);
}

#[test]
fn message_does_not_arrive_at_another_site() {
    let mut sites = ends();
    sites.join("2", "b");
    let data = |to: &[&str]| Command::Data {
        from: Some(pa("a")),
        to: to.iter().map(|name| Identity::new(*name)).collect(),
        reliability: Reliability::Reliable,
        payload: Arc::from(*b"hello"),
    };
    for site in sites.sites.values_mut() {
        site.effects.clear();
    }
    sites.at("1", data(&[]));
    assert_eq!(received(&sites.seen_at("2")), [pa("b")]);
    assert_eq!(received(&sites.seen_at("3")), [pa("c")]);
    sites.at("1", data(&["c"]));
    assert!(received(&sites.seen_at("2")).is_empty());
    assert_eq!(received(&sites.seen_at("3")), [pa("c")]);
}

fn received(effects: &[Effect]) -> Vec<ParticipantId> {
    let sent = effects.iter().filter_map(|effect| {
        let Effect::SendData { to, .. } = effect else {
            return None;
        };
        Some(to.clone())
    });
    sent.flatten().collect()
}

#[test]
fn server_speaks_in_the_name_of_somebody_elsewhere() {
    let mut sites = ends();
    let forged = |from: &str| Command::Remote {
        origin: NodeId::new("2"),
        remote: Remote::Data(Box::new(Data {
            number: None,
            from: Some(pa(from)),
            to: Vec::new(),
            payload: Arc::from(*b"forged"),
        })),
    };
    assert!(received(&sites.at("3", forged("a"))).is_empty());
    assert!(received(&sites.at("3", forged("c"))).is_empty());
    assert!(received(&sites.at("3", forged("nobody"))).is_empty());
    // Nor does it change, mute or send away somebody who is not there.
    let known = sites.people("3");
    let person = |name: &str| Person {
        view: Arc::new(ParticipantView {
            name: "forged".to_owned(),
            version: 1000,
            ..ParticipantView::clone(known.iter().find(|it| it.id == pa(name)).unwrap())
        }),
        tracks: Vec::new(),
        access: Default::default(),
    };
    for name in ["a", "c"] {
        let remote = Remote::Person(Box::new(person(name)));
        let origin = NodeId::new("2");
        sites.at("3", Command::Remote { origin, remote });
        let (participant, reason) = (pa(name), LeaveReason::Removed);
        let remote = Remote::Gone {
            participant,
            reason,
        };
        let origin = NodeId::new("2");
        sites.at("3", Command::Remote { origin, remote });
    }
    assert_eq!(sites.people("3"), known);
}

#[test]
fn who_speaks_at_another_site_is_not_shown() {
    let mut sites = ends();
    sites.live("1", "a", microphone("mic"));
    sites.live("3", "c", microphone("other"));
    let loud = |track: &str| {
        Command::AudioLevels(vec![umbrella_room::command::TrackLoudness {
            track: tr(track),
            level: 10,
            voice: 1.0,
        }])
    };
    sites.at("1", loud("mic"));
    let spoken = |effects: &[Effect], to: &str| {
        let told = told(effects, to).into_iter().filter_map(|it| {
            let Notification::Speakers(speakers) = it else {
                return None;
            };
            Some(speakers.to_vec())
        });
        let all: Vec<_> = told.flatten().collect();
        all.into_iter()
            .map(|it| (it.participant, it.active))
            .collect::<Vec<_>>()
    };
    assert_eq!(spoken(&sites.seen_at("3"), "c"), [(pa("a"), true)]);
    // Who speaks here does not end what is heard from there.
    sites.wait(200);
    sites.at("1", loud("mic"));
    let effects = sites.at("3", loud("other"));
    assert!(!spoken(&effects, "c").contains(&(pa("a"), false)));
    sites.wait(3_000);
    let effects = sites.seen_at("3");
    assert!(spoken(&effects, "c").contains(&(pa("a"), false)));
}

#[test]
fn one_person_is_in_twice_at_two_sites() {
    let mut sites = ends();
    let again = |id: &str, joined_at_ms| {
        Command::Join(Box::new(umbrella_room::command::Join {
            id: pa(id),
            joined_at_ms,
            ..newcomer("a")
        }))
    };
    // The clock there is a day slow, but it is later.
    sites.at("3", again("later", 0));
    assert_eq!(sites.names("1"), ["PA_c", "PA_later"]);
    assert_eq!(sites.names("3"), ["PA_c", "PA_later"]);
    let seen = sites.seen_at("1");
    assert_eq!(left(&seen, "a"), [LeaveReason::DuplicateIdentity]);
    // And back again, whatever the clocks.
    sites.at("1", again("latest", 0));
    assert_eq!(sites.names("3"), ["PA_c", "PA_latest"]);
    let seen = sites.seen_at("3");
    assert_eq!(left(&seen, "later"), [LeaveReason::DuplicateIdentity]);
}

#[test]
fn two_who_join_at_the_same_time_send_each_other_away() {
    let mut sites = Sites::line(&["1", "2"]);
    sites.cut(1);
    for (site, id, joined_at_ms) in [("1", "old", 1_000), ("2", "new", 90_000_000)] {
        sites.at(
            site,
            Command::Join(Box::new(umbrella_room::command::Join {
                id: pa(id),
                joined_at_ms,
                ..newcomer("a")
            })),
        );
    }
    sites.join("1", "b");
    sites.seen_at("1");
    sites.seen_at("2");
    sites.link("1", "2");
    assert_eq!(sites.names("1"), ["PA_b", "PA_new"]);
    assert_eq!(sites.names("2"), ["PA_b", "PA_new"]);
    let (one, two) = (sites.seen_at("1"), sites.seen_at("2"));
    assert_eq!(left(&one, "old"), [LeaveReason::DuplicateIdentity]);
    assert!(left(&two, "new").is_empty());
}

#[test]
fn people_behind_a_dead_link_stay_for_ever() {
    let mut sites = ends();
    sites.live("1", "a", microphone("mic"));
    sites.cut(2);
    assert_eq!(sites.names("3"), ["PA_a", "PA_c"]);
    sites.wait(1_100);
    assert_eq!(sites.names("3"), ["PA_c"]);
    let closed = closed(&sites.seen_at("3"));
    assert_eq!(closed, [(pa("c"), tr("mic"))]);
    sites.link("2", "3");
    assert_eq!(sites.names("3"), ["PA_a", "PA_c"]);
}

#[test]
fn short_interruption_throws_people_out_of_the_picture() {
    let mut sites = ends();
    sites.live("1", "a", camera("cam"));
    sites.cut(2);
    sites.wait(500);
    sites.link("2", "3");
    sites.wait(2_000);
    let effects = sites.seen_at("3");
    assert_eq!(sites.names("3"), ["PA_a", "PA_c"]);
    assert!(closed(&effects).is_empty() && opened(&effects).is_empty());
    let carried = sites.sites["2"].carried.get(&(LinkId(2), tr("cam")));
    assert!(carried.is_some_and(|layers| !layers.is_none()));
}

#[test]
fn room_has_other_metadata_at_another_site() {
    let mut sites = ends();
    let metadata = "agenda".to_owned();
    sites.at(
        "3",
        Command::Moderate(Moderation::SetRoomMetadata { metadata }),
    );
    assert_eq!(sites.site("1").harness.room.view().metadata, "agenda");
    sites.join("2", "b");
    assert_eq!(sites.site("2").harness.room.view().metadata, "agenda");
    assert_eq!(sites.site("2").harness.room.view().participants, 3);
    let reason = LeaveReason::RoomDeleted;
    sites.at("1", Command::Moderate(Moderation::Close { reason }));
    assert_eq!(left(&sites.seen_at("3"), "c"), [LeaveReason::RoomDeleted]);
    assert_eq!(left(&sites.seen_at("2"), "b"), [LeaveReason::RoomDeleted]);
}

#[test]
fn server_that_goes_down_ends_the_room_everywhere() {
    let mut sites = ends();
    let reason = LeaveReason::ServerShutdown;
    sites.at("1", Command::Moderate(Moderation::Close { reason }));
    assert!(left(&sites.seen_at("3"), "c").is_empty());
    assert_eq!(sites.names("3"), ["PA_c"]);
}

#[test]
fn hidden_recorder_elsewhere_is_seen_or_records_in_secret() {
    let mut sites = ends();
    let mut recorder = hidden("r");
    recorder.permission.recorder = true;
    sites.at("1", Command::Join(Box::new(recorder)));
    let room = &sites.site("3").harness.room;
    assert!(room.view().recording);
    assert_eq!(room.view().participants, 2);
    let effects = sites.seen_at("3");
    assert!(seen(&effects, "c").iter().all(|view| view.id != pa("r")));
}

#[test]
fn second_codec_is_not_asked_for_from_another_site() {
    let mut sites = ends();
    let track = umbrella_room::command::NewTrack {
        codec: Some(umbrella_media::Codec::Av1),
        backup: Some(umbrella_media::Codec::Vp8),
        ..camera("cam")
    };
    sites.live("1", "a", track);
    let failed = Command::Subscription {
        participant: pa("c"),
        track: tr("cam"),
        report: umbrella_room::command::SubscriptionReport::Failed {
            codec: Some(umbrella_media::Codec::Av1),
        },
    };
    sites.at("3", failed);
    let asked = told(&sites.seen_at("1"), "a").into_iter().any(|it| {
        matches!(it, Notification::LayersWanted { codec, .. }
            if *codec == Some(umbrella_media::Codec::Vp8))
    });
    assert!(asked);
    let backup = umbrella_room::command::NewTrack {
        codec: Some(umbrella_media::Codec::Vp8),
        backup_of: Some(tr("cam")),
        ..camera("backup")
    };
    sites.live("1", "a", backup);
    let carried = sites.sites["2"].carried.get(&(LinkId(2), tr("backup")));
    assert!(carried.is_some_and(|layers| !layers.is_none()));
}

#[test]
fn rooms_that_are_not_shared_are() {
    let mut sites = Sites::line(&["1"]);
    let site = sites.site("1");
    let (now, room) = (site.harness.now, RoomName::new("room"));
    let neighbour = Neighbour {
        node: NodeId::new("2"),
        rooms: Rooms {
            lists: vec![vec!["other".to_owned()]],
        },
        may_moderate: true,
    };
    site.mesh.link_up(now, LinkId(1), neighbour);
    let share = Share::Gone {
        participant: pa("nobody"),
        reason: LeaveReason::Asked,
    };
    site.mesh.share(now, &room, share);
    sites.join("1", "a");
    let site = sites.site("1");
    site.mesh.receive(
        now,
        LinkId(1),
        umbrella_room::mesh::Message::Follow {
            room,
            origin: NodeId::new("1"),
            data: None,
            number: 1,
        },
    );
    assert_eq!(site.mesh.poll_output(), None);
}

#[test]
fn copied_server_beyond_another_one_goes_unnoticed() {
    let server = |node: &str, incarnation, name: &str| {
        Mesh::new(MeshConfig {
            node: NodeId::new(node),
            incarnation,
            name: name.to_owned(),
            ..MeshConfig::default()
        })
    };
    let now = Harness::new().now;
    let mut earlier = server("twin", 7, "Hut");
    let mut middle = server("middle", 1, "Cloud");
    let mut later = server("twin", 9, "Copy of the hut");
    let neighbour = |node: &str| Neighbour {
        node: NodeId::new(node),
        rooms: Rooms::default(),
        may_moderate: false,
    };
    let ends = [LinkId(1), LinkId(2)];
    earlier.link_up(now, ends[0], neighbour("middle"));
    middle.link_up(now, ends[0], neighbour("twin"));
    later.link_up(now, ends[1], neighbour("middle"));
    middle.link_up(now, ends[1], neighbour("twin"));
    let mut told = Vec::new();
    for _ in 0..10 {
        let mut sent = Vec::new();
        for (at, mesh) in [&mut earlier, &mut middle, &mut later]
            .into_iter()
            .enumerate()
        {
            while let Some(output) = mesh.poll_output() {
                match output {
                    Output::Send { link, message } => sent.push((at, link, message)),
                    Output::Copied { name } => told.push((at, name)),
                    Output::Room { .. }
                    | Output::Carry { .. }
                    | Output::Attend { .. }
                    | Output::Ended { .. } => {}
                }
            }
        }
        for (from, link, message) in sent {
            let to = match (from, link) {
                (1, LinkId(1)) => &mut earlier,
                (1, _) => &mut later,
                (_, _) => &mut middle,
            };
            to.receive(now, link, message);
        }
    }
    assert_eq!(told, [(0, "Copy of the hut".to_owned())]);
    assert!(earlier.is_copied() && !later.is_copied() && !middle.is_copied());
}

#[test]
fn neighbour_fills_the_memory_with_what_people_say_of_themselves() {
    let limits = MeshLimits {
        described: 10_000,
        ..MeshLimits::default()
    };
    let mut sites = Sites::bounded(&["x", "y"], &limits);
    sites.join("y", "witness");
    for number in 0..40 {
        let name = format!("talker{number}");
        let metadata = "m".repeat(1000);
        sites.at(
            "x",
            Command::Join(Box::new(umbrella_room::command::Join {
                metadata,
                ..newcomer(&name)
            })),
        );
    }
    let known = |sites: &mut Sites| {
        let room = &sites.site("y").harness.room;
        let known = |number| {
            room.participant_by_id(&pa(&format!("talker{number}")))
                .is_some()
        };
        (0..40).filter(|number| known(*number)).count()
    };
    let first = known(&mut sites);
    assert!((3..10).contains(&first), "{first}");
    // Room is made by those who go.
    for number in 0..40 {
        let participant = pa(&format!("talker{number}"));
        let reason = LeaveReason::Asked;
        sites.at(
            "x",
            Command::Leave {
                participant,
                reason,
            },
        );
    }
    assert_eq!(known(&mut sites), 0);
    sites.join("x", "late");
    assert!(
        sites
            .site("y")
            .harness
            .room
            .participant_by_id(&pa("late"))
            .is_some()
    );
}
