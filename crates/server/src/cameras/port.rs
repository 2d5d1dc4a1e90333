//! The way to the owner of the rooms, as far as cameras go.

use std::fmt::Debug;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::camera::{CameraSpec, CameraStatus};
use crate::control::Handle;

/// What the owner of the rooms does about cameras.
pub trait CameraPort: Debug + Send + Sync {
    /// Has a camera in its room from now on, or goes on with one as it is set now.
    fn set_camera(&self, spec: CameraSpec) -> BoxFuture<'_, ()>;
    /// Has it no more.
    fn remove_camera<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()>;
    /// Connects it now, if it waits for its next attempt.
    fn retry_camera<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()>;
    /// How all of them stand.
    fn cameras(&self) -> BoxFuture<'_, Vec<CameraStatus>>;
}

impl CameraPort for Handle {
    fn set_camera(&self, spec: CameraSpec) -> BoxFuture<'_, ()> {
        Handle::set_camera(self, spec).boxed()
    }

    fn remove_camera<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()> {
        Handle::remove_camera(self, id).boxed()
    }

    fn retry_camera<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()> {
        Handle::retry_camera(self, id).boxed()
    }

    fn cameras(&self) -> BoxFuture<'_, Vec<CameraStatus>> {
        Handle::cameras(self).boxed()
    }
}
