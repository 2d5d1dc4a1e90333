//! Every metric with its meaning: the one source of what is written and of `docs/metrics.md`.

use std::fmt::Write as _;

/// What a value can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grow, until the process ends.
    Counter,
    /// Grow and fall.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

/// A metric.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

pub(super) const fn counter(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
) -> Family {
    let kind = Kind::Counter;
    Family {
        name,
        kind,
        labels,
        help,
    }
}

pub(super) const fn gauge(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
) -> Family {
    let kind = Kind::Gauge;
    Family {
        name,
        kind,
        labels,
        help,
    }
}

const fn histogram(name: &'static str, help: &'static str) -> Family {
    let kind = Kind::Histogram;
    Family {
        name,
        kind,
        labels: &[],
        help,
    }
}

macro_rules! sections {
    ($($title:literal: $($id:ident = $family:expr;)*)*) => {
        $($(pub(super) const $id: Family = $family;)*)*

        /// All of them under their titles, in the order in which they are written.
        pub(super) const SECTIONS: &[(&str, &[Family])] = &[$(($title, &[$($id),*]),)*];
    };
}

sections! {
    "The process":
    BUILD_INFO = gauge(
        "umbrella_build_info",
        "Always 1; the label says which version runs.",
        &["version"],
    );
    START_TIME = gauge(
        "umbrella_process_start_time_seconds",
        "When the process started, in seconds since 1970.",
        &[],
    );
    CERTIFICATE_END = gauge(
        "umbrella_certificate_end_time_seconds",
        "When the certificate ends that browsers are shown, in seconds since 1970, by where it is from: \
         files of the operator (files), the server's own authority (local), a public one (acme). None \
         behind a proxy.",
        &["source"],
    );
    RESIDENT_MEMORY = gauge(
        "umbrella_process_resident_memory_bytes",
        "Memory that the process occupies (Linux).",
        &[],
    );
    MEMORY_BOUND = gauge(
        "umbrella_memory_bound_bytes",
        "What limits.memory_mb allows the process to occupy; 0 is unbounded.",
        &[],
    );
    MEMORY_TIGHT = gauge(
        "umbrella_memory_tight",
        "1 while nothing new is let in because memory is tight, otherwise 0.",
        &[],
    );

    "Rooms and people":
    ROOMS = gauge("umbrella_rooms", "Rooms, also those in which nobody is.", &[]);
    PARTICIPANTS = gauge("umbrella_participants", "Participants in all rooms.", &[]);
    SESSIONS = gauge(
        "umbrella_sessions",
        "Participants with an open signalling connection.",
        &[],
    );
    TRACKS = gauge("umbrella_tracks", "Published tracks: audio, video.", &["kind"]);
    JOINS = counter("umbrella_joins_total", "Participants who have come in.", &[]);
    LEAVES = counter(
        "umbrella_leaves_total",
        "Participants who have gone, by the reason for which.",
        &["reason"],
    );
    JOIN_DURATION = histogram(
        "umbrella_join_duration_seconds",
        "From the join over signalling until media is connected for the first time. Who never gets \
         so far is in umbrella_joins_total only.",
    );

    "Who was turned away":
    JOIN_REFUSALS = counter(
        "umbrella_join_refusals_total",
        "Joins that were refused, by the reason.",
        &["reason"],
    );
    HTTP_REFUSALS = counter(
        "umbrella_http_refusals_total",
        "Answers over HTTP with a status of 400 or above; those to refused joins are among them.",
        &["status"],
    );
    HTTP_CONNECTIONS_REFUSED = counter(
        "umbrella_http_connections_refused_total",
        "HTTP connections that were closed at once: their address had as many as it may.",
        &[],
    );
    TCP_CONNECTIONS_REFUSED = counter(
        "umbrella_media_tcp_connections_refused_total",
        "Media connections over TCP that were closed at once: they were one too many.",
        &[],
    );
    MEMORY_REFUSALS = counter(
        "umbrella_memory_refusals_total",
        "What was refused because memory is tight: join, track, subscription, camera, trunk.",
        &["work"],
    );

    "Media":
    PEER_CONNECTIONS = gauge(
        "umbrella_peer_connections",
        "WebRTC connections by what they run over: udp, tcp, or none while they are not up.",
        &["protocol"],
    );
    PACKETS = counter(
        "umbrella_rtp_packets_total",
        "RTP packets from publishers (in) and to subscribers (out). Resends and padding are not \
         counted, and nothing of muted tracks.",
        &["direction", "kind"],
    );
    BYTES = counter(
        "umbrella_rtp_payload_bytes_total",
        "Payload of these packets.",
        &["direction", "kind"],
    );
    SUBSCRIPTIONS = gauge(
        "umbrella_subscriptions",
        "Tracks on their way to subscribers.",
        &["kind"],
    );
    SHOWN = gauge(
        "umbrella_video_subscriptions",
        "Pictures by the spatial layer that the subscriber gets: none, low, medium, high. A camera \
         that sends one layer is low.",
        &["layer"],
    );
    KEY_FRAMES = counter(
        "umbrella_key_frames_received_total",
        "Key frames of publishers, of all layers.",
        &[],
    );

    "Quality":
    LOST = counter(
        "umbrella_rtp_lost_packets_total",
        "Packets that did not arrive, resends included: here (in), and at subscribers as they \
         report (out), without those that never came here. A packet that comes late was lost and \
         no longer is: the count stands still until others are lost.",
        &["direction", "kind"],
    );
    RESENT = counter(
        "umbrella_rtp_resent_packets_total",
        "Packets sent to subscribers again.",
        &["kind"],
    );
    NACKED = counter(
        "umbrella_nacked_packets_total",
        "Packets asked for again by NACK: by subscribers (in), of publishers (out).",
        &["direction"],
    );
    NACKS_IGNORED = counter(
        "umbrella_nacked_packets_ignored_total",
        "Packets that subscribers asked for and did not get: asked for too often, too late, or \
         more than their path carries.",
        &[],
    );
    KEY_FRAME_REQUESTS = counter(
        "umbrella_key_frame_requests_total",
        "Key frames asked for, by pli or fir: by subscribers (in), of publishers (out).",
        &["direction", "type"],
    );
    LAYER_SWITCHES = counter(
        "umbrella_layer_switches_total",
        "How often a subscriber got another layer of a picture without an interruption.",
        &[],
    );
    PAUSES = counter(
        "umbrella_bandwidth_pauses_total",
        "How often a picture was paused because a subscriber's path did not carry even the least \
         of it.",
        &[],
    );
    PAUSED = gauge(
        "umbrella_bandwidth_paused_subscriptions",
        "Pictures that are paused for that now.",
        &[],
    );
    PATHS = gauge(
        "umbrella_subscriber_paths",
        "Connections to subscribers by what their path is believed to carry now, in bits per \
         second: each is in one band. A band ends before its upper end.",
        &["bandwidth"],
    );

    "Trunks":
    TRUNKS = gauge(
        "umbrella_trunks",
        "Trunks by how they stand. connected: links that are up, whoever dialled. The others are of \
         servers that this one dials: connecting, reconnecting, refused, and confirm, which waits \
         for the operator.",
        &["state"],
    );
    TRUNK_INFO = gauge(
        "umbrella_trunk_info",
        "Always 1, for each link that is up; says what the server at the other end is called.",
        &["node", "name"],
    );
    TRUNK_MEDIA = gauge(
        "umbrella_trunk_media_up",
        "1 while media can pass over the link.",
        &["node"],
    );
    TRUNK_ROUND_TRIP = gauge(
        "umbrella_trunk_round_trip_seconds",
        "How long a message takes to the other server and back.",
        &["node"],
    );
    TRUNK_MEDIA_ROUND_TRIP = gauge(
        "umbrella_trunk_media_round_trip_seconds",
        "How long media takes there and back, as reports say; missing before any was sent.",
        &["node"],
    );
    TRUNK_ESTIMATE = gauge(
        "umbrella_trunk_bandwidth_bits_per_second",
        "What the path to the other server is believed to carry, at most; missing before its \
         reports have told. A path that was never needed for more stands lower than it is.",
        &["node"],
    );
    TRUNK_TRACKS = gauge(
        "umbrella_trunk_tracks",
        "Tracks on the link: those that come (in) and go (out).",
        &["node", "direction"],
    );
    TRUNK_PACKETS = counter(
        "umbrella_trunk_datagrams_total",
        "Datagrams, and frames over TCP, of the media connections to the other server: media, \
         resends, reports, checks.",
        &["node", "direction"],
    );
    TRUNK_BYTES = counter(
        "umbrella_trunk_bytes_total",
        "Bytes of these datagrams, without what UDP and IP add.",
        &["node", "direction"],
    );

    "Workers":
    BUSY_RATIO = gauge(
        "umbrella_worker_busy_ratio",
        "Share of its time that a worker thread works, 0 to 1, over two seconds.",
        &["worker"],
    );
    BUSY_SECONDS = counter(
        "umbrella_worker_busy_seconds_total",
        "Time that a worker thread has worked.",
        &["worker"],
    );
    WORKER_CONNECTIONS = gauge(
        "umbrella_worker_peer_connections",
        "WebRTC connections of a worker.",
        &["worker"],
    );
    DATAGRAMS = counter(
        "umbrella_worker_datagrams_total",
        "Datagrams, and frames over TCP, of all sorts: media, resends, reports, handshakes, data.",
        &["worker", "direction"],
    );
    DATAGRAM_BYTES = counter(
        "umbrella_worker_datagram_bytes_total",
        "Bytes of these datagrams.",
        &["worker", "direction"],
    );
    STRAYS = counter(
        "umbrella_worker_stray_datagrams_total",
        "Datagrams that belonged to nobody or could not be read.",
        &["worker"],
    );
    ANSWERED = gauge(
        "umbrella_worker_answered",
        "1 if the worker has told its figures within a second; with 0 they are older ones, and the \
         worker is dead or far behind.",
        &["worker"],
    );
    QUEUE_DROPPED = counter(
        "umbrella_queue_dropped_total",
        "What found no room in a bounded queue. session_events: events for a client that does not \
         read, each ends its session. early_data: data messages for clients whose channel is not \
         open yet. worker_requests: data messages to a worker. worker_reports: loudness, figures \
         and data from a worker. worker_relays: bursts of media between workers. trunk_frames: messages \
         for a linked server that does not read, each ends its link. egress_audio, \
         egress_video: packets that the pacer had no room for. udp_in: datagrams that \
         arrived while the socket's buffer was full (Linux). udp_out: datagrams that the kernel did \
         not take. tcp: frames for peers that do not read.",
        &["queue"],
    );
}

/// `docs/metrics.md`.
pub fn reference() -> String {
    let mut text = String::from(INTRODUCTION);
    for (title, families) in SECTIONS {
        let _ = write!(
            text,
            "\n### {title}\n\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n"
        );
        for family in *families {
            let kind = format!("{:?}", family.kind).to_lowercase();
            let labels: Vec<String> = family.labels.iter().map(|it| format!("`{it}`")).collect();
            let (name, labels) = (family.name, labels.join(", "));
            let _ = writeln!(text, "| `{name}` | {kind} | {labels} | {} |", family.help);
        }
    }
    text
}

const INTRODUCTION: &str = include_str!("introduction.md");
