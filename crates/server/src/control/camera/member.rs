//! One camera as a participant: what is known of it, and what follows from that.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::watch;
use umbrella_engine::ProducerId;
use umbrella_media::{Codec, Spatial};
use umbrella_room::model::{ParticipantId, TrackId};

use super::feeder::{Outlet, Sink};
use super::watcher::Task;
use crate::camera::{AudioFormat, Camera, CameraSpec, Note, Reason, State, VideoFormat};
use crate::clock::unix_seconds;
use crate::control::handle::SessionId;
use crate::worker::Intake;

/// What a camera's attributes begin with. Pages and SDKs read them.
const STATE: &str = "umbrella.camera.state";
const WHY: &str = "umbrella.camera.why";
const RETRY: &str = "umbrella.camera.retry";

/// A camera.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) spec: CameraSpec,
    /// Counts its sources; what an earlier one says is of no interest.
    pub(super) run: u64,
    /// `None` once something has broken inside of it, or a moderator has removed it.
    pub(super) source: Option<Source>,
    pub(super) states: Vec<(Spatial, State)>,
    /// What layers are, or were when they were last connected.
    pub(super) formats: BTreeMap<Spatial, Format>,
    /// What this layer was is to be seen again.
    pub(super) doubted: Option<Spatial>,
    /// When it is published without the layers that are not there yet.
    pub(super) patience: Option<Instant>,
    pub(super) presence: Presence,
    pub(super) video: Option<Video>,
    pub(super) audio: Option<Audio>,
    pub(super) muted: Muted,
    /// What the room was told.
    pub(super) told: BTreeMap<String, String>,
    /// The room was told that nothing comes.
    pub(super) lost: bool,
    /// The feeder is to be told where media go.
    pub(super) outlet_due: bool,
}

/// What a camera consists of.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) camera: Camera,
    pub(super) outlet: watch::Sender<Outlet>,
    /// Ends with it.
    pub(super) _watcher: Task,
}

/// What a layer is.
#[derive(Debug, Clone)]
pub(super) struct Format {
    pub(super) video: VideoFormat,
    pub(super) audio: Option<AudioFormat>,
    pub(super) notes: Vec<Note>,
}

/// Whether it takes part.
#[derive(Debug, Clone)]
pub(super) enum Presence {
    In {
        session: SessionId,
        participant: ParticipantId,
    },
    Out(Return),
}

/// When a camera that does not take part comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Return {
    /// When the operator changes something, or the server begins anew.
    Changed,
    /// Then too, and when somebody comes into its room.
    Company,
    /// By itself.
    At(Instant),
}

/// What a moderator has muted: it stays so when a track is published anew.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Muted {
    pub(super) video: bool,
    pub(super) audio: bool,
}

/// Its published picture.
#[derive(Debug, Clone)]
pub(super) struct Video {
    pub(super) track: TrackId,
    pub(super) codec: Codec,
    /// Which of its layers is which encoding, the lowest first.
    pub(super) layers: Vec<Spatial>,
    /// Pixels of the largest layer.
    pub(super) size: (u32, u32),
    pub(super) producer: Option<ProducerId>,
    /// The highest encoding that is wanted.
    pub(super) highest: Option<Spatial>,
}

/// Its published sound.
#[derive(Debug, Clone)]
pub(super) struct Audio {
    pub(super) track: TrackId,
    pub(super) codec: Codec,
    pub(super) stereo: bool,
    /// From which of its layers it may be taken, the lowest first.
    pub(super) layers: Vec<Spatial>,
    pub(super) producer: Option<ProducerId>,
    /// Somebody hears it.
    pub(super) wanted: bool,
}

impl Member {
    pub(super) fn new(spec: CameraSpec) -> Member {
        Member {
            spec,
            run: 0,
            source: None,
            states: Vec::new(),
            formats: BTreeMap::new(),
            doubted: None,
            patience: None,
            presence: Presence::Out(Return::Changed),
            video: None,
            audio: None,
            muted: Muted::default(),
            told: BTreeMap::new(),
            lost: false,
            outlet_due: false,
        }
    }

