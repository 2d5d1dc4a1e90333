//! Everybody outside a room: clients who believe what they are told, and an engine that does what
//! it is asked to. Effects that make no sense to them are errors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use umbrella_media::{Delivery, Priority};
use umbrella_room::effect::Snapshot;
use umbrella_room::model::{
    LeaveReason, ParticipantId, ParticipantState, ParticipantView, RoomView, TrackId,
};
use umbrella_room::quality::Quality;
use umbrella_room::{Effect, Notification};

use super::client::Client;
use super::model::Model;

/// Who can no longer be heard may be shown as speaking for so long.
const SPEAKING_LAG: Duration = Duration::from_millis(700);

/// Everybody outside a room.
#[derive(Debug, Default)]
pub(super) struct World {
    clients: BTreeMap<ParticipantId, Client>,
    /// Newest version of those who left, to see that no late news brings them back.
    departed: BTreeMap<ParticipantId, u32>,
    flows: BTreeMap<(ParticipantId, TrackId), Delivery>,
    /// Tracks that were accepted and have not ended.
    published: BTreeSet<TrackId>,
    /// Those of them that have media, and whether they are paused.
    producers: BTreeMap<TrackId, bool>,
    /// Tracks whose sound is not forwarded, as others are louder.
    quiet: BTreeSet<TrackId>,
    /// Flows of which it was last said whether the path carries them.
    starved: BTreeMap<(ParticipantId, TrackId), bool>,
    /// Who hears nothing, and does not know it.
    dark: BTreeSet<ParticipantId>,
    /// Who is told again what it may know already.
    resuming: Option<ParticipantId>,
}

/// What single participants were told by one command.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    told: Vec<(ParticipantId, Notification)>,
    pub(super) gone: Vec<(ParticipantId, LeaveReason)>,
    pub(super) joined: Vec<ParticipantId>,
    pub(super) data: Option<BTreeSet<ParticipantId>>,
    pub(super) empty: usize,
}

impl Outcome {
    pub(super) fn tell(&mut self, to: &ParticipantId, notification: Notification) {
        self.told.push((to.clone(), notification));
    }

    /// Sent away, and told so if there is a use in it.
    pub(super) fn gone(&mut self, who: &ParticipantId, reason: LeaveReason) {
        if !matches!(reason, LeaveReason::Asked | LeaveReason::SignalLost) {
            self.tell(who, Notification::Leave(reason));
        }
        self.gone.push((who.clone(), reason));
    }

    pub(super) fn is_unicast(&self) -> bool {
        !(self.told.is_empty() && self.gone.is_empty() && self.joined.is_empty())
    }

    /// The order between different participants does not matter.
    pub(super) fn compare(mut self, expected: &Outcome) -> Result<(), String> {
        let mut told = expected.told.clone();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        self.told.sort_by(|a, b| a.0.cmp(&b.0));
        let differs = |what: &str, is: String, should: String| {
            Err(format!("{what}: the room says {is}, should say {should}"))
        };
        if self.told != told {
            return differs("told", format!("{:?}", self.told), format!("{told:?}"));
        }
        if self.joined != expected.joined {
            return differs(
                "joined",
                format!("{:?}", self.joined),
                format!("{:?}", expected.joined),
            );
        }
        self.gone.sort();
        let mut gone = expected.gone.clone();
        gone.sort();
        if self.gone != gone {
            return differs("gone", format!("{:?}", self.gone), format!("{gone:?}"));
        }
        if self.data != expected.data {
            return differs(
                "data",
                format!("{:?}", self.data),
                format!("{:?}", expected.data),
            );
        }
        if self.empty != expected.empty {
            return differs("empty", self.empty.to_string(), expected.empty.to_string());
        }
        Ok(())
    }
}

impl World {
    pub(super) fn consumers(&self) -> usize {
        self.flows.len()
    }

    pub(super) fn flows(&self) -> impl ExactSizeIterator<Item = &(ParticipantId, TrackId)> {
        self.flows.keys()
    }

    /// The engine has a producer, and the room is about to hear of it.
    pub(super) fn producer_opened(&mut self, track: &TrackId) {
        self.producers.insert(track.clone(), false);
    }

    /// The engine has given a consumer up, and the room is about to hear of it.
    pub(super) fn consumer_failed(&mut self, subscriber: &ParticipantId, track: &TrackId) {
        self.flows.remove(&(subscriber.clone(), track.clone()));
    }

    /// Somebody asks for tracks, and believes that it may have them until it hears otherwise.
    pub(super) fn asks_for(&mut self, subscriber: &ParticipantId, tracks: &[TrackId]) {
        if let Some(client) = self.clients.get_mut(subscriber) {
            client.forbidden.retain(|track| !tracks.contains(track));
        }
    }

