//! Pictures in several sizes that an allocator chooses from, as a link or a subscriber gets them.

use std::time::{Duration, Instant};

use umbrella_media::{Layer, Priority, Spatial, Temporal};

use crate::allocation::{self, Allotment, Ladder, Offer, Rung, Share};
use crate::congestion::BandwidthEstimator;

/// Bits per second of the sizes of a camera that Chromium sends at 720p, and of their frame rates:
/// two, three and five fifths.
const SIZES: [u64; 3] = [160_000, 450_000, 1_500_000];
const TEMPORALS: [(u64, u64); 3] = [(2, 5), (3, 5), (5, 5)];
/// Between two pictures of a camera.
const FRAME: Duration = Duration::from_millis(100);
/// Bytes of a key frame against those of a usual one.
const KEY_FRAME: usize = 4;
/// Bits per second of sound, and how often it comes.
const SOUND: u64 = 48_000;
const SOUND_FRAME: Duration = Duration::from_millis(20);
/// Somebody who has just come does not wait until room has proven to last.
const EAGER: Duration = Duration::from_secs(5);

/// Cameras, and one who speaks.
pub(super) struct Pictures {
    start: Instant,
    offers: Vec<Offer>,
    shares: Vec<Share>,
    allotment: Allotment,
    /// When the next picture of each comes, and which one of it.
    frames: Vec<(Instant, u32)>,
    /// The size that each has changed to.
    key_frames: Vec<bool>,
    sound_at: Instant,
}

impl Pictures {
    pub(super) fn new(now: Instant, count: usize) -> Pictures {
        let mut allotment = Allotment::default();
        allotment.look_at(now);
        let frame = |index| (now + FRAME / (count as u32) * index, 0);
        Pictures {
            start: now,
            offers: (0..count).map(|_| camera()).collect(),
            shares: vec![Some(2); count],
            allotment,
            frames: (0..count as u32).map(frame).collect(),
            key_frames: vec![true; count],
            sound_at: now,
        }
    }

    /// Bytes of the datagrams that are to be sent now.
    pub(super) fn produce(
        &mut self,
        now: Instant,
        bandwidth: &mut BandwidthEstimator,
    ) -> Vec<usize> {
        self.allocate(now, bandwidth);
        let mut sizes = Vec::new();
        while self.sound_at <= now {
            self.sound_at += SOUND_FRAME;
            sizes.push((SOUND as f64 / 8.0 * SOUND_FRAME.as_secs_f64()) as usize);
        }
        for index in 0..self.offers.len() {
            let (at, number) = &mut self.frames[index];
            while *at <= now {
                *at += FRAME;
                *number += 1;
                let cost = self.offers[index].cost(self.shares[index]);
                let mut bytes = (cost as f64 / 8.0 * FRAME.as_secs_f64()) as usize;
                if std::mem::take(&mut self.key_frames[index]) {
                    bytes *= KEY_FRAME;
                }
                while bytes > 0 {
                    sizes.push(bytes.min(1_200));
                    bytes -= bytes.min(1_200);
                }
            }
        }
        sizes
    }

    fn allocate(&mut self, now: Instant, bandwidth: &mut BandwidthEstimator) {
        if !self.allotment.is_due(now, bandwidth) {
            return;
        }
        let budget = self.allotment.budget(now, bandwidth, SOUND);
        let eager = now < self.start + EAGER;
        let before = self.shares.clone();
        let outcome = self.allotment.allocator.decide(
            now,
            budget,
            (eager, false),
            &self.offers,
            &mut self.shares,
        );
        let total = allocation::total(&self.offers, &self.shares) + SOUND;
        self.allotment.decided(now, outcome, total);
        self.allotment.look_at(now + outcome.next_look());
        bandwidth.set_demand(now, outcome.demand + SOUND);
        for (index, (old, new)) in before.iter().zip(&self.shares).enumerate() {
            let size = |share: &Share| {
                share.map(|rung| self.offers[index].ladder.rungs()[rung].layer.spatial)
            };
            self.key_frames[index] |= size(old) != size(new);
        }
    }
}

fn camera() -> Offer {
    let mut rungs = Vec::new();
    for (size, cost) in SIZES.iter().enumerate() {
        for (step, (part, of)) in TEMPORALS.iter().enumerate() {
            if size > 0 && step == 0 {
                continue;
            }
            let temporal = if step == 2 {
                Temporal::ALL
            } else {
                Temporal::new(step as u8)
            };
            rungs.push(Rung {
                layer: Layer {
                    spatial: Spatial::new(size as u8).unwrap(),
                    temporal,
                },
                cost: cost * part / of,
            });
        }
    }
    Offer {
        priority: Priority::Normal,
        ladder: Ladder::of(rungs.into_iter()),
    }
}
