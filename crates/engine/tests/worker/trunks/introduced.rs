//! Two servers that were brought together by a third one, and may both be behind NATs.

use std::net::SocketAddr;

use umbrella_engine::{Limits, LocalAddress, Path, TransportId};

use super::super::network::Network;
use super::mesh::{Link, Mesh, Sent, address};
use super::*;

/// Two servers behind NATs, and one that can tell how they are seen.
fn behind_nats(seed: u64) -> (Mesh, Link) {
    let mut mesh = Mesh::new(seed, 3);
    mesh.guard(0);
    mesh.guard(1);
    let link = mesh.introduce(0, 1);
    mesh.reflect(link, 2);
    (mesh, link)
}

/// What a server has found out of its own addresses.
fn candidates(net: &Network) -> Vec<String> {
    let reports = net.reports.iter();
    let candidates = reports.filter_map(|report| match report {
        Report::Candidate { candidate, .. } => Some(candidate.clone()),
        _ => None,
    });
    candidates.collect()
}

fn closed(mesh: &Mesh, net: usize) -> Option<String> {
    let mut reports = mesh.nets[net].reports.iter();
    reports.find_map(|report| match report {
        Report::Closed { reason, .. } => Some(reason.clone()),
        _ => None,
    })
}

/// People at both ends who send and look, and what is sent over the link for them.
struct Talk {
    people: [usize; 2],
    link: Link,
}

impl Talk {
    fn begin(mesh: &mut Mesh, link: Link) -> Talk {
        let people = [0, 1].map(|net| mesh.nets[net].join(&[Publish::Video], 0, 1));
        mesh.connect(&[link]);
        for (from, sender) in people.iter().enumerate() {
            let to = 1 - from;
            let track = mesh.track(from, *sender, 0);
            let stream = mesh::stream(7, Spatial::LOW);
            let feed = mesh.feed(to, Kind::Video);
            mesh.connect_feed(to, feed, Some((link.end(to), vec![stream])));
            mesh.branch(from, link.end(from), track.producer, stream, Delivery::FULL);
            mesh.consume(to, people[to], feed);
        }
        mesh.run(SECOND);
        Talk { people, link }
    }

    /// Whether media flows both ways for two seconds.
    fn flows(&self, mesh: &mut Mesh) -> bool {
        let at = mesh.now();
        mesh.run(2 * SECOND);
        let ends = self.people.iter().enumerate();
        let mut got = ends.map(|(net, viewer)| since(&mesh.nets[net].peers[*viewer], at).len());
        got.all(|got| got > 80)
    }

    /// Waits until media flows both ways again.
    fn heals(&self, mesh: &mut Mesh, limit: Duration) -> Option<Duration> {
        let at = mesh.now();
        while mesh.now() < at + limit {
            if self.flows(mesh) {
                return Some(mesh.now() - at);
            }
        }
        None
    }
}

#[test]
fn two_servers_behind_nats_cannot_be_linked() {
    let (mut mesh, link) = behind_nats(300);
    let at = mesh.now();
    mesh.connect(&[link]);
    let took = mesh.now() - at;
    assert!(took < SECOND, "after {took:?}");
    let talk = Talk::begin(&mut mesh, link);
    assert!(talk.flows(&mut mesh));
    for net in 0..2 {
        let found = candidates(&mesh.nets[net]);
        let outer = mesh.outer(net);
        let wanted = format!(" {} {} typ srflx", outer.ip(), outer.port());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(&wanted), "{found:?}");
        let viewer = &mesh.nets[net].peers[talk.people[net]];
        assert_seamless(&viewer.got);
    }
    // The server between has carried nothing but questions and answers.
    let via: u64 = [0, 1].map(|net| mesh.carried[net][2].0).iter().sum();
    assert!(via <= 4, "{via} datagrams");
}

#[test]
fn two_servers_in_one_network_need_somebody_outside() {
    let mut mesh = Mesh::new(301, 3);
    let link = mesh.introduce(0, 1);
    mesh.connect(&[link]);
    // What the reflector says is no news.
    mesh.reflect(link, 2);
    let talk = Talk::begin(&mut mesh, link);
    assert!(talk.flows(&mut mesh));
    for net in 0..2 {
        assert!(mesh.carried[net][2].0 > 0);
        assert!(candidates(&mesh.nets[net]).is_empty());
    }
}