    /// Of all layers together: what is best.
    pub(super) fn state(&self) -> State {
        let rank = |state: &State| match state {
            State::Live { .. } => 4,
            State::Connecting => 3,
            State::Reconnecting { .. } => 2,
            State::Refused { .. } => 1,
            State::Idle => 0,
        };
        let states = self.states.iter().map(|(_, state)| state);
        let best = states.max_by_key(|state| rank(state));
        best.cloned().unwrap_or(State::Idle)
    }

    /// Takes over how its layers are.
    pub(super) fn take(&mut self, states: Vec<(Spatial, State)>) {
        for (layer, state) in &states {
            if let State::Live {
                video,
                audio,
                notes,
            } = state
            {
                let format = Format {
                    video: *video,
                    audio: audio.clone(),
                    notes: notes.clone(),
                };
                self.formats.insert(*layer, format);
                if self.doubted == Some(*layer) {
                    self.doubted = None;
                }
            }
        }
        self.states = states;
    }

    /// Somebody cannot decode its picture, and would never have it connected: it is looked at once,
    /// since the operator may have chosen another codec in the camera's settings.
    pub(super) fn doubt(&mut self) {
        let lowest = self.video.as_ref().and_then(|video| video.layers.first());
        let Some(lowest) = lowest.copied() else {
            return;
        };
        let is_live = |(layer, state): &(Spatial, State)| {
            *layer == lowest && matches!(state, State::Live { .. })
        };
        if !self.states.iter().any(is_live) {
            self.doubted = Some(lowest);
            self.settle_wishes();
        }
    }

    /// It is not connected any more, until it is started anew.
    pub(super) fn stop(&mut self) {
        self.source = None;
        for (_, state) in &mut self.states {
            *state = State::Idle;
        }
    }

    /// It has broken inside.
    pub(super) fn fail(&mut self, now: Instant) {
        self.stop();
        for (_, state) in &mut self.states {
            *state = State::Refused {
                why: Reason::Fault,
                next: now,
            };
        }
    }

    /// What others read of it. An empty value is none.
    pub(super) fn attributes(&self, now: Instant) -> BTreeMap<String, String> {
        let (word, why, next) = match self.state() {
            State::Idle => ("idle", None, None),
            State::Connecting => ("connecting", None, None),
            State::Live { .. } => ("live", None, None),
            State::Reconnecting { why, next } => ("reconnecting", Some(why), Some(next)),
            State::Refused { why, .. } => ("refused", Some(why), None),
        };
        let retry = next.map(|next| {
            let wait = next.saturating_duration_since(now);
            (unix_seconds() + wait.as_secs()).to_string()
        });
        let why = why.map(|why| why.to_string());
        BTreeMap::from([
            (STATE.to_owned(), word.to_owned()),
            (WHY.to_owned(), why.unwrap_or_default()),
            (RETRY.to_owned(), retry.unwrap_or_default()),
        ])
    }

    /// Whether nothing comes although it should.
    pub(super) fn is_lost(&self) -> bool {
        match self.state() {
            State::Reconnecting { .. } | State::Refused { .. } => true,
            State::Idle | State::Connecting | State::Live { .. } => false,
        }
    }

    /// The layers that make one track, the lowest first: they have one codec, and H.264 is what
    /// every browser plays.
    pub(super) fn picture(&self) -> Option<(Codec, Vec<(Spatial, VideoFormat)>)> {
        let mut codecs = self.formats.values().map(|format| format.video.codec);
        let lowest = codecs.next()?;
        let codec = if codecs.any(|codec| codec == Codec::H264) {
            Codec::H264
        } else {
            lowest
        };
        let layers = self.formats.iter();
        let layers = layers.map(|(layer, format)| (*layer, format.video));
        Some((codec, layers.filter(|(_, it)| it.codec == codec).collect()))
    }

    /// The sound, and the layers that have it.
    pub(super) fn sound(&self) -> Option<(AudioFormat, Vec<Spatial>)> {
        let each = || {
            let formats = self.formats.iter();
            formats.filter_map(|(layer, format)| Some((*layer, format.audio.as_ref()?)))
        };
        let (_, first) = each().next()?;
        let same = |it: &AudioFormat| it.codec == first.codec && it.channels == first.channels;
        let layers = each().filter(|(_, it)| same(it)).map(|(layer, _)| layer);
        Some((first.clone(), layers.collect()))
    }

