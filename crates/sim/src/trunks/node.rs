//! A server: its mesh, and what people in its rooms know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use umbrella_media::{Codec, Kind};
use umbrella_room::access::Access;
use umbrella_room::command::{Reliability, Remote};
use umbrella_room::mesh::{
    LayerDemand, LinkId, Mesh, MeshConfig, MeshLimits, Message, Output, Person, PersonTrack, Share,
};
use umbrella_room::model::{
    ClientFacts, Identity, LeaveReason, NodeId, ParticipantId, ParticipantKind, ParticipantState,
    ParticipantView, Permission, RoomName, Source, TrackId, TrackView,
};

/// A server.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) mesh: Mesh,
    pub(super) incarnation: u64,
    pub(super) rooms: BTreeMap<RoomName, Local>,
    /// What it sends over links, of which origin.
    pub(super) carried: BTreeMap<(LinkId, TrackId), LayerDemand>,
    /// What it has asked for over links.
    pub(super) asked: BTreeMap<(LinkId, TrackId), LayerDemand>,
    /// What others want of tracks here.
    pub(super) demanded: BTreeMap<TrackId, LayerDemand>,
}

/// A room, as far as this server's people know it.
#[derive(Debug, Default)]
pub(super) struct Local {
    pub(super) here: BTreeMap<ParticipantId, Person>,
    pub(super) elsewhere: BTreeMap<ParticipantId, (NodeId, Person)>,
    /// How often each data message was read.
    pub(super) read: BTreeMap<Vec<u8>, usize>,
    pub(super) wants: BTreeMap<TrackId, LayerDemand>,
    pub(super) metadata: String,
}

impl Node {
    pub(super) fn new(number: usize, incarnation: u64) -> Node {
        let id = NodeId::new(format!("ND_{number:02}"));
        Node {
            mesh: Mesh::new(MeshConfig {
                node: id.clone(),
                incarnation,
                name: id.to_string(),
                software: String::new(),
                media: true,
                limits: MeshLimits::default(),
            }),
            id,
            incarnation,
            rooms: BTreeMap::new(),
            carried: BTreeMap::new(),
            asked: BTreeMap::new(),
            demanded: BTreeMap::new(),
        }
    }

    /// Somebody comes in, or publishes one track more.
    pub(super) fn person(&mut self, now: Instant, room: &RoomName, person: Person) {
        let local = self.rooms.entry(room.clone()).or_default();
        let first = local.here.is_empty();
        let before = local.here.insert(person.view.id.clone(), person.clone());
        let before = before.into_iter().flat_map(|before| before.tracks);
        for track in before.filter(|track| !person.tracks.contains(track)) {
            self.demanded.remove(&track.view.id);
        }
        if first {
            self.mesh.use_room(now, room, true);
        }
        self.mesh.share(now, room, Share::Person(Box::new(person)));
    }

    pub(super) fn leave(&mut self, now: Instant, room: &RoomName, id: &ParticipantId) {
        let Some(local) = self.rooms.get_mut(room) else {
            return;
        };
        let Some(gone) = local.here.remove(id) else {
            return;
        };
        for track in gone.tracks {
            self.demanded.remove(&track.view.id);
        }
        let empty = local.here.is_empty();
        let (participant, reason) = (id.clone(), LeaveReason::Asked);
        self.mesh.share(
            now,
            room,
            Share::Gone {
                participant,
                reason,
            },
        );
        if empty {
            self.rooms.remove(room);
            self.mesh.use_room(now, room, false);
        }
    }

    /// People here want so much of a track elsewhere.
    pub(super) fn want(
        &mut self,
        now: Instant,
        room: &RoomName,
        track: &TrackId,
        layers: LayerDemand,
    ) {
        let Some(local) = self.rooms.get_mut(room) else {
            return;
        };
        let has =
            |(_, person): &&(NodeId, Person)| person.tracks.iter().any(|it| it.view.id == *track);
        let Some((origin, _)) = local.elsewhere.values().find(has) else {
            return;
        };
        local.wants.insert(track.clone(), layers);
        let (origin, track) = (origin.clone(), track.clone());
        let demand = Share::Demand {
            origin,
            track,
            layers,
        };
        self.mesh.share(now, room, demand);
    }

    pub(super) fn say(&mut self, now: Instant, room: &RoomName, what: &[u8]) {
        self.mesh.share(
            now,
            room,
            Share::Data {
                from: None,
                to: Vec::new(),
                reliability: Reliability::Reliable,
                payload: what.into(),
            },
        );
    }