#[test]
fn one_end_behind_a_nat_and_one_outside_cannot_be_linked() {
    for hidden in 0..2 {
        let mut mesh = Mesh::new(302 + hidden as u64, 2);
        mesh.guard(hidden);
        let link = mesh.introduce(0, 1);
        mesh.connect(&[link]);
        let talk = Talk::begin(&mut mesh, link);
        assert!(talk.flows(&mut mesh), "{hidden} is hidden");
    }
}

#[test]
fn introduced_servers_whose_network_blocks_udp_cannot_be_linked() {
    let mut mesh = Mesh::new(304, 2);
    mesh.no_udp = true;
    let link = mesh.introduce(0, 1);
    stays_up_over_tcp(&mut mesh, link, 60 * SECOND);
}

#[test]
fn messages_that_come_late_keep_two_servers_apart() {
    let mut mesh = Mesh::new(319, 3);
    mesh.guard(0);
    mesh.guard(1);
    let link = mesh.introduce_slowly(0, 1, 4 * SECOND);
    mesh.run(2 * SECOND);
    mesh.reflect(link, 2);
    let at = mesh.now();
    mesh.connect(&[link]);
    assert!(mesh.now() - at < SECOND);
}

#[test]
fn a_direct_way_that_is_blocked_is_tried_for_ever() {
    // Blocked; or neither knows how it is seen.
    for blocked in [true, false] {
        let mut mesh = Mesh::new(305, 3);
        mesh.guard(0);
        mesh.guard(1);
        let link = mesh.introduce(0, 1);
        if blocked {
            mesh.parted = Some((0, 1));
            mesh.reflect(link, 2);
        }
        mesh.run(15 * SECOND);
        let ends = [0, 1].map(|net| closed(&mesh, net));
        assert_eq!(ends, [None, None], "it is given up too soon");
        mesh.run(4 * SECOND);
        for net in 0..2 {
            assert_eq!(closed(&mesh, net).as_deref(), Some("media never came up"));
        }
        mesh.sent.clear();
        mesh.frames = 0;
        mesh.run(60 * SECOND);
        assert_eq!((mesh.sent.len(), mesh.frames), (0, 0), "{:?}", mesh.sent);
    }
}

#[test]
fn a_nat_that_restarts_ends_the_media_of_an_introduced_link() {
    // Both behind NATs, and only the one that restarts.
    for (seed, other) in [(306, true), (307, false)] {
        for restarts in 0..2 {
            let mut mesh = Mesh::new(seed, 3);
            mesh.guard(restarts);
            if other {
                mesh.guard(1 - restarts);
            }
            let link = mesh.introduce(0, 1);
            mesh.reflect(link, 2);
            let talk = Talk::begin(&mut mesh, link);
            assert!(talk.flows(&mut mesh));
            mesh.outer_ports[restarts] = 4321;
            let took = talk.heals(&mut mesh, 60 * SECOND);
            println!("guarded {other}, {restarts} restarts: heals in {took:?}");
            assert!(took.is_some_and(|took| took < 40 * SECOND), "{took:?}");
            mesh.run(20 * SECOND);
            assert!(talk.flows(&mut mesh), "not for long");
        }
    }
}

#[test]
fn an_introduced_link_without_a_way_goes_on_for_ever() {
    let (mut mesh, link) = behind_nats(308);
    let talk = Talk::begin(&mut mesh, link);
    mesh.parted = Some((0, 1));
    let gone = |mesh: &Mesh| [0, 1].iter().all(|net| closed(mesh, *net).is_some());
    assert!(mesh.until(65 * SECOND, gone), "it goes on");
    mesh.sent.clear();
    mesh.run(30 * SECOND);
    assert_eq!(mesh.sent.len(), 0);
    assert!(!talk.flows(&mut mesh), "{:?}", talk.link);
}

