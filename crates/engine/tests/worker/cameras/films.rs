//! One worker.

use std::time::SystemTime;

use umbrella_engine::{ConsumerError, Statistics};

use super::*;

/// The longest that somebody waits for a picture.
const PROMPT: Duration = Duration::from_millis(300);

#[test]
fn viewers_of_a_camera_see_nothing_for_ten_seconds() {
    let mut street = Street::new(300);
    let viewers = street.viewers(3);
    street.run(SECOND);
    for (viewer, pause) in viewers.into_iter().zip([0, 5, 3]) {
        street.run(pause * SECOND);
        let took = street.first_picture(viewer);
        let behind = street.catch_up(viewer);
        println!("first picture after {took:?}, live {behind:?} later");
        assert!(took < PROMPT, "after {took:?}");
        assert!(behind < SECOND, "live after {behind:?} only");
        street.run(2 * SECOND);
        let got = &street.net.peers[viewer].got;
        assert_seamless(got);
        assert_film(got, street.camera.film_mut(0));
    }
}

#[test]
fn viewers_stay_behind_what_happens_by_what_they_were_shown_first() {
    let mut street = Street::new(301);
    let viewer = street.viewers(1)[0];
    street.run(8 * SECOND);
    street.first_picture(viewer);
    street.run(4 * SECOND);
    // Whatever was shown first, all of it was on time by its timestamps.
    let jitter = jitter(&street.net.peers[viewer].got);
    assert!(jitter < Duration::from_millis(40), "{jitter:?}");
}

#[test]
fn the_hundredth_viewer_of_a_camera_waits() {
    let mut street = Street::new(302);
    let viewers = street.viewers(100);
    let mut longest = Duration::ZERO;
    for viewer in viewers.iter().take(99) {
        street.watch(*viewer);
        street.run(Duration::from_millis(40));
    }
    for viewer in &viewers[..99] {
        longest = longest.max(street.catch_up(*viewer));
    }
    assert!(longest < SECOND, "one of many is behind by {longest:?}");
    let took = street.first_picture(viewers[99]);
    println!("the hundredth viewer has a picture after {took:?}");
    assert!(took < PROMPT, "after {took:?}");
    street.run(SECOND);
    for viewer in &viewers {
        assert_film(&street.net.peers[*viewer].got, street.camera.film_mut(0));
    }
}

/// The figures of everything.
fn statistics(street: &mut Street) -> Statistics {
    street.net.request(Request::Statistics);
    street.run(TICK);
    let reports = street.net.reports.iter().rev();
    let mut statistics = reports.filter_map(|report| match report {
        Report::Statistics(statistics) => Some(Statistics::clone(statistics)),
        _ => None,
    });
    statistics.next().expect("statistics")
}

#[test]
fn a_camera_with_huge_pictures_takes_all_memory_or_shows_half_of_them() {
    let limits = GopLimits {
        bytes: 150_000,
        ..GopLimits::default()
    };
    let mut street = Street::with(303, limits, |film| film.group = 100);
    let viewer = street.viewers(1)[0];
    for _ in 0..80 {
        street.run(Duration::from_millis(50));
        let cached = statistics(&mut street).producers[0].cached;
        assert!(cached <= limits.bytes, "{cached} bytes");
    }
    street.run(2 * SECOND);
    street.watch(viewer);
    street.run(Duration::from_millis(500));
    let got = &street.net.peers[viewer].got;
    assert_eq!((got.len(), key_packets(got)), (100, 100), "half a group");
    let asked = street.net.now;
    let shown = |net: &Network| !since(&net.peers[viewer], asked).is_empty();
    assert!(street.until(4 * SECOND, shown), "the next key frame");
    street.run(SECOND);
    let got = since(&street.net.peers[viewer], asked);
    assert!(is_key(&got[0]));
    assert_film(&got, street.camera.film_mut(0));
}

