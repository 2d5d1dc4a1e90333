//! What happens next: mostly what people do, sometimes what only a broken or hostile client does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use umbrella_media::{Codec, Kind, Layer, Spatial, Temporal};
use umbrella_room::command::{
    Allowance, AllowedSubscribers, Join, Moderation, NewTrack, ParticipantChange, Reliability,
    SubscriptionReport, TrackChange, TrackLoudness,
};
use umbrella_room::model::{
    ClientFacts, Identity, LeaveReason, ParticipantId, ParticipantKind, Permission, Source,
    TrackId, TrackSettings, VideoLayer,
};
use umbrella_room::quality::Measured;
use umbrella_room::{Command, Sight};

use super::model::{Model, Person};
use super::world::World;
use crate::random::Random;

const REASONS: [LeaveReason; 5] = [
    LeaveReason::Asked,
    LeaveReason::SignalLost,
    LeaveReason::ConnectionLost,
    LeaveReason::Misbehaved,
    LeaveReason::StateMismatch,
];
const KINDS: [ParticipantKind; 4] = [
    ParticipantKind::Standard,
    ParticipantKind::Agent,
    ParticipantKind::Ingress,
    ParticipantKind::Ingress,
];
const SOURCES: [Source; 5] = [
    Source::Unknown,
    Source::Camera,
    Source::Microphone,
    Source::ScreenShare,
    Source::ScreenShareAudio,
];
const CODECS: [Codec; 5] = [Codec::Opus, Codec::Red, Codec::Vp8, Codec::H264, Codec::Av1];

/// Thinks of commands.
#[derive(Debug)]
pub(super) struct Script {
    /// How many the room tends to hold.
    crowd: usize,
    next_id: u64,
}

impl Script {
    pub(super) fn new(random: &mut Random) -> Script {
        Script {
            crowd: 3 + random.below(30),
            next_id: 0,
        }
    }

    /// The next command.
    pub(super) fn next(&mut self, random: &mut Random, model: &Model, world: &World) -> Command {
        if model.len() < self.crowd && random.one_in(3) {
            return self.join(random, model);
        }
        let participant = somebody(random, model);
        match random.below(100) {
            0..=3 => self.join(random, model),
            4..=6 => Command::Leave {
                participant,
                reason: one_of(random, &REASONS),
            },
            7..=10 => Command::MediaConnected { participant },
            11..=22 => Command::Publish {
                participant,
                track: Box::new(self.track(random, model)),
            },
            23..=37 => {
                let codec = (!random.one_in(3)).then(|| one_of(random, &CODECS));
                Command::TrackOpened {
                    track: pending(random, model),
                    codec,
                }
            }
            38..=40 => Command::TrackCodec {
                track: some_track(random, model),
                codec: one_of(random, &CODECS),
            },
            41..=43 => Command::Unpublish {
                track: some_track(random, model),
            },
            44..=50 => {
                let (participant, track) = own_track(random, model);
                Command::Mute {
                    participant,
                    track,
                    muted: random.one_in(2),
                }
            }
            51..=52 => {
                let (participant, track) = own_track(random, model);
                Command::UpdateTrack {
                    participant,
                    track,
                    change: track_change(random),
                }
            }
            53..=61 => Command::Subscribe {
                participant,
                tracks: some_tracks(random, model),
                subscribe: random.one_in(2),
            },
            62..=64 => allow(random, model),
            65..=72 => Command::SetTrackSettings {
                participant,
                tracks: some_tracks(random, model),
                settings: settings(random),
            },
            73..=77 => engine_report(random, model, world),
            78..=82 => Command::UpdateSelf {
                participant,
                request: random.below(1000) as u32,
                change: change(random),
            },
            83..=87 => data(random, model),
            88..=90 => Command::AudioLevels(levels(random, model)),
            91 => connection(random, model),
            92 => confirm(random, model),
            _ => Command::Moderate(moderation(random, model)),
        }
    }

    fn join(&mut self, random: &mut Random, model: &Model) -> Command {
        self.next_id += 1;
        let name = random.below(self.crowd * 3);
        // Now and then the same stay joins twice; but the id of one that has ended never comes back.
        let id = match random.pick(&model.people) {
            Some(person) if random.one_in(30) => person.id().clone(),
            _ => ParticipantId::new(format!("PA_{}", self.next_id)),
        };
        Command::Join(Box::new(Join {
            id,
            identity: Identity::new(format!("guest-{name}")),
            name: text(random, 25),
            metadata: text(random, 41),
            attributes: attributes(random),
            kind: one_of(random, &KINDS),
            permission: permission(random),
            sight: self.sight(random),
            joined_at_ms: self.next_id,
            auto_subscribe: !random.one_in(4),
            adaptive_stream: random.one_in(2),
            client: ClientFacts {
                client_protocol: random.below(3) as i32,
            },
            capabilities: numbers(random),
        }))
    }

