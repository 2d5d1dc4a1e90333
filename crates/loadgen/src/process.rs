//! What the operating system knows of the server's process: `/proc`, see proc(5).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

/// Ticks per second of the times in `/proc/PID/stat`: USER_HZ, which is 100 wherever Linux runs.
const TICKS: u64 = 100;

/// Counters of a process at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all threads, those that have ended included, to the nanosecond: `user` and
    /// `system` come in ticks, of which a process at rest has few.
    pub cpu: Duration,
    /// CPU time in the process's own code.
    pub user: Duration,
    /// CPU time in the kernel on its behalf.
    pub system: Duration,
    /// Times that a thread waited for something.
    pub voluntary_switches: u64,
    /// Times that a thread was made to wait.
    pub involuntary_switches: u64,
    /// Resident memory, KiB.
    pub rss_kb: u64,
    /// The most resident memory so far, KiB.
    pub rss_peak_kb: u64,
}

/// What a process used between two readings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Used {
    /// Seconds of CPU time, exactly.
    pub cpu_s: f64,
    /// Seconds of CPU time in the process's own code.
    pub user_s: f64,
    /// Seconds of CPU time in the kernel on its behalf.
    pub system_s: f64,
    /// Times that a thread waited for something.
    pub voluntary_switches: u64,
    /// Times that a thread was made to wait.
    pub involuntary_switches: u64,
}

impl Usage {
    /// Reads the counters of a running process; `None` if there is none with this id.
    pub fn of(pid: u32) -> Option<Usage> {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let (user, system) = times(&fs::read_to_string(dir.join("stat")).ok()?)?;
        let status = fs::read_to_string(dir.join("status")).ok()?;
        let (voluntary_switches, involuntary_switches) = switches(&dir.join("task"));
        Some(Usage {
            cpu: cpu(pid)?,
            user,
            system,
            voluntary_switches,
            involuntary_switches,
            rss_kb: field(&status, "VmRSS")?,
            rss_peak_kb: field(&status, "VmHWM")?,
        })
    }

    /// What was used since an earlier reading.
    pub fn since(&self, earlier: &Usage) -> Used {
        let seconds = |now: Duration, then| now.saturating_sub(then).as_secs_f64();
        Used {
            cpu_s: seconds(self.cpu, earlier.cpu),
            user_s: seconds(self.user, earlier.user),
            system_s: seconds(self.system, earlier.system),
            voluntary_switches: self
                .voluntary_switches
                .saturating_sub(earlier.voluntary_switches),
            involuntary_switches: self
                .involuntary_switches
                .saturating_sub(earlier.involuntary_switches),
        }
    }
}

/// The process's own clock, which runs while its threads do.
#[cfg(target_os = "linux")]
fn cpu(pid: u32) -> Option<Duration> {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).ok()?);
    let clock = nix::time::clock_getcpuclockid(pid).ok()?;
    Some(clock.now().ok()?.into())
}

/// There is no `/proc` to read the rest from either.
#[cfg(not(target_os = "linux"))]
fn cpu(_pid: u32) -> Option<Duration> {
    None
}

/// User and system time of `/proc/PID/stat`.
fn times(stat: &str) -> Option<(Duration, Duration)> {
    // The name, in parentheses, may contain anything: fields are counted after its end.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let time = |ticks| Duration::from_millis(ticks * 1000 / TICKS);
    Some((time(ticks()?), time(ticks()?)))
}

/// A number of `/proc/PID/status`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key == name).then_some(value)
    })?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The kernel counts them for each thread.
fn switches(tasks: &Path) -> (u64, u64) {
    let mut sum = (0, 0);
    for task in fs::read_dir(tasks).into_iter().flatten().flatten() {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        sum.0 += field(&status, "voluntary_ctxt_switches").unwrap_or(0);
        sum.1 += field(&status, "nonvoluntary_ctxt_switches").unwrap_or(0);
    }
    sum
}

/// How busy all cores of the machine are, from `/proc/stat`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Machine {
    busy: u64,
    all: u64,
}

impl Machine {
    /// Reads the counters.
    pub fn now() -> Machine {
        Machine::parse(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    fn parse(stat: &str) -> Machine {
        let first = stat.lines().next().unwrap_or_default();
        let ticks = first.split_ascii_whitespace().skip(1).take(8);
        let ticks: Vec<u64> = ticks.filter_map(|field| field.parse().ok()).collect();
        let all: u64 = ticks.iter().sum();
        // The fourth and fifth are idle time.
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        Machine {
            busy: all - idle,
            all,
        }
    }

    /// The busy share of all cores since an earlier reading, 0 to 1.
    pub fn busy_since(&self, earlier: &Machine) -> f64 {
        let all = self.all.saturating_sub(earlier.all);
        self.busy.saturating_sub(earlier.busy) as f64 / all.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_a_strange_name_is_read_right() {
        let stat = "42 (a ) S 7 (b) R 1 42 42 0 -1 4194304 900 0 0 0 1234 56 0 0 20 0 5 0 99 1 2";
        let times = times(stat).unwrap();
        assert_eq!(times.0, Duration::from_millis(12_340));
        assert_eq!(times.1, Duration::from_millis(560));
    }

    #[test]
    fn numbers_are_found_by_their_whole_name() {
        let status = "Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n\
            voluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t8\n";
        assert_eq!(field(status, "VmRSS"), Some(1024));
        assert_eq!(field(status, "voluntary_ctxt_switches"), Some(7));
        assert_eq!(field(status, "ctxt_switches"), None);
    }

    #[test]
    fn idle_time_is_not_work() {
        let before = Machine::parse("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 2 3 4");
        let after = Machine::parse("cpu  150 0 150 870 30 0 0 0 0 0\n");
        assert!((after.busy_since(&before) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn our_own_process_can_be_read() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.rss_kb > 0 && usage.rss_peak_kb >= usage.rss_kb);
        assert_eq!(Usage::of(u32::MAX), None);
    }

    #[test]
    fn work_of_less_than_a_tick_is_not_lost() {
        let before = Usage::of(std::process::id()).unwrap();
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(2) {}
        let used = Usage::of(std::process::id()).unwrap().since(&before);
        assert!(used.cpu_s > 0.0, "{used:?}");
    }
}
