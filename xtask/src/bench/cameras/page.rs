//! The section with the results: each bar with its limit, and what they were made of.

use std::fmt::Write as _;

use super::{COUNT, Cameras, PUBLISHED, Round, Unwatched, WATCHERS};
use crate::bench::figures::Figures;
use crate::bench::page::{Bar, Setting, bars, head, median};

/// Of a core, for all cameras while nobody watches.
const UNWATCHED_PERCENT: f64 = 15.0;
/// Of a core, for the sound of one camera.
const CONVERTED_PERCENT: f64 = 2.0;
/// CPU time of a packet of a camera to a subscriber, against one of a person.
const COST_TIMES: f64 = 1.1;

impl Cameras {
    /// For people; ends with a line's end.
    pub(in crate::bench) fn section(&self, setting: &Setting) -> String {
        let mut page = format!(
            "## Cameras\n\n\
             What security cameras cost: {COUNT} of 2 Mbit/s and 25 pictures a second each, with a key\n\
             frame of twelve times another picture's size every 3 s, within the RTSP connection, and in one\n\
             room. They are other processes, whose packets were made before. Ways take turns, and bars are\n\
             medians of the rounds.\n\n"
        );
        head(&mut page, setting);
        page.push_str(&bars(&self.bars()));
        page.push('\n');
        self.ways(&mut page);
        page.truncate(page.trim_end().len());
        page.push('\n');
        page
    }

    fn bars(&self) -> Vec<Bar> {
        let unwatched = |sound: &str, which: usize| Bar {
            what: format!("{COUNT} cameras {sound}, watched by nobody, of a core"),
            limit: UNWATCHED_PERCENT,
            measured: self.median(|round| Some(round.unwatched[which].cores * 100.0)),
            unit: "%",
        };
        vec![
            unwatched("without sound", 0),
            unwatched("with G.711", 1),
            unwatched("with AAC", 2),
            Bar {
                what: "AAC to Opus, of a core for each camera".into(),
                limit: CONVERTED_PERCENT,
                measured: self.median(|round| {
                    let [silent, aac] = &round.heard;
                    let more = aac.server_cores? - silent.server_cores?;
                    Some(more * 100.0 / f64::from(COUNT))
                }),
                unit: "%",
            },
            Bar {
                what: "a packet of a camera to a subscriber, against one of a person".into(),
                limit: COST_TIMES,
                measured: self.median(|round| Some(camera(round)? / person(round)?)),
                unit: "times",
            },
        ]
    }

    /// The median of what is made of each round.
    fn median(&self, of: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        let mut values: Vec<f64> = self.rounds.iter().filter_map(of).collect();
        values.sort_by(f64::total_cmp);
        median(&values)
    }

    fn ways(&self, page: &mut String) {
        if self.rounds.is_empty() {
            return;
        }
        page.push_str(
            "| cameras, watched by nobody | server, % of a core, median (least to most) | of one camera \
             | kept since the key frame, MiB | cameras’ own, % of a core |\n\
             | --- | --- | --- | --- | --- |\n",
        );
        let ways = [
            "without sound",
            "with G.711, 50 packets a second",
            "with AAC, 32 kbit/s, 16 kHz",
        ];
        for (which, name) in ways.into_iter().enumerate() {
            let of = |round: &Round| -> Unwatched { round.unwatched[which] };
            let mut shares: Vec<f64> = self.rounds.iter().map(|it| of(it).cores * 100.0).collect();
            shares.sort_by(f64::total_cmp);
            let middle = median(&shares).unwrap_or(0.0);
            let range = shares.first().zip(shares.last());
            let range = range.map(|(least, most)| format!(" ({least:.1} to {most:.1})"));
            let kept = self.median(|it| Some(of(it).cached as f64 / f64::from(1 << 20)));
            let own = self.median(|it| Some(of(it).own * 100.0));
            let _ = writeln!(
                page,
                "| {name} | {middle:.1}{} | {:.2} | {:.1} | {:.1} |",
                range.unwrap_or_default(),
                middle / f64::from(COUNT),
                kept.unwrap_or(0.0),
                own.unwrap_or(0.0)
            );
        }
        self.watched(page);
    }

    fn watched(&self, page: &mut String) {
        let number = |of: fn(&Round) -> Option<f64>| self.median(of).unwrap_or(0.0);
        let rate = |of: fn(&Round) -> &Figures| {
            self.median(|round| Some(of(round).packets_per_second()))
                .unwrap_or(0.0)
        };
        let _ = writeln!(
            page,
            "\n| {COUNT} without sound, watched by {WATCHERS} | µs a packet sent | packets/s \
             | server, % of a core |\n| --- | --- | --- | --- |"
        );
        let _ = writeln!(
            page,
            "| cameras | {:.2} | {:.0} | {:.1} |\n\
             | people | {:.2} | {:.0} | {:.1} |",
            number(camera),
            rate(|round| &round.watched),
            number(|round| Some(round.watched.server_cores? * 100.0)),
            number(person),
            rate(|round| &round.people[1]),
            number(|round| Some(round.people[1].server_cores? * 100.0)),
        );
        let _ = writeln!(
            page,
            "\nThe cost of a packet is what the server needs more than for the same cameras, or people, whom\n\
             nobody watches, for each that it sends. Opus is made of AAC while somebody hears it: that is the\n\
             difference between cameras with AAC and without sound that one watches, in which the sound's\n\
             packets to that one are. {} rounds; people are told\n`{PUBLISHED}`.",
            self.rounds.len()
        );
    }
}

/// Microseconds that each packet to somebody costs more than if nobody watched.
fn camera(round: &Round) -> Option<f64> {
    more(&round.watched, round.unwatched[0].cores)
}

fn person(round: &Round) -> Option<f64> {
    let [nobody, watched] = &round.people;
    more(watched, nobody.server_cores?)
}

fn more(watched: &Figures, without: f64) -> Option<f64> {
    Some((watched.server_cores? - without) * 1e6 / watched.packets_per_second())
}
