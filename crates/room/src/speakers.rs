//! Who speaks.
//!
//! Loudness comes a few times a second while somebody is heard, and not at all in silence. Each
//! participant's loudness is smoothed (up quickly, down slowly, so that the gaps between words do
//! not end a speech), compared with a threshold that is higher for starting than for stopping, and
//! told in coarse steps: a client is told when something is worth drawing, not for noise.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::command::TrackLoudness;
use crate::effect::Notification;
use crate::mesh::Share;
use crate::model::{NodeId, ParticipantId, Speaker};
use crate::room::Room;
use crate::roster::ParticipantKey;

/// Clients are told at most this often; and when nothing is heard for this long, loudness falls
/// as if silence had been reported.
const INTERVAL: Duration = Duration::from_millis(300);
/// What the first report of loudness is taken to cover.
const FIRST_SPAN: Duration = Duration::from_millis(200);
/// Time constants of smoothing, in seconds: a word is enough to begin, a breath not to end.
const ATTACK: f32 = 0.12;
const RELEASE: f32 = 0.4;
/// Smoothed loudness at which speech begins (-35 dBov) and ends (-45 dBov).
const BEGIN: f32 = 0.133;
const END: f32 = 0.075;
/// Less than this is silence and need not be remembered.
const FORGET: f32 = 0.02;
/// Share of packets with voice below which sound is noise.
const VOICED: f32 = 0.25;
/// Loudness is told in this many steps, and a step is left only when exceeded by this much.
const STEPS: f32 = 8.0;
const SLACK: f32 = 0.04;

/// Who is heard in a room.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    voices: BTreeMap<ParticipantKey, Voice>,
    /// When each server was last heard of; `None` is this one.
    heard: BTreeMap<Option<NodeId>, Instant>,
    told: Option<Instant>,
}

/// How somebody is heard now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Loudness {
    /// 0 (silent) to 1 (loudest), smoothed.
    pub(crate) level: f32,
    /// Whether that is speech.
    pub(crate) speaks: bool,
}

#[derive(Debug)]
struct Voice {
    participant: ParticipantId,
    /// Who says how loud it is.
    source: Option<NodeId>,
    target: f32,
    level: f32,
    active: bool,
    /// The step that clients have been told, 1 to [`STEPS`], while it speaks.
    told: Option<u8>,
}

impl Room {
    /// [`Command::AudioLevels`](crate::Command::AudioLevels).
    pub(crate) fn audio_levels(&mut self, now: Instant, levels: &[TrackLoudness]) {
        self.shares.push_back(Share::Levels(levels.into()));
        self.hear_levels(now, None, levels);
    }

    /// [`Remote::Levels`](crate::command::Remote::Levels).
    pub(crate) fn remote_levels(
        &mut self,
        now: Instant,
        origin: &NodeId,
        levels: &[TrackLoudness],
    ) {
        self.hear_levels(now, Some(origin), levels);
    }

    /// Takes in how loud tracks of one server are.
    fn hear_levels(&mut self, now: Instant, source: Option<&NodeId>, levels: &[TrackLoudness]) {
        let roster = &self.roster;
        let heard = levels.iter().filter_map(|loudness| {
            let track = roster.tracks.get(&roster.by_track(&loudness.track)?)?;
            let publisher = roster.participants.get(&track.publisher)?;
            // Media that was under way when the track was muted.
            (track.is_audible() && publisher.origin.as_ref() == source)
                .then(|| (track.publisher, &track.publisher_id, level_of(loudness)))
        });
        self.speakers.hear(now, source, heard);
        self.floor.changed = true;
        self.tell_speakers(now);
    }

    /// What is due of [`Reason::Speakers`](crate::Reason::Speakers).
    pub(crate) fn speakers_due(&mut self, now: Instant) {
        self.speakers.rest(now);
        self.floor.changed = true;
        self.tell_speakers(now);
    }

    /// Somebody may have muted or ended the last track that could be heard of it.
    pub(crate) fn silence_if_mute(&mut self, now: Instant, key: ParticipantKey) {
        let Some(participant) = self.roster.participants.get(&key) else {
            return;
        };
        let audible = |key| {
            self.roster
                .tracks
                .get(key)
                .is_some_and(|track| track.is_audible())
        };
        if !participant.tracks.iter().any(audible) {
            self.speakers.leave(key);
            self.tell_speakers(now);
        }
    }

    fn tell_speakers(&mut self, now: Instant) {
        if let Some(changes) = self.speakers.changes(now) {
            self.notify_everybody(&Notification::Speakers(changes));
        }
    }
}

impl Speakers {
    /// Those of whom clients have been told that they speak, the loudest first.
    pub(crate) fn current(&self) -> Option<Arc<[Speaker]>> {
        let told = self.voices.values().filter(|voice| voice.told.is_some());
        ranked(told.map(Voice::speaker).collect())
    }

    /// Everybody who speaks now.
    pub(crate) fn speaking(&self) -> BTreeSet<ParticipantKey> {
        let voices = self.voices.iter().filter(|(_, voice)| voice.active);
        voices.map(|(key, _)| *key).collect()
    }

