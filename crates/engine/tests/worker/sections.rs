//! Negotiation: who gets which section, and what is asked of the peer for it.

use std::collections::HashSet;

use umbrella_engine::{ConsumerError, Limits, Negotiation, Protocol, Report, Request};
use umbrella_media::{Codec, Delivery};

use super::network::Network;
use super::peer::Publish;
use super::{SECOND, connect, since, started, track};

fn wanted(net: &Network) -> Vec<(u32, u32)> {
    let counts = |report: &Report| match report {
        Report::SectionsWanted { audio, video, .. } => Some((*audio, *video)),
        _ => None,
    };
    net.reports.iter().filter_map(counts).collect()
}

#[test]
fn free_sections_are_not_used() {
    let mut net = Network::new(20);
    let speaker = net.join(&[Publish::Audio], 0, 0);
    let listener = net.join(&[], 3, 3);
    connect(&mut net);
    assert!(
        !net.peers[listener].last_description.contains("a=sendonly"),
        "nobody is there yet"
    );
    let mic = track(&mut net, speaker, 0);
    let consumer = net.consume(listener, &mic, Delivery::FULL);
    assert!(net.until(5 * SECOND, |net| started(net, consumer)));
    assert_eq!(wanted(&net), [(0, 0)]);
    let name = format!("PA_{speaker} TR_{}", mic.producer);
    let named: Vec<_> = net.peers[listener].named.values().collect();
    assert_eq!(named, [&name]);
    let sections = net.reports.iter().rev().find_map(|report| match report {
        Report::Answer { sections, .. } if !sections.is_empty() => Some(sections.clone()),
        _ => None,
    });
    let sections = sections.unwrap();
    assert_eq!(sections.len(), 1);
    assert_eq!(sections[0].track, format!("TR_{}", mic.producer));
    assert!(net.peers[listener].named.contains_key(&sections[0].mid));
}

#[test]
fn a_newcomer_is_seen_seconds_late_by_one_who_has_offered_for_other_reasons() {
    let mut net = Network::new(27);
    let speaker = net.join(&[Publish::Audio], 0, 0);
    let listener = net.join(&[], 3, 3);
    connect(&mut net);
    // As browsers do: after joining, and for each track that they publish.
    for _ in 0..3 {
        let offer = net.peers[listener].next_offer(0, 0);
        net.send_offer(listener, offer);
        net.run(SECOND / 5);
    }
    let mic = track(&mut net, speaker, 0);
    let consumer = net.consume(listener, &mic, Delivery::FULL);
    assert!(net.until(SECOND / 2, |net| started(net, consumer)));
    assert_eq!(wanted(&net), [(0, 0)]);
}

#[test]
fn a_large_meeting_runs_out_of_sections() {
    let mut net = Network::new(21);
    let speakers: Vec<_> = (0..8).map(|_| net.join(&[Publish::Audio], 0, 0)).collect();
    let listener = net.join(&[], 3, 3);
    connect(&mut net);
    let mut consumers = Vec::new();
    for speaker in speakers {
        let mic = track(&mut net, speaker, 0);
        consumers.push(net.consume(listener, &mic, Delivery::FULL));
    }
    let all = |net: &Network| consumers.iter().all(|consumer| started(net, *consumer));
    assert!(net.until(5 * SECOND, all), "{:?}", wanted(&net));
    assert_eq!(wanted(&net)[0], (5, 0));
    assert_eq!(net.peers[listener].named.len(), 8);
}

#[test]
fn coming_and_going_grows_the_description_for_ever() {
    let mut net = Network::new(22);
    let speaker = net.join(&[Publish::Audio], 0, 0);
    let one = net.join(&[], 1, 1);
    let two = net.subscribe_peer();
    connect(&mut net);
    let mic = track(&mut net, speaker, 0);
    for round in 0..6 {
        let consumers = [one, two].map(|peer| net.consume(peer, &mic, Delivery::FULL));
        let all = |net: &Network| consumers.iter().all(|consumer| started(net, *consumer));
        assert!(
            net.until(8 * SECOND, all),
            "round {round}: {:?}",
            net.reports.last()
        );
        let from = net.now;
        net.run(SECOND);
        for peer in [one, two] {
            assert!(since(&net.peers[peer], from).len() >= 48, "round {round}");
        }
        for consumer in consumers {
            net.request(Request::CloseConsumer { consumer });
        }
        net.run(SECOND);
        let from = net.now;
        net.run(SECOND);
        for peer in [one, two] {
            assert!(
                since(&net.peers[peer], from).is_empty(),
                "it goes on after unsubscribing"
            );
            assert!(
                net.peers[peer].named.is_empty(),
                "the section still names the track"
            );
        }
    }
    for (peer, sections) in [(one, 3), (two, 2)] {
        assert_eq!(
            net.peers[peer].last_description.matches("m=").count(),
            sections
        );
    }
}