#[test]
fn a_camera_that_connects_anew_mixes_its_pictures() {
    let mut street = Street::new(304);
    let viewers = street.viewers(2);
    street.run(2 * SECOND);
    street.first_picture(viewers[0]);
    street.run(SECOND);
    let encoding = Spatial::LOW;
    let producer = street.camera.producer;
    street
        .net
        .request(Request::SourceRestart { producer, encoding });
    // Its clock begins anew, and its first pictures are the end of a group.
    let film = street.camera.film_mut(0);
    (film.timestamp, film.frame) = (77, 980);
    let at = street.net.now;
    street.watch(viewers[1]);
    street.run(Duration::from_millis(600));
    for viewer in &viewers {
        let got = since(&street.net.peers[*viewer], at + Duration::from_millis(20));
        assert!(got.is_empty(), "something without a key frame");
    }
    street.run(2 * SECOND);
    for viewer in &viewers {
        let got = &street.net.peers[*viewer].got;
        assert_seamless(got);
        let after = since(&street.net.peers[*viewer], at + Duration::from_millis(20));
        assert_eq!(after[0].stamp().1, 1000);
        assert_film(&after, street.camera.film_mut(0));
    }
    let wanted = |report: &Report| matches!(report, Report::KeyFrameWanted { producer: of, .. } if *of == producer);
    assert!(street.net.reports.iter().any(wanted), "its owner is told");
}

/// A camera with a sub stream of 200 kbit/s beside its main stream.
fn two_streams(seed: u64) -> (Street, usize, ConsumerId) {
    let mut net = Network::new(seed);
    let main = Film::usual(&net);
    let sub = Film {
        packets: (15, 1),
        timestamp: 123_456,
        ..main
    };
    let camera = Camera::open(&mut net, vec![sub, main], GopLimits::default());
    let mut street = Street { net, camera };
    let viewer = street.viewers(1)[0];
    street.run(6 * SECOND);
    let consumer = street.watch(viewer);
    (street, viewer, consumer)
}

#[test]
fn a_tile_that_is_made_larger_is_black_until_the_next_key_frame() {
    let (mut street, viewer, consumer) = two_streams(305);
    let spatials = [Spatial::LOW, Spatial::MEDIUM, Spatial::LOW, Spatial::MEDIUM];
    for spatial in spatials {
        let layer = Layer {
            spatial,
            ..Layer::TOP
        };
        let delivery = Delivery {
            layer,
            ..Delivery::FULL
        };
        let request = Request::ConfigureConsumer { consumer, delivery };
        let at = street.net.now;
        street.net.request(request);
        street.run(PROMPT);
        let got = since(&street.net.peers[viewer], at);
        let shown = got.last().map(|got| usize::from(got.stamp().0));
        assert_eq!(shown, Some(spatial.index()), "still the other one");
        street.run(Duration::from_millis(1200));
        let got = since(&street.net.peers[viewer], at);
        for pair in got.windows(2) {
            let pause = pair[1].at - pair[0].at;
            assert!(pause < Duration::from_millis(100), "nothing for {pause:?}");
        }
    }
    assert_seamless(&street.net.peers[viewer].got);
}

#[test]
fn a_tile_that_was_hidden_is_black_until_the_next_key_frame() {
    let mut street = Street::new(306);
    let viewer = street.viewers(1)[0];
    street.run(SECOND);
    let consumer = street.watch(viewer);
    street.run(SECOND);
    for paused in [true, false] {
        let delivery = Delivery {
            paused,
            ..Delivery::FULL
        };
        street
            .net
            .request(Request::ConfigureConsumer { consumer, delivery });
        street.run(3 * SECOND);
    }
    let got = &street.net.peers[viewer].got;
    assert_seamless(got);
    let resumed = street.net.now - 3 * SECOND;
    let after = since(&street.net.peers[viewer], resumed);
    assert!(after[0].at - resumed < PROMPT && is_key(&after[0]));
    assert_film(&after, street.camera.film_mut(0));
}