    /// Somebody loses its network: nothing that it is told arrives.
    pub(super) fn lose(&mut self, id: ParticipantId) {
        self.dark.insert(id);
    }

    /// Somebody is back, and about to be told what it has missed.
    pub(super) fn begin_resume(&mut self, id: &ParticipantId) {
        self.dark.remove(id);
        self.resuming = Some(id.clone());
    }

    /// It was told.
    pub(super) fn end_resume(&mut self) {
        self.resuming = None;
    }

    /// Clients that hear what they are told.
    fn listeners(&self) -> impl Iterator<Item = (&ParticipantId, &Client)> {
        let clients = self.clients.iter();
        clients.filter(|(id, _)| !self.dark.contains(*id))
    }

    /// Carries out an effect, and notes in `outcome` what went to single participants.
    pub(super) fn absorb(&mut self, effect: &Effect, outcome: &mut Outcome) -> Result<(), String> {
        if outcome.empty > 0 {
            return Err("something comes after the end".to_owned());
        }
        match effect {
            Effect::Notify { to, notification } => self.notify(to, notification, outcome),
            Effect::Disconnect {
                participant,
                reason,
            } => {
                outcome.gone.push((participant.clone(), *reason));
                self.disconnect(participant)
            }
            Effect::OpenConsumer {
                subscriber,
                publisher,
                track,
                shown: _,
                delivery,
            } => self.open(subscriber, publisher, track, *delivery),
            Effect::ConfigureConsumer {
                subscriber,
                track,
                delivery,
            } => {
                let flow = self.flows.get_mut(&(subscriber.clone(), track.clone()));
                let flow = flow.ok_or("changes a consumer that is not open")?;
                if *flow == *delivery {
                    return Err("changes nothing".to_owned());
                }
                *flow = *delivery;
                Ok(())
            }
            Effect::CloseConsumer { subscriber, track } => {
                let flow = self.flows.remove(&(subscriber.clone(), track.clone()));
                flow.map(|_| ())
                    .ok_or_else(|| "closes a consumer that is not open".to_owned())
            }
            Effect::PauseProducer { track, paused } => self.pause(track, *paused),
            Effect::QuietProducer { track, quiet } => self.quieten(track, *quiet),
            Effect::CloseProducer { track } => self.end(track),
            Effect::SendData { to, .. } => {
                let set: BTreeSet<_> = to.iter().cloned().collect();
                if set.len() != to.len() || set.iter().any(|id| !self.clients.contains_key(id)) {
                    return Err("data goes to somebody twice or to nobody".to_owned());
                }
                outcome.data = Some(set);
                Ok(())
            }
            Effect::Empty => {
                outcome.empty += 1;
                Ok(())
            }
        }
    }

    fn pause(&mut self, track: &TrackId, paused: bool) -> Result<(), String> {
        let producer = self.producers.get_mut(track).ok_or("no such producer")?;
        if *producer == paused {
            return Err("pauses what is paused, or lets run what runs".to_owned());
        }
        *producer = paused;
        Ok(())
    }

    fn quieten(&mut self, track: &TrackId, quiet: bool) -> Result<(), String> {
        if !self.producers.contains_key(track) {
            return Err("no such producer".to_owned());
        }
        let changed = match quiet {
            true => self.quiet.insert(track.clone()),
            false => self.quiet.remove(track),
        };
        let nothing = || "quietens what is quiet, or the other way round".to_owned();
        changed.then_some(()).ok_or_else(nothing)
    }

    fn end(&mut self, track: &TrackId) -> Result<(), String> {
        self.quiet.remove(track);
        self.producers.remove(track);
        if !self.published.remove(track) {
            return Err("ends a track that has ended or never began".to_owned());
        }
        if self.flows.keys().any(|(_, flow)| flow == track) {
            return Err("a producer ends before its consumers".to_owned());
        }
        Ok(())
    }

