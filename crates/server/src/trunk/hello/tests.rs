use proptest::prelude::*;

use super::*;
use crate::trunk::JoinSecret;

fn own(node: &str, incarnation: u64) -> Own {
    Own {
        node: node.into(),
        incarnation,
        name: format!("name of {node}"),
        version: "1.2.3".into(),
        media: node != "ND_signalling",
    }
}

fn known(secret: &JoinSecret) -> Option<Known> {
    Some(Known {
        proof_key: secret.proof_key(),
        rooms: vec!["l*".into()],
    })
}

fn dialler(own: Own, secret: &JoinSecret) -> (Dialler, Vec<u8>) {
    Dialler::new(own, &secret.key(), secret.proof_key(), &["d*".into()])
}

/// Both ends of a handshake with the same secret.
fn meet(a: Own, b: Own) -> Result<(Peer, Peer), Failure> {
    let secret = JoinSecret::random(None);
    let (dialler, hello) = dialler(a, &secret);
    let (listener, challenge) = Listener::hello(b, &hello, |key| {
        assert_eq!(key, secret.key());
        known(&secret)
    })?;
    let (proved, proof) = dialler.challenge(&challenge)?;
    let accepted = listener.proof(&proof)?;
    let peer = proved.welcome(&accepted.welcome())?;
    Ok((peer, accepted.peer))
}

#[test]
fn servers_with_the_same_secret_do_not_meet() {
    let (seen, seen_there) = meet(own("ND_a", 1), own("ND_signalling", 2)).unwrap();
    assert_eq!(
        (&*seen.node, seen.incarnation, seen.media),
        ("ND_signalling", 2, false)
    );
    assert_eq!(seen.rooms, ["l*"]);
    assert_eq!((&*seen_there.node, seen_there.incarnation), ("ND_a", 1));
    assert_eq!(seen_there.name, "name of ND_a");
    assert_eq!(seen_there.rooms, ["d*"]);
}

#[test]
fn server_is_linked_with_itself_or_with_a_copy() {
    assert_eq!(
        meet(own("ND_a", 1), own("ND_a", 1)).unwrap_err(),
        Failure::LeadsBack
    );
    let copy = meet(own("ND_a", 1), own("ND_a", 2)).unwrap_err();
    assert!(matches!(&copy, Failure::Copied(node) if node == "ND_a"));
    assert!(copy.to_string().contains("umbrella trunk new-id"));
}

#[test]
fn wrong_secret_is_let_in_or_told_apart_from_an_unknown_one() {
    let (right, wrong) = (JoinSecret::random(None), JoinSecret::random(None));
    let (_, hello) = dialler(own("ND_a", 1), &right);
    let (listener, challenge) = Listener::hello(own("ND_b", 1), &hello, |_| known(&wrong)).unwrap();
    let (unknown, other_challenge) = Listener::hello(own("ND_b", 1), &hello, |_| None).unwrap();
    assert_eq!(challenge.len(), other_challenge.len());
    let (proving, _) = dialler(own("ND_a", 1), &right);
    assert_eq!(
        proving.challenge(&challenge).unwrap_err(),
        Failure::WrongServer
    );
    let guess = frame(Message::Proof(Proof { proof: vec![0; 32] })).encode_to_vec();
    let failures = [listener.proof(&guess), unknown.proof(&guess)];
    let failures = failures.map(|failure| failure.unwrap_err());
    assert_eq!(failures, [Failure::WrongProof, Failure::UnknownKey]);
    assert_eq!(failures[0].refused(), failures[1].refused());
    assert_eq!(failures[0].refused(), Failure::Expired.refused());
}

#[test]
fn recorded_hello_and_proof_let_somebody_in_again() {
    let secret = JoinSecret::random(None);
    let (dialling, hello) = dialler(own("ND_a", 1), &secret);
    let (listener, challenge) =
        Listener::hello(own("ND_b", 1), &hello, |_| known(&secret)).unwrap();
    let (_, proof) = dialling.challenge(&challenge).unwrap();
    listener.proof(&proof).unwrap();
    let (again, new_challenge) =
        Listener::hello(own("ND_b", 1), &hello, |_| known(&secret)).unwrap();
    assert_ne!(challenge, new_challenge);
    assert_eq!(again.proof(&proof).unwrap_err(), Failure::WrongProof);
    // And the challenge does not pass for one to another Hello.
    let (other, _) = dialler(own("ND_a", 1), &secret);
    assert_eq!(
        other.challenge(&challenge).unwrap_err(),
        Failure::WrongServer
    );
}

#[test]
fn listener_is_made_to_prove_itself_with_its_own_words() {
    let secret = JoinSecret::random(None);
    let (_, hello) = dialler(own("ND_a", 1), &secret);
    let (listener, challenge) =
        Listener::hello(own("ND_b", 1), &hello, |_| known(&secret)).unwrap();
    let content = expect(&challenge, CHALLENGE).unwrap();
    let proof = Challenge::decode(content).unwrap().proof;
    let reflected = frame(Message::Proof(Proof { proof })).encode_to_vec();
    assert_eq!(listener.proof(&reflected).unwrap_err(), Failure::WrongProof);
}

