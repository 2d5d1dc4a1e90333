//! How others see us, and how we see others.

use std::net::SocketAddr;
use std::time::Instant;

use crate::api::{LocalAddress, Path, Protocol, Report, TransportId};
use crate::arena::Key;
use crate::reflect::{Asked, Asker, Due, Question};
use crate::transport::Transport;

use super::Worker;

/// Questions of one asker that may be open at a time: each reflector of a transport is asked from
/// each socket of its family.
const MAX_QUESTIONS: usize = 16;

impl Worker {
    /// STUN, which is rare, and the only sort of datagram that does not go by its sender alone.
    pub(super) fn handle_stun(&mut self, now: Instant, arrived: Instant, path: Path, data: &[u8]) {
        if self.answer_plain(now, path, data) || self.hear_reflector(path, data) {
            return;
        }
        let key = self.demux.route(path, data);
        let transport = key.and_then(|key| self.transports.get_mut(key));
        match key {
            Some(key) if transport.is_some_and(|it| it.listens_to(now, path, data)) => {
                self.receive((now, arrived), key, path, data);
            }
            Some(_) | None => self.counts.strays += 1,
        }
    }

    /// Tells whoever asks how we see them, so that servers need nobody else for that. True if
    /// there is no more to it.
    fn answer_plain(&mut self, now: Instant, path: Path, data: &[u8]) -> bool {
        // A kernel that is told to send to port 0 calls the whole batch invalid.
        if path.protocol != Protocol::Udp || path.remote.port() == 0 {
            return false;
        }
        let Some(asked) = Asked::read(data) else {
            return false;
        };
        if let Some(answer) = self.reflection.answer(now, path.remote, asked) {
            self.counts.sent(self.out.push(path, answer.bytes()));
        }
        true
    }

    /// A reflector may have answered.
    fn hear_reflector(&mut self, path: Path, data: &[u8]) -> bool {
        let Some((question, seen_as)) = self.reflection.hear(path, data) else {
            return false;
        };
        match question.asker {
            Asker::Transport(key) => self.offer_outside(key, question.local, seen_as),
            Asker::Owner => self.tell_outside(question, Some(seen_as)),
        }
        true
    }

    fn tell_outside(&mut self, question: Question, seen_as: Option<SocketAddr>) {
        self.reports.push_back(Report::SeenAs {
            local: question.local,
            reflector: question.reflector,
            seen_as,
        });
    }

    /// The other end of a trunk is to try that address.
    fn offer_outside(&mut self, key: Key<Transport>, local: SocketAddr, seen_as: SocketAddr) {
        let addresses = &self.config.addresses;
        let known = |it: &LocalAddress| {
            it.protocol == Protocol::Udp && (it.base == seen_as || it.advertised == seen_as)
        };
        if !addresses.iter().any(known)
            && let Some(transport) = self.transports.get_mut(key)
            && let Some(candidate) = transport.add_reflexive(seen_as, local)
        {
            let transport = transport.id;
            self.reports.push_back(Report::Candidate {
                transport,
                candidate,
            });
            self.touch(key);
        }
    }

    /// The owner wants to know how it is seen from outside.
    pub(super) fn look_outside(&mut self, now: Instant, local: SocketAddr, reflector: SocketAddr) {
        let question = Question {
            asker: Asker::Owner,
            local,
            reflector,
        };
        self.reflection.ask(now, question, MAX_QUESTIONS);
    }

    /// The owner knows of reflectors.
    pub(super) fn reflect(&mut self, now: Instant, id: TransportId, reflectors: &[SocketAddr]) {
        let Some(key) = self.transport_keys.get(&id).copied() else {
            return;
        };
        if let Some(transport) = self.transports.get_mut(key) {
            transport.add_reflectors(reflectors);
            self.ask_reflectors(now, key);
        }
    }

    /// Asks the reflectors of a transport, from each of our sockets that reaches them.
    pub(super) fn ask_reflectors(&mut self, now: Instant, key: Key<Transport>) {
        let Some(transport) = self.transports.get(key) else {
            return;
        };
        let bases = self.config.addresses.iter();
        let bases = bases.filter(|it| it.protocol == Protocol::Udp);
        for reflector in transport.reflectors() {
            for local in bases.clone().map(|it| it.base) {
                let reaches = local.is_ipv4() == reflector.is_ipv4()
                    && local.ip().is_loopback() == reflector.ip().is_loopback();
                if reaches {
                    let question = Question {
                        asker: Asker::Transport(key),
                        local,
                        reflector: *reflector,
                    };
                    self.reflection.ask(now, question, MAX_QUESTIONS);
                }
            }
        }
    }

    /// Sends the questions that are due.
    pub(super) fn ask_due(&mut self, now: Instant) {
        while let Some(due) = self.reflection.pop_due(now) {
            match due {
                Due::Send(path, data) => self.counts.sent(self.out.push(path, &data)),
                Due::GiveUp(question) => match question.asker {
                    Asker::Transport(_) => {}
                    Asker::Owner => self.tell_outside(question, None),
                },
            }
        }
    }
}
