//! What workers have to say to each other: bounded queues from each to each.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use umbrella_engine::Relay;

/// Relays that wait for a worker at most. One carries all packets that came together, so these
/// are the frames of many seconds; a worker that is so far behind can only drop.
const QUEUE: usize = 4096;

/// A worker's end of the queue in which others tell it something, and who they are.
pub(super) type Inbox = Receiver<(usize, Relay)>;

/// The way to one worker.
#[derive(Debug, Clone)]
pub(super) struct Address {
    sender: SyncSender<(usize, Relay)>,
    waker: Arc<mio::Waker>,
}

/// The ways to all workers.
#[derive(Debug)]
pub(super) struct Relays {
    /// Whose they are.
    index: usize,
    ways: Vec<Way>,
    /// Bursts of media that found no room.
    pub(super) dropped: u64,
}

#[derive(Debug)]
struct Way {
    address: Address,
    /// What found no room. Media is never in it.
    backlog: VecDeque<Relay>,
    wake: bool,
}

/// A new way, and the end of it.
pub(super) fn address(waker: Arc<mio::Waker>) -> (Address, Inbox) {
    let (sender, inbox) = sync_channel(QUEUE);
    (Address { sender, waker }, inbox)
}

impl Relays {
    pub(super) fn new(index: usize, addresses: &[Address]) -> Relays {
        let ways = addresses.iter().cloned().map(|address| Way {
            address,
            backlog: VecDeque::new(),
            wake: false,
        });
        Relays {
            index,
            ways: ways.collect(),
            dropped: 0,
        }
    }

    /// Tells a worker something, soon: [`Relays::flush`] wakes it. Media that finds no room is
    /// dropped, and dealt with as if the network had lost it.
    pub(super) fn push(&mut self, to: usize, relay: Relay) {
        if let Some(way) = self.ways.get_mut(to)
            && !way.push(self.index, relay)
        {
            self.dropped += 1;
        }
    }

    /// Wakes those that were told something. False if something still waits for room.
    pub(super) fn flush(&mut self) -> bool {
        let mut empty = true;
        for way in &mut self.ways {
            while let Some(relay) = way.backlog.pop_front() {
                if let Err(relay) = way.send(self.index, relay) {
                    way.backlog.push_front(relay);
                    empty = false;
                    break;
                }
            }
            if std::mem::replace(&mut way.wake, false)
                && let Err(error) = way.address.waker.wake()
            {
                tracing::error!(%error, "cannot wake a worker");
            }
        }
        empty
    }
}

impl Way {
    /// False if it found no room and was dropped.
    fn push(&mut self, from: usize, relay: Relay) -> bool {
        let refused = match self.backlog.is_empty() {
            true => self.send(from, relay).err(),
            // What comes later must not overtake what waits.
            false => Some(relay),
        };
        match refused {
            None => true,
            Some(relay) if relay.is_media() => false,
            Some(relay) => {
                self.backlog.push_back(relay);
                true
            }
        }
    }

    fn send(&mut self, from: usize, relay: Relay) -> Result<(), Relay> {
        match self.address.sender.try_send((from, relay)) {
            Ok(()) => {
                self.wake = true;
                Ok(())
            }
            Err(TrySendError::Full((_, relay))) => Err(relay),
            // The worker has died, and its rooms begin anew elsewhere.
            Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }
}
