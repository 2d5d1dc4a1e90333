//! Whatever a client sends, at most its own session ends, and the others notice nothing.

use tokio_tungstenite::tungstenite::Message as Frame;
use umbrella_wire::client::leave_request::Action;
use umbrella_wire::client::signal_request::Message as Ask;
use umbrella_wire::client::signal_response::Message;
use umbrella_wire::client::{
    AddTrackRequest, JoinRequest, SessionDescription, TrackType, TrickleRequest,
    UpdateParticipantMetadata,
};

use crate::client::{Client, join, open, v0, v1};
use crate::server::{Options, Server};

/// Two who sit in the room and want to be left in peace.
struct Bystanders(Vec<Client>);

impl Bystanders {
    async fn sit_down(server: &Server) -> Bystanders {
        let (alice, _) = join(server, "kitchen", "alice").await;
        let (bob, _) = join(server, "kitchen", "bob").await;
        Bystanders(vec![alice, bob])
    }

    async fn noticed_nothing(&mut self) {
        for client in &mut self.0 {
            client.is_well().await;
        }
    }
}

fn offer(sdp: &str) -> Ask {
    Ask::Offer(SessionDescription {
        r#type: "offer".into(),
        sdp: sdp.into(),
        id: 1,
        ..Default::default()
    })
}

#[tokio::test]
async fn rubbish_frames_end_only_their_own_session() {
    let server = Server::start().await;
    let mut bystanders = Bystanders::sit_down(&server).await;
    for frame in [
        Frame::Binary(vec![0xff; 100].into()),
        Frame::Binary(vec![0x0a, 0x7f, 1].into()),
        Frame::Text("{\"offer\":{}}".into()),
        Frame::Binary(vec![0; 128 * 1024].into()),
    ] {
        let (mut mallory, _) = join(&server, "kitchen", "mallory").await;
        let what = format!("{:?}", frame.len());
        mallory.send_frame(frame).await;
        let end = mallory.end().await;
        // The end of a connection with unread bytes may overtake what was said before.
        if let Some(leave) = end.leave {
            assert_eq!(leave.action(), Action::Disconnect, "{what}");
        }
        assert_ne!(end.close.as_deref(), Some(""), "{what}");
        bystanders.noticed_nothing().await;
    }
}

#[tokio::test]
async fn descriptions_that_do_not_parse_end_only_their_own_session() {
    let server = Server::start().await;
    let mut bystanders = Bystanders::sit_down(&server).await;
    let many = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n".repeat(1000);
    for sdp in ["", "v=0", "\0\0\0", "m=\r\na=", &format!("v=0\r\n{many}")] {
        let (mut mallory, _) = join(&server, "kitchen", "mallory").await;
        mallory.send(offer(sdp)).await;
        assert!(mallory.end().await.leave.is_some(), "{sdp:.20?}");
        bystanders.noticed_nothing().await;
    }
}

