//! What may be published, and when others learn of it.
//!
//! A track is accepted first (the publisher needs its id to name it in its offer) and opened when
//! the engine has a producer for it. Only then do others hear of it, and only after that are
//! consumers opened.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use umbrella_media::{Codec, Kind, Spatial};

use crate::access::Access;
use crate::backup::Backup;
use crate::command::{NewTrack, TrackChange};
use crate::effect::{Effect, Notification, Refusal};
use crate::mesh::Order;
use crate::model::{ParticipantId, TrackId, TrackView, VideoLayer};
use crate::participant::Participant;
use crate::room::{Audience, Room};
use crate::roster::{ParticipantKey, TrackKey};

/// A published track.
#[derive(Debug)]
pub(crate) struct Track {
    /// Whose.
    pub(crate) publisher: ParticipantKey,
    /// The publisher's stay.
    pub(crate) publisher_id: ParticipantId,
    /// What others see of it.
    pub(crate) view: TrackView,
    /// Whom its publisher lets have it.
    pub(crate) access: Arc<Access>,
    /// Where it is in its life.
    pub(crate) state: TrackState,
    /// The other codec that it can be had in.
    pub(crate) backup: Backup,
    /// It is the other codec of this track.
    pub(crate) first: Option<TrackKey>,
    /// The name under which clients know it.
    pub(crate) shown: TrackId,
    /// Its sound is not forwarded, as others are louder.
    pub(crate) quiet: bool,
    pub(crate) client_id: String,
    pub(crate) announced: Announced,
}

/// What was first announced. Scaling from these sizes, however often, does not add up rounding.
#[derive(Debug)]
pub(crate) struct Announced {
    codec: Option<Codec>,
    width: u32,
    height: u32,
    layers: Vec<VideoLayer>,
}

/// A track's life; it ends with its removal.
#[derive(Debug)]
pub(crate) enum TrackState {
    /// Accepted; no media yet, and nobody else knows of it.
    Pending,
    /// There is a producer.
    Open {
        /// Who has a consumer.
        subscribers: BTreeSet<ParticipantKey>,
        /// The publisher knows that somebody receives it.
        noticed: bool,
    },
}

impl Announced {
    pub(crate) fn of(view: &TrackView) -> Announced {
        Announced {
            codec: view.codec,
            width: view.width,
            height: view.height,
            layers: view.layers.clone(),
        }
    }
}

impl Track {
    /// There is a producer.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, TrackState::Open { .. })
    }

    /// Can be heard.
    pub(crate) fn is_audible(&self) -> bool {
        self.is_open() && self.view.kind == Kind::Audio && !self.view.muted
    }

    /// What its publisher calls its codec: it need not know what was agreed in the end.
    pub(crate) fn announced_codec(&self) -> Option<Codec> {
        self.announced.codec.or(self.view.codec)
    }

    /// The publisher's own name for it.
    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Forgets a consumer.
    pub(crate) fn remove_subscriber(&mut self, key: ParticipantKey) {
        match &mut self.state {
            TrackState::Pending => {}
            TrackState::Open { subscribers, .. } => {
                subscribers.remove(&key);
            }
        }
    }

    /// Encoders scale every layer from the same picture, so all grow and shrink with it.
    fn resize(&mut self, width: u32, height: u32) {
        let from = &self.announced;
        if width > 0 && height > 0 && from.width > 0 && from.height > 0 {
            for (layer, old) in self.view.layers.iter_mut().zip(&from.layers) {
                layer.width = scale(old.width, from.width, width);
                layer.height = scale(old.height, from.height, height);
            }
        }
        self.view.width = width;
        self.view.height = height;
    }
}

