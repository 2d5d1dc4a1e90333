//! Two servers behind one that carries no media.

use umbrella_wire::trunk::relayed::What;
use umbrella_wire::trunk::{Introduction, Relayed};

use super::*;
use crate::trunk::frame::MAX_FRAME;

/// A and C, who have joined the server in the middle.
struct Three {
    a: Site,
    middle: Site,
    c: Site,
    _dirs: [tempfile::TempDir; 3],
}

impl Three {
    /// The middle shares some rooms with A, and all with C.
    async fn start() -> Three {
        let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let a = Site::start(&dirs[0], "Site A").await;
        let middle = Site::middle(&dirs[1]).await;
        let c = Site::start(&dirs[2], "Site C").await;
        let for_a = middle.allow(None).await;
        let for_c = AllowServer {
            name: "c".into(),
            rooms: Vec::new(),
            expires_in_s: None,
            moderate: true,
        };
        let for_c = middle.trunks.allow(for_c).await.unwrap().1;
        a.add(&middle.url(), &for_a).await;
        c.add(&middle.url(), &for_c).await;
        Three {
            a,
            middle,
            c,
            _dirs: dirs,
        }
    }
}

/// The link to the middle, and the one to the other site.
async fn both(site: &mut Site) -> (LinkId, (LinkId, Box<Neighbour>, LinkOutbox)) {
    let (middle, seen, outbox) = site.up().await;
    assert_eq!(seen.introducer, None);
    // It lives as long as this.
    std::mem::forget(outbox);
    (middle, site.up().await)
}

async fn frame_of(site: &mut Site, link: LinkId) -> Frame {
    let event = site.event().await;
    let LinkEvent::Frame { link: over, frame } = event else {
        panic!("{event:?}");
    };
    assert_eq!(over, link);
    *frame
}

fn synced(room: &str) -> Frame {
    frame(Message::Synced(Synced {
        room: room.into(),
        origin: "ND_x".into(),
    }))
}

#[tokio::test]
async fn two_sites_behind_a_server_without_media_stay_apart() {
    let mut three = Three::start().await;
    let (a, c) = (&mut three.a, &mut three.c);
    let (_, (at_a, c_seen, to_c)) = both(a).await;
    let (_, (at_c, a_seen, to_a)) = both(c).await;
    assert_eq!(
        (&*c_seen.node, &*c_seen.name),
        (&*c.trunks.node(), "Site C")
    );
    assert_eq!(
        (&*a_seen.node, &*a_seen.name),
        (&*a.trunks.node(), "Site A")
    );
    assert!(c_seen.media && c_seen.dialled != a_seen.dialled);
    for seen in [&a_seen, &c_seen] {
        let introducer = seen.introducer.as_ref().unwrap();
        assert_eq!(introducer.name, "Middle");
        assert_eq!(introducer.reflectors, ["192.0.2.1:40000".parse().unwrap()]);
    }
    // As long as a frame may be.
    let longest = synced(&"x".repeat(MAX_FRAME - 20));
    assert!((MAX_FRAME - 10..=MAX_FRAME).contains(&longest.encoded_len()));
    for frame in [synced("there"), longest] {
        assert!(to_c.send(frame.clone()) && to_a.send(frame.clone()));
        assert_eq!(frame_of(c, at_c).await, frame);
        assert_eq!(frame_of(a, at_a).await, frame);
    }
}

#[tokio::test]
async fn introduced_server_may_do_more_than_the_one_that_introduces_it() {
    let mut three = Three::start().await;
    let (a, c) = (&mut three.a, &mut three.c);
    let (_, (_, c_seen, _to_c)) = both(a).await;
    let (_, (_, a_seen, _to_a)) = both(c).await;
    for seen in [&a_seen, &c_seen] {
        assert!(seen.rooms.allow("shared-a"));
        // Not what the middle does not share with A, nor what A and C do not.
        assert!(!seen.rooms.allow("own-a") && !seen.rooms.allow("shared-b"));
    }
    // The middle keeps A's moderators out, and A trusts the middle's.
    assert!(!a_seen.may_moderate && c_seen.may_moderate);
}

