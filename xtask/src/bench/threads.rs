//! What a process at rest, or nearly so, needs of the processor.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

/// CPU time of each thread in nanoseconds: ticks, of which there are a hundred a second, are too
/// coarse for what a link needs.
pub(super) struct Threads(BTreeMap<std::ffi::OsString, u64>);

impl Threads {
    pub(super) fn of(process: u32) -> Result<Threads> {
        let dir = format!("/proc/{process}/task");
        let tasks = std::fs::read_dir(&dir).with_context(|| format!("listing {dir}"))?;
        let times = tasks.flatten().filter_map(|task| {
            // It may have ended meanwhile.
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            let (ran, _) = text.split_once(' ')?;
            Some((task.file_name(), ran.parse().ok()?))
        });
        Ok(Threads(times.collect()))
    }

    pub(super) fn since(&self, earlier: &Threads) -> Duration {
        let used = self.0.iter().map(|(thread, now)| {
            let then = earlier.0.get(thread).copied().unwrap_or(0);
            now.saturating_sub(then)
        });
        Duration::from_nanos(used.sum())
    }
}
