//! The handshake of a trunk: both sides prove that they know the same secret. Bytes in, frames
//! out; no clock, no socket.
//!
//! ```text
//! dialler                         listener
//!    Hello { side, key }      →
//!                             ←   Challenge { side, proof }    or Refused
//!    Proof { proof }          →
//!                             ←   Welcome { protocol }         or Refused
//! ```
//!
//! Each proof covers the exact bytes of both sides, each of which has a fresh nonce: what was said
//! once proves nothing the next time.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::memory::NoMemory;
use prost::Message as _;
use rand::RngCore as _;
use umbrella_wire::trunk::frame::Message;
use umbrella_wire::trunk::refused::Reason;
use umbrella_wire::trunk::{Challenge, Frame, Hello, Proof, Refused, Side, Welcome};

use super::secret::ProofKey;
use super::settings::{MAX_NAME, MAX_PATTERN, MAX_PATTERNS};
use crate::protobuf::Field;

/// Bytes of the longest frame of a handshake.
pub(super) const MAX_HANDSHAKE: usize = 32 * 1024;

/// Versions of the protocol that we speak.
const OURS: RangeInclusive<u32> = 1..=1;

const NONCE: usize = 32;

/// Characters of an id.
pub(super) const MAX_ID: usize = 64;

const LISTENER: &str = "umbrella trunk listener";
const DIALLER: &str = "umbrella trunk dialler";

/// What a side says of itself.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) node: Arc<str>,
    pub(super) incarnation: u64,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) media: bool,
}

impl Own {
    fn side(&self, rooms: &[String], nonce: [u8; NONCE]) -> Side {
        Side {
            oldest_protocol: *OURS.start(),
            newest_protocol: *OURS.end(),
            node: self.node.to_string(),
            incarnation: self.incarnation,
            name: self.name.clone(),
            version: self.version.clone(),
            media: self.media,
            rooms: rooms.to_vec(),
            nonce: nonce.to_vec(),
        }
    }
}

/// The other side, as it has proved to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Peer {
    pub(super) node: String,
    pub(super) incarnation: u64,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) media: bool,
    pub(super) rooms: Vec<String>,
}

/// Why a handshake has failed. What the other side hears of it is [`Failure::refused`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("it does not speak the protocol of trunks: {0}")]
    Malformed(&'static str),
    /// Of the listener, which knows more than it says.
    #[error("the join secret was not made here, or was revoked")]
    UnknownKey,
    #[error("it does not know the join secret that it names")]
    WrongProof,
    #[error("the join secret had expired before this server first joined")]
    Expired,
    /// Of the dialler.
    #[error(
        "the server there does not know the join secret: it was revoked, or made by another server"
    )]
    WrongServer,
    #[error(
        "this server speaks versions {} to {} of the protocol, the other one {oldest} to {newest}; \
         update the older one",
        OURS.start(),
        OURS.end()
    )]
    Version { oldest: u32, newest: u32 },
    #[error("this address leads back to this server")]
    LeadsBack,
    #[error("{}", copied(.0))]
    Copied(String),
    #[error("{text}")]
    Refused { reason: Reason, text: String },
    #[error("there are too many trunks already")]
    TooMany,
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
    #[error("the server is going down")]
    Shutdown,
}

/// What to do about two servers with one id.
fn copied(node: &str) -> String {
    format!(
        "another server with the id {node} is connected: the data directory was copied; stop one of \
         both, give it another id by `umbrella trunk new-id`, and start it again"
    )
}

/// The same for whatever is wrong with a secret: strangers learn nothing by asking.
const BAD_SECRET: &str = "the join secret is not accepted: it may be mistyped, revoked or expired; \
     the operator of this server sees why";

