//! What the load generator reports, as far as it is written down.

use serde::Deserialize;

/// One measurement.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Figures {
    pub(super) publishers: u32,
    pub(super) subscribers: u32,
    pub(super) packets_in: u64,
    pub(super) packets_out: u64,
    pub(super) duration_s: f64,
    pub(super) loss: f64,
    pub(super) latency_ms: Percentiles,
    pub(super) join_ms: Percentiles,
    pub(super) first_media_ms: Percentiles,
    pub(super) joined: usize,
    pub(super) failed: usize,
    pub(super) tracks_expected: u32,
    pub(super) tracks: u64,
    pub(super) silent_tracks: u64,
    pub(super) server: Option<Server>,
    pub(super) server_cpu_us_per_packet: Option<f64>,
    pub(super) limit_us_per_packet: Option<f64>,
    pub(super) times_limit: Option<f64>,
    pub(super) paced_limit_us_per_packet: Option<f64>,
    pub(super) times_paced_limit: Option<f64>,
    pub(super) packets_per_core_second: Option<f64>,
    pub(super) server_cores: Option<f64>,
    pub(super) rss_peak_kb: Option<u64>,
    pub(super) rss_kb_per_participant: Option<f64>,
    /// 0 to 1.
    pub(super) machine_busy: f64,
    pub(super) loadgen_cores: f64,
}

/// In milliseconds.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Server {
    pub(super) used: Used,
    pub(super) rss_before_kb: u64,
    pub(super) rss_after_kb: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Used {
    pub(super) cpu_s: f64,
    pub(super) user_s: f64,
    pub(super) system_s: f64,
    pub(super) voluntary_switches: u64,
    pub(super) involuntary_switches: u64,
}

impl Figures {
    pub(super) fn packets_per_second(&self) -> f64 {
        self.packets_out as f64 / self.duration_s
    }

    /// The share of all cores that server and participants kept busy, 0 to 1.
    pub(super) fn needed_share(&self, cores: usize) -> f64 {
        (self.server_cores.unwrap_or(0.0) + self.loadgen_cores) / cores as f64
    }

    /// The share of all cores that other programs kept busy, 0 to 1.
    pub(super) fn others_share(&self, cores: usize) -> f64 {
        (self.machine_busy - self.needed_share(cores)).max(0.0)
    }

    /// Resident memory that participants and tracks have added, KiB.
    pub(super) fn grown_kb(&self) -> Option<f64> {
        let server = self.server.as_ref()?;
        Some(server.rss_after_kb as f64 - server.rss_before_kb as f64)
    }

    /// How many tracks came that should, and did not go quiet.
    pub(super) fn flowing(&self) -> u64 {
        self.tracks.saturating_sub(self.silent_tracks)
    }
}
