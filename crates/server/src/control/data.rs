//! Data messages between clients: the envelope is read and written on its bytes, so that fields
//! that are unknown here reach the receiver as they were sent.

use std::collections::VecDeque;
use std::sync::Arc;

use umbrella_engine::Channel;
use umbrella_room::command::Reliability;
use umbrella_room::model::{Identity, ParticipantId};

use super::session::OpenChannels;
use crate::protobuf::{Field, Malformed, put_bytes, put_varint};

/// Reliable messages that wait for a client's channel to open. Beyond either bound the oldest
/// ones are dropped: a client that comes late has missed what was said before, too.
const PENDING_MESSAGES: usize = 256;
const PENDING_BYTES: usize = 1024 * 1024;

/// Messages of one client per second, on average.
const MESSAGES_PER_SECOND: f64 = 2000.0;
/// Messages of one client at once.
const MESSAGE_BURST: f64 = 8000.0;

/// Fields of the envelope, `DataPacket` in `proto/client.proto`.
mod packet {
    pub(super) const KIND: u32 = 1;
    pub(super) const USER: u32 = 2;
    pub(super) const SENDER_IDENTITY: u32 = 4;
    pub(super) const DESTINATION_IDENTITIES: u32 = 5;
    pub(super) const SEQUENCE: u32 = 16;
    pub(super) const SENDER_SID: u32 = 17;
    pub(super) const KIND_LOSSY: u64 = 1;
}

/// Fields of what most applications put into the envelope, `UserPacket`.
mod user {
    pub(super) const SENDER_SID: u32 = 1;
    pub(super) const DESTINATION_SIDS: u32 = 3;
    pub(super) const SENDER_IDENTITY: u32 = 5;
    pub(super) const DESTINATION_IDENTITIES: u32 = 6;
}

/// Whom a message comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) sid: &'a ParticipantId,
    pub(super) identity: &'a Identity,
}

/// A message with its sender's name on it.
#[derive(Debug)]
pub(super) struct Stamped {
    /// To whom; empty means everybody else.
    pub(super) to: Vec<Identity>,
    /// The client's number of it, counted from 1; 0 if it does not count.
    pub(super) sequence: u32,
    pub(super) payload: Arc<[u8]>,
}

/// Not a data message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a data message is not a valid envelope")]
pub(super) struct BadEnvelope;

impl From<Malformed> for BadEnvelope {
    fn from(Malformed: Malformed) -> BadEnvelope {
        BadEnvelope
    }
}

/// Writes the sender's name on a message, whatever it said of itself, and takes the
/// destinations off it.
pub(super) fn stamp(
    message: &[u8],
    sender: Sender<'_>,
    reliability: Reliability,
) -> Result<Stamped, BadEnvelope> {
    rewrite(message, Some(sender), reliability)
}

/// Takes any sender's name off a message, which comes from an application.
pub(super) fn strip(message: &[u8], reliability: Reliability) -> Result<Stamped, BadEnvelope> {
    rewrite(message, None, reliability)
}

fn rewrite(
    message: &[u8],
    sender: Option<Sender<'_>>,
    reliability: Reliability,
) -> Result<Stamped, BadEnvelope> {
    let mut to = Vec::new();
    let mut out = Vec::with_capacity(message.len() + 64);
    let (mut user_seen, mut sequence) = (false, 0);
    let mut rest = message;
    while !rest.is_empty() {
        let field = Field::take(&mut rest)?;
        match (field.number, field.text) {
            (packet::KIND | packet::SENDER_IDENTITY | packet::SENDER_SID, _) => {}
            (packet::DESTINATION_IDENTITIES, Some(identity)) => to.push(identity_of(identity)?),
            // Nobody writes a second one, and a name on each would make a long message of many.
            (packet::USER, Some(_)) if user_seen => return Err(BadEnvelope),
            (packet::USER, Some(inner)) => {
                user_seen = true;
                let inner = stamp_user(inner, sender, &mut to)?;
                put_bytes(&mut out, packet::USER, &inner);
            }
            (packet::SEQUENCE, None) => {
                // Numbers are cut to 32 bits, as all libraries do.
                sequence = field.value.unwrap_or(0) as u32;
                out.extend_from_slice(field.raw);
            }
            _ => out.extend_from_slice(field.raw),
        }
    }
    if reliability == Reliability::Lossy {
        put_varint(&mut out, u64::from(packet::KIND) << 3);
        put_varint(&mut out, packet::KIND_LOSSY);
    }
    if let Some(sender) = sender {
        let identity = sender.identity.as_str().as_bytes();
        put_bytes(&mut out, packet::SENDER_IDENTITY, identity);
        put_bytes(&mut out, packet::SENDER_SID, sender.sid.as_str().as_bytes());
    }
    Ok(Stamped {
        to,
        sequence,
        payload: out.into(),
    })
}

