//! Figures of simulated calls, printed and written down.

use std::fmt::Write as _;

use super::network::{Flow, Network, Sample, run};

/// Each case runs this often, each time with other numbers: chance decides in all of them.
const SEEDS: u64 = 8;

const HEAD: &str = "\
# What congestion control achieves

<!-- Written by `UPDATE_DOCS=1 cargo test -p umbrella-engine congestion`. -->

Simulated paths in virtual time; bounds on all of this are part of the tests
(`crates/engine/src/congestion/tests/`). Numbers like 5.1 are cases of RFC 8867, with its defaults:
queues drop at their tail when a packet would wait for more than 300 ms, a way takes 50 ms. There
are 3 ms of jitter, a report every 50 ms, frames every 33 ms. TCP is CUBIC with selective
acknowledgements and without HyStart. Each case runs eight times with other numbers.

- **arrives**: kbit/s, the mean over all runs; and the least and the most of one
- **queue**: the longest wait of a packet in each tenth of a second, in ms: its mean, the value that
  95 % do not exceed (mean over all runs), and the same of the worst run
- **evenness**: Jain's index of the shares, 1 for all the same

| case | flow | seconds | arrives | in one run | estimate | queue | 95 % | worst | evenness |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
";

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

/// What several flows have together between two times, in bits per second, and how even their
/// shares are: 1 for all the same (Jain's index), the mean over all runs.
#[derive(Debug, Clone)]
pub(super) struct Together {
    arrives: f64,
    pub(super) least: f64,
    pub(super) most: f64,
    pub(super) evenness: f64,
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

    /// Of several flows together, with a row of their own.
    pub(super) fn together(
        &self,
        table: &mut Table,
        flows: &[usize],
        (from, to): (f64, f64),
    ) -> Together {
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
        let together = Together {
            arrives: sums.iter().sum::<f64>() / SEEDS as f64,
            least: sums.iter().copied().fold(f64::INFINITY, f64::min),
            most: sums.iter().copied().fold(0.0, f64::max),
            evenness,
        };
        table.together(&self.case, flows, (from, to), &together);
        together
    }
}

impl Figures {
    fn of(samples: &[Sample], from: f64, to: f64) -> Figures {
        let within = |s: &&Sample| (from..to).contains(&s.at);
        let all: Vec<&Sample> = samples.iter().filter(within).collect();
        let mean =
            |of: fn(&Sample) -> f64| all.iter().map(|s| of(s)).sum::<f64>() / all.len() as f64;
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

    fn together(&mut self, case: &str, flows: &[usize], (from, to): (f64, f64), it: &Together) {
        let names: Vec<String> = flows.iter().map(|n| format!("{}", n + 1)).collect();
        let who = match names.len() {
            0..=5 => names.join(" + "),
            count => format!("{count} TCP"),
        };
        self.line(&format!(
            "| {case} | {who} | {from} to {to} | {:.0} | {:.0} to {:.0} | | | | | {:.2} |",
            it.arrives / 1e3,
            it.least / 1e3,
            it.most / 1e3,
            it.evenness,
        ));
    }

    fn line(&mut self, line: &str) {
        println!("{line}");
        let _ = writeln!(self.rows, "{line}");
    }

    /// The whole page.
    pub(super) fn page(&self) -> String {
        format!("{HEAD}{}", self.rows)
    }
}
