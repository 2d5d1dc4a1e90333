use std::time::{Duration, Instant};

use proptest::prelude::*;
use umbrella_media::{Layer, Priority, Spatial, Temporal};

use super::plan::{fill, total, trim};
use super::rates::Rung;
use super::{Allocator, Budget, Ladder, Offer, Outcome, Share};

const MS: Duration = Duration::from_millis(1);

/// Three encodings, of which the upper ones have a step at half of their frame rate.
const CAMERA: [u64; 5] = [150_000, 400_000, 500_000, 1_000_000, 1_700_000];

fn offer(priority: Priority, costs: &[u64]) -> Offer {
    let rungs = costs.iter().enumerate().map(|(index, cost)| Rung {
        layer: Layer {
            spatial: Spatial::new(index.div_ceil(2) as u8).unwrap(),
            temporal: Temporal::ALL,
        },
        cost: *cost,
    });
    Offer {
        priority,
        ladder: Ladder::of(rungs),
    }
}

fn offers() -> impl Strategy<Value = Vec<Offer>> {
    let priority = prop_oneof![
        4 => Just(Priority::Normal),
        1 => Just(Priority::Speaker),
        1 => Just(Priority::Large),
        1 => Just(Priority::Screen),
    ];
    let costs = prop::collection::btree_set(20_000u64..3_000_000, 1..=5);
    let one = (priority, costs).prop_map(|(priority, costs)| {
        let costs: Vec<u64> = costs.into_iter().collect();
        offer(priority, &costs)
    });
    prop::collection::vec(one, 1..12)
}

fn planned(budget: u64, offers: &[Offer]) -> Vec<Share> {
    let mut shares = vec![None; offers.len()];
    fill(budget, u64::MAX, offers, &mut shares);
    shares
}

proptest! {
    #[test]
    fn more_is_sent_than_the_path_carries(offers in offers(), budget in 0u64..20_000_000) {
        prop_assert!(total(&offers, &planned(budget, &offers)) <= budget);
    }

    #[test]
    fn somebody_loses_a_picture_because_the_path_got_wider(
        offers in offers(),
        budget in 0u64..20_000_000,
        more in 0u64..5_000_000,
    ) {
        let (before, after) = (planned(budget, &offers), planned(budget + more, &offers));
        prop_assert!(before.iter().zip(&after).all(|(before, after)| before <= after));
    }

    #[test]
    fn speaker_goes_without_for_the_sake_of_a_thumbnail(
        offers in offers(),
        budget in 0u64..20_000_000,
    ) {
        let shares = planned(budget, &offers);
        for (one, share) in offers.iter().zip(&shares) {
            for (other, others) in offers.iter().zip(&shares) {
                if other.priority < one.priority {
                    prop_assert!(share.is_some() || others.is_none(), "nothing beside something");
                    let full = *share == one.top();
                    prop_assert!(full || *others <= Some(0), "less beside more than the least");
                }
            }
        }
    }

    #[test]
    fn trimming_takes_more_than_it_must(
        offers in offers(),
        before in 0u64..20_000_000,
        budget in 0u64..20_000_000,
    ) {
        let before = planned(before, &offers);
        let mut after = before.clone();
        trim(budget, true, &offers, &mut after);
        prop_assert!(total(&offers, &after) <= budget);
        prop_assert!(after.iter().zip(&before).all(|(after, before)| after <= before));
        if total(&offers, &before) <= budget {
            prop_assert_eq!(&after, &before);
        }
        let keeps_two = |other: &Offer, share: &Share| {
            let priorities = offers.iter().zip(after.iter().zip(&before));
            *share > Some(0)
                && priorities
                    .filter(|(one, _)| one.priority >= other.priority)
                    .any(|(_, (after, before))| after.is_none() && before.is_some())
        };
        prop_assert!(!offers.iter().zip(&after).any(|(other, share)| keeps_two(other, share)));
    }

    #[test]
    fn picture_flaps_when_the_estimate_trembles(
        offers in offers(),
        budget in 100_000u64..10_000_000,
        noise in prop::collection::vec(-50i64..=50, 200),
    ) {
        let mut house = House::new(offers);
        house.run(budget, 60);
        // The first low value may take something away; nothing may come and go after it.
        house.run(budget - budget / 20, 1);
        let rises = house.rises;
        for noise in noise {
            let rate = budget as i64 + budget as i64 * noise / 1000;
            house.step(rate as u64);
        }
        prop_assert_eq!(house.rises, rises);
    }

    #[test]
    fn picture_stays_small_for_ever_on_a_path_that_carries_everything(offers in offers()) {
        let mut house = House::new(offers);
        house.run(100_000, 20);
        house.run(1_000_000_000, 70);
        let tops: Vec<Share> = house.offers.iter().map(Offer::top).collect();
        prop_assert_eq!(&house.shares, &tops);
    }
}

