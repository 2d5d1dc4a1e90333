//! The tracks of cameras: what is published, and who wants it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use umbrella_engine::{Request, SourceOptions};
use umbrella_media::{Codec, GopLimits, Kind, Spatial};
use umbrella_room::command::{NewTrack, TrackChange};
use umbrella_room::model::{
    ParticipantId, ParticipantView, RoomName, Source as TrackSource, TrackId, TrackView, VideoLayer,
};
use umbrella_room::{Command, Notification};

use super::encoding;
use super::member::{Audio, Member, Presence, Video};
use crate::camera::{AudioFormat, VideoFormat};
use crate::control::{Control, random_name};

/// How long a camera waits for its other layer before it is published without.
const PATIENCE: Duration = Duration::from_secs(3);

/// The stream that a camera's tracks belong to, so that they are played in sync.
const STREAM: &str = "camera";

/// What is published.
impl Control {
    /// Makes the tracks of a camera what is known of it.
    pub(super) fn settle_camera_tracks(&mut self, now: Instant, id: &str) {
        let Some(member) = self.cameras.by_id.get_mut(id) else {
            return;
        };
        let Presence::In { participant, .. } = &member.presence else {
            return;
        };
        let participant = participant.clone();
        let Some((codec, layers)) = member.picture() else {
            return;
        };
        if member.video.is_none() && member.awaits_layers() {
            let until = *member.patience.get_or_insert(now + PATIENCE);
            if now < until {
                return;
            }
        }
        member.patience = None;
        let mut commands = settle_video(member, &participant, codec, &layers);
        commands.extend(settle_audio(member, &participant));
        let room = RoomName::new(&*member.spec.room);
        let commands = commands.into_iter();
        self.commands
            .extend(commands.map(|command| (room.clone(), command)));
    }

    /// What the room tells a camera.
    pub(in crate::control) fn tell_camera(&mut self, id: &str, notification: Notification) {
        match notification {
            Notification::TrackPublished { track, .. } => self.open_camera_track(id, &track),
            Notification::TrackRefused { client_id, reason } => {
                tracing::warn!(camera = id, kind = client_id, ?reason, "cannot publish");
                if let Some(member) = self.cameras.by_id.get_mut(id) {
                    forget(member, |_, kind| kind == client_id);
                }
            }
            Notification::TrackUnpublished { track } => {
                if let Some(member) = self.cameras.by_id.get_mut(id) {
                    forget(member, |known, _| *known == track);
                }
            }
            Notification::LayersWanted { track, highest, .. } => {
                if let Some(member) = self.cameras.by_id.get_mut(id)
                    && let Some(video) = member.video.as_mut().filter(|it| it.track == track)
                {
                    video.highest = highest;
                    member.settle_wishes();
                }
            }
            Notification::TrackMuted { track, muted } => {
                if let Some(member) = self.cameras.by_id.get_mut(id) {
                    let video = member.video.as_ref().is_some_and(|it| it.track == track);
                    let audio = member.audio.as_ref().is_some_and(|it| it.track == track);
                    let known = &mut member.muted;
                    known.video = if video { muted } else { known.video };
                    known.audio = if audio { muted } else { known.audio };
                }
            }
            Notification::Participants(changed) => {
                if let Some(member) = self.cameras.by_id.get_mut(id) {
                    note_permission(member, &changed);
                }
            }
            // It does not look at anybody.
            Notification::Joined(_)
            | Notification::TrackSubscribed { .. }
            | Notification::SubscriptionFailed { .. }
            | Notification::StreamPaused { .. }
            | Notification::SubscriptionAllowed { .. }
            | Notification::Room(_)
            | Notification::Speakers(_)
            | Notification::Qualities(_)
            | Notification::Response { .. }
            | Notification::Leave(_) => {}
        }
    }

