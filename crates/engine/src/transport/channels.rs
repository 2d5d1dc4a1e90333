//! Data channels.

use str0m::Rtc;
use str0m::channel::ChannelId;

use crate::api::Channel;

use super::offering::label;

/// Bytes that may wait in a lossy channel; what comes then is dropped. Old news is no news.
const LOSSY_BUFFER: usize = 128 * 1024;

/// The channels that are open.
#[derive(Debug)]
pub(crate) struct Channels {
    /// [`Limits::channel_buffer`](crate::Limits::channel_buffer).
    buffer: usize,
    open: Vec<(Channel, ChannelId)>,
    /// Lossy messages that were not sent because the peer is too slow.
    pub(crate) dropped: u64,
}

/// The peer does not read its reliable channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooSlow;

const ALL: [Channel; 3] = [Channel::Reliable, Channel::Lossy, Channel::DataTrack];

impl Channels {
    pub(crate) fn new(buffer: usize) -> Channels {
        Channels {
            buffer,
            open: Vec::new(),
            dropped: 0,
        }
    }

    /// A channel is open. `None` if its label means nothing to us.
    pub(crate) fn opened(&mut self, id: ChannelId, name: &str) -> Option<Channel> {
        let channel = ALL.into_iter().find(|channel| label(*channel) == name)?;
        self.open.retain(|(known, _)| *known != channel);
        self.open.push((channel, id));
        Some(channel)
    }

    pub(crate) fn closed(&mut self, id: ChannelId) {
        self.open.retain(|(_, known)| *known != id);
    }

    pub(crate) fn of(&self, id: ChannelId) -> Option<Channel> {
        self.open
            .iter()
            .find(|(_, known)| *known == id)
            .map(|(channel, _)| *channel)
    }

    /// Sends a message. A lossy one is dropped when too much waits already, and any is while its
    /// channel is not open.
    pub(crate) fn send(
        &mut self,
        rtc: &mut Rtc,
        channel: Channel,
        data: &[u8],
    ) -> Result<(), TooSlow> {
        let found = self.open.iter().find(|(known, _)| *known == channel);
        let Some(mut writer) = found.and_then(|(_, id)| rtc.channel(*id)) else {
            return Ok(());
        };
        match channel {
            Channel::Reliable => match writer.write(true, data) {
                Ok(true) => Ok(()),
                Ok(false) if data.len() > self.buffer => Ok(()),
                Ok(false) => Err(TooSlow),
                // The association is about to end, and will say so itself.
                Err(_) => Ok(()),
            },
            Channel::Lossy | Channel::DataTrack => {
                let full = writer.buffered_amount() > LOSSY_BUFFER;
                if full || !matches!(writer.write(true, data), Ok(true)) {
                    self.dropped += 1;
                }
                Ok(())
            }
        }
    }
}