impl Failure {
    /// What the other side is told.
    pub(super) fn refused(&self) -> Frame {
        let text = self.to_string();
        let (reason, text) = match self {
            Failure::UnknownKey | Failure::WrongProof | Failure::Expired => {
                (Reason::Secret, BAD_SECRET.to_owned())
            }
            Failure::Version { oldest, newest } => {
                // Seen from there.
                let (ours, theirs) = (OURS.start(), OURS.end());
                let text = format!(
                    "this server speaks versions {ours} to {theirs} of the protocol, yours \
                     {oldest} to {newest}; update the older one"
                );
                (Reason::Version, text)
            }
            Failure::LeadsBack | Failure::Copied(_) => (Reason::Duplicate, text),
            Failure::TooMany | Failure::NoMemory(_) => (Reason::Limit, text),
            Failure::Shutdown => (Reason::Shutdown, text),
            Failure::Malformed(_) | Failure::WrongServer => (Reason::Unknown, text),
            Failure::Refused { reason, .. } => (*reason, text),
        };
        let reason = reason.into();
        frame(Message::Refused(Refused { reason, text }))
    }

    /// Whether trying again soon makes sense: otherwise somebody has to do something first.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Failure::Shutdown | Failure::TooMany | Failure::NoMemory(_) => true,
            Failure::Refused { reason, .. } => matches!(reason, Reason::Shutdown | Reason::Limit),
            Failure::Malformed(_)
            | Failure::UnknownKey
            | Failure::WrongProof
            | Failure::Expired
            | Failure::WrongServer
            | Failure::Version { .. }
            | Failure::LeadsBack
            | Failure::Copied(_) => false,
        }
    }
}

pub(super) fn frame(message: Message) -> Frame {
    Frame {
        message: Some(message),
    }
}

/// Numbers of the fields of a frame.
const HELLO: u32 = 1;
const CHALLENGE: u32 = 2;
const PROOF: u32 = 3;
const WELCOME: u32 = 4;
const REFUSED: u32 = 5;

/// The side that dials, which has said Hello.
#[derive(Debug)]
pub(super) struct Dialler {
    own: Own,
    key: ProofKey,
    hello: Vec<u8>,
}

/// The side that dials, which has sent its proof.
#[derive(Debug)]
pub(super) struct Proved {
    peer: Peer,
}

impl Dialler {
    /// What is sent first.
    pub(super) fn new(
        own: Own,
        key: &str,
        proof_key: ProofKey,
        rooms: &[String],
    ) -> (Self, Vec<u8>) {
        let hello = Hello {
            side: Some(own.side(rooms, nonce())),
            key: key.to_owned(),
        };
        let bytes = hello.encode_to_vec();
        let first = frame(Message::Hello(hello)).encode_to_vec();
        let dialler = Dialler {
            own,
            key: proof_key,
            hello: bytes,
        };
        (dialler, first)
    }

    /// Takes the answer, and gives what is sent next.
    pub(super) fn challenge(self, bytes: &[u8]) -> Result<(Proved, Vec<u8>), Failure> {
        let content = expect(bytes, CHALLENGE)?;
        let side = only(content, 1)?;
        let challenge = Challenge::decode(content).map_err(|_| Failure::Malformed("Challenge"))?;
        let (peer, versions) = read_side(side)?;
        // Before the proof: a server does not know the secrets that it was given by others.
        if *peer.node == *self.own.node && peer.incarnation == self.own.incarnation {
            return Err(Failure::LeadsBack);
        }
        let texts = [self.hello.as_slice(), side];
        if !self.key.verifies(LISTENER, texts, &challenge.proof) {
            return Err(Failure::WrongServer);
        }
        negotiate(&versions)?;
        if *peer.node == *self.own.node {
            return Err(Failure::Copied(peer.node));
        }
        let proof = self.key.prove(DIALLER, texts).to_vec();
        let proof = frame(Message::Proof(Proof { proof })).encode_to_vec();
        Ok((Proved { peer }, proof))
    }
}

