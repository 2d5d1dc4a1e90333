//! The figures of one measurement, for machines (JSON) and for people (a table).

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::process::{Usage, Used};
use crate::scenario::Plan;
use crate::soak::{FullHouse, Turnover};
use crate::tally::{Datagrams, Progress, Tally, percentile_ms};

/// Values below which shares of the samples lie, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half of them.
    pub p50: f64,
    /// 95 of 100.
    pub p95: f64,
    /// 99 of 100.
    pub p99: f64,
    /// All of them.
    pub max: f64,
}

impl Percentiles {
    fn of_samples(samples: &mut [Duration]) -> Percentiles {
        Percentiles {
            p50: percentile_ms(samples, 0.50),
            p95: percentile_ms(samples, 0.95),
            p99: percentile_ms(samples, 0.99),
            max: percentile_ms(samples, 1.0),
        }
    }

    fn of_histogram(histogram: &Histogram<u64>) -> Percentiles {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Percentiles {
            p50: at(0.50),
            p95: at(0.95),
            p99: at(0.99),
            max: histogram.max() as f64 / 1000.0,
        }
    }
}

/// What the server's process needed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ServerUse {
    /// CPU time and context switches while it was measured.
    pub used: Used,
    /// Resident memory before anybody joined, KiB.
    pub rss_before_kb: u64,
    /// Resident memory at the end, with all participants, KiB.
    pub rss_after_kb: u64,
}

/// Everything that is known of one measurement. Packets are RTP packets; in and out are the
/// server's.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Name of the scenario.
    pub scenario: &'static str,
    /// Participants who publish.
    pub publishers: u32,
    /// Participants who get something.
    pub subscribers: u32,
    /// Bits per second of pictures that a publisher sends in its highest encoding.
    pub bitrate: u64,
    /// How long was measured.
    pub duration_s: f64,
    /// From the publishers.
    pub packets_in: u64,
    /// From the publishers.
    pub bytes_in: u64,
    /// To the subscribers, resends and padding included.
    pub packets_out: u64,
    /// To the subscribers.
    pub bytes_out: u64,
    /// Share of the packets that never came, after resends.
    pub loss: f64,
    /// Packets that never came, after resends.
    pub lost: u64,
    /// Share of the packets that were missing on the wire, before resends.
    pub wire_loss: f64,
    /// Packets that came more than once.
    pub duplicates: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// From a publisher's thread to a subscriber's socket.
    pub latency_ms: Percentiles,
    /// From a participant's first byte to its connection being up.
    pub join_ms: Percentiles,
    /// From a subscriber's first byte to its first media packet.
    pub first_media_ms: Percentiles,
    /// Connections that came up.
    pub joined: usize,
    /// Connections that broke, and participants that were sent away.
    pub failed: usize,
    /// Some of the reasons.
    pub failures: Vec<String>,
    /// Subscriptions that there should be.
    pub tracks_expected: u32,
    /// Subscriptions of which packets came.
    pub tracks: u64,
    /// Of these, those that had gone quiet at the end.
    pub silent_tracks: u64,
    /// Key frames that the server asked for.
    pub key_frame_requests: u64,
    /// Times that a subscriber was moved to another encoding.
    pub layer_switches: u64,
    /// Share of the datagrams that our sockets lose on purpose, in each direction.
    pub loss_asked: f64,
    /// What went through our sockets, and what they lost on purpose.
    pub datagrams: Datagrams,
    /// Who came and went in a soak.
    pub turnover: Option<Turnover>,
    /// The server whenever everybody of a soak was there, in order.
    pub full_houses: Vec<FullHouse>,
    /// The server's process, if it could be read.
    pub server: Option<ServerUse>,
    /// CPU of the server's process per packet sent.
    pub server_cpu_us_per_packet: Option<f64>,
    /// CPU of sealing and sending the same packets and nothing else, in a tight loop.
    pub limit_us_per_packet: Option<f64>,
    /// The server's CPU per packet against the limit.
    pub times_limit: Option<f64>,
    /// CPU of sealing and sending the same packets at the pace of the scenario, to as many
    /// receivers.
    pub paced_limit_us_per_packet: Option<f64>,
    /// The server's CPU per packet against that.
    pub times_paced_limit: Option<f64>,
    /// Packets sent per second of CPU.
    pub packets_per_core_second: Option<f64>,
    /// Cores that the server's process kept busy.
    pub server_cores: Option<f64>,
    /// The most resident memory, KiB.
    pub rss_peak_kb: Option<u64>,
    /// Growth of resident memory divided by participants, KiB.
    pub rss_kb_per_participant: Option<f64>,
    /// Busy share of all cores of the machine, 0 to 1: near 1 the figures say more about the
    /// machine than about the server.
    pub machine_busy: f64,
    /// Cores that the synthetic participants kept busy.
    pub loadgen_cores: f64,
}

