//! How much of each track a subscriber is sent.

use std::time::{Duration, Instant};

use umbrella_media::{Delivery, Kind, Layer, Layers, Spatial};

use crate::allocation::{self, Ladder, Offer, Share};
use crate::api::Report;
use crate::arena::Key;
use crate::consumer::{Consumer, Grant};
use crate::egress::Pacing;
use crate::transport::Transport;

use super::Worker;

/// Somebody who has just asked for more does not wait until room has proven to last.
const EAGER: Duration = Duration::from_secs(5);

/// What the consumers of a subscriber want and have.
#[derive(Debug, Default)]
struct Situation {
    consumers: Vec<Key<Consumer>>,
    offers: Vec<Offer>,
    shares: Vec<Share>,
    /// Sound, in bits per second.
    audio: u64,
    /// Somebody waits for more.
    eager: bool,
    /// A layer that is wanted arrives, but its rate is not known yet.
    unknown: bool,
}

impl Worker {
    /// Looks, if it is time, whether a subscriber can be sent more or must be sent less.
    pub(super) fn allocate(&mut self, now: Instant, key: Key<Transport>) {
        let Some(transport) = self.transports.get(key) else {
            return;
        };
        let (allotment, bandwidth) = (&transport.allotment, transport.egress.bandwidth());
        if !allotment.is_due(now, bandwidth) {
            return;
        }
        let mut situation = self.situation(now, transport);
        let budget = allotment.budget(now, bandwidth, situation.audio);
        let (informed, estimate) = (bandwidth.is_informed(), bandwidth.estimate());
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        let allotment = &mut transport.allotment;
        let wishes = (situation.eager, situation.unknown);
        let Situation { offers, shares, .. } = &mut situation;
        let outcome = allotment
            .allocator
            .decide(now, budget, wishes, offers, shares);
        let video = allocation::total(offers, shares);
        allotment.decided(now, outcome, video + situation.audio);
        let egress = &mut transport.egress;
        let replays = transport.replays.demand();
        egress.set_demand(now, outcome.demand + situation.audio + replays);
        egress.set_pacing(match informed && !outcome.satisfied {
            true => Pacing::UpTo(estimate * 5 / 2),
            false => Pacing::Automatic,
        });
        self.grant(now, &situation);
    }

    /// Somebody wants a track.
    pub(super) fn begin_allocation(
        &mut self,
        now: Instant,
        key: Key<Transport>,
        consumer_key: Key<Consumer>,
    ) {
        let transport = self.transports.get_mut(key);
        let consumer = self.consumers.get_mut(consumer_key);
        let (Some(transport), Some(consumer)) = (transport, consumer) else {
            return;
        };
        let allotment = &mut transport.allotment;
        match consumer.kind() {
            Kind::Audio => allotment.audio.push(consumer_key),
            Kind::Video => {
                allotment.video.push(consumer_key);
                allotment.look_at(now);
                consumer.be_eager(now + EAGER);
                let plenty = allotment.has_plenty(transport.egress.bandwidth());
                if !plenty && !allotment.is_satisfied() {
                    consumer.grant(SMALLEST);
                }
            }
        }
    }

    /// Somebody wants more or less of a track than before.
    pub(super) fn reallocate(&mut self, now: Instant, key: Key<Consumer>, old: Delivery) {
        let Some(consumer) = self.consumers.get_mut(key) else {
            return;
        };
        if consumer.kind() == Kind::Audio {
            return;
        }
        let to = consumer.transport;
        let Some(transport) = self.transports.get_mut(to) else {
            return;
        };
        transport.allotment.look_at(now);
        let new = consumer.wanted();
        let shown_again = old.paused && !new.paused;
        if shown_again || new.layer > old.layer {
            consumer.be_eager(now + EAGER);
            let plenty = transport.allotment.has_plenty(transport.egress.bandwidth());
            if !plenty && consumer.granted() == Grant::Everything {
                consumer.grant(match old.paused {
                    true => SMALLEST,
                    false => Grant::UpTo(old.layer),
                });
            }
        }
        self.touch_to_send(to);
    }

    fn situation(&self, now: Instant, transport: &Transport) -> Situation {
        let mut situation = Situation::default();
        for key in &transport.allotment.audio {
            if let Some(consumer) = self.consumers.get(*key)
                && let Some(producer) = self.producers.get(consumer.producer)
            {
                situation.audio += producer.rates.total(now);
            }
        }
        for key in &transport.allotment.video {
            if let Some(consumer) = self.consumers.get(*key) {
                self.add_to(&mut situation, now, *key, consumer);
            }
        }
        situation
    }

    fn add_to(
        &self,
        situation: &mut Situation,
        now: Instant,
        key: Key<Consumer>,
        consumer: &Consumer,
    ) {
        let wanted = consumer.wanted();
        let Some(producer) = self.producers.get(consumer.producer) else {
            return;
        };
        if wanted.paused || producer.paused || consumer.mid().is_none() {
            return;
        }
        let live = producer.live();
        let (floor, target) = (wanted.floor, consumer.target(live));
        let ladder = Ladder::new(&producer.rates, now, live, wanted.layer, (floor, target));
        let best = best_within(live, wanted.layer, target);
        let top = ladder.rungs().last().map(|rung| rung.layer.spatial);
        situation.unknown |= top < best;
        situation.eager |= consumer.is_eager(now);
        if top.is_none() {
            return;
        }
        situation.consumers.push(key);
        situation.shares.push(share(consumer.granted(), &ladder));
        situation.offers.push(Offer {
            priority: wanted.priority,
            ladder,
        });
    }

    fn grant(&mut self, now: Instant, situation: &Situation) {
        let given = situation.offers.iter().zip(&situation.shares);
        for (key, (offer, share)) in situation.consumers.iter().zip(given) {
            let Some(consumer) = self.consumers.get_mut(*key) else {
                continue;
            };
            let grant = match share {
                None => Grant::Nothing,
                share if *share == offer.top() => Grant::Everything,
                Some(index) => Grant::UpTo(offer.ladder.rungs()[*index].layer),
            };
            if grant == consumer.granted() {
                continue;
            }
            if consumer.grant(grant) {
                let (consumer, starved) = (consumer.id, grant == Grant::Nothing);
                self.past.pauses += u64::from(starved);
                self.reports
                    .push_back(Report::ConsumerStarved { consumer, starved });
            }
            self.want_for(now, *key);
        }
    }
}

/// The best spatial layer that arrives and is not above the wanted one; `target` is the encoding
/// to be shown.
pub(super) fn best_within(live: Layers, wanted: Layer, target: Option<Spatial>) -> Option<Spatial> {
    let encoding = target?;
    let inside = live.top_spatial().min(wanted.spatial);
    Some(encoding.max(inside))
}

/// The smallest picture, at its full frame rate.
const SMALLEST: Grant = Grant::UpTo(Layer {
    spatial: Spatial::LOW,
    ..Layer::TOP
});

/// Where a grant stands on a ladder whose rungs may have changed since.
fn share(grant: Grant, ladder: &Ladder) -> Share {
    let rungs = ladder.rungs();
    match grant {
        Grant::Everything => rungs.len().checked_sub(1),
        Grant::Nothing => None,
        Grant::UpTo(layer) => {
            let within = rungs.iter().rposition(|rung| rung.layer <= layer);
            Some(within.unwrap_or(0))
        }
    }
}