    /// Most see all cameras, some a few or none.
    fn sight(&self, random: &mut Random) -> Sight {
        if !random.one_in(3) {
            return Sight::All;
        }
        let names = self.crowd * 3;
        let count = random.below(names);
        let cameras = (0..count).map(|_| random.below(names));
        Sight::only(cameras.map(|name| Identity::new(format!("guest-{name}"))))
    }

    fn track(&mut self, random: &mut Random, model: &Model) -> NewTrack {
        self.next_id += 1;
        let kind = if random.one_in(2) {
            Kind::Audio
        } else {
            Kind::Video
        };
        let id = match random.pick(&model.pieces) {
            Some(piece) if random.one_in(30) => piece.view.id.clone(),
            _ => TrackId::new(format!("TR_{}", self.next_id)),
        };
        let (width, height) = one_of(random, &[(1280, 720), (720, 1280), (0, 0), (1920, 1080)]);
        NewTrack {
            id,
            client_id: format!("c{}", random.below(20)),
            kind,
            source: one_of(random, &SOURCES),
            name: text(random, 25),
            stream: "camera".to_owned(),
            muted: random.one_in(4),
            codec: random.one_in(2).then(|| one_of(random, &CODECS)),
            backup: None,
            backup_of: None,
            width,
            height,
            layers: layers(random, width, height),
            disable_dtx: random.one_in(2),
            stereo: random.one_in(2),
            disable_red: random.one_in(2),
            encryption: random.below(3) as i32,
            audio_features: numbers(random),
        }
    }
}

fn layers(random: &mut Random, width: u32, height: u32) -> Vec<VideoLayer> {
    let count = random.below(4) as u32;
    // Out of order, and sometimes one too many.
    let qualities = (0..count).rev().chain(random.one_in(10).then_some(7));
    qualities
        .map(|quality| VideoLayer {
            quality: quality as u8,
            width: width >> (count.saturating_sub(1).saturating_sub(quality)),
            height: height >> (count.saturating_sub(1).saturating_sub(quality)),
            bitrate: 0,
            rid: String::new(),
        })
        .collect()
}

fn allow(random: &mut Random, model: &Model) -> Command {
    let allowance = |random: &mut Random| Allowance {
        participant: random.one_in(3).then(|| somebody(random, model)),
        identity: (!random.one_in(3)).then(|| some_identity(random, model)),
        tracks: random.one_in(3).then(|| some_tracks(random, model)),
    };
    let allowed = if random.one_in(3) {
        AllowedSubscribers::Everybody
    } else {
        let count = random.below(2 * model.len() + 1);
        AllowedSubscribers::Listed((0..count).map(|_| allowance(random)).collect())
    };
    Command::AllowSubscribers {
        participant: somebody(random, model),
        allowed,
    }
}

fn connection(random: &mut Random, model: &Model) -> Command {
    if random.one_in(2) {
        return Command::ConnectionLost {
            participant: somebody(random, model),
            lost: random.one_in(2),
        };
    }
    let measured = |random: &mut Random| Measured {
        loss: random.below(30) as f32 / 100.0,
        round_trip: (!random.one_in(4)).then(|| Duration::from_millis(random.below(900) as u64)),
        missing: random.below(5) as f32 / 4.0,
    };
    let count = random.below(6);
    let all = (0..count).map(|_| (somebody(random, model), measured(random)));
    Command::Measured(all.collect())
}

fn confirm(random: &mut Random, model: &Model) -> Command {
    Command::ConfirmTracks {
        participant: somebody(random, model),
        tracks: some_tracks(random, model),
    }
}

fn engine_report(random: &mut Random, model: &Model, world: &World) -> Command {
    let flows = world.flows();
    let index = random.below(flows.len());
    let (participant, track) = match world.flows().nth(index) {
        Some(flow) if !random.one_in(5) => flow.clone(),
        _ => (somebody(random, model), some_track(random, model)),
    };
    let report = match random.below(6) {
        0..=2 => SubscriptionReport::Started,
        3 => SubscriptionReport::Starved(random.one_in(2)),
        _ => SubscriptionReport::Failed {
            codec: random.one_in(2).then(|| one_of(random, &CODECS)),
        },
    };
    Command::Subscription {
        participant,
        track,
        report,
    }
}

fn data(random: &mut Random, model: &Model) -> Command {
    let from = (!random.one_in(10)).then(|| somebody(random, model));
    let to = (0..random.below(4))
        .map(|_| some_identity(random, model))
        .collect();
    let payload = vec![0; random.below(104)];
    let reliability = one_of(random, &[Reliability::Reliable, Reliability::Lossy]);
    Command::Data {
        from,
        to,
        reliability,
        payload: Arc::from(payload),
    }
}

fn levels(random: &mut Random, model: &Model) -> Vec<TrackLoudness> {
    let count = random.below(4);
    let level = |random: &mut Random| TrackLoudness {
        track: some_track(random, model),
        level: random.below(128) as u8,
        voice: random.below(3) as f32 / 2.0,
    };
    (0..count).map(|_| level(random)).collect()
}

