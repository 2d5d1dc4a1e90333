//! What it costs to send one packet: header, transport-wide number, record, seal.
//!
//! str0m's own sending path grows with the number of streams of a connection; this one must not,
//! so the figures per packet for one stream and for fifty should be close.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::crypto::from_feature_flags;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol as WireProtocol, Receive};
use str0m::{Candidate, Input, Output, Rtc};
use umbrella_engine::egress::{
    Egress, EgressConfig, ExtensionIds, Format, NtpClock, Pacing, Resends, Slab, StreamConfig,
    StreamId,
};
use umbrella_engine::secure::{Connection, Crypto, Out};
use umbrella_engine::{Path, Protocol};
use umbrella_media::{Codec, Descriptor, Kind, Outgoing, Packet, Patch, Spatial};

const PAYLOAD: usize = 1200;
const VP8: Format = Format {
    payload_type: 96,
    rtx_payload_type: Some(97),
    clock_rate: 90_000,
};

fn send(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("egress");
    for streams in [1, 50] {
        let mut bench = Bench::new(streams);
        group.throughput(Throughput::Elements(streams as u64));
        group.bench_function(BenchmarkId::new("write_and_flush", streams), |bencher| {
            bencher.iter(|| bench.round());
        });
    }
    group.finish();
}

/// What a packet costs that goes over a trunk, by what one costs that goes to a browser. Both are
/// measured in turns, so that it holds whatever else the machine does.
#[expect(
    clippy::print_stdout,
    reason = "a figure that criterion has no place for"
)]
fn ratio(_: &mut Criterion) {
    const TURNS: usize = 200;
    const ROUNDS: usize = 200;
    let mut benches = [browser(), trunk()].map(|ids| Bench::with(10, ids));
    let mut best = [Duration::MAX; 2];
    for _ in 0..TURNS {
        for (bench, best) in benches.iter_mut().zip(&mut best) {
            let begin = Instant::now();
            (0..ROUNDS).for_each(|_| bench.round());
            *best = begin.elapsed().min(*best);
        }
    }
    let ratio = best[1].as_secs_f64() / best[0].as_secs_f64();
    println!("a packet over a trunk costs {ratio:.2} of one to a browser");
}

/// A connected peer, and streams to it.
struct Bench {
    connection: Connection,
    egress: Egress,
    slab: Slab,
    streams: Vec<StreamId>,
    packet: Arc<Packet>,
    seq: u64,
    now: Instant,
}

impl Bench {
    fn new(streams: u32) -> Bench {
        Bench::with(streams, browser())
    }

    fn with(streams: u32, extensions: ExtensionIds) -> Bench {
        let start = Instant::now();
        let (connection, now) = connect(start);
        let clock = NtpClock::new(now, SystemTime::UNIX_EPOCH);
        let cname = "umbrella".into();
        let mut egress = Egress::new(
            EgressConfig {
                cname,
                clock,
                seed: 1,
            },
            now,
        );
        egress.set_pacing(Pacing::Fixed(1_000_000_000_000));
        let streams = (0..streams).map(|i| {
            let config = stream_config(1000 + 2 * i, extensions);
            egress.open_stream(now, &config).expect("free SSRCs").stream
        });
        let streams = streams.collect();
        Bench {
            connection,
            egress,
            slab: Slab::default(),
            streams,
            packet: packet(now),
            seq: 1,
            now,
        }
    }

    /// One packet on every stream.
    fn round(&mut self) {
        self.now += Duration::from_millis(1);
        let outgoing = Outgoing {
            seq: self.seq,
            timestamp: self.seq as u32 * 90,
            marker: true,
            patch: Patch::NONE,
            frame_number: None,
        };
        self.seq += 1;
        for stream in &self.streams {
            self.egress
                .write(self.now, *stream, &self.packet, outgoing, VP8);
        }
        let sealer = self.connection.sealer().expect("connected");
        let mut sent = 0;
        self.slab.clear();
        for datagram in self.egress.flush(self.now, sealer, &mut self.slab) {
            sent += black_box(datagram).len();
        }
        assert!(sent >= self.streams.len() * PAYLOAD, "all have left");
    }
}

