//! The page with the results: ratios first, because they mean something on other machines too.

use std::fmt::Write as _;

use super::cameras::Cameras;
use super::figures::Figures;
use super::runs::{BROADCAST, Part, Run};
use super::trunks::Trunks;

/// One run of one server.
pub(super) struct Result {
    pub(super) run: Run,
    /// The server's name.
    pub(super) server: String,
    pub(super) figures: Figures,
}

/// Where and when.
pub(super) struct Setting {
    pub(super) date: String,
    pub(super) commit: String,
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    /// Waiting programs before the first run; near 0 on a machine of our own.
    pub(super) load_before: String,
    pub(super) command: String,
}

/// On a machine of our own, other programs need less than this.
const QUIET: f64 = 0.1;

/// A section that is written anew without the rest of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// By `--only trunk`.
    Trunks,
    /// By `--only cameras`.
    Cameras,
}

impl Section {
    /// The lines between which it stands.
    const fn marks(self) -> (&'static str, &'static str) {
        match self {
            Section::Trunks => (
                "<!-- Trunks: by `cargo xtask bench --only trunk` too. -->\n",
                "<!-- End of trunks. -->\n",
            ),
            Section::Cameras => (
                "<!-- Cameras: by `cargo xtask bench --only cameras` too. -->\n",
                "<!-- End of cameras. -->\n",
            ),
        }
    }

    /// The page with this section as it is now; `None` if it has no place for one.
    pub(super) fn replaced(self, page: &str, text: &str) -> Option<String> {
        let (begin, end) = self.marks();
        let (before, rest) = page.split_once(begin)?;
        let (_, after) = rest.split_once(end)?;
        Some(format!("{before}{}{after}", self.marked(text)))
    }

    fn marked(self, text: &str) -> String {
        let (begin, end) = self.marks();
        format!("{begin}\n{text}\n{end}")
    }
}

/// What was measured of one bar, and what is allowed at most.
pub(super) struct Bar {
    pub(super) what: String,
    pub(super) limit: f64,
    pub(super) measured: Option<f64>,
    pub(super) unit: &'static str,
}

/// A table of bars.
pub(super) fn bars(bars: &[Bar]) -> String {
    let mut table = String::from("| bar | limit | measured | |\n| --- | --- | --- | --- |\n");
    for bar in bars {
        let verdict = match bar.measured {
            None => "not measured",
            Some(measured) if measured <= bar.limit => "met",
            Some(_) => "**not met**",
        };
        let measured = bar.measured.map_or("–".to_owned(), |measured| {
            format!("**{measured:.3}** {}", bar.unit)
        });
        let _ = writeln!(
            table,
            "| {} | {} {} | {measured} | {verdict} |",
            bar.what, bar.limit, bar.unit
        );
    }
    table
}

/// Of values in order.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values.get(middle).copied(),
        _ => Some((values.get(middle)? + values.get(middle.checked_sub(1)?)?) / 2.0),
    }
}

pub(super) fn markdown(
    setting: &Setting,
    results: &[Result],
    trunks: &Trunks,
    cameras: &Cameras,
    plot: &str,
) -> String {
    let mut page = String::from(
        "# Performance\n\n\
         <!-- Written by `cargo xtask bench`. -->\n\n\
         What it costs to forward, measured with synthetic participants on one machine, which\n\
         they share with the server. **Times the limit** compares the CPU time of the server's\n\
         process per packet sent with that of a loop that only seals (AES-128-GCM) and sends\n\
         (`sendmmsg` with `UDP_SEGMENT`) packets of the same sizes in the same bursts: 1 cannot\n\
         be reached. That loop has warm caches and never sleeps. **Times the paced limit**\n\
         compares with the same loop at the pace of the scenario and with as many receivers, who\n\
         sleep until something comes: what lies between the two is the price of cold caches and\n\
         of waking up, which no server can do without. It is below 1 where packets of several\n\
         publishers that arrive together leave as one message. Absolute figures depend on the\n\
         machine; ratios hardly do.\n\n",
    );
    head(&mut page, setting);
    let others = |it: &Result| it.figures.others_share(setting.cores);
    if results.iter().any(|it| others(it) > QUIET) {
        page.push_str(
            "**Other programs ran on the machine meanwhile (column \"others\"): latencies and\n\
             join times are those of a machine without a free core, costs may be too high, and\n\
             only the ratios are worth something.**\n\n",
        );
    }
    page.push_str(
        "What congestion control achieves on paths of all kinds is in\n\
         [congestion-results.md](congestion-results.md), and where the time goes in\n\
         [performance-profile.md](performance-profile.md).\n\n",
    );
    forwarding(&mut page, results, setting.cores);
    let _ = writeln!(
        page,
        "## Cost against subscribers\n\n![Cost per packet against subscribers]({plot})\n"
    );
    growth(&mut page, results, setting.cores);
    half_load(&mut page, results);
    joining(&mut page, results);
    memory(&mut page, results);
    page.push_str(&Section::Trunks.marked(&trunks.section(setting)));
    page.push('\n');
    page.push_str(&Section::Cameras.marked(&cameras.section(setting)));
    page.push('\n');
    details(&mut page, results);
    page
}