impl Proved {
    /// Takes the last answer.
    pub(super) fn welcome(self, bytes: &[u8]) -> Result<Peer, Failure> {
        let content = expect(bytes, WELCOME)?;
        let welcome = Welcome::decode(content).map_err(|_| Failure::Malformed("Welcome"))?;
        check_patterns(&welcome.rooms)?;
        if !OURS.contains(&welcome.protocol) {
            let version = welcome.protocol;
            return Err(Failure::Version {
                oldest: version,
                newest: version,
            });
        }
        Ok(Peer {
            rooms: welcome.rooms,
            ..self.peer
        })
    }
}

/// What the listening side knows of a secret.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) proof_key: ProofKey,
    /// Rooms that we would share.
    pub(super) rooms: Vec<String>,
}

/// The side that is dialled, which has sent its challenge.
#[derive(Debug)]
pub(super) struct Listener {
    own: Own,
    key: ProofKey,
    known: bool,
    hello: Vec<u8>,
    side: Vec<u8>,
    peer: Peer,
    protocol: u32,
    rooms: Vec<String>,
}

/// The dialler has proved who it is; it is for the registry to welcome it.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) peer: Peer,
    protocol: u32,
    rooms: Vec<String>,
}

impl Listener {
    /// Takes the Hello, and gives what is sent next. `find` tells what is known of a key; who does
    /// not know the secret gets a challenge all the same, and learns nothing from it.
    pub(super) fn hello(
        own: Own,
        bytes: &[u8],
        find: impl FnOnce(&str) -> Option<Known>,
    ) -> Result<(Self, Vec<u8>), Failure> {
        let content = expect(bytes, HELLO)?;
        let side = only(content, 1)?;
        let hello = Hello::decode(content).map_err(|_| Failure::Malformed("Hello"))?;
        let (peer, versions) = read_side(side)?;
        let protocol = negotiate(&versions)?;
        if hello.key.len() > MAX_ID {
            return Err(Failure::Malformed("key"));
        }
        let found = find(&hello.key);
        let known = found.is_some();
        let Known { proof_key, rooms } = found.unwrap_or_else(|| Known {
            proof_key: ProofKey::random(),
            rooms: Vec::new(),
        });
        let ours = own.side(&[], nonce());
        let ours_bytes = ours.encode_to_vec();
        let proof = proof_key.prove(LISTENER, [content, &ours_bytes]).to_vec();
        let challenge = Challenge {
            side: Some(ours),
            proof,
        };
        let listener = Listener {
            own,
            key: proof_key,
            known,
            hello: content.to_vec(),
            side: ours_bytes,
            peer,
            protocol,
            rooms,
        };
        let next = frame(Message::Challenge(challenge)).encode_to_vec();
        Ok((listener, next))
    }

    /// Takes the proof.
    pub(super) fn proof(self, bytes: &[u8]) -> Result<Accepted, Failure> {
        let proof = expect(bytes, PROOF)
            .and_then(|content| Proof::decode(content).map_err(|_| Failure::Malformed("Proof")));
        let proof = match proof {
            Ok(proof) => proof,
            // Whoever finds that we do not know the secret says so, or goes.
            Err(_) if !self.known => return Err(Failure::UnknownKey),
            Err(failure) => return Err(failure),
        };
        let texts = [self.hello.as_slice(), self.side.as_slice()];
        let right = self.key.verifies(DIALLER, texts, &proof.proof);
        if !self.known {
            return Err(Failure::UnknownKey);
        }
        if !right {
            return Err(Failure::WrongProof);
        }
        if *self.peer.node == *self.own.node {
            return Err(if self.peer.incarnation == self.own.incarnation {
                Failure::LeadsBack
            } else {
                Failure::Copied(self.peer.node)
            });
        }
        Ok(Accepted {
            peer: self.peer,
            protocol: self.protocol,
            rooms: self.rooms,
        })
    }