#[tokio::test]
async fn site_is_still_linked_that_has_left_the_middle() {
    let mut three = Three::start().await;
    let (a, c) = (&mut three.a, &mut three.c);
    let (_, (_, _, _to_c)) = both(a).await;
    let (_, (at_c, _, _to_a)) = both(c).await;
    let entry = a.entry();
    a.trunks.remove(&entry.key).await.unwrap();
    c.down(at_c).await;
    let (first, second) = (a.event().await, a.event().await);
    for event in [first, second] {
        assert!(matches!(event, LinkEvent::Down { .. }), "{event:?}");
    }
    // And comes back.
    a.add(&three.middle.url(), &three.middle.allow(None).await)
        .await;
    both(a).await;
    c.up().await;
}

#[tokio::test]
async fn sites_are_apart_for_good_after_one_of_their_links_broke() {
    let mut three = Three::start().await;
    let (a, c) = (&mut three.a, &mut three.c);
    let (_, (at_a, _, to_c)) = both(a).await;
    let (_, (at_c, _, _to_a)) = both(c).await;
    to_c.end("enough for today");
    a.down(at_a).await;
    c.down(at_c).await;
    a.up().await;
    c.up().await;
}

#[tokio::test]
async fn servers_are_introduced_by_one_that_carries_their_media() {
    let (a_dir, b_dir) = dirs();
    let b = Site::start(&b_dir, "B").await;
    let mut a = Site::start(&a_dir, "A").await;
    a.add(&b.url(), &b.allow(None).await).await;
    let (link, _, _outbox) = a.up().await;
    let (mut third, _) = join(&b, &b.allow(None).await, own("ND_third", 1)).await;
    // Nothing but a ping comes; and whoever is not introduced hears that nobody is there.
    let node = a.trunks.node().to_string();
    let hello = relayed(&node, 1, What::Frame(vec![1]));
    send(&mut third, hello.encode_to_vec()).await;
    let said = piece(&mut third).await;
    assert_eq!(said, (node, 1, What::Closed(true)));
    // A server with media that introduces others is none of ours.
    let (mut liar, _) = join(&a, &a.allow(None).await, own("ND_liar", 1)).await;
    let (introduced, _, _outbox) = a.up().await;
    assert_ne!(introduced, link);
    send(&mut liar, introduction("ND_c", &[7; 32]).encode_to_vec()).await;
    assert!(bye(&mut liar).await.contains("carries media itself"));
}

#[tokio::test]
async fn nonsense_of_a_middle_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let a = Site::start(&dir, "A").await;
    let silent = || Own {
        media: false,
        ..own("ND_middle", 1)
    };
    let nonsense = [
        (introduction("no node", &[7; 32]), "node"),
        (introduction("ND_c", &[7; 31]), "secret"),
    ];
    for (said, why) in nonsense {
        let (mut middle, _) = join(&a, &a.allow(None).await, silent()).await;
        send(&mut middle, said.encode_to_vec()).await;
        let bye = bye(&mut middle).await;
        assert!(bye.contains(why), "{bye}");
    }
    let (mut middle, _) = join(&a, &a.allow(None).await, silent()).await;
    for number in 0..=64 {
        let node = format!("ND_{number}");
        send(&mut middle, introduction(&node, &[7; 32]).encode_to_vec()).await;
    }
    assert!(bye(&mut middle).await.contains("more than 64"));
}

