//! What holds for every handshake, whatever the other side sends.

use super::*;

/// Reads the first byte as which frame is meant and the rest as that frame.
///
/// # Panics
///
/// If somebody is let in who does not know the secret, or shows something without bounds.
pub fn handshake(data: &[u8]) {
    let Some((&which, bytes)) = data.split_first() else {
        return;
    };
    let own = |node: &str| Own {
        node: node.into(),
        incarnation: 1,
        name: "here".into(),
        version: "1".into(),
        media: true,
    };
    let key = ProofKey::random();
    let known = Known {
        proof_key: key.clone(),
        rooms: Vec::new(),
    };
    let (dialler, hello) = Dialler::new(own("ND_d"), "k", key, &[]);
    match which % 4 {
        0 => {
            if let Ok((listener, _)) = Listener::hello(own("ND_l"), bytes, |_| Some(known)) {
                check(&listener.peer);
                // What it has said itself proves nothing.
                assert!(listener.proof(bytes).is_err());
            }
        }
        1 => assert!(dialler.challenge(bytes).is_err()),
        2 => {
            let listener = Listener::hello(own("ND_l"), &hello, |_| Some(known));
            let (listener, _) = listener.expect("our own Hello");
            assert!(listener.proof(bytes).is_err());
        }
        _ => {
            let listener = Listener::hello(own("ND_l"), &hello, |_| Some(known));
            let (_, challenge) = listener.expect("our own Hello");
            let (proved, _) = dialler.challenge(&challenge).expect("our own Challenge");
            if let Ok(peer) = proved.welcome(bytes) {
                check(&peer);
            }
        }
    }
    if let Ok(frame) = crate::trunk::frame::decode(bytes) {
        assert!(bytes.len() <= crate::trunk::MAX_FRAME);
        let again = crate::trunk::frame::decode(&frame.encode_to_vec());
        assert!(again.is_ok() || frame.encoded_len() > crate::trunk::MAX_FRAME);
    }
}

fn check(peer: &Peer) {
    assert!(peer.name.chars().count() <= MAX_NAME);
    assert!(peer.version.chars().count() <= MAX_NAME);
    assert!((1..=MAX_ID).contains(&peer.node.len()));
    assert!(peer.rooms.len() <= MAX_PATTERNS);
    assert!(!peer.name.chars().any(char::is_control));
}
