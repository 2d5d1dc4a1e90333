mod random;

use proptest::prelude::*;
use prost::Message as _;
use umbrella_room::Limits;

use self::random::{KINDS, Random};
use super::fuzzing::passed_on;
use super::*;
use crate::trunk::encode::{encode, encode_demand};

proptest! {
    #[test]
    fn message_is_not_the_same_at_the_next_server(seed: u64, kind in 0..KINDS) {
        let incoming = Random(seed).incoming(kind);
        let frame = passed_on(&incoming).expect("it is not too large");
        prop_assert_eq!(decode(frame), Ok(Some(incoming)));
    }

    #[test]
    fn altered_bytes_do_harm(seed: u64, kind in 0..KINDS, at: prop::sample::Index, byte: u8) {
        let frame = passed_on(&Random(seed).incoming(kind)).expect("it is not too large");
        let mut bytes = frame.encode_to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        super::fuzzing::trunk_frame(&bytes);
        super::fuzzing::trunk_frame(&bytes[..at]);
    }
}

fn read(message: frame::Message) -> Result<Option<Incoming>, DecodeError> {
    let message = Some(message);
    decode(Frame { message })
}

fn wire_track(sid: &str) -> wire::Track {
    wire::Track {
        sid: sid.into(),
        video: true,
        codec: wire::Codec::Vp8.into(),
        ..Default::default()
    }
}

fn wire_person() -> wire::Person {
    wire::Person {
        room: "kitchen".into(),
        origin: "node".into(),
        sid: "PA_1".into(),
        identity: "ann".into(),
        permission: Some(wire::Permission::default()),
        tracks: vec![wire_track("TR_1")],
        ..Default::default()
    }
}

fn read_person(person: wire::Person) -> Result<Person, DecodeError> {
    match read(frame::Message::Person(person))? {
        Some(Incoming::Mesh(Message::Person { person, .. })) => Ok(*person),
        other => panic!("{other:?}"),
    }
}

fn read_demand(streams: Vec<wire::Stream>) -> Result<Vec<Stream>, DecodeError> {
    let demand = wire::Demand {
        room: "kitchen".into(),
        origin: "node".into(),
        track: "TR_1".into(),
        streams,
    };
    match read(frame::Message::Demand(demand))? {
        Some(Incoming::Demand { streams, .. }) => Ok(streams),
        other => panic!("{other:?}"),
    }
}

fn wire_stream(spatial: u32, ssrc: u32, repair_ssrc: u32) -> wire::Stream {
    wire::Stream {
        spatial,
        ssrc,
        repair_ssrc,
        ..Default::default()
    }
}

#[test]
fn what_a_room_allows_ends_the_link() {
    let limits = Limits::default();
    assert_eq!(limits.name, NAME);
    assert_eq!(
        [limits.metadata, limits.attributes, limits.data_message],
        [TEXT; 3]
    );
    assert_eq!(limits.relayed, RELAYED);
    // Every one with another codec.
    assert_eq!(2 * limits.tracks, TRACKS);
}

#[test]
fn frames_of_later_versions_and_about_the_link_end_it() {
    // Field 999, length-delimited, three bytes.
    let future = Frame::decode(&[0xba, 0x3e, 3, 1, 2, 3][..]).unwrap();
    assert_eq!(decode(future), Ok(None));
    assert_eq!(
        read(frame::Message::Ping(wire::Ping { number: 1 })),
        Ok(None)
    );
    let order = wire::Order::default();
    assert_eq!(read(frame::Message::Order(order)), Ok(None));
    let what = wire::order::What::Undecodable(wire::Undecodable {
        track: "TR_1".into(),
        codec: 99,
    });
    let what = Some(what);
    let order = wire::Order {
        what,
        ..Default::default()
    };
    assert_eq!(read(frame::Message::Order(order)), Ok(None));
}

