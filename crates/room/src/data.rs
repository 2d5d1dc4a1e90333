//! Who gets a data message.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::command::Reliability;
use crate::effect::Effect;
use crate::mesh::{Data, Share};
use crate::model::{Identity, NodeId, ParticipantId};
use crate::room::Room;
use crate::roster::ParticipantKey;

impl Room {
    /// [`Command::Data`](crate::Command::Data). Dropped are messages of somebody who may not send
    /// any, and larger ones than [`Limits::data_message`](crate::Limits::data_message). Hidden
    /// participants send and receive like all others; nobody gets its own message back. A camera
    /// that somebody does not see neither sends it anything nor is named by it.
    pub(crate) fn relay(
        &mut self,
        from: Option<&ParticipantId>,
        to: &[Identity],
        reliability: Reliability,
        payload: Arc<[u8]>,
    ) {
        if payload.len() > self.config.limits.data_message {
            return;
        }
        let sender = match from {
            None => None,
            Some(id) => {
                let Some((key, participant)) = self.roster.find(id) else {
                    return;
                };
                if !participant.view.permission.publish_data {
                    return;
                }
                Some(key)
            }
        };
        let Some(to) = self.known_to(sender, to) else {
            return;
        };
        let here = |identity: &Identity| {
            let participant = self.participant(identity);
            participant.is_some_and(|it| !self.roster.is_elsewhere(&it.id))
        };
        if to.is_empty() || !to.iter().all(here) {
            self.shares.push_back(Share::Data {
                from: from.cloned(),
                to: to.clone(),
                reliability,
                payload: payload.clone(),
            });
        }
        self.deliver(sender, &to, reliability, payload);
    }

    /// Those of the named whom a sender may know; `None` if nobody is left. Nobody named is
    /// everybody.
    fn known_to(&self, sender: Option<ParticipantKey>, to: &[Identity]) -> Option<Vec<Identity>> {
        let sender = sender.and_then(|key| self.roster.participants.get(&key));
        let known = |identity: &&Identity| {
            let named = self.participant(identity);
            let pair = sender.zip(named);
            pair.is_none_or(|(sender, named)| sender.sees(named))
        };
        let left: Vec<_> = to.iter().filter(known).cloned().collect();
        (to.is_empty() || !left.is_empty()).then_some(left)
    }

    /// [`Remote::Data`](crate::command::Remote::Data). What somebody is said to have sent who is
    /// not at that server is dropped.
    pub(crate) fn relay_remote(&mut self, origin: &NodeId, data: Data) {
        let sender = |id: &ParticipantId| self.roster.by_id(id);
        let is_there = |id: &ParticipantId| self.origin(id) == Some(origin);
        if data.payload.len() > self.config.limits.data_message
            || data.from.as_ref().is_some_and(|from| !is_there(from))
        {
            return;
        }
        let reliability = match data.number {
            Some(_) => Reliability::Reliable,
            None => Reliability::Lossy,
        };
        let sender = data.from.as_ref().and_then(sender);
        self.deliver(sender, &data.to, reliability, data.payload);
    }

    /// Sends a message to those who are here and whom it is for.
    fn deliver(
        &mut self,
        sender: Option<ParticipantKey>,
        to: &[Identity],
        reliability: Reliability,
        payload: Arc<[u8]>,
    ) {
        let keys: BTreeSet<_> = if to.is_empty() {
            self.roster.here().map(|(key, _)| *key).collect()
        } else {
            to.iter()
                .filter_map(|identity| self.roster.by_identity(identity))
                .collect()
        };
        let from = sender.and_then(|key| self.roster.participants.get(&key));
        let to: Vec<_> = keys
            .into_iter()
            .filter(|key| Some(*key) != sender)
            .filter_map(|key| self.roster.participants.get(&key))
            .filter(|participant| participant.origin.is_none())
            .filter(|participant| from.is_none_or(|from| participant.sees(&from.view)))
            .map(|participant| participant.view.id.clone())
            .collect();
        if !to.is_empty() {
            self.effects.push_back(Effect::SendData {
                to,
                reliability,
                payload,
            });
        }
    }
}
