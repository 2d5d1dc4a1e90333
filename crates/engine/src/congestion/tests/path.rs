//! Senders that share a bottleneck, in virtual time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::congestion::{BandwidthEstimator, PacketResult};

/// The defaults of RFC 8867 section 4: one way, queue, frames.
const QUEUE: Duration = Duration::from_millis(300);
const FRAME: Duration = Duration::from_millis(33);
const FEEDBACK: Duration = Duration::from_millis(50);
const TICK: Duration = Duration::from_millis(1);
const PACE: Duration = Duration::from_millis(5);
const PACKET: usize = 1_200;

/// A bottleneck with a queue that drops at its tail.
pub(super) struct Path {
    /// From when on it carries how many bits per second.
    pub(super) capacity: Vec<(f64, f64)>,
    /// Share that is lost besides.
    pub(super) loss: f64,
    /// Share of the reports that is lost.
    pub(super) feedback_loss: f64,
    /// Largest extra delay of a packet; none overtakes another.
    pub(super) jitter: Duration,
    pub(super) random: u64,
}

/// One sender.
pub(super) struct Flow {
    pub(super) delay: Duration,
    /// When it sends, in seconds.
    pub(super) active: Vec<(f64, f64)>,
    /// Bits per second that its source has at most.
    pub(super) most: u64,
}

/// What happened to a flow in a tenth of a second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    pub(super) at: f64,
    pub(super) estimate: f64,
    /// Bits per second that arrived.
    pub(super) arrived: f64,
    /// The longest wait in the queue, in seconds.
    pub(super) queued: f64,
}

struct Sending {
    estimator: BandwidthEstimator,
    queue: VecDeque<(usize, Option<u32>)>,
    budget: f64,
    frame_at: Instant,
    flying: VecDeque<(Instant, PacketResult)>,
    /// Feedback on its way back.
    returning: VecDeque<(Instant, Vec<PacketResult>)>,
    report_at: Instant,
    probe: VecDeque<(u32, f64, usize)>,
    sample: Sample,
    last_arrival: Instant,
    start: Instant,
}

/// Runs flows over a path; the samples of each.
pub(super) fn run(path: &mut Path, flows: &[Flow], seconds: f64) -> Vec<Vec<Sample>> {
    let start = Instant::now();
    let mut sendings: Vec<Sending> = (0..flows.len())
        .map(|n| Sending::new(start, n as u64 + path.random))
        .collect();
    let mut samples = vec![Vec::new(); flows.len()];
    let mut free = start;
    let mut now = start;
    let mut next_sample = start;
    while (now - start).as_secs_f64() < seconds {
        let time = (now - start).as_secs_f64();
        for (index, flow) in flows.iter().enumerate() {
            let sending = &mut sendings[index];
            let active = flow
                .active
                .iter()
                .any(|(from, to)| (*from..*to).contains(&time));
            sending.produce(now, flow, active);
            for (size, cluster) in sending.release() {
                let capacity = path.capacity_at(time);
                path.carry(now, &mut free, capacity, flow, sending, (size, cluster));
            }
            sending.receive(now, 2 * flow.delay, &mut || {
                path.chance() < path.feedback_loss
            });
        }
        if now >= next_sample {
            next_sample += Duration::from_millis(100);
            for (sending, samples) in sendings.iter_mut().zip(&mut samples) {
                samples.push(sending.sampled(time));
            }
        }
        now += TICK;
    }
    samples
}

impl Path {
    fn capacity_at(&self, time: f64) -> f64 {
        let now = self.capacity.iter().rev().find(|(from, _)| *from <= time);
        now.map_or(1e6, |(_, capacity)| *capacity)
    }

    fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }

    fn carry(
        &mut self,
        now: Instant,
        free: &mut Instant,
        capacity: f64,
        flow: &Flow,
        sending: &mut Sending,
        (size, cluster): (usize, Option<u32>),
    ) {
        sending.estimator.on_sent();
        let mut result = PacketResult {
            sent: now,
            size,
            arrival: None,
            cluster,
        };
        let begins = now.max(*free);
        let waits = begins - now;
        sending.sample.queued = sending.sample.queued.max(waits.as_secs_f64());
        let mut seen = begins + flow.delay;
        if waits <= QUEUE && self.chance() >= self.loss {
            *free = begins + Duration::from_secs_f64(size as f64 * 8.0 / capacity);
            let jitter = self.jitter.mul_f64(self.chance());
            seen = (*free + flow.delay + jitter).max(sending.last_arrival);
            sending.last_arrival = seen;
            // The peer's clock shows another time than ours.
            let clock = seen - sending.start;
            result.arrival = Some(clock.as_micros() as i64 + 77_000_000);
        }
        sending.flying.push_back((seen, result));
    }
}