#[test]
fn numbers_of_later_versions_end_the_link() {
    let mut person = wire_person();
    person.kind = 99;
    person.tracks[0].codec = 99;
    person.tracks[0].source = -1;
    person.permission = Some(wire::Permission {
        publish: true,
        sources: vec![99],
        ..Default::default()
    });
    let person = read_person(person).unwrap();
    assert_eq!(person.view.kind, ParticipantKind::Standard);
    assert_eq!(person.tracks[0].view.codec, None);
    assert_eq!(person.tracks[0].view.source, Source::Unknown);
    // Were the list empty, it could publish anything.
    assert!(!person.view.permission.may_publish(Source::Camera));
    let quality = |quality| wire::Quality {
        sid: "PA_1".into(),
        quality,
        score: 9.0,
    };
    let told = read(frame::Message::Qualities(wire::Qualities {
        room: "kitchen".into(),
        origin: "node".into(),
        qualities: vec![quality(99), quality(0), quality(4)],
    }));
    match told {
        Ok(Some(Incoming::Mesh(Message::Qualities { qualities, .. }))) => {
            assert_eq!(qualities.len(), 1);
            assert_eq!(
                (qualities[0].quality, qualities[0].score),
                (Quality::Excellent, 4.5)
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn ids_are_long_or_break_lines() {
    let with = |sid: &str| {
        let sid = sid.into();
        read_person(wire::Person {
            sid,
            ..wire_person()
        })
        .map(|_| ())
    };
    let what = "a participant's id";
    assert_eq!(with(&"a".repeat(64)), Ok(()));
    assert_eq!(with(&"a".repeat(65)), Err(DecodeError::TooLong(what)));
    assert_eq!(with(""), Err(DecodeError::Missing(what)));
    for bad in ["a b", "a\nb", "ä", "\u{7f}"] {
        assert_eq!(with(bad), Err(DecodeError::BadText(what)), "{bad:?}");
    }
    let candidate = |candidate: &str| {
        read(frame::Message::MediaCandidate(wire::MediaCandidate {
            generation: 1,
            candidate: candidate.into(),
        }))
    };
    assert!(candidate("candidate:1 1 udp 1 192.0.2.1 9 typ host").is_ok());
    assert!(candidate("candidate:1\r\na=fingerprint:sha-256 00").is_err());
    assert!(candidate(&"c".repeat(513)).is_err());
}

#[test]
fn participant_fills_the_memory() {
    let many = |count: usize| {
        let tracks = (0..count).map(|number| wire_track(&format!("TR_{number}")));
        read_person(wire::Person {
            tracks: tracks.collect(),
            ..wire_person()
        })
        .map(|_| ())
    };
    assert_eq!(many(64), Ok(()));
    let too_many = Err(DecodeError::TooMany("tracks of a participant"));
    assert_eq!(many(65), too_many);
    assert_eq!(many(10_000), too_many);
    let large = "x".repeat(TEXT + 1);
    let metadata = wire::Person {
        metadata: large,
        ..wire_person()
    };
    assert_eq!(read_person(metadata), Err(DecodeError::TooLong("metadata")));
    // Each of them is small.
    let attributes = (0..1000).map(|number| (format!("{number}"), "x".repeat(100)));
    let attributes = wire::Person {
        attributes: attributes.collect(),
        ..wire_person()
    };
    let too_long = DecodeError::TooLong("all attributes together");
    assert_eq!(read_person(attributes), Err(too_long));
    let allowance = wire::Allowance {
        sid: "PA_2".into(),
        ..Default::default()
    };
    let access = |allowances| wire::Person {
        access: Some(wire::Access { allowances }),
        ..wire_person()
    };
    let all = read_person(access(vec![allowance.clone(); ALLOWANCES + 1]));
    assert_eq!(all, Err(DecodeError::TooMany("allowances")));
    let twice = read_person(access(vec![allowance; 2]));
    assert_eq!(twice, Err(DecodeError::Twice("allowances")));
}

#[test]
fn allowance_for_nobody_is_one_for_everybody() {
    let both = wire::Allowance {
        sid: "PA_2".into(),
        identity: "bob".into(),
        all: true,
        ..Default::default()
    };
    let nobody = wire::Allowance {
        all: true,
        ..Default::default()
    };
    let allowances = vec![both, nobody];
    let access = Some(wire::Access { allowances });
    let person = read_person(wire::Person {
        access,
        ..wire_person()
    })
    .unwrap();
    let none = Access::Listed {
        stays: BTreeMap::new(),
        identities: BTreeMap::new(),
    };
    assert_eq!(*person.access, none);
}

#[test]
fn track_is_there_twice() {
    let tracks = vec![wire_track("TR_1"); 2];
    let person = read_person(wire::Person {
        tracks,
        ..wire_person()
    });
    assert_eq!(person, Err(DecodeError::Twice("tracks")));
}

#[test]
fn layers_come_in_any_order() {
    let layer = |quality, width| wire::Layer {
        quality,
        width,
        ..Default::default()
    };
    let with = |layers| {
        let tracks = vec![wire::Track {
            layers,
            ..wire_track("TR_1")
        }];
        read_person(wire::Person {
            tracks,
            ..wire_person()
        })
    };
    let person = with(vec![layer(2, 3), layer(0, 1), layer(2, 4)]).unwrap();
    let view = &person.tracks[0].view;
    let layers: Vec<_> = view
        .layers
        .iter()
        .map(|it| (it.quality, it.width))
        .collect();
    assert_eq!(layers, [(0, 1), (2, 3)]);
    assert!(view.simulcast);
    let person = with(vec![layer(256, 1), layer(3, 1), layer(1, 1)]).unwrap();
    assert_eq!(person.tracks[0].view.layers.len(), 1);
    assert!(!person.tracks[0].view.simulcast);
    let four = with(vec![layer(0, 1); 4]);
    assert_eq!(four, Err(DecodeError::TooMany("layers of a track")));
}

#[test]
fn sound_is_encoded_in_a_picture_codec() {
    let tracks = vec![wire::Track {
        video: false,
        backup: wire::Codec::H264.into(),
        ..wire_track("TR_1")
    }];
    let person = read_person(wire::Person {
        tracks,
        ..wire_person()
    })
    .unwrap();
    assert_eq!(
        (person.tracks[0].view.codec, person.tracks[0].backup),
        (None, None)
    );
}

#[test]
fn time_and_versions_wrap() {
    let joined = |joined_at_ms| {
        let person = read_person(wire::Person {
            joined_at_ms,
            ..wire_person()
        });
        person.map(|person| person.view.joined_at_ms)
    };
    let never = Err(DecodeError::OutOfRange("when a participant has joined"));
    assert_eq!(joined(0), Ok(0));
    assert_eq!(joined(-1), never);
    assert_eq!(joined(i64::MAX), never);
    assert_eq!(joined(LATEST_MS as i64), never);
    let version = u32::MAX;
    assert!(
        read_person(wire::Person {
            version,
            ..wire_person()
        })
        .is_err()
    );
    let state = wire::RoomState {
        room: "kitchen".into(),
        node: "node".into(),
        version: u64::MAX,
        ..Default::default()
    };
    assert!(read(frame::Message::RoomState(state)).is_err());
}

#[test]
fn level_is_no_number() {
    let level = |level, voice| {
        let track = "TR_1".into();
        let told = read(frame::Message::Levels(wire::Levels {
            room: "kitchen".into(),
            origin: "node".into(),
            levels: vec![wire::Level {
                track,
                level,
                voice,
            }],
        }));
        match told? {
            Some(Incoming::Mesh(Message::Levels { levels, .. })) => {
                Ok((levels[0].level, levels[0].voice))
            }
            other => panic!("{other:?}"),
        }
    };
    let no_number = Err(DecodeError::OutOfRange("the share of voice"));
    assert_eq!(level(30, f32::NAN), no_number);
    assert_eq!(level(30, f32::NEG_INFINITY), no_number);
    assert_eq!(level(u32::MAX, 7.0), Ok((127, 1.0)));
    assert_eq!(level(300, -7.0), Ok((127, 0.0)));
}

#[test]
fn streams_collide() {
    let ssrcs = Err(DecodeError::Twice("SSRCs"));
    let missing = Err(DecodeError::Missing("the SSRC of a stream"));
    assert_eq!(read_demand(vec![wire_stream(0, 0, 1)]), missing);
    assert_eq!(read_demand(vec![wire_stream(0, 1, 1)]), ssrcs);
    let same = vec![wire_stream(0, 1, 0), wire_stream(1, 1, 0)];
    assert_eq!(read_demand(same), ssrcs);
    let crossed = vec![wire_stream(0, 1, 2), wire_stream(1, 3, 1)];
    assert_eq!(read_demand(crossed), ssrcs);
    let layers = vec![wire_stream(1, 1, 0), wire_stream(1, 2, 0)];
    assert_eq!(
        read_demand(layers),
        Err(DecodeError::Twice("layers of a demand"))
    );
    assert!(read_demand(vec![wire_stream(3, 1, 0)]).is_err());
    let floor = wire::Stream {
        floor: 1,
        ..wire_stream(0, 1, 0)
    };
    assert!(read_demand(vec![floor]).is_err());
    // No repair where nothing is sent again.
    let sound = read_demand(vec![wire_stream(1, 2, 0), wire_stream(0, 1, 0)]).unwrap();
    assert_eq!(sound[0].repair_ssrc, None);
    assert_eq!(sound[0].spatial, Spatial::LOW);
    assert_eq!(read_demand(Vec::new()), Ok(Vec::new()));
}

#[test]
fn client_writes_to_impossible_people_and_its_server_loses_the_link() {
    let message = |to: Vec<Identity>, size: usize| Message::Data {
        room: RoomName::new("kitchen"),
        origin: NodeId::new("node"),
        data: Data {
            number: None,
            from: Some(ParticipantId::new("PA_1")),
            to,
            payload: vec![0; size].into(),
        },
    };
    let long = || vec![Identity::new(""), Identity::new("x".repeat(10 * NAME))];
    let frame = encode(&message(long(), TEXT)).unwrap();
    assert_eq!(
        decode(frame),
        Ok(Some(Incoming::Mesh(message(long(), TEXT))))
    );
    // A server may allow its own clients more.
    assert_eq!(encode(&message(long(), TEXT + 1)), None);
    assert_eq!(encode(&message(vec![Identity::new("x"); TEXT], 1)), None);
}

#[test]
fn way_has_no_origin() {
    let route = |incarnation, path: &[&str]| {
        read(frame::Message::Route(wire::Route {
            room: "kitchen".into(),
            incarnation,
            path: path.iter().map(|&node| node.into()).collect(),
            ..Default::default()
        }))
    };
    assert!(route(1, &["a"]).is_ok());
    assert!(route(1, &[]).is_err());
    assert!(route(0, &["a"]).is_err());
    assert!(route(1, &["a"; 17]).is_err());
    assert!(route(1, &["a", ""]).is_err());
}

#[test]
fn demand_goes_out_without_ssrcs() {
    let (room, origin) = (RoomName::new("kitchen"), NodeId::new("node"));
    let track = TrackId::new("TR_1");
    let demand = encode_demand(&room, &origin, &track, &[]);
    assert!(matches!(decode(demand), Ok(Some(Incoming::Demand { .. }))));
    let layers = umbrella_room::mesh::LayerDemand::NONE;
    let message = Message::Demand {
        room,
        origin,
        track,
        layers,
    };
    assert_eq!(encode(&message), None);
}
