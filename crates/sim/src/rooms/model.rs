//! What should be so: plain facts, and answers that are derived from them anew each time.
//!
//! Nothing in here is clever or fast, and nothing is shared with the room but its nouns.

mod receiving;
mod seeing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use umbrella_media::{Codec, Kind};
use umbrella_room::command::{
    Allowance, Join, Moderation, NewTrack, ParticipantChange, SubscriptionReport, TrackChange,
};
use umbrella_room::effect::Refusal;
use umbrella_room::model::{
    Identity, LeaveReason, ParticipantId, ParticipantState, ParticipantView, Permission, TrackId,
    TrackSettings, TrackView,
};
use umbrella_room::{Command, Limits, Notification, Room};

use super::world::Outcome;

/// The facts of a room.
#[derive(Debug)]
pub(super) struct Model {
    limits: Limits,
    max: u32,
    pub(super) people: Vec<Person>,
    pub(super) pieces: Vec<Piece>,
    pub(super) metadata: String,
    /// Everybody who has ever come in, as it was then.
    visitors: BTreeMap<ParticipantId, Join>,
    /// From whom nothing comes.
    pub(super) lost: BTreeSet<ParticipantId>,
    inaudible: BTreeMap<ParticipantId, Instant>,
}

/// A participant.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) join: Join,
    active: bool,
    wishes: BTreeMap<TrackId, bool>,
    settings: BTreeMap<TrackId, TrackSettings>,
    failed: BTreeSet<TrackId>,
    /// Whom it lets have its tracks; `None` is everybody.
    guests: Option<Vec<Allowance>>,
}

/// A track.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) owner: ParticipantId,
    pub(super) view: TrackView,
    pub(super) open: bool,
    first: NewTrack,
    noticed: bool,
}

impl Person {
    pub(super) fn id(&self) -> &ParticipantId {
        &self.join.id
    }

    fn hidden(&self) -> bool {
        self.join.permission.hidden
    }
}

