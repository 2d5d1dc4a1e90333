//! What moderators have decided about guests, for as long as it holds though they leave: who was
//! removed stays out for a while, and who may not publish does not get it back by a reload.
//!
//! It is about guests of invites. Tokens of applications come back as they please: a token that an
//! application does not want back is not to be issued again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use umbrella_room::model::{Identity, RoomName};

/// How long a removed guest stays out, and how long a silenced one is remembered after it left.
pub(super) const HOLDS: Duration = Duration::from_secs(10 * 60);

/// Guests that are remembered at most, in all rooms.
const MOST: usize = 10_000;

/// What was decided about a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sanction {
    /// It stays out until then.
    Out(Instant),
    /// It is in, and may not publish.
    Silent,
    /// It may not publish if it comes back until then.
    SilentUntil(Instant),
}

impl Sanction {
    fn holds(self, now: Instant) -> bool {
        match self {
            Sanction::Out(until) | Sanction::SilentUntil(until) => until > now,
            Sanction::Silent => true,
        }
    }
}

/// All that was decided and still holds.
#[derive(Debug, Default)]
pub(super) struct Sanctions {
    rooms: HashMap<RoomName, HashMap<Identity, Sanction>>,
}

impl Sanctions {
    /// A guest was removed.
    pub(super) fn keep_out(&mut self, now: Instant, room: &RoomName, guest: &Identity) {
        self.note(now, room, guest, Sanction::Out(now + HOLDS));
    }

    /// A guest that is in may not publish any more.
    pub(super) fn silence(&mut self, now: Instant, room: &RoomName, guest: &Identity) {
        self.note(now, room, guest, Sanction::Silent);
    }

    /// A guest may publish again.
    pub(super) fn lift(&mut self, room: &RoomName, guest: &Identity) {
        if let Some(guests) = self.rooms.get_mut(room) {
            guests.remove(guest);
        }
    }

    /// A guest has left.
    pub(super) fn left(&mut self, now: Instant, room: &RoomName, guest: &Identity) {
        let guests = self.rooms.get_mut(room);
        if let Some(sanction @ Sanction::Silent) = guests.and_then(|guests| guests.get_mut(guest)) {
            *sanction = Sanction::SilentUntil(now + HOLDS);
        }
    }

    /// A room is gone: the next one of that name begins anew.
    pub(super) fn forget(&mut self, room: &RoomName) {
        self.rooms.remove(room);
    }

    /// How much longer a guest stays out.
    pub(super) fn kept_out(
        &self,
        now: Instant,
        room: &RoomName,
        guest: &Identity,
    ) -> Option<Duration> {
        match self.rooms.get(room)?.get(guest)? {
            Sanction::Out(until) if *until > now => Some(*until - now),
            Sanction::Out(_) | Sanction::Silent | Sanction::SilentUntil(_) => None,
        }
    }

    /// Whether a guest that comes in may not publish.
    pub(super) fn is_silent(&self, now: Instant, room: &RoomName, guest: &Identity) -> bool {
        let sanction = self.rooms.get(room).and_then(|guests| guests.get(guest));
        match sanction {
            Some(Sanction::Silent) => true,
            Some(Sanction::SilentUntil(until)) => *until > now,
            Some(Sanction::Out(_)) | None => false,
        }
    }

    fn note(&mut self, now: Instant, room: &RoomName, guest: &Identity, sanction: Sanction) {
        self.rooms.retain(|_, guests| {
            guests.retain(|_, sanction| sanction.holds(now));
            !guests.is_empty()
        });
        let count: usize = self.rooms.values().map(HashMap::len).sum();
        if count >= MOST {
            tracing::warn!(%room, "too many guests are kept out or silent; this one is not remembered");
            return;
        }
        let guests = self.rooms.entry(room.clone()).or_default();
        guests.insert(guest.clone(), sanction);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (RoomName, Identity) {
        (RoomName::new("kitchen"), Identity::new("guest-1"))
    }

    #[test]
    fn removed_guest_comes_back_after_a_while_and_not_before() {
        let (room, guest) = names();
        let (now, mut sanctions) = (Instant::now(), Sanctions::default());
        assert_eq!(sanctions.kept_out(now, &room, &guest), None);
        sanctions.keep_out(now, &room, &guest);
        let second = Duration::from_secs(1);
        let left = |at| sanctions.kept_out(at, &room, &guest);
        assert_eq!(left(now + HOLDS - second), Some(second));
        assert_eq!(left(now + HOLDS), None);
        let elsewhere = RoomName::new("attic");
        assert_eq!(sanctions.kept_out(now, &elsewhere, &guest), None);
        sanctions.forget(&room);
        assert_eq!(sanctions.kept_out(now, &room, &guest), None);
    }

    #[test]
    fn reload_does_not_give_back_what_a_moderator_took() {
        let (room, guest) = names();
        let (now, mut sanctions) = (Instant::now(), Sanctions::default());
        sanctions.silence(now, &room, &guest);
        let later = now + 10 * HOLDS;
        assert!(sanctions.is_silent(later, &room, &guest), "is still in");
        sanctions.left(later, &room, &guest);
        assert!(sanctions.is_silent(later, &room, &guest));
        assert!(!sanctions.is_silent(later + HOLDS, &room, &guest));
        sanctions.silence(later, &room, &guest);
        sanctions.lift(&room, &guest);
        assert!(!sanctions.is_silent(later, &room, &guest));
    }

    #[test]
    fn what_no_longer_holds_is_forgotten_and_the_rest_bounded() {
        let (room, guest) = names();
        let (now, mut sanctions) = (Instant::now(), Sanctions::default());
        sanctions.keep_out(now, &room, &guest);
        let attic = RoomName::new("attic");
        sanctions.keep_out(now + HOLDS, &attic, &guest);
        assert_eq!(sanctions.rooms.len(), 1);
        let full = (0..MOST).map(|n| (Identity::new(format!("guest-{n}")), Sanction::Silent));
        sanctions.rooms.insert(room.clone(), full.collect());
        let late = Identity::new("guest-late");
        sanctions.keep_out(now, &room, &late);
        assert_eq!(sanctions.kept_out(now, &room, &late), None);
    }
}