#[test]
fn what_a_muted_camera_saw_is_shown_afterwards() {
    let mut street = Street::new(307);
    let viewer = street.viewers(1)[0];
    street.run(2 * SECOND);
    let producer = street.camera.producer;
    for paused in [true, false] {
        street
            .net
            .request(Request::PauseProducer { producer, paused });
        street.run(SECOND);
    }
    street.watch(viewer);
    street.run(SECOND);
    assert!(street.net.peers[viewer].got.is_empty());
    street.run(8 * SECOND);
    let got = &street.net.peers[viewer].got;
    assert_eq!(got[0].stamp().1, 250, "the first key frame since");
}

#[test]
fn a_picture_that_is_lost_for_good_stands_until_the_next_key_frame() {
    let mut street = Street::new(308);
    let viewer = street.viewers(1)[0];
    street.run(4 * SECOND);
    street.first_picture(viewer);
    street.run(2 * SECOND);
    let ssrc = street.net.peers[viewer].got[0].ssrc;
    let at = street.net.now;
    street.net.peers[viewer].request_key_frame(ssrc);
    street.run(PROMPT);
    let got = since(&street.net.peers[viewer], at);
    assert_eq!(key_packets(&got), 100, "no key frame");
    street.run(SECOND);
    assert_seamless(&street.net.peers[viewer].got);
    // Not as often as somebody asks.
    for _ in 0..20 {
        street.net.peers[viewer].request_key_frame(ssrc);
        street.run(Duration::from_millis(20));
    }
    street.run(SECOND);
    let got = since(&street.net.peers[viewer], at);
    let repeated = key_packets(&got) / 100;
    assert!(repeated <= 3, "{repeated} times");
}

#[test]
fn camera_with_a_key_frame_a_minute_is_black_for_half_of_them() {
    let mut street = Street::with(323, GopLimits::default(), |film| film.group = 1500);
    let viewers = street.viewers(2);
    street.run(20 * SECOND);
    let before = street.first_picture(viewers[0]);
    street.catch_up(viewers[0]);
    assert_seamless(&street.net.peers[viewers[0]].got);
    street.run(20 * SECOND);
    let after = street.first_picture(viewers[1]);
    assert!(before < PROMPT && after < PROMPT, "{before:?}, {after:?}");
    // The rest is too much by then: a picture stands, and nothing comes that does not follow it.
    street.run(22 * SECOND);
    let seen = frames(&street.net.peers[viewers[1]].got);
    assert_eq!((seen[0], seen[1]), (0, 1500), "{seen:?}");
    assert!(seen.len() > 20);
}

#[test]
fn browser_that_was_not_ready_for_the_first_picture_waits_for_seconds() {
    // The rest of the group is short, and the viewer has come up to what is live when it asks; or
    // it is long, and the viewer is still catching up.
    for (seed, waited) in [(321, SECOND / 2), (322, 9 * SECOND)] {
        let mut street = Street::new(seed);
        let viewer = street.viewers(1)[0];
        street.run(waited);
        street.first_picture(viewer);
        // It drops everything until it has read our answer.
        street.run(Duration::from_millis(100));
        let (at, ssrc) = (street.net.now, street.net.peers[viewer].got[0].ssrc);
        street.net.peers[viewer].request_key_frame(ssrc);
        street.run(PROMPT);
        let got = since(&street.net.peers[viewer], at);
        assert_eq!(key_packets(&got), 100, "after {waited:?}");
    }
}

#[test]
fn packets_that_are_lost_while_a_viewer_catches_up_are_lost_for_good() {
    let mut street = Street::new(309);
    let viewer = street.viewers(1)[0];
    // Not so late that the next key frame makes the rest useless, which is then not kept.
    street.run(6 * SECOND);
    street.net.loss = 0.05;
    street.watch(viewer);
    street.run(2 * SECOND);
    street.net.loss = 0.0;
    street.run(SECOND);
    let mut got = street.net.peers[viewer].got.clone();
    got.sort_by_key(|packet| packet.seq);
    got.dedup_by_key(|packet| packet.seq);
    let (first, last) = (got.first().unwrap().seq, got.last().unwrap().seq);
    let missing = (last - first + 1) as usize - got.len();
    // Forty were lost. The peer asks only for what is among its last hundred packets, and these
    // come quickly.
    assert!(missing <= 4, "{missing} of {}", got.len());
    assert!(is_key(&got[0]) && got.len() > 500);
}