fn moderation(random: &mut Random, model: &Model) -> Moderation {
    let identity = some_identity(random, model);
    match random.below(20) {
        0..=2 => Moderation::Remove { identity },
        3..=8 => Moderation::Mute {
            track: some_track(random, model),
            muted: random.one_in(2),
        },
        9..=15 => Moderation::Update {
            identity,
            change: if random.one_in(3) {
                change(random)
            } else {
                ParticipantChange::default()
            },
            permission: (!random.one_in(4)).then(|| permission(random)),
        },
        16..=18 => Moderation::SetRoomMetadata {
            metadata: text(random, 42),
        },
        _ if random.one_in(6) => Moderation::Close {
            reason: LeaveReason::RoomDeleted,
        },
        _ => Moderation::Remove { identity },
    }
}

fn permission(random: &mut Random) -> Permission {
    let count = if random.one_in(4) {
        1 + random.below(3)
    } else {
        0
    };
    Permission {
        subscribe: !random.one_in(6),
        publish: !random.one_in(5),
        publish_data: !random.one_in(4),
        sources: (0..count).map(|_| one_of(random, &SOURCES)).collect(),
        update_own_metadata: !random.one_in(3),
        hidden: random.one_in(8),
        recorder: random.one_in(20),
    }
}

fn change(random: &mut Random) -> ParticipantChange {
    ParticipantChange {
        name: random.one_in(2).then(|| text(random, 26)),
        metadata: random.one_in(2).then(|| text(random, 42)),
        attributes: attributes(random),
    }
}

fn track_change(random: &mut Random) -> TrackChange {
    if random.one_in(2) {
        TrackChange::Audio {
            features: numbers(random),
        }
    } else {
        let (width, height) = one_of(random, &[(640, 360), (1, 1), (0, 0), (2560, 1440)]);
        TrackChange::Video { width, height }
    }
}

fn settings(random: &mut Random) -> TrackSettings {
    let (width, height) = one_of(
        random,
        &[
            (0, 0),
            (160, 90),
            (400, 0),
            (0, 300),
            (640, 360),
            (1300, 731),
            (99, 999),
        ],
    );
    let quality = random.one_in(2).then(|| Layer {
        spatial: one_of(random, &[Spatial::LOW, Spatial::MEDIUM, Spatial::HIGH]),
        temporal: Temporal::new(random.below(8) as u8),
    });
    TrackSettings {
        disabled: random.one_in(4),
        width,
        height,
        quality,
        frame_rate: one_of(random, &[0, 5, 8, 9, 15, 16, 30]),
    }
}

fn attributes(random: &mut Random) -> BTreeMap<String, String> {
    let count = random.below(4);
    (0..count)
        .map(|_| (format!("key{}", random.below(6)), text(random, 22)))
        .collect()
}

fn numbers(random: &mut Random) -> Vec<i32> {
    (0..random.below(6))
        .map(|_| random.below(5) as i32)
        .collect()
}

/// A text of at most so many bytes, more often a short one.
fn text(random: &mut Random, most: usize) -> String {
    let most = if random.one_in(6) { most } else { most / 3 };
    "x".repeat(random.below(most + 1))
}

fn one_of<T: Copy, const N: usize>(random: &mut Random, from: &[T; N]) -> T {
    from[random.below(N)]
}

fn somebody(random: &mut Random, model: &Model) -> ParticipantId {
    let ids = model.people.iter().map(Person::id);
    let ids: Vec<_> = ids.collect();
    match random.pick(&ids) {
        Some(id) if !random.one_in(40) => (*id).clone(),
        _ => ParticipantId::new("PA_gone"),
    }
}

fn some_identity(random: &mut Random, model: &Model) -> Identity {
    match random.pick(&model.people) {
        Some(person) if !random.one_in(20) => person.join.identity.clone(),
        _ => Identity::new("stranger"),
    }
}

fn some_track(random: &mut Random, model: &Model) -> TrackId {
    match random.pick(&model.pieces) {
        Some(piece) if !random.one_in(40) => piece.view.id.clone(),
        _ => TrackId::new("TR_gone"),
    }
}

fn some_tracks(random: &mut Random, model: &Model) -> Vec<TrackId> {
    (0..1 + random.below(3))
        .map(|_| some_track(random, model))
        .collect()
}

fn pending(random: &mut Random, model: &Model) -> TrackId {
    let pending: Vec<_> = model.pieces.iter().filter(|piece| !piece.open).collect();
    match random.pick(&pending) {
        Some(piece) => piece.view.id.clone(),
        None => some_track(random, model),
    }
}

/// A track and its publisher, or now and then somebody else.
fn own_track(random: &mut Random, model: &Model) -> (ParticipantId, TrackId) {
    match random.pick(&model.pieces) {
        Some(piece) if !random.one_in(10) => (piece.owner.clone(), piece.view.id.clone()),
        _ => (somebody(random, model), some_track(random, model)),
    }
}