/// A Hello, changed.
fn hello(change: impl FnOnce(&mut Hello)) -> Vec<u8> {
    let mut hello = Hello {
        side: Some(own("ND_a", 1).side(&[], [7; NONCE])),
        key: "key".into(),
    };
    change(&mut hello);
    frame(Message::Hello(hello)).encode_to_vec()
}

fn listen(bytes: &[u8]) -> Result<(), Failure> {
    Listener::hello(own("ND_b", 1), bytes, |_| None).map(|_| ())
}

#[test]
fn other_version_of_the_protocol_is_met_with_silence() {
    let version = |oldest, newest| {
        listen(&hello(|hello| {
            let side = hello.side.as_mut().unwrap();
            (side.oldest_protocol, side.newest_protocol) = (oldest, newest);
        }))
    };
    version(1, 1).unwrap();
    version(0, 7).unwrap();
    for (oldest, newest) in [(2, 3), (0, 0), (3, 1)] {
        let failure = version(oldest, newest).unwrap_err();
        assert_eq!(failure, Failure::Version { oldest, newest });
        let refused = failure.refused().encode_to_vec();
        let secret = JoinSecret::random(None);
        let (dialler, _) = dialler(own("ND_a", 1), &secret);
        let heard = dialler.challenge(&refused).unwrap_err();
        let text = heard.to_string();
        assert!(
            text.contains("versions 1 to 1") && text.contains("update"),
            "{text}"
        );
    }
}

#[test]
fn frame_that_is_no_hello_begins_a_handshake() {
    let good = hello(|_| {});
    listen(&good).unwrap();
    let no_side = hello(|hello| hello.side = None);
    let short_nonce = hello(|hello| hello.side.as_mut().unwrap().nonce = vec![1]);
    let node = |node: &str| hello(|hello| hello.side.as_mut().unwrap().node = node.into());
    let many = hello(|hello| hello.side.as_mut().unwrap().rooms = vec!["a".into(); 65]);
    let long = hello(|hello| hello.side.as_mut().unwrap().rooms = vec!["a".repeat(257)]);
    let key = hello(|hello| hello.key = "a".repeat(65));
    let ping = frame(Message::Ping(umbrella_wire::trunk::Ping { number: 1 })).encode_to_vec();
    let refused = Failure::Shutdown.refused().encode_to_vec();
    let twice = [good.clone(), good.clone()].concat();
    let (empty, strange) = (node(""), node("a\nb"));
    let long_node = node(&"a".repeat(65));
    let huge = vec![0; MAX_HANDSHAKE + 1];
    for bytes in [
        &no_side,
        &short_nonce,
        &empty,
        &strange,
        &long_node,
        &many,
        &long,
        &key,
        &ping,
        &refused,
        &twice,
        &huge,
        &Vec::new(),
        &good[..good.len() - 1].to_vec(),
    ] {
        assert!(
            matches!(listen(bytes), Err(Failure::Malformed(_))),
            "{bytes:?}"
        );
    }
}

#[test]
fn side_that_is_there_twice_is_proved_once() {
    let mut content = Hello {
        side: Some(own("ND_a", 1).side(&[], [7; NONCE])),
        key: "key".into(),
    }
    .encode_to_vec();
    let second = Hello {
        side: Some(own("ND_other", 1).side(&[], [7; NONCE])),
        key: String::new(),
    };
    content.extend(second.encode_to_vec());
    let mut bytes = Vec::new();
    crate::protobuf::put_bytes(&mut bytes, HELLO, &content);
    assert!(matches!(listen(&bytes), Err(Failure::Malformed(_))));
}

#[test]
fn name_of_a_stranger_breaks_the_log() {
    let named = hello(|hello| hello.side.as_mut().unwrap().name = "a\n\u{1b}[31m".repeat(90));
    let (listener, _) = Listener::hello(own("ND_b", 1), &named, |_| None).unwrap();
    assert_eq!(listener.peer.name.chars().count(), MAX_NAME);
    assert!(!listener.peer.name.chars().any(char::is_control));
}

proptest! {
    #[test]
    fn any_bytes_let_somebody_in(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzzing::handshake(&data);
    }

    #[test]
    fn changed_byte_goes_unnoticed(at in any::<prop::sample::Index>(), bit in 0..8u8, frame in 0..3) {
        let secret = JoinSecret::random(None);
        let (dialling, mut hello) = dialler(own("ND_a", 1), &secret);
        let flip = |bytes: &mut Vec<u8>| {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        };
        if frame == 0 {
            flip(&mut hello);
        }
        let met = Listener::hello(own("ND_b", 1), &hello, |_| known(&secret))
            .and_then(|(listener, mut challenge)| {
                if frame == 1 {
                    flip(&mut challenge);
                }
                let (_, mut proof) = dialling.challenge(&challenge)?;
                if frame == 2 {
                    flip(&mut proof);
                }
                listener.proof(&proof).map(|_| ())
            });
        prop_assert!(met.is_err());
    }
}