/// Sound of a camera beside its pictures.
struct Microphone {
    producer: ProducerId,
    due: Instant,
    count: u32,
}

impl Microphone {
    fn open(net: &mut Network, codec: Codec) -> Microphone {
        let producer = ProducerId(net.id());
        let options = SourceOptions {
            codec,
            encodings: 1,
            stereo: false,
            cache: GopLimits::default(),
        };
        net.request(Request::OpenSource { producer, options });
        Microphone {
            producer,
            due: net.now,
            count: 0,
        }
    }

    /// What is due of it. Each third packet is late by so much, as far as anybody knows.
    fn record(&mut self, net: &mut Network, late: Duration) {
        while self.due <= net.now {
            let mut payload = vec![0x78; 60];
            payload.push(7);
            payload.extend(self.count.to_be_bytes());
            let late = if self.count.is_multiple_of(3) {
                late
            } else {
                Duration::ZERO
            };
            let packets = vec![SourcePacket {
                encoding: Spatial::LOW,
                timestamp: 1_000_000 + self.count * 960,
                capture: self.due + late,
                marker: false,
                payload: payload.into(),
            }];
            let producer = self.producer;
            net.request(Request::SourcePackets { producer, packets });
            self.count += 1;
            self.due += Duration::from_millis(20);
        }
    }

    fn track(&self, camera: &Camera) -> Track {
        Track {
            producer: self.producer,
            kind: Kind::Audio,
            ..camera.track()
        }
    }
}

#[test]
fn lips_move_before_or_after_the_words_of_a_camera() {
    for (seed, late) in [(310, 0), (311, 50)] {
        let mut street = Street::new(seed);
        let mut microphone = Microphone::open(&mut street.net, Codec::Opus);
        let (film_began, sound_began) = (street.camera.film_mut(0).due, microphone.due);
        assert_eq!(film_began, sound_began);
        let viewer = street.viewers(1)[0];
        let track = microphone.track(&street.camera);
        street.watch(viewer);
        street.net.consume(viewer, &track, Delivery::FULL);
        for _ in 0..6000 {
            microphone.record(&mut street.net, Duration::from_millis(late));
            street.run(TICK);
        }
        let peer = &street.net.peers[viewer];
        // When, by the sender reports, the first frame of each was there.
        let began = |rate: f64, every: f64, audio: bool| {
            let of_kind = |got: &&Got| (got.stamp().0 == 7) == audio;
            let got = peer.got.iter().rev().find(of_kind).expect("a packet");
            let (time, rtp) = peer.clocks[&got.ssrc];
            let time = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            let since = f64::from(got.timestamp.wrapping_sub(rtp) as i32) / rate;
            time.as_secs_f64() + since - f64::from(got.stamp().1) * every
        };
        let apart = began(48_000.0, 0.02, true) - began(90_000.0, 0.04, false);
        println!("{apart} s apart");
        assert!(apart.abs() < 0.02, "{apart} s apart");
    }
}

