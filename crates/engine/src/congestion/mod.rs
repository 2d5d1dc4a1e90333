//! How much a path carries: send-side congestion control of one connection.
//!
//! [`BandwidthEstimator`] is a state machine without input or output of its own. It is told of
//! every packet's fate ([`PacketResult`], from transport-wide feedback) and of what would be sent
//! if there was no bound (the demand); it answers with a rate, and asks for probes. The rate is
//! the least of what the delay allows ([`trend`], [`increase`]: draft-ietf-rmcat-gcc-02), what
//! loss allows ([`loss`]) and what the receiver allows (REMB).

mod groups;
mod increase;
mod loss;
mod probe;
mod queue;
#[cfg(test)]
mod tests;
mod throughput;
mod trend;

use std::time::{Duration, Instant};

use self::groups::Groups;
use self::increase::RateControl;
use self::loss::LossControl;
use self::probe::{Prober, Proof};
use self::queue::{Queueing, Standing};
use self::throughput::Throughput;
use self::trend::Trend;

pub use self::probe::ProbeCluster;
pub use self::trend::Usage;

/// Bits per second at the start: a picture's lowest layer and sound, on nearly every path.
pub const START: u64 = 600_000;
/// Bits per second below which the rate never falls: sound, and signs of life.
pub const LEAST: u64 = 30_000;
/// Bits per second above which it never rises.
pub const MOST: u64 = 1_000_000_000;

/// The round-trip time until it is known.
const ROUND_TRIP: Duration = Duration::from_millis(100);
/// No feedback for this long although something was sent: growth and probes stop, …
const SILENCE: Duration = Duration::from_secs(1);
/// … and from here on the rate falls by [`FALL`] for each second.
const DARKNESS: Duration = Duration::from_secs(3);
const FALL: f64 = 0.8;
/// Sending less than so many tenths of the rate shows nothing of the path.
const IDLE: u64 = 6;
/// What was measured says nothing any more after this time.
const STALE: Duration = Duration::from_secs(2);
/// More than radios lose by themselves.
const SOME_LOSS: f64 = 0.1;
/// In a queue that is longer than this there are no probes.
const STANDING: Duration = Duration::from_millis(20);
/// Bits per second: what we keep in a queue that others fill. Sound and a picture; with less we
/// would starve beside TCP, which does not leave before the queue overflows.
const BESIDE_TCP: u64 = 200_000;
/// Bits per second: next to nothing. A queue that grows meanwhile is not ours.
const NEXT_TO_NOTHING: u64 = 60_000;
/// But one that loses this share of it is: TCP leaves before.
const MUCH_LOSS: f64 = 0.35;

/// What became of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketResult {
    /// When it was handed to the socket.
    pub sent: Instant,
    /// Bytes of the datagram.
    pub size: usize,
    /// When it arrived, in µs on the peer's clock; `None` if it is missing.
    pub arrival: Option<i64>,
    /// The probe that it belonged to.
    pub cluster: Option<u32>,
}

/// Estimates what one path carries.
#[derive(Debug)]
pub struct BandwidthEstimator {
    groups: Groups,
    trend: Trend,
    throughput: Throughput,
    queueing: Queueing,
    standing: Standing,
    delay: RateControl,
    loss: LossControl,
    prober: Prober,
    /// What loss allows, if that is a limit.
    loss_limit: Option<u64>,
    remb: Option<u64>,
    target: u64,
    /// There has been feedback. Without any, the receiver's own estimate is all there is.
    fed: bool,
    /// Something was sent since the last feedback.
    sent: bool,
    /// A probe has shown that this rate arrives, and when. That stands for what arrives until
    /// enough has that was sent since: the mean over a window follows a jump too late.
    proven: Option<(u64, Instant)>,
    heard: Instant,
    fallen: Instant,
}

impl BandwidthEstimator {
    /// Nothing is known. `seed` spreads the times of probes: connections behind one bottleneck
    /// must not probe together.
    pub fn new(now: Instant, seed: u64) -> BandwidthEstimator {
        BandwidthEstimator {
            groups: Groups::default(),
            trend: Trend::default(),
            throughput: Throughput::default(),
            queueing: Queueing::default(),
            standing: Standing::default(),
            delay: RateControl::new(START),
            loss: LossControl::new(START),
            prober: Prober::new(seed),
            loss_limit: None,
            remb: None,
            target: START,
            fed: false,
            sent: false,
            proven: None,
            heard: now,
            fallen: now,
        }
    }

