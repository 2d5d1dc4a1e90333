//! Faults that the reference model has to notice.

use std::sync::Arc;

use umbrella_room::mesh::{Message, Route};
use umbrella_room::model::NodeId;

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// Servers do not see who is on a path, only how long it is: nobody can tell that a way leads
    /// over itself.
    BlindPaths,
    /// What is demanded of a track is taken for everything there is of it.
    GreedyDemand,
    /// That somebody has left is not passed on.
    LostDepartures,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Mutation; 3] = [
        Mutation::BlindPaths,
        Mutation::GreedyDemand,
        Mutation::LostDepartures,
    ];

    pub(super) fn spoil(self, message: Message) -> Message {
        match (self, message) {
            (Mutation::BlindPaths, Message::Route(route)) => Message::Route(blind(route)),
            (
                Mutation::GreedyDemand,
                Message::Demand {
                    room,
                    origin,
                    track,
                    layers,
                },
            ) if !layers.is_none() => Message::Demand {
                room,
                origin,
                track,
                layers: super::everything(),
            },
            (Mutation::LostDepartures, Message::Gone { room, origin, .. }) => {
                Message::Unfollow { room, origin }
            }
            (_, message) => message,
        }
    }
}

fn blind(route: Route) -> Route {
    let last = route.path.len() - 1;
    let hide = |(at, node): (usize, &NodeId)| match at {
        0 => node.clone(),
        at if at == last => node.clone(),
        at => NodeId::new(format!("{node}-{at}-hidden")),
    };
    let path: Vec<_> = route.path.iter().enumerate().map(hide).collect();
    Route {
        path: Arc::from(path),
        ..route
    }
}