/// Old clients read the sender from here.
fn stamp_user(
    message: &[u8],
    sender: Option<Sender<'_>>,
    to: &mut Vec<Identity>,
) -> Result<Vec<u8>, BadEnvelope> {
    let mut out = Vec::with_capacity(message.len() + 64);
    let mut rest = message;
    while !rest.is_empty() {
        let field = Field::take(&mut rest)?;
        match (field.number, field.text) {
            (user::SENDER_SID | user::SENDER_IDENTITY | user::DESTINATION_SIDS, _) => {}
            (user::DESTINATION_IDENTITIES, Some(identity)) => to.push(identity_of(identity)?),
            _ => out.extend_from_slice(field.raw),
        }
    }
    if let Some(sender) = sender {
        let identity = sender.identity.as_str().as_bytes();
        put_bytes(&mut out, user::SENDER_SID, sender.sid.as_str().as_bytes());
        put_bytes(&mut out, user::SENDER_IDENTITY, identity);
    }
    Ok(out)
}

fn identity_of(text: &[u8]) -> Result<Identity, BadEnvelope> {
    std::str::from_utf8(text)
        .map(Identity::new)
        .map_err(|_| BadEnvelope)
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing {
    use std::collections::HashMap;

    use super::*;

    const SID: &str = "PA_1";
    const IDENTITY: &str = "alice";
    /// Both names with their keys and lengths, in the envelope and inside, and the kind.
    const GROWTH: usize = 64;

    /// Stamps a data message. The first byte says how reliable it is.
    ///
    /// # Panics
    /// If any receiver could take it for somebody else's, or sees to whom it goes.
    pub fn stamping(data: &[u8]) {
        let Some((&kind, message)) = data.split_first() else {
            return;
        };
        let reliability = match kind & 1 {
            0 => Reliability::Reliable,
            _ => Reliability::Lossy,
        };
        let (sid, identity) = (ParticipantId::new(SID), Identity::new(IDENTITY));
        let sender = Sender {
            sid: &sid,
            identity: &identity,
        };
        let Ok(stamped) = stamp(message, sender, reliability) else {
            return;
        };
        let payload = &*stamped.payload;
        assert!(payload.len() <= message.len() + GROWTH, "it has grown");
        let read = fields(payload);
        assert_eq!(last(&read, packet::SENDER_SID), Some(SID.as_bytes()));
        assert_eq!(
            last(&read, packet::SENDER_IDENTITY),
            Some(IDENTITY.as_bytes())
        );
        assert_eq!(last(&read, packet::DESTINATION_IDENTITIES), None);
        for inner in read.get(&packet::USER).into_iter().flatten() {
            let inner = fields(inner);
            assert_eq!(last(&inner, user::SENDER_SID), Some(SID.as_bytes()));
            assert_eq!(
                last(&inner, user::SENDER_IDENTITY),
                Some(IDENTITY.as_bytes())
            );
            assert_eq!(last(&inner, user::DESTINATION_IDENTITIES), None);
            assert_eq!(last(&inner, user::DESTINATION_SIDS), None);
        }
        let again = stamp(payload, sender, reliability).expect("it is still an envelope");
        assert_eq!(&*again.payload, payload);
        assert!(again.to.is_empty());
    }

    type Fields<'a> = HashMap<u32, Vec<&'a [u8]>>;

    fn last<'a>(fields: &Fields<'a>, number: u32) -> Option<&'a [u8]> {
        fields.get(&number)?.last().copied()
    }

    /// The length-delimited fields. All libraries read the same, also those that keep only 32 bits
    /// of a key.
    fn fields(message: &[u8]) -> Fields<'_> {
        let mut fields = Fields::default();
        let mut rest = message;
        while !rest.is_empty() {
            let field = Field::take(&mut rest).expect("it was taken before");
            assert!(field.number < 1 << 29, "{field:?} is two fields");
            fields.entry(field.number).or_default().extend(field.text);
        }
        fields
    }
}