    /// How somebody is heard now.
    pub(crate) fn loudness(&self, key: ParticipantKey) -> Loudness {
        let voice = self.voices.get(&key);
        voice.map_or(Loudness::default(), |voice| Loudness {
            level: voice.level,
            speaks: voice.active,
        })
    }

    /// When [`Room::speakers_due`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.voices.is_empty() {
            return None;
        }
        let rest = self.heard.values().min().map(|heard| *heard + INTERVAL);
        let pending = self.voices.values().any(Voice::is_pending);
        let tell = self.told.filter(|_| pending).map(|told| told + INTERVAL);
        rest.into_iter().chain(tell).min()
    }

    /// Somebody has left or cannot be heard any more.
    pub(crate) fn leave(&mut self, key: ParticipantKey) {
        if let Some(voice) = self.voices.get_mut(&key) {
            (voice.level, voice.target, voice.active) = (0.0, 0.0, false);
        }
    }

    /// Everybody has left.
    pub(crate) fn clear(&mut self) {
        *self = Speakers::default();
    }

    /// Takes in who is heard at a server and how loud, 0 to 1; who is there and not named is silent.
    fn hear<'a>(
        &mut self,
        now: Instant,
        source: Option<&NodeId>,
        heard: impl Iterator<Item = (ParticipantKey, &'a ParticipantId, f32)>,
    ) {
        let same = |voice: &&mut Voice| voice.source.as_ref() == source;
        for voice in self.voices.values_mut().filter(same) {
            voice.target = 0.0;
        }
        for (key, participant, level) in heard {
            let voice = self
                .voices
                .entry(key)
                .or_insert_with(|| Voice::new(participant.clone(), source.cloned()));
            voice.target = voice.target.max(level);
        }
        let before = self.heard.get(&source.cloned());
        let span = before.map_or(FIRST_SPAN, |heard| now.saturating_duration_since(*heard));
        for voice in self.voices.values_mut().filter(same) {
            voice.smooth(span.as_secs_f32());
        }
        self.voices
            .retain(|_, voice| voice.active || voice.told.is_some() || voice.level > FORGET);
        let mut left = self.voices.values();
        if left.any(|voice| voice.source.as_ref() == source) {
            self.heard.insert(source.cloned(), now);
        } else {
            self.heard.remove(&source.cloned());
        }
    }

    /// Nothing was heard for a while.
    fn rest(&mut self, now: Instant) {
        let due = |(source, heard): (&Option<NodeId>, &Instant)| {
            (*heard + INTERVAL <= now).then(|| source.clone())
        };
        for source in self.heard.iter().filter_map(due).collect::<Vec<_>>() {
            self.hear(now, source.as_ref(), std::iter::empty());
        }
    }

    /// What clients have to be told now, the loudest first.
    fn changes(&mut self, now: Instant) -> Option<Arc<[Speaker]>> {
        if self.told.is_some_and(|told| now < told + INTERVAL) {
            return None;
        }
        let pending = self.voices.values_mut().filter(|voice| voice.is_pending());
        let changes = ranked(
            pending
                .map(|voice| {
                    voice.told = voice.step();
                    voice.speaker()
                })
                .collect(),
        );
        if changes.is_some() {
            self.told = Some(now);
        }
        changes
    }
}

impl Voice {
    fn new(participant: ParticipantId, source: Option<NodeId>) -> Voice {
        Voice {
            participant,
            source,
            target: 0.0,
            level: 0.0,
            active: false,
            told: None,
        }
    }

    fn smooth(&mut self, seconds: f32) {
        let constant = if self.target > self.level {
            ATTACK
        } else {
            RELEASE
        };
        self.level += (self.target - self.level) * (1.0 - (-seconds / constant).exp());
        self.active = self.level >= if self.active { END } else { BEGIN };
    }

    fn is_pending(&self) -> bool {
        self.step() != self.told
    }

    fn step(&self) -> Option<u8> {
        if !self.active {
            return None;
        }
        let upper = f32::from(self.told.unwrap_or(0)) / STEPS;
        let fits = self.level > upper - 1.0 / STEPS - SLACK && self.level <= upper + SLACK;
        match self.told {
            Some(told) if fits => Some(told),
            _ => Some((self.level * STEPS).ceil().clamp(1.0, STEPS) as u8),
        }
    }

    fn speaker(&self) -> Speaker {
        Speaker {
            participant: self.participant.clone(),
            level: f32::from(self.told.unwrap_or(0)) / STEPS,
            active: self.told.is_some(),
        }
    }
}

/// Loudness from 0 to 1 as people perceive it: it doubles with about 10 dB (Stevens's power law),
/// which the square root of the amplitude follows closely.
fn level_of(loudness: &TrackLoudness) -> f32 {
    if loudness.voice >= VOICED && loudness.level < 127 {
        10f32.powf(-f32::from(loudness.level) / 40.0)
    } else {
        0.0
    }
}

fn ranked(mut speakers: Vec<Speaker>) -> Option<Arc<[Speaker]>> {
    if speakers.is_empty() {
        return None;
    }
    speakers.sort_by(|a, b| b.level.total_cmp(&a.level));
    Some(speakers.into())
}