    /// Why it has failed if the other side has gone without a proof.
    pub(super) fn gone(&self) -> Failure {
        if self.known {
            Failure::Malformed("it went away before it proved who it is")
        } else {
            Failure::UnknownKey
        }
    }
}

impl Accepted {
    /// What is sent to let it in.
    pub(super) fn welcome(&self) -> Vec<u8> {
        let welcome = Welcome {
            protocol: self.protocol,
            rooms: self.rooms.clone(),
        };
        frame(Message::Welcome(welcome)).encode_to_vec()
    }
}

fn nonce() -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    rand::rng().fill_bytes(&mut nonce);
    nonce
}

/// The content of a frame that holds this field alone: nothing else is unpacked for strangers. The
/// other side may refuse at any time.
fn expect(bytes: &[u8], number: u32) -> Result<&[u8], Failure> {
    if bytes.len() > MAX_HANDSHAKE {
        return Err(Failure::Malformed("a frame is too long"));
    }
    let mut rest = bytes;
    let malformed = Failure::Malformed("a frame is not what comes now");
    let field = Field::take(&mut rest).map_err(|_| malformed.clone())?;
    let content = field.text.filter(|_| rest.is_empty());
    let content = content.ok_or_else(|| malformed.clone())?;
    match field.number {
        found if found == number => Ok(content),
        REFUSED if number != HELLO => Err(refusal(content)),
        _ => Err(malformed),
    }
}

fn refusal(content: &[u8]) -> Failure {
    let Ok(refused) = Refused::decode(content) else {
        return Failure::Malformed("Refused");
    };
    Failure::Refused {
        reason: refused.reason(),
        text: shown(&refused.text, 500),
    }
}

/// A field that must be there once: of two, libraries take what they like.
fn only(content: &[u8], number: u32) -> Result<&[u8], Failure> {
    let mut rest = content;
    let mut found = None;
    while !rest.is_empty() {
        let field = Field::take(&mut rest).map_err(|_| Failure::Malformed("a field"))?;
        if field.number == number && found.replace(field.text).is_some() {
            return Err(Failure::Malformed("a field is there twice"));
        }
    }
    found
        .flatten()
        .ok_or(Failure::Malformed("a field is missing"))
}

fn read_side(bytes: &[u8]) -> Result<(Peer, RangeInclusive<u32>), Failure> {
    let side = Side::decode(bytes).map_err(|_| Failure::Malformed("Side"))?;
    if side.nonce.len() != NONCE {
        return Err(Failure::Malformed("nonce"));
    }
    if !is_node(&side.node) {
        return Err(Failure::Malformed("node"));
    }
    check_patterns(&side.rooms)?;
    let peer = Peer {
        name: shown(&side.name, MAX_NAME),
        version: shown(&side.version, MAX_NAME),
        node: side.node,
        incarnation: side.incarnation,
        media: side.media,
        rooms: side.rooms,
    };
    Ok((peer, side.oldest_protocol..=side.newest_protocol))
}

/// Whether this can be the id of a server.
pub(super) fn is_node(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(plain)
}

pub(super) fn check_patterns(patterns: &[String]) -> Result<(), Failure> {
    let fits = |pattern: &String| pattern.len() <= MAX_PATTERN;
    if patterns.len() > MAX_PATTERNS || !patterns.iter().all(fits) {
        return Err(Failure::Malformed("rooms"));
    }
    Ok(())
}

fn negotiate(theirs: &RangeInclusive<u32>) -> Result<u32, Failure> {
    let newest = *theirs.end().min(OURS.end());
    let oldest = *theirs.start().max(OURS.start());
    if newest < oldest {
        return Err(Failure::Version {
            oldest: *theirs.start(),
            newest: *theirs.end(),
        });
    }
    Ok(newest)
}

/// Text of the other side, fit to be shown and logged.
pub(super) fn shown(text: &str, max: usize) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(max).collect()
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

#[cfg(test)]
mod tests;
