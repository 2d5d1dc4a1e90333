//! A sender of pictures that asks the estimator under test, and its receiver.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::network::{Cargo, Packet};
use super::pictures::Pictures;
use crate::congestion::{BandwidthEstimator, PacketResult};

const FRAME: Duration = Duration::from_millis(33);
const FEEDBACK: Duration = Duration::from_millis(50);
const TICK: Duration = Duration::from_millis(1);
const PACE: Duration = Duration::from_millis(5);
const PACKET: usize = 1_200;
/// Of pictures that an allocator chooses while not all fits, as the worker paces them: so much faster
/// than the estimate; so many bytes at once; and what is queued leaves within a quarter of a second.
const HASTE: f64 = 2.5;
const AT_ONCE: f64 = 16_000.0;
const DRAINS_PER_SECOND: f64 = 4.0;
/// Bytes of a report, and for each packet that it covers.
const REPORT: (usize, usize) = (80, 2);
/// The peer's clock shows another time than ours, in µs.
const OTHER_CLOCK: i64 = 77_000_000;

/// Where bytes come from.
enum Source {
    /// As many as the estimate allows, up to so many bits per second.
    Rate(u64),
    /// What an allocator chooses.
    Pictures(Box<Pictures>),
}

pub(super) struct Media {
    estimator: BandwidthEstimator,
    source: Source,
    start: Instant,
    frame_at: Instant,
    /// Bytes of packets that wait to be paced.
    queue: VecDeque<usize>,
    budget: f64,
    /// The same of a burst.
    probed: f64,
    /// Bursts that are to be sent: number, bits per second, bytes.
    probes: VecDeque<(u32, f64, usize)>,
    next_number: u64,
    /// What was sent and not reported on; the first has number `first`.
    flying: VecDeque<PacketResult>,
    first: u64,
    /// Of the receiver: what has arrived since the last report.
    arrivals: Vec<(u64, Instant)>,
    /// The first number that was in none.
    unreported: u64,
    report_at: Instant,
    /// Shortest time from a packet's departure to its report.
    round_trip: Option<Duration>,
}

impl Media {
    pub(super) fn new(now: Instant, most: u64, seed: u64) -> Media {
        Media::of(now, Source::Rate(most), seed)
    }

    pub(super) fn pictures(now: Instant, count: usize, seed: u64) -> Media {
        Media::of(
            now,
            Source::Pictures(Box::new(Pictures::new(now, count))),
            seed,
        )
    }

    fn of(now: Instant, source: Source, seed: u64) -> Media {
        Media {
            estimator: BandwidthEstimator::new(now, seed),
            source,
            start: now,
            frame_at: now,
            queue: VecDeque::new(),
            budget: 0.0,
            probed: 0.0,
            probes: VecDeque::new(),
            next_number: 0,
            flying: VecDeque::new(),
            first: 0,
            arrivals: Vec::new(),
            unreported: 0,
            report_at: now + FEEDBACK,
            round_trip: None,
        }
    }

    pub(super) fn estimate(&self) -> u64 {
        self.estimator.estimate()
    }

    pub(super) fn tick(&mut self, now: Instant, active: bool) -> Vec<Packet> {
        self.produce(now, active);
        let mut out = Vec::new();
        for (size, cluster) in self.release() {
            self.estimator.on_sent();
            self.flying.push_back(PacketResult {
                sent: now,
                size,
                arrival: None,
                cluster,
            });
            out.push(Packet {
                size,
                cargo: Cargo::Data(self.next_number),
            });
            self.next_number += 1;
        }
        out.extend(self.report(now));
        out
    }

    /// At the receiver.
    pub(super) fn received(&mut self, at: Instant, number: u64) {
        self.arrivals.push((number, at));
    }