/// What sealing and sending alone costs, in µs per packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) tight_us: f64,
    pub(crate) paced_us: f64,
}

fn times(cost: Option<f64>, limit: Option<f64>) -> Option<f64> {
    Some(cost? / limit.filter(|limit| *limit > 0.0)?)
}

/// What a report is made of.
pub(crate) struct Measured<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) tally: Tally,
    pub(crate) progress: Progress,
    pub(crate) failures: Vec<String>,
    pub(crate) loss: f64,
    pub(crate) turnover: Option<Turnover>,
    pub(crate) full_houses: Vec<FullHouse>,
    pub(crate) duration: Duration,
    /// Before anybody joined, at the begin and at the end.
    pub(crate) server: Option<(Usage, Usage, Usage)>,
    pub(crate) limits: Option<Limits>,
    pub(crate) machine_busy: f64,
    pub(crate) loadgen: Used,
}

impl Report {
    pub(crate) fn new(measured: Measured<'_>) -> Report {
        let Measured {
            plan,
            tally,
            mut progress,
            failures,
            ..
        } = measured;
        let seconds = measured.duration.as_secs_f64();
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        let packets = tally.packets_out.max(1) as f64;
        let server = measured.server.map(|(before, begin, end)| ServerUse {
            used: end.since(&begin),
            rss_before_kb: before.rss_kb,
            rss_after_kb: end.rss_kb,
        });
        let cpu = server.map(|server| server.used.cpu_s);
        // Without media there is nothing to divide by.
        let per_packet = cpu.filter(|_| tally.packets_out > 0);
        let per_packet = per_packet.map(|cpu| cpu * 1e6 / packets);
        let limit = measured.limits.map(|limits| limits.tight_us);
        let paced = measured.limits.map(|limits| limits.paced_us);
        let people = plan.publishers("").len() + plan.subscribers("").len();
        let grown = |server: ServerUse| server.rss_after_kb as f64 - server.rss_before_kb as f64;
        let (video, audio) = plan.subscriptions();
        Report {
            scenario: plan.scenario.name(),
            publishers: plan.publishers("").len() as u32,
            subscribers: plan.watching().0.max(plan.subscribers("").len() as u32),
            bitrate: plan.bitrate,
            duration_s: seconds,
            packets_in: tally.packets_in,
            bytes_in: tally.bytes_in,
            packets_out: tally.packets_out,
            bytes_out: tally.bytes_out,
            loss: share(tally.media.lost(), tally.media.expected),
            lost: tally.media.lost(),
            wire_loss: share(tally.wire.lost(), tally.wire.expected),
            duplicates: tally.wire.duplicates + tally.media.duplicates,
            reordered: tally.wire.reordered,
            latency_ms: Percentiles::of_histogram(&tally.latency_us),
            joined: progress.joins.len(),
            join_ms: Percentiles::of_samples(&mut progress.joins),
            first_media_ms: Percentiles::of_samples(&mut progress.first_media),
            failed: progress.failed + failures.len(),
            failures: failures.into_iter().chain(progress.failure).collect(),
            tracks_expected: video + audio,
            tracks: tally.tracks,
            silent_tracks: tally.silent_tracks,
            key_frame_requests: tally.key_frame_requests,
            layer_switches: tally.layer_switches,
            loss_asked: measured.loss,
            datagrams: tally.datagrams,
            turnover: measured.turnover,
            full_houses: measured.full_houses,
            server,
            server_cpu_us_per_packet: per_packet,
            limit_us_per_packet: limit,
            times_limit: times(per_packet, limit),
            paced_limit_us_per_packet: paced,
            times_paced_limit: times(per_packet, paced),
            packets_per_core_second: per_packet.filter(|cost| *cost > 0.0).map(|cost| 1e6 / cost),
            server_cores: cpu.map(|cpu| cpu / seconds),
            rss_peak_kb: measured.server.map(|(_, _, end)| end.rss_peak_kb),
            rss_kb_per_participant: server.map(|server| grown(server) / people.max(1) as f64),
            machine_busy: measured.machine_busy,
            loadgen_cores: measured.loadgen.cpu_s / seconds,
        }
    }

