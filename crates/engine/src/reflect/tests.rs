use proptest::prelude::*;

use super::*;
use crate::arena::Arena;

const ID: TransactionId = [
    0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
];

fn keys() -> [Key<Transport>; 2] {
    let mut arena = Arena::new();
    [(); 2].map(|()| arena.insert(()).cast())
}

fn question(transport: Key<Transport>, reflector: u16) -> Question {
    Question {
        asker: Asker::Transport(transport),
        local: SocketAddr::from(([10, 0, 0, 1], 40_000)),
        reflector: SocketAddr::from(([192, 0, 2, 1], reflector)),
    }
}

fn sent(due: Option<Due>) -> Option<(Path, [u8; HEADER])> {
    match due? {
        Due::Send(path, data) => Some((path, data)),
        Due::GiveUp(_) => None,
    }
}

/// A message with attributes.
fn message(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut data = request(ID).to_vec();
    data[..2].copy_from_slice(&kind.to_be_bytes());
    for (kind, value) in attributes {
        data.extend(kind.to_be_bytes());
        data.extend((value.len() as u16).to_be_bytes());
        data.extend(*value);
        data.resize(data.len().next_multiple_of(4), 0);
    }
    let length = (data.len() - HEADER) as u16;
    data[2..4].copy_from_slice(&length.to_be_bytes());
    data
}

fn with_fingerprint(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let whole = message(kind, &[attributes, &[(FINGERPRINT, &[0; 4])]].concat());
    let crc = fingerprint_of(&whole[..whole.len() - 8]).to_be_bytes();
    message(kind, &[attributes, &[(FINGERPRINT, &crc)]].concat())
}

/// RFC 5769 sections 2.2 and 2.3, and the check value of CRC-32.
#[test]
fn other_implementations_read_another_address() {
    let cases: [(&str, &[u8]); 2] = [
        (
            "192.0.2.1:32853",
            &[0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43],
        ),
        (
            "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
            &[
                0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4,
                0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
            ],
        ),
    ];
    for (address, value) in cases {
        let address: SocketAddr = address.parse().expect("an address");
        let asked = Asked::read(&request(ID)).expect("a request");
        let said = Answer::new(address, asked);
        assert_eq!(said.bytes()[HEADER + 4..], *value);
        assert_eq!(read_answer(said.bytes()), Some((ID, address)));
        let mapped = message(BINDING_SUCCESS, &[(XOR_MAPPED_ADDRESS, value)]);
        assert_eq!(said.bytes(), mapped);
    }
    assert_eq!(fingerprint_of(b"123456789"), 0xCBF4_3926 ^ FINGERPRINT_XOR);
}

#[test]
fn an_answer_is_much_larger_than_the_question() {
    for (from, headers) in [("192.0.2.1:1", 28), ("[2001:db8::1]:1", 48)] {
        let from = from.parse().expect("an address");
        for data in [
            request(ID).to_vec(),
            with_fingerprint(BINDING_REQUEST, &[]),
            with_fingerprint(BINDING_REQUEST, &[(0x8022, b"a client")]),
        ] {
            let asked = Asked::read(&data).expect("a request");
            let said = Answer::new(from, asked);
            assert!(said.bytes().len() + headers <= (data.len() + headers) * 7 / 5);
            assert_eq!(read_answer(said.bytes()), Some((ID, from)));
        }
    }
}

#[test]
fn what_is_no_plain_request_is_answered() {
    let ok = |data: &[u8]| Asked::read(data).is_some();
    assert!(ok(&message(
        BINDING_REQUEST,
        &[(0x8022, b"abc"), (0xC001, b"")]
    )));
    let bad = [
        message(BINDING_SUCCESS, &[]),
        message(0x0011, &[]), // an indication
        message(0x0003, &[]), // ALLOCATE
        message(BINDING_REQUEST, &[(6, b"user:name")]),
        message(BINDING_REQUEST, &[(3, &[0, 0, 0, 6])]), // CHANGE-REQUEST
        message(BINDING_REQUEST, &[(0x7fff, b"")]),
        message(BINDING_REQUEST, &[(FINGERPRINT, &[0; 4])]),
        message(BINDING_REQUEST, &[(0x8022, &[b'a'; 300])]),
        [request(ID).to_vec(), vec![0; 4]].concat(),
    ];
    for data in &bad {
        assert!(!ok(data), "{data:?}");
    }
    let mut late = with_fingerprint(BINDING_REQUEST, &[]);
    late.extend([0x80, 0x22, 0, 0]);
    late[3] += 4;
    assert!(!ok(&late), "something after the fingerprint");
    let whole = with_fingerprint(BINDING_REQUEST, &[(0x8022, b"abc")]);
    for byte in 0..whole.len() {
        assert!(!ok(&whole[..byte]));
        if [28, 29].contains(&byte) {
            continue; // then it is no fingerprint
        }
        let mut flipped = whole.clone();
        flipped[byte] ^= 0x10;
        assert!(!ok(&flipped), "byte {byte}");
    }
}