fn browser() -> ExtensionIds {
    ExtensionIds {
        mid: Some(4),
        transport_cc: Some(3),
        abs_send_time: Some(2),
        ..ExtensionIds::default()
    }
}

fn trunk() -> ExtensionIds {
    ExtensionIds {
        transport_cc: Some(3),
        ..ExtensionIds::default()
    }
}

fn stream_config(ssrc: u32, extensions: ExtensionIds) -> StreamConfig {
    StreamConfig {
        ssrc,
        kind: Kind::Video,
        mid: "12".into(),
        extensions,
        resends: Resends::Rtx { ssrc: ssrc + 1 },
    }
}

fn packet(now: Instant) -> Arc<Packet> {
    Arc::new(Packet {
        seq: 1,
        timestamp: 0,
        marker: false,
        codec: Codec::Vp8,
        encoding: Spatial::LOW,
        descriptor: Descriptor::PLAIN,
        payload: vec![7; PAYLOAD].into(),
        received: now,
        audio_level: None,
        orientation: None,
        capture_time: None,
        playout_delay: None,
        dependency: None,
    })
}

/// Connects to a stock client over a network without delay.
fn connect(mut now: Instant) -> (Connection, Instant) {
    let ours = SocketAddr::from(([1, 1, 1, 1], 1000));
    let theirs = SocketAddr::from(([2, 2, 2, 2], 2000));
    let crypto = Crypto::new(from_feature_flags());
    let config = Rtc::builder().set_rtp_mode(true);
    let mut server = Connection::build(config, &crypto, now).expect("a good configuration");
    let mut client = Rtc::builder()
        .set_crypto_provider(Arc::new(from_feature_flags()))
        .set_rtp_mode(true)
        .build(now);
    let candidate = |address| Candidate::host(address, "udp").expect("a good address");
    server.rtc().add_local_candidate(candidate(ours));
    client.add_local_candidate(candidate(theirs));
    negotiate(&mut server, &mut client);
    let path = Path {
        protocol: Protocol::Udp,
        local: ours,
        remote: theirs,
    };
    while server.sealer().is_none() || server.path().is_none() {
        now += Duration::from_millis(10);
        server.handle_timeout(now).expect("alive");
        client.handle_input(Input::Timeout(now)).expect("alive");
        for datagram in drain_client(&mut client) {
            server
                .handle_datagram(now, path, &datagram, &mut |_| {})
                .expect("alive");
            drain_server(&mut server, &mut client, now, (ours, theirs));
        }
        drain_server(&mut server, &mut client, now, (ours, theirs));
    }
    (server, now)
}

fn negotiate(server: &mut Connection, client: &mut Rtc) {
    let mut api = client.sdp_api();
    api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    let (offer, pending) = api.apply().expect("something to offer");
    let offer = SdpOffer::from_sdp_string(&offer.to_sdp_string()).expect("SDP");
    let answer = server.rtc().sdp_api().accept_offer(offer).expect("answer");
    let answer = SdpAnswer::from_sdp_string(&answer.to_sdp_string()).expect("SDP");
    let accepted = client.sdp_api().accept_answer(pending, answer);
    accepted.expect("a good answer");
}

fn drain_client(client: &mut Rtc) -> Vec<Vec<u8>> {
    let mut out = vec![];
    loop {
        match client.poll_output().expect("alive") {
            Output::Timeout(_) => return out,
            Output::Transmit(transmit) => out.push(transmit.contents.into()),
            Output::Event(_) => {}
        }
    }
}

fn drain_server(
    server: &mut Connection,
    client: &mut Rtc,
    now: Instant,
    (ours, theirs): (SocketAddr, SocketAddr),
) {
    loop {
        match server.poll(&mut |_| None).expect("alive") {
            Out::Timeout(_) => return,
            Out::Event(_) => {}
            Out::Datagram(datagram) => {
                let receive = Receive::new(WireProtocol::Udp, ours, theirs, &datagram.data);
                let receive = receive.expect("a datagram of ours");
                client
                    .handle_input(Input::Receive(now, receive))
                    .expect("alive");
                // What it answers comes out with the next drain; a handshake repeats itself.
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3));
    targets = send, ratio
}
criterion_main!(benches);