    /// A report is back at the sender. Packets of reports that got lost are nobody's: they are
    /// not known to be missing.
    pub(super) fn told(&mut self, now: Instant, from: u64, arrivals: &[(u64, Instant)]) {
        let Some((to, _)) = arrivals.last() else {
            return;
        };
        let mut results = Vec::new();
        let mut arrivals = arrivals.iter().peekable();
        while self.first <= *to {
            let Some(mut result) = self.flying.pop_front() else {
                break;
            };
            let number = self.first;
            self.first += 1;
            if let Some((_, at)) = arrivals.next_if(|(arrived, _)| *arrived == number) {
                result.arrival = Some((*at - self.start).as_micros() as i64 + OTHER_CLOCK);
                let took = now - result.sent;
                self.round_trip = Some(self.round_trip.map_or(took, |least| least.min(took)));
            }
            if number >= from {
                results.push(result);
            }
        }
        self.estimator.on_feedback(now, self.round_trip, &results);
    }

    fn produce(&mut self, now: Instant, active: bool) {
        match &mut self.source {
            Source::Rate(most) => {
                let most = *most;
                self.produce_up_to(now, active, most);
            }
            Source::Pictures(pictures) => {
                let sizes = pictures.produce(now, &mut self.estimator);
                self.queue.extend(sizes);
            }
        }
        self.estimator.handle_timeout(now);
        while let Some(cluster) = self.estimator.poll_probe() {
            self.probes
                .push_back((cluster.id, cluster.rate as f64, cluster.bytes));
        }
    }

    fn produce_up_to(&mut self, now: Instant, active: bool, most: u64) {
        while self.frame_at <= now {
            self.frame_at += FRAME;
            if !active {
                self.estimator.set_demand(now, 0);
                continue;
            }
            self.estimator.set_demand(now, most);
            let rate = self.estimator.estimate().min(most);
            let mut bytes = (rate as f64 / 8.0 * FRAME.as_secs_f64()) as usize;
            while bytes > 0 {
                let size = bytes.min(PACKET);
                self.queue.push_back(size);
                bytes -= size;
            }
        }
    }

    /// What leaves now: a probe at its rate, else media one and a half times as fast as allowed.
    fn release(&mut self) -> Vec<(usize, Option<u32>)> {
        let tick = TICK.as_secs_f64();
        let mut out = Vec::new();
        if let Some((id, rate, left)) = self.probes.front_mut() {
            let budget = match &self.source {
                Source::Rate(_) => &mut self.budget,
                // What media may send at once is no part of a burst.
                Source::Pictures(_) => &mut self.probed,
            };
            *budget += *rate / 8.0 * tick;
            while *budget > 0.0 && *left > 0 {
                // Media that waits goes with the burst, else padding.
                let size = self.queue.pop_front().unwrap_or(1_000);
                out.push((size, Some(*id)));
                *budget -= size as f64;
                *left = left.saturating_sub(size);
            }
            if *left == 0 {
                self.probes.pop_front();
                *budget = 0.0;
            }
            return out;
        }
        let (rate, burst) = self.pace();
        self.budget = (self.budget + rate / 8.0 * tick).min(burst);
        while self.budget > 0.0
            && let Some(size) = self.queue.pop_front()
        {
            self.budget -= size as f64;
            out.push((size, None));
        }
        out
    }

    /// Bits per second at which packets leave, and the bytes that may leave at once.
    fn pace(&self) -> (f64, f64) {
        let estimate = self.estimator.estimate() as f64;
        match &self.source {
            Source::Rate(_) => {
                let rate = estimate * 1.5;
                (rate, (rate / 8.0 * PACE.as_secs_f64()).max(PACKET as f64))
            }
            Source::Pictures(_) => {
                let queued: usize = self.queue.iter().sum();
                let drain = queued as f64 * 8.0 * DRAINS_PER_SECOND;
                let rate = (estimate * HASTE).max(drain);
                (rate, (rate / 8.0 * PACE.as_secs_f64()).max(AT_ONCE))
            }
        }
    }

    /// Of the receiver, regularly.
    fn report(&mut self, now: Instant) -> Option<Packet> {
        if now < self.report_at {
            return None;
        }
        self.report_at = now + FEEDBACK;
        let (last, _) = self.arrivals.last()?;
        let from = std::mem::replace(&mut self.unreported, last + 1);
        let arrivals = std::mem::take(&mut self.arrivals);
        Some(Packet {
            size: REPORT.0 + REPORT.1 * arrivals.len(),
            cargo: Cargo::Report(from, arrivals),
        })
    }
}
