//! Two servers with real sockets between them, and strangers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Ws;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use umbrella_wire::trunk::frame::Message;
use umbrella_wire::trunk::{Frame, Ping, Synced};

use super::hello::{Dialler, Own, frame};
use super::*;
use crate::config::{TrunkAllow, TrunkConfig, TrunkTo};
use crate::http::api::{AddTrunk, AllowServer, TrunkEntry, TrunkState};
use crate::mdns::Lan;
use crate::memory::Memory;
use crate::store::{DataDir, Store};

mod introduced;

const PATIENCE: Duration = Duration::from_secs(20);

struct Site {
    trunks: Trunks,
    events: mpsc::Receiver<LinkEvent>,
    address: SocketAddr,
    _server: tokio::task::JoinHandle<()>,
}

impl Site {
    async fn start(dir: &tempfile::TempDir, name: &str) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Site::on(listener, dir, name, true).await
    }

    /// One that has no memory left.
    async fn full(dir: &tempfile::TempDir) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Site::with(listener, dir, ("Full", true), Memory::new(Some(1))).await
    }

    /// One that carries no media.
    async fn middle(dir: &tempfile::TempDir) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Site::on(listener, dir, "Middle", false).await
    }

    async fn on(listener: TcpListener, dir: &tempfile::TempDir, name: &str, media: bool) -> Site {
        Site::with(listener, dir, (name, media), Memory::new(None)).await
    }

    async fn with(
        listener: TcpListener,
        dir: &tempfile::TempDir,
        (name, media): (&str, bool),
        memory: Memory,
    ) -> Site {
        let config = TrunkConfig {
            name: name.to_owned(),
            media,
            direct: true,
            to: Vec::new(),
            allow: Vec::new(),
        };
        // The lock of the directory goes: its server may have stopped in this very process.
        let store = Store::open(&DataDir::claim(dir.path()).unwrap()).unwrap();
        let (trunks, events) = Trunks::new(&config, store, None, Lan::default(), memory)
            .await
            .unwrap();
        let reflectors = vec!["192.0.2.1:40000".parse().unwrap()];
        trunks.start(&config, reflectors).await.unwrap();
        let address = listener.local_addr().unwrap();
        let doors = axum::Router::new().nest("/u", router(trunks.clone()));
        let service = doors.into_make_service_with_connect_info::<SocketAddr>();
        let serve = axum::serve(listener, service.clone());
        Site {
            trunks,
            events,
            address,
            _server: tokio::spawn(async move { serve.await.unwrap() }),
        }
    }

    fn url(&self) -> String {
        format!("http://{}/u", self.address)
    }

    async fn allow(&self, expires_in_s: Option<u64>) -> String {
        let new = AllowServer {
            name: "friend".into(),
            rooms: vec!["shared-*".into()],
            expires_in_s,
            moderate: false,
        };
        self.trunks.allow(new).await.unwrap().1
    }

    async fn add(&self, url: &str, secret: &str) {
        let new = AddTrunk {
            url: url.to_owned(),
            secret: secret.to_owned(),
            rooms: vec!["*-a".into()],
            moderate: true,
            insecure: false,
        };
        self.trunks.add(&new).await.unwrap();
    }

    fn entry(&self) -> TrunkEntry {
        self.trunks.overview().entries.remove(0)
    }

    async fn until(&self, state: TrunkState) -> TrunkEntry {
        let end = Instant::now() + PATIENCE;
        loop {
            let entry = self.entry();
            if entry.state == state {
                return entry;
            }
            assert!(Instant::now() < end, "{entry:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn event(&mut self) -> LinkEvent {
        loop {
            let event = timeout(PATIENCE, self.events.recv()).await;
            let event = event.expect("an event").expect("an event");
            if !matches!(event, LinkEvent::RoundTrip { .. }) {
                return event;
            }
        }
    }

    async fn up(&mut self) -> (LinkId, Box<Neighbour>, LinkOutbox) {
        let event = self.event().await;
        if let LinkEvent::Up {
            link,
            neighbour,
            outbox,
        } = event
        {
            return (link, neighbour, outbox);
        }
        panic!("{event:?}");
    }

    async fn down(&mut self, which: LinkId) {
        let event = self.event().await;
        assert!(
            matches!(event, LinkEvent::Down { link } if link == which),
            "{event:?}"
        );
    }

    async fn refusals(&self, count: usize) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let refusals = self.trunks.overview().refusals;
            if refusals.len() >= count {
                return refusals.into_iter().map(|refusal| refusal.why).collect();
            }
            assert!(Instant::now() < end, "{refusals:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Something that speaks the protocol itself.
type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn client(site: &Site) -> Client {
    let url = format!("ws://{}/u/wsb", site.address);
    connect_async(url).await.unwrap().0
}

async fn next(client: &mut Client) -> Option<Vec<u8>> {
    loop {
        match timeout(PATIENCE, client.next()).await.expect("a frame") {
            Some(Ok(Ws::Binary(bytes))) => return Some(bytes.to_vec()),
            Some(Ok(Ws::Close(_)) | Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}

async fn send(client: &mut Client, bytes: Vec<u8>) {
    client.send(Ws::Binary(bytes.into())).await.unwrap();
}

fn own(node: &str, incarnation: u64) -> Own {
    Own {
        node: node.into(),
        incarnation,
        name: "client".into(),
        version: "1".into(),
        media: true,
    }
}

/// Joins by hand; the last frame of the handshake.
async fn join(site: &Site, secret: &str, own: Own) -> (Client, Frame) {
    let secret: JoinSecret = secret.parse().unwrap();
    let mut client = client(site).await;
    let (dialler, hello) = Dialler::new(own, &secret.key(), secret.proof_key(), &[]);
    send(&mut client, hello).await;
    let challenge = next(&mut client).await.unwrap();
    let (_, proof) = dialler.challenge(&challenge).unwrap();
    send(&mut client, proof).await;
    let last = next(&mut client).await.unwrap();
    let last = Frame::decode(&*last).unwrap();
    (client, last)
}

fn refused(frame: &Frame) -> String {
    match &frame.message {
        Some(Message::Refused(refused)) => refused.text.clone(),
        other => panic!("{other:?}"),
    }
}

/// What the neighbour says before it closes.
async fn bye(client: &mut Client) -> String {
    while let Some(bytes) = next(client).await {
        if let Some(Message::Bye(bye)) = Frame::decode(&*bytes).unwrap().message {
            return bye.text;
        }
    }
    panic!("no Bye");
}

fn dirs() -> (tempfile::TempDir, tempfile::TempDir) {
    (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap())
}

#[tokio::test]
async fn two_servers_join_and_tell_each_other_something() {
    let (a_dir, b_dir) = dirs();
    let mut a = Site::start(&a_dir, "Site A").await;
    let mut b = Site::start(&b_dir, "Site B").await;
    a.add(&b.url(), &b.allow(Some(60)).await).await;
    let (link, seen, outbox) = a.up().await;
    let (link_there, seen_there, outbox_there) = b.up().await;
    assert_eq!((&*seen.node, &*seen.name), (&*b.trunks.node(), "Site B"));
    assert_eq!(
        (&*seen_there.node, &*seen_there.name),
        (&*a.trunks.node(), "Site A")
    );
    assert_eq!(seen_there.incarnation, a.trunks.incarnation());
    assert!(seen.dialled && !seen_there.dialled);
    assert!(seen.may_moderate && !seen_there.may_moderate);
    for rooms in [&seen.rooms, &seen_there.rooms] {
        assert!(rooms.allow("shared-a"));
        assert!(!rooms.allow("shared-b") && !rooms.allow("own-a"));
    }
    let synced = |room: &str| {
        frame(Message::Synced(Synced {
            room: room.into(),
            origin: "ND_x".into(),
        }))
    };
    assert!(outbox.send(synced("there")) && outbox_there.send(synced("here")));
    for (site, room, which) in [(&mut b, "there", link_there), (&mut a, "here", link)] {
        let event = site.event().await;
        let LinkEvent::Frame { link, frame } = event else {
            panic!("{event:?}");
        };
        assert_eq!((link, *frame), (which, synced(room)));
    }
    let entry = a.until(TrunkState::Connected).await;
    assert_eq!(entry.neighbour.unwrap().name, "Site B");
    assert_eq!(b.trunks.overview().allowed[0].connected[0].name, "Site A");
    outbox_there.end("enough for today");
    b.down(link_there).await;
    a.down(link).await;
    let entry = a.until(TrunkState::Reconnecting).await;
    assert_eq!(entry.why.unwrap(), "enough for today");
    a.up().await;
}

#[tokio::test]
async fn moderators_of_a_server_that_is_dialled_have_a_say_although_they_should_not() {
    let (a_dir, b_dir) = dirs();
    let mut a = Site::start(&a_dir, "A").await;
    let b = Site::start(&b_dir, "B").await;
    let new = AddTrunk {
        url: b.url(),
        secret: b.allow(None).await,
        rooms: Vec::new(),
        moderate: false,
        insecure: false,
    };
    assert!(!a.trunks.add(&new).await.unwrap().moderate);
    let (_, seen, _outbox) = a.up().await;
    assert!(!seen.may_moderate);
}

#[tokio::test]
async fn server_joins_one_that_has_no_memory_left_or_gives_up() {
    let (one, two) = dirs();
    let (full, site) = (Site::full(&one).await, Site::start(&two, "Away").await);
    site.add(&full.url(), &full.allow(None).await).await;
    let entry = site.until(TrunkState::Reconnecting).await;
    let why = entry.why.unwrap_or_default();
    assert!(why.contains("no memory left for more"), "{why}");
    assert!(full.trunks.states().iter().all(|(_, count)| *count == 0));
}

#[tokio::test]
async fn secret_works_that_is_wrong_expired_or_revoked() {
    let (a_dir, b_dir) = dirs();
    let mut b = Site::start(&b_dir, "B").await;
    let good = b.allow(None).await;
    let strange = JoinSecret::random(None);
    let expired = b.allow(Some(0)).await;
    let revoked = b.allow(None).await;
    let key = revoked.parse::<JoinSecret>().unwrap().key();
    b.trunks.revoke(&key).await.unwrap();
    let mut said = Vec::new();
    for secret in [&strange.text(), &expired, &revoked] {
        let a = Site::start(&a_dir, "A").await;
        a.add(&b.url(), secret).await;
        let entry = a.until(TrunkState::Refused).await;
        assert!((50..=70).contains(&entry.retry_in_s.unwrap()));
        said.push(entry.why.unwrap());
        a.trunks.remove(&entry.key).await.unwrap();
        a.trunks.shutdown().await;
    }
    assert!(
        said[0].contains("does not know") && said[1].contains("not accepted"),
        "{said:?}"
    );
    let why = b.refusals(3).await;
    assert!(
        why[0].contains("revoked") && why[1].contains("expired"),
        "{why:?}"
    );
    // The right key with another secret.
    let good: JoinSecret = good.parse().unwrap();
    let mut liar = client(&b).await;
    let (_, hello) = Dialler::new(own("ND_x", 1), &good.key(), strange.proof_key(), &[]);
    send(&mut liar, hello).await;
    next(&mut liar).await.unwrap();
    let proof = umbrella_wire::trunk::Proof { proof: vec![0; 32] };
    send(&mut liar, frame(Message::Proof(proof)).encode_to_vec()).await;
    let text = refused(&Frame::decode(&*next(&mut liar).await.unwrap()).unwrap());
    assert_eq!(text, said[1]);
    assert!(b.refusals(4).await[0].contains("does not know"));
    assert!(b.events.try_recv().is_err(), "nobody has come in");
    assert!(!format!("{:?}", b.trunks.overview()).contains(&expired[20..60]));
}

#[tokio::test]
async fn server_that_has_joined_cannot_come_back_after_the_secret_expired() {
    let b_dir = tempfile::tempdir().unwrap();
    let b = Site::start(&b_dir, "B").await;
    let secret = b.allow(Some(2)).await;
    let (_, welcome) = join(&b, &secret, own("ND_a", 1)).await;
    assert!(matches!(welcome.message, Some(Message::Welcome(_))));
    b.trunks.shutdown().await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let b = Site::start(&b_dir, "B").await;
    let (_, welcome) = join(&b, &secret, own("ND_a", 2)).await;
    assert!(
        matches!(welcome.message, Some(Message::Welcome(_))),
        "{welcome:?}"
    );
    let (_, other) = join(&b, &secret, own("ND_other", 1)).await;
    assert!(refused(&other).contains("not accepted"));
}

#[tokio::test]
async fn revoked_server_stays_connected() {
    let (a_dir, b_dir) = dirs();
    let mut a = Site::start(&a_dir, "A").await;
    let mut b = Site::start(&b_dir, "B").await;
    a.add(&b.url(), &b.allow(None).await).await;
    let (link, _, _out) = a.up().await;
    let (link_there, _, _out_there) = b.up().await;
    let start = Instant::now();
    b.trunks.revoke("friend").await.unwrap();
    b.down(link_there).await;
    a.down(link).await;
    assert!(start.elapsed() < Duration::from_secs(1));
    let entry = a.until(TrunkState::Refused).await;
    assert!(entry.why.unwrap().contains("revoked"));
    assert!(b.trunks.overview().allowed.is_empty());
}

#[tokio::test]
async fn removed_server_is_dialled_again() {
    let (a_dir, b_dir) = dirs();
    let mut a = Site::start(&a_dir, "A").await;
    let mut b = Site::start(&b_dir, "B").await;
    a.add(&b.url(), &b.allow(None).await).await;
    let (link, _, _out) = a.up().await;
    let (link_there, _, _out_there) = b.up().await;
    a.until(TrunkState::Connected).await;
    a.trunks.remove("B").await.unwrap();
    a.down(link).await;
    b.down(link_there).await;
    assert!(a.trunks.overview().entries.is_empty());
    tokio::time::sleep(Duration::from_millis(1600)).await;
    assert!(b.events.try_recv().is_err());
}

#[tokio::test]
async fn server_that_was_started_again_is_not_found() {
    let (a_dir, b_dir) = dirs();
    let mut a = Site::start(&a_dir, "A").await;
    let mut b = Site::start(&b_dir, "B").await;
    let secret = b.allow(None).await;
    a.add(&b.url(), &secret).await;
    let (link, _, _out) = a.up().await;
    let (link_there, _, _out_there) = b.up().await;
    let address = b.address;
    b.trunks.shutdown().await;
    b.down(link_there).await;
    b._server.abort();
    let _ = (&mut b._server).await;
    a.down(link).await;
    let why = a.until(TrunkState::Reconnecting).await.why.unwrap();
    assert!(
        why.contains("going down") || why.contains("refused"),
        "{why}"
    );
    let mut b = Site::on(TcpListener::bind(address).await.unwrap(), &b_dir, "B", true).await;
    a.up().await;
    let (_, neighbour, _out_there) = b.up().await;
    assert_eq!(neighbour.node, a.trunks.node());
    // And the one that dials is there again after its own restart.
    a.trunks.shutdown().await;
    let mut a = Site::start(&a_dir, "A").await;
    let (_, neighbour, _out) = a.up().await;
    assert_eq!(neighbour.node, b.trunks.node());
}

#[tokio::test]
async fn copied_data_directory_takes_the_place_of_its_original() {
    let b_dir = tempfile::tempdir().unwrap();
    let mut b = Site::start(&b_dir, "B").await;
    let secret = b.allow(None).await;
    let (mut first, welcome) = join(&b, &secret, own("ND_a", 1)).await;
    assert!(matches!(welcome.message, Some(Message::Welcome(_))));
    let (link, _, _out) = b.up().await;
    let answering = tokio::spawn(async move {
        while let Some(bytes) = next(&mut first).await {
            if let Some(Message::Ping(Ping { number })) = Frame::decode(&*bytes).unwrap().message {
                let pong = umbrella_wire::trunk::Pong { number };
                send(&mut first, frame(Message::Pong(pong)).encode_to_vec()).await;
            }
        }
    });
    let (_, second) = join(&b, &secret, own("ND_a", 2)).await;
    let text = refused(&second);
    assert!(
        text.contains("copied") && text.contains("umbrella trunk new-id"),
        "{text}"
    );
    // It loses its network: the next one is the same server after a restart.
    answering.abort();
    let _ = answering.await;
    let (_again, welcome) = join(&b, &secret, own("ND_a", 3)).await;
    assert!(
        matches!(welcome.message, Some(Message::Welcome(_))),
        "{welcome:?}"
    );
    b.down(link).await;
    let (_, neighbour, _out) = b.up().await;
    assert_eq!(neighbour.incarnation, 3);
}

#[tokio::test]
async fn silent_original_keeps_its_successor_out() {
    let b_dir = tempfile::tempdir().unwrap();
    let mut b = Site::start(&b_dir, "B").await;
    let secret = b.allow(None).await;
    // It never answers, though its connection stays open.
    let (_first, _) = join(&b, &secret, own("ND_a", 1)).await;
    let (link, _, _out) = b.up().await;
    let start = Instant::now();
    let (_second, welcome) = join(&b, &secret, own("ND_a", 2)).await;
    assert!(
        matches!(welcome.message, Some(Message::Welcome(_))),
        "{welcome:?}"
    );
    assert!((2..6).contains(&start.elapsed().as_secs()));
    let mut gone = false;
    let mut come = false;
    while !(gone && come) {
        let event = b.event().await;
        gone |= matches!(&event, LinkEvent::Down { link: which } if *which == link);
        come |= matches!(&event, LinkEvent::Up { neighbour, .. } if neighbour.incarnation == 2);
    }
}

#[tokio::test]
async fn parallel_links_pile_up() {
    let b_dir = tempfile::tempdir().unwrap();
    let mut b = Site::start(&b_dir, "B").await;
    let (one, two) = (b.allow(None).await, b.allow(None).await);
    let (mut first, _) = join(&b, &one, own("ND_a", 1)).await;
    let (link, _, _out) = b.up().await;
    let (_other, welcome) = join(&b, &two, own("ND_a", 1)).await;
    assert!(matches!(welcome.message, Some(Message::Welcome(_))));
    let (_, _, _out_other) = b.up().await;
    let (_second, _) = join(&b, &one, own("ND_a", 1)).await;
    assert!(bye(&mut first).await.contains("newer link"));
    let mut events = [b.event().await, b.event().await];
    events.sort_by_key(|event| matches!(event, LinkEvent::Up { .. }));
    assert!(matches!(events[0], LinkEvent::Down { link: which } if which == link));
    let connected = b.trunks.overview().allowed;
    assert!(connected.iter().all(|server| server.connected.len() == 1));
}

#[tokio::test]
async fn server_joins_itself() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::start(&dir, "A").await;
    let secret = site.allow(None).await;
    let own_secret = AddTrunk {
        url: site.url(),
        secret,
        rooms: Vec::new(),
        moderate: true,
        insecure: false,
    };
    let refused = site.trunks.add(&own_secret).await.unwrap_err().to_string();
    assert!(refused.contains("made by this server"), "{refused}");
    site.add(&site.url(), &JoinSecret::random(None).text())
        .await;
    let why = site.until(TrunkState::Refused).await.why.unwrap();
    assert_eq!(why, "this address leads back to this server");
}

#[test]
fn request_or_answer_with_a_secret_stands_in_a_log() {
    let secret = JoinSecret::random(None).text();
    let add = AddTrunk {
        url: "https://a".into(),
        secret: secret.clone(),
        rooms: Vec::new(),
        moderate: true,
        insecure: false,
    };
    assert!(!format!("{add:?}").contains(&secret));
}

#[tokio::test]
async fn other_version_is_refused_without_saying_so() {
    let b_dir = tempfile::tempdir().unwrap();
    let b = Site::start(&b_dir, "B").await;
    let side = umbrella_wire::trunk::Side {
        oldest_protocol: 2,
        newest_protocol: 4,
        node: "ND_a".into(),
        nonce: vec![1; 32],
        ..Default::default()
    };
    let hello = umbrella_wire::trunk::Hello {
        side: Some(side),
        key: "x".into(),
    };
    let mut client = client(&b).await;
    send(&mut client, frame(Message::Hello(hello)).encode_to_vec()).await;
    let text = refused(&Frame::decode(&*next(&mut client).await.unwrap()).unwrap());
    assert!(
        text.contains("versions 1 to 1") && text.contains("2 to 4"),
        "{text}"
    );
}

#[tokio::test]
async fn malformed_frame_ends_more_or_less_than_its_link() {
    let b_dir = tempfile::tempdir().unwrap();
    let mut b = Site::start(&b_dir, "B").await;
    let (one, two) = (b.allow(None).await, b.allow(None).await);
    let (_good, _) = join(&b, &one, own("ND_good", 1)).await;
    let (_, _, _out) = b.up().await;
    let hello = umbrella_wire::trunk::Hello::default();
    let too_long = vec![0; MAX_FRAME + 1];
    for (bytes, expected) in [
        (vec![0xff; 9], "cannot be read"),
        (frame(Message::Hello(hello)).encode_to_vec(), "handshake"),
        (too_long, "more than"),
    ] {
        let (mut bad, _) = join(&b, &two, own("ND_bad", 1)).await;
        let (link, _, _out) = b.up().await;
        send(&mut bad, bytes).await;
        let text = bye(&mut bad).await;
        assert!(text.contains(expected), "{text}");
        b.down(link).await;
    }
    let (mut unknown, _) = join(&b, &two, own("ND_bad", 1)).await;
    let (_, _, _out_unknown) = b.up().await;
    send(&mut unknown, vec![0xf8, 0x3f, 1]).await;
    let ping = frame(Message::Ping(Ping { number: 77 }));
    send(&mut unknown, ping.encode_to_vec()).await;
    while let Some(bytes) = next(&mut unknown).await {
        if let Some(Message::Pong(pong)) = Frame::decode(&*bytes).unwrap().message {
            assert_eq!(pong.number, 77);
            return;
        }
    }
    panic!("a message of a newer server has ended the link");
}

#[tokio::test]
async fn stranger_that_says_nothing_or_nonsense_stays() {
    let b_dir = tempfile::tempdir().unwrap();
    let b = Site::start(&b_dir, "B").await;
    let mut early = client(&b).await;
    let ping = frame(Message::Ping(Ping { number: 1 }));
    send(&mut early, ping.encode_to_vec()).await;
    let text = refused(&Frame::decode(&*next(&mut early).await.unwrap()).unwrap());
    assert!(text.contains("protocol of trunks"), "{text}");
    assert!(next(&mut early).await.is_none());
    let mut mute = client(&b).await;
    let start = Instant::now();
    let text = refused(&Frame::decode(&*next(&mut mute).await.unwrap()).unwrap());
    assert!(text.contains("too long"), "{text}");
    assert!((9..14).contains(&start.elapsed().as_secs()));
}

#[tokio::test]
async fn guessing_secrets_is_not_slowed_down() {
    let b_dir = tempfile::tempdir().unwrap();
    let b = Site::start(&b_dir, "B").await;
    let url = format!("ws://{}/u/wsb", b.address);
    let mut limited = false;
    for _ in 0..40 {
        limited |= matches!(
            connect_async(url.as_str()).await,
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) if answer.status() == 429
        );
    }
    assert!(limited);
}

#[tokio::test]
async fn flood_fills_the_memory() {
    let b_dir = tempfile::tempdir().unwrap();
    let mut b = Site::start(&b_dir, "B").await;
    let secret = b.allow(None).await;
    let (mut flood, _) = join(&b, &secret, own("ND_a", 1)).await;
    let (link, _, _out) = b.up().await;
    let pushing = tokio::spawn(async move {
        let synced = frame(Message::Synced(Synced {
            room: "x".repeat(200 * 1024),
            origin: "ND_x".into(),
        }))
        .encode_to_vec();
        let mut sent = 0;
        while timeout(
            Duration::from_millis(500),
            flood.send(Ws::Binary(synced.clone().into())),
        )
        .await
        .is_ok_and(|sent| sent.is_ok())
        {
            sent += 1;
        }
        (flood, sent)
    });
    // Nobody takes the events: the sender is held back.
    let (_flood, sent) = pushing.await.unwrap();
    assert!(sent < 600, "{sent}");
    let start = Instant::now();
    let mut taken = 0;
    while start.elapsed() < Duration::from_secs(1) {
        if let Ok(LinkEvent::Frame { .. }) = b.events.try_recv() {
            taken += 1;
        } else {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert!(taken > 0);
    assert_eq!(
        b.trunks.overview().allowed[0].connected.len(),
        1,
        "{link:?} has ended"
    );
}

#[tokio::test]
async fn neighbour_that_falls_silent_is_needed_and_not_noticed() {
    let b_dir = tempfile::tempdir().unwrap();
    let mut b = Site::start(&b_dir, "B").await;
    let secret = b.allow(None).await;
    let (mut silent, _) = join(&b, &secret, own("ND_a", 1)).await;
    let (link, _, outbox) = b.up().await;
    outbox.attend(true);
    let start = Instant::now();
    let event = b.event().await;
    assert!(
        matches!(event, LinkEvent::Silent { silent: true, link: which } if which == link),
        "{event:?}"
    );
    let passed = start.elapsed();
    assert!(passed > Duration::from_millis(900) && passed < Duration::from_secs(4));
    let ping = frame(Message::Ping(Ping { number: 1 }));
    send(&mut silent, ping.encode_to_vec()).await;
    let event = b.event().await;
    assert!(
        matches!(event, LinkEvent::Silent { silent: false, .. }),
        "{event:?}"
    );
}

/// What the configuration of one server says of another.
fn configuration(to: &[(&str, &JoinSecret)], allow: &[(&str, &JoinSecret, bool)]) -> TrunkConfig {
    let to = to.iter().map(|(url, secret)| TrunkTo {
        address: Address::parse(url, true).unwrap(),
        secret: (*secret).clone(),
        rooms: Vec::new(),
        moderate: true,
    });
    let allow = allow.iter().map(|(name, secret, moderate)| TrunkAllow {
        name: (*name).to_owned(),
        secret: (*secret).clone(),
        rooms: Vec::new(),
        moderate: *moderate,
        expires_at: None,
    });
    TrunkConfig {
        name: "x".to_owned(),
        media: true,
        direct: true,
        to: to.collect(),
        allow: allow.collect(),
    }
}

#[tokio::test]
async fn new_configuration_cuts_links_that_have_not_changed() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut cloud = Site::start(&dirs[0], "Cloud").await;
    let mut hut = Site::start(&dirs[1], "Hut").await;
    let (secret, other) = (JoinSecret::random(None), JoinSecret::random(None));
    let allow = |moderate| configuration(&[], &[("Hut", &secret, moderate)]);
    cloud.trunks.configure(&allow(true)).await.unwrap();
    let url = cloud.url();
    let to = configuration(&[(&url, &secret)], &[]);
    hut.trunks.configure(&to).await.unwrap();
    let (link, ..) = cloud.up().await;
    let (own, ..) = hut.up().await;
    // The same again, and another server besides: nothing happens to the link.
    let more = configuration(&[], &[("Hut", &secret, true), ("Other", &other, true)]);
    cloud.trunks.configure(&more).await.unwrap();
    hut.trunks.configure(&to).await.unwrap();
    assert_eq!(cloud.trunks.overview().allowed.len(), 2);
    // Other terms count at once, for a new link.
    cloud.trunks.configure(&allow(false)).await.unwrap();
    cloud.down(link).await;
    hut.down(own).await;
    let (link, neighbour, _outbox) = cloud.up().await;
    assert!(!neighbour.may_moderate);
    let (own, ..) = hut.up().await;
    hut.trunks
        .configure(&configuration(&[], &[]))
        .await
        .unwrap();
    hut.down(own).await;
    cloud.down(link).await;
    assert!(hut.trunks.overview().entries.is_empty());
    cloud
        .trunks
        .configure(&configuration(&[], &[]))
        .await
        .unwrap();
    assert!(cloud.trunks.overview().allowed.is_empty());
}