/// What a session's client has been sent before its channels were open, and how much it sends.
#[derive(Debug)]
pub(super) struct PendingData {
    pub(super) open: OpenChannels,
    waiting: VecDeque<Arc<[u8]>>,
    bytes: usize,
    pub(super) budget: Budget,
    /// The number of the last reliable message that has arrived.
    received: u32,
}

impl PendingData {
    pub(super) fn new(now: std::time::Instant) -> PendingData {
        PendingData {
            open: OpenChannels::default(),
            waiting: VecDeque::new(),
            bytes: 0,
            received: 0,
            budget: Budget::new(now, MESSAGES_PER_SECOND, MESSAGE_BURST),
        }
    }

    /// Notes that a message has arrived; false if it had before.
    pub(super) fn receive(&mut self, reliability: Reliability, sequence: u32) -> bool {
        if reliability == Reliability::Lossy || sequence == 0 {
            return true;
        }
        let new = sequence > self.received;
        self.received = self.received.max(sequence);
        new
    }

    /// The number of the last reliable message that has arrived, 0 if none has that has one.
    pub(super) fn received(&self) -> u32 {
        self.received
    }

    /// Keeps a reliable message for later. Says how many found no room, the oldest ones.
    pub(super) fn keep(&mut self, payload: Arc<[u8]>) -> u64 {
        let mut lost = 0;
        self.bytes += payload.len();
        self.waiting.push_back(payload);
        while self.waiting.len() > PENDING_MESSAGES || self.bytes > PENDING_BYTES {
            let Some(dropped) = self.waiting.pop_front() else {
                break;
            };
            self.bytes -= dropped.len();
            lost += 1;
        }
        lost
    }

    /// Notes that a channel is open, and yields what waited for it.
    pub(super) fn opened(&mut self, channel: Channel) -> VecDeque<Arc<[u8]>> {
        self.open.open(channel);
        if channel != Channel::Reliable {
            return VecDeque::new();
        }
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }
}

/// A token bucket.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    per_second: f64,
    most: f64,
    left: f64,
    at: std::time::Instant,
}

impl Budget {
    /// A full bucket.
    pub(crate) fn new(now: std::time::Instant, per_second: f64, most: f64) -> Budget {
        Budget {
            per_second,
            most,
            left: most,
            at: now,
        }
    }

    /// Takes one; false if there is none.
    pub(crate) fn take(&mut self, now: std::time::Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + since * self.per_second).min(self.most);
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use prost::Message as _;
    use umbrella_wire::client::{DataPacket, UserPacket, data_packet};

    use super::*;

    fn stamped(message: &[u8], reliability: Reliability) -> Result<Stamped, BadEnvelope> {
        let sid = ParticipantId::new("PA_1");
        let identity = Identity::new("alice");
        let sender = Sender {
            sid: &sid,
            identity: &identity,
        };
        stamp(message, sender, reliability)
    }

