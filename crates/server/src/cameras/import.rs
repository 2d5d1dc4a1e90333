//! Cameras of another program's configuration.

use super::operator::CameraError;
use super::registry::Cameras;
use crate::http::api::{ImportCameras, ImportedCameras};

impl Cameras {
    /// Sets the cameras of a `go2rtc.yaml`.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub async fn import(&self, _what: &ImportCameras) -> Result<ImportedCameras, CameraError> {
        Err(CameraError::NotFound)
    }
}