#[test]
fn a_lie_about_our_address_is_believed() {
    let [a, _] = keys();
    let now = Instant::now();
    let mut reflection = Reflection::new();
    let asked = question(a, 3478);
    reflection.ask(now, asked, 4);
    let (path, data) = sent(reflection.pop_due(now)).expect("a question");
    let outside = SocketAddr::from(([203, 0, 113, 7], 1234));
    let said = Answer::new(outside, Asked::read(&data).expect("a request"));
    let elsewhere = Path {
        remote: SocketAddr::from(([192, 0, 2, 9], 3478)),
        ..path
    };
    let to_another = Path {
        local: SocketAddr::from(([10, 0, 0, 1], 40_001)),
        ..path
    };
    let over_tcp = Path {
        protocol: Protocol::Tcp,
        ..path
    };
    for wrong in [elsewhere, to_another, over_tcp] {
        assert_eq!(reflection.hear(wrong, said.bytes()), None, "{wrong:?}");
    }
    let mut other = said.bytes().to_vec();
    other[19] ^= 1;
    assert_eq!(reflection.hear(path, &other), None);
    assert_eq!(reflection.hear(path, &data), None);
    assert_eq!(reflection.hear(path, said.bytes()), Some((asked, outside)));
    assert_eq!(reflection.hear(path, said.bytes()), None, "a second time");
    assert_eq!(reflection.next(), None);
}

#[test]
fn who_does_not_answer_is_asked_for_ever() {
    let [a, b] = keys();
    let start = Instant::now();
    let mut reflection = Reflection::new();
    reflection.ask(start, question(a, 1), 4);
    let (mut sent, mut given_up) = (Vec::new(), Vec::new());
    while let Some(at) = reflection.next() {
        match reflection.pop_due(at) {
            Some(Due::Send(_, data)) => sent.push((at - start, data)),
            Some(Due::GiveUp(question)) => given_up.push((at - start, question)),
            None => {}
        }
    }
    let times: Vec<u128> = sent.iter().map(|(at, _)| at.as_millis()).collect();
    assert_eq!(times, [0, 500, 1500, 3500]);
    assert_eq!(given_up, [(Duration::from_millis(7500), question(a, 1))]);
    assert!(sent.iter().all(|(_, data)| *data == sent[0].1));
    assert!(reflection.open.is_empty());
    // And one that is gone not at all.
    for transport in [a, b] {
        reflection.ask(start, question(transport, 1), 4);
    }
    reflection.forget(a);
    assert!(reflection.pop_due(start).is_some());
    assert_eq!(reflection.pop_due(start), None);
    reflection.forget(b);
    assert!(reflection.open.is_empty() && reflection.next().is_none());
}

#[test]
fn one_transport_asks_hundreds_of_addresses() {
    let [a, b] = keys();
    let now = Instant::now();
    let mut reflection = Reflection::new();
    for reflector in 0..300 {
        reflection.ask(now, question(a, reflector % 200), 4);
    }
    reflection.ask(now, question(b, 1), 4);
    let sent = std::iter::from_fn(|| sent(reflection.pop_due(now)));
    let ids: Vec<_> = sent.map(|(_, data)| data).collect();
    assert_eq!(ids.len(), 5);
    assert!(
        ids.iter()
            .enumerate()
            .all(|(at, id)| !ids[..at].contains(id))
    );
}

#[test]
fn a_flood_of_questions_is_answered() {
    let mut reflection = Reflection::new();
    let from = SocketAddr::from(([192, 0, 2, 1], 1));
    let asked = Asked::read(&request(ID)).expect("a request");
    let start = Instant::now();
    let mut answered = 0;
    for millisecond in 0..10_000 {
        for _ in 0..10 {
            let now = start + Duration::from_millis(millisecond);
            answered += u32::from(reflection.answer(now, from, asked).is_some());
        }
    }
    let most = 10 * ANSWERS_PER_SECOND + ANSWERS_AT_ONCE;
    assert!((most - 5..=most).contains(&answered), "{answered}");
    let now = start + Duration::from_secs(3600);
    let at_once = (0..200).filter(|_| reflection.answer(now, from, asked).is_some());
    assert_eq!(at_once.count(), ANSWERS_AT_ONCE as usize);
}

proptest! {
    #[test]
    fn bytes_of_strangers_break_it(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzzing::stun(&data);
    }

    #[test]
    fn broken_attributes_break_it(
        kind in prop_oneof![Just(BINDING_REQUEST), Just(BINDING_SUCCESS)],
        mut data in proptest::collection::vec(prop_oneof![0u8..4, Just(32), any::<u8>()], 0..60),
    ) {
        data.resize(data.len().next_multiple_of(4), 0);
        let mut whole = message(kind, &[]);
        whole[3] = data.len() as u8;
        whole.extend(data);
        crate::fuzzing::stun(&whole);
    }

    #[test]
    fn an_address_does_not_come_back(ip: std::net::IpAddr, port: u16, id: TransactionId, fingerprint: bool) {
        let address = SocketAddr::new(ip, port);
        let said = Answer::new(address, Asked { id, fingerprint });
        let seen = SocketAddr::new(ip.to_canonical(), port);
        prop_assert_eq!(read_answer(said.bytes()), Some((id, seen)));
    }
}