#[tokio::test]
async fn somebody_comes_in_who_was_not_introduced() {
    let dir = tempfile::tempdir().unwrap();
    let mut a = Site::start(&dir, "A").await;
    let silent = Own {
        media: false,
        ..own("ND_middle", 1)
    };
    let (mut middle, _) = join(&a, &a.allow(None).await, silent).await;
    let _up = a.up().await;
    send(&mut middle, introduction("ND_c", &[7; 32]).encode_to_vec()).await;
    // By the right secret, but with another name; and by a wrong secret.
    let right = ProofKey::from_bytes(&[7; 32]).unwrap();
    for (channel, node, key) in [(1, "ND_d", right), (2, "ND_c", ProofKey::random())] {
        let (dialler, hello) = Dialler::new(own(node, 1), "introduced", key, &[]);
        let hello = relayed("ND_c", channel, What::Frame(hello));
        send(&mut middle, hello.encode_to_vec()).await;
        let (_, _, challenge) = piece(&mut middle).await;
        let What::Frame(challenge) = challenge else {
            panic!("no challenge");
        };
        // It does not know the wrong secret, and says so by its proof.
        let proof = match dialler.challenge(&challenge) {
            Ok((_, proof)) => proof,
            Err(_) => frame(Message::Proof(umbrella_wire::trunk::Proof {
                proof: vec![0; 32],
            }))
            .encode_to_vec(),
        };
        let proof = relayed("ND_c", channel, What::Frame(proof));
        send(&mut middle, proof.encode_to_vec()).await;
        let (from, of, what) = piece(&mut middle).await;
        assert_eq!((from.as_str(), of), ("ND_c", channel));
        let What::Frame(last) = what else {
            panic!("{what:?}");
        };
        refused(&Frame::decode(&*last).unwrap());
        assert_eq!(piece(&mut middle).await.2, What::Closed(true));
        // Attempts that come too fast are not heard.
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

fn introduction(node: &str, secret: &[u8]) -> Frame {
    frame(Message::Introduction(Introduction {
        node: node.into(),
        name: "C".into(),
        key: "introduced".into(),
        secret: secret.to_vec(),
        dials: false,
        rooms: Vec::new(),
        moderates: true,
        reflectors: Vec::new(),
    }))
}

fn relayed(node: &str, channel: u64, what: What) -> Frame {
    crate::trunk::relayed::relayed(node, channel, what)
}

/// The next piece that comes.
async fn piece(client: &mut Client) -> (String, u64, What) {
    loop {
        let bytes = next(client).await.expect("a piece");
        if let Some(Message::Relayed(piece)) = Frame::decode(&*bytes).unwrap().message {
            let Relayed {
                node,
                channel,
                what,
            } = piece;
            return (node, channel, what.expect("what it is"));
        }
    }
}

/// The next introduction that comes: of whom, and whether the reader dials.
async fn introduced(client: &mut Client) -> (String, bool) {
    loop {
        let bytes = next(client).await.expect("an introduction");
        if let Some(Message::Introduction(it)) = Frame::decode(&*bytes).unwrap().message {
            return (it.node, it.dials);
        }
    }
}

#[tokio::test]
async fn pieces_go_to_a_link_that_a_newer_one_has_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let mut middle = Site::middle(&dir).await;
    let secret = middle.allow(None).await;
    let (mut first, _) = join(&middle, &secret, own("ND_a", 1)).await;
    let _up = middle.up().await;
    let (mut c, _) = join(&middle, &middle.allow(None).await, own("ND_c", 1)).await;
    let _up_too = middle.up().await;
    assert_eq!(introduced(&mut first).await, ("ND_c".into(), true));
    assert_eq!(introduced(&mut c).await, ("ND_a".into(), false));
    let (mut second, _) = join(&middle, &secret, own("ND_a", 1)).await;
    assert_eq!(introduced(&mut second).await, ("ND_c".into(), true));
    assert_eq!(introduced(&mut c).await, ("ND_a".into(), false));
    let hello = relayed("ND_a", 1, What::Frame(vec![7]));
    send(&mut c, hello.encode_to_vec()).await;
    let came = piece(&mut second).await;
    assert_eq!(came, ("ND_c".into(), 1, What::Frame(vec![7])));
}
