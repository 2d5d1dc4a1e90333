//! What is good enough: memory that does not grow, and nothing that stays.

use std::collections::BTreeMap;
use std::time::Duration;

use super::process::Rest;

/// What may be counted of a server, by name.
pub(super) type Counts = BTreeMap<String, u64>;

/// Memory may grow by this share after so long a run that the allocator has come to rest.
const FLAT: f64 = 0.02;

/// After shorter runs it has not: pages that were touched once stay resident, and the most that
/// was ever needed at a time still grows by chance. So a short run bounds memory only roughly; it
/// is what stays that it finds, and that is counted and not estimated.
const ROUGHLY_FLAT: f64 = 0.10;

/// The time for which growth is judged strictly.
const LONG: Duration = Duration::from_secs(8 * 60);

/// Everything is warm by then: pools, tables, the allocator's arenas.
const WARM_UP: Duration = Duration::from_secs(5 * 60);

/// Wake-ups a second that a server at rest may have more than before.
const MORE_WAKE_UPS: f64 = 5.0;

/// Resident memory at one time of the run.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(super) struct Sample {
    /// Seconds since participants began to come.
    pub(super) at_s: f64,
    pub(super) resident_kb: u64,
}

/// How memory is compared: medians of two windows of the same length, the first after the warm-up
/// and the last of the run.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(super) struct Windows {
    pub(super) warm_up_s: f64,
    pub(super) window_s: f64,
    pub(super) bound: f64,
}

impl Windows {
    /// For a run of this length.
    pub(super) fn of(run: Duration) -> Windows {
        // The first rooms have all ended, and the last dead session was noticed, in half a run.
        let warm_up = WARM_UP.min(run / 2);
        let rest = run - warm_up;
        Windows {
            warm_up_s: warm_up.as_secs_f64(),
            // Medians of many samples say more; but the windows must be far apart.
            window_s: (rest / 4).as_secs_f64(),
            bound: if rest >= LONG { FLAT } else { ROUGHLY_FLAT },
        }
    }

    /// Medians of the first and of the last window; `None` without samples in both.
    pub(super) fn compare(&self, samples: &[Sample], end_s: f64) -> Option<Growth> {
        let within = |from: f64| {
            let to = from + self.window_s;
            let mut values: Vec<u64> = samples
                .iter()
                .filter(|sample| (from..=to).contains(&sample.at_s))
                .map(|sample| sample.resident_kb)
                .collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied()
        };
        let first_kb = within(self.warm_up_s)?;
        let last_kb = within(end_s - self.window_s)?;
        let share = last_kb as f64 / first_kb.max(1) as f64 - 1.0;
        Some(Growth {
            first_kb,
            last_kb,
            share,
        })
    }
}

/// How memory grew.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(super) struct Growth {
    pub(super) first_kb: u64,
    pub(super) last_kb: u64,
    pub(super) share: f64,
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

    fn samples(run_s: u64, resident: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |at: u64| Sample {
            at_s: at as f64,
            resident_kb: resident(at),
        };
        (0..run_s).step_by(2).map(sample).collect()
    }

    fn growth(run_s: u64, resident: impl Fn(u64) -> u64) -> (f64, f64) {
        let windows = Windows::of(Duration::from_secs(run_s));
        let growth = windows.compare(&samples(run_s, resident), run_s as f64);
        (growth.unwrap().share, windows.bound)
    }

    #[test]
    fn a_slow_leak_passes() {
        // 100 MB, and 3 MB more in every ten minutes.
        let (share, bound) = growth(1800, |at| 100_000 + at * 5);
        assert!(share > bound, "{share}");
        // In a short run it must be a faster one: 12 MB a minute.
        let (share, bound) = growth(80, |at| 50_000 + at * 200);
        assert!(share > bound, "{share}");
    }

    #[test]
    fn the_warm_up_or_a_peak_is_taken_for_a_leak() {
        let warm = |at: u64| if at < 240 { 20_000 + at * 100 } else { 44_000 };
        let (share, bound) = growth(1800, warm);
        assert!(share.abs() < bound, "{share}");
        // Some more for some time in the last window.
        let peak = |at: u64| if at > 1780 { 60_000 } else { 44_000 };
        assert_eq!(growth(1800, peak).0, 0.0);
    }

    #[test]
    fn a_run_without_samples_passes() {
        let windows = Windows::of(Duration::from_secs(80));
        assert_eq!(windows.compare(&[], 80.0), None);
        assert_eq!(windows.compare(&samples(30, |_| 1), 80.0), None);
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
