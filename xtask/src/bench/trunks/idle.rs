//! What a link costs while nobody uses it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::bench::threads::Threads;
use crate::cmd::Cmd;
use crate::server::{Binaries, Pair};
use crate::workspace::read;

/// What keeps a link alive comes every two, three and ten seconds: whole periods of all of them.
const TIME: Duration = Duration::from_secs(60);
const QUICK_TIME: Duration = Duration::from_secs(10);
/// Without a link less is to be seen.
const TIME_WITHOUT: Duration = Duration::from_secs(30);
const QUICK_TIME_WITHOUT: Duration = Duration::from_secs(5);

/// Addresses that lead nowhere are tried for some seconds, and threads that have nothing to do end.
const SETTLE: Duration = Duration::from_secs(11);
const QUICK_SETTLE: Duration = Duration::from_secs(3);

/// Two servers at rest, before and after they were linked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Idle {
    pub(super) without: Rest,
    pub(super) with: Rest,
    pub(super) seconds: f64,
}

/// What goes on while nothing does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Rest {
    /// Shares of a core, of the server that was dialled and of the one that dials.
    pub(super) cores: [f64; 2],
    /// Bits per second of the loopback interface, if nobody else uses it: both directions, with
    /// headers of IP, TCP and UDP.
    pub(super) bits: Option<f64>,
}

/// Measures in a network of its own if this machine lets us have one, and otherwise without the
/// traffic.
pub(super) fn measure(binaries: &Binaries, dir: &Path, quick: bool) -> Result<Idle> {
    let Some(network) = own_network() else {
        eprintln!("  no network of our own (unshare --net): an idle link's traffic is left out");
        return rest(binaries, dir, quick, false);
    };
    std::fs::create_dir_all(dir)?;
    let json = dir.join("idle.json");
    let ours = std::env::current_exe().context("where are we?")?;
    let again = Cmd::new("an idle link, in a network of its own", "unshare")
        .args(network)
        .arg(ours)
        .args(["bench", "--no-build", "--idle-trunk"])
        .arg(&json)
        .args(quick.then_some("--quick"));
    again.quiet()?;
    serde_json::from_str(&read(&json)?).with_context(|| format!("reading {}", json.display()))
}

/// The other side of [`measure`].
pub(in crate::bench) fn in_own_network(
    binaries: &Binaries,
    scratch: &Path,
    quick: bool,
    file: &Path,
) -> Result<()> {
    Cmd::new("loopback", "ip").args(LOOPBACK_UP).quiet()?;
    let idle = rest(binaries, &scratch.join("trunks"), quick, true)?;
    std::fs::write(file, serde_json::to_string(&idle)?)
        .with_context(|| format!("writing {}", file.display()))
}

const LOOPBACK_UP: [&str; 4] = ["link", "set", "lo", "up"];

/// How unshare(1) gives us one: as root, or with our own users as well.
fn own_network() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["--net"], &["--map-root-user", "--net"]];
    ways.into_iter().find(|words| {
        let tried = Cmd::new("a network of our own", "unshare").args(*words);
        tried.arg("ip").args(LOOPBACK_UP).probe().is_some()
    })
}

fn rest(binaries: &Binaries, dir: &Path, quick: bool, alone: bool) -> Result<Idle> {
    let (settle, time, time_without) = match quick {
        true => (QUICK_SETTLE, QUICK_TIME, QUICK_TIME_WITHOUT),
        false => (SETTLE, TIME, TIME_WITHOUT),
    };
    let pair = Pair::start(&binaries.server, dir)?;
    std::thread::sleep(settle);
    let without = watch(&pair, time_without, alone)?;
    pair.link()?;
    std::thread::sleep(settle);
    let with = watch(&pair, time, alone)?;
    Ok(Idle {
        without,
        with,
        seconds: time.as_secs_f64(),
    })
}

fn watch(pair: &Pair, time: Duration, alone: bool) -> Result<Rest> {
    let servers = [&pair.near, &pair.far];
    let threads = || -> Result<Vec<Threads>> {
        let each = servers.into_iter();
        each.map(|server| Threads::of(server.pid())).collect()
    };
    let bytes = || alone.then(loopback_bytes).transpose();
    let (begun, before, bytes_before) = (Instant::now(), threads()?, bytes()?);
    std::thread::sleep(time);
    let (after, bytes_after, seconds) = (threads()?, bytes()?, begun.elapsed().as_secs_f64());
    let cores = |server: usize| after[server].since(&before[server]).as_secs_f64() / seconds;
    let bits = bytes_after.zip(bytes_before);
    Ok(Rest {
        cores: [cores(0), cores(1)],
        bits: bits.map(|(after, before)| (after - before) as f64 * 8.0 / seconds),
    })
}

/// What the loopback interface of this network has got. It gets everything that is sent there,
/// once.
fn loopback_bytes() -> Result<u64> {
    received(&read(Path::new("/proc/self/net/dev"))?, "lo").context("no loopback interface")
}

fn received(dev: &str, interface: &str) -> Option<u64> {
    let counters = dev.lines().find_map(|line| {
        let (name, counters) = line.split_once(':')?;
        (name.trim() == interface).then_some(counters)
    })?;
    counters.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_another_interface_are_counted() {
        let dev = "Inter-|   Receive                    |  Transmit\n \
                   face |bytes    packets errs drop|bytes    packets\n  \
                   eth0: 4711 9 0 0 0 0 0 0 99 1 0 0 0 0 0 0\n    \
                   lo:  1234 5 0 0 0 0 0 0 1234 5 0 0 0 0 0 0\n";
        assert_eq!(received(dev, "lo"), Some(1234));
        assert_eq!(received(dev, "wlan0"), None);
    }
}
