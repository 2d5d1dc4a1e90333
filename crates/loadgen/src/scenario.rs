//! Who joins and publishes what in each scenario.

use std::time::Duration;

use crate::limit::Burst;
use crate::media::{Track, VideoCodec};
use crate::participant::{Participant, Quality};

/// A situation in which a server is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// Few publish sound and pictures, many watch.
    Broadcast,
    /// All publish sound and pictures in three encodings, and see and hear all others.
    Meeting,
    /// Few speak, many listen.
    Audio,
    /// A broadcast whose watchers come and go all the time.
    Churn,
    /// All are there, nobody publishes.
    Idle,
    /// Several meetings with watchers, all of whom come and go all the time, and their rooms too.
    Soak,
}

impl Scenario {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Broadcast => "broadcast",
            Scenario::Meeting => "meeting",
            Scenario::Audio => "audio",
            Scenario::Churn => "churn",
            Scenario::Idle => "idle",
            Scenario::Soak => "soak",
        }
    }
}

/// A scenario with its numbers.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What happens.
    pub scenario: Scenario,
    /// Participants who publish; all participants of a meeting. In each room of a soak.
    pub publishers: u32,
    /// Participants who do not publish; not used in a meeting. In each room of a soak.
    pub subscribers: u32,
    /// Rooms of a soak at a time.
    pub rooms: u32,
    /// How long participants of a soak stay on average.
    pub stay: Duration,
    /// Everybody of a soak is there at once at the end of each such time …
    pub period: Duration,
    /// … for so long.
    pub full_house: Duration,
    /// Bits per second of pictures, of the highest encoding; 0 is no pictures.
    pub bitrate: u64,
    /// Bits per second of sound; 0 is no sound.
    pub audio_bitrate: u64,
    /// Frames per second.
    pub fps: u32,
    /// How pictures are packed.
    pub codec: VideoCodec,
    /// Which encoding is asked for.
    pub quality: Option<Quality>,
    /// Time within which all subscribers join, evenly spread.
    pub join_within: Duration,
}

impl Plan {
    /// What a publisher publishes.
    pub fn tracks(&self) -> Vec<Track> {
        let audio = (self.audio_bitrate > 0).then_some(Track::Audio {
            bitrate: self.audio_bitrate,
        });
        let video = match self.scenario {
            Scenario::Audio | Scenario::Idle => None,
            Scenario::Meeting | Scenario::Soak => {
                Some(Track::simulcast(self.codec, self.fps, self.bitrate))
            }
            Scenario::Broadcast | Scenario::Churn => {
                Some(Track::single(self.codec, self.fps, self.bitrate))
            }
        };
        let video = video.filter(|_| self.bitrate > 0);
        audio.into_iter().chain(video).collect()
    }

    /// Those who publish, in the order in which they join.
    pub fn publishers(&self, room: &str) -> Vec<Participant> {
        let publishers = match self.scenario {
            Scenario::Idle => 0,
            Scenario::Broadcast | Scenario::Meeting | Scenario::Audio | Scenario::Churn => {
                self.publishers
            }
            Scenario::Soak => self.publishers * self.rooms,
        };
        let participant = |number| Participant {
            number,
            identity: format!("load-{number}"),
            room: room.to_owned(),
            tracks: self.tracks(),
            subscribes: matches!(self.scenario, Scenario::Meeting | Scenario::Soak),
            quality: self.quality,
        };
        (0..publishers).map(participant).collect()
    }

    /// Those who do not publish, in the order in which they join.
    pub fn subscribers(&self, room: &str) -> Vec<Participant> {
        let subscribers = match self.scenario {
            Scenario::Meeting => 0,
            Scenario::Broadcast | Scenario::Audio | Scenario::Churn | Scenario::Idle => {
                self.subscribers
            }
            Scenario::Soak => self.subscribers * self.rooms,
        };
        let participant = |number| Participant {
            number,
            identity: format!("load-{number}"),
            room: room.to_owned(),
            tracks: Vec::new(),
            subscribes: true,
            quality: self.quality,
        };
        let first = self.publishers * self.rooms.max(1);
        (first..first + subscribers).map(participant).collect()
    }

