//! Tells the owner of the rooms how a camera gets on.

use futures_util::future::select_all;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use umbrella_media::Spatial;

use super::CameraMessage;
use crate::camera::State;
use crate::control::handle::Message;

/// A task that ends with its owner.
#[derive(Debug)]
pub(super) struct Task(pub(super) JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is watched of a camera.
pub(super) struct Watcher {
    pub(super) camera: String,
    /// Which source of it.
    pub(super) run: u64,
    pub(super) states: Vec<(Spatial, watch::Receiver<State>)>,
    pub(super) feeder: JoinHandle<()>,
    /// Weak, so that the owner of the rooms does not wait for itself.
    pub(super) inbox: mpsc::WeakSender<Message>,
}

/// What is told of a camera.
#[derive(Debug)]
pub(in crate::control) enum Said {
    /// How its layers are.
    States(Vec<(Spatial, State)>),
    /// Something has broken inside of it.
    Broken,
}

impl Watcher {
    /// Until the camera ends, or breaks.
    pub(super) async fn run(mut self) {
        loop {
            let states = self.states.iter_mut();
            let states = states.map(|(layer, state)| (*layer, state.borrow_and_update().clone()));
            let states = states.collect();
            self.say(Said::States(states)).await;
            let changes = self.states.iter_mut();
            let changes = changes.map(|(_, state)| Box::pin(state.changed()));
            let broken = tokio::select! {
                (changed, ..) = select_all(changes) => changed.is_err(),
                _ = &mut self.feeder => true,
            };
            if broken {
                self.say(Said::Broken).await;
                return;
            }
        }
    }

    async fn say(&self, said: Said) {
        let Some(inbox) = self.inbox.upgrade() else {
            return;
        };
        let message = CameraMessage::Said {
            camera: self.camera.clone(),
            run: self.run,
            said,
        };
        // Gone only when the server ends.
        let _ = inbox.send(Message::Camera(message)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of the camera.
    async fn said(inbox: &mut mpsc::Receiver<Message>) -> Option<Said> {
        let message = inbox.recv().await?;
        let Message::Camera(CameraMessage::Said { camera, run, said }) = message else {
            panic!("{message:?}");
        };
        assert_eq!((&*camera, run), ("CA_1", 7));
        Some(said)
    }

    fn watch_with(
        feeder: JoinHandle<()>,
    ) -> (
        watch::Sender<State>,
        mpsc::Sender<Message>,
        mpsc::Receiver<Message>,
        Task,
    ) {
        let (states, state) = watch::channel(State::Idle);
        let (sender, inbox) = mpsc::channel(8);
        let watcher = Watcher {
            camera: "CA_1".to_owned(),
            run: 7,
            states: vec![(Spatial::LOW, state)],
            feeder,
            inbox: sender.downgrade(),
        };
        let task = Task(tokio::spawn(watcher.run()));
        (states, sender, inbox, task)
    }

    #[tokio::test]
    async fn feeder_that_panics_leaves_a_camera_that_seems_to_be_live() {
        let feeder = tokio::spawn(async { panic!("a fault of ours") });
        let (_states, _sender, mut inbox, _task) = watch_with(feeder);
        assert!(matches!(said(&mut inbox).await, Some(Said::States(_))));
        assert!(matches!(said(&mut inbox).await, Some(Said::Broken)));
    }

    #[tokio::test]
    async fn keeper_that_panics_leaves_a_camera_that_seems_to_be_live() {
        let feeder = tokio::spawn(std::future::pending());
        let (states, _sender, mut inbox, _task) = watch_with(feeder);
        said(&mut inbox).await;
        states.send_replace(State::Connecting);
        match said(&mut inbox).await {
            Some(Said::States(all)) => assert_eq!(all, [(Spatial::LOW, State::Connecting)]),
            other => panic!("{other:?}"),
        }
        drop(states);
        assert!(matches!(said(&mut inbox).await, Some(Said::Broken)));
    }
}