pub(super) fn head(page: &mut String, setting: &Setting) {
    for (name, value) in [
        ("Date", &setting.date),
        ("Commit", &setting.commit),
        (
            "Machine",
            &format!("{} cores, {}", setting.cores, setting.processor),
        ),
        ("Kernel", &setting.kernel),
        ("Load average before the first run", &setting.load_before),
        ("Command", &format!("`{}`", setting.command)),
    ] {
        let _ = writeln!(page, "- {name}: {value}");
    }
    page.push('\n');
}

fn of(results: &[Result], part: Part) -> impl Iterator<Item = &Result> {
    results.iter().filter(move |it| it.run.part == part)
}

pub(super) fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.digits$}"))
}

fn forwarding(page: &mut String, results: &[Result], cores: usize) {
    page.push_str(
        "## Forwarding\n\n\
         | scenario | server | times the limit | times the paced limit | µs a packet | limit µs \
         | paced limit µs | packets/s | lost % | latency ms p50 / p95 / p99 / max | server cores \
         | others % |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for it in of(results, Part::Forwarding) {
        let of = &it.figures;
        let _ = writeln!(
            page,
            "| {} | {} | **{}** | {} | {} | {} | {} | {:.0} | {:.3} | {} | {} | {:.0} |",
            it.run.what,
            it.server,
            number(of.times_limit, 2),
            number(of.times_paced_limit, 2),
            number(of.server_cpu_us_per_packet, 2),
            number(of.limit_us_per_packet, 2),
            number(of.paced_limit_us_per_packet, 2),
            of.packets_per_second(),
            of.loss * 100.0,
            latency(of),
            number(of.server_cores, 2),
            of.others_share(cores) * 100.0
        );
    }
    page.push('\n');
}

fn latency(of: &Figures) -> String {
    let of = &of.latency_ms;
    format!(
        "{:.2} / {:.2} / {:.2} / {:.2}",
        of.p50, of.p95, of.p99, of.max
    )
}

/// Runs of ours that belong to the plot, by subscribers.
pub(super) fn grown(results: &[Result]) -> Vec<&Figures> {
    let first = results.first().map(|it| it.server.as_str());
    let belongs = |it: &&Result| {
        Some(it.server.as_str()) == first
            && (it.run.part == Part::Growth || it.run.name == BROADCAST)
    };
    let mut figures: Vec<&Figures> = results
        .iter()
        .filter(belongs)
        .map(|it| &it.figures)
        .collect();
    figures.sort_by_key(|of| of.subscribers);
    figures
}

fn growth(page: &mut String, results: &[Result], cores: usize) {
    let runs = grown(results);
    if let (Some(few), Some(many)) = (runs.first(), runs.last()) {
        let cost = |of: &Figures| of.server_cpu_us_per_packet;
        let ratio = cost(many).zip(cost(few)).map(|(many, few)| many / few);
        let _ = writeln!(
            page,
            "A packet to {} subscribers costs **{}** times what one to {} does.\n",
            many.subscribers,
            number(ratio, 2),
            few.subscribers
        );
    }
    page.push_str(
        "| subscribers | µs a packet | limit µs | packets per core-second | lost % \
         | latency p99 ms | others % |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for of in runs {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {:.3} | {:.2} | {:.0} |",
            of.subscribers,
            number(of.server_cpu_us_per_packet, 2),
            number(of.limit_us_per_packet, 2),
            number(of.packets_per_core_second, 0),
            of.loss * 100.0,
            of.latency_ms.p99,
            of.others_share(cores) * 100.0
        );
    }
    page.push('\n');
}

fn half_load(page: &mut String, results: &[Result]) {
    for it in of(results, Part::HalfLoad) {
        let _ = writeln!(
            page,
            "## Latency at half load\n\n{}: {} ms (p50 / p95 / p99 / max), with {:.0} % of the \
             machine busy, participants included.\n",
            it.run.what,
            latency(&it.figures),
            it.figures.machine_busy * 100.0
        );
    }
}

