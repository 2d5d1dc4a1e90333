//! What the operating system knows of the server's process: `/proc`, see proc(5).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::workspace::read;

/// Clock ticks per second in `/proc/PID/stat`: USER_HZ, which is 100 wherever Linux runs.
const TICKS: f64 = 100.0;

/// A process from outside.
pub(super) struct Process {
    dir: PathBuf,
}

/// What a process has open at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) resident_kb: u64,
    pub(super) descriptors: u64,
    pub(super) threads: u64,
}

/// What a process does although nobody wants anything of it.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(super) struct Rest {
    /// Times a second that one of its threads wakes up: timers that fire.
    pub(super) wake_ups: f64,
    /// Cores that it keeps busy.
    pub(super) cores: f64,
}

impl Process {
    pub(super) fn new(pid: u32) -> Process {
        Process {
            dir: PathBuf::from(format!("/proc/{pid}")),
        }
    }

    pub(super) fn open(&self) -> Result<Open> {
        let status = read(&self.dir.join("status"))?;
        Ok(Open {
            resident_kb: number(&status, "VmRSS").context("no VmRSS")?,
            descriptors: entries(&self.dir.join("fd"))?.len() as u64,
            threads: entries(&self.dir.join("task"))?.len() as u64,
        })
    }

    /// Watches it for a while.
    pub(super) fn rest(&self, time: Duration) -> Result<Rest> {
        let (begin, started) = (self.counters()?, Instant::now());
        std::thread::sleep(time);
        let (end, seconds) = (self.counters()?, started.elapsed().as_secs_f64());
        Ok(Rest {
            wake_ups: end.0.saturating_sub(begin.0) as f64 / seconds,
            cores: end.1.saturating_sub(begin.1) as f64 / TICKS / seconds,
        })
    }

    /// Voluntary context switches of all threads, and ticks of CPU time.
    fn counters(&self) -> Result<(u64, u64)> {
        let mut switches = 0;
        for task in entries(&self.dir.join("task"))? {
            // It may have ended meanwhile.
            let status = std::fs::read_to_string(task.join("status")).unwrap_or_default();
            switches += number(&status, "voluntary_ctxt_switches").unwrap_or(0);
        }
        let stat = read(&self.dir.join("stat"))?;
        let ticks = ticks(&stat).context("no CPU time")?;
        Ok((switches, ticks))
    }
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

fn number(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key == name).then_some(value)
    })?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

fn ticks(stat: &str) -> Option<u64> {
    // The name, in parentheses, may contain anything: fields are counted after its end.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_a_strange_name_is_read_wrong() {
        let stat = "42 (a ) S 7 (b) R 1 42 42 0 -1 4194304 900 0 0 0 1234 56 0 0 20 0 5 0 99 1 2";
        assert_eq!(ticks(stat), Some(1290));
        let status = "nonvoluntary_ctxt_switches:\t8\nvoluntary_ctxt_switches:\t7\n";
        assert_eq!(number(status, "voluntary_ctxt_switches"), Some(7));
    }

    #[test]
    fn a_thread_or_a_file_more_goes_unnoticed() {
        let ours = Process::new(std::process::id());
        let before = ours.open().unwrap();
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        let (ready, go) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || go.recv());
        let with = ours.open().unwrap();
        assert!(with.descriptors > before.descriptors && with.threads > before.threads);
        drop((file, ready));
        let _ = thread.join();
        assert!(with.resident_kb > 0);
    }
}
