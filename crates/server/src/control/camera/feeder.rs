//! Media on its way from a camera to the worker of its room, past the owner of the rooms.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use umbrella_engine::{ProducerId, Request, SourcePacket};
use umbrella_media::{Codec, Spatial};

use crate::camera::{Event, Picture, Sound};
use crate::worker::Intake;

/// Bytes of pictures that wait for a place, of each layer. More than that is waited for the next
/// key frame.
const HELD: usize = 4 * 1024 * 1024;

/// Where a camera's media go. As long as there is no place for something, it waits or is dropped.
#[derive(Debug, Clone, Default)]
pub(super) struct Outlet {
    /// To the worker.
    pub(super) intake: Option<Intake>,
    /// Of pictures: the layers by their encodings.
    pub(super) video: Option<Sink>,
    /// Of sound: the layers from which it may be taken.
    pub(super) audio: Option<Sink>,
}

/// A producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sink {
    pub(super) producer: ProducerId,
    pub(super) codec: Codec,
    /// From the lowest.
    pub(super) layers: Vec<Spatial>,
}

/// Brings the media of one camera to where they go. Ends when the camera does.
pub(super) struct Feeder {
    events: mpsc::Receiver<(Spatial, Event)>,
    outlets: watch::Receiver<Outlet>,
    outlet: Outlet,
    /// Time 0 of what is captured.
    epoch: Instant,
    layers: BTreeMap<Spatial, Layer>,
    /// From which layer sound is taken.
    sound: Option<Spatial>,
}

/// What is known of a layer that is connected.
#[derive(Debug, Default)]
struct Layer {
    video: Option<Codec>,
    audio: Option<Codec>,
    /// Pictures since the last key frame that nobody takes yet.
    held: VecDeque<Picture>,
    held_bytes: usize,
    /// A picture was lost: what comes before the next key frame is of no use.
    broken: bool,
}

