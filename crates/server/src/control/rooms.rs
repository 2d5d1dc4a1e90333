//! The rooms there are: when they are made, which worker carries them, and when they go.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use umbrella_room::model::RoomName;
use umbrella_room::{Room, RoomConfig};

/// One room with what its owner has to know of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) room: Room,
    /// The worker that carries everybody in it, or the first of many.
    pub(super) worker: usize,
    /// Stays while nobody is in.
    pub(super) permanent: bool,
    /// How long it stays while nobody is in, if it is not permanent.
    pub(super) stay: Stay,
    occupancy: Occupancy,
    /// The earliest wake-up in the heap.
    scheduled: Option<Instant>,
}

/// How long a room stays while nobody is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stay {
    /// From its beginning.
    pub(super) empty: Duration,
    /// After the last one has left.
    pub(super) departure: Duration,
}

/// Whether somebody is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occupancy {
    Occupied,
    /// Nobody is in since then: it goes some time, unless it is permanent.
    Empty {
        since: Instant,
        joined: bool,
    },
}

/// What is to be done with a room whose time has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It has something to do itself.
    Timeout(RoomName),
    /// It was empty for long enough.
    Expired(RoomName),
}

/// All rooms by name.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    by_name: BTreeMap<RoomName, Entry>,
    /// Wake-ups. Some are out of date: the entry knows.
    deadlines: BinaryHeap<Reverse<(Instant, RoomName)>>,
}

impl Rooms {
    /// Makes a room in which nobody is as yet.
    pub(super) fn insert(
        &mut self,
        now: Instant,
        config: RoomConfig,
        worker: usize,
        permanent: bool,
        stay: Stay,
    ) {
        let name = config.name.clone();
        let entry = Entry {
            room: Room::new(config),
            worker,
            permanent,
            stay,
            occupancy: Occupancy::Empty {
                since: now,
                joined: false,
            },
            scheduled: None,
        };
        self.by_name.insert(name.clone(), entry);
        self.schedule(&name);
    }

    pub(super) fn remove(&mut self, name: &RoomName) -> Option<Entry> {
        self.by_name.remove(name)
    }

    pub(super) fn get(&self, name: &RoomName) -> Option<&Entry> {
        self.by_name.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &RoomName) -> Option<&mut Entry> {
        self.by_name.get_mut(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&RoomName, &Entry)> {
        self.by_name.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Wake-ups that are due some time, those that are out of date included.
    pub(super) fn deadlines(&self) -> usize {
        self.deadlines.len()
    }

    /// Notes that somebody is in.
    pub(super) fn occupied(&mut self, name: &RoomName) {
        if let Some(entry) = self.by_name.get_mut(name) {
            entry.occupancy = Occupancy::Occupied;
        }
    }

    /// Notes that nobody is in any more.
    pub(super) fn emptied(&mut self, name: &RoomName, now: Instant) {
        if let Some(entry) = self.by_name.get_mut(name) {
            entry.occupancy = Occupancy::Empty {
                since: now,
                joined: true,
            };
        }
    }

    /// Changes how long a room stays. If nobody is in, the time counts from now.
    pub(super) fn set_stay(&mut self, name: &RoomName, now: Instant, stay: Stay) {
        if let Some(entry) = self.by_name.get_mut(name) {
            entry.stay = stay;
            if let Occupancy::Empty { since, .. } = &mut entry.occupancy {
                *since = now;
            }
        }
        self.schedule(name);
    }

    /// Makes a room stay while nobody is in; false if it does already.
    pub(super) fn keep(&mut self, name: &RoomName) -> bool {
        match self.by_name.get_mut(name) {
            Some(entry) => !std::mem::replace(&mut entry.permanent, true),
            None => false,
        }
    }

    /// To be called after every change of a room: takes over its next deadline.
    pub(super) fn schedule(&mut self, name: &RoomName) {
        let Some(entry) = self.by_name.get_mut(name) else {
            return;
        };
        let Some(next) = entry.next() else { return };
        if entry.scheduled.is_none_or(|at| next < at) {
            entry.scheduled = Some(next);
            self.deadlines.push(Reverse((next, name.clone())));
        }
    }

    /// When to call [`Rooms::due`] at the latest.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// The next room whose time has come.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        loop {
            let Reverse((at, _)) = self.deadlines.peek()?;
            if *at > now {
                return None;
            }
            let Reverse((at, name)) = self.deadlines.pop()?;
            let Some(entry) = self.by_name.get_mut(&name) else {
                continue;
            };
            if entry.scheduled != Some(at) {
                continue;
            }
            entry.scheduled = None;
            if entry.expires().is_some_and(|until| until <= now) {
                return Some(Due::Expired(name));
            }
            let room_is_due = matches!(entry.room.next_timeout(), Some((at, _)) if at <= now);
            if room_is_due {
                return Some(Due::Timeout(name));
            }
            self.schedule(&name);
        }
    }
}

