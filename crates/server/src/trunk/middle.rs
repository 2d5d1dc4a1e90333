//! A server that carries no media puts its neighbours in touch, and passes on what they say to each
//! other. What they do with it is in [`direct`](super::direct).

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::timeout;
use umbrella_wire::trunk::frame::Message;
use umbrella_wire::trunk::relayed::What;
use umbrella_wire::trunk::{Introduction, Patterns, Relayed};

use super::LinkId;
use super::hello::frame;
use super::registry::{Inner, Live, State};
use super::relayed::relayed;
use super::secret::JoinSecret;

/// How long somebody's link may be too full for a piece that another one sends. Whoever sends it
/// waits meanwhile.
const ROOM: Duration = Duration::from_secs(1);

/// The channel whose end is that of the introduction.
pub(super) const OVER: u64 = u64::MAX;

/// Which links were introduced to each other: for each, the other ones by their node.
#[derive(Debug, Default)]
pub(super) struct Pairs(BTreeMap<LinkId, BTreeMap<String, LinkId>>);

impl Pairs {
    fn between(&self, link: LinkId, node: &str) -> Option<LinkId> {
        self.0.get(&link)?.get(node).copied()
    }

    /// Takes a link out: with whom it was in touch, and by which node.
    fn remove(&mut self, link: LinkId) -> Vec<(LinkId, String)> {
        let mut parted = Vec::new();
        for other in self.0.remove(&link).unwrap_or_default().into_values() {
            let theirs = self.0.entry(other).or_default();
            theirs.retain(|node, with| {
                let gone = *with == link;
                if gone {
                    parted.push((other, node.clone()));
                }
                !gone
            });
        }
        parted
    }

    fn insert(&mut self, link: LinkId, node: &str, with: LinkId) {
        let of = self.0.entry(link).or_default();
        of.insert(node.to_owned(), with);
    }
}

impl Inner {
    /// Whether this server is one that puts others in touch.
    pub(super) fn is_middle(&self) -> bool {
        !self.own.media && self.direct
    }

    /// Puts neighbours in touch that are not yet.
    pub(super) fn introduce(&self) {
        if self.is_middle() && !self.is_stopping() {
            let reflectors = self.reflectors.lock();
            let reflectors = reflectors.unwrap_or_else(PoisonError::into_inner).clone();
            self.state().introduce(&reflectors);
        }
    }

    /// A link is gone: those to whom it was introduced hear of it.
    pub(super) fn part(&self, link: LinkId) {
        let mut state = self.state();
        for (other, node) in state.pairs.remove(link) {
            if let Some(other) = state.links.get(&other) {
                let over = relayed(&node, OVER, What::Closed(true));
                let _ = other.relay.try_send(over);
            }
        }
    }

    /// Passes a piece on. False if that cannot be done: whoever has sent it should know.
    pub(super) async fn pass_on(&self, from: LinkId, piece: Relayed) -> bool {
        let way = {
            let state = self.state();
            let to = state.pairs.between(from, &piece.node);
            let to = to.and_then(|to| state.links.get(&to));
            to.zip(state.links.get(&from))
                .map(|(to, from)| (to.relay.clone(), from.peer.node.clone()))
        };
        let Some((relay, node)) = way else {
            return false;
        };
        let piece = frame(Message::Relayed(Relayed { node, ..piece }));
        matches!(timeout(ROOM, relay.send(piece)).await, Ok(Ok(())))
    }
}

impl State {
    fn introduce(&mut self, reflectors: &[String]) {
        // The newest link of each.
        let links = self.links.iter().filter(|(_, live)| live.peer.media);
        let newest: BTreeMap<&str, LinkId> = links
            .map(|(link, live)| (live.peer.node.as_str(), *link))
            .collect();
        let newest: Vec<LinkId> = newest.into_values().collect();
        for (index, one) in newest.iter().enumerate() {
            for other in &newest[index + 1..] {
                self.introduce_pair(*one, *other, reflectors);
            }
        }
    }

    /// The first one dials.
    fn introduce_pair(&mut self, one: LinkId, other: LinkId, reflectors: &[String]) {
        let (Some(first), Some(second)) = (self.links.get(&one), self.links.get(&other)) else {
            return;
        };
        let (a, b) = (&first.peer.node, &second.peer.node);
        let between = |links: &State, node: &str, with: &str| {
            let mut of = links.links.iter().filter(|(_, it)| it.peer.node == node);
            of.any(|(link, _)| links.pairs.between(*link, with).is_some())
        };
        if between(self, a, b) {
            return;
        }
        let secret = JoinSecret::random(None);
        let about = |live: &Live, dials| {
            frame(Message::Introduction(Introduction {
                node: live.peer.node.clone(),
                name: live.peer.name.clone(),
                key: secret.key(),
                secret: secret.proof_key().bytes().to_vec(),
                dials,
                rooms: live.rooms.lists.iter().map(|list| patterns(list)).collect(),
                moderates: live.may_moderate,
                reflectors: reflectors.to_vec(),
            }))
        };
        // The one that waits hears of it first.
        let told = second.relay.try_send(about(first, false)).is_ok()
            && first.relay.try_send(about(second, true)).is_ok();
        if !told {
            tracing::warn!(
                a,
                b,
                "two servers cannot be put in touch: one of them does not read"
            );
            return;
        }
        tracing::info!(a, b, "two servers were put in touch");
        let (a, b) = (a.clone(), b.clone());
        self.pairs.insert(one, &b, other);
        self.pairs.insert(other, &a, one);
    }
}

fn patterns(list: &[String]) -> Patterns {
    Patterns {
        rooms: list.to_vec(),
    }
}
