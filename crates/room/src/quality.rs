//! How good everybody's connection is: one rating of loss, delay and missing layers, and what
//! others are told of it.

use std::sync::Arc;
use std::time::Duration;

use crate::effect::Notification;
use crate::model::ParticipantId;
use crate::participant::Participant;
use crate::room::Room;
use crate::roster::ParticipantKey;

/// What a measurement counts against those before.
const WEIGHT: f32 = 0.5;
/// Ratings from which a connection is excellent and good: with G.107 "satisfied" ends at 80, and
/// "many users dissatisfied" begins below 60.
const EXCELLENT: f32 = 80.0;
const GOOD: f32 = 60.0;
/// A connection gets better only when it is better by so much, so that nothing flickers.
const SLACK: f32 = 4.0;

/// How good a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Quality {
    /// Nothing comes; the participant may be back.
    Lost,
    /// People notice.
    Poor,
    /// People hardly notice.
    Good,
    /// Nothing to notice.
    Excellent,
}

/// What was measured of a participant's connections in an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The share of packets that did not arrive, resends included, 0 to 1; of the worse direction.
    pub loss: f32,
    /// To the participant and back; `None` while it is not known.
    pub round_trip: Option<Duration>,
    /// The share, 0 to 1, of the layers that it wants and that are sent, but do not reach it.
    pub missing: f32,
}

/// How good one participant's connection is.
#[derive(Debug, Clone, PartialEq)]
pub struct QualityView {
    /// Whose.
    pub participant: ParticipantId,
    /// In words.
    pub quality: Quality,
    /// Mean opinion score, 1 (bad) to 4.5 (excellent).
    pub score: f32,
}

/// The rating of one participant.
#[derive(Debug, Default)]
pub(crate) struct Rating {
    /// Smoothed; `None` before the first measurement.
    rating: Option<f32>,
    lost: bool,
    /// What others were told last.
    told: Option<Quality>,
    /// What the participant's own server says, if that is another one.
    pub(crate) given: Option<QualityView>,
}

impl Measured {
    /// The transmission rating R of ITU-T G.107, 0 to 100, as far as it depends on the network:
    ///
    /// - delay (Id): half of the round trip, and 40 ms in the receiver's buffer;
    /// - loss (Ie-eff, section 7.5): with a robustness of Bpl = 20, a wideband codec that conceals;
    /// - for pictures, of which G.107 knows nothing: 40 points when all of them are missing.
    pub fn rating(&self) -> f32 {
        const BASE: f32 = 93.2;
        const ROBUSTNESS: f32 = 20.0;
        const BUFFER_MS: f32 = 40.0;
        const PICTURES: f32 = 40.0;
        let round_trip = self.round_trip.unwrap_or_default();
        let delay = (round_trip.as_secs_f32() * 500.0 + BUFFER_MS).min(10_000.0);
        let delay = 0.024 * delay + 0.11 * (delay - 177.3).max(0.0);
        let percent = self.loss.clamp(0.0, 1.0) * 100.0;
        let loss = 95.0 * percent / (percent + ROBUSTNESS);
        let missing = PICTURES * self.missing.clamp(0.0, 1.0);
        (BASE - delay - loss - missing).clamp(0.0, 100.0)
    }
}

/// The mean opinion score of a rating (ITU-T G.107, annex B).
fn score(rating: f32) -> f32 {
    let rating = rating.clamp(0.0, 100.0);
    let score = 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6;
    score.max(1.0)
}

impl Rating {
    fn measure(&mut self, rating: f32) {
        let smoothed = self
            .rating
            .map_or(rating, |last| last + (rating - last) * WEIGHT);
        self.rating = Some(smoothed);
    }

    /// What others should know; `None` before anything is known.
    fn quality(&self) -> Option<Quality> {
        if self.lost {
            return Some(Quality::Lost);
        }
        let Some(rating) = self.rating else {
            // Back before anything was measured: not lost any more.
            return self.told.map(|_| Quality::Good);
        };
        let reaches = |quality: Quality, bound: f32| {
            let before = self.told.is_none_or(|told| told >= quality);
            rating >= bound + if before { 0.0 } else { SLACK }
        };
        Some(if reaches(Quality::Excellent, EXCELLENT) {
            Quality::Excellent
        } else if reaches(Quality::Good, GOOD) {
            Quality::Good
        } else {
            Quality::Poor
        })
    }

    /// What others have to be told, if it is something else than before.
    fn change(&mut self) -> Option<Quality> {
        let quality = self.quality().filter(|now| self.told != Some(*now))?;
        self.told = Some(quality);
        Some(quality)
    }
}

impl Room {
    /// [`Command::Measured`](crate::Command::Measured).
    pub(crate) fn measured(&mut self, all: Vec<(ParticipantId, Measured)>) {
        let mut changed = Vec::new();
        for (id, measured) in all {
            let Some((key, participant)) = self.roster.find(&id) else {
                continue;
            };
            participant.rating.measure(measured.rating());
            if participant.rating.change().is_some() {
                changed.push(key);
            }
        }
        self.tell_quality(&changed);
    }

