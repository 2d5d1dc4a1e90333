//! Who has the floor: whose picture comes first where not all fit, and, in a large room, whose
//! sound is forwarded at all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use umbrella_media::Kind;

use crate::effect::Effect;
use crate::room::Room;
use crate::roster::ParticipantKey;
use crate::speakers::Loudness;

/// How long somebody's picture still comes first who has stopped to speak: people pause.
const LINGER: Duration = Duration::from_secs(5);

/// Who is so much louder (of 1) is heard instead of somebody who speaks as well.
const LOUDER: f32 = 0.15;

/// Who has the floor.
#[derive(Debug, Default)]
pub(crate) struct Floor {
    /// Whose pictures come first; until when, once they have stopped to speak.
    speakers: BTreeMap<ParticipantKey, Option<Instant>>,
    /// Who could be heard and is not, because enough others are louder.
    quiet: BTreeSet<ParticipantKey>,
    /// Something has changed of what decides.
    pub(crate) changed: bool,
}

impl Floor {
    /// Whether somebody's picture comes before others.
    pub(crate) fn is_speaker(&self, key: ParticipantKey) -> bool {
        self.speakers.contains_key(&key)
    }

    /// When [`Room::settle_floor`] has something to do although nothing has changed.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.speakers.values().flatten().min().copied()
    }

    /// Somebody has left.
    pub(crate) fn leave(&mut self, key: ParticipantKey) {
        self.speakers.remove(&key);
        self.quiet.remove(&key);
    }

    /// Notes who speaks, and yields those whose pictures are worth more or less than before.
    fn note_speakers(
        &mut self,
        now: Instant,
        speaking: &BTreeSet<ParticipantKey>,
    ) -> Vec<ParticipantKey> {
        let begin = speaking.iter().filter(|key| !self.is_speaker(**key));
        let mut changed: Vec<_> = begin.copied().collect();
        self.speakers
            .extend(speaking.iter().map(|key| (*key, None)));
        self.speakers.retain(|key, until| {
            if speaking.contains(key) {
                return true;
            }
            let stays = *until.get_or_insert(now + LINGER) > now;
            if !stays {
                changed.push(*key);
            }
            stays
        });
        changed
    }

    /// Chooses who is not heard of those who can be: all but `most`.
    fn choose(
        &mut self,
        audible: &BTreeSet<ParticipantKey>,
        most: usize,
        loudness: impl Fn(ParticipantKey) -> Loudness,
    ) {
        let weight = |key: &ParticipantKey| {
            let Loudness { level, speaks } = loudness(*key);
            // Bits of a positive number order like the number. Of equals, who came first stays.
            (speaks, level.max(0.0).to_bits(), Reverse(*key))
        };
        let mut heard: BTreeSet<_> = audible.difference(&self.quiet).copied().collect();
        let mut quiet: BTreeSet<_> = audible.intersection(&self.quiet).copied().collect();
        let loudest =
            |of: &BTreeSet<ParticipantKey>| of.iter().max_by_key(|it| weight(it)).copied();
        let faintest =
            |of: &BTreeSet<ParticipantKey>| of.iter().min_by_key(|it| weight(it)).copied();
        while heard.len() > most
            && let Some(out) = faintest(&heard)
        {
            heard.remove(&out);
            quiet.insert(out);
        }
        while heard.len() < most
            && let Some(next) = loudest(&quiet)
        {
            quiet.remove(&next);
            heard.insert(next);
        }
        while let (Some(next), Some(out)) = (loudest(&quiet), faintest(&heard)) {
            let (new, old) = (loudness(next), loudness(out));
            let louder = !old.speaks || new.level > old.level + LOUDER;
            if !(new.speaks && louder) {
                break;
            }
            quiet.remove(&next);
            heard.remove(&out);
            heard.insert(next);
            quiet.insert(out);
        }
        self.quiet = quiet;
    }
}

impl Room {
    /// Looks at who speaks, if anything has changed or is due.
    pub(crate) fn settle_floor(&mut self, now: Instant) {
        let due = self.floor.due().is_some_and(|at| at <= now);
        if !std::mem::take(&mut self.floor.changed) && !due {
            return;
        }
        let speaking = self.speakers.speaking();
        for key in self.floor.note_speakers(now, &speaking) {
            self.settle_pictures_of(key);
        }
        self.settle_sounds();
    }

    fn settle_pictures_of(&mut self, key: ParticipantKey) {
        for track_key in self.roster.tracks_of(key) {
            let track = self.roster.tracks.get(&track_key);
            if track.is_some_and(|track| track.view.kind == Kind::Video) {
                self.settle_track(track_key);
            }
        }
    }

    fn settle_sounds(&mut self) {
        let tracks = self.roster.tracks.values();
        let audible = tracks.filter(|track| track.is_audible());
        let audible: BTreeSet<_> = audible.map(|track| track.publisher).collect();
        let before = self.floor.quiet.clone();
        match self.config.limits.heard {
            0 => self.floor.quiet.clear(),
            most if audible.len() <= most => self.floor.quiet.clear(),
            most => self
                .floor
                .choose(&audible, most, |key| self.speakers.loudness(key)),
        }
        let quiet = self.floor.quiet.clone();
        for key in before.difference(&quiet) {
            self.quieten(*key, false);
        }
        for key in quiet {
            self.quieten(key, true);
        }
    }