impl Model {
    pub(super) fn new(limits: Limits, max: u32) -> Model {
        Model {
            limits,
            max,
            people: Vec::new(),
            pieces: Vec::new(),
            metadata: String::new(),
            visitors: BTreeMap::new(),
            lost: BTreeSet::new(),
            inaudible: BTreeMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.people.len()
    }

    pub(super) fn ids(&self) -> Vec<ParticipantId> {
        self.people
            .iter()
            .map(|person| person.id().clone())
            .collect()
    }

    pub(super) fn person(&self, id: &ParticipantId) -> Option<&Person> {
        self.people.iter().find(|person| person.id() == id)
    }

    fn person_mut(&mut self, id: &ParticipantId) -> Option<&mut Person> {
        self.people.iter_mut().find(|person| person.id() == id)
    }

    fn named(&self, identity: &Identity) -> Option<ParticipantId> {
        let person = self
            .people
            .iter()
            .find(|person| person.join.identity == *identity)?;
        Some(person.id().clone())
    }

    fn piece(&self, id: &TrackId) -> Option<&Piece> {
        self.pieces.iter().find(|piece| piece.view.id == *id)
    }

    fn piece_mut(&mut self, id: &TrackId) -> Option<&mut Piece> {
        self.pieces.iter_mut().find(|piece| piece.view.id == *id)
    }

    pub(super) fn is_pending(&self, id: &TrackId) -> bool {
        self.piece(id).is_some_and(|piece| !piece.open)
    }

    pub(super) fn is_open(&self, id: &TrackId) -> bool {
        self.piece(id).is_some_and(|piece| piece.open)
    }

    /// A track that can be heard, and who is heard by it.
    pub(super) fn audible(&self, kind: Kind) -> Option<(TrackId, ParticipantId)> {
        let piece = self
            .pieces
            .iter()
            .find(|piece| piece.open && piece.view.kind == kind && !piece.view.muted)?;
        Some((piece.view.id.clone(), piece.owner.clone()))
    }

    /// Since when somebody, present or gone, cannot be heard.
    pub(super) fn inaudible_since(&self, id: &ParticipantId) -> Option<Instant> {
        self.inaudible.get(id).copied()
    }

    fn is_audible(&self, owner: &ParticipantId) -> bool {
        self.pieces.iter().any(|piece| {
            piece.owner == *owner
                && piece.open
                && piece.view.kind == Kind::Audio
                && !piece.view.muted
        })
    }

    /// Everybody who can be heard.
    pub(super) fn audible_people(&self) -> BTreeSet<ParticipantId> {
        let people = self.people.iter().map(Person::id);
        people.filter(|id| self.is_audible(id)).cloned().collect()
    }

    /// How many may be heard at a time; 0 is all.
    pub(super) fn heard(&self) -> usize {
        self.limits.heard
    }

    /// The tracks by which somebody can be heard.
    pub(super) fn sounds_of(&self, id: &ParticipantId) -> impl Iterator<Item = &TrackId> {
        let pieces = self.pieces.iter().filter(move |piece| piece.owner == *id);
        let sounds = pieces.filter(|it| it.open && it.view.kind == Kind::Audio && !it.view.muted);
        sounds.map(|piece| &piece.view.id)
    }

    /// Whose a track is.
    pub(super) fn owner(&self, track: &TrackId) -> Option<&ParticipantId> {
        self.piece(track).map(|piece| &piece.owner)
    }

    pub(super) fn is_picture(&self, track: &TrackId) -> bool {
        let piece = self.piece(track);
        piece.is_some_and(|it| it.view.kind == Kind::Video)
    }

    /// Producers, and whether they should be paused.
    pub(super) fn producers(&self) -> BTreeMap<TrackId, bool> {
        let open = self.pieces.iter().filter(|piece| piece.open);
        open.map(|piece| (piece.view.id.clone(), piece.view.muted))
            .collect()
    }

    /// Tracks that were accepted and have not ended.
    pub(super) fn published(&self) -> BTreeSet<TrackId> {
        let pieces = self.pieces.iter();
        pieces.map(|piece| piece.view.id.clone()).collect()
    }

    /// What others should see of somebody; the version is not known here.
    pub(super) fn view_of(&self, person: &Person) -> ParticipantView {
        let mine = self
            .pieces
            .iter()
            .filter(|piece| piece.owner == *person.id() && piece.open);
        let tracks: Vec<_> = mine.map(|piece| piece.view.clone()).collect();
        let Join { capabilities, .. } = &person.join;
        ParticipantView {
            id: person.id().clone(),
            identity: person.join.identity.clone(),
            name: person.join.name.clone(),
            metadata: person.join.metadata.clone(),
            attributes: person.join.attributes.clone(),
            kind: person.join.kind,
            state: if person.active {
                ParticipantState::Active
            } else {
                ParticipantState::Joined
            },
            joined_at_ms: person.join.joined_at_ms,
            version: 0,
            permission: person.join.permission.clone(),
            publishing: !tracks.is_empty(),
            client: person.join.client,
            capabilities: capabilities
                .iter()
                .copied()
                .take(self.limits.relayed)
                .collect(),
            left: None,
            tracks,
        }
    }

    /// Whether a room tells its owner the same.
    pub(super) fn compare(&self, room: &Room) -> Result<(), String> {
        let view = room.view();
        if (view.participants, view.publishers, view.recording) != self.counts() {
            return Err(format!("counts are {view:?}, not {:?}", self.counts()));
        }
        let ids: Vec<_> = room.participants().map(|view| view.id.clone()).collect();
        if ids != self.ids() {
            return Err(format!("the room lists {ids:?}, not {:?}", self.ids()));
        }
        for piece in &self.pieces {
            match room.track(&piece.view.id) {
                Some((publisher, view)) if publisher.id == piece.owner && *view == piece.view => {}
                other => return Err(format!("{} is {other:?}, not {piece:?}", piece.view.id)),
            }
        }
        if room.is_empty() == self.people.is_empty() {
            Ok(())
        } else {
            Err("the room does not know whether it is empty".to_owned())
        }
    }

    /// Takes in what has happened, and says what the room should tell single participants of it.
    pub(super) fn apply(&mut self, command: &Command, now: Instant) -> Outcome {
        let mut out = Outcome::default();
        let was_empty = self.people.is_empty();
        self.take_in(command, &mut out);
        for person in &self.people {
            if self.is_audible(person.id()) {
                self.inaudible.remove(person.id());
            } else {
                self.inaudible.entry(person.id().clone()).or_insert(now);
            }
        }
        for gone in &out.gone {
            self.inaudible.entry(gone.0.clone()).or_insert(now);
        }
        out.empty = usize::from(!was_empty && self.people.is_empty());
        out
    }

    fn take_in(&mut self, command: &Command, out: &mut Outcome) {
        match command {
            Command::Join(join) => self.join(join, out),
            Command::Leave {
                participant,
                reason,
            } => self.remove(participant, *reason, out),
            Command::MediaConnected { participant } => self.activate(participant),
            Command::Resume { participant } => self.resume(participant, out),
            Command::ConfirmTracks {
                participant,
                tracks,
            } => self.confirm(participant, tracks, out),
            Command::Publish { participant, track } => self.publish(participant, track, out),
            Command::TrackOpened { track, codec } => self.open(track, *codec),
            Command::TrackCodec { track, codec } => self.codec(track, *codec),
            Command::Unpublish { track } => self.end(track),
            Command::Mute {
                participant,
                track,
                muted,
            } => self.mute(participant, track, *muted),
            Command::UpdateTrack {
                participant,
                track,
                change,
            } => self.update_track(participant, track, change),
            Command::Subscribe {
                participant,
                tracks,
                subscribe,
            } => self.subscribe(participant, tracks, *subscribe),
            Command::SetTrackSettings {
                participant,
                tracks,
                settings,
            } => self.wish(participant, tracks, |person, track| {
                person.settings.insert(track.clone(), *settings);
            }),
            Command::AllowSubscribers {
                participant,
                allowed,
            } => self.allow(participant, allowed),
            Command::Subscription {
                participant,
                track,
                report,
            } => self.subscription_report(participant, track, *report, out),
            Command::UpdateSelf {
                participant,
                request,
                change,
            } => self.update_self(participant, *request, change, out),
            Command::Data {
                from, to, payload, ..
            } => out.data = self.recipients(from.as_ref(), to, payload.len()),
            // What other servers tell is played in `trunks`.
            Command::AudioLevels(_) | Command::Measured(_) | Command::Remote { .. } => {}
            Command::ConnectionLost { participant, lost } => self.lose(participant, *lost),
            Command::Moderate(moderation) => self.moderate(moderation, out),
        }
    }

    fn join(&mut self, join: &Join, out: &mut Outcome) {
        if self.person(&join.id).is_some() {
            return;
        }
        let earlier = self.named(&join.identity);
        let staying = || {
            self.people
                .iter()
                .filter(|person| Some(person.id()) != earlier.as_ref())
        };
        let seen = staying().filter(|person| !person.hidden()).count();
        let refused = self.limits.participants > 0
            && staying().count() >= self.limits.participants as usize
            || self.max > 0 && !join.permission.hidden && seen >= self.max as usize
            || join.name.len() > self.limits.name
            || join.metadata.len() > self.limits.metadata
            || bytes(&join.attributes) > self.limits.attributes;
        if refused {
            out.gone(&join.id, LeaveReason::Misbehaved);
            return;
        }
        if let Some(earlier) = earlier {
            self.remove(&earlier, LeaveReason::DuplicateIdentity, out);
        }
        let mut join = join.clone();
        join.attributes.retain(|_, value| !value.is_empty());
        out.joined.push(join.id.clone());
        self.visitors.insert(join.id.clone(), join.clone());
        self.people.push(Person {
            join,
            active: false,
            wishes: BTreeMap::new(),
            settings: BTreeMap::new(),
            failed: BTreeSet::new(),
            guests: None,
        });
    }

    fn remove(&mut self, id: &ParticipantId, reason: LeaveReason, out: &mut Outcome) {
        if self.person(id).is_some() {
            out.gone(id, reason);
            self.lost.remove(id);
            self.people.retain(|person| person.id() != id);
            self.pieces.retain(|piece| piece.owner != *id);
        }
    }

    /// Of what a publisher is told alone, only that can be told again which it can have missed.
    fn resume(&self, id: &ParticipantId, out: &mut Outcome) {
        let mine = self.pieces.iter().filter(|piece| piece.owner == *id);
        for piece in mine.filter(|_| self.person(id).is_some()) {
            let track = piece.view.id.clone();
            if !piece.open {
                let published = Notification::TrackPublished {
                    client_id: piece.first.client_id.clone(),
                    track: Box::new(piece.view.clone()),
                    first: None,
                };
                out.tell(id, published);
            }
            if piece.view.muted {
                let track = track.clone();
                out.tell(id, Notification::TrackMuted { track, muted: true });
            }
            if piece.noticed {
                out.tell(id, Notification::TrackSubscribed { track });
            }
        }
    }

    fn confirm(&self, id: &ParticipantId, tracks: &[TrackId], out: &mut Outcome) {
        let mine = |track: &TrackId| self.piece(track).is_some_and(|piece| piece.owner == *id);
        for track in tracks.iter().filter(|track| !mine(track)) {
            if self.person(id).is_some() {
                let track = track.clone();
                out.tell(id, Notification::TrackUnpublished { track });
            }
        }
    }

    fn subscription_report(
        &mut self,
        id: &ParticipantId,
        track: &TrackId,
        report: SubscriptionReport,
        out: &mut Outcome,
    ) {
        match report {
            SubscriptionReport::Started => self.started(id, track, out),
            SubscriptionReport::Starved(starved) => self.starved(id, track, starved, out),
            SubscriptionReport::Failed { codec } => self.fail(id, track, codec, out),
        }
    }

    fn lose(&mut self, id: &ParticipantId, lost: bool) {
        self.lost.remove(id);
        if lost && self.person(id).is_some() {
            self.lost.insert(id.clone());
        }
    }

    fn activate(&mut self, id: &ParticipantId) {
        if let Some(person) = self.person_mut(id) {
            person.active = true;
        }
    }

    fn mute(&mut self, id: &ParticipantId, track: &TrackId, muted: bool) {
        if let Some(piece) = self.piece_mut(track).filter(|p| p.owner == *id) {
            piece.view.muted = muted;
        }
    }

    fn subscribe(&mut self, id: &ParticipantId, tracks: &[TrackId], subscribe: bool) {
        self.wish(id, tracks, |person, track| {
            person.wishes.insert(track.clone(), subscribe);
            person.failed.remove(track);
        });
    }

    fn end(&mut self, track: &TrackId) {
        self.pieces.retain(|piece| piece.view.id != *track);
    }

    fn publish(&mut self, id: &ParticipantId, new: &NewTrack, out: &mut Outcome) {
        let Some(person) = self.person(id) else {
            return;
        };
        let client_id = new.client_id.clone();
        if let Some(reason) = self.refusal(person, new) {
            out.tell(id, Notification::TrackRefused { client_id, reason });
            return;
        }
        let mut layers: Vec<_> = new
            .layers
            .iter()
            .filter(|l| l.quality < 3)
            .cloned()
            .collect();
        layers.sort_by_key(|layer| layer.quality);
        let view = TrackView {
            id: new.id.clone(),
            kind: new.kind,
            source: new.source,
            name: new.name.clone(),
            stream: new.stream.clone(),
            muted: new.muted,
            codec: new.codec.filter(|codec| codec.kind() == new.kind),
            width: new.width,
            height: new.height,
            simulcast: new.kind == Kind::Video && layers.len() > 1,
            layers: layers.clone(),
            disable_dtx: new.disable_dtx,
            stereo: new.stereo,
            disable_red: new.disable_red,
            encryption: new.encryption,
            audio_features: new.audio_features.clone(),
        };
        out.tell(
            id,
            Notification::TrackPublished {
                client_id,
                track: Box::new(view.clone()),
                first: None,
            },
        );
        self.pieces.push(Piece {
            owner: id.clone(),
            view,
            open: false,
            first: NewTrack {
                layers,
                ..new.clone()
            },
            noticed: false,
        });
    }

    fn refusal(&self, person: &Person, new: &NewTrack) -> Option<Refusal> {
        let mine = || {
            self.pieces
                .iter()
                .filter(|piece| piece.owner == *person.id())
        };
        let too_long = |text: &String| text.len() > self.limits.name;
        if !allowed(&person.join.permission, new.source) {
            Some(Refusal::NotAllowed)
        } else if self.piece(&new.id).is_some()
            || mine().any(|piece| piece.first.client_id == new.client_id)
        {
            Some(Refusal::Duplicate)
        } else if mine().count() >= self.limits.tracks
            || too_long(&new.client_id)
            || too_long(&new.name)
            || too_long(&new.stream)
            || new.audio_features.len() > self.limits.relayed
        {
            Some(Refusal::LimitExceeded)
        } else {
            None
        }
    }

    fn open(&mut self, track: &TrackId, codec: Option<Codec>) {
        let Some(piece) = self.piece_mut(track).filter(|piece| !piece.open) else {
            return;
        };
        piece.open = true;
        if let Some(codec) = codec.filter(|codec| codec.kind() == piece.view.kind) {
            piece.view.codec = Some(codec);
        }
    }

    fn codec(&mut self, track: &TrackId, codec: Codec) {
        let Some(piece) = self.piece_mut(track) else {
            return;
        };
        if piece.view.kind == codec.kind() && piece.view.codec != Some(codec) {
            piece.view.codec = Some(codec);
            for person in &mut self.people {
                person.failed.remove(track);
            }
        }
    }

    fn update_track(&mut self, id: &ParticipantId, track: &TrackId, change: &TrackChange) {
        let relayed = self.limits.relayed;
        let Some(piece) = self.piece_mut(track).filter(|piece| piece.owner == *id) else {
            return;
        };
        match change {
            TrackChange::Audio { features } => {
                piece.view.audio_features = features.iter().copied().take(relayed).collect();
            }
            TrackChange::Video { width, height } => {
                let (w, h) = (piece.first.width, piece.first.height);
                (piece.view.width, piece.view.height) = (*width, *height);
                if w > 0 && h > 0 && *width > 0 && *height > 0 {
                    for (layer, first) in piece.view.layers.iter_mut().zip(&piece.first.layers) {
                        layer.width = first.width * width / w;
                        layer.height = first.height * height / h;
                    }
                }
            }
        }
    }

    fn wish(&mut self, id: &ParticipantId, tracks: &[TrackId], f: impl Fn(&mut Person, &TrackId)) {
        for track in tracks {
            let known = self
                .piece(track)
                .is_some_and(|piece| piece.open && piece.owner != *id);
            let known = known && self.sees_track(id, track);
            if let Some(person) = self.person_mut(id).filter(|_| known) {
                f(person, track);
            }
        }
    }

    fn fail(
        &mut self,
        id: &ParticipantId,
        track: &TrackId,
        codec: Option<Codec>,
        out: &mut Outcome,
    ) {
        if self.flows().contains_key(&(id.clone(), track.clone())) {
            let notification = Notification::SubscriptionFailed {
                track: track.clone(),
                codec,
            };
            out.tell(id, notification);
            if let Some(person) = self.person_mut(id) {
                person.failed.insert(track.clone());
            }
        }
    }

    fn starved(&self, id: &ParticipantId, track: &TrackId, paused: bool, out: &mut Outcome) {
        if !self.flows().contains_key(&(id.clone(), track.clone())) {
            return;
        }
        if let Some(piece) = self.pieces.iter().find(|piece| piece.view.id == *track) {
            let notification = Notification::StreamPaused {
                publisher: piece.owner.clone(),
                track: track.clone(),
                paused,
            };
            out.tell(id, notification);
        }
    }

    fn started(&mut self, id: &ParticipantId, track: &TrackId, out: &mut Outcome) {
        let flows = self.flows().contains_key(&(id.clone(), track.clone()));
        let Some(piece) = self
            .piece_mut(track)
            .filter(|piece| flows && !piece.noticed)
        else {
            return;
        };
        piece.noticed = true;
        out.tell(
            &piece.owner,
            Notification::TrackSubscribed {
                track: track.clone(),
            },
        );
    }

    fn update_self(
        &mut self,
        id: &ParticipantId,
        request: u32,
        change: &ParticipantChange,
        out: &mut Outcome,
    ) {
        let Some(person) = self.person(id) else {
            return;
        };
        let result = if person.join.permission.update_own_metadata {
            self.change(id, change)
        } else {
            Err(Refusal::NotAllowed)
        };
        out.tell(id, Notification::Response { request, result });
    }

    fn change(&mut self, id: &ParticipantId, change: &ParticipantChange) -> Result<(), Refusal> {
        let limits = self.limits.clone();
        let person = self.person_mut(id).ok_or(Refusal::NotFound)?;
        let mut attributes = person.join.attributes.clone();
        attributes.extend(change.attributes.clone());
        attributes.retain(|_, value| !value.is_empty());
        let name = change
            .name
            .clone()
            .unwrap_or_else(|| person.join.name.clone());
        let metadata = change
            .metadata
            .clone()
            .unwrap_or_else(|| person.join.metadata.clone());
        if name.len() > limits.name
            || metadata.len() > limits.metadata
            || bytes(&attributes) > limits.attributes
        {
            return Err(Refusal::LimitExceeded);
        }
        (person.join.name, person.join.metadata) = (name, metadata);
        person.join.attributes = attributes;
        Ok(())
    }

    fn recipients(
        &self,
        from: Option<&ParticipantId>,
        to: &[Identity],
        size: usize,
    ) -> Option<BTreeSet<ParticipantId>> {
        let may = from.is_none_or(|from| {
            self.person(from)
                .is_some_and(|person| person.join.permission.publish_data)
        });
        let meant = self.people.iter().filter(|person| {
            let hears = from.is_none_or(|from| self.sees(person.id(), from));
            let named = from.is_none_or(|from| self.sees(from, person.id()))
                && to.contains(&person.join.identity);
            Some(person.id()) != from && hears && (to.is_empty() || named)
        });
        let recipients: BTreeSet<_> = meant.map(|person| person.id().clone()).collect();
        (may && size <= self.limits.data_message && !recipients.is_empty()).then_some(recipients)
    }

    fn moderate(&mut self, moderation: &Moderation, out: &mut Outcome) {
        match moderation {
            Moderation::Remove { identity } => {
                if let Some(id) = self.named(identity) {
                    self.remove(&id, LeaveReason::Removed, out);
                }
            }
            Moderation::Mute { track, muted } => {
                if let Some(piece) = self.piece_mut(track).filter(|p| p.view.muted != *muted) {
                    piece.view.muted = *muted;
                    let (track, muted) = (track.clone(), *muted);
                    out.tell(&piece.owner, Notification::TrackMuted { track, muted });
                }
            }
            Moderation::Update {
                identity,
                change,
                permission,
            } => {
                if let Some(id) = self.named(identity)
                    && self.change(&id, change).is_ok()
                    && let Some(permission) = permission
                {
                    self.permit(&id, permission, out);
                }
            }
            Moderation::SetRoomMetadata { metadata } => {
                if metadata.len() <= self.limits.metadata {
                    self.metadata.clone_from(metadata);
                }
            }
            Moderation::SetMaxParticipants { max_participants } => self.max = *max_participants,
            Moderation::Close { reason } => {
                for id in self.ids() {
                    self.remove(&id, *reason, out);
                }
            }
        }
    }

    fn permit(&mut self, id: &ParticipantId, permission: &Permission, out: &mut Outcome) {
        let Some(person) = self.person_mut(id) else {
            return;
        };
        person.join.permission = permission.clone();
        if !permission.subscribe {
            // A failed subscription ends with the right to have one.
            person.failed.clear();
        }
        let forbidden = self
            .pieces
            .iter()
            .filter(|piece| piece.owner == *id && !allowed(permission, piece.view.source));
        let forbidden: Vec<_> = forbidden.map(|piece| piece.view.id.clone()).collect();
        for track in forbidden {
            self.end(&track);
            out.tell(id, Notification::TrackUnpublished { track });
        }
    }
}

fn allowed(permission: &Permission, source: umbrella_room::model::Source) -> bool {
    let listed = permission.sources.is_empty() || permission.sources.contains(&source);
    permission.publish && listed && !permission.hidden
}

fn bytes(attributes: &BTreeMap<String, String>) -> usize {
    attributes
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum()
}

/// What a client should believe of itself. Its tracks it knows by other messages.
pub(super) fn without_tracks(view: &Arc<ParticipantView>) -> ParticipantView {
    ParticipantView {
        version: 0,
        publishing: false,
        tracks: Vec::new(),
        ..(**view).clone()
    }
}