    /// [`Command::ConnectionLost`](crate::Command::ConnectionLost).
    pub(crate) fn lost(&mut self, id: &ParticipantId, lost: bool) {
        let Some((key, participant)) = self.roster.find(id) else {
            return;
        };
        participant.rating.lost = lost;
        if participant.rating.change().is_some() {
            self.tell_quality(&[key]);
        }
    }

    /// How good the connections are of all whom somebody sees, as [`Room::tell_quality`] tells.
    pub(crate) fn qualities(&self, of: ParticipantKey) -> Option<Notification> {
        let participants = self.roster.participants.iter();
        let known = participants.filter_map(|(key, participant)| {
            let hidden = participant.view.permission.hidden;
            let quality = participant.quality()?;
            let tell = match *key == of {
                true => quality.quality != Quality::Lost,
                false => !hidden,
            };
            tell.then_some(quality)
        });
        let known: Vec<_> = known.collect();
        (!known.is_empty()).then(|| Notification::Qualities(known.into()))
    }

    /// Tells everybody of some. Who is lost is not told so: its client would believe that, and
    /// begin anew where it can go on. Of a hidden one only itself is told.
    pub(crate) fn tell_quality(&mut self, changed: &[ParticipantKey]) {
        let find = |key: &ParticipantKey| self.roster.participants.get(key);
        let (hidden, seen): (Vec<_>, Vec<_>) = changed
            .iter()
            .filter_map(find)
            .filter_map(|it| it.quality().map(|view| (it.view.permission.hidden, view)))
            .partition(|(hidden, _)| *hidden);
        let all: Arc<[QualityView]> = seen.into_iter().map(|(_, view)| view).collect();
        let is_lost = |id: &ParticipantId| {
            let mut lost = all.iter().filter(|view| view.quality == Quality::Lost);
            lost.any(|view| view.participant == *id)
        };
        let receivers = self.roster.participants.values().map(|it| &it.view.id);
        let mut told: Vec<_> = receivers
            .filter(|id| !all.is_empty() && !is_lost(id))
            .map(|id| (id.clone(), all.clone()))
            .collect();
        let own = hidden
            .into_iter()
            .filter(|(_, view)| view.quality != Quality::Lost);
        told.extend(own.map(|(_, view)| (view.participant.clone(), [view].into())));
        for (to, views) in told {
            self.notify(to, Notification::Qualities(views));
        }
        self.share_qualities(changed);
    }
}

impl Participant {
    /// What others were told of it.
    pub(crate) fn quality(&self) -> Option<QualityView> {
        if self.origin.is_some() {
            return self.rating.given.clone();
        }
        let quality = self.rating.told?;
        let rating = self.rating.rating.filter(|_| quality != Quality::Lost);
        Some(QualityView {
            participant: self.view.id.clone(),
            quality,
            score: score(rating.unwrap_or(0.0)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(percent: f32, round_trip_ms: u64, missing: f32) -> Measured {
        Measured {
            loss: percent / 100.0,
            round_trip: Some(Duration::from_millis(round_trip_ms)),
            missing,
        }
    }

    fn quality(measured: Measured) -> Quality {
        let mut rating = Rating::default();
        rating.measure(measured.rating());
        rating.quality().unwrap()
    }

    #[test]
    fn people_are_told_other_than_what_they_notice() {
        for (measured, expected) in [
            (measured(0.0, 20, 0.0), Quality::Excellent),
            (measured(2.0, 100, 0.0), Quality::Excellent),
            (measured(5.0, 60, 0.0), Quality::Good),
            (measured(0.0, 500, 0.0), Quality::Good),
            (measured(0.0, 40, 0.66), Quality::Good),
            (measured(15.0, 50, 0.0), Quality::Poor),
            (measured(0.0, 900, 0.0), Quality::Poor),
            (measured(0.0, 40, 1.0), Quality::Poor),
        ] {
            assert_eq!(quality(measured), expected, "{measured:?}");
        }
    }

    #[test]
    fn connection_at_a_bound_flickers() {
        let mut rating = Rating::default();
        let mut changes = 0;
        for round in 0..100 {
            rating.measure(if round % 2 == 0 { 79.0 } else { 81.5 });
            changes += usize::from(rating.change().is_some());
        }
        assert_eq!(changes, 1);
        rating.measure(95.0);
        rating.measure(95.0);
        assert_eq!(rating.change(), Some(Quality::Excellent));
    }

    #[test]
    fn score_leaves_its_scale() {
        let scores = (0..=100).map(|rating| score(rating as f32));
        let scores: Vec<_> = scores.collect();
        assert!(scores.iter().all(|score| (1.0..=4.5).contains(score)));
        assert!(scores[60] > 3.0 && scores[93] > 4.4);
    }

    proptest::proptest! {
        #[test]
        fn worse_network_is_rated_better(
            loss in 0.0f32..1.0,
            more in 0.0f32..0.5,
            round_trip in 0u64..5_000,
            missing in 0.0f32..1.0,
        ) {
            let percent = loss * 100.0;
            let here = measured(percent, round_trip, missing).rating();
            for worse in [
                measured(percent + more * 100.0, round_trip, missing),
                measured(percent, round_trip + 500, missing),
                measured(percent, round_trip, missing + more),
            ] {
                proptest::prop_assert!(worse.rating() <= here + 1e-3);
            }
        }
    }
}