fn joining(page: &mut String, results: &[Result]) {
    for it in of(results, Part::Joining) {
        let of = &it.figures;
        let four = |of: &super::figures::Percentiles| {
            format!(
                "{:.0} / {:.0} / {:.0} / {:.0}",
                of.p50, of.p95, of.p99, of.max
            )
        };
        let _ = writeln!(
            page,
            "## Joining\n\n{}: from the first byte to a connection that is up {} ms (p50 / p95 / \
             p99 / max), to the first packet of media {} ms; {} connections came up, {} failed; \
             the server used {} cores meanwhile.\n",
            it.run.what,
            four(&of.join_ms),
            four(&of.first_media_ms),
            of.joined,
            of.failed,
            number(of.server_cores, 2)
        );
    }
}

fn memory(page: &mut String, results: &[Result]) {
    let idle = of(results, Part::Idle).next();
    let each = idle.and_then(|it| it.figures.rss_kb_per_participant);
    if let Some(it) = idle {
        let _ = writeln!(
            page,
            "## Memory and rest\n\n{}: **{} KiB** for each participant, {} % of a core.\n",
            it.run.what,
            number(each, 0),
            number(it.figures.server_cores.map(|cores| cores * 100.0), 1)
        );
    }
    for it in of(results, Part::Tracks) {
        let of = &it.figures;
        let people = f64::from(of.publishers + of.subscribers);
        let tracks = of.grown_kb().zip(each);
        let tracks =
            tracks.map(|(grown, each)| (grown - people * each) / f64::from(of.tracks_expected));
        let _ = writeln!(
            page,
            "{}: **{} KiB** for each subscribed track beyond what its participants take when \
             idle, the publishers' histories included.\n",
            it.run.what,
            number(tracks, 0)
        );
    }
}

fn details(page: &mut String, results: &[Result]) {
    page.push_str(
        "## All runs\n\n\
         | run | server | user / system s per million packets | context switches, own / forced \
         | resident before / with all / peak MiB | tracks that flow | failed \
         | participants' cores |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for it in results {
        let of = &it.figures;
        let million = of.packets_out as f64 / 1e6;
        let used = of.server.as_ref().map(|server| &server.used);
        let seconds = used.filter(|_| of.packets_out > 0).map(|used| {
            let (user, system) = (used.user_s / million, used.system_s / million);
            format!("{user:.2} / {system:.2}")
        });
        let switches = used.map(|used| {
            format!(
                "{} / {}",
                used.voluntary_switches, used.involuntary_switches
            )
        });
        let mib = |kb: u64| kb as f64 / 1024.0;
        let resident = of.server.as_ref().map(|server| {
            let (before, after) = (mib(server.rss_before_kb), mib(server.rss_after_kb));
            let peak = number(of.rss_peak_kb.map(mib), 0);
            format!("{before:.0} / {after:.0} / {peak}")
        });
        let or_dash = |text: Option<String>| text.unwrap_or("–".to_owned());
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} of {} | {} | {:.2} |",
            it.run.name,
            it.server,
            or_dash(seconds),
            or_dash(switches),
            or_dash(resident),
            of.flowing(),
            of.tracks_expected,
            of.failed,
            of.loadgen_cores
        );
    }
    page.push_str("\nEach run has a fresh server. The load generator is told:\n\n```\n");
    for it in results {
        let args = it.run.args.join(" ");
        let _ = writeln!(page, "{:<18} {args}", it.run.name);
    }
    page.push_str("```\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_section_loses_the_rest_of_the_page() {
        let section = Section::Cameras;
        let page = format!("# Performance\n\n{}\n## All runs\n", section.marked("old"));
        let page = section.replaced(&page, "new").unwrap();
        assert!(page.starts_with("# Performance\n\n") && page.ends_with("\n\n## All runs\n"));
        assert!(page.contains("new") && !page.contains("old"));
        let again = section.replaced(&page, "new");
        assert_eq!(again.as_deref(), Some(page.as_str()));
        assert_eq!(Section::Trunks.replaced(&page, "new"), None);
    }

    #[test]
    fn the_median_of_an_even_count_is_one_of_them() {
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), Some(3.0));
        assert_eq!(median(&[1.0, 2.0, 9.0]), Some(2.0));
        assert_eq!(median(&[]), None);
    }
}