#[test]
fn an_idle_introduced_link_costs_more_than_its_keeping_alive() {
    // With one way, and with two, over IPv4 and IPv6, which are both kept.
    for (seed, dual, most) in [(309, false, 1400), (318, true, 2000)] {
        let mut mesh = match dual {
            true => Mesh::dual(seed, 3),
            false => Mesh::new(seed, 3),
        };
        mesh.guard(0);
        mesh.guard(1);
        let link = mesh.introduce(0, 1);
        mesh.reflect(link, 2);
        mesh.connect(&[link]);
        // Until the checks on addresses that lead nowhere are given up.
        mesh.run(20 * SECOND);
        mesh.sent.clear();
        mesh.carried = [[(0, 0); 4]; 4];
        mesh.run(60 * SECOND);
        let bits = |from: usize, to: usize| {
            let (datagrams, bytes) = mesh.carried[from][to];
            // With the headers of IPv4 and UDP.
            (bytes + 28 * datagrams) * 8 / 60
        };
        let (there, back) = (bits(0, 1), bits(1, 0));
        println!("an idle introduced link: {there} bit/s there, {back} bit/s back");
        assert!(there + back <= most, "{there} and {back} bit/s");
        for net in 0..2 {
            let ways = targets(&mesh, net);
            assert_eq!(ways.len(), if dual { 2 } else { 1 }, "{ways:?}");
            assert!(ways.contains(&mesh.outer(1 - net)), "{ways:?}");
            assert!(mesh.is_connected(net, link.end(net)));
        }
    }
}

/// A plain request to the reflector of an end that was just asked to reflect.
fn question(mesh: &Mesh, reflector: SocketAddr) -> Vec<u8> {
    let mut sent = mesh.sent.iter();
    let asked = sent.find(|it| it.from == 0 && it.to == reflector);
    asked.expect("a question").stun.clone()
}

fn answer(question: &[u8], seen_as: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(seen_as) = seen_as else {
        panic!("IPv4 only");
    };
    let mut answer = question.to_vec();
    answer[0] = 1;
    answer[3] = 12;
    answer.extend([0, 0x20, 0, 8, 0, 1]);
    answer.extend((seen_as.port() ^ 0x2112).to_be_bytes());
    answer.extend((seen_as.ip().to_bits() ^ 0x2112_A442).to_be_bytes());
    answer
}

#[test]
fn somebody_else_says_how_a_server_is_seen() {
    let reflector = SocketAddr::from(([192, 0, 2, 1], 3478));
    let stranger = SocketAddr::from(([192, 0, 2, 2], 3478));
    let mut mesh = Mesh::new(310, 2);
    let link = mesh.introduce(0, 1);
    let transport = link.end(0);
    mesh.nets[0].request(Request::Reflect {
        transport,
        reflectors: vec![reflector],
    });
    mesh.run(SECOND / 10);
    let question = question(&mesh, reflector);
    let lie = SocketAddr::from(([203, 0, 113, 66], 666));
    let good = answer(&question, SocketAddr::from(([203, 0, 113, 7], 7)));
    let mut other_id = answer(&question, lie);
    other_id[12] ^= 1;
    mesh.nets[0].throw(stranger, &answer(&question, lie));
    mesh.nets[0].throw(reflector, &other_id);
    let count = |mesh: &mut Mesh| {
        mesh.run(SECOND / 10);
        candidates(&mesh.nets[0]).len()
    };
    assert_eq!(count(&mut mesh), 0);
    mesh.nets[0].throw(reflector, &good);
    assert_eq!(count(&mut mesh), 1);
    mesh.nets[0].throw(reflector, &good);
    mesh.nets[0].throw(reflector, &answer(&question, lie));
    assert_eq!(count(&mut mesh), 1, "an answer is believed twice");
}

#[test]
fn a_reflector_names_an_address_that_is_none() {
    let reflector = SocketAddr::from(([192, 0, 2, 1], 3478));
    for seen_as in [
        "0.0.0.0:5",
        "224.0.0.1:5",
        "203.0.113.7:0",
        "255.255.255.255:5",
    ] {
        let mut mesh = Mesh::new(311, 2);
        let link = mesh.introduce(0, 1);
        mesh.nets[0].request(Request::Reflect {
            transport: link.end(0),
            reflectors: vec![reflector],
        });
        mesh.run(SECOND / 10);
        let question = question(&mesh, reflector);
        let seen_as = seen_as.parse().expect("an address");
        mesh.nets[0].throw(reflector, &answer(&question, seen_as));
        mesh.run(SECOND / 10);
        assert!(candidates(&mesh.nets[0]).is_empty(), "{seen_as}");
    }
}

