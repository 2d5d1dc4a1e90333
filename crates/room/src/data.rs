//! Who gets a data message.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::command::Reliability;
use crate::effect::Effect;
use crate::model::{Identity, ParticipantId};
use crate::room::Room;

impl Room {
    /// [`Command::Data`](crate::Command::Data). Dropped are messages of somebody who may not send
    /// any, and larger ones than [`Limits::data_message`](crate::Limits::data_message). Hidden
    /// participants send and receive like all others; nobody gets its own message back.
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
        let keys: BTreeSet<_> = if to.is_empty() {
            self.roster.participants.keys().copied().collect()
        } else {
            to.iter()
                .filter_map(|identity| self.roster.by_identity(identity))
                .collect()
        };
        let to: Vec<_> = keys
            .into_iter()
            .filter(|key| Some(*key) != sender)
            .filter_map(|key| self.roster.participants.get(&key))
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
