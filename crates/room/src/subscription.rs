//! Who receives a track.
//!
//! One rule, [`settle`], compares what a subscriber should receive with what it does receive, and
//! opens, changes or closes its consumer. Whatever can change the answer (wishes, permissions,
//! settings, tracks that open) ends in that rule, so that no case can be forgotten.

use std::collections::VecDeque;

use umbrella_media::{Codec, Delivery};

use crate::command::SubscriptionReport;
use crate::delivery::delivery;
use crate::dynacast::Demand;
use crate::effect::{Effect, Notification};
use crate::model::{ParticipantId, ParticipantView, TrackId, TrackSettings};
use crate::participant::Participant;
use crate::room::Room;
use crate::roster::{ParticipantKey, TrackKey};
use crate::track::{Track, TrackState};

/// What one participant wishes and has of one track.
#[derive(Debug, Default)]
pub(crate) struct Subscription {
    /// What it has asked for; while it has not, `auto_subscribe` decides.
    wish: Option<bool>,
    settings: Option<TrackSettings>,
    /// Whether it may have it, as far as it was told; until then it believes that it may.
    allowed: Option<bool>,
    /// Whether its path does not carry it, as far as it was told.
    starved: Option<bool>,
    /// Its path has not carried it once, so that it needs smaller layers as well.
    limited: bool,
    state: SubscriptionState,
}

/// The life of a subscription.
#[derive(Debug, Default, PartialEq)]
enum SubscriptionState {
    /// Nothing is forwarded.
    #[default]
    Closed,
    /// There is a consumer.
    Open(Delivery),
    /// The engine could not serve it. A new codec or a new wish starts it again.
    Failed {
        /// The subscriber cannot decode it.
        undecodable: bool,
    },
}

impl SubscriptionState {
    /// What is forwarded.
    fn delivery(&self) -> Option<Delivery> {
        match self {
            SubscriptionState::Open(delivery) => Some(*delivery),
            SubscriptionState::Closed | SubscriptionState::Failed { .. } => None,
        }
    }
}

impl Subscription {
    /// What a subscriber needs of a track that comes from elsewhere: the layer that it wants, and
    /// those below if its own path may not carry that.
    pub(crate) fn demand(&self) -> Option<(Delivery, bool)> {
        let delivery = self.state.delivery().filter(|delivery| !delivery.paused)?;
        Some((delivery, self.limited))
    }

    /// What the subscriber may have missed.
    pub(crate) fn reminders(
        &self,
        publisher: &ParticipantId,
        id: TrackId,
    ) -> impl Iterator<Item = Notification> + use<> {
        let allowed = self
            .allowed
            .map(|allowed| Notification::SubscriptionAllowed {
                publisher: publisher.clone(),
                track: id.clone(),
                allowed,
            });
        let open = matches!(self.state, SubscriptionState::Open(_));
        let starved = self.starved.filter(|_| open);
        let paused = starved.map(|paused| Notification::StreamPaused {
            publisher: publisher.clone(),
            track: id.clone(),
            paused,
        });
        [allowed, paused].into_iter().flatten()
    }
}

impl Room {
    /// [`Command::Subscribe`](crate::Command::Subscribe).
    pub(crate) fn subscribe(&mut self, id: &ParticipantId, tracks: &[TrackId], wish: bool) {
        self.with_subscriptions(id, tracks, |subscription| {
            subscription.wish = Some(wish);
            // A client that asks again believes that it may, until it is told so again.
            if wish {
                subscription.allowed = None;
            }
            if wish && matches!(subscription.state, SubscriptionState::Failed { .. }) {
                subscription.state = SubscriptionState::Closed;
            }
        });
    }

    /// [`Command::SetTrackSettings`](crate::Command::SetTrackSettings).
    pub(crate) fn set_settings(
        &mut self,
        id: &ParticipantId,
        tracks: &[TrackId],
        settings: TrackSettings,
    ) {
        self.with_subscriptions(id, tracks, |subscription| {
            subscription.settings = Some(settings)
        });
    }

    /// [`Command::Subscription`](crate::Command::Subscription).
    pub(crate) fn subscription_report(
        &mut self,
        id: &ParticipantId,
        track: &TrackId,
        report: SubscriptionReport,
    ) {
        match report {
            SubscriptionReport::Started => self.started(id, track),
            SubscriptionReport::Starved(starved) => self.starved(id, track, starved),
            SubscriptionReport::Failed { codec } => self.failed(id, track, codec),
        }
    }

    /// The engine has closed the consumer already.
    fn failed(&mut self, id: &ParticipantId, track_id: &TrackId, codec: Option<Codec>) {
        let Some(track_key) = self.roster.by_track(track_id) else {
            return;
        };
        let Some((key, participant)) = self.roster.find(id) else {
            return;
        };
        let Some(subscription) = participant.subscriptions.get_mut(&track_key) else {
            return;
        };
        let SubscriptionState::Open(delivery) = subscription.state else {
            return;
        };
        subscription.state = SubscriptionState::Failed {
            undecodable: codec.is_some(),
        };
        self.demand.change(track_key, Some(delivery), None);
        if let Some(track) = self.roster.tracks.get_mut(&track_key) {
            track.remove_subscriber(key);
        }
        let Some(track) = self.roster.tracks.get(&track_key) else {
            return;
        };
        let track = track.shown.clone();
        self.notify(
            id.clone(),
            Notification::SubscriptionFailed { track, codec },
        );
        if let Some(codec) = codec {
            self.ask_for_backup(track_key, codec);
        }
    }