impl Feeder {
    pub(super) fn new(
        events: mpsc::Receiver<(Spatial, Event)>,
        outlets: watch::Receiver<Outlet>,
        epoch: Instant,
    ) -> Feeder {
        Feeder {
            events,
            outlets,
            outlet: Outlet::default(),
            epoch,
            layers: BTreeMap::new(),
            sound: None,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                changed = self.outlets.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.outlet = self.outlets.borrow_and_update().clone();
                    self.release();
                }
                event = self.events.recv() => match event {
                    Some((layer, event)) => self.take(layer, event),
                    None => return,
                },
            }
        }
    }

    fn take(&mut self, layer: Spatial, event: Event) {
        match event {
            Event::Connected { video, audio, .. } => {
                let known = Layer {
                    video: Some(video.codec),
                    audio: audio.map(|audio| audio.codec),
                    ..Layer::default()
                };
                self.layers.insert(layer, known);
                self.restart(layer);
            }
            Event::Changed(video) => {
                if let Some(known) = self.layers.get_mut(&layer) {
                    known.video = Some(video.codec);
                }
                self.restart(layer);
            }
            Event::Video(picture) => self.video(layer, picture),
            Event::Audio(sound) => self.audio(layer, &sound),
            Event::Ended(_) => {
                self.layers.remove(&layer);
                if self.sound == Some(layer) {
                    self.sound = None;
                }
                // What was kept for those who begin to watch is of another time from now on.
                self.restart(layer);
            }
        }
    }

    /// As which encoding the pictures of a layer are taken, if they are.
    fn place(&self, layer: Spatial) -> Option<(ProducerId, Spatial)> {
        let sink = self.outlet.video.as_ref()?;
        let codec = self.layers.get(&layer).and_then(|known| known.video);
        let index = sink.layers.iter().position(|it| *it == layer)?;
        let fits = codec.is_none_or(|codec| codec == sink.codec);
        let encoding = Spatial::new(u8::try_from(index).ok()?)?;
        fits.then_some((sink.producer, encoding))
    }

    fn restart(&self, layer: Spatial) {
        if let Some((producer, encoding)) = self.place(layer) {
            self.send(Request::SourceRestart { producer, encoding });
        }
    }

    fn video(&mut self, layer: Spatial, picture: Picture) {
        let place = self.place(layer);
        let Some(known) = self.layers.get_mut(&layer) else {
            return;
        };
        if picture.key_frame {
            known.clear();
        } else if known.broken {
            return;
        }
        let Some((producer, encoding)) = place else {
            known.hold(picture);
            return;
        };
        // Decoders would take what comes for what follows; and so would those who begin to watch.
        let torn = picture.after_loss && !picture.key_frame;
        let packets = Request::SourcePackets {
            producer,
            packets: self.packets(encoding, &picture),
        };
        if (torn || !self.send(packets))
            && let Some(known) = self.layers.get_mut(&layer)
        {
            known.broken = true;
            self.restart(layer);
        }
    }

    /// Hands on what has waited and has a place now.
    fn release(&mut self) {
        let layers: Vec<Spatial> = self.layers.keys().copied().collect();
        for layer in layers {
            if self.place(layer).is_none() {
                continue;
            }
            let held = self.layers.get_mut(&layer).map(Layer::let_go);
            for picture in held.unwrap_or_default() {
                self.video(layer, picture);
            }
        }
    }

    fn audio(&mut self, layer: Spatial, sound: &Sound) {
        let Some(sink) = self.outlet.audio.clone() else {
            return;
        };
        let producer = sink.producer;
        let fits = |it: &Spatial| {
            let codec = self.layers.get(it).and_then(|known| known.audio);
            codec == Some(sink.codec)
        };
        let now = self.sound.filter(fits);
        let taken = now.or_else(|| sink.layers.iter().copied().find(fits));
        if taken != Some(layer) {
            return;
        }
        if self.sound != taken {
            self.sound = taken;
            let encoding = Spatial::LOW;
            self.send(Request::SourceRestart { producer, encoding });
        }
        let packet = SourcePacket {
            encoding: Spatial::LOW,
            timestamp: sound.timestamp,
            capture: self.epoch + sound.captured,
            marker: sound.begins,
            payload: Arc::from(&sound.payload[..]),
        };
        let packets = vec![packet];
        self.send(Request::SourcePackets { producer, packets });
    }

    fn packets(&self, encoding: Spatial, picture: &Picture) -> Vec<SourcePacket> {
        let last = picture.payloads.len().saturating_sub(1);
        let payloads = picture.payloads.iter().enumerate();
        let packet = |(index, payload): (usize, &bytes::Bytes)| SourcePacket {
            encoding,
            timestamp: picture.timestamp,
            capture: self.epoch + picture.captured,
            marker: index == last,
            payload: Arc::from(&payload[..]),
        };
        payloads.map(packet).collect()
    }

    fn send(&self, request: Request) -> bool {
        let intake = self.outlet.intake.as_ref();
        intake.is_some_and(|intake| intake.send(request))
    }
}

impl Layer {
    fn hold(&mut self, picture: Picture) {
        self.held_bytes += picture
            .payloads
            .iter()
            .map(bytes::Bytes::len)
            .sum::<usize>();
        if self.held_bytes > HELD {
            self.clear();
            self.broken = true;
            return;
        }
        self.held.push_back(picture);
    }

    fn clear(&mut self) {
        self.let_go();
        self.broken = false;
    }