    fn notify(
        &mut self,
        to: &ParticipantId,
        notification: &Notification,
        outcome: &mut Outcome,
    ) -> Result<(), String> {
        if let Notification::Joined(snapshot) = notification {
            outcome.joined.push(to.clone());
            return self.joined(to, snapshot);
        }
        let Some(client) = self.clients.get_mut(to) else {
            // Refused at the door.
            outcome.tell(to, notification.clone());
            return if matches!(notification, Notification::Leave(_)) {
                Ok(())
            } else {
                Err(format!("{to} is told something but is not in"))
            };
        };
        if client.dismissed {
            return Err(format!("{to} is told something after it was sent away"));
        }
        if let Notification::StreamPaused { track, paused, .. } = notification {
            self.starved.insert((to.clone(), track.clone()), *paused);
        }
        if self.dark.contains(to) {
            return self.missed(to, notification, outcome);
        }
        let again = self.resuming.as_ref() == Some(to);
        if let Notification::Participants(views) = notification {
            return self.introduce(to, views, again);
        }
        match notification {
            Notification::Room(view) => {
                client.room = view.clone();
                return Ok(());
            }
            Notification::Speakers(speakers) => return client.hear(speakers, again),
            Notification::Qualities(views) => return client.rate(to, views),
            Notification::LayersWanted { track, highest, .. } => {
                return client.send(track, *highest, again);
            }
            Notification::SubscriptionAllowed {
                publisher,
                track,
                allowed,
            } => return client.permit(publisher, track, *allowed, again),
            Notification::StreamPaused { track, paused, .. } => {
                client.pause(track, *paused);
                if again {
                    return Ok(());
                }
            }
            Notification::Leave(_) => client.dismissed = true,
            Notification::TrackPublished { track, .. } => {
                self.published.insert(track.id.clone());
            }
            Notification::Joined(_)
            | Notification::Participants(_)
            | Notification::TrackRefused { .. }
            | Notification::TrackUnpublished { .. }
            | Notification::TrackSubscribed { .. }
            | Notification::TrackMuted { .. }
            | Notification::SubscriptionFailed { .. }
            | Notification::Response { .. } => {}
        }
        outcome.tell(to, notification.clone());
        Ok(())
    }

    /// Somebody is told of participants, perhaps of what it knows already.
    fn introduce(
        &mut self,
        to: &ParticipantId,
        views: &[Arc<ParticipantView>],
        again: bool,
    ) -> Result<(), String> {
        let client = self.clients.get_mut(to).ok_or("it is not in")?;
        if views.is_empty() {
            return Err(format!("{to} is told that something is not told"));
        }
        if again {
            views.iter().for_each(|view| client.recall(to, view));
            return Ok(());
        }
        let mut views = views.iter();
        views
            .clone()
            .try_for_each(|view| client.learn(to, view, &self.departed))?;
        let gone = views
            .by_ref()
            .filter(|view| view.state == ParticipantState::Left);
        self.departed
            .extend(gone.map(|view| (view.id.clone(), view.version)));
        Ok(())
    }

    /// What somebody is told who hears nothing.
    fn missed(
        &mut self,
        to: &ParticipantId,
        notification: &Notification,
        outcome: &mut Outcome,
    ) -> Result<(), String> {
        match notification {
            Notification::Participants(_)
            | Notification::Room(_)
            | Notification::Speakers(_)
            | Notification::Qualities(_)
            | Notification::LayersWanted { .. }
            | Notification::SubscriptionAllowed { .. } => return Ok(()),
            Notification::TrackPublished { track, .. } => {
                self.published.insert(track.id.clone());
            }
            Notification::Joined(_)
            | Notification::Leave(_)
            | Notification::TrackRefused { .. }
            | Notification::TrackUnpublished { .. }
            | Notification::TrackSubscribed { .. }
            | Notification::TrackMuted { .. }
            | Notification::SubscriptionFailed { .. }
            | Notification::StreamPaused { .. }
            | Notification::Response { .. } => {}
        }
        outcome.tell(to, notification.clone());
        Ok(())
    }

    fn joined(&mut self, id: &ParticipantId, snapshot: &Snapshot) -> Result<(), String> {
        let others = snapshot
            .others
            .iter()
            .map(|view| (view.id.clone(), view.clone()))
            .collect();
        let client = Client {
            room: Arc::new(snapshot.room.clone()),
            me: snapshot.participant.clone(),
            others,
            speakers: BTreeMap::new(),
            asked: BTreeMap::new(),
            qualities: BTreeMap::new(),
            forbidden: BTreeSet::new(),
            paused: BTreeSet::new(),
            dismissed: false,
        };
        if snapshot.participant.id != *id || client.others.contains_key(id) {
            return Err("a snapshot does not know whose it is".to_owned());
        }
        match self.clients.insert(id.clone(), client) {
            None => Ok(()),
            Some(_) => Err(format!("{id} joins twice")),
        }
    }

    fn disconnect(&mut self, id: &ParticipantId) -> Result<(), String> {
        self.clients.remove(id);
        self.dark.remove(id);
        if self.flows.keys().any(|(subscriber, _)| subscriber == id) {
            return Err(format!("consumers of {id} stay open"));
        }
        Ok(())
    }