/// One subscriber in time.
struct House {
    now: Instant,
    allocator: Allocator,
    offers: Vec<Offer>,
    shares: Vec<Share>,
    last: Option<Outcome>,
    rises: usize,
}

impl House {
    fn new(offers: Vec<Offer>) -> House {
        House {
            now: Instant::now(),
            allocator: Allocator::default(),
            shares: offers.iter().map(Offer::top).collect(),
            offers,
            last: None,
            rises: 0,
        }
    }

    fn look(&mut self, budget: Budget, eager: bool) -> Outcome {
        let (offers, shares) = (&self.offers, &mut self.shares);
        self.allocator
            .decide(self.now, budget, (eager, false), offers, shares)
    }

    fn step(&mut self, rate: u64) {
        let before = self.shares.clone();
        let budget = Budget {
            rate: Some(rate),
            pressed: false,
            silent: false,
            congested: true,
        };
        self.last = Some(self.look(budget, false));
        self.rises += before
            .iter()
            .zip(&self.shares)
            .filter(|(old, new)| old < new)
            .count();
        self.now += 200 * MS;
    }

    fn run(&mut self, rate: u64, seconds: u32) {
        for _ in 0..seconds * 5 {
            self.step(rate);
        }
    }
}

#[test]
fn nine_tiles_on_a_narrow_path_stand_still() {
    let mut house = House::new(vec![offer(Priority::Normal, &CAMERA); 9]);
    house.run(950_000, 10);
    // Six fit, three are paused, and the client is told.
    assert_eq!(
        house.shares.iter().filter(|share| share.is_none()).count(),
        3
    );
    house.run(1_900_000, 30);
    assert!(house.shares.iter().all(|share| *share >= Some(0)));
}

#[test]
fn all_paused_stays_paused_when_the_path_is_back() {
    let mut house = House::new(vec![offer(Priority::Normal, &CAMERA); 2]);
    house.run(50_000, 5);
    assert_eq!(house.shares, [None, None]);
    assert!(
        house.last.unwrap().demand > 3_400_000,
        "or nothing would be probed for"
    );
    house.run(5_000_000, 20);
    assert_eq!(house.shares, [Some(4), Some(4)]);
}

#[test]
fn shared_screen_is_unreadable_while_thumbnails_are_sharp() {
    let camera = offer(Priority::Normal, &CAMERA);
    let screen = offer(Priority::Screen, &[300_000, 2_000_000]);
    let offers = vec![camera.clone(), screen, camera];
    assert_eq!(planned(2_400_000, &offers), [Some(0), Some(1), Some(0)]);
    assert_eq!(planned(350_000, &offers), [None, Some(0), None]);
}

#[test]
fn drop_of_the_path_is_answered_late() {
    let mut house = House::new(vec![offer(Priority::Normal, &CAMERA)]);
    house.run(3_000_000, 5);
    let budget = Budget {
        rate: Some(450_000),
        pressed: true,
        silent: false,
        congested: true,
    };
    house.look(budget, false);
    assert_eq!(house.shares, [Some(1)]);
}

#[test]
fn receiver_that_tells_nothing_sees_nothing() {
    let mut house = House::new(vec![offer(Priority::Normal, &CAMERA)]);
    house.run(50_000, 5);
    let budget = Budget {
        rate: None,
        pressed: false,
        silent: false,
        congested: true,
    };
    house.look(budget, false);
    assert_eq!(house.shares, [Some(4)]);
}

#[test]
fn enlarged_tile_waits_although_there_is_room() {
    let mut house = House::new(vec![offer(Priority::Large, &CAMERA)]);
    house.shares = vec![Some(0)];
    let budget = Budget {
        rate: Some(5_000_000),
        pressed: false,
        silent: false,
        congested: true,
    };
    let outcome = house.look(budget, true);
    assert_eq!(house.shares, [Some(4)]);
    assert!(outcome.satisfied);
}

#[test]
fn receiver_that_was_in_the_dark_stays_there() {
    let mut house = House::new(vec![offer(Priority::Normal, &CAMERA); 2]);
    let budget = Budget {
        rate: Some(30_000),
        pressed: true,
        silent: true,
        congested: true,
    };
    house.look(budget, false);
    assert_eq!(house.shares, [Some(0), Some(0)]);
}

mod ladders {
    use umbrella_media::Layers;

    use super::super::LayerRates;
    use super::*;