    /// How many watch, and how many others each of them watches; in one room of a soak, where
    /// those who publish watch one less.
    pub fn watching(&self) -> (u32, u32) {
        match self.scenario {
            Scenario::Meeting => (self.publishers, self.publishers.saturating_sub(1)),
            Scenario::Idle => (0, 0),
            Scenario::Soak => (self.publishers + self.subscribers, self.publishers),
            Scenario::Broadcast | Scenario::Audio | Scenario::Churn => {
                (self.subscribers, self.publishers)
            }
        }
    }

    /// Subscriptions of pictures and of sound.
    pub fn subscriptions(&self) -> (u32, u32) {
        let (watchers, watched) = self.watching();
        let tracks = self.tracks();
        let audio = tracks.iter().filter(|track| track.is_audio()).count() as u32;
        let video = tracks.len() as u32 - audio;
        let pairs = match self.scenario {
            Scenario::Soak => (watchers * watched - self.publishers) * self.rooms,
            Scenario::Broadcast
            | Scenario::Meeting
            | Scenario::Audio
            | Scenario::Churn
            | Scenario::Idle => watchers * watched,
        };
        (pairs * video, pairs * audio)
    }

    /// Connections when all are there.
    pub fn connections(&self) -> u32 {
        let publishers = self.publishers("").len() as u32;
        let subscribers = self.subscribers("").len() as u32;
        match self.scenario {
            Scenario::Meeting => publishers * 2,
            Scenario::Soak => publishers * 2 + subscribers,
            Scenario::Broadcast | Scenario::Audio | Scenario::Churn | Scenario::Idle => {
                publishers + subscribers
            }
        }
    }

    /// What one watcher gets, as the bursts in which it comes from the publishers.
    pub fn bursts(&self) -> Vec<Burst> {
        let (_, watched) = self.watching();
        let tracks = self.tracks();
        let bursts = tracks.iter().map(|track| {
            let highest = track.rids().len() - 1;
            let layer = match self.quality {
                Some(Quality::Low) => 0,
                Some(Quality::Medium) => highest.min(1),
                Some(Quality::High) | None => highest,
            };
            let (packets, payload) = track.packets(layer);
            Burst {
                packets,
                payload,
                per_second: f64::from(watched) / track.interval().as_secs_f64(),
            }
        });
        bursts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(scenario: Scenario) -> Plan {
        Plan {
            scenario,
            publishers: 20,
            subscribers: 300,
            rooms: 1,
            stay: Duration::ZERO,
            period: Duration::ZERO,
            full_house: Duration::ZERO,
            bitrate: 1_000_000,
            audio_bitrate: 32_000,
            fps: 30,
            codec: VideoCodec::Vp8,
            quality: Some(Quality::Medium),
            join_within: Duration::ZERO,
        }
    }

    #[test]
    fn nobody_is_counted_as_watching_themselves() {
        let meeting = plan(Scenario::Meeting);
        assert_eq!(meeting.subscriptions(), (380, 380));
        assert_eq!(meeting.connections(), 40);
        assert!(meeting.subscribers("x").is_empty());
        assert_eq!(plan(Scenario::Audio).subscriptions(), (0, 6000));
        assert_eq!(plan(Scenario::Idle).subscriptions(), (0, 0));
    }

    #[test]
    fn rooms_of_a_soak_are_counted_once_or_with_watchers_of_themselves() {
        let soak = Plan {
            publishers: 2,
            subscribers: 3,
            rooms: 4,
            ..plan(Scenario::Soak)
        };
        assert_eq!(soak.subscriptions(), (32, 32));
        assert_eq!(soak.connections(), 28);
    }

    #[test]
    fn numbers_of_participants_do_not_clash() {
        let plan = plan(Scenario::Broadcast);
        let all = plan
            .publishers("x")
            .into_iter()
            .chain(plan.subscribers("x"));
        let mut numbers: Vec<u32> = all.map(|who| who.number).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), 320);
    }

    #[test]
    fn the_limit_is_measured_with_the_packets_of_the_scenario() {
        let bursts = plan(Scenario::Meeting).bursts();
        // 333 kbit/s at 30 frames are 1388 bytes a frame.
        assert_eq!((bursts[1].packets, bursts[1].payload), (2, 694));
        assert!((bursts[1].per_second - 19.0 * 30.0).abs() < 1e-3);
        assert_eq!((bursts[0].packets, bursts[0].payload), (1, 80));
    }
}