impl Entry {
    fn expires(&self) -> Option<Instant> {
        match self.occupancy {
            Occupancy::Empty { since, joined } if !self.permanent => Some(if joined {
                since + self.stay.departure
            } else {
                since + self.stay.empty
            }),
            Occupancy::Empty { .. } | Occupancy::Occupied => None,
        }
    }

    fn next(&self) -> Option<Instant> {
        let own = self.room.next_timeout().map(|(at, _)| at);
        match (own, self.expires()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use umbrella_room::Limits;

    use super::*;

    fn rooms(permanent: bool, now: Instant) -> (Rooms, RoomName) {
        let name = RoomName::new("kitchen");
        let mut rooms = Rooms::default();
        let config = RoomConfig {
            sid: "RM_1".into(),
            name: name.clone(),
            metadata: String::new(),
            created_at_s: 0,
            max_participants: 0,
            limits: Limits::default(),
        };
        rooms.insert(now, config, 0, permanent, STAY);
        (rooms, name)
    }

    const SECOND: Duration = Duration::from_secs(1);
    const STAY: Stay = Stay {
        empty: SECOND,
        departure: SECOND,
    };

    #[test]
    fn room_that_nobody_joins_goes() {
        let start = Instant::now();
        let (mut rooms, name) = rooms(false, start);
        assert_eq!(rooms.due(start), None);
        assert_eq!(rooms.next_deadline(), Some(start + SECOND));
        assert_eq!(rooms.due(start + SECOND), Some(Due::Expired(name)));
    }

    #[test]
    fn occupied_room_stays_and_goes_when_all_have_left() {
        let start = Instant::now();
        let (mut rooms, name) = rooms(false, start);
        rooms.occupied(&name);
        assert_eq!(rooms.due(start + 10 * SECOND), None);
        rooms.emptied(&name, start + 10 * SECOND);
        rooms.schedule(&name);
        assert_eq!(rooms.due(start + 10 * SECOND), None);
        assert_eq!(rooms.due(start + 11 * SECOND), Some(Due::Expired(name)));
    }

    #[test]
    fn room_with_times_of_its_own_goes_by_those_of_the_configuration() {
        let start = Instant::now();
        let (mut rooms, name) = rooms(false, start);
        let stay = Stay {
            empty: 10 * SECOND,
            departure: 5 * SECOND,
        };
        rooms.set_stay(&name, start, stay);
        assert_eq!(rooms.due(start + 9 * SECOND), None);
        rooms.occupied(&name);
        rooms.emptied(&name, start + 10 * SECOND);
        rooms.schedule(&name);
        assert_eq!(rooms.due(start + 14 * SECOND), None);
        assert_eq!(rooms.due(start + 15 * SECOND), Some(Due::Expired(name)));
    }

    #[test]
    fn permanent_room_stays_empty() {
        let start = Instant::now();
        let (mut permanent, _) = rooms(true, start);
        assert_eq!(permanent.due(start + 1000 * SECOND), None);
        let (mut kept, name) = rooms(false, start);
        assert!(kept.keep(&name));
        assert!(!kept.keep(&name));
        assert_eq!(kept.due(start + 1000 * SECOND), None);
    }
}