    /// Lets the sound of somebody be heard, or not, as far as it is not so.
    fn quieten(&mut self, key: ParticipantKey, quiet: bool) {
        let participant = self.roster.participants.get(&key);
        let elsewhere = participant.is_some_and(|participant| participant.origin.is_some());
        for track_key in self.roster.tracks_of(key) {
            let Some(track) = self.roster.tracks.get_mut(&track_key) else {
                continue;
            };
            let is_sound = track.is_open() && track.view.kind == Kind::Audio;
            if is_sound && std::mem::replace(&mut track.quiet, quiet) != quiet {
                let track = track.view.id.clone();
                // What comes from elsewhere is not asked for instead.
                if elsewhere {
                    self.demand.look_at(track_key);
                } else {
                    self.effects
                        .push_back(Effect::QuietProducer { track, quiet });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> ParticipantKey {
        ParticipantKey::for_tests(number)
    }

    fn crowd(count: u64) -> BTreeSet<ParticipantKey> {
        (0..count).map(key).collect()
    }

    /// Who is heard of five, of whom two may be, when they are so loud; who speaks is at 0.2.
    fn heard(floor: &mut Floor, levels: [f32; 5]) -> Vec<u64> {
        let loudness = |who: ParticipantKey| {
            let level = (0..5).find(|n| key(*n) == who).map(|n| levels[n as usize]);
            let level = level.unwrap_or(0.0);
            let speaks = level >= 0.2;
            Loudness { level, speaks }
        };
        floor.choose(&crowd(5), 2, loudness);
        let heard = |n: &u64| !floor.quiet.contains(&key(*n));
        (0..5).filter(heard).collect()
    }

    #[test]
    fn who_begins_to_speak_in_a_crowd_is_not_heard() {
        let mut floor = Floor::default();
        assert_eq!(heard(&mut floor, [0.0; 5]), [0, 1]);
        assert_eq!(heard(&mut floor, [0.0, 0.0, 0.0, 0.0, 0.5]), [0, 4]);
        assert_eq!(heard(&mut floor, [0.0, 0.0, 0.3, 0.0, 0.5]), [2, 4]);
    }

    #[test]
    fn heard_voices_change_with_every_breath() {
        let mut floor = Floor::default();
        assert_eq!(heard(&mut floor, [0.0, 0.4, 0.0, 0.4, 0.0]), [1, 3]);
        // A third speaks as well, now louder and now not.
        assert_eq!(heard(&mut floor, [0.0, 0.4, 0.5, 0.4, 0.0]), [1, 3]);
        assert_eq!(heard(&mut floor, [0.0, 0.4, 0.3, 0.5, 0.0]), [1, 3]);
        // Who is silent keeps its place until somebody needs it.
        assert_eq!(heard(&mut floor, [0.0, 0.0, 0.0, 0.5, 0.0]), [1, 3]);
        // Much louder than one who speaks.
        assert_eq!(heard(&mut floor, [0.0, 0.3, 0.9, 0.5, 0.0]), [2, 3]);
    }

    #[test]
    fn picture_of_a_speaker_loses_its_place_at_every_breath() {
        let (mut floor, now) = (Floor::default(), Instant::now());
        let one = BTreeSet::from([key(1)]);
        assert_eq!(floor.note_speakers(now, &one), [key(1)]);
        assert!(floor.note_speakers(now, &BTreeSet::new()).is_empty());
        let later = now + LINGER / 2;
        assert!(floor.note_speakers(later, &one).is_empty());
        assert!(floor.note_speakers(later, &BTreeSet::new()).is_empty());
        assert_eq!(floor.due(), Some(later + LINGER));
        let end = later + LINGER;
        assert_eq!(floor.note_speakers(end, &BTreeSet::new()), [key(1)]);
        assert_eq!(floor.due(), None);
    }

    proptest::proptest! {
        #[test]
        fn more_or_fewer_are_heard_than_may_be(
            rounds in proptest::collection::vec(
                (proptest::collection::vec(0.0f32..1.0, 12), 0u64..4096),
                1..20,
            ),
            most in 1usize..8,
        ) {
            let mut floor = Floor::default();
            for (levels, present) in rounds {
                let audible: BTreeSet<_> = (0..12).filter(|n| present >> n & 1 == 1).map(key).collect();
                let index = |who| (0..12).find(|n| key(*n) == who).unwrap_or(0) as usize;
                let loudness = |who| Loudness { level: levels[index(who)], speaks: levels[index(who)] > 0.3 };
                floor.choose(&audible, most, loudness);
                proptest::prop_assert!(floor.quiet.is_subset(&audible));
                let heard = audible.len() - floor.quiet.len();
                proptest::prop_assert_eq!(heard, audible.len().min(most));
                // Nobody who speaks waits for somebody who does not.
                let speaks = |who: &ParticipantKey| loudness(*who).speaks;
                if floor.quiet.iter().any(speaks) {
                    proptest::prop_assert!(audible.difference(&floor.quiet).all(speaks));
                }
            }
        }
    }
}
