//! Several servers, and links between them.

mod introduced;
pub(crate) mod mesh;

use std::time::{Duration, SystemTime};

use umbrella_engine::{
    BranchStream, ConsumerId, FeedSource, FeedStream, Negotiation, ProducerId, Protocol, Report,
    Request, TransportId, TrunkParameters,
};
use umbrella_media::{Delivery, Kind, Layer, Spatial};

use self::mesh::{Link, Mesh};
use super::peer::{Got, Publish};
use super::{SECOND, assert_seamless, since, started};

/// Somebody who sends on the first server, and somebody on the last who gets it over all between.
struct Line {
    mesh: Mesh,
    sender: usize,
    receiver: usize,
    links: Vec<Link>,
    /// The last server's feed.
    feed: ProducerId,
    consumer: ConsumerId,
}

fn line(seed: u64, servers: usize, publish: Publish) -> Line {
    let mut mesh = Mesh::new(seed, servers);
    let links: Vec<Link> = (1..servers).map(|to| mesh.link(to - 1, to)).collect();
    let sender = mesh.nets[0].join(&[publish], 0, 0);
    let receiver = mesh.nets[servers - 1].join(&[], 2, 2);
    mesh.connect(&links);
    let track = mesh.track(0, sender, 0);
    let mut producer = track.producer;
    for (index, link) in links.iter().enumerate() {
        let stream = mesh::stream(100 + index as u32, Spatial::LOW);
        let feed = mesh.feed(index + 1, track.kind);
        mesh.connect_feed(index + 1, feed, Some((link.end(index + 1), vec![stream])));
        mesh.branch(index, link.end(index), producer, stream, Delivery::FULL);
        producer = feed;
    }
    let consumer = mesh.consume(servers - 1, receiver, producer);
    Line {
        mesh,
        sender,
        receiver,
        links,
        feed: producer,
        consumer,
    }
}

impl Line {
    fn last(&self) -> usize {
        self.mesh.nets.len() - 1
    }

    fn got(&self, from: std::time::Instant) -> Vec<Got> {
        since(&self.mesh.nets[self.last()].peers[self.receiver], from)
    }

    fn await_start(&mut self) {
        let (last, consumer) = (self.last(), self.consumer);
        let seen = |mesh: &Mesh| started(&mesh.nets[last], consumer);
        assert!(self.mesh.until(3 * SECOND, seen), "nothing arrives");
    }
}

#[test]
fn a_server_behind_a_nat_cannot_be_linked() {
    let mut mesh = Mesh::new(200, 2);
    mesh.hide(0);
    let link = mesh.link(0, 1);
    mesh.connect(&[link]);
    // Media both ways at once.
    let people: Vec<usize> = (0..2)
        .map(|net| mesh.nets[net].join(&[Publish::Video], 0, 1))
        .collect();
    mesh.run(SECOND);
    let mut consumers = Vec::new();
    for (from, sender) in people.iter().enumerate() {
        let to = 1 - from;
        let track = mesh.track(from, *sender, 0);
        let stream = mesh::stream(7, Spatial::LOW);
        let feed = mesh.feed(to, Kind::Video);
        mesh.connect_feed(to, feed, Some((link.end(to), vec![stream])));
        mesh.branch(from, link.end(from), track.producer, stream, Delivery::FULL);
        consumers.push((to, mesh.consume(to, people[to], feed)));
    }
    for (net, consumer) in consumers {
        let seen = |mesh: &Mesh| started(&mesh.nets[net], consumer);
        assert!(mesh.until(SECOND, seen), "nothing arrives at {net}");
    }
    let at = mesh.now();
    mesh.run(2 * SECOND);
    for (net, viewer) in people.iter().enumerate() {
        let got = since(&mesh.nets[net].peers[*viewer], at);
        assert!(got.len() > 100, "{} packets at {net}", got.len());
        assert_seamless(&got);
    }
}

