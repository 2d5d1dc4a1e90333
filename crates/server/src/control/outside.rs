//! How this server is seen from outside, and what is advertised of it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use umbrella_engine::{LocalAddress, Request};

use super::Control;
use super::handle::{Handle, Message};

/// How long an answer is waited for: longer than the engine waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which worker asks, from its socket. What it is told counts for all.
const WORKER: usize = 0;

/// Somebody waits for an answer.
#[derive(Debug)]
pub(super) struct Question {
    local: IpAddr,
    reflector: SocketAddr,
    reply: oneshot::Sender<Option<SocketAddr>>,
}

impl Handle {
    /// As what a server outside sees the first worker, asked by STUN from one of this machine's
    /// addresses. `None` if it does not answer within 7.5 seconds.
    pub(crate) async fn look_outside(
        &self,
        local: IpAddr,
        reflector: SocketAddr,
    ) -> Option<SocketAddr> {
        let (reply, answer) = oneshot::channel();
        let question = Question {
            local,
            reflector,
            reply,
        };
        self.tell(Message::LookOutside(question)).await;
        // A worker that has died says nothing.
        timeout(PATIENCE, answer).await.ok()?.ok().flatten()
    }
}

impl Control {
    pub(super) fn look_outside(&mut self, question: Question) {
        let port = self.workers[WORKER].port();
        let request = Request::LookOutside {
            local: SocketAddr::new(question.local, port),
            reflector: question.reflector,
        };
        self.request(WORKER, request);
        self.outside.retain(|it| !it.reply.is_closed());
        self.outside.push(question);
    }

    pub(super) fn seen_as(
        &mut self,
        local: SocketAddr,
        reflector: SocketAddr,
        seen_as: Option<SocketAddr>,
    ) {
        let is_answered = |it: &mut Question| it.local == local.ip() && it.reflector == reflector;
        for question in self.outside.extract_if(.., is_answered) {
            // Who has asked may have given up.
            let _ = question.reply.send(seen_as);
        }
    }

    /// What is told to new peers from now on, by each worker.
    pub(super) fn advertise(&mut self, workers: Vec<Vec<LocalAddress>>) {
        let count = self.workers.len();
        for (worker, addresses) in workers.into_iter().enumerate().take(count) {
            self.request(worker, Request::Advertise(addresses));
        }
    }
}
