//! Several workers, and several servers.

use umbrella_engine::{FeedStream, TransportId};

use super::super::mirrors::House;
use super::super::trunks::mesh::{self, Mesh};
use super::*;

/// The longest that somebody waits for a picture.
const PROMPT: Duration = Duration::from_millis(300);

/// Runs two workers and a camera on the first.
fn run_house(house: &mut House, camera: &mut Camera, time: Duration) {
    let end = house.now() + time;
    while house.now() < end {
        camera.film(&mut house.nets[0]);
        house.run(TICK);
    }
}

#[test]
fn viewers_on_another_worker_see_nothing_for_ten_seconds() {
    let mut house = House::new(320);
    let film = Film::usual(&house.nets[0]);
    let mut camera = Camera::open(&mut house.nets[0], vec![film], GopLimits::default());
    let viewers = [0, 1].map(|_| house.nets[1].join(&[], 0, 1));
    run_house(&mut house, &mut camera, 5 * SECOND);
    for viewer in viewers {
        let at = house.now();
        let track = Track {
            home: Some(0),
            ..camera.track()
        };
        house.nets[1].consume(viewer, &track, Delivery::FULL);
        run_house(&mut house, &mut camera, PROMPT);
        let got = since(&house.nets[1].peers[viewer], at);
        assert_eq!(key_packets(&got), 100, "no picture");
        run_house(&mut house, &mut camera, 2 * SECOND);
        let got = since(&house.nets[1].peers[viewer], at);
        assert_seamless(&got);
        assert_film(&got, camera.film_mut(0));
        let newest = camera.film_mut(0).frame;
        assert!(newest - got.last().unwrap().stamp().1 < 4, "behind");
    }
}

#[test]
fn what_is_lost_between_workers_is_lost_until_the_next_key_frame() {
    let mut house = House::new(323);
    let film = Film::usual(&house.nets[0]);
    let mut camera = Camera::open(&mut house.nets[0], vec![film], GopLimits::default());
    let viewer = house.nets[1].join(&[], 0, 1);
    run_house(&mut house, &mut camera, 2 * SECOND);
    let track = Track {
        home: Some(0),
        ..camera.track()
    };
    house.nets[1].consume(viewer, &track, Delivery::FULL);
    run_house(&mut house, &mut camera, 2 * SECOND);
    for _ in 0..200 {
        camera.film(&mut house.nets[0]);
        house.nets.iter_mut().for_each(|net| net.run(TICK));
        while house.nets[0].worker.poll_relay().is_some() {}
    }
    run_house(&mut house, &mut camera, Duration::from_millis(500));
    let peer = &mut house.nets[1].peers[viewer];
    let ssrc = peer.got[0].ssrc;
    let at = house.now();
    // As a browser does that cannot go on.
    for _ in 0..5 {
        house.nets[1].peers[viewer].request_key_frame(ssrc);
        run_house(&mut house, &mut camera, Duration::from_millis(200));
    }
    run_house(&mut house, &mut camera, 2 * SECOND);
    let got = since(&house.nets[1].peers[viewer], at);
    let begins = got.iter().position(is_key).expect("a key frame");
    assert!(got[begins].at - at < SECOND);
    assert_film(&got[begins..], camera.film_mut(0));
}

/// Two servers, a camera on the first, and its feed on the second.
struct Road {
    mesh: Mesh,
    camera: Camera,
    feed: ProducerId,
    link: TransportId,
    stream: FeedStream,
    viewers: Vec<usize>,
}

impl Road {
    fn new(seed: u64) -> Road {
        let mut mesh = Mesh::new(seed, 2);
        let link = mesh.link(0, 1);
        let film = Film::usual(&mesh.nets[0]);
        let camera = Camera::open(&mut mesh.nets[0], vec![film], GopLimits::default());
        let viewers = (0..3).map(|_| mesh.nets[1].join(&[], 0, 1)).collect();
        mesh.connect(&[link]);
        let stream = mesh::stream(7, Spatial::LOW);
        let feed = mesh.feed_with(1, Kind::Video, Some(GopLimits::default()));
        mesh.connect_feed(1, feed, Some((link.end(1), vec![stream])));
        let mut road = Road {
            mesh,
            camera,
            feed,
            link: link.end(0),
            stream,
            viewers,
        };
        road.run(5 * SECOND);
        road
    }

    fn run(&mut self, time: Duration) {
        let end = self.mesh.now() + time;
        while self.mesh.now() < end {
            self.camera.film(&mut self.mesh.nets[0]);
            self.mesh.run(TICK);
        }
    }

    fn got(&self, viewer: usize, at: Instant) -> Vec<Got> {
        since(&self.mesh.nets[1].peers[viewer], at)
    }

    /// Somebody begins to watch on the second server, the first one with a branch.
    fn watch(&mut self, index: usize) -> Duration {
        let (at, viewer) = (self.mesh.now(), self.viewers[index]);
        if index == 0 {
            let (link, stream) = (self.link, self.stream);
            let producer = self.camera.producer;
            self.mesh.branch(0, link, producer, stream, Delivery::FULL);
        }
        self.mesh.consume(1, viewer, self.feed);
        while key_packets(&self.got(viewer, at)) < 100 {
            self.run(TICK);
            assert!(self.mesh.now() - at < 3 * SECOND, "no picture");
        }
        self.mesh.now() - at
    }
}

#[test]
fn viewers_on_another_server_see_nothing_for_ten_seconds() {
    let mut road = Road::new(321);
    for index in 0..3 {
        let at = road.mesh.now();
        let took = road.watch(index);
        println!("first picture on another server after {took:?}");
        assert!(took < PROMPT, "after {took:?}");
        road.run(3 * SECOND);
        let got = road.got(road.viewers[index], at);
        assert_seamless(&got);
        assert_film(&got, road.camera.film_mut(0));
        let newest = road.camera.film_mut(0).frame;
        assert!(newest - got.last().unwrap().stamp().1 < 6, "behind");
    }
}

#[test]
fn a_picture_that_is_lost_on_the_link_stands_until_the_next_key_frame() {
    let mut road = Road::new(322);
    road.mesh.loss = 0.05;
    let at = road.mesh.now();
    road.watch(0);
    road.run(2 * SECOND);
    road.mesh.loss = 0.0;
    road.run(SECOND);
    let mut got = road.got(road.viewers[0], at);
    got.sort_by_key(|packet| packet.seq);
    got.dedup_by_key(|packet| packet.seq);
    let (first, last) = (got.first().unwrap().seq, got.last().unwrap().seq);
    let missing = (last - first + 1) as usize - got.len();
    assert!(missing * 200 <= got.len(), "{missing} of {}", got.len());
    // Whoever has lost it altogether gets it again, from the cache there.
    let (at, viewer) = (road.mesh.now(), road.viewers[0]);
    road.mesh.nets[1].peers[viewer].request_key_frame(got[0].ssrc);
    road.run(PROMPT);
    assert!(key_packets(&road.got(viewer, at)) >= 90, "no key frame");
}