    /// What the path carries, in bits per second.
    pub fn estimate(&self) -> u64 {
        self.target
    }

    /// Whether the peer has ever told anything: without it the estimate is a guess.
    pub fn is_informed(&self) -> bool {
        self.fed || self.remb.is_some()
    }

    /// Whether the peer no longer answers what is sent.
    pub fn is_silent(&self, now: Instant) -> bool {
        self.sent && now.saturating_duration_since(self.heard) > SILENCE
    }

    /// Whether what is sent does not get through: a queue stands or grows, or much is lost. Some
    /// loss alone is none of our doing.
    pub fn is_congested(&self) -> bool {
        let queues = self.trend.usage() == Usage::Over || self.standing.is_long();
        queues || self.loss.share() > SOME_LOSS
    }

    /// What the delay says now.
    pub fn usage(&self) -> Usage {
        self.trend.usage()
    }

    /// What would be sent if the path carried it, in bits per second. Without demand beyond the
    /// estimate there are no probes.
    pub fn set_demand(&mut self, now: Instant, demand: u64) {
        self.prober.set_demand(demand);
        self.probe_if_calm(now);
    }

    /// A packet with a transport-wide number has left.
    pub fn on_sent(&mut self) {
        self.sent = true;
    }

    /// The peer's own estimate (REMB), in bits per second.
    pub fn on_remb(&mut self, rate: u64) {
        self.remb = Some(rate);
        self.settle();
    }

    /// Feedback on packets, in the order of their numbers. A packet may be missing in one report
    /// and arrive in a later one, but arrives once.
    pub fn on_feedback(
        &mut self,
        now: Instant,
        round_trip: Option<Duration>,
        packets: &[PacketResult],
    ) {
        self.heard = now;
        self.fed = true;
        self.sent = false;
        let mut proof = None;
        for packet in packets {
            self.loss
                .add(packet.sent, packet.size, packet.arrival.is_some());
            let Some(arrival) = packet.arrival else {
                continue;
            };
            self.throughput.add(packet.sent, arrival, packet.size);
            self.queueing.add(packet.sent, arrival);
            if let Some(deltas) = self.groups.add(now, packet.sent, arrival) {
                self.trend.add(now, deltas);
            }
            proof = self.prober.result(now, packet).or(proof);
        }
        self.queueing.update(now);
        self.react(now, round_trip.unwrap_or(ROUND_TRIP), proof);
        self.probe_if_calm(now);
    }