    fn ladder(layers: &[(Spatial, Spatial, u64)], wanted: Layer) -> Vec<(usize, u8, u64)> {
        let mut live = Layers::NONE;
        let mut rates = LayerRates::new();
        for (encoding, spatial, rate) in layers {
            live.insert(*encoding, *spatial);
            rates.set((*encoding).max(*spatial), *rate);
        }
        let target = live.best_encoding(wanted.spatial);
        let bounds = (Spatial::LOW, target);
        let ladder = Ladder::new(&rates, Instant::now(), live, wanted, bounds);
        let rungs = ladder.rungs().iter();
        rungs
            .map(|rung| {
                let layer = rung.layer;
                (layer.spatial.index(), layer.temporal.id(), rung.cost / 1000)
            })
            .collect()
    }

    const L: Spatial = Spatial::LOW;
    const M: Spatial = Spatial::MEDIUM;
    const H: Spatial = Spatial::HIGH;

    #[test]
    fn larger_picture_stutters_where_a_smaller_one_would_move() {
        let simulcast = [(L, L, 100_000), (M, L, 500_000), (H, L, 2_000_000)];
        // Half of the bits are the lowest frame rate's, and a quarter each of the others.
        let expected = [
            (0, 0, 50),
            (0, 1, 75),
            (0, 7, 100),
            (1, 1, 375),
            (1, 7, 500),
            (2, 1, 1500),
            (2, 7, 2000),
        ];
        assert_eq!(ladder(&simulcast, Layer::TOP), expected);
    }

    #[test]
    fn spatial_layer_comes_without_those_below_it() {
        let scalable = [(L, L, 100_000), (L, M, 400_000), (L, H, 1_000_000)];
        let costs: Vec<u64> = ladder(&scalable, Layer::TOP)
            .iter()
            .filter(|rung| rung.1 == 7)
            .map(|rung| rung.2)
            .collect();
        assert_eq!(costs, [100, 500, 1500]);
    }

    #[test]
    fn small_tile_is_offered_a_large_picture() {
        let simulcast = [(L, L, 100_000), (H, L, 2_000_000)];
        let small = Layer {
            spatial: L,
            temporal: Temporal::BASE,
        };
        assert_eq!(ladder(&simulcast, small), [(0, 0, 50)]);
        // If there is no other, it is.
        assert_eq!(ladder(&[(H, L, 2_000_000)], small), [(2, 0, 1000)]);
    }

    #[test]
    fn dear_picture_is_kept_though_a_better_one_costs_less() {
        let odd = [(L, L, 100_000), (M, L, 500_000), (H, L, 400_000)];
        let sizes: Vec<usize> = ladder(&odd, Layer::TOP).iter().map(|rung| rung.0).collect();
        assert_eq!(sizes, [0, 0, 0, 2, 2]);
    }

    #[test]
    fn layer_of_unknown_rate_is_taken_for_free() {
        assert_eq!(ladder(&[(L, L, 100_000), (H, L, 0)], Layer::TOP).len(), 3);
        assert!(ladder(&[(L, L, 0)], Layer::TOP).is_empty());
    }
}

#[test]
fn only_picture_goes_because_packets_get_lost_that_nobody_can_help() {
    let mut house = House::new(vec![offer(Priority::Normal, &[640_000])]);
    let lossy = Budget {
        rate: Some(200_000),
        pressed: true,
        silent: false,
        congested: false,
    };
    for _ in 0..100 {
        house.look(lossy, false);
        house.now += 200 * MS;
    }
    assert_eq!(house.shares, [Some(0)]);
    house.run(200_000, 4);
    assert_eq!(house.shares, [None]);
}

#[test]
fn picture_that_went_for_no_reason_never_comes_back() {
    let mut house = House::new(vec![offer(Priority::Normal, &[640_000])]);
    house.run(200_000, 4);
    assert_eq!(house.shares, [None]);
    let clear = Budget {
        rate: Some(200_000),
        pressed: false,
        silent: false,
        congested: false,
    };
    let mut back = 0;
    for _ in 0..50 {
        house.look(clear, false);
        back += u32::from(house.shares == [Some(0)]);
        house.now += 200 * MS;
    }
    assert!(back > 20, "{back}");
}

#[test]
fn key_frames_of_all_pictures_come_at_once() {
    let offers: Vec<Offer> = (0..4)
        .map(|_| offer(Priority::Normal, &[100_000, 400_000]))
        .collect();
    let small = vec![Some(0); 4];
    let larger = |shares: &[Share]| shares.iter().filter(|share| **share == Some(1)).count();
    for (burst, expected) in [(0, 1), (800_000, 2), (1_600_000, 4)] {
        let mut shares = small.clone();
        fill(10_000_000, burst, &offers, &mut shares);
        assert_eq!(larger(&shares), expected, "{burst}");
    }
}