    fn open(
        &mut self,
        subscriber: &ParticipantId,
        publisher: &ParticipantId,
        track: &TrackId,
        delivery: Delivery,
    ) -> Result<(), String> {
        let client = self
            .clients
            .get(subscriber)
            .ok_or("media for somebody who is not in")?;
        if !self.dark.contains(subscriber) {
            let known = client.others.get(publisher).ok_or("media of a stranger")?;
            if known.tracks.iter().all(|view| view.id != *track) {
                return Err("media of a track that is not known to the subscriber".to_owned());
            }
        }
        if let Some(client) = self.clients.get_mut(subscriber) {
            client.paused.remove(track);
        }
        self.starved.remove(&(subscriber.clone(), track.clone()));
        if !self.producers.contains_key(track) {
            return Err("media that nobody produces".to_owned());
        }
        match self
            .flows
            .insert((subscriber.clone(), track.clone()), delivery)
        {
            None => Ok(()),
            Some(_) => Err("opens a consumer twice".to_owned()),
        }
    }

    /// Whether clients believe, and the engine does, what should be.
    pub(super) fn compare(&self, model: &Model) -> Result<(), String> {
        if self.clients.keys().cloned().collect::<BTreeSet<_>>()
            != model.ids().into_iter().collect()
        {
            return Err(format!(
                "{:?} are in, not {:?}",
                self.clients.keys(),
                model.ids()
            ));
        }
        let (flows, producers) = (model.flows(), model.producers());
        for (flow, delivery) in &flows {
            match self.flows.get(flow) {
                Some(is) if without_speech(*is) == *delivery => {}
                other => return Err(format!("{flow:?} is {other:?}, not {delivery:?}")),
            }
        }
        if let Some(flow) = self.flows.keys().find(|flow| !flows.contains_key(flow)) {
            return Err(format!("{flow:?} flows and should not"));
        }
        if self.producers != producers {
            return Err(format!(
                "producers are {:?}, not {producers:?}",
                self.producers
            ));
        }
        if !self.published.iter().eq(model.published().iter()) {
            return Err(format!(
                "tracks are {:?}, not {:?}",
                self.published,
                model.published()
            ));
        }
        let truth: BTreeMap<_, _> = model
            .people
            .iter()
            .map(|person| (person.id().clone(), model.view_of(person)))
            .collect();
        self.listeners().try_for_each(|(id, client)| {
            client.compare(id, model, &truth)?;
            self.compare_paused(id, client)
        })
    }

    /// Whether a client shows as paused what is, of all that it gets.
    fn compare_paused(&self, id: &ParticipantId, client: &Client) -> Result<(), String> {
        for (subscriber, track) in self.flows.keys().filter(|flow| flow.0 == *id) {
            let flow = (subscriber.clone(), track.clone());
            let starved = self.starved.get(&flow).copied().unwrap_or(false);
            if starved != client.paused.contains(track) {
                return Err(format!("{id} believes otherwise of {track}: {starved}"));
            }
        }
        Ok(())
    }

    /// Whether everybody knows how the room is.
    pub(super) fn compare_room(&self, model: &Model) -> Result<(), String> {
        for (id, client) in self.listeners() {
            let RoomView {
                participants,
                publishers,
                recording,
                metadata,
                ..
            } = &*client.room;
            let counts = model.counts_for(id);
            if (*participants, *publishers, *recording) != counts || *metadata != model.metadata {
                return Err(format!("{id} believes {:?}, it is {counts:?}", client.room));
            }
        }
        Ok(())
    }

    /// Whether everybody has the same opinion of who speaks, of those whom it sees, and nobody of
    /// those who cannot.
    pub(super) fn compare_speakers(&self, model: &Model, now: Instant) -> Result<(), String> {
        let mut all = BTreeMap::new();
        for (_, client) in self.listeners() {
            all.extend(client.speakers.iter());
        }
        for (id, client) in self.listeners() {
            let known = all.iter().filter(|(speaker, _)| model.sees(id, speaker));
            let known: BTreeMap<_, _> = known.map(|(a, b)| ((*a).clone(), **b)).collect();
            if client.speakers != known {
                let is = &client.speakers;
                return Err(format!("{id} believes that {is:?} speak, not {known:?}"));
            }
        }
        for speaker in all.into_keys() {
            if model
                .inaudible_since(speaker)
                .is_some_and(|since| since + SPEAKING_LAG < now)
            {
                return Err(format!("{speaker} speaks and cannot"));
            }
        }
        Ok(())
    }