    /// To be called at [`BandwidthEstimator::next_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        let silent = now.saturating_duration_since(self.heard);
        if self.sent && silent >= DARKNESS {
            let since = now.saturating_duration_since(self.fallen.max(self.heard + DARKNESS));
            if since >= SILENCE {
                self.fallen = now;
                let rate = (self.target as f64 * FALL) as u64;
                self.lower(rate.max(LEAST));
            }
        }
        self.probe_if_calm(now);
    }

    /// When something is to be done though nothing arrives.
    pub fn next_timeout(&self) -> Option<Instant> {
        let falls = self.sent && self.target > LEAST;
        let dark = falls.then(|| self.fallen.max(self.heard + DARKNESS) + SILENCE);
        [dark, self.prober.deadline(self.target)]
            .into_iter()
            .flatten()
            .min()
    }

    /// A burst that is to be sent now, of media that goes anyway or of padding.
    pub fn poll_probe(&mut self) -> Option<ProbeCluster> {
        self.prober.poll()
    }

    fn react(&mut self, now: Instant, round_trip: Duration, proof: Option<Proof>) {
        let arrived = self.arrived(now);
        let (usage, least) = self.judge(now);
        // A probe raises the rate at once; it never lowers it.
        let raised = match proof.filter(|_| usage != Usage::Over) {
            Some(Proof::Carried(rate)) if !self.delay.is_crowded(now) => Some(rate),
            // Half-way: what is left of it shows next time.
            Some(Proof::Carried(rate) | Proof::Saturated(rate)) => Some(self.target.midpoint(rate)),
            None => None,
        };
        if let Some(rate) = raised {
            let rate = rate.max(self.target);
            self.proven = Some((rate, now));
            self.delay.set(now, rate);
            self.loss.set(rate);
        } else if self.delay.update(
            now,
            usage,
            self.blamed(usage, arrived),
            round_trip,
            (least, MOST),
        ) {
            self.prober.cancel(now);
        }
        let limit = self.loss.update(now, self.delay.rate(), arrived);
        // What others push out of their queue says nothing of what we may keep in it.
        self.loss_limit = limit.map(|limit| limit.max(self.ours()));
        self.settle();
    }

    /// From where the rate falls. Usually that is what arrives. But if much less is sent than the
    /// path carries, what arrives is no measure of it: then it falls from where it is.
    fn blamed(&self, usage: Usage, arrived: Option<u64>) -> Option<u64> {
        let rate = self.delay.rate();
        let idle = arrived.is_some_and(|arrived| arrived < rate / 10 * IDLE);
        if usage == Usage::Over && idle && self.throughput.is_even() {
            return Some(rate);
        }
        arrived
    }

    /// What the trend of the delay says, or else its height; and the rate that is left to us.
    fn judge(&mut self, now: Instant) -> (Usage, u64) {
        self.standing.update(now, &self.queueing);
        let little = match self.standing.is_of_others() {
            true => BESIDE_TCP,
            false => NEXT_TO_NOTHING,
        };
        if self.loss.share() > MUCH_LOSS {
            self.standing.acquit_others(now);
        } else if self.trend.usage() == Usage::Over && self.target <= little {
            self.standing.blame_others(now);
        }
        let (usage, ours) = (self.trend.usage(), self.ours());
        // What we leave does not empty a queue of others: they take it.
        if self.standing.is_of_others() && self.target <= ours {
            return (Usage::Normal, self.target);
        }
        match usage {
            Usage::Normal if self.standing.is_long() => (Usage::Over, ours),
            Usage::Normal | Usage::Over | Usage::Under => (usage, ours),
        }
    }

    /// Below this neither delay nor loss pushes us, in bits per second.
    fn ours(&self) -> u64 {
        match self.standing.is_of_others() {
            true => BESIDE_TCP,
            false => LEAST,
        }
    }

    /// Bits per second that arrive, as far as that is known.
    fn arrived(&mut self, now: Instant) -> Option<u64> {
        let young = |at| now.saturating_duration_since(at) < 2 * throughput::WINDOW;
        self.proven = self.proven.filter(|(_, at)| young(*at));
        let Some((proven, at)) = self.proven else {
            return self.throughput.rate();
        };
        let since = self.throughput.rate_since(at);
        since.or(self.throughput.rate().max(Some(proven)))
    }

    fn settle(&mut self) {
        if let (false, Some(remb)) = (self.fed, self.remb) {
            self.target = remb.clamp(LEAST, MOST);
            return;
        }
        let limits = [self.loss_limit, self.remb].into_iter().flatten();
        let rate = limits.fold(self.delay.rate(), u64::min);
        self.target = rate.clamp(LEAST, MOST);
    }

    fn lower(&mut self, rate: u64) {
        self.delay.limit(rate);
        self.loss.set(rate);
        self.settle();
    }

    fn probe_if_calm(&mut self, now: Instant) {
        let silent = self.is_silent(now);
        let loss_limits = self.target < self.delay.rate() && self.loss.share() > SOME_LOSS;
        // In a queue that others fill, a burst would get more than its share and prove nothing.
        let standing = self.queueing.wait() > STANDING;
        let calm = self.trend.usage() == Usage::Normal && !standing;
        // Nothing was sent lately, so all that is known of queues and losses is of long ago.
        let stale = !self.sent && now.saturating_duration_since(self.heard) > STALE;
        if stale || (calm && !silent && !loss_limits) {
            let crowded = self.delay.is_crowded(now);
            self.prober.consider(now, self.target, crowded);
        } else {
            self.prober.put_off(now);
        }
    }
}