    /// Whether layers of which nothing is known may soon be known.
    pub(super) fn awaits_layers(&self) -> bool {
        let unknown = |(layer, state): &(Spatial, State)| {
            let trying = match state {
                State::Idle | State::Connecting => true,
                State::Live { .. } | State::Reconnecting { .. } | State::Refused { .. } => false,
            };
            trying && !self.formats.contains_key(layer)
        };
        self.states.iter().any(unknown)
    }

    /// Has each layer connected if it is wanted, or if nothing is known of it as yet; and its sound
    /// made if somebody hears it.
    pub(super) fn settle_wishes(&self) {
        let heard = self.audio.as_ref().is_some_and(|audio| audio.wanted);
        let flag = &self.spec.streams.main.options.heard;
        flag.store(heard, Ordering::Relaxed);
        let Some(source) = &self.source else {
            return;
        };
        for layer in source.camera.layers() {
            source.camera.want(layer, self.wants(layer));
        }
    }

    fn wants(&self, layer: Spatial) -> bool {
        if matches!(self.presence, Presence::Out(_)) {
            return false;
        }
        if !self.formats.contains_key(&layer) || self.doubted == Some(layer) {
            return true;
        }
        let seen = self.video.as_ref().is_some_and(|video| {
            let index = video.layers.iter().position(|it| *it == layer);
            let highest = video.highest.map(Spatial::index);
            // A single layer is sent or not, whatever it is called.
            index.is_some_and(|index| highest.is_some_and(|highest| index <= highest))
        });
        let heard = self
            .audio
            .as_ref()
            .is_some_and(|audio| audio.wanted && audio.layers.first() == Some(&layer));
        seen || heard
    }

