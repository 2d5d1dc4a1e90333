//! The section with the results: each bar with its limit, and what they were made of.

use std::fmt::Write as _;

use super::{PUBLISHERS, Trunks, Way};
use crate::bench::figures::Figures;
use crate::bench::page::{Bar, Setting, bars, head, median};

/// CPU time at the sending server of a packet over a link, against one to a subscriber.
const COST_TIMES: f64 = 1.1;
/// What a link adds to the median latency.
const LATENCY_MS: f64 = 1.0;
/// Of a link with nobody on it, both directions.
const IDLE_KBITS: f64 = 2.0;
/// Of a link with nobody on it, of a core of each server.
const IDLE_PERCENT: f64 = 0.1;
/// Until all of a crowd are known.
const ANNOUNCE_S: f64 = 1.0;

impl Trunks {
    /// For people; ends with a line's end.
    pub(in crate::bench) fn section(&self, setting: &Setting) -> String {
        let mut page = String::from(
            "## Trunks\n\n\
             What a link to another server costs, with both servers and all participants on one\n\
             machine. Ways of packets are measured in turns, and each round's are compared with each\n\
             other, so that what else the machine does hits all of them; bars are medians of the\n\
             rounds.\n\n",
        );
        head(&mut page, setting);
        page.push_str(&bars(&self.bars()));
        page.push('\n');
        self.ways(&mut page);
        self.rest(&mut page);
        if let Some(of) = &self.announced {
            let _ = writeln!(
                page,
                "Announcing: {} were in a room of one server, one in the same room of the other. The \
                 time is that\nfrom starting the command that adds the link, so dialling and proving \
                 who is there are in it, until the\none knew all others; one run.\n",
                of.count
            );
        }
        page.truncate(page.trim_end().len());
        page.push('\n');
        page
    }

    fn bars(&self) -> Vec<Bar> {
        let times = self.rounds(|[_, direct, trunk]| Some(cost(trunk)? / cost(direct)?));
        let added =
            self.rounds(|[_, direct, trunk]| Some(trunk.latency_ms.p50 - direct.latency_ms.p50));
        let with = self.idle.as_ref().map(|idle| &idle.with);
        let cores = self.idle.as_ref().map(|idle| {
            let server = |of: usize| idle.with.cores[of] - idle.without.cores[of];
            server(0).max(server(1))
        });
        let announced = self.announced.as_ref();
        vec![
            Bar {
                what:
                    "CPU of the publishers' server per packet forwarded over the link, against one \
                       to a subscriber"
                        .into(),
                limit: COST_TIMES,
                measured: times,
                unit: "times",
            },
            Bar {
                what: "latency that the link adds, p50".into(),
                limit: LATENCY_MS,
                measured: added,
                unit: "ms",
            },
            Bar {
                what: "idle link, both directions with all headers".into(),
                limit: IDLE_KBITS,
                measured: with.and_then(|with| Some(with.bits? / 1000.0)),
                unit: "kbit/s",
            },
            Bar {
                what: "idle link, of a core of the server that needs more".into(),
                limit: IDLE_PERCENT,
                measured: cores.map(|cores| cores * 100.0),
                unit: "%",
            },
            Bar {
                what: format!(
                    "{} announced to a new link",
                    announced.map_or(super::CROWD, |of| of.count)
                ),
                limit: ANNOUNCE_S,
                measured: announced.map(|of| of.time.as_secs_f64()),
                unit: "s",
            },
        ]
    }

    /// The median of what is made of each round.
    fn rounds(&self, of: impl Fn(&[Figures; 3]) -> Option<f64>) -> Option<f64> {
        let mut values: Vec<f64> = self.rounds.iter().filter_map(of).collect();
        values.sort_by(f64::total_cmp);
        median(&values)
    }

    fn median(&self, way: Way, of: impl Fn(&Figures) -> Option<f64>) -> Option<f64> {
        median(&self.values(way, of))
    }