    /// The room has accepted a track: there are media of it at once.
    fn open_camera_track(&mut self, id: &str, view: &TrackView) {
        let cache = self.settings.memory.shares().pictures();
        let Some(member) = self.cameras.by_id.get_mut(id) else {
            return;
        };
        let Presence::In { session, .. } = member.presence else {
            return;
        };
        let video = member.video.as_mut().filter(|it| it.track == view.id);
        let audio = member.audio.as_mut().filter(|it| it.track == view.id);
        let (options, slot) = match (video, audio) {
            (Some(video), _) => (
                options(video.codec, video.layers.len(), false, cache),
                &mut video.producer,
            ),
            (None, Some(audio)) => (
                options(audio.codec, 1, audio.stereo, cache),
                &mut audio.producer,
            ),
            (None, None) => return,
        };
        let Some((worker, room)) = self.sessions.get_mut(session).map(|session| {
            session.tracks.push(view.id.clone());
            (session.worker, session.room.clone())
        }) else {
            return;
        };
        let track = view.id.clone();
        let producer = self
            .names
            .add_producer(session, room.clone(), track.clone());
        *slot = Some(producer);
        member.outlet_due = true;
        self.request(worker, Request::OpenSource { producer, options });
        if view.muted {
            let paused = true;
            self.request(worker, Request::PauseProducer { producer, paused });
        }
        let codec = Some(options.codec);
        self.commands
            .push_back((room, Command::TrackOpened { track, codec }));
    }
}

/// Who wants it.
impl Control {
    /// Whether a track goes to anybody, here or at other servers.
    pub(super) fn is_received(&self, track: &TrackId) -> bool {
        self.names.is_received(track) || self.trunks.is_carried(track)
    }

    /// Looks at which cameras are heard, if that may have changed.
    pub(in crate::control) fn settle_camera_sound(&mut self) {
        if !std::mem::take(&mut self.cameras.listeners_changed) {
            return;
        }
        let audio = self.cameras.by_id.values();
        let audio = audio.filter_map(|member| Some(&member.audio.as_ref()?.track));
        let tracks: HashSet<TrackId> = audio.cloned().collect();
        if tracks.is_empty() {
            return;
        }
        let heard = self.names.received_of(&tracks);
        for member in self.cameras.by_id.values_mut() {
            let Some(audio) = &mut member.audio else {
                continue;
            };
            audio.wanted = heard.contains(&audio.track) || self.trunks.is_carried(&audio.track);
            member.settle_wishes();
        }
    }

    /// Tells feeders where media go, once workers know that too.
    pub(in crate::control) fn tell_feeders(&mut self) {
        for member in self.cameras.by_id.values_mut() {
            if !member.outlet_due {
                continue;
            }
            let session = match member.presence {
                Presence::In { session, .. } => self.sessions.get(session),
                Presence::Out(_) => None,
            };
            let worker = session.and_then(|session| self.workers.get(session.worker));
            let outlet = match worker {
                Some(worker) if worker.is_behind() => continue,
                Some(worker) => member.outlet(worker.intake()),
                None => super::Outlet::default(),
            };
            member.outlet_due = false;
            if let Some(source) = &member.source {
                source.outlet.send_replace(outlet);
            }
        }
    }
}

/// A moderator may have given back what was taken: the right to publish.
fn note_permission(member: &mut Member, changed: &[Arc<ParticipantView>]) {
    let Presence::In { participant, .. } = &member.presence else {
        return;
    };
    let mut own = changed.iter().filter(|view| view.id == *participant);
    let may = own.any(|view| view.permission.publish);
    if may && member.video.is_none() && !member.formats.is_empty() {
        member.patience.get_or_insert_with(Instant::now);
    }
}

fn options(codec: Codec, encodings: usize, stereo: bool, cache: GopLimits) -> SourceOptions {
    SourceOptions {
        codec,
        encodings,
        stereo,
        cache,
    }
}

/// Forgets tracks that are gone: by their names, and what the camera itself calls them.
fn forget(member: &mut Member, is_gone: impl Fn(&TrackId, &str) -> bool) {
    let gone = |track: &TrackId, kind| is_gone(track, kind);
    if (member.video.as_ref()).is_some_and(|it| gone(&it.track, "video")) {
        member.video = None;
    }
    if (member.audio.as_ref()).is_some_and(|it| gone(&it.track, "audio")) {
        member.audio = None;
    }
    member.outlet_due = true;
    member.settle_wishes();
}

