//! Faults put into a room's effects, to see that the simulation would notice them.

use umbrella_room::{Effect, Notification};

use crate::random::Random;

/// A fault that a room might have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// A consumer is not opened.
    ForgetOpen,
    /// A consumer is not closed.
    ForgetClose,
    /// A consumer is not changed.
    ForgetConfigure,
    /// A muted track is not paused, or stays so.
    ForgetPause,
    /// An ended track's producer stays.
    ForgetCloseProducer,
    /// Somebody is not told of a change.
    ForgetUpdate,
    /// Media of somebody comes before its description.
    MediaFirst,
    /// A message comes back to somebody who should not get it, or comes twice.
    DataTwice,
    /// Somebody who is sent away is not told.
    ForgetLeave,
    /// The end of a room is not noticed.
    ForgetEmpty,
    /// A request is not answered.
    ForgetAnswer,
    /// A publisher is not told what is wanted.
    ForgetLayers,
    /// Somebody is not told that it may not have a track, or may again.
    ForgetAllowed,
}

impl Mutation {
    /// Every one.
    pub const ALL: [Mutation; 13] = [
        Mutation::ForgetOpen,
        Mutation::ForgetClose,
        Mutation::ForgetConfigure,
        Mutation::ForgetPause,
        Mutation::ForgetCloseProducer,
        Mutation::ForgetUpdate,
        Mutation::MediaFirst,
        Mutation::DataTwice,
        Mutation::ForgetLeave,
        Mutation::ForgetEmpty,
        Mutation::ForgetAnswer,
        Mutation::ForgetLayers,
        Mutation::ForgetAllowed,
    ];

    /// Whether it goes unnoticed while a room changes: the next effect of its kind makes it good.
    pub(crate) fn is_overtaken(self) -> bool {
        self == Mutation::ForgetLayers
    }

    /// Spoils one effect, if there is one of the right kind, and says whether it did.
    pub(crate) fn spoil(self, effects: &mut Vec<Effect>, random: &mut Random) -> bool {
        let fitting: Vec<usize> = (0..effects.len())
            .filter(|index| self.fits(&effects[*index]))
            .collect();
        let Some(&index) = random.pick(&fitting) else {
            return false;
        };
        match self {
            Mutation::ForgetOpen
            | Mutation::ForgetClose
            | Mutation::ForgetConfigure
            | Mutation::ForgetPause
            | Mutation::ForgetCloseProducer
            | Mutation::ForgetUpdate
            | Mutation::ForgetLeave
            | Mutation::ForgetEmpty
            | Mutation::ForgetAnswer
            | Mutation::ForgetLayers
            | Mutation::ForgetAllowed => {
                effects.remove(index);
                true
            }
            Mutation::MediaFirst => media_first(effects),
            Mutation::DataTwice => data_twice(&mut effects[index]),
        }
    }

    fn fits(self, effect: &Effect) -> bool {
        let told = match effect {
            Effect::Notify { notification, .. } => Some(notification),
            Effect::Disconnect { .. }
            | Effect::OpenConsumer { .. }
            | Effect::ConfigureConsumer { .. }
            | Effect::CloseConsumer { .. }
            | Effect::PauseProducer { .. }
            | Effect::QuietProducer { .. }
            | Effect::CloseProducer { .. }
            | Effect::SendData { .. }
            | Effect::Empty => None,
        };
        match self {
            Mutation::ForgetOpen | Mutation::MediaFirst => {
                matches!(effect, Effect::OpenConsumer { .. })
            }
            Mutation::ForgetClose => matches!(effect, Effect::CloseConsumer { .. }),
            Mutation::ForgetConfigure => matches!(effect, Effect::ConfigureConsumer { .. }),
            Mutation::ForgetPause => matches!(effect, Effect::PauseProducer { .. }),
            Mutation::ForgetCloseProducer => matches!(effect, Effect::CloseProducer { .. }),
            Mutation::ForgetUpdate => matches!(told, Some(Notification::Participants(_))),
            Mutation::DataTwice => matches!(effect, Effect::SendData { .. }),
            Mutation::ForgetLeave => matches!(told, Some(Notification::Leave(_))),
            Mutation::ForgetEmpty => matches!(effect, Effect::Empty),
            Mutation::ForgetAnswer => matches!(told, Some(Notification::Response { .. })),
            Mutation::ForgetLayers => matches!(told, Some(Notification::LayersWanted { .. })),
            Mutation::ForgetAllowed => {
                matches!(told, Some(Notification::SubscriptionAllowed { .. }))
            }
        }
    }
}

/// Moves the media before everything that describes its publisher; nothing to spoil where the
/// description came with an earlier command.
fn media_first(effects: &mut [Effect]) -> bool {
    let describes = |effect: &Effect| {
        matches!(
            effect,
            Effect::Notify {
                notification: Notification::Participants(_) | Notification::Joined(_),
                ..
            }
        )
    };
    if !effects.iter().any(describes) {
        return false;
    }
    effects.sort_by_key(|effect| !matches!(effect, Effect::OpenConsumer { .. }));
    true
}

fn data_twice(effect: &mut Effect) -> bool {
    if let Effect::SendData { to, .. } = effect {
        let again = to[0].clone();
        to.push(again);
    }
    true
}
