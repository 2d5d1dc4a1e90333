//! The way to the owner of the rooms, as far as cameras go.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use crate::camera::{CameraSpec, CameraStatus, State};

/// What the owner of the rooms does about cameras.
pub trait CameraPort: Debug + Send + Sync {
    /// Has a camera in its room from now on, or goes on with one as it is set now.
    fn set_camera(&self, spec: CameraSpec) -> BoxFuture<'_, ()>;
    /// Has it no more.
    fn remove_camera<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()>;
    /// How all of them stand.
    fn cameras(&self) -> BoxFuture<'_, Vec<CameraStatus>>;
}

/// Cameras that nobody watches, and that are in no room.
#[derive(Debug, Default)]
pub struct Unconnected(Mutex<BTreeMap<String, CameraSpec>>);

impl Unconnected {
    /// What has been set.
    pub fn specs(&self) -> Vec<CameraSpec> {
        let specs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        specs.values().cloned().collect()
    }
}

impl CameraPort for Unconnected {
    fn set_camera(&self, spec: CameraSpec) -> BoxFuture<'_, ()> {
        let mut specs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        specs.insert(spec.id.clone(), spec);
        ready(()).boxed()
    }

    fn remove_camera<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()> {
        let mut specs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        specs.remove(id);
        ready(()).boxed()
    }

    fn cameras(&self) -> BoxFuture<'_, Vec<CameraStatus>> {
        let specs = self.specs().into_iter();
        let idle = specs.map(|spec| CameraStatus {
            id: spec.id,
            state: State::Idle,
            layers: Vec::new(),
            video: None,
            audio: None,
            notes: Vec::new(),
            watched: false,
            cached_bytes: 0,
            bitrate: 0,
        });
        ready(idle.collect()).boxed()
    }
}
