//! From a snapshot to the text.

use std::time::{Duration, UNIX_EPOCH};

use umbrella_engine::{BANDS, ByKind, Paths, Present, Received, Sent, Totals};

use super::families as f;
use super::text::{Number, Sample, Text};
use super::{Doors, Process, Snapshot, TrunkSnapshot, WorkerSnapshot, process};
use crate::memory::{Memory, Standing};

/// Writes all figures.
pub(super) fn write(
    snapshot: &Snapshot,
    states: &[(&'static str, u64)],
    doors: &Doors,
    process: &Process<'_>,
) -> String {
    let mut text = Text::default();
    let totals = snapshot.workers.iter().map(|worker| worker.totals);
    let sum = totals.fold(Totals::default(), |sum, totals| sum + totals);
    the_process(&mut text, process);
    rooms(&mut text, snapshot);
    refusals(&mut text, doors, process.memory, &snapshot.workers);
    media(&mut text, &sum);
    quality(&mut text, &sum);
    trunks(&mut text, &snapshot.trunks, states);
    workers(&mut text, snapshot, &sum);
    text.finish()
}

fn the_process(text: &mut Text, of: &Process<'_>) {
    let version = env!("CARGO_PKG_VERSION");
    text.all(&f::BUILD_INFO, [([version], 1.into())]);
    let started = of.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    text.one(&f::START_TIME, started.as_secs_f64());
    text.all(&f::CERTIFICATE_END, named(of.certificates.iter().copied()));
    let resident = process::resident_bytes();
    text.all(&f::RESIDENT_MEMORY, resident.map(|it| ([], it.into())));
    let Standing { bound, tight } = of.memory.standing();
    text.one(&f::MEMORY_BOUND, bound.unwrap_or(0));
    text.one(&f::MEMORY_TIGHT, u64::from(tight));
}

fn rooms(text: &mut Text, snapshot: &Snapshot) {
    text.one(&f::ROOMS, snapshot.rooms);
    text.one(&f::PARTICIPANTS, snapshot.participants);
    text.one(&f::SESSIONS, snapshot.sessions);
    text.all(&f::TRACKS, by_kind(snapshot.tracks, |count| *count));
    text.one(&f::JOINS, snapshot.joined);
    text.all(&f::LEAVES, named(snapshot.left.iter().copied()));
    text.histogram(&f::JOIN_DURATION, &snapshot.join_duration);
}

fn refusals(text: &mut Text, doors: &Doors, memory: &Memory, workers: &[WorkerSnapshot]) {
    text.all(&f::JOIN_REFUSALS, named(doors.joins()));
    text.all(&f::HTTP_REFUSALS, named(doors.statuses()));
    text.one(&f::HTTP_CONNECTIONS_REFUSED, doors.connections());
    let refused = workers.iter().map(|worker| worker.counts.tcp_refused);
    text.one(&f::TCP_CONNECTIONS_REFUSED, refused.sum::<u64>());
    text.all(&f::MEMORY_REFUSALS, named(memory.refused()));
}

fn media(text: &mut Text, sum: &Totals) {
    let Present {
        connecting,
        udp,
        tcp,
        ..
    } = sum.present;
    let protocols = [("udp", udp), ("tcp", tcp), ("none", connecting)];
    text.all(&f::PEER_CONNECTIONS, named(protocols));
    text.all(
        &f::PACKETS,
        both_ways(sum, |it| it.packets, |it| it.packets),
    );
    text.all(&f::BYTES, both_ways(sum, |it| it.bytes, |it| it.bytes));
    text.all(&f::SUBSCRIPTIONS, by_kind(sum.present.consumers, |it| *it));
    let layers = ["none", "low", "medium", "high"];
    text.all(&f::SHOWN, named(layers.into_iter().zip(sum.present.shown)));
    text.one(&f::KEY_FRAMES, sum.received.video.key_frames);
}

fn quality(text: &mut Text, sum: &Totals) {
    let (by, of) = (sum.asked_by_peers, sum.asked_of_peers);
    text.all(&f::LOST, both_ways(sum, |it| it.lost, |it| it.lost));
    text.all(&f::RESENT, by_kind(sum.sent, |sent| sent.resent));
    text.all(&f::NACKED, named([("in", by.packets), ("out", of.packets)]));
    text.one(&f::NACKS_IGNORED, sum.nacks_ignored);
    let requests = [
        (["in", "pli"], by.picture_losses.into()),
        (["in", "fir"], by.full_intras.into()),
        (["out", "pli"], of.picture_losses.into()),
        (["out", "fir"], of.full_intras.into()),
    ];
    text.all(&f::KEY_FRAME_REQUESTS, requests);
    text.one(&f::LAYER_SWITCHES, sum.layer_switches);
    text.one(&f::PAUSES, sum.pauses);
    text.one(&f::PAUSED, sum.present.paused);
    let Paths { unknown, bands } = sum.present.paths;
    let names = band_names();
    let paths = names.iter().map(String::as_str).zip(bands);
    text.all(
        &f::PATHS,
        named([("unknown", unknown)].into_iter().chain(paths)),
    );
}

fn trunks(text: &mut Text, trunks: &[TrunkSnapshot], states: &[(&'static str, u64)]) {
    let each = |value: fn(&TrunkSnapshot) -> Option<Number>| {
        let values = trunks.iter().map(move |it| (it, value(it)));
        values.filter_map(|(it, value)| Some(([it.node.as_str()], value?)))
    };
    let both = |value: fn(&TrunkSnapshot) -> (u64, u64)| {
        trunks.iter().flat_map(move |it| {
            let (received, sent) = value(it);
            [
                ([it.node.as_str(), "in"], received.into()),
                ([it.node.as_str(), "out"], sent.into()),
            ]
        })
    };
    text.all(&f::TRUNKS, named(states.iter().copied()));
    let names = trunks.iter().map(|it| [it.node.as_str(), it.name.as_str()]);
    text.all(&f::TRUNK_INFO, names.map(|names| (names, 1.into())));
    text.all(&f::TRUNK_MEDIA, each(|it| Some(u64::from(it.media).into())));
    text.all(&f::TRUNK_ROUND_TRIP, each(|it| seconds(it.round_trip)));
    let media = each(|it| seconds(it.media_round_trip));
    text.all(&f::TRUNK_MEDIA_ROUND_TRIP, media);
    text.all(&f::TRUNK_ESTIMATE, each(|it| Some(it.estimate?.into())));
    text.all(&f::TRUNK_TRACKS, both(|it| it.tracks));
    let packets = both(|it| (it.received.datagrams, it.sent.datagrams));
    text.all(&f::TRUNK_PACKETS, packets);
    text.all(
        &f::TRUNK_BYTES,
        both(|it| (it.received.bytes, it.sent.bytes)),
    );
}

fn seconds(time: Option<Duration>) -> Option<Number> {
    Some(time?.as_secs_f64().into())
}

fn workers(text: &mut Text, snapshot: &Snapshot, sum: &Totals) {
    let names: Vec<String> = (0..snapshot.workers.len())
        .map(|it| it.to_string())
        .collect();
    let all = || names.iter().map(String::as_str).zip(&snapshot.workers);
    let each = |value: fn(&WorkerSnapshot) -> Number| {
        all().map(move |(name, worker)| ([name], value(worker)))
    };
    let both = |value: fn(&Totals) -> (u64, u64)| {
        all().flat_map(move |(name, worker)| {
            let (received, sent) = value(&worker.totals);
            [
                ([name, "in"], received.into()),
                ([name, "out"], sent.into()),
            ]
        })
    };
    text.all(&f::BUSY_RATIO, each(|it| it.load.busy.into()));
    let seconds = each(|it| (it.counts.busy_us as f64 / 1e6).into());
    text.all(&f::BUSY_SECONDS, seconds);
    let connections = each(|it| {
        let present = it.totals.present;
        (present.connecting + present.udp + present.tcp).into()
    });
    text.all(&f::WORKER_CONNECTIONS, connections);
    text.all(&f::DATAGRAMS, both(|it| it.datagrams));
    text.all(&f::DATAGRAM_BYTES, both(|it| it.bytes));
    text.all(&f::STRAYS, each(|it| it.totals.strays.into()));
    text.all(&f::ANSWERED, each(|it| u64::from(it.answered).into()));
    text.all(&f::QUEUE_DROPPED, named(queues(snapshot, sum)));
}

fn queues(snapshot: &Snapshot, sum: &Totals) -> [(&'static str, u64); 11] {
    let ports: Vec<u16> = snapshot.workers.iter().map(|it| it.port).collect();
    let of_all = |count: fn(&WorkerSnapshot) -> u64| snapshot.workers.iter().map(count).sum();
    [
        ("session_events", snapshot.events_dropped),
        ("early_data", snapshot.data_dropped),
        ("worker_requests", of_all(|it| it.requests_dropped)),
        ("worker_reports", of_all(|it| it.counts.reports_dropped)),
        ("worker_relays", of_all(|it| it.counts.relays_dropped)),
        ("trunk_frames", snapshot.trunk_frames_dropped),
        ("egress_audio", sum.sent.audio.dropped),
        ("egress_video", sum.sent.video.dropped),
        ("udp_in", process::unread_datagrams(&ports)),
        ("udp_out", of_all(|it| it.counts.udp_dropped)),
        ("tcp", of_all(|it| it.counts.tcp_dropped)),
    ]
}

fn named<'a>(
    values: impl IntoIterator<Item = (&'a str, u64)>,
) -> impl Iterator<Item = Sample<'a, 1>> {
    values
        .into_iter()
        .map(|(name, value)| ([name], value.into()))
}

fn by_kind<T>(of: ByKind<T>, value: fn(&T) -> u64) -> [Sample<'static, 1>; 2] {
    [
        (["audio"], value(&of.audio).into()),
        (["video"], value(&of.video).into()),
    ]
}

fn both_ways(
    sum: &Totals,
    received: fn(&Received) -> u64,
    sent: fn(&Sent) -> u64,
) -> [Sample<'static, 2>; 4] {
    [
        (["in", "audio"], received(&sum.received.audio).into()),
        (["in", "video"], received(&sum.received.video).into()),
        (["out", "audio"], sent(&sum.sent.audio).into()),
        (["out", "video"], sent(&sum.sent.video).into()),
    ]
}

/// `0-100k`, `100k-250k`, … `25M-`.
fn band_names() -> [String; BANDS.len() + 1] {
    let short = |rate: u64| match rate {
        0..1_000_000 => format!("{}k", rate / 1000),
        _ => format!("{}M", rate as f64 / 1e6),
    };
    std::array::from_fn(|band| {
        let from = match band {
            0 => "0".to_owned(),
            _ => short(BANDS[band - 1]),
        };
        let to = BANDS.get(band).map(|end| short(*end)).unwrap_or_default();
        format!("{from}-{to}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_have_names_that_nobody_understands() {
        let names = band_names();
        assert_eq!(names[..2], ["0-100k", "100k-250k"]);
        assert_eq!(names[4..6], ["1M-2.5M", "2.5M-5M"]);
        assert_eq!(names[8], "25M-");
    }
}