fn scale(side: u32, from: u32, to: u32) -> u32 {
    let scaled = u64::from(side) * u64::from(to) / u64::from(from.max(1));
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

impl Room {
    /// [`Command::Publish`](crate::Command::Publish).
    pub(crate) fn publish(&mut self, id: &ParticipantId, new: NewTrack) {
        let Some(key) = self.roster.by_id(id) else {
            return;
        };
        let client_id = new.client_id.clone();
        let accepted = match new.backup_of.clone() {
            Some(first) => self.publish_backup(key, &first, new),
            None => self.accept(key, new, None).map(|_| ()),
        };
        if let Err(reason) = accepted {
            self.notify(id.clone(), Notification::TrackRefused { client_id, reason });
        }
    }

    /// Takes a new track in, perhaps as the other codec of one that exists.
    pub(crate) fn accept(
        &mut self,
        key: ParticipantKey,
        new: NewTrack,
        first: Option<TrackKey>,
    ) -> Result<TrackKey, Refusal> {
        let publisher = self.roster.participants.get(&key);
        let publisher = publisher.ok_or(Refusal::NotFound)?;
        self.may_publish(publisher, &new)?;
        let (id, access) = (publisher.view.id.clone(), publisher.access.clone());
        let client_id = new.client_id.clone();
        let backup = match new.backup {
            Some(codec) if new.kind == Kind::Video && new.codec != Some(codec) => {
                Backup::Offered(codec)
            }
            Some(_) | None => Backup::None,
        };
        let first_track = first.and_then(|first| self.roster.tracks.get(&first));
        let shown = first_track.map(|first| first.view.id.clone());
        let view = view_of(new);
        let track = self.roster.insert_track(Track {
            publisher: key,
            publisher_id: id.clone(),
            backup,
            first,
            shown: shown.clone().unwrap_or_else(|| view.id.clone()),
            client_id: client_id.clone(),
            announced: Announced::of(&view),
            view: view.clone(),
            access,
            state: TrackState::Pending,
            quiet: false,
        });
        let published = Notification::TrackPublished {
            client_id,
            track: Box::new(view),
            first: shown,
        };
        self.notify(id, published);
        Ok(track)
    }

    /// [`Command::TrackOpened`](crate::Command::TrackOpened).
    pub(crate) fn track_opened(&mut self, now: Instant, id: &TrackId, codec: Option<Codec>) {
        let Some((key, track)) = self.roster.find_track(id) else {
            return;
        };
        if track.is_open() {
            return;
        }
        track.state = TrackState::Open {
            subscribers: BTreeSet::new(),
            noticed: false,
        };
        if let Some(codec) = codec.filter(|codec| codec.kind() == track.view.kind) {
            track.view.codec = Some(codec);
        }
        if track.view.kind == Kind::Video {
            self.demand.insert(key, &track.view.layers);
        }
        let (publisher, muted) = (track.publisher, track.view.muted);
        let is_backup = track.first.is_some();
        self.floor.changed = true;
        if muted {
            self.effects.push_back(Effect::PauseProducer {
                track: id.clone(),
                paused: true,
            });
        }
        if is_backup {
            self.share_change(publisher);
        } else {
            self.announce(publisher, Audience::Others);
        }
        self.settle_track(key);
        self.census(now);
    }

    /// [`Command::TrackCodec`](crate::Command::TrackCodec).
    pub(crate) fn track_codec(&mut self, id: &TrackId, codec: Codec) {
        let Some((key, track)) = self.roster.find_track(id) else {
            return;
        };
        if track.view.codec == Some(codec) || track.view.kind != codec.kind() {
            return;
        }
        track.view.codec = Some(codec);
        if track.is_open() {
            let (publisher, is_backup) = (track.publisher, track.first.is_some());
            if !is_backup {
                self.announce(publisher, Audience::Others);
            }
            self.retry_failed(key);
        }
    }

    /// [`Command::Unpublish`](crate::Command::Unpublish).
    pub(crate) fn unpublish(&mut self, now: Instant, id: &TrackId) {
        let Some(key) = self.roster.by_track(id) else {
            return;
        };
        let Some(track) = self.end_track(now, key) else {
            return;
        };
        if track.is_open() && track.first.is_none() {
            self.announce(track.publisher, Audience::Others);
            self.census(now);
        }
    }

    /// [`Command::Mute`](crate::Command::Mute): only the track's publisher.
    pub(crate) fn mute_own(&mut self, now: Instant, by: &ParticipantId, id: &TrackId, muted: bool) {
        if let Some((key, track)) = self.roster.find_track(id)
            && track.publisher_id == *by
            && track.view.muted != muted
        {
            self.set_muted(now, key, muted);
        }
    }

    /// A moderator mutes or unmutes: the publisher's client has to follow, so it hears it first.
    pub(crate) fn mute_by_moderator(&mut self, now: Instant, id: &TrackId, muted: bool) {
        let Some((key, track)) = self.roster.find_track(id) else {
            return;
        };
        if track.view.muted == muted {
            return;
        }
        let (publisher, id) = (track.publisher, id.clone());
        if self.order(publisher, || Order::Mute { track: id, muted }) {
            return;
        }
        self.mute_here(now, key, muted);
    }

    /// As [`Room::mute_by_moderator`], of a track here.
    pub(crate) fn mute_here(&mut self, now: Instant, key: TrackKey, muted: bool) {
        let Some(track) = self.roster.tracks.get(&key) else {
            return;
        };
        let id = &track.view.id;
        let to = track.publisher_id.clone();
        self.notify(
            to,
            Notification::TrackMuted {
                track: id.clone(),
                muted,
            },
        );
        self.set_muted(now, key, muted);
    }

    /// [`Command::UpdateTrack`](crate::Command::UpdateTrack): only the track's publisher.
    pub(crate) fn update_track(&mut self, by: &ParticipantId, id: &TrackId, change: TrackChange) {
        let relayed = self.config.limits.relayed;
        let Some((key, track)) = self.roster.find_track(id) else {
            return;
        };
        if track.publisher_id != *by {
            return;
        }
        let before = track.view.clone();
        match change {
            TrackChange::Video { width, height } => track.resize(width, height),
            TrackChange::Audio { mut features } => {
                features.truncate(relayed);
                track.view.audio_features = features;
            }
        }
        if track.view != before && track.is_open() {
            let publisher = track.publisher;
            self.announce(publisher, Audience::Others);
            self.settle_track(key);
        }
    }

    /// Takes a track out with its consumers and its producer. The caller announces it.
    pub(crate) fn end_track(&mut self, now: Instant, key: TrackKey) -> Option<Track> {
        let track = self.roster.remove_track(key)?;
        self.demand.remove(key);
        self.floor.changed = true;
        match &track.state {
            TrackState::Pending => {}
            TrackState::Open { subscribers, .. } => {
                for subscriber in subscribers {
                    let Some(subscriber) = self.roster.participants.get(subscriber) else {
                        continue;
                    };
                    self.effects.push_back(Effect::CloseConsumer {
                        subscriber: subscriber.view.id.clone(),
                        track: track.view.id.clone(),
                    });
                }
            }
        }
        // What comes from another server is kept for others that follow through here, and ends
        // there.
        if !self.roster.is_elsewhere(&track.publisher_id) {
            self.effects.push_back(Effect::CloseProducer {
                track: track.view.id.clone(),
            });
        }
        self.end_backup(now, &track);
        self.silence_if_mute(now, track.publisher);
        Some(track)
    }

    fn set_muted(&mut self, now: Instant, key: TrackKey, muted: bool) {
        let Some(track) = self.roster.tracks.get_mut(&key) else {
            return;
        };
        track.view.muted = muted;
        let (backup, is_backup) = (track.backup.track(), track.first.is_some());
        self.floor.changed = true;
        if track.is_open() {
            let (publisher, track) = (track.publisher, track.view.id.clone());
            self.effects.push_back(Effect::PauseProducer {
                track,
                paused: muted,
            });
            if let Some(backup) = backup {
                self.set_muted(now, backup, muted);
            }
            if !is_backup {
                self.announce(publisher, Audience::Others);
            }
            self.silence_if_mute(now, publisher);
        }
    }

    fn may_publish(&self, publisher: &Participant, new: &NewTrack) -> Result<(), Refusal> {
        let limits = &self.config.limits;
        // Others cannot be sent media of somebody whom they may not see.
        if publisher.view.permission.hidden || !publisher.view.permission.may_publish(new.source) {
            return Err(Refusal::NotAllowed);
        }
        let named_alike = |key| {
            self.roster
                .tracks
                .get(key)
                .is_some_and(|track| track.client_id == new.client_id)
        };
        if self.roster.by_track(&new.id).is_some() || publisher.tracks.iter().any(named_alike) {
            return Err(Refusal::Duplicate);
        }
        let names = [&new.client_id, &new.name, &new.stream];
        if publisher.tracks.len() >= limits.tracks
            || names.iter().any(|name| name.len() > limits.name)
            || new.audio_features.len() > limits.relayed
        {
            return Err(Refusal::LimitExceeded);
        }
        Ok(())
    }
}

/// What others see of a new track: layers in order, each quality once, and none that no
/// [`Spatial`] can name.
fn view_of(new: NewTrack) -> TrackView {
    let mut layers = new.layers;
    layers.retain(|layer| Spatial::new(layer.quality).is_some());
    layers.sort_by_key(|layer| layer.quality);
    layers.dedup_by_key(|layer| layer.quality);
    TrackView {
        id: new.id,
        kind: new.kind,
        source: new.source,
        name: new.name,
        stream: new.stream,
        muted: new.muted,
        codec: new.codec.filter(|codec| codec.kind() == new.kind),
        width: new.width,
        height: new.height,
        simulcast: new.kind == Kind::Video && layers.len() > 1,
        layers,
        disable_dtx: new.disable_dtx,
        stereo: new.stereo,
        disable_red: new.disable_red,
        encryption: new.encryption,
        audio_features: new.audio_features,
    }
}