    fn let_go(&mut self) -> VecDeque<Picture> {
        self.held_bytes = 0;
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;
    use std::time::Duration;

    use bytes::Bytes;
    use umbrella_media::codec::Size;
    use umbrella_media::nal::{Reordering, SequenceParameters};

    use super::*;
    use crate::camera::{AudioFormat, Reason, VideoFormat};

    const LOW: Spatial = Spatial::LOW;
    const MEDIUM: Spatial = Spatial::MEDIUM;
    const VIDEO: ProducerId = ProducerId(1);
    const AUDIO: ProducerId = ProducerId(2);

    /// A feeder with a worker that keeps what it is asked.
    struct Rig {
        feeder: Feeder,
        intake: Intake,
        requests: Receiver<Request>,
        _worker: Arc<std::sync::mpsc::SyncSender<Request>>,
    }

    fn rig(room: usize) -> Rig {
        let (intake, worker, requests) = Intake::fake(room);
        let (_, events) = mpsc::channel(1);
        let (_, outlets) = watch::channel(Outlet::default());
        Rig {
            feeder: Feeder::new(events, outlets, Instant::now()),
            intake,
            requests,
            _worker: worker,
        }
    }

    fn sink(producer: ProducerId, codec: Codec, layers: &[Spatial]) -> Sink {
        Sink {
            producer,
            codec,
            layers: layers.to_vec(),
        }
    }

    impl Rig {
        fn place(&mut self, layers: &[Spatial]) {
            self.feeder.outlet = Outlet {
                intake: Some(self.intake.clone()),
                video: Some(sink(VIDEO, Codec::H264, layers)),
                audio: Some(sink(AUDIO, Codec::Opus, layers)),
            };
            self.feeder.release();
        }

        fn connect(&mut self, layer: Spatial, codec: Codec) {
            let connected = Event::Connected {
                video: format(codec),
                audio: Some(AudioFormat {
                    codec: Codec::Opus,
                    channels: 1,
                    source: String::new(),
                }),
                notes: Vec::new(),
            };
            self.feeder.take(layer, connected);
        }

        fn picture(&mut self, layer: Spatial, number: u32, key_frame: bool, after_loss: bool) {
            let picture = Picture {
                payloads: vec![Bytes::from_static(&[1; 100]); 2],
                units: Vec::new(),
                timestamp: number,
                captured: Duration::from_millis(u64::from(number)),
                key_frame,
                after_loss,
            };
            self.feeder.take(layer, Event::Video(picture));
        }

        fn sound(&mut self, layer: Spatial, timestamp: u32) {
            let sound = Sound {
                payload: Bytes::from_static(&[1; 10]),
                timestamp,
                captured: Duration::ZERO,
                begins: false,
            };
            self.feeder.take(layer, Event::Audio(sound));
        }

        /// What the worker was asked since.
        fn asked(&self) -> Vec<String> {
            let said = |request| {
                if let Request::SourcePackets { producer, packets } = &request {
                    let last = packets.last().unwrap();
                    let of = (producer.0, last.encoding.index(), last.timestamp);
                    return format!("{} {of:?}", packets.len());
                }
                let Request::SourceRestart { producer, encoding } = request else {
                    panic!("{request:?}");
                };
                format!("restart {} {}", producer.0, encoding.index())
            };
            self.requests.try_iter().map(said).collect()
        }
    }

    fn format(codec: Codec) -> VideoFormat {
        let size = Size {
            width: 640,
            height: 360,
        };
        VideoFormat {
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
        }
    }

    #[test]
    fn first_picture_is_lost_while_the_camera_is_published() {
        let mut rig = rig(100);
        rig.connect(LOW, Codec::H264);
        for number in 0..3 {
            rig.picture(LOW, number, number == 0, false);
        }
        assert_eq!(rig.asked(), Vec::<String>::new());
        rig.place(&[LOW]);
        let all = ["2 (1, 0, 0)", "2 (1, 0, 1)", "2 (1, 0, 2)"];
        assert_eq!(rig.asked(), all);
        rig.picture(LOW, 3, false, false);
        assert_eq!(rig.asked(), ["2 (1, 0, 3)"]);
    }

    #[test]
    fn pictures_wait_without_end() {
        let mut rig = rig(10);
        rig.connect(LOW, Codec::H264);
        for number in 0..100_000 {
            rig.picture(LOW, number, number == 0, false);
        }
        let held = rig.feeder.layers[&LOW].held_bytes;
        assert!(held <= HELD, "{held}");
        // What is left over would begin in the middle.
        rig.place(&[LOW]);
        rig.picture(LOW, 100_000, false, false);
        assert_eq!(rig.asked(), Vec::<String>::new());
        rig.picture(LOW, 100_001, true, false);
        assert_eq!(rig.asked(), ["2 (1, 0, 100001)"]);
    }

    #[test]
    fn picture_of_an_hour_ago_is_shown_to_whoever_comes() {
        let mut rig = rig(100);
        rig.place(&[LOW]);
        rig.connect(LOW, Codec::H264);
        rig.picture(LOW, 0, true, false);
        rig.feeder.take(LOW, Event::Ended(Reason::Closed));
        assert_eq!(rig.asked(), ["restart 1 0", "2 (1, 0, 0)", "restart 1 0"]);
    }

    #[test]
    fn torn_picture_is_shown_for_seconds() {
        let mut rig = rig(100);
        rig.place(&[LOW]);
        rig.connect(LOW, Codec::H264);
        rig.picture(LOW, 0, true, false);
        rig.picture(LOW, 2, false, true);
        rig.picture(LOW, 3, false, false);
        rig.picture(LOW, 4, true, false);
        let asked = ["restart 1 0", "2 (1, 0, 0)", "restart 1 0", "2 (1, 0, 4)"];
        assert_eq!(rig.asked(), asked);
    }

    #[test]
    fn worker_that_is_behind_gets_pictures_without_their_beginning() {
        let mut rig = rig(2);
        rig.place(&[LOW]);
        rig.connect(LOW, Codec::H264);
        for number in 0..3 {
            rig.picture(LOW, number, number == 0, false);
        }
        assert_eq!(rig.asked(), ["restart 1 0", "2 (1, 0, 0)"]);
        rig.picture(LOW, 3, false, false);
        assert_eq!(rig.asked(), Vec::<String>::new());
        rig.picture(LOW, 4, true, false);
        assert_eq!(rig.asked(), ["2 (1, 0, 4)"]);
    }

    #[test]
    fn sound_comes_twice_or_ends_with_one_of_two_streams() {
        let mut rig = rig(100);
        rig.place(&[LOW, MEDIUM]);
        rig.connect(LOW, Codec::H264);
        rig.connect(MEDIUM, Codec::H264);
        rig.asked();
        rig.sound(MEDIUM, 1);
        rig.sound(LOW, 2);
        rig.sound(MEDIUM, 3);
        assert_eq!(rig.asked(), ["restart 2 0", "1 (2, 0, 2)"]);
        rig.feeder.take(LOW, Event::Ended(Reason::Closed));
        rig.sound(MEDIUM, 4);
        assert_eq!(rig.asked(), ["restart 1 0", "restart 2 0", "1 (2, 0, 4)"]);
        // Back again: it stays where it is.
        rig.connect(LOW, Codec::H264);
        rig.sound(LOW, 5);
        rig.sound(MEDIUM, 6);
        assert_eq!(rig.asked(), ["restart 1 0", "1 (2, 0, 6)"]);
    }

    #[test]
    fn camera_with_another_codec_now_garbles_the_picture() {
        let mut rig = rig(100);
        rig.place(&[LOW]);
        rig.connect(LOW, Codec::H265);
        rig.picture(LOW, 0, true, false);
        assert_eq!(rig.asked(), Vec::<String>::new());
        rig.feeder.outlet.video = Some(sink(ProducerId(3), Codec::H265, &[LOW]));
        rig.feeder.release();
        assert_eq!(rig.asked(), ["2 (3, 0, 0)"]);
    }

    #[test]
    fn main_stream_is_another_encoding_when_the_substream_has_another_codec() {
        let mut rig = rig(100);
        rig.place(&[MEDIUM]);
        rig.connect(MEDIUM, Codec::H264);
        rig.picture(MEDIUM, 7, true, false);
        assert_eq!(rig.asked(), ["restart 1 0", "2 (1, 0, 7)"]);
    }
}