    /// Media is on its way to somebody.
    fn started(&mut self, id: &ParticipantId, track_id: &TrackId) {
        let Some(key) = self.roster.by_id(id) else {
            return;
        };
        let Some((track_key, track)) = self.roster.find_track(track_id) else {
            return;
        };
        let TrackState::Open { subscribers, .. } = &track.state else {
            return;
        };
        if subscribers.contains(&key) {
            self.notice(track_key);
        }
    }

    /// Only the subscriber is told, who could take a picture that stands still for a fault.
    fn starved(&mut self, id: &ParticipantId, track_id: &TrackId, starved: bool) {
        let track_key = self.roster.by_track(track_id);
        let found = self.roster.find(id);
        if let (Some(track_key), Some((_, participant))) = (track_key, found)
            && let Some(subscription) = participant.subscriptions.get_mut(&track_key)
        {
            subscription.limited |= starved;
            self.demand.look_at(track_key);
        }
        self.path_starved(id, track_id, starved);
    }

    /// Tells a subscriber that some part of the way to it does not carry a track, or does so again.
    pub(crate) fn path_starved(&mut self, id: &ParticipantId, track_id: &TrackId, starved: bool) {
        let Some(track_key) = self.roster.by_track(track_id) else {
            return;
        };
        let Some(track) = self.roster.tracks.get(&track_key) else {
            return;
        };
        let (publisher, shown) = (track.publisher_id.clone(), track.shown.clone());
        let Some((_, participant)) = self.roster.find(id) else {
            return;
        };
        let subscription = participant.subscriptions.get_mut(&track_key);
        let is_open = |s: &&mut Subscription| matches!(s.state, SubscriptionState::Open(_));
        if let Some(subscription) = subscription.filter(is_open) {
            subscription.starved = Some(starved);
            let notification = Notification::StreamPaused {
                publisher,
                track: shown,
                paused: starved,
            };
            self.notify(id.clone(), notification);
        }
    }

    /// Settles what one participant receives of every track.
    pub(crate) fn settle_participant(&mut self, key: ParticipantKey) {
        let tracks: Vec<_> = self.roster.tracks.keys().copied().collect();
        for track_key in tracks {
            self.settle_one(key, track_key);
        }
    }

    /// Settles what everybody receives of one track.
    pub(crate) fn settle_track(&mut self, track_key: TrackKey) {
        let participants: Vec<_> = self.roster.here().map(|(key, _)| *key).collect();
        for key in participants {
            self.settle_one(key, track_key);
        }
        if let Some(backup) = self.backup_of(track_key) {
            self.settle_track(backup);
        }
    }

    fn backup_of(&self, track_key: TrackKey) -> Option<TrackKey> {
        self.roster.tracks.get(&track_key)?.backup.track()
    }

    /// A track is encoded in something else: who could not decode it may now be able to.
    pub(crate) fn retry_failed(&mut self, track_key: TrackKey) {
        for participant in self.roster.participants.values_mut() {
            if let Some(subscription) = participant.subscriptions.get_mut(&track_key)
                && matches!(subscription.state, SubscriptionState::Failed { .. })
            {
                subscription.state = SubscriptionState::Closed;
            }
        }
        self.settle_track(track_key);
    }

    /// Closes everything that a participant receives, because it goes.
    pub(crate) fn close_subscriptions(&mut self, key: ParticipantKey) {
        let Some(participant) = self.roster.participants.get_mut(&key) else {
            return;
        };
        for (track_key, subscription) in std::mem::take(&mut participant.subscriptions) {
            let Some(track) = self.roster.tracks.get_mut(&track_key) else {
                continue;
            };
            track.remove_subscriber(key);
            if let SubscriptionState::Open(delivery) = subscription.state {
                self.demand.change(track_key, Some(delivery), None);
                self.effects.push_back(Effect::CloseConsumer {
                    subscriber: participant.view.id.clone(),
                    track: track.view.id.clone(),
                });
            }
        }
    }

    /// Changes a participant's subscriptions to open tracks of others, and settles them.
    fn with_subscriptions(
        &mut self,
        id: &ParticipantId,
        tracks: &[TrackId],
        change: impl Fn(&mut Subscription),
    ) {
        for track_id in tracks {
            let Some(track_key) = self.roster.by_track(track_id) else {
                continue;
            };
            let Some(key) = self.roster.by_id(id) else {
                return;
            };
            let Some(track) = self.roster.tracks.get(&track_key) else {
                continue;
            };
            // Nobody can know of a track that is not open, nor of a second codec, nor subscribe to
            // itself.
            if !track.is_open() || track.first.is_some() || track.publisher == key {
                continue;
            }
            if !self.sees_track(key, track_key) {
                continue;
            }
            let Some(participant) = self.roster.participants.get_mut(&key) else {
                return;
            };
            change(participant.subscriptions.entry(track_key).or_default());
            self.settle_one(key, track_key);
            if let Some(backup) = self.backup_of(track_key) {
                self.settle_one(key, backup);
            }
        }
    }

