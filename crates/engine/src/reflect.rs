//! How others see us: plain STUN Binding requests (RFC 8489), asked and answered.
//!
//! Plain is what has no USERNAME; with one it is a connectivity check, and str0m's. Whoever asks
//! is told from what address the request came, so that servers behind NATs can learn by each other
//! what they are called outside.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::api::{Path, Protocol};
use crate::arena::Key;
use crate::deadline::Deadlines;
use crate::transport::Transport;

/// By what an answer names its request.
pub(crate) type TransactionId = [u8; 12];

/// The message header, RFC 8489 section 5.
const HEADER: usize = 20;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

/// Attributes, RFC 8489 section 14. Those below 0x8000 must be understood.
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const FINGERPRINT: u16 = 0x8028;
const OPTIONAL: u16 = 0x8000;
/// MAPPED-ADDRESS, SOURCE-ADDRESS, CHANGED-ADDRESS: what servers say for clients of RFC 3489.
const OUTDATED: [u16; 3] = [0x0001, 0x0004, 0x0005];
const FINGERPRINT_XOR: u32 = 0x5354_554E;

/// Longer requests are not answered. Ours have 20 bytes, others add what software they are.
const MAX_REQUEST: usize = 256;
/// Header, an IPv6 address, a fingerprint.
const MAX_ANSWER: usize = HEADER + 24 + 8;

/// A question is sent so often, and then given up.
const SENDINGS: u32 = 4;
/// After the first time; each further one waits twice as long (RFC 8489 section 6.2.1).
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Answers to strangers: so many in a second, after so many at once. Whoever forges the sender's
/// address of more than that makes us send nothing.
const ANSWERS_PER_SECOND: u32 = 200;
const ANSWERS_AT_ONCE: u32 = 100;

/// What we have asked and were not told yet, and how much we still answer.
#[derive(Debug)]
pub(crate) struct Reflection {
    /// How often each was sent.
    open: HashMap<TransactionId, (Question, u32)>,
    due: Deadlines<TransactionId>,
    answers: Bucket,
    /// Transaction ids are its hashes of `asked`: nobody else can tell them (RFC 8489 section 5).
    secret: RandomState,
    asked: u64,
}

/// Who wants to know how others see us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// An end of a trunk.
    Transport(Key<Transport>),
    /// The owner of the worker.
    Owner,
}

/// "How do you see me?"
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    /// For whom.
    pub(crate) asker: Asker,
    /// From where.
    pub(crate) local: SocketAddr,
    /// Who is asked.
    pub(crate) reflector: SocketAddr,
}

impl Question {
    fn path(&self) -> Path {
        Path {
            protocol: Protocol::Udp,
            local: self.local,
            remote: self.reflector,
        }
    }
}

impl Reflection {
    pub(crate) fn new() -> Reflection {
        Reflection {
            open: HashMap::new(),
            due: Deadlines::new(),
            answers: Bucket::new(Duration::from_secs(1) / ANSWERS_PER_SECOND, ANSWERS_AT_ONCE),
            secret: RandomState::new(),
            asked: 0,
        }
    }

    /// Asks, unless that very question is open, or there are `most` of its asker.
    pub(crate) fn ask(&mut self, now: Instant, question: Question, most: usize) {
        let open = self.open.values().map(|(it, _)| it);
        let theirs = open.filter(|it| it.asker == question.asker);
        if theirs.clone().count() >= most || theirs.clone().any(|it| *it == question) {
            return;
        }
        let id = self.next_id();
        self.open.insert(id, (question, 0));
        self.due.set(id, now);
    }

    /// What is to be done now.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Due> {
        while let Some(id) = self.due.pop_due(now) {
            let Some((question, sent)) = self.open.get_mut(&id) else {
                continue;
            };
            let question = *question;
            if *sent >= SENDINGS {
                self.open.remove(&id);
                return Some(Due::GiveUp(question));
            }
            self.due.set(id, now + FIRST_WAIT * (1 << *sent));
            *sent += 1;
            return Some(Due::Send(question.path(), request(id)));
        }
        None
    }

    /// The next time at which something is to be sent or given up.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        self.due.next()
    }

    /// How a reflector sees us, if this is its answer to a question that is open.
    pub(crate) fn hear(&mut self, path: Path, data: &[u8]) -> Option<(Question, SocketAddr)> {
        if self.open.is_empty() {
            return None;
        }
        let (id, seen_as) = read_answer(data)?;
        let (question, _) = self.open.get(&id).filter(|(it, _)| it.path() == path)?;
        let question = *question;
        self.open.remove(&id);
        self.due.forget(id);
        Some((question, seen_as))
    }

    /// Nobody waits for these answers any more.
    pub(crate) fn forget(&mut self, transport: Key<Transport>) {
        let due = &mut self.due;
        self.open.retain(|id, (question, _)| {
            let stays = question.asker != Asker::Transport(transport);
            if !stays {
                due.forget(*id);
            }
            stays
        });
    }

    /// What to tell somebody who asks, if we still answer.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        from: SocketAddr,
        asked: Asked,
    ) -> Option<Answer> {
        self.answers.take(now).then(|| Answer::new(from, asked))
    }

    fn next_id(&mut self) -> TransactionId {
        self.asked += 1;
        let [first, second] = [0, 1].map(|half| self.secret.hash_one((self.asked, half)));
        let mut id = TransactionId::default();
        id[..8].copy_from_slice(&first.to_be_bytes());
        id[8..].copy_from_slice(&second.to_be_bytes()[..4]);
        id
    }
}