#[test]
fn a_router_that_restarts_ends_the_media_of_a_link() {
    let mut mesh = Mesh::new(219, 2);
    mesh.hide(0);
    let link = mesh.link(0, 1);
    let camera = mesh.nets[1].join(&[Publish::Video], 0, 0);
    let viewer = mesh.nets[0].join(&[], 0, 1);
    mesh.connect(&[link]);
    let track = mesh.track(1, camera, 0);
    let stream = mesh::stream(7, Spatial::LOW);
    let feed = mesh.feed(0, Kind::Video);
    mesh.connect_feed(0, feed, Some((link.end(0), vec![stream])));
    mesh.branch(1, link.end(1), track.producer, stream, Delivery::FULL);
    mesh.consume(0, viewer, feed);
    mesh.run(3 * SECOND);
    mesh.outer_ports[0] = 4321;
    // An ICE-lite end gives up the old path after fifteen seconds without a check on it.
    mesh.run(16 * SECOND);
    let at = mesh.now();
    mesh.run(SECOND);
    let got = since(&mesh.nets[0].peers[viewer], at);
    assert!(got.len() > 40, "{} packets", got.len());
}

#[test]
fn servers_that_cannot_reach_each_other_wait_for_ever() {
    let mut mesh = Mesh::new(201, 2);
    mesh.cut = true;
    mesh.link(0, 1);
    mesh.run(60 * SECOND);
    for net in &mesh.nets {
        let closed = net.reports.iter().find_map(|report| match report {
            Report::Closed { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        assert_eq!(closed.as_deref(), Some("media never came up"));
    }
}

fn protocol(mesh: &Mesh, net: usize, of: TransportId) -> Option<Protocol> {
    let reports = mesh.nets[net].reports.iter().rev();
    let mut connected = reports.filter_map(|report| match report {
        Report::Connected {
            transport,
            protocol,
        } if *transport == of => Some(*protocol),
        _ => None,
    });
    connected.next()
}

/// A link comes up over TCP, and is up after that time, too.
fn stays_up_over_tcp(mesh: &mut Mesh, link: Link, time: Duration) {
    let up = |mesh: &Mesh| {
        let ends = [0, 1].map(|net| protocol(mesh, net, link.end(net)));
        ends == [Some(Protocol::Tcp); 2]
    };
    assert!(mesh.until(10 * SECOND, up), "no link over TCP");
    mesh.run(time);
    assert!(mesh.is_connected(0, link.end(0)) && mesh.is_connected(1, link.end(1)));
}

#[test]
fn a_network_that_blocks_udp_cannot_be_linked() {
    let mut mesh = Mesh::new(216, 2);
    mesh.no_udp = true;
    let link = mesh.link(0, 1);
    stays_up_over_tcp(&mut mesh, link, 30 * SECOND);
}

#[test]
fn tcp_is_used_where_udp_works() {
    let mut mesh = Mesh::new(217, 2);
    let link = mesh.link(0, 1);
    mesh.connect(&[link]);
    mesh.run(20 * SECOND);
    assert_eq!(protocol(&mesh, 0, link.end(0)), Some(Protocol::Udp));
    assert_eq!(mesh.frames, 0);
}

#[test]
fn a_track_that_is_demanded_comes_late() {
    let mut line = line(202, 2, Publish::Video);
    let at = line.mesh.now();
    line.await_start();
    let took = line.mesh.now() - at;
    // A key frame is asked for, of the camera, and comes with the next picture: once there and
    // once over the link to the viewer.
    assert!(took < Duration::from_millis(120), "after {took:?}");
}

#[test]
fn a_picture_is_lost_on_its_way_over_three_servers() {
    let mut line = line(203, 3, Publish::Video);
    line.await_start();
    let at = line.mesh.now();
    line.mesh.run(3 * SECOND);
    let got = line.got(at);
    assert!(got.len() > 170, "{} packets", got.len());
    assert_seamless(&got);
    // A viewer who has lost the picture gets a key frame from the camera.
    let asked = |line: &Line| line.mesh.nets[0].peers[line.sender].key_frame_requests(0, 0);
    let before = asked(&line);
    let (last, receiver) = (line.last(), line.receiver);
    let ssrc = got[0].ssrc;
    let at = line.mesh.now();
    line.mesh.nets[last].peers[receiver].request_key_frame(ssrc);
    line.mesh.run(SECOND);
    let asked = asked(&line) - before;
    assert!((1..=2).contains(&asked), "asked {asked} times");
    assert!(line.got(at).iter().any(Got::is_key_frame), "no key frame");
}

#[test]
fn sound_is_lost_or_out_of_step_on_its_way_over_three_servers() {
    let mut line = line(204, 3, Publish::Audio);
    line.await_start();
    let at = line.mesh.now();
    line.mesh.run(3 * SECOND);
    let got = line.got(at);
    assert!(got.len() > 140, "{} packets", got.len());
    assert_seamless(&got);
    assert!(got.iter().all(|packet| packet.audio_level.is_some()));
    let levels = line.mesh.nets[2].reports.iter();
    let mut levels = levels.filter_map(|report| match report {
        Report::AudioLevels(levels) => Some(levels),
        _ => None,
    });
    let of_feed = |it: &umbrella_engine::Loudness| it.producer == line.feed;
    assert!(levels.any(|levels| levels.iter().any(of_feed)));
}

#[test]
fn lips_move_before_or_after_the_words_behind_two_links() {
    let mut mesh = Mesh::new(218, 3);
    let links = [mesh.link(0, 1), mesh.link(1, 2)];
    let sender = mesh.nets[0].join(&[Publish::Audio, Publish::Video], 0, 0);
    let receiver = mesh.nets[2].join(&[], 1, 1);
    mesh.connect(&links);
    for index in 0..2 {
        let track = mesh.track(0, sender, index);
        let mut producer = track.producer;
        for (hop, link) in links.iter().enumerate() {
            let stream = mesh::stream(10 + index as u32, Spatial::LOW);
            let feed = mesh.feed(hop + 1, track.kind);
            mesh.connect_feed(hop + 1, feed, Some((link.end(hop + 1), vec![stream])));
            mesh.branch(hop, link.end(hop), producer, stream, Delivery::FULL);
            producer = feed;
        }
        mesh.consume(2, receiver, producer);
    }
    mesh.run(8 * SECOND);
    let peer = &mesh.nets[2].peers[receiver];
    // When, by the sender reports, the first frame of each was there.
    let began = |rate: f64, every: f64, audio: bool| {
        let of_kind = |got: &&Got| got.audio_level.is_some() == audio;
        let got = peer.got.iter().rev().find(of_kind).expect("a packet");
        let (time, rtp) = peer.clocks[&got.ssrc];
        let time = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let since = f64::from(got.timestamp.wrapping_sub(rtp) as i32) / rate;
        time.as_secs_f64() + since - f64::from(got.stamp().1) * every
    };
    let apart = began(48_000.0, 0.02, true) - began(90_000.0, 0.033, false);
    assert!(apart.abs() < 0.02, "{apart} s apart");
}

#[test]
fn losses_on_the_link_are_seen_by_all_behind_it() {
    for (seed, publish) in [(205, Publish::Video), (206, Publish::Audio)] {
        let mut line = line(seed, 2, publish);
        line.await_start();
        line.mesh.loss = 0.05;
        let at = line.mesh.now();
        line.mesh.run(8 * SECOND);
        line.mesh.loss = 0.0;
        line.mesh.run(SECOND);
        let mut got = line.got(at);
        got.sort_by_key(|packet| packet.seq);
        got.dedup_by_key(|packet| packet.seq);
        let (first, last) = (got.first().unwrap().seq, got.last().unwrap().seq);
        let missing = (last - first + 1) as usize - got.len();
        assert!(missing * 200 <= got.len(), "{missing} of {}", got.len());
    }
}

#[test]
fn an_idle_link_costs_more_than_its_keeping_alive() {
    let mut mesh = Mesh::new(207, 2);
    let link = mesh.link(0, 1);
    mesh.connect(&[link]);
    mesh.run(5 * SECOND);
    mesh.carried = [[(0, 0); 4]; 4];
    mesh.run(60 * SECOND);
    let bits = |from: usize, to: usize| {
        let (datagrams, bytes) = mesh.carried[from][to];
        // With the headers of IPv4 and UDP.
        (bytes + 28 * datagrams) * 8 / 60
    };
    let (there, back) = (bits(0, 1), bits(1, 0));
    println!("an idle link: {there} bit/s from the end that dials, {back} bit/s back");
    assert!(there < 1000 && back < 1000, "{there} and {back} bit/s");
    assert!(there + back <= 2000, "{there} and {back} bit/s");
    for (net, link) in [(0, link.end(0)), (1, link.end(1))] {
        assert!(mesh.is_connected(net, link));
    }
}

#[test]
fn viewers_see_two_pictures_mixed_when_the_route_changes() {
    for (seed, publish) in [(208, Publish::Video), (209, Publish::Audio)] {
        // From the first server to the third, directly, or by the second.
        let mut line = line(seed, 3, publish);
        line.await_start();
        line.mesh.run(2 * SECOND);
        let direct = line.mesh.link(0, 2);
        line.mesh.connect(&[direct]);
        let track = line.mesh.track(0, line.sender, 0);
        // The very SSRC that it has on the old way, which goes on for a while.
        let stream = mesh::stream(101, Spatial::LOW);
        let at = line.mesh.now();
        let source = (direct.end(2), vec![stream]);
        line.mesh.connect_feed(2, line.feed, Some(source));
        let branch = (direct.end(0), track.producer);
        line.mesh
            .branch(0, branch.0, branch.1, stream, Delivery::FULL);
        line.mesh.run(2 * SECOND);
        let got = line.got(at - SECOND);
        assert_seamless(&got);
        let rate = match publish {
            Publish::Audio => 48_000.0,
            Publish::Video | Publish::Simulcast => 90_000.0,
        };
        for pair in got.windows(2) {
            let step = f64::from(pair[1].timestamp.wrapping_sub(pair[0].timestamp)) / rate;
            let passed = (pair[1].at - pair[0].at).as_secs_f64();
            assert!((step - passed).abs() < 0.1, "{step} s in {passed} s");
        }
        let after: Vec<&Got> = got.iter().filter(|it| it.at > at + SECOND / 2).collect();
        assert!(after.len() > 70, "{} packets", after.len());
        if publish == Publish::Video {
            let frames: Vec<u32> = got.iter().map(|it| it.stamp().1).collect();
            let gap = frames.windows(2).position(|it| it[1] > it[0] + 1);
            let gap = gap.expect("a picture is missing between the two ways");
            assert!(got[gap + 1].is_key_frame(), "it goes on in the middle");
            assert!(frames.windows(2).all(|it| it[1] >= it[0]), "mixed");
        }
    }
}

#[test]
fn a_link_of_another_worker_than_the_camera_stays_dark() {
    // The camera on the first worker, the link on the second one; and behind the link a feed on
    // the third, seen on the fourth.
    let mut mesh = Mesh::new(214, 4);
    let link = mesh.link(1, 2);
    let camera = mesh.nets[0].join(&[Publish::Simulcast], 0, 0);
    let viewer = mesh.nets[3].join(&[], 0, 1);
    mesh.connect(&[link]);
    let track = mesh.track(0, camera, 0);
    let stream = mesh::stream(1, Spatial::LOW);
    let feed = mesh.feed(2, Kind::Video);
    // Who looks before there is a source waits for it.
    let consumer = mesh.consume_from(3, viewer, (feed, Some(2)));
    mesh.run(SECOND);
    mesh.connect_feed(2, feed, Some((link.end(2), vec![stream])));
    let place = (1, link.end(1));
    let branch = mesh.branch_of(place, (track.producer, Some(0)), stream, Delivery::FULL);
    assert!(
        mesh.until(2 * SECOND, |mesh| started(&mesh.nets[3], consumer)),
        "nothing is seen"
    );
    assert!(started(&mesh.nets[1], branch));
    // It is taken away, and comes back by the same way under another number.
    mesh.run(2 * SECOND);
    mesh.connect_feed(2, feed, None);
    mesh.nets[1].request(Request::CloseConsumer { consumer: branch });
    mesh.run(SECOND);
    let at = mesh.now();
    let stream = mesh::stream(2, Spatial::LOW);
    mesh.connect_feed(2, feed, Some((link.end(2), vec![stream])));
    mesh.branch_of(place, (track.producer, Some(0)), stream, Delivery::FULL);
    mesh.run(2 * SECOND);
    let got = since(&mesh.nets[3].peers[viewer], at);
    assert!(got.len() > 80, "{} packets", got.len());
    assert!(got[0].is_key_frame(), "it goes on in the middle");
    assert_seamless(&since(&mesh.nets[3].peers[viewer], at - 3 * SECOND));
}

#[test]
fn viewers_are_gone_when_a_link_ends() {
    let mut line = line(210, 2, Publish::Video);
    line.await_start();
    line.mesh.run(SECOND);
    let transport = line.links[0].end(1);
    line.mesh.nets[1].request(Request::CloseTransport { transport });
    line.mesh.run(SECOND);
    let at = line.mesh.now();
    line.mesh.run(SECOND);
    assert!(line.got(at).is_empty());
    let again = line.mesh.link(0, 1);
    line.mesh.connect(&[again]);
    let track = line.mesh.track(0, line.sender, 0);
    let stream = mesh::stream(100, Spatial::LOW);
    let source = (again.end(1), vec![stream]);
    line.mesh.connect_feed(1, line.feed, Some(source));
    let (to, producer) = (again.end(0), track.producer);
    line.mesh.branch(0, to, producer, stream, Delivery::FULL);
    line.mesh.run(SECOND);
    let got = line.got(at);
    assert!(got.len() > 20 && got[0].is_key_frame());
    assert_seamless(&got);
}

/// A camera in three encodings, and two viewers of what two branches carry.
fn two_branches(seed: u64) -> (Mesh, Link, [usize; 2], [ConsumerId; 2]) {
    let mut mesh = Mesh::new(seed, 2);
    let link = mesh.link(0, 1);
    let camera = mesh.nets[0].join(&[Publish::Simulcast], 0, 0);
    mesh.nets[0].peers[camera].packets_per_frame = 4;
    mesh.nets[0].peers[camera].packet_sizes = [120, 470, 1120];
    let viewers = [0, 1].map(|_| mesh.nets[1].join(&[], 0, 1));
    mesh.connect(&[link]);
    let track = mesh.track(0, camera, 0);
    let deliveries = [
        (Spatial::LOW, Spatial::LOW),
        (Spatial::HIGH, Spatial::MEDIUM),
    ];
    let mut branches = Vec::new();
    for ((spatial, floor), viewer) in deliveries.into_iter().zip(viewers) {
        let stream = mesh::stream(300 + floor.index() as u32, Spatial::LOW);
        let feed = mesh.feed(1, Kind::Video);
        mesh.connect_feed(1, feed, Some((link.end(1), vec![stream])));
        let layer = Layer {
            spatial,
            ..Layer::TOP
        };
        let delivery = Delivery {
            layer,
            floor,
            ..Delivery::FULL
        };
        branches.push(mesh.branch(0, link.end(0), track.producer, stream, delivery));
        mesh.consume(1, viewer, feed);
    }
    (mesh, link, viewers, [branches[0], branches[1]])
}

#[test]
fn a_small_picture_freezes_when_the_large_one_goes() {
    let mut mesh = Mesh::new(220, 2);
    let link = mesh.link(0, 1);
    let camera = mesh.nets[0].join(&[Publish::Simulcast], 0, 0);
    let [small, large] = [0, 1].map(|_| mesh.nets[1].join(&[], 0, 1));
    mesh.connect(&[link]);
    let track = mesh.track(0, camera, 0);
    let feed = mesh.feed(1, Kind::Video);
    let streams = [
        mesh::stream(1, Spatial::LOW),
        mesh::stream(2, Spatial::HIGH),
    ];
    let (there, here) = (link.end(0), link.end(1));
    let up_to = |spatial, floor| Delivery {
        layer: Layer {
            spatial,
            ..Layer::TOP
        },
        floor,
        ..Delivery::FULL
    };
    let upper = up_to(Spatial::HIGH, Spatial::MEDIUM);
    mesh.connect_feed(1, feed, Some((here, streams.to_vec())));
    let lower = up_to(Spatial::LOW, Spatial::LOW);
    mesh.branch(0, there, track.producer, streams[0], lower);
    let mut branch = mesh.branch(0, there, track.producer, streams[1], upper);
    let thumbnail = mesh.consume(1, small, feed);
    mesh.nets[1].request(Request::ConfigureConsumer {
        consumer: thumbnail,
        delivery: lower,
    });
    mesh.consume(1, large, feed);
    mesh.run(3 * SECOND);
    let begin = mesh.now();
    // It comes back under the same numbers, soon or late.
    for pause in [SECOND / 5, 3 * SECOND] {
        let late = mesh.now();
        mesh.run(SECOND);
        assert_eq!(stamps(&mesh, large, late), [2]);
        mesh.connect_feed(1, feed, Some((here, vec![streams[0]])));
        mesh.nets[0].request(Request::CloseConsumer { consumer: branch });
        mesh.run(pause);
        mesh.connect_feed(1, feed, Some((here, streams.to_vec())));
        branch = mesh.branch(0, there, track.producer, streams[1], upper);
        mesh.run(2 * SECOND);
    }
    let late = mesh.now();
    mesh.run(SECOND);
    assert_eq!(stamps(&mesh, large, late), [2]);
    let got = since(&mesh.nets[1].peers[large], begin);
    assert_seamless(&got);
    let got = since(&mesh.nets[1].peers[small], begin);
    assert_seamless(&got);
    assert!(got.iter().all(|packet| packet.stamp().0 == 0));
    let gaps = got.windows(2).map(|pair| pair[1].at - pair[0].at);
    assert!(gaps.max() < Some(SECOND / 10), "it freezes");
}

fn stamps(mesh: &Mesh, viewer: usize, from: std::time::Instant) -> Vec<u8> {
    let got = since(&mesh.nets[1].peers[viewer], from);
    let mut stamps: Vec<u8> = got.iter().map(|packet| packet.stamp().0).collect();
    stamps.sort_unstable();
    stamps.dedup();
    stamps
}

fn starved(mesh: &Mesh, branch: ConsumerId) -> bool {
    let last = mesh.nets[0]
        .reports
        .iter()
        .rev()
        .find_map(|report| match report {
            Report::ConsumerStarved { consumer, starved } if *consumer == branch => Some(*starved),
            _ => None,
        });
    last == Some(true)
}

#[test]
fn an_encoding_crosses_a_link_twice() {
    let (mut mesh, _, [small, large], [_, upper]) = two_branches(211);
    let begin = mesh.now();
    mesh.run(10 * SECOND);
    let late = mesh.now();
    mesh.run(SECOND);
    assert_eq!(stamps(&mesh, small, late), [0]);
    assert_eq!(stamps(&mesh, large, late), [2]);
    // 220 and 560 kbit/s fit, 1180 do not.
    mesh.narrow = Some((0, 1, 1_200_000));
    mesh.run(12 * SECOND);
    let late = mesh.now();
    mesh.run(2 * SECOND);
    assert_eq!(stamps(&mesh, small, late), [0]);
    assert_eq!(stamps(&mesh, large, late), [1]);
    // Only the smallest fits.
    mesh.narrow = Some((0, 1, 400_000));
    assert!(
        mesh.until(20 * SECOND, |mesh| starved(mesh, upper)),
        "nobody is told"
    );
    mesh.run(3 * SECOND);
    let late = mesh.now();
    mesh.run(2 * SECOND);
    assert_eq!(stamps(&mesh, small, late), [0]);
    mesh.narrow = None;
    assert!(
        mesh.until(30 * SECOND, |mesh| !starved(mesh, upper)),
        "starved for ever"
    );
    mesh.run(20 * SECOND);
    assert_eq!(stamps(&mesh, small, begin), [0]);
    let all = stamps(&mesh, large, begin);
    assert!(all.iter().all(|it| *it > 0), "{all:?}");
    let late = mesh.now();
    mesh.run(SECOND);
    assert_eq!(stamps(&mesh, large, late), [2], "small for ever");
}

#[test]
fn another_encoding_crosses_in_place_of_one_that_has_stopped() {
    let (mut mesh, _, [small, large], _) = two_branches(212);
    mesh.run(3 * SECOND);
    mesh.nets[0].peers[0].sending[0].drop_encoding(1);
    mesh.run(2 * SECOND);
    let late = mesh.now();
    mesh.run(SECOND);
    assert_eq!(stamps(&mesh, small, late), [0]);
    assert!(stamps(&mesh, large, late).is_empty());
}

#[test]
fn what_the_other_server_says_ends_the_link_of_this_one() {
    let mut mesh = Mesh::new(213, 2);
    let link = mesh.link(0, 1);
    mesh.connect(&[link]);
    let transport = link.end(1);
    let refusals = |mesh: &mut Mesh| {
        mesh.run(SECOND / 10);
        let reports = mesh.nets[1].reports.iter();
        let refused = |it: &&Report| matches!(it, Report::Refused { .. });
        reports.filter(refused).count()
    };
    let parameters = TrunkParameters {
        ufrag: "x".into(),
        password: String::new(),
        fingerprint: "sha-256".into(),
        candidates: vec![String::new()],
    };
    mesh.nets[1].request(Request::TrunkParameters {
        transport,
        parameters,
    });
    assert_eq!(refusals(&mut mesh), 1);
    for candidate in [
        "",
        "candidate:",
        "candidate:1 1 udp 1 0.0.0.0 0 typ host",
        "💥",
    ] {
        mesh.nets[0].request(Request::RemoteCandidate {
            transport: link.end(0),
            candidate: candidate.into(),
        });
    }
    let one = mesh.feed(1, Kind::Video);
    let other = mesh.feed(1, Kind::Audio);
    let same = mesh::stream(1, Spatial::LOW);
    let with = |ssrc, repair_ssrc, encoding| FeedStream {
        encoding,
        ssrc,
        repair_ssrc,
    };
    mesh.connect_feed(1, one, Some((transport, vec![same])));
    assert_eq!(refusals(&mut mesh), 1);
    let bad = [
        vec![same],
        vec![with(0, None, Spatial::LOW)],
        vec![with(5, Some(0), Spatial::LOW)],
        vec![with(5, Some(5), Spatial::LOW)],
        vec![with(same.repair_ssrc.unwrap(), None, Spatial::LOW)],
        vec![with(5, None, Spatial::LOW), with(6, None, Spatial::LOW)],
        vec![with(5, None, Spatial::LOW), with(5, None, Spatial::HIGH)],
    ];
    for (count, streams) in bad.into_iter().enumerate() {
        mesh.connect_feed(1, other, Some((transport, streams)));
        assert_eq!(refusals(&mut mesh), 2 + count);
    }
    assert!(mesh.is_connected(0, link.end(0)) && mesh.is_connected(1, link.end(1)));
}

#[test]
fn a_branch_takes_the_numbers_of_another_one() {
    let mut mesh = Mesh::new(215, 2);
    let link = mesh.link(0, 1);
    mesh.connect(&[link]);
    let one = mesh.feed(1, Kind::Video);
    let with = |ssrc| FeedStream {
        encoding: Spatial::LOW,
        ssrc,
        repair_ssrc: None,
    };
    // Branches with SSRCs that are none or in use.
    let (to, producer) = (link.end(1), one);
    let stream = mesh::stream(9, Spatial::LOW);
    mesh.branch(1, to, producer, stream, Delivery::FULL);
    for ssrc in [0, 9, 9 + mesh::REPAIR] {
        let stream = with(ssrc);
        let consumer = mesh.branch(1, to, producer, stream, Delivery::FULL);
        mesh.run(SECOND / 10);
        let failed = |it: &Report| matches!(it, Report::ConsumerFailed { consumer: c, .. } if *c == consumer);
        assert!(mesh.nets[1].reports.iter().any(failed), "{ssrc}");
    }
    assert!(mesh.is_connected(0, link.end(0)) && mesh.is_connected(1, link.end(1)));
}
