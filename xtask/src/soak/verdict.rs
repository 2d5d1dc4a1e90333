//! What is good enough: memory that does not grow, and nothing that stays.

use super::process::Rest;
use std::collections::BTreeMap;

/// What may be counted of a server, by name.
pub(super) type Counts = BTreeMap<String, u64>;

/// From one full house to another memory may grow by this share if the first one came late enough.
const FLAT: f64 = 0.02;

/// In shorter runs the first one came before everything was warm: pools, tables, the allocator's
/// arenas. So they bound memory only roughly. It is what stays that they find, and that is counted
/// and not estimated.
const ROUGHLY_FLAT: f64 = 0.10;

/// Everything is warm after so many seconds; the first full house after them is usually that of the
/// fifth minute.
const WARM_UP_S: u64 = 240;

/// Wake-ups a second that a server at rest may have more than before.
const MORE_WAKE_UPS: f64 = 5.0;

/// Resident memory at one time of the run.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(super) struct Sample {
    /// Seconds since participants began to come.
    pub(super) at_s: f64,
    pub(super) resident_kb: u64,
}

/// The server while everybody was there and nobody came or went.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize)]
pub(super) struct FullHouse {
    pub(super) at_s: u64,
    /// Until the last connection was up.
    pub(super) all_after_s: f64,
    pub(super) connections: u64,
    /// What is known of those that were not up.
    pub(super) missing: Vec<String>,
    pub(super) resident_kb: Option<u64>,
}

/// How memory grew from one full house to another.
///
/// An allocator does not give back what was needed at the busiest moment, so the memory of a
/// server that is less busy says little: what leaks may take from what is free. A full house is the
/// busiest moment there can be, and needs all of it.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(super) struct Growth {
    pub(super) from_s: u64,
    pub(super) to_s: u64,
    pub(super) from_kb: u64,
    pub(super) to_kb: u64,
    pub(super) share: f64,
    pub(super) bound: f64,
}

impl Growth {
    /// From the first full house after the warm-up to the last one; in runs that have no two of
    /// them, from the first one. `None` if there are no two.
    pub(super) fn of(houses: &[FullHouse]) -> Option<Growth> {
        let last = houses.last()?;
        let warm = houses.iter().find(|house| house.at_s >= WARM_UP_S);
        let warm = warm.filter(|house| house.at_s < last.at_s);
        let first = warm.or(houses.first()).filter(|it| it.at_s < last.at_s)?;
        let (from_kb, to_kb) = (first.resident_kb?, last.resident_kb?);
        Some(Growth {
            from_s: first.at_s,
            to_s: last.at_s,
            from_kb,
            to_kb,
            share: to_kb as f64 / from_kb.max(1) as f64 - 1.0,
            bound: if warm.is_some() { FLAT } else { ROUGHLY_FLAT },
        })
    }
}

/// What is still there of that which should have gone.
pub(super) fn leaked(before: &Counts, after: &Counts) -> Vec<String> {
    let names = before.keys().chain(after.keys());
    let mut names: Vec<&String> = names.collect();
    names.sort();
    names.dedup();
    let mut leaked = Vec::new();
    for name in names {
        match (before.get(name), after.get(name)) {
            (Some(before), Some(after)) if after > before => {
                leaked.push(format!(
                    "{} of {name}: {before} before, {after} after",
                    after - before
                ));
            }
            (Some(_), Some(_)) => {}
            (None, _) | (_, None) => leaked.push(format!("{name} is not known any more, or anew")),
        }
    }
    leaked
}

/// Timers that fire although nobody is there.
pub(super) fn restless(before: &Rest, after: &Rest) -> Option<String> {
    (after.wake_ups > before.wake_ups + MORE_WAKE_UPS).then(|| {
        format!(
            "timers: at rest it wakes up {:.1} times a second, {:.1} before anybody came",
            after.wake_ups, before.wake_ups
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(houses: &[(u64, u64)]) -> Option<Growth> {
        let house = |(at_s, resident_kb): &(u64, u64)| FullHouse {
            at_s: *at_s,
            all_after_s: 0.0,
            connections: 9,
            missing: Vec::new(),
            resident_kb: Some(*resident_kb),
        };
        Growth::of(&houses.iter().map(house).collect::<Vec<_>>())
    }

    #[test]
    fn a_slow_leak_passes() {
        let growth = growth(&[(300, 90_000), (600, 91_000), (900, 92_000)]).unwrap();
        assert!(growth.share > growth.bound, "{growth:?}");
    }

    #[test]
    fn the_warm_up_is_taken_for_a_leak() {
        let houses = [(100, 60_000), (300, 90_000), (600, 90_500), (900, 90_700)];
        let growth = growth(&houses).unwrap();
        assert_eq!((growth.from_s, growth.to_s), (300, 900));
        assert!(growth.share < growth.bound, "{growth:?}");
    }

    #[test]
    fn a_short_run_is_held_to_what_only_a_long_one_can_show() {
        let growth = growth(&[(40, 80_000), (80, 84_000)]).unwrap();
        assert!(growth.share < growth.bound, "{growth:?}");
    }

    #[test]
    fn a_run_without_comparison_passes() {
        assert_eq!(growth(&[]), None);
        assert_eq!(growth(&[(400, 80_000)]), None);
    }

    #[test]
    fn what_stays_is_not_named() {
        let counts =
            |tasks, rooms| Counts::from([("tasks".to_owned(), tasks), ("rooms".to_owned(), rooms)]);
        assert!(leaked(&counts(9, 0), &counts(8, 0)).is_empty());
        let found = leaked(&counts(9, 0), &counts(12, 1));
        assert_eq!(found[0], "1 of rooms: 0 before, 1 after");
        assert_eq!(found[1], "3 of tasks: 9 before, 12 after");
        assert_eq!(leaked(&counts(9, 0), &Counts::new()).len(), 2);
    }

    #[test]
    fn timers_of_the_dead_fire_unnoticed() {
        let rest = |wake_ups| Rest {
            wake_ups,
            cores: 0.0,
        };
        assert!(restless(&rest(3.0), &rest(4.0)).is_none());
        assert!(restless(&rest(3.0), &rest(103.0)).is_some());
    }
}