/// What is to be done about a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// To send it, for the first time or again.
    Send(Path, [u8; HEADER]),
    /// Nobody has answered, and it is not asked any more.
    GiveUp(Question),
}

/// Somebody's plain request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    id: TransactionId,
    fingerprint: bool,
}

impl Asked {
    /// As if somebody had asked.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn plain(id: TransactionId) -> Asked {
        Asked {
            id,
            fingerprint: false,
        }
    }

    /// Reads a plain Binding request. One that holds anything that would have to be understood is
    /// none: a connectivity check has USERNAME.
    pub(crate) fn read(data: &[u8]) -> Option<Asked> {
        if data.len() > MAX_REQUEST {
            return None;
        }
        let message = Message::read(data, BINDING_REQUEST)?;
        let mut fingerprint = false;
        for attribute in message.attributes() {
            let attribute = attribute?;
            if attribute.kind < OPTIONAL || fingerprint {
                return None;
            }
            fingerprint = attribute.kind == FINGERPRINT;
            if fingerprint && !attribute.is_fingerprint_of(data) {
                return None;
            }
        }
        let id = message.id;
        Some(Asked { id, fingerprint })
    }
}

/// The answer to a plain request: the address that it came from, and a fingerprint for those who
/// sent one. With the headers of IP and UDP, 60 bytes for 48 over IPv4, 92 for 68 over IPv6:
/// nobody gains by having us send it to somebody else.
#[derive(Debug)]
pub(crate) struct Answer {
    bytes: [u8; MAX_ANSWER],
    length: usize,
}

impl Answer {
    pub(crate) fn new(from: SocketAddr, asked: Asked) -> Answer {
        let mut answer = Answer {
            bytes: [0; MAX_ANSWER],
            length: HEADER,
        };
        let (ip, port) = (from.ip().to_canonical(), from.port());
        let (family, size): (u8, u16) = match ip {
            IpAddr::V4(_) => (1, 8),
            IpAddr::V6(_) => (2, 20),
        };
        let fingerprint: u16 = if asked.fingerprint { 8 } else { 0 };
        let [high, low] = (size + 4 + fingerprint).to_be_bytes();
        answer.bytes[..2].copy_from_slice(&BINDING_SUCCESS.to_be_bytes());
        answer.bytes[2..4].copy_from_slice(&[high, low]);
        answer.bytes[4..8].copy_from_slice(&COOKIE);
        answer.bytes[8..HEADER].copy_from_slice(&asked.id);
        answer.push(&XOR_MAPPED_ADDRESS.to_be_bytes());
        answer.push(&size.to_be_bytes());
        answer.push(&[0, family]);
        answer.push(&(port ^ xor_port()).to_be_bytes());
        match xored(ip, asked.id) {
            IpAddr::V4(ip) => answer.push(&ip.octets()),
            IpAddr::V6(ip) => answer.push(&ip.octets()),
        }
        if asked.fingerprint {
            let fingerprint = fingerprint_of(answer.bytes());
            answer.push(&FINGERPRINT.to_be_bytes());
            answer.push(&4u16.to_be_bytes());
            answer.push(&fingerprint.to_be_bytes());
        }
        answer
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }

    /// What is to be sent.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

fn request(id: TransactionId) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..2].copy_from_slice(&BINDING_REQUEST.to_be_bytes());
    bytes[4..8].copy_from_slice(&COOKIE);
    bytes[8..].copy_from_slice(&id);
    bytes
}

/// Reads the answer to a plain request (RFC 8489 section 6.3.3).
pub(crate) fn read_answer(data: &[u8]) -> Option<(TransactionId, SocketAddr)> {
    let message = Message::read(data, BINDING_SUCCESS)?;
    let mut seen_as = None;
    for attribute in message.attributes() {
        let attribute = attribute?;
        match attribute.kind {
            XOR_MAPPED_ADDRESS => {
                seen_as = seen_as.or(Some(attribute.address(message.id)?));
            }
            FINGERPRINT if !attribute.is_fingerprint_of(data) => return None,
            kind if kind < OPTIONAL && !OUTDATED.contains(&kind) => return None,
            _ => {}
        }
    }
    Some((message.id, seen_as?))
}

