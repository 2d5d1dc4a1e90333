//! Short bursts that prove that a path carries more than is sent.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::PacketResult;

/// A burst that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeCluster {
    /// To be put on each of its packets, [`PacketResult::cluster`].
    pub id: u32,
    /// Bits per second at which its packets leave.
    pub rate: u64,
    /// Bytes that it has at least.
    pub bytes: usize,
}

/// How long a burst is, and its fewest packets.
const LENGTH: Duration = Duration::from_millis(15);
const FEWEST: usize = 5;
const PACKET: usize = 1_000;
/// On a crowded path: a whole frame, or a burst fits between two frames of somebody else.
const LONG: Duration = Duration::from_millis(33);
/// A burst is judged when this share of it was reported.
const REPORTED: f64 = 0.8;
/// Spans beyond this say nothing.
const LONGEST: f64 = 1.0;
/// Arriving this much faster than sending proves nothing but a queue.
const FASTEST: f64 = 2.0;
/// Arriving this much slower than sending means that the path is full …
const SATURATED: f64 = 0.9;
/// … if it is not jitter, in seconds: that of two packets decides over a short burst. The path …
const JITTER: f64 = 0.002;
/// … carries this share of what arrived.
const SAFE: f64 = 0.95;
/// A result is waited for so long.
const WAIT: Duration = Duration::from_secs(1);
/// The first bursts against the rate at the start.
const FIRST: [u64; 2] = [3, 6];
/// A result of this share of the burst's rate is worth another burst, of twice the result.
const FURTHER: f64 = 0.7;
/// Between two attempts, at first and at last: what a drop has taken shall be back within ten
/// seconds after it, and a failed attempt costs a queue of milliseconds.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(6));
/// When it was no good moment, the next look.
const RETRY: Duration = Duration::from_millis(10);

/// Decides when to probe, and for what.
#[derive(Debug)]
pub(super) struct Prober {
    next_id: u32,
    wanted: VecDeque<ProbeCluster>,
    running: Vec<Running>,
    started: bool,
    /// Not before this time.
    at: Option<Instant>,
    /// It was no good moment until then.
    put_off_until: Option<Instant>,
    interval: Duration,
    /// Of the next burst.
    length: Duration,
    demand: u64,
    random: u64,
}

/// What a burst has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The path carries this.
    Carried(u64),
    /// More was sent than the path carries, and this arrived. Beside other traffic that is more
    /// than a lasting share: a burst takes it from the others for a moment.
    Saturated(u64),
}

/// A burst on its way.
#[derive(Debug)]
struct Running {
    cluster: ProbeCluster,
    until: Instant,
    count: usize,
    bytes: usize,
    first_sent: Option<(Instant, usize)>,
    last_sent: Option<(Instant, usize)>,
    first_arrival: Option<(i64, usize)>,
    last_arrival: Option<i64>,
}

impl Prober {
    pub(super) fn new(seed: u64) -> Prober {
        Prober {
            next_id: 0,
            wanted: VecDeque::new(),
            running: Vec::new(),
            started: false,
            at: None,
            put_off_until: None,
            interval: INTERVAL.0,
            length: LENGTH,
            demand: 0,
            random: seed | 1,
        }
    }

    /// What would be sent if the path carried it, in bits per second.
    pub(super) fn set_demand(&mut self, demand: u64) {
        if demand > self.demand + self.demand / 10 {
            // Something new is wanted: that failed attempts were for less says nothing of it.
            self.interval = INTERVAL.0;
            self.at = None;
        }
        self.demand = demand;
    }

    pub(super) fn poll(&mut self) -> Option<ProbeCluster> {
        self.wanted.pop_front()
    }

    /// A good moment: nothing is too much. Wants a burst if more than `rate` is in demand; a
    /// longer one for less on a crowded path.
    pub(super) fn consider(&mut self, now: Instant, rate: u64, crowded: bool) {
        self.length = if crowded { LONG } else { LENGTH };
        self.running.retain(|running| running.until > now);
        if !self.running.is_empty() || !self.wanted.is_empty() {
            return self.put_off(now);
        }
        if self.demand <= rate || self.at.is_some_and(|at| now < at) {
            return;
        }
        if !self.started {
            self.started = true;
            for factor in FIRST {
                self.want(now, (rate * factor).min(self.demand * 2));
            }
        } else {
            // Some more than the demand, so that what wants it fits with some room.
            let most = if crowded { rate + rate / 2 } else { rate * 2 };
            self.want(now, (self.demand + self.demand / 5).min(most));
        }
        // Until a burst has proven something, each is a failure.
        self.back_off(now);
    }