#[test]
fn a_viewer_behind_a_thin_link_gets_old_pictures_and_no_sound() {
    for (seed, known) in [(312, false), (313, true)] {
        let mut street = Street::with(seed, GopLimits::default(), |film| {
            film.packets = (18, 1); // 200 kbit/s and a key frame of 18 kB
        });
        let mut microphone = Microphone::open(&mut street.net, Codec::Opus);
        let viewer = street.viewers(1)[0];
        street.net.narrow = Some((viewer, 500_000));
        let track = microphone.track(&street.camera);
        street.net.consume(viewer, &track, Delivery::FULL);
        let mut run = |street: &mut Street, ticks: u32| {
            for _ in 0..ticks {
                microphone.record(&mut street.net, Duration::ZERO);
                street.run(TICK);
            }
        };
        if known {
            // Something else has shown what the link carries.
            let consumer = street.watch(viewer);
            run(&mut street, 21_000);
            street.net.request(Request::CloseConsumer { consumer });
        }
        let position = street.camera.film_mut(0).frame % 250;
        run(&mut street, (225 - position) * 40);
        let at = street.net.now;
        street.watch(viewer);
        run(&mut street, 3000);
        let got = since(&street.net.peers[viewer], at);
        let sound = got.iter().filter(|got| got.stamp().0 == 7).count();
        let pictures: Vec<Got> = got.into_iter().filter(|got| got.stamp().0 != 7).collect();
        println!(
            "known {known}: {} B of pictures, {sound} packets of sound",
            bytes(&pictures)
        );
        assert!(sound >= 140, "{sound} of 150 packets of sound");
        assert!(bytes(&pictures) <= 3 * 500_000 / 8, "flooded");
        assert!(pictures[0].at - at < SECOND, "{:?}", pictures[0].at - at);
        // What is live comes with the next key frame at the latest.
        let newest = street.camera.film_mut(0).frame;
        let shown = pictures.last().unwrap().stamp().1;
        assert!(newest - shown < 20, "{} frames behind", newest - shown);
    }
}

#[test]
fn a_viewer_behind_a_usual_link_loses_what_it_is_sent_at_once() {
    let mut street = Street::new(316);
    let mut microphone = Microphone::open(&mut street.net, Codec::Opus);
    let viewer = street.viewers(1)[0];
    street.net.narrow = Some((viewer, 10_000_000));
    let track = microphone.track(&street.camera);
    street.net.consume(viewer, &track, Delivery::FULL);
    let mut run = |street: &mut Street, ticks: u32| {
        for _ in 0..ticks {
            microphone.record(&mut street.net, Duration::ZERO);
            street.run(TICK);
        }
    };
    run(&mut street, 5000);
    let at = street.net.now;
    street.watch(viewer);
    run(&mut street, 1500);
    let newest = street.camera.film_mut(0).frame;
    let got = since(&street.net.peers[viewer], at);
    let pictures = got.iter().rev().filter(|got| got.stamp().0 != 7);
    let shown = pictures.map(|got| got.stamp().1).next();
    assert!(shown >= Some(newest - 5), "{shown:?} of {newest} frames");
    run(&mut street, 1500);
    let got = since(&street.net.peers[viewer], at);
    let (sound, pictures): (Vec<Got>, Vec<Got>) =
        got.into_iter().partition(|got| got.stamp().0 == 7);
    assert_film(&pictures, street.camera.film_mut(0));
    assert_seamless(&pictures);
    assert_seamless(&sound);
    let newest = street.camera.film_mut(0).frame;
    let shown = pictures.last().unwrap().stamp().1;
    assert!(newest - shown < 5, "{} frames behind", newest - shown);
    let late = sound.windows(2).map(|pair| pair[1].at - pair[0].at).max();
    let late = late.unwrap_or_default();
    println!("sound stops for {late:?}");
    assert!(late < Duration::from_millis(150), "{late:?} without sound");
}

#[test]
fn a_radio_that_always_loses_something_makes_a_picture_stand() {
    let mut street = Street::new(318);
    let viewer = street.viewers(1)[0];
    street.run(2 * SECOND);
    street.net.loss = 0.09;
    street.watch(viewer);
    for _ in 0..4 {
        street.run(3 * SECOND);
        let newest = street.camera.film_mut(0).frame;
        let got = &street.net.peers[viewer].got;
        let shown = got.iter().map(|got| got.stamp().1).max();
        assert!(shown >= Some(newest - 50), "{shown:?} of {newest} frames");
    }
}