    /// Does what the mesh says, and yields what goes over links.
    pub(super) fn carry_out(&mut self) -> Result<Vec<(LinkId, Message)>, String> {
        let mut sent = Vec::new();
        while let Some(output) = self.mesh.poll_output() {
            match output {
                Output::Send { link, message } => {
                    self.note_sent(link, &message);
                    sent.push((link, message));
                }
                Output::Room {
                    room,
                    origin,
                    remote,
                } => self.hear(&room, origin, *remote)?,
                Output::Carry {
                    link,
                    track,
                    layers,
                    ..
                } => {
                    if layers.is_none() {
                        self.carried.remove(&(link, track));
                    } else {
                        self.carried.insert((link, track), layers);
                    }
                }
                Output::Attend { .. } | Output::Ended { .. } | Output::Copied { .. } => {}
            }
        }
        Ok(sent)
    }

    fn note_sent(&mut self, link: LinkId, message: &Message) {
        if let Message::Demand { track, layers, .. } = message {
            // It is followed over one link at a time.
            self.asked.retain(|(_, known), _| known != track);
            if !layers.is_none() {
                self.asked.insert((link, track.clone()), *layers);
            }
        }
    }

    pub(super) fn forget_link(&mut self, link: LinkId) {
        self.carried.retain(|(known, _), _| *known != link);
        self.asked.retain(|(known, _), _| *known != link);
    }

    fn hear(&mut self, room: &RoomName, origin: NodeId, remote: Remote) -> Result<(), String> {
        if let Remote::Demanded { track, layers } = remote {
            self.demanded.insert(track, layers);
            return Ok(());
        }
        let me = self.id.clone();
        let Some(local) = self.rooms.get_mut(room) else {
            return Err(format!("{me} hears of {room}, where nobody is"));
        };
        match remote {
            Remote::Person(person) => {
                let id = person.view.id.clone();
                if local.here.contains_key(&id) {
                    return Err(format!("{me} hears of its own {id}"));
                }
                let before = local.elsewhere.insert(id, (origin, (*person).clone()));
                let before = before.into_iter().flat_map(|(_, before)| before.tracks);
                for track in before.filter(|track| !person.tracks.contains(track)) {
                    local.wants.remove(&track.view.id);
                }
            }
            Remote::Gone { participant, .. } => {
                let known = local.elsewhere.remove(&participant);
                let Some((_, person)) = known else {
                    return Err(format!("{participant} goes, whom {me} does not know"));
                };
                for track in person.tracks {
                    local.wants.remove(&track.view.id);
                }
            }
            Remote::Data(data) => {
                let times = local.read.entry(data.payload.to_vec()).or_default();
                *times += 1;
                if *times > 1 {
                    let text = String::from_utf8_lossy(&data.payload).into_owned();
                    return Err(format!("{me} reads {text} twice"));
                }
            }
            Remote::State { metadata, .. } => local.metadata = metadata,
            Remote::Levels(_)
            | Remote::Qualities(_)
            | Remote::Starved { .. }
            | Remote::Order { .. }
            | Remote::Demanded { .. } => {}
        }
        Ok(())
    }
}

/// Somebody with tracks of these names.
pub(super) fn person(id: &str, tracks: &[String], version: u32) -> Person {
    let view = ParticipantView {
        id: ParticipantId::new(id),
        identity: Identity::new(id),
        name: String::new(),
        metadata: String::new(),
        attributes: BTreeMap::new(),
        kind: ParticipantKind::Standard,
        state: ParticipantState::Active,
        joined_at_ms: 0,
        version,
        permission: Permission {
            subscribe: true,
            publish: true,
            publish_data: true,
            sources: Vec::new(),
            update_own_metadata: false,
            hidden: false,
            recorder: false,
        },
        publishing: !tracks.is_empty(),
        client: ClientFacts::default(),
        capabilities: Vec::new(),
        left: None,
        tracks: Vec::new(),
    };
    let tracks = tracks.iter().map(|track| PersonTrack {
        view: TrackView {
            id: TrackId::new(track.as_str()),
            kind: Kind::Video,
            source: Source::Camera,
            name: String::new(),
            stream: String::new(),
            muted: false,
            codec: Some(Codec::Vp8),
            width: 1280,
            height: 720,
            layers: Vec::new(),
            simulcast: true,
            disable_dtx: false,
            stereo: false,
            disable_red: false,
            encryption: 0,
            audio_features: Vec::new(),
        },
        backup: None,
        backup_of: None,
    });
    Person {
        tracks: tracks.collect(),
        view: Arc::new(view),
        access: Arc::new(Access::Everybody),
    }
}