    fn settle_one(&mut self, key: ParticipantKey, track_key: TrackKey) {
        if !self.sees_track(key, track_key) {
            return;
        }
        let participant = self.roster.participants.get_mut(&key);
        let participant = participant.filter(|participant| participant.origin.is_none());
        let track = self.roster.tracks.get_mut(&track_key);
        if let (Some(participant), Some(track)) = (participant, track) {
            let speaks = self.floor.is_speaker(track.publisher);
            let (demand, effects) = (&mut self.demand, &mut self.effects);
            settle(
                (key, participant),
                (track_key, track, speaks),
                demand,
                effects,
            );
        }
    }
}

/// Makes what a subscriber receives of a track, whose publisher speaks or does not, what it should
/// receive.
fn settle(
    (key, participant): (ParticipantKey, &mut Participant),
    (track_key, track, speaks): (TrackKey, &mut Track, bool),
    demand: &mut Demand,
    effects: &mut VecDeque<Effect>,
) {
    if !track.is_open() || track.publisher == key {
        return;
    }
    let first = track.first.map(|key| participant.subscriptions.get(&key));
    let wishes = first.map(|first| first.map(Wishes::of_backup).unwrap_or_default());
    let subscription = participant.subscriptions.entry(track_key).or_default();
    let allowed = match wishes {
        Some(_) => track.access.allows(&participant.view, &track.view.id),
        None => may_have(&participant.view, subscription, track, effects),
    };
    let wishes = wishes.unwrap_or_else(|| Wishes::of(subscription));
    let wanted = allowed
        && wishes.codec
        && participant.view.permission.subscribe
        && wishes.wish.unwrap_or(participant.auto_subscribe);
    let TrackState::Open { subscribers, .. } = &mut track.state else {
        return;
    };
    let new = delivery(
        &track.view,
        wishes.settings.as_ref(),
        participant.adaptive_stream,
        speaks,
    );
    let subscriber = || participant.view.id.clone();
    match (&subscription.state, wanted) {
        (SubscriptionState::Closed, false) | (SubscriptionState::Failed { .. }, true) => return,
        (SubscriptionState::Closed, true) => {
            subscribers.insert(key);
            subscription.starved = None;
            subscription.limited = false;
            effects.push_back(Effect::OpenConsumer {
                subscriber: subscriber(),
                publisher: track.publisher_id.clone(),
                track: track.view.id.clone(),
                shown: track.shown.clone(),
                delivery: new,
            });
        }
        (SubscriptionState::Open(old), true) if *old == new => return,
        (SubscriptionState::Open(_), true) => effects.push_back(Effect::ConfigureConsumer {
            subscriber: subscriber(),
            track: track.view.id.clone(),
            delivery: new,
        }),
        (SubscriptionState::Open(_), false) => {
            subscribers.remove(&key);
            effects.push_back(Effect::CloseConsumer {
                subscriber: subscriber(),
                track: track.view.id.clone(),
            });
        }
        (SubscriptionState::Failed { .. }, false) => {}
    }
    let old = std::mem::replace(
        &mut subscription.state,
        if wanted {
            SubscriptionState::Open(new)
        } else {
            SubscriptionState::Closed
        },
    );
    demand.change(track_key, old.delivery(), subscription.state.delivery());
}

/// What a subscriber has asked for.
#[derive(Debug, Clone, Copy, Default)]
struct Wishes {
    wish: Option<bool>,
    settings: Option<TrackSettings>,
    /// Whether it is to have the track in this codec.
    codec: bool,
}

impl Wishes {
    fn of(subscription: &Subscription) -> Wishes {
        Wishes {
            wish: subscription.wish,
            settings: subscription.settings,
            codec: true,
        }
    }

    /// What it has asked for of the first codec is meant for the other one, if it cannot decode
    /// the first.
    fn of_backup(first: &Subscription) -> Wishes {
        let failed = SubscriptionState::Failed { undecodable: true };
        Wishes {
            codec: first.state == failed,
            ..Wishes::of(first)
        }
    }
}

/// Whether the publisher lets a subscriber have a track; the subscriber is told when that changes.
fn may_have(
    subscriber: &ParticipantView,
    subscription: &mut Subscription,
    track: &Track,
    effects: &mut VecDeque<Effect>,
) -> bool {
    let allowed = track.access.allows(subscriber, &track.view.id);
    if subscription.allowed.unwrap_or(true) != allowed {
        subscription.allowed = Some(allowed);
        effects.push_back(Effect::Notify {
            to: subscriber.id.clone(),
            notification: Notification::SubscriptionAllowed {
                publisher: track.publisher_id.clone(),
                track: track.view.id.clone(),
                allowed,
            },
        });
    }
    allowed
}