#[test]
fn a_wall_of_cameras_is_black_or_stays_behind() {
    let mut net = Network::new(317);
    let open = |net: &mut Network| {
        let film = Film {
            packets: (60, 3),
            ..Film::usual(net)
        };
        Camera::open(net, vec![film], GopLimits::default())
    };
    let mut cameras: Vec<Camera> = (0..9).map(|_| open(&mut net)).collect();
    let viewer = net.join(&[], 0, 9);
    let mut run = |net: &mut Network, ticks: u32| {
        for _ in 0..ticks {
            cameras.iter_mut().for_each(|camera| camera.film(net));
            net.run(TICK);
        }
        cameras.iter().map(Camera::track).collect::<Vec<_>>()
    };
    let tracks = run(&mut net, 5000);
    let at = net.now;
    for track in &tracks {
        net.consume(viewer, track, Delivery::FULL);
    }
    run(&mut net, 4000);
    let got = since(&net.peers[viewer], at);
    let mut ssrcs: Vec<u32> = got.iter().map(|got| got.ssrc).collect();
    ssrcs.sort_unstable();
    ssrcs.dedup();
    assert_eq!(ssrcs.len(), 9);
    for ssrc in ssrcs {
        let of: Vec<Got> = got.iter().filter(|got| got.ssrc == ssrc).cloned().collect();
        assert_seamless(&of);
        let shown = of
            .iter()
            .filter(|got| is_key(got))
            .nth(59)
            .expect("a picture")
            .at
            - at;
        let live = of
            .iter()
            .find(|got| got.stamp().1 >= 128)
            .map(|got| got.at - at);
        println!("first picture after {shown:?}, live after {live:?}");
        assert!(shown < 2 * PROMPT, "a picture after {shown:?}");
    }
}

#[test]
fn a_camera_that_sends_rubbish_ends_more_than_a_packet() {
    let mut street = Street::new(314);
    let viewer = street.viewers(1)[0];
    street.watch(viewer);
    street.run(SECOND);
    let (producer, now) = (street.camera.producer, street.net.now);
    let packet = |encoding, size: usize| SourcePacket {
        encoding,
        timestamp: 1,
        capture: now,
        marker: true,
        payload: vec![0x41; size].into(),
    };
    let packets = vec![
        packet(Spatial::LOW, 0),
        packet(Spatial::LOW, SourcePacket::LARGEST + 1),
        packet(Spatial::MEDIUM, 100),
    ];
    for producer in [producer, ProducerId(999_999)] {
        let packets = packets.clone();
        street
            .net
            .request(Request::SourcePackets { producer, packets });
        let encoding = Spatial::HIGH;
        street
            .net
            .request(Request::SourceRestart { producer, encoding });
    }
    assert_eq!(statistics(&mut street).producers[0].refused, 3);
    street.run(SECOND);
    let got = &street.net.peers[viewer].got;
    assert_seamless(got);
    assert_film(got, street.camera.film_mut(0));
    street.net.request(Request::CloseProducer { producer });
    street.run(TICK);
    let left = statistics(&mut street);
    assert!(left.producers.is_empty() && left.consumers.is_empty());
}

#[test]
fn a_browser_that_cannot_play_a_camera_is_told_nothing() {
    let mut street = Street::new(315);
    let mut microphone = Microphone::open(&mut street.net, Codec::G722);
    let viewer = street.viewers(1)[0];
    let track = microphone.track(&street.camera);
    let consumer = street.net.consume(viewer, &track, Delivery::FULL);
    microphone.record(&mut street.net, Duration::ZERO);
    street.run(SECOND);
    microphone.record(&mut street.net, Duration::ZERO);
    street.run(SECOND);
    let failed = |report: &Report| {
        let expected = ConsumerError::CodecUnsupported(Codec::G722);
        matches!(report, Report::ConsumerFailed { consumer: of, error } if *of == consumer && *error == expected)
    };
    assert!(street.net.reports.iter().any(failed));
}