    /// Whether everybody has the same opinion of everybody's connection, and knows who is lost.
    pub(super) fn compare_qualities(&self, model: &Model) -> Result<(), String> {
        let mut opinions = BTreeMap::new();
        for (id, client) in self.listeners() {
            let mut known = client.qualities.keys();
            if let Some(unseen) = known.find(|other| !model.sees(id, other)) {
                return Err(format!("{id} knows how {unseen} is connected"));
            }
            for person in model.visible_to(id) {
                let other = person.id();
                let belief = client.qualities.get(other).copied();
                if (belief == Some(Quality::Lost)) != model.lost.contains(other) {
                    return Err(format!("{id} believes that {other} is {belief:?}"));
                }
                if *opinions.entry(other.clone()).or_insert(belief) != belief {
                    return Err(format!("not all believe that {other} is {belief:?}"));
                }
            }
        }
        Ok(())
    }

    /// Whether as many are heard as may be, and those who can be.
    pub(super) fn compare_heard(&self, model: &Model) -> Result<(), String> {
        let audible = model.audible_people();
        let heard = |id: &&ParticipantId| {
            let mut sounds = model.sounds_of(id);
            sounds.all(|track| !self.quiet.contains(track))
        };
        let count = audible.iter().filter(heard).count();
        let expected = match model.heard() {
            0 => audible.len(),
            most => audible.len().min(most),
        };
        if count == expected {
            Ok(())
        } else {
            Err(format!("{count} of {audible:?} are heard, not {expected}"))
        }
    }

    /// Whether exactly somebody's pictures come before others that are not large, and it is heard.
    pub(super) fn compare_speaker(
        &self,
        model: &Model,
        speaker: Option<&ParticipantId>,
    ) -> Result<(), String> {
        for ((subscriber, track), delivery) in &self.flows {
            let first = delivery.priority == Priority::Speaker;
            let owner = model.owner(track);
            if first && owner != speaker {
                return Err(format!("{track} of {owner:?} comes first to {subscriber}"));
            }
            let usual = delivery.priority == Priority::Normal && model.is_picture(track);
            if usual && owner == speaker {
                return Err(format!(
                    "{track} of {owner:?} does not come first to {subscriber}"
                ));
            }
        }
        let mut sounds = speaker.into_iter().flat_map(|id| model.sounds_of(id));
        match sounds.find(|track| self.quiet.contains(*track)) {
            Some(track) => Err(format!("{track} of a speaker is not heard")),
            None => Ok(()),
        }
    }

    /// Whether everybody believes that exactly these speak, of those whom it sees.
    pub(super) fn compare_speaking(
        &self,
        model: &Model,
        speaking: &[ParticipantId],
    ) -> Result<(), String> {
        for (id, client) in self.listeners() {
            let speaking = speaking.iter().filter(|it| model.sees(id, it));
            let speaking: Vec<_> = speaking.collect();
            if !client.speakers.keys().eq(speaking.iter().copied()) {
                let speakers = &client.speakers;
                return Err(format!(
                    "{id} believes that {speakers:?} speak, not {speaking:?}"
                ));
            }
        }
        Ok(())
    }

    /// Whether publishers send what somebody wants, and after a while nothing else.
    pub(super) fn compare_layers(&self, model: &Model, settled: bool) -> Result<(), String> {
        let wanted = model.wanted();
        for piece in &model.pieces {
            let client = self.clients.get(&piece.owner);
            let client = client.filter(|_| !self.dark.contains(&piece.owner));
            let track = &piece.view.id;
            let (Some(wanted), Some(client)) = (wanted.get(track), client) else {
                continue;
            };
            let sent = client.asked.get(track).copied();
            let sent = sent.unwrap_or(Some(piece.everything()));
            if sent < *wanted || settled && sent != *wanted {
                return Err(format!(
                    "{track} is sent up to {sent:?}, wanted is {wanted:?}"
                ));
            }
        }
        Ok(())
    }

    /// Whether everything has ended when everybody has gone.
    pub(super) fn compare_nothing_left(&self) -> Result<(), String> {
        if self.clients.is_empty() && self.flows.is_empty() && self.producers.is_empty() {
            return Ok(());
        }
        Err(format!(
            "left behind: {:?} {:?}",
            self.flows, self.producers
        ))
    }
}

/// What a subscriber gets while nobody speaks: who does is not known to the model.
fn without_speech(delivery: Delivery) -> Delivery {
    let priority = match delivery.priority {
        Priority::Speaker => Priority::Normal,
        other @ (Priority::Normal | Priority::Large | Priority::Screen) => other,
    };
    Delivery {
        priority,
        ..delivery
    }
}
