//! The owner's end of the queues to a worker thread.

use std::collections::VecDeque;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use umbrella_engine::{Channel, Request};

use super::load::{Counts, Load, Reading};

/// Requests between the two threads. More wait at the owner's end.
pub(super) const REQUESTS: usize = 4096;

/// When so many requests wait, lossy data messages are dropped: they would be late.
const LOSSY_BACKLOG: usize = 1024;

/// When so many requests wait, all data messages are dropped: the worker is stuck or hopelessly
/// overloaded. Other requests are few, and dropping one would leave the two sides at odds.
const DATA_BACKLOG: usize = 65_536;

/// A running worker thread, from outside.
#[derive(Debug)]
pub(crate) struct Link {
    /// `None` once the worker is to end.
    requests: Option<Arc<SyncSender<Request>>>,
    backlog: VecDeque<Request>,
    waker: Arc<mio::Waker>,
    load: Arc<Load>,
    port: u16,
    dead: bool,
    /// Data messages that found no room.
    dropped: u64,
    thread: Option<JoinHandle<()>>,
}

/// A way to a worker beside its [`Link`], for what comes often and may be lost: media of cameras.
/// It does not keep the worker at work.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    requests: Weak<SyncSender<Request>>,
    waker: Arc<mio::Waker>,
}

impl Intake {
    /// Hands a request over. Whether it was taken: the worker may have too much to do, or be gone.
    pub(crate) fn send(&self, request: Request) -> bool {
        let taken = match self.requests.upgrade() {
            Some(requests) => requests.try_send(request).is_ok(),
            None => false,
        };
        // By now the queue is let go again: if its owner has done so meanwhile, the worker sees it.
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake a worker");
        }
        taken
    }

    /// One that leads nowhere, with room for so many requests: the worker's two ends of it.
    #[cfg(test)]
    pub(crate) fn fake(
        room: usize,
    ) -> (
        Intake,
        Arc<SyncSender<Request>>,
        std::sync::mpsc::Receiver<Request>,
    ) {
        let (sender, requests) = std::sync::mpsc::sync_channel(room);
        let sender = Arc::new(sender);
        let poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let intake = Intake {
            requests: Arc::downgrade(&sender),
            waker: Arc::new(waker),
        };
        (intake, sender, requests)
    }
}

impl Link {
    pub(super) fn new(
        requests: SyncSender<Request>,
        waker: Arc<mio::Waker>,
        load: Arc<Load>,
        port: u16,
        thread: JoinHandle<()>,
    ) -> Link {
        Link {
            requests: Some(Arc::new(requests)),
            backlog: VecDeque::new(),
            waker,
            load,
            port,
            dead: false,
            dropped: 0,
            thread: Some(thread),
        }
    }

    /// Takes a request; it goes with the next [`Link::flush`].
    pub(crate) fn push(&mut self, request: Request) {
        if self.dead {
            return;
        }
        if let Request::SendData { channel, .. } = &request {
            let bound = match channel {
                Channel::Reliable => DATA_BACKLOG,
                Channel::Lossy | Channel::DataTrack => LOSSY_BACKLOG,
            };
            if self.backlog.len() >= bound {
                self.dropped += 1;
                return;
            }
        }
        self.backlog.push_back(request);
    }

    /// Hands over what fits, and wakes the worker.
    pub(crate) fn flush(&mut self) {
        let Some(requests) = &self.requests else {
            return;
        };
        let mut handed_over = false;
        while let Some(request) = self.backlog.pop_front() {
            match requests.try_send(request) {
                Ok(()) => handed_over = true,
                Err(TrySendError::Full(request)) => {
                    self.backlog.push_front(request);
                    break;
                }
                Err(TrySendError::Disconnected(_)) => {
                    self.mark_dead();
                    return;
                }
            }
        }
        if handed_over && let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake a worker");
        }
    }

    /// A way beside this one. What was pushed here and is not flushed yet comes later.
    pub(crate) fn intake(&self) -> Intake {
        let requests = self.requests.as_ref();
        Intake {
            requests: requests.map(Arc::downgrade).unwrap_or_default(),
            waker: Arc::clone(&self.waker),
        }
    }

    /// Whether requests wait here because the queue is full.
    pub(crate) fn is_behind(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Notes that the thread is gone.
    pub(crate) fn mark_dead(&mut self) {
        self.dead = true;
        self.backlog.clear();
    }

    /// Whether the thread is gone.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// How busy the worker is.
    pub(crate) fn load(&self) -> Reading {
        self.load.read()
    }

    /// What the thread had counted when it last gave its totals.
    pub(crate) fn counts(&self) -> Counts {
        self.load.counts()
    }

    /// Data messages to the worker that were dropped here since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The worker's UDP and TCP port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Lets the worker end once it has done what it was told.
    pub(crate) fn stop(mut self) -> Option<JoinHandle<()>> {
        self.flush();
        self.end();
        self.thread.take()
    }

    /// The worker sees that its queue has no other end any more.
    fn end(&mut self) {
        self.requests = None;
        let _ = self.waker.wake();
    }
}

impl Drop for Link {
    /// A thread that is still at work while the process ends finds its libraries gone.
    fn drop(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