    /// When [`Prober::consider`] is to be called though nothing arrives.
    pub(super) fn deadline(&self, rate: u64) -> Option<Instant> {
        let at = self.at.filter(|_| self.demand > rate)?;
        Some(self.put_off_until.map_or(at, |until| until.max(at)))
    }

    /// No good moment. The next feedback may make it one; without any it is looked at again a
    /// little later, and not at once for ever.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.put_off_until = Some(now + RETRY);
    }

    /// Bad news: what is planned is forgotten.
    pub(super) fn cancel(&mut self, now: Instant) {
        self.wanted.clear();
        self.at = Some(
            self.at
                .map_or(now + self.interval, |at| at.max(now + self.interval)),
        );
    }

    /// What became of a packet of a burst. Gives what the burst has shown, once.
    pub(super) fn result(&mut self, now: Instant, packet: &PacketResult) -> Option<Proof> {
        let (id, arrival) = (packet.cluster?, packet.arrival?);
        let index = self.running.iter().position(|r| r.cluster.id == id)?;
        let running = &mut self.running[index];
        running.add(packet.sent, arrival, packet.size);
        let proof = running.proof()?;
        let cluster = running.cluster;
        self.running.remove(index);
        if let Proof::Carried(rate) = proof
            && rate as f64 > FURTHER * cluster.rate as f64
        {
            self.interval = INTERVAL.0;
            self.at = Some(now + self.interval);
            if self.demand > rate && self.wanted.is_empty() && self.running.is_empty() {
                self.want(now, (rate * 2).min(self.demand * 2));
            }
        }
        Some(proof)
    }

    fn want(&mut self, now: Instant, rate: u64) {
        let bytes = (rate as f64 / 8.0 * self.length.as_secs_f64()) as usize;
        let cluster = ProbeCluster {
            id: self.next_id,
            rate,
            bytes: bytes.max(FEWEST * PACKET),
        };
        self.next_id = self.next_id.wrapping_add(1);
        self.wanted.push_back(cluster);
        self.running.push(Running::new(cluster, now + WAIT));
    }

    /// Others behind the same bottleneck shall not probe at the same time for ever.
    fn back_off(&mut self, now: Instant) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let jitter = 0.5 + (self.random >> 11) as f64 / (1u64 << 53) as f64;
        self.at = Some(now + self.interval.mul_f64(jitter));
        self.interval = self.interval.mul_f64(1.5).min(INTERVAL.1);
    }
}

impl Running {
    fn new(cluster: ProbeCluster, until: Instant) -> Running {
        Running {
            cluster,
            until,
            count: 0,
            bytes: 0,
            first_sent: None,
            last_sent: None,
            first_arrival: None,
            last_arrival: None,
        }
    }

    fn add(&mut self, sent: Instant, arrival: i64, size: usize) {
        self.count += 1;
        self.bytes += size;
        if self.first_sent.is_none_or(|(first, _)| sent < first) {
            self.first_sent = Some((sent, size));
        }
        if self.last_sent.is_none_or(|(last, _)| sent >= last) {
            self.last_sent = Some((sent, size));
        }
        if self.first_arrival.is_none_or(|(first, _)| arrival < first) {
            self.first_arrival = Some((arrival, size));
        }
        self.last_arrival = self.last_arrival.max(Some(arrival));
    }

    /// What was shown, once enough was reported.
    fn proof(&self) -> Option<Proof> {
        let enough = self.bytes as f64 >= REPORTED * self.cluster.bytes as f64
            && self.count as f64 >= REPORTED * FEWEST as f64;
        if !enough {
            return None;
        }
        let (first_sent, last_sent) = (self.first_sent?, self.last_sent?);
        let (first_arrival, last_arrival) = (self.first_arrival?, self.last_arrival?);
        let sending = last_sent.0.saturating_duration_since(first_sent.0);
        let (sending, arriving) = (
            sending.as_secs_f64(),
            last_arrival.saturating_sub(first_arrival.0) as f64 / 1e6,
        );
        let sensible = |span: f64| span > 0.0 && span <= LONGEST;
        if !sensible(sending) || !sensible(arriving) {
            return None;
        }
        let sent = (self.bytes - last_sent.1) as f64 * 8.0 / sending;
        let arrived = (self.bytes - first_arrival.1) as f64 * 8.0 / arriving;
        if arrived > FASTEST * sent {
            return None;
        }
        Some(match SATURATED * (arriving - JITTER) > sending {
            true => Proof::Saturated((SAFE * arrived) as u64),
            false => Proof::Carried(sent.min(arrived) as u64),
        })
    }
}