/// A STUN message whose length and cookie are right.
#[derive(Debug, Clone, Copy)]
struct Message<'a> {
    id: TransactionId,
    attributes: &'a [u8],
}

impl<'a> Message<'a> {
    fn read(data: &'a [u8], kind: u16) -> Option<Message<'a>> {
        let (header, attributes) = data.split_at_checked(HEADER)?;
        let length = u16::from_be_bytes([header[2], header[3]]);
        let right = header[..2] == kind.to_be_bytes()
            && header[4..8] == COOKIE
            && usize::from(length) == attributes.len()
            && length.is_multiple_of(4);
        let id = header[8..].try_into().ok()?;
        right.then_some(Message { id, attributes })
    }

    /// Its attributes; `None` where they are broken, and then no more.
    fn attributes(&self) -> impl Iterator<Item = Option<Attribute<'a>>> + use<'a> {
        let mut rest = self.attributes;
        let mut at = HEADER;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let attribute = Attribute::read(rest, at);
            let length = attribute.map(|it| 4 + it.value.len().next_multiple_of(4));
            let left = length.and_then(|length| rest.get(length..));
            rest = left.unwrap_or_default();
            at += length.unwrap_or_default();
            Some(attribute.filter(|_| left.is_some()))
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct Attribute<'a> {
    kind: u16,
    value: &'a [u8],
    /// Where in the message it begins.
    at: usize,
}

impl<'a> Attribute<'a> {
    fn read(bytes: &'a [u8], at: usize) -> Option<Attribute<'a>> {
        let (head, rest) = bytes.split_at_checked(4)?;
        let length = u16::from_be_bytes([head[2], head[3]]);
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let value = rest.get(..usize::from(length))?;
        Some(Attribute { kind, value, at })
    }

    /// RFC 8489 section 14.7.
    fn is_fingerprint_of(&self, message: &[u8]) -> bool {
        let before = message.get(..self.at).unwrap_or_default();
        let is_last = message.len() == self.at + 8;
        is_last && self.value == fingerprint_of(before).to_be_bytes()
    }

    /// RFC 8489 section 14.2.
    fn address(&self, id: TransactionId) -> Option<SocketAddr> {
        let (head, octets) = self.value.split_at_checked(4)?;
        let ip = match head[1] {
            1 => IpAddr::from(<[u8; 4]>::try_from(octets).ok()?),
            2 => IpAddr::from(<[u8; 16]>::try_from(octets).ok()?),
            _ => return None,
        };
        let port = u16::from_be_bytes([head[2], head[3]]) ^ xor_port();
        Some(SocketAddr::new(xored(ip, id).to_canonical(), port))
    }
}

fn xor_port() -> u16 {
    u16::from_be_bytes([COOKIE[0], COOKIE[1]])
}

/// An address as XOR-MAPPED-ADDRESS holds it, and the other way round.
fn xored(ip: IpAddr, id: TransactionId) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() ^ u32::from_be_bytes(COOKIE)).into(),
        IpAddr::V6(ip) => {
            let mut mask = [0; 16];
            mask[..4].copy_from_slice(&COOKIE);
            mask[4..].copy_from_slice(&id);
            Ipv6Addr::from_bits(ip.to_bits() ^ u128::from_be_bytes(mask)).into()
        }
    }
}

/// CRC-32 of what precedes a FINGERPRINT, as RFC 8489 section 14.7 wants it.
fn fingerprint_of(before: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xEDB8_8320;
    let mut crc = u32::MAX;
    for byte in before {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let odd = crc & 1 == 1;
            crc = (crc >> 1) ^ if odd { POLYNOMIAL } else { 0 };
        }
    }
    !crc ^ FINGERPRINT_XOR
}

/// So many of something at once, and then one each interval.
#[derive(Debug)]
pub(crate) struct Bucket {
    interval: Duration,
    /// How far `taken_until` may be ahead.
    ahead: Duration,
    /// What was taken so far would be due until then, if it came one by one.
    taken_until: Option<Instant>,
}

impl Bucket {
    pub(crate) fn new(interval: Duration, at_once: u32) -> Bucket {
        Bucket {
            interval,
            ahead: interval * at_once.saturating_sub(1),
            taken_until: None,
        }
    }

    /// Whether there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let from = self.taken_until.map_or(now, |until| until.max(now));
        let there = from - now <= self.ahead;
        if there {
            self.taken_until = Some(from + self.interval);
        }
        there
    }
}

#[cfg(test)]
mod tests;