    /// Where its media go.
    pub(super) fn outlet(&self, intake: Intake) -> Outlet {
        let video = self.video.as_ref().and_then(|video| {
            Some(Sink {
                producer: video.producer?,
                codec: video.codec,
                layers: video.layers.clone(),
            })
        });
        let audio = self.audio.as_ref().and_then(|audio| {
            Some(Sink {
                producer: audio.producer?,
                codec: audio.codec,
                layers: audio.layers.clone(),
            })
        });
        Outlet {
            intake: Some(intake),
            video,
            audio,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use umbrella_media::codec::Size;
    use umbrella_media::nal::{Reordering, SequenceParameters};

    use super::*;
    use crate::camera::{Address, Mode, Options, Setup, Streams};
    use crate::trunk::Trust;

    const LOW: Spatial = Spatial::LOW;
    const MEDIUM: Spatial = Spatial::MEDIUM;

    fn member() -> Member {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["nobody".to_owned()]).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        let own = params.self_signed(&key).unwrap();
        roots.add(own.der().clone()).unwrap();
        let address = Address::parse("rtsp://admin:hunter2@camera/1").unwrap();
        let main = Setup {
            options: Options::new(address.clone(), Trust::new(roots).unwrap()),
            mode: Mode::OnDemand,
        };
        let spec = CameraSpec {
            id: "CA_1".to_owned(),
            name: "Gate".to_owned(),
            room: "yard".to_owned(),
            streams: Streams {
                main,
                sub: Some(address),
            },
        };
        let mut member = Member::new(spec);
        member.states = vec![(LOW, State::Idle), (MEDIUM, State::Idle)];
        member.presence = Presence::In {
            session: SessionId::next(),
            participant: ParticipantId::new("PA_1"),
        };
        member
    }

    fn live(codec: Codec) -> State {
        let size = Size {
            width: 640,
            height: 360,
        };
        State::Live {
            video: VideoFormat {
                codec,
                size,
                profile: "Main",
                parameters: SequenceParameters {
                    size,
                    profile: 77,
                    constraints: 0,
                    level: 31,
                    frame_rate: None,
                    reordering: Reordering::Never,
                },
            },
            audio: Some(AudioFormat {
                codec: Codec::Opus,
                channels: 1,
                source: String::new(),
            }),
            notes: Vec::new(),
        }
    }

    fn wanted(member: &Member) -> [bool; 2] {
        [LOW, MEDIUM].map(|layer| member.wants(layer))
    }

    fn video(layers: &[Spatial], highest: Option<Spatial>) -> Option<Video> {
        Some(Video {
            track: TrackId::new("TR_1"),
            codec: Codec::H264,
            layers: layers.to_vec(),
            size: (640, 360),
            producer: None,
            highest,
        })
    }

    #[test]
    fn camera_is_connected_for_nobody_or_its_main_stream_for_a_thumbnail() {
        let mut member = member();
        assert_eq!(wanted(&member), [true; 2], "nothing is known of it");
        member.take(vec![(LOW, live(Codec::H264)), (MEDIUM, live(Codec::H264))]);
        let both = [LOW, MEDIUM];
        for (layers, highest, expected) in [
            (&both[..], None, [false, false]),
            (&both[..], Some(LOW), [true, false]),
            (&both[..], Some(MEDIUM), [true, true]),
            (&both[..], Some(Spatial::HIGH), [true, true]),
            // A single one is wanted or not.
            (&both[1..], Some(Spatial::HIGH), [false, true]),
            (&both[1..], Some(LOW), [false, true]),
        ] {
            member.video = video(layers, highest);
            assert_eq!(wanted(&member), expected, "{layers:?} {highest:?}");
        }
        member.video = video(&both, None);
        member.audio = Some(Audio {
            track: TrackId::new("TR_2"),
            codec: Codec::Opus,
            stereo: false,
            layers: both.to_vec(),
            producer: None,
            wanted: true,
        });
        assert_eq!(wanted(&member), [true, false], "who only listens");
        member.presence = Presence::Out(Return::Changed);
        assert_eq!(wanted(&member), [false, false], "it does not take part");
    }

    #[test]
    fn codec_that_nobody_can_decode_is_never_looked_at_again() {
        let mut member = member();
        member.take(vec![(LOW, live(Codec::H265)), (MEDIUM, State::Idle)]);
        member.video = video(&[LOW], None);
        member.doubt();
        assert_eq!(member.doubted, None, "it is connected anyway");
        member.take(vec![(LOW, State::Idle), (MEDIUM, State::Idle)]);
        member.doubt();
        assert!(member.wants(LOW));
        member.take(vec![(LOW, State::Connecting), (MEDIUM, State::Idle)]);
        assert!(member.wants(LOW));
        member.take(vec![(LOW, live(Codec::H265)), (MEDIUM, State::Idle)]);
        assert!(!member.wants(LOW), "it is connected for ever");
    }

    #[test]
    fn substream_with_another_codec_spoils_the_picture() {
        let mut member = member();
        member.take(vec![(LOW, live(Codec::H264)), (MEDIUM, live(Codec::H265))]);
        let (codec, layers) = member.picture().unwrap();
        let layers: Vec<Spatial> = layers.into_iter().map(|(layer, _)| layer).collect();
        assert_eq!((codec, layers), (Codec::H264, vec![LOW]));
    }

    #[test]
    fn camera_is_published_without_a_layer_that_is_about_to_come() {
        let mut member = member();
        member.take(vec![(LOW, live(Codec::H264)), (MEDIUM, State::Connecting)]);
        assert!(member.awaits_layers());
        let refused = State::Refused {
            why: Reason::NotFound,
            next: Instant::now(),
        };
        member.take(vec![(LOW, live(Codec::H264)), (MEDIUM, refused)]);
        assert!(!member.awaits_layers());
    }

    #[test]
    fn reason_is_not_told_or_stays_when_it_is_gone() {
        let now = Instant::now();
        let mut member = member();
        let next = now + Duration::from_secs(20);
        let why = Reason::Closed;
        let broken = State::Reconnecting { why, next };
        member.take(vec![(LOW, broken.clone()), (MEDIUM, State::Idle)]);
        let told = member.attributes(now);
        assert_eq!(told[STATE], "reconnecting");
        assert!(told[WHY].contains("closed") && member.is_lost());
        let retry: u64 = told[RETRY].parse().unwrap();
        assert!((18..=21).contains(&(retry - unix_seconds())), "{retry}");
        // One layer is enough.
        member.take(vec![(LOW, broken), (MEDIUM, live(Codec::H264))]);
        let told = member.attributes(now);
        assert_eq!(
            (&*told[STATE], &*told[WHY], &*told[RETRY]),
            ("live", "", "")
        );
        assert!(!member.is_lost());
    }

    #[test]
    fn camera_that_has_broken_inside_seems_to_be_idle() {
        let mut member = member();
        member.fail(Instant::now());
        let told = member.attributes(Instant::now());
        assert_eq!(told[STATE], "refused");
        assert!(told[WHY].contains("internal fault"));
    }
}
