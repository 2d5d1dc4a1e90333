//! Which situations are measured.

/// One situation: a name for files, a line for people, and what the load generator is told.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) name: String,
    pub(super) what: String,
    pub(super) args: Vec<String>,
    pub(super) part: Part,
}

/// Where its figures are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Cost and latency of forwarding; also measured with other servers.
    Forwarding,
    /// How cost grows with subscribers.
    Growth,
    /// Half of the machine's capacity.
    HalfLoad,
    /// Many who join at once.
    Joining,
    /// Many who do nothing.
    Idle,
    /// Many subscriptions of pictures and nothing else.
    Tracks,
}

/// The broadcast that belongs to the growth of cost as well.
pub(super) const BROADCAST: &str = "broadcast-200";

/// Subscribers of the plot, besides those of [`BROADCAST`].
const GROWTH: [u32; 3] = [50, 100, 400];
const QUICK_GROWTH: [u32; 1] = [50];

fn run(part: Part, name: &str, what: &str, args: &str) -> Run {
    Run {
        name: name.to_owned(),
        what: what.to_owned(),
        args: args.split(' ').map(str::to_owned).collect(),
        part,
    }
}

/// All situations, in the order in which they are measured.
pub(super) fn all(quick: bool) -> Vec<Run> {
    let mut runs = forwarding(quick);
    let counts: &[u32] = if quick { &QUICK_GROWTH } else { &GROWTH };
    for count in counts {
        let time = time(quick);
        runs.push(run(
            Part::Growth,
            &format!("growth-{count}"),
            &format!("broadcast 1 to {count}, 1 Mbit/s and sound"),
            &format!("--scenario broadcast --subscribers {count} {time}"),
        ));
    }
    let (storm, idle) = if quick { (100, 200) } else { (200, 500) };
    let rest = if quick { 3 } else { 8 };
    runs.push(run(
        Part::Joining,
        "join-storm",
        &format!("{storm} join a broadcast within 5 s"),
        &format!(
            "--scenario churn --subscribers {storm} --join-within 5 --duration 5 --warm-up 1 \
             --bitrate 500k --no-limit"
        ),
    ));
    runs.push(run(
        Part::Idle,
        "idle",
        &format!("{idle} are connected and silent"),
        &format!(
            "--scenario idle --subscribers {idle} --join-within {rest} --duration {rest} \
             --warm-up 2 --no-limit"
        ),
    ));
    if !quick {
        runs.push(run(
            Part::Tracks,
            "tracks",
            "10 publish 300 kbit/s of pictures, 40 watch all of them",
            "--scenario broadcast --publishers 10 --subscribers 40 --bitrate 300k \
             --audio-bitrate 0 --duration 8 --no-limit",
        ));
    }
    runs
}

/// Those in which other servers are measured too.
pub(super) fn forwarding(quick: bool) -> Vec<Run> {
    let time = time(quick);
    let forwarding = |name: &str, what: &str, args: &str| {
        run(Part::Forwarding, name, what, &format!("{args} {time}"))
    };
    let mut runs = vec![
        forwarding(
            BROADCAST,
            "broadcast 1 to 200, 1 Mbit/s and sound",
            "--scenario broadcast --subscribers 200 --bitrate 1M",
        ),
        forwarding(
            "meeting-20",
            "meeting of 20, three encodings up to 1 Mbit/s, the middle one shown, and sound",
            "--scenario meeting --publishers 20 --quality medium --bitrate 1M",
        ),
        forwarding(
            "audio-300",
            "10 speak, 300 listen",
            "--scenario audio --publishers 10 --subscribers 300",
        ),
    ];
    if !quick {
        let fast = forwarding(
            "broadcast-100-4M",
            "broadcast 1 to 100, 4 Mbit/s and sound",
            "--scenario broadcast --subscribers 100 --bitrate 4M",
        );
        runs.insert(1, fast);
    }
    runs
}

/// A broadcast with so many subscribers that server and participants keep half of the machine
/// busy, judged by one that was measured; `share` is what they needed then, 0 to 1.
pub(super) fn half_load(measured: u32, share: f64) -> Run {
    let count = (f64::from(measured) * 0.5 / share.max(0.01)).clamp(10.0, 800.0) as u32;
    run(
        Part::HalfLoad,
        "half-load",
        &format!("broadcast 1 to {count}, 1 Mbit/s and sound"),
        &format!("--scenario broadcast --subscribers {count} {}", time(false)),
    )
}

fn time(quick: bool) -> &'static str {
    if quick {
        "--duration 5 --warm-up 2 --join-within 3"
    } else {
        "--duration 10 --warm-up 3 --join-within 5"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_load_is_half_of_what_the_machine_can_do() {
        let run = half_load(200, 0.8);
        assert!(run.args.contains(&"125".to_owned()), "{:?}", run.args);
    }

    #[test]
    fn no_two_runs_write_the_same_file() {
        let mut names: Vec<String> = all(false).into_iter().map(|run| run.name).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