    /// Of each round, in order.
    fn values(&self, way: Way, of: impl Fn(&Figures) -> Option<f64>) -> Vec<f64> {
        let rounds = self.rounds.iter();
        let mut values: Vec<f64> = rounds
            .filter_map(|round| {
                let [nowhere, direct, trunk] = round;
                of(match way {
                    Way::Nowhere => nowhere,
                    Way::Direct => direct,
                    Way::Trunk => trunk,
                })
            })
            .collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn ways(&self, page: &mut String) {
        if self.rounds.is_empty() {
            return;
        }
        page.push_str(
            "| 10 publish 1 Mbit/s and sound, and are watched | µs a packet, median (least to most) \
             | packets/s | latency ms p50 / p95 / p99, medians |\n| --- | --- | --- | --- |\n",
        );
        for (name, way) in [
            ("by nobody", Way::Nowhere),
            ("by one at the same server", Way::Direct),
            ("by one over the link", Way::Trunk),
        ] {
            let costs = self.values(way, cost);
            let least_most = costs.first().zip(costs.last());
            let least_most = least_most.map(|(least, most)| format!(" ({least:.2} to {most:.2})"));
            let latency = [
                self.median(way, |of| Some(of.latency_ms.p50)),
                self.median(way, |of| Some(of.latency_ms.p95)),
                self.median(way, |of| Some(of.latency_ms.p99)),
            ];
            let latency = latency
                .map(|ms| format!("{:.2}", ms.unwrap_or(0.0)))
                .join(" / ");
            let rate = self.median(way, |of| Some(of.packets_in as f64 / of.duration_s));
            let _ = writeln!(
                page,
                "| {name} | {:.2}{} | {:.0} | {} |",
                median(&costs).unwrap_or(0.0),
                least_most.unwrap_or_default(),
                rate.unwrap_or(0.0),
                if way == Way::Nowhere { "–" } else { &latency }
            );
        }
        let direct = self.rounds(|[nowhere, direct, _]| Some(cost(direct)? - cost(nowhere)?));
        let trunk = self.rounds(|[nowhere, _, trunk]| Some(cost(trunk)? - cost(nowhere)?));
        if let Some((direct, trunk)) = direct.zip(trunk) {
            let _ = writeln!(
                page,
                "\nThe cost is that of the publishers' server alone, and getting the packet is in it. \
                 Without\nthat (less what a packet costs in the same round that nobody watches) it is \
                 {direct:.2} µs to the\nsubscriber and {trunk:.2} µs over the link: {:.2} times, \
                 roughly, as it is a small difference of two large\nfigures. {} rounds; the load \
                 generator is told\n`{PUBLISHERS}`.\n",
                trunk / direct,
                self.rounds.len()
            );
        }
    }

    fn rest(&self, page: &mut String) {
        let Some(idle) = &self.idle else { return };
        let [dialled, dials] = idle.with.cores.map(|cores| cores * 100.0);
        let [dialled_alone, dials_alone] = idle.without.cores.map(|cores| cores * 100.0);
        let _ = writeln!(
            page,
            "At rest, over {:.0} s, the server that was dialled needs {dialled:.3} % of a core with \
             the link and {dialled_alone:.3} % without\nit, the one that dials {dials:.3} % and \
             {dials_alone:.3} %.",
            idle.seconds
        );
        page.push_str(match idle.with.bits {
            Some(_) => {
                "Traffic is that of the loopback interface, by the kernel, in a network\nin which \
                 nobody else is.\n\n"
            }
            None => {
                "Traffic was not measured: that takes a network of our own (`unshare --net`).\n\n"
            }
        });
    }
}

fn cost(of: &Figures) -> Option<f64> {
    let used = &of.server.as_ref()?.used;
    (of.packets_in > 0).then(|| used.cpu_s * 1e6 / of.packets_in as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::trunks::{Announced, idle};
    use std::time::Duration;

    fn setting() -> Setting {
        Setting {
            date: String::new(),
            commit: String::new(),
            processor: String::new(),
            cores: 2,
            kernel: String::new(),
            load_before: String::new(),
            command: String::new(),
        }
    }

    fn trunks(bits: Option<f64>, announced_ms: u64) -> Trunks {
        let rest = |cores, bits| idle::Rest {
            cores: [cores, 0.0],
            bits,
        };
        Trunks {
            rounds: Vec::new(),
            idle: Some(idle::Idle {
                without: rest(0.001, None),
                with: rest(0.0015, bits),
                seconds: 60.0,
            }),
            announced: Some(Announced {
                count: 1000,
                time: Duration::from_millis(announced_ms),
            }),
        }
    }

    #[test]
    fn a_bar_that_is_missed_is_called_met() {
        let section = trunks(Some(2100.0), 900).section(&setting());
        let line = |what: &str| section.lines().find(|line| line.contains(what)).unwrap();
        assert!(line("all headers").ends_with("| 2 kbit/s | **2.100** kbit/s | **not met** |"));
        assert!(line("of a core of the server").ends_with("| **0.050** % | met |"));
        assert!(line("announced").ends_with("| **0.900** s | met |"));
        assert!(line("latency").ends_with("| – | not measured |"));
    }

    #[test]
    fn traffic_that_was_not_measured_is_called_met() {
        let section = trunks(None, 900).section(&setting());
        assert!(section.contains("| 2 kbit/s | – | not measured |"));
    }
}
