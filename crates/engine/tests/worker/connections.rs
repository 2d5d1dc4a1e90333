//! Connecting, losing and ending connections; data channels.

use std::net::SocketAddr;
use std::time::Duration;

use umbrella_engine::{Channel, Limits, Negotiation, Protocol, Report, Request};
use umbrella_media::Delivery;

use super::network::Network;
use super::peer::Publish;
use super::{SECOND, connect, started, track};

fn closed(net: &Network) -> Vec<String> {
    let reason = |report: &Report| match report {
        Report::Closed { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    net.reports.iter().filter_map(reason).collect()
}

fn refused(net: &Network) -> Vec<String> {
    let reason = |report: &Report| match report {
        Report::Refused { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    net.reports.iter().filter_map(reason).collect()
}

#[test]
fn call_fails_where_udp_is_blocked() {
    let mut net = Network::new(1);
    let speaker = net.join(&[Publish::Audio], 0, 0);
    let listener = net.join_over(Protocol::Tcp, &[], 1, 1);
    connect(&mut net);
    let mic = track(&mut net, speaker, 0);
    net.consume(listener, &mic, Delivery::FULL);
    assert!(net.until(5 * SECOND, |net| net.peers[listener].got.len() > 20));
    let tcp = |r: &Report| {
        matches!(
            r,
            Report::Connected {
                protocol: Protocol::Tcp,
                ..
            }
        )
    };
    assert!(net.reports.iter().any(tcp));
}

#[test]
fn messages_get_lost() {
    let mut net = Network::new(2);
    let one = net.join(&[], 0, 0);
    let two = net.subscribe_peer();
    connect(&mut net);
    let open = |net: &Network| {
        [one, two]
            .iter()
            .all(|peer| net.peers[*peer].open.len() >= 2)
    };
    assert!(net.until(5 * SECOND, open), "channels do not open");
    net.peers[one].send("_reliable", b"to the server");
    net.run(SECOND);
    let heard = net.reports.iter().any(|report| {
        matches!(report, Report::Data { channel: Channel::Reliable, data, .. }
            if data == b"to the server")
    });
    assert!(heard);
    for (peer, channel) in [(one, Channel::Reliable), (two, Channel::Lossy)] {
        let transport = net.peers[peer].transport;
        let data = vec![channel as u8; 3000].into();
        net.request(Request::SendData {
            transport,
            channel,
            data,
        });
    }
    net.run(SECOND);
    assert_eq!(
        net.peers[one].data,
        [("_reliable".to_string(), vec![0; 3000])]
    );
    assert_eq!(net.peers[two].data, [("_lossy".to_string(), vec![1; 3000])]);
}

#[test]
fn a_peer_that_does_not_read_fills_our_memory() {
    let mut net = Network::new(3);
    let peer = net.join(&[], 0, 0);
    connect(&mut net);
    assert!(net.until(5 * SECOND, |net| net.peers[peer].open.len() == 2));
    net.run(SECOND);
    let transport = net.peers[peer].transport;
    net.loss = 1.0;
    for _ in 0..200 {
        for channel in [Channel::Lossy, Channel::Reliable] {
            let data = vec![7; 60_000].into();
            net.request(Request::SendData {
                transport,
                channel,
                data,
            });
        }
    }
    net.run(SECOND / 10);
    assert_eq!(closed(&net), ["the peer does not read its data channel"]);
}

#[test]
fn random_datagrams_disturb_a_call() {
    let mut net = Network::new(4);
    let speaker = net.join(&[Publish::Audio], 0, 0);
    let listener = net.join(&[], 1, 0);
    connect(&mut net);
    let mic = track(&mut net, speaker, 0);
    let consumer = net.consume(listener, &mic, Delivery::FULL);
    assert!(net.until(5 * SECOND, |net| started(net, consumer)));
    let mut random = 88172645463325252u64;
    let strangers = SocketAddr::from(([192, 0, 2, 1], 9));
    for round in 0..3000u32 {
        let mut data = vec![0; (round % 300) as usize];
        for byte in &mut data {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            *byte = random as u8;
        }
        // Every class of RFC 7983, from strangers and with the addresses of those in the call.
        if let Some(first) = data.first_mut() {
            *first = [0, 1, 20, 22, 63, 128, 144, 191, 200, 255][round as usize % 10];
        }
        let from = [
            strangers,
            net.peers[speaker].address,
            net.peers[listener].address,
        ];
        net.throw(from[round as usize % 3], &data);
        if round % 100 == 0 {
            net.run(Duration::from_millis(20));
        }
    }
    let before = net.peers[listener].got.len();
    net.run(2 * SECOND);
    assert!(net.peers[listener].got.len() >= before + 95);
    assert_eq!(closed(&net), Vec::<String>::new());
}

#[test]
fn a_connection_that_never_comes_up_stays_for_ever() {
    let mut net = Network::new(5);
    let peer = net.add_peer(Protocol::Udp, Negotiation::PeerOffers);
    net.run(29 * SECOND);
    assert!(closed(&net).is_empty());
    net.run(2 * SECOND);
    assert_eq!(closed(&net), ["media never came up"]);
    // Orders that cross with the report are ignored.
    let transport = net.peers[peer].transport;
    net.request(Request::CloseTransport { transport });
    net.run(SECOND);
}

#[test]
fn a_peer_that_vanishes_is_never_noticed() {
    let mut net = Network::new(6);
    let gone = net.join(&[Publish::Audio], 0, 0);
    connect(&mut net);
    net.run(SECOND);
    net.peers[gone].address = SocketAddr::from(([10, 9, 9, 9], 1));
    net.latency = Duration::from_secs(1000);
    net.run(20 * SECOND);
    assert!(
        net.reports
            .iter()
            .any(|r| matches!(r, Report::Interrupted { .. }))
    );
    assert!(closed(&net).is_empty());
    net.run(40 * SECOND);
    assert_eq!(closed(&net), ["media was lost for too long"]);
}

#[test]
fn the_peer_is_not_told_that_we_hang_up() {
    let mut net = Network::new(7);
    let peer = net.join(&[], 0, 0);
    connect(&mut net);
    net.run(SECOND);
    let transport = net.peers[peer].transport;
    net.request(Request::CloseTransport { transport });
    net.run(SECOND);
    assert!(net.peers[peer].closed);
    assert!(closed(&net).is_empty(), "what is asked for is not reported");
}

#[test]
fn a_peer_that_hangs_up_is_kept() {
    let mut net = Network::new(8);
    let peer = net.join(&[Publish::Audio], 0, 0);
    connect(&mut net);
    net.run(SECOND);
    net.peers[peer].sending.clear();
    net.peers[peer].rtc.close().unwrap();
    net.run(SECOND);
    assert_eq!(closed(&net), ["the peer has closed the connection"]);
}

#[test]
fn a_bad_description_ends_the_call() {
    let mut net = Network::new(9);
    let peer = net.join(&[Publish::Audio], 1, 1);
    let listener = net.join(&[], 1, 0);
    connect(&mut net);
    let mic = track(&mut net, peer, 0);
    let consumer = net.consume(listener, &mic, Delivery::FULL);
    assert!(net.until(5 * SECOND, |net| started(net, consumer)));
    let good = net.peers[peer].next_offer(0, 0);
    let bad = [
        String::new(),
        "v=0".into(),
        good[..good.len() / 2].into(),
        good.replace("a=mid:", "a=mad:"),
        good.replace("opus/48000", "VP8/90000")
            .replace("a=rtpmap:96 ", "a=rtpmap:111 "),
        good.replace("a=fingerprint:", "a=finger:"),
        good.replace("a=ice-ufrag:", "a=ufrag:"),
        "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n".repeat(2000),
        "x".repeat(1_000_000),
        good.replace("a=group:BUNDLE", "a=group:BUNDLE 77"),
    ];
    for sdp in &bad {
        let before = refused(&net).len();
        net.send_offer(peer, sdp.clone());
        net.run(SECOND / 100);
        assert_eq!(
            refused(&net).len(),
            before + 1,
            "not refused: {}",
            &sdp[..sdp.len().min(80)]
        );
    }
    let before = net.peers[listener].got.len();
    net.run(SECOND);
    assert!(net.peers[listener].got.len() > before + 40);
    assert!(closed(&net).is_empty());
}

/// One payload type with two meanings, in a way that only str0m notices, by an assertion.
fn contradiction() -> String {
    let mut sdp = String::from("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n");
    sdp.push_str("a=group:BUNDLE 0 1\r\n");
    for mode in 0..2 {
        let fingerprint = ["AB"; 32].join(":");
        sdp.push_str(&format!(
            "m=video 9 UDP/TLS/RTP/SAVPF 98\r\nc=IN IP4 0.0.0.0\r\na=mid:{mode}\r\n\
            a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:actpass\r\n\
            a=fingerprint:sha-256 {fingerprint}\r\na=recvonly\r\na=rtcp-mux\r\n\
            a=rtpmap:98 H264/90000\r\n\
            a=fmtp:98 packetization-mode={mode};profile-level-id=42e01f\r\n"
        ));
    }
    sdp
}

#[test]
fn a_connection_goes_on_although_nobody_knows_in_which_state() {
    let mut net = Network::new(11);
    let bystander = net.join(&[], 0, 0);
    connect(&mut net);
    let peer = net.add_peer(Protocol::Udp, Negotiation::PeerOffers);
    net.send_offer(peer, contradiction());
    net.run(SECOND);
    assert_eq!(closed(&net), ["the session description contradicts itself"]);
    assert!(refused(&net).is_empty());
    assert!(net.peers[bystander].connected);
}

#[test]
fn a_changed_certificate_is_believed() {
    let mut net = Network::new(10);
    let peer = net.join(&[Publish::Audio], 0, 0);
    connect(&mut net);
    let offer = net.peers[peer].next_offer(0, 0);
    let at = offer.find("a=fingerprint:sha-256 ").unwrap() + "a=fingerprint:sha-256 ".len();
    let fingerprint = offer[at..at + 95].to_string();
    let other = format!("00:11:22{}", &fingerprint[8..]);
    net.send_offer(peer, offer.replace(&fingerprint, &other));
    net.run(SECOND);
    assert!(
        refused(&net)[0].contains("certificate"),
        "{:?}",
        refused(&net)
    );
}

#[test]
fn idle_connections_cost_a_core() {
    let mut net = Network::new(11);
    let peers = 100;
    for _ in 0..peers {
        net.join(&[], 0, 0);
    }
    connect(&mut net);
    net.run(5 * SECOND);
    let before = net.polls;
    net.run(10 * SECOND);
    // Keep-alives of ICE and SCTP and the reports that follow from them: a few a second each.
    let each = (net.polls - before) as f64 / f64::from(peers) / 10.0;
    assert!(each < 5.0, "{each} polls a second for each idle connection");
}

#[test]
fn a_full_server_takes_one_more() {
    let limits = Limits {
        transports: 2,
        ..Limits::default()
    };
    let mut net = Network::with_limits(12, limits);
    for _ in 0..3 {
        net.add_peer(Protocol::Udp, Negotiation::PeerOffers);
    }
    net.run(SECOND);
    assert_eq!(closed(&net), ["the server is full"]);
}

#[test]
fn a_restart_of_ice_ends_the_call() {
    let mut net = Network::new(13);
    let speaker = net.join(&[Publish::Audio], 0, 0);
    let listener = net.subscribe_peer();
    connect(&mut net);
    let mic = track(&mut net, speaker, 0);
    let consumer = net.consume(listener, &mic, Delivery::FULL);
    assert!(net.until(5 * SECOND, |net| started(net, consumer)));
    let transport = net.peers[listener].transport;
    net.request(Request::RestartIce { transport });
    let offer = net.peers[speaker].next_offer(0, 0);
    net.send_offer(speaker, offer);
    net.run(20 * SECOND);
    let before = net.peers[listener].got.len();
    net.run(40 * SECOND);
    assert!(net.peers[listener].got.len() >= before + 1990);
    assert!(closed(&net).is_empty(), "{:?}", closed(&net));
}

/// What a peer behind a dead link misses: datagrams both ways, and what is signalled.
#[test]
fn who_was_in_the_dark_stays_there() {
    for dark in [3, 12, 25] {
        let mut net = Network::new(14);
        let speaker = net.join(&[Publish::Audio], 0, 0);
        let one = net.join(&[], 1, 0);
        let two = net.subscribe_peer();
        connect(&mut net);
        let mic = track(&mut net, speaker, 0);
        for listener in [one, two] {
            let consumer = net.consume(listener, &mic, Delivery::FULL);
            assert!(net.until(5 * SECOND, |net| started(net, consumer)));
        }
        let open = |net: &Network| net.peers[two].open.len() >= 2;
        assert!(net.until(5 * SECOND, open), "channels do not open");
        net.dark = vec![one, two];
        let second = net.consume(two, &mic, Delivery::FULL);
        let transport = net.peers[two].transport;
        for number in 0..10u8 {
            net.run(dark * SECOND / 10);
            net.request(Request::SendData {
                transport,
                channel: Channel::Reliable,
                data: vec![number].into(),
            });
        }
        net.dark.clear();
        net.request(Request::RestartIce { transport });
        let offer = net.peers[one].next_offer(0, 0);
        net.send_offer(one, offer);
        let (before, again) = (net.peers[one].got.len(), net.peers[two].got.len());
        net.run(2 * SECOND);
        assert!(net.peers[one].got.len() > before + 45, "after {dark} s");
        assert!(net.peers[two].got.len() > again + 45, "after {dark} s");
        assert!(started(&net, second), "the offer was lost for good");
        net.run(dark * SECOND);
        let read: Vec<u8> = net.peers[two]
            .data
            .iter()
            .map(|(_, data)| data[0])
            .collect();
        assert_eq!(read, (0..10).collect::<Vec<u8>>(), "after {dark} s");
        net.run(40 * SECOND);
        assert!(closed(&net).is_empty(), "{:?}", closed(&net));
    }
}