#[tokio::test]
async fn offer_in_the_url_that_does_not_parse_ends_only_its_own_session() {
    let server = Server::start().await;
    let mut bystanders = Bystanders::sit_down(&server).await;
    let request = JoinRequest {
        publisher_offer: Some(SessionDescription {
            sdp: "rubbish".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let path = v1(&server.token("kitchen", "mallory"), request);
    let mut mallory = open(&server, &path).await.unwrap();
    mallory.joined().await;
    assert!(mallory.end().await.leave.is_some());
    bystanders.noticed_nothing().await;
}

#[tokio::test]
async fn answers_and_candidates_out_of_place_are_harmless() {
    let server = Server::start().await;
    let (mut client, _) = join(&server, "kitchen", "alice").await;
    let candidates = ["", "{}", "{\"candidate\":\"candidate:rubbish\"}", "\u{0}"];
    for target in [0, 1, 7] {
        for candidate_init in candidates {
            let candidate_init = candidate_init.to_owned();
            client
                .send(Ask::Trickle(TrickleRequest {
                    candidate_init,
                    target,
                    ..Default::default()
                }))
                .await;
        }
    }
    client
        .send(Ask::Answer(SessionDescription {
            sdp: "v=0\r\n".into(),
            id: 999,
            ..Default::default()
        }))
        .await;
    client.is_well().await;
}

#[tokio::test]
async fn client_that_does_not_read_holds_up_the_room_or_fills_our_memory() {
    let mut options = Options::default();
    options.limits.messages_per_second = 1_000_000;
    let server = Server::with(options).await;
    let mut bystanders = Bystanders::sit_down(&server).await;
    let (mallory, _) = join(&server, "kitchen", "mallory").await;
    // Kernels buffer some megabytes and we a thousand messages: this is more than both.
    let mut metadata = "a".repeat(32 * 1024);
    for round in 0..20_000u32 {
        metadata.replace_range(..8, &format!("{round:08}"));
        let alice = &mut bystanders.0[0];
        alice
            .send(Ask::UpdateMetadata(UpdateParticipantMetadata {
                metadata: metadata.clone(),
                request_id: round,
                ..Default::default()
            }))
            .await;
        if round % 16 != 0 {
            continue;
        }
        // Those who read wait for nobody.
        bystanders.noticed_nothing().await;
        let room = server.control.room("kitchen").await.unwrap();
        if room.participants.len() == 2 {
            drop(mallory);
            return;
        }
    }
    panic!("who does not read is kept");
}

#[tokio::test]
async fn ten_thousand_tracks_are_not_published() {
    let server = Server::start().await;
    let mut bystanders = Bystanders::sit_down(&server).await;
    let (mut mallory, _) = join(&server, "kitchen", "mallory").await;
    for n in 0..10_000 {
        mallory
            .send(Ask::AddTrack(AddTrackRequest {
                cid: n.to_string(),
                r#type: TrackType::Audio.into(),
                ..Default::default()
            }))
            .await;
    }
    mallory.end().await;
    bystanders.noticed_nothing().await;
    let room = server.control.room("kitchen").await.unwrap();
    assert_eq!(room.participants.len(), 2);
}

#[tokio::test]
async fn endless_renegotiation_ends_its_own_session() {
    let mut options = Options::default();
    options.limits.offers_per_minute = 4;
    let server = Server::with(options).await;
    let mut bystanders = Bystanders::sit_down(&server).await;
    let (mut mallory, _) = join(&server, "kitchen", "mallory").await;
    for _ in 0..100 {
        mallory
            .send(Ask::Answer(SessionDescription::default()))
            .await;
    }
    assert!(mallory.end().await.leave.is_some());
    bystanders.noticed_nothing().await;
}

#[tokio::test]
async fn thousand_sockets_opened_and_dropped_leave_nothing_behind() {
    let server = Server::start().await;
    let mut bystanders = Bystanders::sit_down(&server).await;
    for n in 0..1000 {
        let token = server.token("kitchen", &format!("crowd{}", n % 7));
        drop(open(&server, &v0(&token)).await);
    }
    bystanders.noticed_nothing().await;
    loop {
        let room = server.control.room("kitchen").await.unwrap();
        if room.participants.len() == 2 {
            break;
        }
        // News of leaving is read meanwhile, as a real client would.
        bystanders.noticed_nothing().await;
    }
    join(&server, "kitchen", "carol").await;
}

#[tokio::test]
async fn one_address_cannot_open_sockets_without_end() {
    let mut options = Options::default();
    options.limits.sockets_per_address = 3;
    let server = Server::with(options).await;
    let mut held = Vec::new();
    for n in 0..3 {
        held.push(join(&server, "kitchen", &format!("p{n}")).await);
    }
    let (status, _) = open(&server, &v0(&server.token("kitchen", "p9")))
        .await
        .unwrap_err();
    assert_eq!(status, 429);
}

#[tokio::test]
async fn random_datagrams_and_connections_at_the_media_port_are_harmless() {
    use std::io::Write as _;
    let server = Server::start().await;
    let mut bystanders = Bystanders::sit_down(&server).await;
    let port = server.control.workers().await[0].port;
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..2000u32 {
        let bytes: Vec<u8> = (0..n % 200)
            .map(|i| (i.wrapping_mul(n) >> 3) as u8)
            .collect();
        let _ = udp.send_to(&bytes, ("127.0.0.1", port));
    }
    for _ in 0..50 {
        let mut tcp = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let _ = tcp.write_all(b"GET / HTTP/1.1\r\n\r\n");
    }
    bystanders.noticed_nothing().await;
    let (mut carol, _) = join(&server, "kitchen", "carol").await;
    carol
        .until(|message| matches!(message, Message::Offer(_)).then_some(()))
        .await;
}