impl Sending {
    fn new(now: Instant, seed: u64) -> Sending {
        Sending {
            estimator: BandwidthEstimator::new(now, seed),
            queue: VecDeque::new(),
            budget: 0.0,
            frame_at: now,
            flying: VecDeque::new(),
            returning: VecDeque::new(),
            report_at: now + FEEDBACK,
            probe: VecDeque::new(),
            sample: Sample::default(),
            last_arrival: now,
            start: now,
        }
    }

    fn produce(&mut self, now: Instant, flow: &Flow, active: bool) {
        while self.frame_at <= now {
            self.frame_at += FRAME;
            if !active {
                self.estimator.set_demand(now, 0);
                continue;
            }
            self.estimator.set_demand(now, flow.most);
            let rate = self.estimator.estimate().min(flow.most);
            let mut bytes = (rate as f64 / 8.0 * FRAME.as_secs_f64()) as usize;
            while bytes > 0 {
                let size = bytes.min(PACKET);
                self.queue.push_back((size, None));
                bytes -= size;
            }
        }
        self.estimator.handle_timeout(now);
        while let Some(cluster) = self.estimator.poll_probe() {
            self.probe
                .push_back((cluster.id, cluster.rate as f64, cluster.bytes));
        }
    }

    /// What leaves now: a probe at its rate, else media one and a half times as fast as allowed.
    fn release(&mut self) -> Vec<(usize, Option<u32>)> {
        let tick = TICK.as_secs_f64();
        let mut out = Vec::new();
        if let Some((id, rate, left)) = self.probe.front_mut() {
            self.budget += *rate / 8.0 * tick;
            while self.budget > 0.0 && *left > 0 {
                // Media that waits goes with the burst, else padding.
                let size = self.queue.pop_front().map_or(1_000, |(size, _)| size);
                out.push((size, Some(*id)));
                self.budget -= size as f64;
                *left = left.saturating_sub(size);
            }
            if *left == 0 {
                self.probe.pop_front();
                self.budget = 0.0;
            }
            return out;
        }
        let rate = self.estimator.estimate() as f64 * 1.5;
        let burst = rate / 8.0 * PACE.as_secs_f64();
        self.budget = (self.budget + rate / 8.0 * tick).min(burst.max(PACKET as f64));
        while self.budget > 0.0 {
            let Some((size, _)) = self.queue.pop_front() else {
                break;
            };
            self.budget -= size as f64;
            out.push((size, None));
        }
        out
    }

    fn receive(&mut self, now: Instant, round_trip: Duration, lost: &mut dyn FnMut() -> bool) {
        let back = round_trip / 2;
        if now >= self.report_at {
            self.report_at = now + FEEDBACK;
            let mut report = Vec::new();
            while let Some((seen, result)) = self.flying.front() {
                if *seen > now {
                    break;
                }
                report.push(*result);
                self.flying.pop_front();
            }
            for result in report.iter().filter(|result| result.arrival.is_some()) {
                self.sample.arrived += result.size as f64 * 8.0;
            }
            if report.iter().any(|result| result.arrival.is_some()) && !lost() {
                self.returning.push_back((now + back, report));
            }
        }
        while let Some((at, _)) = self.returning.front() {
            if *at > now {
                break;
            }
            if let Some((_, report)) = self.returning.pop_front() {
                self.estimator.on_feedback(now, Some(round_trip), &report);
            }
        }
    }

    fn sampled(&mut self, at: f64) -> Sample {
        let sample = std::mem::take(&mut self.sample);
        Sample {
            at,
            estimate: self.estimator.estimate() as f64,
            arrived: sample.arrived * 10.0,
            queued: sample.queued,
        }
    }
}