    #[test]
    fn sender_cannot_pretend_to_be_somebody_else() {
        let forged = DataPacket {
            participant_identity: "bob".into(),
            participant_sid: "PA_2".into(),
            user: Some(UserPacket {
                participant_sid: "PA_2".into(),
                participant_identity: "bob".into(),
                payload: b"hello".to_vec(),
                topic: Some("t".into()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let out = stamped(&forged.encode_to_vec(), Reliability::Reliable).unwrap();
        let read = DataPacket::decode(&*out.payload).unwrap();
        assert_eq!(read.participant_identity, "alice");
        assert_eq!(read.participant_sid, "PA_1");
        let user = read.user.unwrap();
        assert_eq!(
            (&*user.participant_sid, &*user.participant_identity),
            ("PA_1", "alice")
        );
        assert_eq!(
            (&*user.payload, user.topic.as_deref()),
            (&b"hello"[..], Some("t"))
        );
    }

    #[test]
    fn forged_sender_hides_behind_a_number_that_some_clients_cut_off() {
        let forged = UserPacket {
            participant_identity: "bob".into(),
            ..Default::default()
        };
        let forged = forged.encode_to_vec();
        let mut message = Vec::new();
        put_bytes(&mut message, packet::USER | 1 << 29, &forged);
        assert!(stamped(&message, Reliability::Reliable).is_err());
    }

    #[test]
    fn small_message_grows_to_a_large_one() {
        let mut message = Vec::new();
        for _ in 0..10_000 {
            put_bytes(&mut message, packet::USER, b"");
        }
        assert!(stamped(&message, Reliability::Reliable).is_err());
    }

    #[test]
    fn destinations_of_all_ages_are_honoured_and_not_shown_to_the_receivers() {
        let message = DataPacket {
            destination_identities: vec!["bob".into()],
            user: Some(UserPacket {
                destination_identities: vec!["carol".into()],
                destination_sids: vec!["PA_9".into()],
                ..Default::default()
            }),
            ..Default::default()
        };
        let out = stamped(&message.encode_to_vec(), Reliability::Reliable).unwrap();
        let mut to: Vec<_> = out.to.iter().map(Identity::as_str).collect();
        to.sort_unstable();
        assert_eq!(to, ["bob", "carol"]);
        let read = DataPacket::decode(&*out.payload).unwrap();
        assert!(read.destination_identities.is_empty());
        let user = read.user.unwrap();
        assert!(user.destination_identities.is_empty() && user.destination_sids.is_empty());
    }

    #[test]
    fn messages_of_later_protocols_reach_the_receiver_unchanged() {
        let mut message = Vec::new();
        put_bytes(&mut message, 10, b"an rpc request");
        put_bytes(&mut message, 999, b"from the future");
        put_varint(&mut message, 16 << 3);
        put_varint(&mut message, 77);
        let out = stamped(&message, Reliability::Lossy).unwrap();
        assert!(out.payload.starts_with(&message));
        let read = DataPacket::decode(&*out.payload).unwrap();
        assert_eq!(read.sequence, 77);
        assert_eq!(read.kind(), data_packet::Kind::Lossy);
    }

    #[test]
    fn rubbish_is_refused() {
        let rubbish: [&[u8]; 6] = [
            &[0x00],
            &[0xff],
            &[0x0a, 0xff],
            &[0x0b],
            &[0xff; 32],
            &[0x2a, 0x02, 0xff, 0xfe],
        ];
        for message in rubbish {
            assert!(
                stamped(message, Reliability::Reliable).is_err(),
                "{message:?}"
            );
        }
    }

    #[test]
    fn message_that_is_sent_again_to_be_sure_comes_twice() {
        let numbered = |sequence| DataPacket {
            sequence,
            ..Default::default()
        };
        let mut pending = PendingData::new(Instant::now());
        let mut arrives = |sequence, reliability| {
            let message = numbered(sequence).encode_to_vec();
            let stamped = stamped(&message, reliability).unwrap();
            pending.receive(reliability, stamped.sequence)
        };
        let sent = [1, 2, 2, 1, 3, 0, 0];
        let fresh = sent.map(|sequence| arrives(sequence, Reliability::Reliable));
        assert_eq!(fresh, [true, true, false, false, true, true, true]);
        assert!(arrives(1, Reliability::Lossy), "lossy ones are not counted");
        assert_eq!(pending.received(), 3);
    }

    #[test]
    fn messages_for_a_late_channel_are_bounded_and_in_order() {
        let mut pending = PendingData::new(Instant::now());
        for n in 0..1000u32 {
            pending.keep(n.to_be_bytes().to_vec().into());
        }
        assert!(pending.opened(Channel::Lossy).is_empty());
        let kept = pending.opened(Channel::Reliable);
        assert_eq!(kept.len(), PENDING_MESSAGES);
        assert_eq!(&*kept[0], (1000 - PENDING_MESSAGES as u32).to_be_bytes());
        for _ in 0..5 {
            pending.keep(vec![0; PENDING_BYTES / 2].into());
        }
        assert_eq!(pending.opened(Channel::Reliable).len(), 2);
    }

    #[test]
    fn flood_is_cut_to_its_rate() {
        let start = Instant::now();
        let mut budget = Budget::new(start, 10.0, 20.0);
        assert_eq!((0..100).filter(|_| budget.take(start)).count(), 20);
        let later = start + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| budget.take(later)).count(), 10);
    }

    proptest::proptest! {
        #[test]
        fn no_message_panics(message: Vec<u8>) {
            let _ = stamped(&message, Reliability::Lossy);
        }

        #[test]
        fn every_accepted_message_names_its_sender(message: Vec<u8>) {
            if let Ok(out) = stamped(&message, Reliability::Lossy) {
                // Other fields may still not be what the envelope wants: the receiver's affair.
                if let Ok(read) = DataPacket::decode(&*out.payload) {
                    proptest::prop_assert_eq!(read.participant_identity, "alice");
                }
            }
        }
    }
}