fn settle_video(
    member: &mut Member,
    participant: &ParticipantId,
    codec: Codec,
    layers: &[(Spatial, VideoFormat)],
) -> Vec<Command> {
    let size = |format: &VideoFormat| (format.size.width, format.size.height);
    let Some(largest) = layers.last().map(|(_, format)| size(format)) else {
        return Vec::new();
    };
    let own: Vec<Spatial> = layers.iter().map(|(layer, _)| *layer).collect();
    let participant = participant.clone();
    let mut commands = Vec::new();
    if let Some(video) = &mut member.video {
        if video.codec == codec && video.layers == own {
            if video.size == largest {
                return Vec::new();
            }
            video.size = largest;
            let (width, height) = largest;
            return vec![Command::UpdateTrack {
                participant,
                track: video.track.clone(),
                change: TrackChange::Video { width, height },
            }];
        }
        let track = video.track.clone();
        commands.push(Command::Unpublish { track });
    }
    let track = TrackId::new(random_name("TR_"));
    let announced = layers.iter().enumerate().map(|(index, (_, format))| {
        // The only one is the best one.
        let quality = if own.len() == 1 {
            Spatial::HIGH
        } else {
            encoding(index)
        };
        let (width, height) = size(format);
        VideoLayer {
            quality: quality.index() as u8,
            width,
            height,
            bitrate: 0,
            rid: String::new(),
        }
    });
    let new = NewTrack {
        width: largest.0,
        height: largest.1,
        layers: announced.collect(),
        ..new_track(&track, Kind::Video, codec, member.muted.video)
    };
    member.video = Some(Video {
        track,
        codec,
        layers: own,
        size: largest,
        producer: None,
        // As the room begins, too.
        highest: Some(Spatial::HIGH),
    });
    let track = Box::new(new);
    commands.push(Command::Publish { participant, track });
    commands
}

fn settle_audio(member: &mut Member, participant: &ParticipantId) -> Vec<Command> {
    let sound = member.sound();
    let is_stereo = |format: &AudioFormat| format.channels > 1;
    let mut commands = Vec::new();
    if let Some(audio) = &mut member.audio {
        match &sound {
            Some((format, layers))
                if audio.codec == format.codec && audio.stereo == is_stereo(format) =>
            {
                if audio.layers != *layers {
                    audio.layers.clone_from(layers);
                    member.outlet_due = true;
                }
                return commands;
            }
            Some(_) | None => {}
        }
        let track = audio.track.clone();
        commands.push(Command::Unpublish { track });
        member.audio = None;
        member.outlet_due = true;
    }
    let Some((format, layers)) = sound else {
        return commands;
    };
    let track = TrackId::new(random_name("TR_"));
    let new = NewTrack {
        stereo: is_stereo(&format),
        ..new_track(&track, Kind::Audio, format.codec, member.muted.audio)
    };
    member.audio = Some(Audio {
        track,
        codec: format.codec,
        stereo: is_stereo(&format),
        layers,
        producer: None,
        wanted: false,
    });
    commands.push(Command::Publish {
        participant: participant.clone(),
        track: Box::new(new),
    });
    commands
}

fn new_track(id: &TrackId, kind: Kind, codec: Codec, muted: bool) -> NewTrack {
    let (client_id, source) = match kind {
        Kind::Video => ("video", TrackSource::Camera),
        Kind::Audio => ("audio", TrackSource::Microphone),
    };
    NewTrack {
        id: id.clone(),
        client_id: client_id.to_owned(),
        kind,
        source,
        name: String::new(),
        stream: STREAM.to_owned(),
        muted,
        codec: Some(codec),
        backup: None,
        backup_of: None,
        width: 0,
        height: 0,
        layers: Vec::new(),
        disable_dtx: true,
        stereo: false,
        disable_red: true,
        encryption: 0,
        audio_features: Vec::new(),
    }
}