#[test]
fn picture_that_follows_another_one_in_its_section_is_decoded_and_never_drawn() {
    let mut net = Network::new(28);
    let speaker = net.join(&[Publish::Video], 0, 0);
    let one = net.join(&[], 0, 1);
    let two = net.subscribe_peer();
    connect(&mut net);
    let camera = track(&mut net, speaker, 0);
    let mut seen = HashSet::new();
    for round in 0..3 {
        let consumers = [one, two].map(|peer| net.consume(peer, &camera, Delivery::FULL));
        let all = |net: &Network| consumers.iter().all(|consumer| started(net, *consumer));
        assert!(net.until(8 * SECOND, all), "round {round}");
        for peer in [one, two] {
            let description = &net.peers[peer].last_description;
            let ssrcs = description
                .lines()
                .filter_map(|line| line.strip_prefix("a=ssrc:"));
            let ssrcs: HashSet<_> = ssrcs.filter_map(|line| line.split(' ').next()).collect();
            assert_eq!(ssrcs.len(), 2, "{description}");
            for ssrc in ssrcs {
                assert!(seen.insert((peer, ssrc.to_owned())), "{ssrc} again");
            }
            let sections = description.matches("m=video").count();
            assert_eq!(sections, 1, "it was to be the same section");
        }
        for consumer in consumers {
            net.request(Request::CloseConsumer { consumer });
        }
        net.run(SECOND);
    }
}

#[test]
fn a_peer_without_the_codec_waits_for_ever() {
    let mut net = Network::new(23);
    let speaker = net.join(&[Publish::Audio], 0, 0);
    connect(&mut net);
    net.run(SECOND);
    let mic = track(&mut net, speaker, 0);
    let listener = net.add_peer(Protocol::Udp, Negotiation::PeerOffers);
    let consumer = net.consume(listener, &mic, Delivery::FULL);
    let offer = net.peers[listener].first_offer(&[], 1, 0);
    net.send_offer(listener, offer.replace("opus/48000/2", "speex/16000"));
    let error = net
        .reports_after(SECOND / 10)
        .find_map(|report| match report {
            Report::ConsumerFailed { consumer: c, error } if *c == consumer => Some(*error),
            _ => None,
        });
    assert_eq!(error, Some(ConsumerError::CodecUnsupported(Codec::Opus)));
}

#[test]
fn a_peer_makes_us_ask_for_sections_without_end() {
    let limits = Limits {
        sections: 6,
        ..Limits::default()
    };
    let mut net = Network::with_limits(24, limits);
    let speakers: Vec<_> = (0..8).map(|_| net.join(&[Publish::Audio], 0, 0)).collect();
    let listener = net.join(&[], 1, 1);
    connect(&mut net);
    for speaker in speakers {
        let mic = track(&mut net, speaker, 0);
        net.consume(listener, &mic, Delivery::FULL);
    }
    net.run(20 * SECOND);
    let failed = net.reports.iter().filter(|report| {
        matches!(
            report,
            Report::ConsumerFailed {
                error: ConsumerError::TooManySections,
                ..
            }
        )
    });
    assert!(failed.count() >= 3);
    assert!(wanted(&net).len() < 6, "{:?}", wanted(&net));
}

#[test]
fn an_unpublished_track_stays() {
    let mut net = Network::new(25);
    let speaker = net.join(&[Publish::Audio, Publish::Audio], 0, 0);
    let listener = net.join(&[], 2, 0);
    connect(&mut net);
    let tracks = [track(&mut net, speaker, 0), track(&mut net, speaker, 1)];
    let consumers = [0, 1].map(|i| net.consume(listener, &tracks[i], Delivery::FULL));
    let all = |net: &Network| consumers.iter().all(|consumer| started(net, *consumer));
    assert!(net.until(5 * SECOND, all));
    let offer = net.peers[speaker].stop_offer(tracks[0].mid.as_str().into());
    net.send_offer(speaker, offer);
    net.run(SECOND);
    let closed = net.reports.iter().find_map(|report| match report {
        Report::SectionClosed { mid, producer, .. } => Some((mid.clone(), *producer)),
        _ => None,
    });
    assert_eq!(
        closed,
        Some((tracks[0].mid.clone(), Some(tracks[0].producer)))
    );
    let from = net.now;
    net.run(SECOND);
    let got = since(&net.peers[listener], from);
    assert!(got.len() >= 48 && got.iter().all(|packet| packet.ssrc == got[0].ssrc));
}

#[test]
fn a_peer_that_never_answers_is_kept() {
    let mut net = Network::new(26);
    let silent = net.subscribe_peer();
    connect(&mut net);
    let speaker = net.join(&[Publish::Audio], 0, 0);
    connect(&mut net);
    let mic = track(&mut net, speaker, 0);
    let transport = net.peers[silent].transport;
    net.consume(silent, &mic, Delivery::FULL);
    net.deaf = Some(transport);
    net.run(32 * SECOND);
    let closed = net.reports.iter().find_map(|report| match report {
        Report::Closed {
            transport: t,
            reason,
        } if *t == transport => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(closed.as_deref(), Some("the peer did not answer"));
}