    /// Two columns of text.
    pub fn table(&self) -> String {
        let mut table = Table::default();
        self.traffic(&mut table);
        self.times(&mut table);
        self.costs(&mut table);
        for failure in self.failures.iter().take(5) {
            table.row("failure", failure);
        }
        table.0
    }

    fn traffic(&self, table: &mut Table) {
        let pair = |one: u64, two: u64| format!("{one} / {two}");
        let people = format!("{} to {}", self.publishers, self.subscribers);
        table.row(self.scenario, people);
        table.row("measured, s", format!("{:.1}", self.duration_s));
        let packets = pair(self.packets_in, self.packets_out);
        table.row("packets in / out", packets);
        table.row("bytes in / out", pair(self.bytes_in, self.bytes_out));
        let loss = format!("{} ({:.4} %)", self.lost, self.loss * 100.0);
        table.row("lost after resends", loss);
        let wire = format!("{:.4} %", self.wire_loss * 100.0);
        table.row("missing on the wire", wire);
        let twice = pair(self.duplicates, self.reordered);
        table.row("duplicate / reordered", twice);
        let up = format!("{} / {}", self.joined, self.failed);
        table.row("connections up / failed", up);
        let flowing = self.tracks - self.silent_tracks;
        let tracks = format!("{flowing} of {}", self.tracks_expected);
        table.row("tracks that flow", tracks);
        if self.loss_asked > 0.0 {
            let Datagrams {
                sent,
                sent_lost,
                received,
                received_lost,
            } = self.datagrams;
            let lost = format!("{sent_lost} of {sent} / {received_lost} of {received}");
            table.row("lost on purpose, sent / received", lost);
        }
        if let Some(of) = &self.turnover {
            let people = format!("{} / {} / {}", of.rooms, of.stays, of.failed);
            table.row("rooms / stays / failed", people);
            let ways = [of.polite, of.cut, of.silent, of.media_lost, of.returned];
            let ways = ways.map(|count| count.to_string()).join(" / ");
            table.row("polite/cut/silent/no media/back", ways);
        }
    }

    fn times(&self, table: &mut Table) {
        for (name, of) in [
            ("latency p50/p95/p99/max, ms", &self.latency_ms),
            ("join p50/p95/p99/max, ms", &self.join_ms),
            ("first media p50/p95/p99/max, ms", &self.first_media_ms),
        ] {
            let four = format!(
                "{:.2} / {:.2} / {:.2} / {:.2}",
                of.p50, of.p95, of.p99, of.max
            );
            table.row(name, four);
        }
    }

    fn costs(&self, table: &mut Table) {
        if let Some(server) = &self.server {
            let used = &server.used;
            if self.packets_out > 0 {
                let million = self.packets_out as f64 / 1e6;
                let (user, system) = (used.user_s / million, used.system_s / million);
                let cpu = format!("{user:.2} / {system:.2}");
                table.row("server CPU s per million, user/sys", cpu);
            }
            let (own, forced) = (used.voluntary_switches, used.involuntary_switches);
            table.row("context switches, own/forced", format!("{own} / {forced}"));
            let (before, after) = (server.rss_before_kb, server.rss_after_kb);
            let rss = format!("{before} / {after}");
            table.row("resident KiB, before/with all", rss);
        }
        for (name, value) in [
            ("server CPU us per packet", self.server_cpu_us_per_packet),
            ("limit us per packet", self.limit_us_per_packet),
            ("times the limit", self.times_limit),
            ("limit at this pace", self.paced_limit_us_per_packet),
            ("times that", self.times_paced_limit),
            ("packets per core-second", self.packets_per_core_second),
            ("server cores", self.server_cores),
            ("resident peak, KiB", self.rss_peak_kb.map(|kb| kb as f64)),
            ("KiB per participant", self.rss_kb_per_participant),
            ("machine busy, %", Some(self.machine_busy * 100.0)),
            ("load generator cores", Some(self.loadgen_cores)),
        ] {
            if let Some(value) = value {
                table.row(name, format!("{value:.2}"));
            }
        }
    }
}

#[derive(Default)]
struct Table(String);

impl Table {
    fn row(&mut self, name: &str, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{name:<34} {value}");
    }
}
