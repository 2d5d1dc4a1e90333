//! Figures of simulated calls, printed and written down.

use std::fmt::Write as _;

use super::network::{Flow, Network, Sample, run};

/// Each case runs this often, each time with other numbers: chance decides in all of them.
const SEEDS: u64 = 8;

/// All runs of a case.
pub(super) struct Runs {
    case: String,
    /// By seed and flow.
    samples: Vec<Vec<Vec<Sample>>>,
}

/// What happened between two times.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    /// Bits per second, the mean over all runs, the least and the most of one.
    pub(super) arrives: f64,
    pub(super) least: f64,
    pub(super) most: f64,
    pub(super) estimate: f64,
    /// The wait below which 95 % of the tenths of a second are: the mean over all runs and the
    /// worst. In ms, like the mean wait.
    pub(super) queue_p95: f64,
    pub(super) worst_p95: f64,
    pub(super) queue_mean: f64,
}

/// The rows of docs/congestion-results.md, which are printed meanwhile.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: String,
}

/// Runs a case with several seeds.
pub(super) fn runs(case: &str, network: &Network, flows: &[Flow], seconds: f64) -> Runs {
    let samples = (0..SEEDS).map(|seed| {
        let random = network.random + 0x9E37_79B9_7F4A_7C15u64.wrapping_mul(seed + 1);
        let mut network = Network {
            random,
            ..network.clone()
        };
        run(&mut network, flows, seconds)
    });
    Runs {
        case: case.to_owned(),
        samples: samples.collect(),
    }
}

impl Runs {
    /// Of one flow, with a row of its own.
    pub(super) fn figures(
        &self,
        table: &mut Table,
        who: &str,
        flow: usize,
        (from, to): (f64, f64),
    ) -> Figures {
        let each: Vec<Figures> = self
            .samples
            .iter()
            .map(|flows| Figures::of(&flows[flow], from, to))
            .collect();
        let all = Figures::over(&each);
        table.row(&self.case, who, (from, to), &all);
        all
    }

    /// What all of these flows get together, in each run, and how even their shares are: 1 for
    /// all the same (Jain's index), the mean over all runs.
    pub(super) fn together(&self, flows: &[usize], (from, to): (f64, f64)) -> (Vec<f64>, f64) {
        let mut sums = Vec::new();
        let mut evenness = 0.0;
        for run in &self.samples {
            let rates: Vec<f64> = flows
                .iter()
                .map(|flow| Figures::of(&run[*flow], from, to).arrives)
                .collect();
            let sum: f64 = rates.iter().sum();
            sums.push(sum);
            let squares: f64 = rates.iter().map(|rate| rate * rate).sum();
            evenness += sum * sum / (rates.len() as f64 * squares) / SEEDS as f64;
        }
        (sums, evenness)
    }
}

impl Figures {
    fn of(samples: &[Sample], from: f64, to: f64) -> Figures {
        let within = |s: &&Sample| (from..to).contains(&s.at);
        let all: Vec<&Sample> = samples.iter().filter(within).collect();
        let mean = |of: fn(&Sample) -> f64| all.iter().map(|s| of(s)).sum::<f64>() / all.len() as f64;
        let mut queued: Vec<f64> = all.iter().map(|s| s.queued).collect();
        queued.sort_by(f64::total_cmp);
        let arrives = mean(|s| s.arrived);
        let queue_p95 = queued[queued.len() * 95 / 100] * 1e3;
        Figures {
            arrives,
            least: arrives,
            most: arrives,
            estimate: mean(|s| s.estimate),
            queue_p95,
            worst_p95: queue_p95,
            queue_mean: mean(|s| s.queued) * 1e3,
        }
    }

    fn over(each: &[Figures]) -> Figures {
        let mean = |of: fn(&Figures) -> f64| each.iter().map(of).sum::<f64>() / each.len() as f64;
        Figures {
            arrives: mean(|f| f.arrives),
            least: each.iter().map(|f| f.least).fold(f64::INFINITY, f64::min),
            most: each.iter().map(|f| f.most).fold(0.0, f64::max),
            estimate: mean(|f| f.estimate),
            queue_p95: mean(|f| f.queue_p95),
            worst_p95: each.iter().map(|f| f.worst_p95).fold(0.0, f64::max),
            queue_mean: mean(|f| f.queue_mean),
        }
    }
}

impl Table {
    fn row(&mut self, case: &str, who: &str, (from, to): (f64, f64), figures: &Figures) {
        let Figures {
            arrives,
            least,
            most,
            estimate,
            queue_p95,
            worst_p95,
            queue_mean,
        } = figures;
        self.line(&format!(
            "| {case} | {who} | {from} to {to} | {:.0} | {:.0} to {:.0} | {:.0} | {queue_mean:.0} | {queue_p95:.0} | {worst_p95:.0} | |",
            arrives / 1e3,
            least / 1e3,
            most / 1e3,
            estimate / 1e3,
        ));
    }

    /// What several flows have in common.
    pub(super) fn evenness(&mut self, case: &str, (from, to): (f64, f64), sums: &[f64], even: f64) {
        let mean = sums.iter().sum::<f64>() / sums.len() as f64;
        let least = sums.iter().copied().fold(f64::INFINITY, f64::min);
        let most = sums.iter().copied().fold(0.0, f64::max);
        self.line(&format!(
            "| {case} | together | {from} to {to} | {:.0} | {:.0} to {:.0} | | | | | {even:.2} |",
            mean / 1e3,
            least / 1e3,
            most / 1e3,
        ));
    }

    fn line(&mut self, line: &str) {
        println!("{line}");
        let _ = writeln!(self.rows, "{line}");
    }

    pub(super) fn rows(&self) -> &str {
        &self.rows
    }
}