/// Where a server has sent anything to, each once.
fn targets(mesh: &Mesh, from: usize) -> Vec<SocketAddr> {
    let theirs = mesh.sent.iter().filter(|it: &&Sent| it.from == from);
    let mut targets: Vec<SocketAddr> = theirs.map(|it| it.to).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

#[test]
fn a_neighbour_makes_a_server_send_to_hundreds_of_addresses() {
    let (mut mesh, link) = behind_nats(312);
    mesh.parted = Some((0, 1));
    mesh.run(SECOND / 10);
    let transport = link.end(0);
    let made_up = |index: u16| SocketAddr::from(([192, 0, 2, 1], 1000 + index));
    for index in 0..300 {
        let at = made_up(index);
        let candidate = format!(
            "candidate:1 1 udp 2130706431 {} {} typ host",
            at.ip(),
            at.port()
        );
        mesh.nets[0].request(Request::RemoteCandidate {
            transport,
            candidate,
        });
        mesh.nets[0].request(Request::Reflect {
            transport,
            reflectors: vec![made_up(1000 + index)],
        });
    }
    mesh.run(5 * SECOND);
    let told = targets(&mesh, 0).len();
    assert!((16..=20).contains(&told), "{told}");
    // A check of the neighbour's own, as if it came from everywhere.
    let mut checks = mesh.sent.iter().filter(|it| it.from == 1);
    let check = checks.find(|it| it.to != address(2) && it.stun.starts_with(&[0, 1]));
    let check = check.expect("a check").stun.clone();
    for index in 0..300 {
        mesh.nets[0].throw(made_up(2000 + index), &check);
        mesh.run(SECOND / 100);
    }
    mesh.run(5 * SECOND);
    let all = targets(&mesh, 0).len();
    assert!((told + 8..=told + 10).contains(&all), "{all}");
    let most = mesh.sent.iter().filter(|it| it.from == 0).count();
    assert!(most < 400, "{most} datagrams");
}

#[test]
fn a_server_sends_where_nobody_can_be() {
    let bad = [
        "0.0.0.0:5",
        "224.0.0.1:5",
        "203.0.113.7:0",
        "[ff02::1]:5",
        "[::]:5",
    ];
    let bad: Vec<SocketAddr> = bad.iter().map(|it| it.parse().expect("one")).collect();
    let mut mesh = Mesh::new(313, 2);
    let link = mesh.introduce(0, 1);
    for net in 0..2 {
        let transport = link.end(net);
        mesh.nets[net].request(Request::Reflect {
            transport,
            reflectors: bad.clone(),
        });
        for at in &bad {
            let (ip, port) = (at.ip(), at.port());
            mesh.nets[net].request(Request::RemoteCandidate {
                transport,
                candidate: format!("candidate:1 1 udp 2130706431 {ip} {port} typ srflx"),
            });
        }
    }
    mesh.connect(&[link]);
    mesh.run(5 * SECOND);
    assert_eq!(targets(&mesh, 0), [address(1)]);
    assert_eq!(targets(&mesh, 1), [address(0)]);
}

#[test]
fn questions_are_asked_for_a_link_that_is_gone_or_has_no_use_for_them() {
    let reflector = SocketAddr::from(([192, 0, 2, 1], 3478));
    let mut mesh = Mesh::new(314, 2);
    let reflect = |mesh: &mut Mesh, transport: TransportId| {
        mesh.nets[0].request(Request::Reflect {
            transport,
            reflectors: vec![reflector],
        });
        mesh.run(SECOND / 10);
        let asked = mesh.sent.iter().filter(|it| it.to == reflector);
        asked.count()
    };
    let plain = mesh.link(0, 1);
    assert_eq!(reflect(&mut mesh, plain.end(0)), 0);
    let transport = mesh.introduce(0, 1).end(0);
    assert_eq!(reflect(&mut mesh, transport), 1);
    mesh.nets[0].request(Request::CloseTransport { transport });
    mesh.run(10 * SECOND);
    assert_eq!(reflect(&mut mesh, transport), 1);
}

#[test]
fn a_reflector_is_asked_from_a_socket_that_does_not_reach_it() {
    let ours: [SocketAddr; 3] =
        ["10.1.0.1:1", "10.2.0.1:2", "[2001:db8::1]:3"].map(|it| it.parse().expect("an address"));
    let theirs: [SocketAddr; 3] =
        ["192.0.2.1:9", "[2001:db8::2]:9", "127.0.0.1:9"].map(|it| it.parse().expect("an address"));
    let mut net = Network::at_all(&ours, 315, Limits::default());
    let transport = TransportId(1000);
    net.request(Request::OpenTransport {
        transport,
        negotiation: Negotiation::Trunk {
            dials: true,
            introduced: true,
        },
        channels: false,
    });
    net.request(Request::Reflect {
        transport,
        reflectors: theirs.to_vec(),
    });
    net.run(SECOND / 10);
    let mut asked: Vec<_> = net
        .outside
        .iter()
        .map(|(path, _)| (path.local, path.remote))
        .collect();
    asked.sort_unstable();
    let wanted = [(0, 0), (1, 0), (2, 1)].map(|(local, to)| (ours[local], theirs[to]));
    assert_eq!(asked, wanted);
    // Each answer is for the socket that has asked.
    let questions = std::mem::take(&mut net.outside);
    for (path, question) in questions
        .iter()
        .filter(|(path, _)| path.remote == theirs[0])
    {
        let seen_as = SocketAddr::from(([203, 0, 113, 1], path.local.port()));
        net.throw_over(*path, &answer(question, seen_as));
    }
    net.run(SECOND / 10);
    assert_eq!(candidates(&net).len(), 2);
}

#[test]
fn a_server_does_not_know_its_address_outside() {
    let ours: SocketAddr = "10.1.0.1:1".parse().expect("an address");
    let outside = SocketAddr::from(([203, 0, 113, 1], 1));
    let mut net = Network::at_all(&[ours], 317, Limits::default());
    let reflectors = [1, 2].map(|last| SocketAddr::from(([192, 0, 2, last], 3478)));
    for reflector in reflectors {
        net.request(Request::LookOutside {
            local: ours,
            reflector,
        });
    }
    net.run(SECOND / 10);
    let mut questions = std::mem::take(&mut net.outside);
    // Which one is asked first is left to chance.
    questions.sort_unstable_by_key(|(path, _)| path.remote);
    assert_eq!(questions.len(), 2);
    let (path, question) = &questions[0];
    assert_eq!((path.local, path.remote), (ours, reflectors[0]));
    net.throw_over(*path, &answer(question, outside));
    net.run(8 * SECOND);
    let seen = |report: &Report| match report {
        Report::SeenAs {
            local,
            reflector,
            seen_as,
        } => Some((*local, *reflector, *seen_as)),
        _ => None,
    };
    let seen: Vec<_> = net.reports.iter().filter_map(seen).collect();
    let [first, second] = reflectors;
    assert_eq!(seen, [(ours, first, Some(outside)), (ours, second, None)]);
    // And now that it knows, peers are told.
    net.request(Request::Advertise(vec![LocalAddress {
        protocol: Protocol::Udp,
        advertised: outside,
        base: ours,
    }]));
    net.subscribe_peer();
    net.run(SECOND / 10);
    let is_told = |report: &Report| match report {
        Report::Offer { sdp, .. } => sdp.contains(" 203.0.113.1 1 typ host"),
        _ => false,
    };
    assert!(net.reports.iter().any(is_told));
}

#[test]
fn who_asks_how_it_is_seen_gets_no_answer_or_too_much_of_it() {
    let mut net = Network::new(316);
    let question = [&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &[5; 12]].concat();
    let from = SocketAddr::from(([192, 0, 2, 1], 5555));
    let said = |net: &mut Network, path: Option<Path>, data: &[u8]| {
        match path {
            Some(path) => net.throw_over(path, data),
            None => net.throw(from, data),
        }
        net.run(SECOND / 10);
        std::mem::take(&mut net.outside)
    };
    let answers = said(&mut net, None, &question);
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].0.remote, from);
    assert_eq!(answers[0].1, answer(&question, from));
    // A browser's check is for its peer connection, and nobody else's business.
    let mut check = question.clone();
    check[3] = 8;
    check.extend([0, 6, 0, 3, b'a', b':', b'b', 0]);
    assert!(said(&mut net, None, &check).is_empty());
    let path = answers[0].0;
    let nobody = Path {
        remote: SocketAddr::from(([192, 0, 2, 1], 0)),
        ..path
    };
    let over_tcp = Path {
        protocol: Protocol::Tcp,
        ..path
    };
    for path in [nobody, over_tcp] {
        assert!(said(&mut net, Some(path), &question).is_empty());
    }
    for _ in 0..5000 {
        net.throw(from, &question);
    }
    let answers = said(&mut net, None, &question);
    assert!(answers.len() <= 100, "{} answers", answers.len());
    net.run(SECOND);
    assert_eq!(said(&mut net, None, &question).len(), 1, "never again");
}
