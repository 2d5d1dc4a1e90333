//! Main stream and substream of a camera: two layers of the same pictures.

use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use umbrella_media::Spatial;

use super::address::Address;
use super::keeper::{Keeper, Pace, Setup, State};
use super::session::Event;
use crate::memory::Memory;
use crate::tasks;

/// Events of a layer that wait.
const WAITING: usize = 64;

/// The streams of a camera.
#[derive(Debug, Clone)]
pub struct Streams {
    /// The better one, or the only one.
    pub main: Setup,
    /// Where the small one is; everything else is as for the main one.
    pub sub: Option<Address>,
}

impl Streams {
    /// From the lowest layer upwards. They share their epoch, or their pictures would not belong
    /// together.
    fn layers(&self) -> Vec<(Spatial, Setup)> {
        let Some(address) = &self.sub else {
            return vec![(Spatial::LOW, self.main.clone())];
        };
        let mut sub = self.main.clone();
        sub.options.address = address.clone();
        vec![(Spatial::LOW, sub), (Spatial::MEDIUM, self.main.clone())]
    }
}

/// A camera with its layers, each connected when it is wanted by itself. The substream is encoding
/// 0 and the main stream 1; without a substream the main stream is 0.
#[derive(Debug)]
pub struct Camera {
    streams: Streams,
    keepers: Vec<(Spatial, Keeper, JoinHandle<()>)>,
    epoch: Instant,
    pace: Pace,
    memory: Memory,
    events: mpsc::Sender<(Spatial, Event)>,
}

impl Camera {
    /// Begins. Events come with the layer that they are of. Each layer has the sound, if there is
    /// any: whoever forwards takes that of the lowest layer that is live.
    pub fn start(
        streams: Streams,
        pace: Pace,
        memory: Memory,
        events: mpsc::Sender<(Spatial, Event)>,
    ) -> Camera {
        let mut camera = Camera {
            epoch: streams.main.options.epoch,
            streams,
            keepers: Vec::new(),
            pace,
            memory,
            events,
        };
        camera.begin();
        camera
    }

    fn begin(&mut self) {
        for (layer, setup) in self.streams.layers() {
            let (sender, mut receiver) = mpsc::channel(WAITING);
            let keeper = Keeper::start(setup, self.pace, self.memory.clone(), sender);
            let events = self.events.clone();
            let passing = tasks::spawn(async move {
                while let Some(event) = receiver.recv().await {
                    if events.send((layer, event)).await.is_err() {
                        return;
                    }
                }
            });
            self.keepers.push((layer, keeper, passing));
        }
    }

    /// Which layers there are, from the lowest.
    pub fn layers(&self) -> impl Iterator<Item = Spatial> {
        self.keepers.iter().map(|(layer, ..)| *layer)
    }

    /// Whether somebody wants a layer.
    pub fn want(&self, layer: Spatial, wanted: bool) {
        let mut keepers = self.keepers.iter();
        if let Some((_, keeper, _)) = keepers.find(|(own, ..)| *own == layer) {
            keeper.want(wanted);
        }
    }

    /// Tries again at once what waits for its next attempt.
    pub fn retry(&self) {
        for (_, keeper, _) in &self.keepers {
            keeper.retry();
        }
    }

    /// How things stand with each layer.
    pub fn states(&self) -> Vec<(Spatial, watch::Receiver<State>)> {
        let each = self.keepers.iter();
        each.map(|(layer, keeper, _)| (*layer, keeper.state()))
            .collect()
    }

    /// Goes on with other streams. What was wanted has to be said again if there are more or fewer
    /// layers than before.
    pub fn reconfigure(&mut self, mut streams: Streams) {
        streams.main.options.epoch = self.epoch;
        self.streams = streams;
        let layers = self.streams.layers();
        if layers.len() != self.keepers.len() {
            // Passing ends with the keeper that it passes from.
            self.keepers.clear();
            self.begin();
            return;
        }
        for ((_, keeper, _), (_, setup)) in self.keepers.iter().zip(layers) {
            keeper.reconfigure(setup);
        }
    }
}
