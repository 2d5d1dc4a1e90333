//! What the operator sees and does, on the page and by subcommands.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::sync::MutexGuard;

use super::registry::{Cameras, is_taken};
use super::settings::{Entry, Settings, address, pins, transport};
use super::trial::{fingerprint, sound, video};
use crate::auth::TooMany;
use crate::camera::{Address, CameraStatus, MAX_CAMERAS, Options, Reason, State, Transport};
use crate::clock::unix_seconds;
use crate::control::random_name;
use crate::http::api::{
    CameraEntry, CameraSettings, CameraSource, CameraState, CameraTested, CameraTransport,
    TestCamera,
};
use crate::store::{self, StoreError};
use crate::trunk::Pin;

/// Why something about a camera cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// What was entered cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// There is no such camera.
    #[error("there is no such camera")]
    NotFound,
    /// Several are called so.
    #[error("several cameras are called so; say which one by its id: {0}")]
    Ambiguous(String),
    /// It comes from the configuration.
    #[error("this camera comes from the configuration and can only be changed there")]
    Configured,
    /// It is set already.
    #[error("there is a camera of this name in this room already")]
    Exists,
    /// Too many.
    #[error("there are {MAX_CAMERAS} cameras, which is as many as may be; remove one")]
    TooManyCameras,
    /// Nothing is to be confirmed, or something else.
    #[error("this camera shows another certificate now; look again")]
    NothingToConfirm,
    /// Others are being looked at.
    #[error("two cameras are being tested; try again when one is done")]
    Busy,
    /// Too many were looked at.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Cameras {
    /// All cameras and how they stand, in the order of rooms and names.
    pub async fn list(&self) -> Vec<CameraEntry> {
        let statuses = self.statuses().await;
        let entries = self.0.entries.lock().await;
        let each = entries.values();
        let mut all: Vec<_> = each
            .map(|entry| describe(entry, statuses.get(&entry.id)))
            .collect();
        drop(entries);
        all.sort_by(|a, b| (&a.room, &a.name).cmp(&(&b.room, &b.name)));
        all
    }

    /// Sets a camera, also after a restart.
    ///
    /// # Errors
    ///
    /// If what was entered cannot be used, or is there already, or the database fails.
    pub async fn add(&self, new: &CameraSettings) -> Result<CameraEntry, CameraError> {
        let settings = Settings::read(new, None).map_err(CameraError::Invalid)?;
        self.keep(settings).await
    }

    /// The same of settings that make sense.
    pub(super) async fn keep(&self, settings: Settings) -> Result<CameraEntry, CameraError> {
        let mut entries = self.0.entries.lock().await;
        if is_taken(&entries, &settings, None) {
            return Err(CameraError::Exists);
        }
        if entries.len() >= MAX_CAMERAS {
            return Err(CameraError::TooManyCameras);
        }
        let entry = Entry {
            id: random_name("CA_"),
            settings,
            created_at: unix_seconds(),
            configured: false,
        };
        store::cameras::keep(&self.0.store, entry.clone()).await?;
        self.0.hand_over(&entry).await;
        let Settings { name, room, .. } = &entry.settings;
        tracing::info!(camera = entry.id, name, room, "a camera was set");
        let described = describe(&entry, None);
        entries.insert(entry.id.clone(), entry);
        Ok(described)
    }

    /// Changes a camera, named by its id.
    ///
    /// # Errors
    ///
    /// If there is none, or it comes from the configuration, or what was entered cannot be used, or
    /// the database fails.
    pub async fn change(&self, id: &str, new: &CameraSettings) -> Result<CameraEntry, CameraError> {
        let mut entries = self.0.entries.lock().await;
        let mut entry = own(&entries, id)?.clone();
        entry.settings =
            Settings::read(new, Some(&entry.settings)).map_err(CameraError::Invalid)?;
        if is_taken(&entries, &entry.settings, Some(id)) {
            return Err(CameraError::Exists);
        }
        self.replace(&mut entries, entry.clone()).await?;
        tracing::info!(camera = id, "a camera was changed");
        drop(entries);
        let statuses = self.statuses().await;
        Ok(describe(&entry, statuses.get(id)))
    }

    async fn replace(
        &self,
        entries: &mut MutexGuard<'_, BTreeMap<String, Entry>>,
        entry: Entry,
    ) -> Result<(), CameraError> {
        store::cameras::keep(&self.0.store, entry.clone()).await?;
        self.0.hand_over(&entry).await;
        entries.insert(entry.id.clone(), entry);
        Ok(())
    }

    /// Takes a camera away, named by its id or its name.
    ///
    /// # Errors
    ///
    /// If there is none, or it comes from the configuration, or the database fails.
    pub async fn remove(&self, which: &str) -> Result<(), CameraError> {
        let mut entries = self.0.entries.lock().await;
        let id = find(&entries, which)?;
        own(&entries, &id)?;
        store::cameras::forget(&self.0.store, id.clone()).await?;
        self.0.port.remove_camera(&id).await;
        entries.remove(&id);
        tracing::info!(camera = id, "a camera was removed");
        Ok(())
    }

    /// Connects a camera now rather than later.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub async fn retry(&self, which: &str) -> Result<(), CameraError> {
        let entries = self.0.entries.lock().await;
        let id = find(&entries, which)?;
        self.0.port.retry_camera(&id).await;
        Ok(())
    }

    /// Says that a certificate is the camera's.
    ///
    /// # Errors
    ///
    /// If another one is shown now, or there is no such camera, or it comes from the configuration,
    /// or the database fails.
    pub async fn confirm(&self, id: &str, seen: &str) -> Result<(), CameraError> {
        let pin = Pin::parse(seen).ok_or(CameraError::NothingToConfirm)?;
        let shown = self.statuses().await.remove(id);
        let shown = shown.and_then(|status| why(&status.state).and_then(fingerprint));
        if shown != Some(pin.to_string()) {
            return Err(CameraError::NothingToConfirm);
        }
        let mut entries = self.0.entries.lock().await;
        let mut entry = own(&entries, id)?.clone();
        let mut known: Vec<_> = entry.settings.pins.iter().map(Pin::to_string).collect();
        known.push(pin.to_string());
        entry.settings.pins = pins(&known).map_err(CameraError::Invalid)?;
        self.replace(&mut entries, entry).await?;
        tracing::info!(camera = id, %pin, "a certificate was confirmed");
        Ok(())
    }

    /// Looks at a camera once, whether it is set or not.
    ///
    /// # Errors
    ///
    /// If what was entered cannot be used, or too many are looked at.
    pub async fn test(&self, what: &TestCamera) -> Result<CameraTested, CameraError> {
        let known = match &what.id {
            Some(which) => {
                let entries = self.0.entries.lock().await;
                let id = find(&entries, which)?;
                entries.get(&id).map(|entry| entry.settings.clone())
            }
            None => None,
        };
        let before = known
            .as_ref()
            .map(|known| before(known, &what.stream.address));
        let address = address(&what.stream, before).map_err(CameraError::Invalid)?;
        let mut options = Options::new(address, self.0.trust.clone());
        options.lan = self.0.lan.clone();
        options.transport = transport(what.transport);
        options.audio = what.audio;
        options.pins = pins(&what.pins).map_err(CameraError::Invalid)?;
        self.0.trials.look(options).await
    }

    /// Looks at a camera as it is set, named by its id or its name.
    ///
    /// # Errors
    ///
    /// If there is none, or too many are looked at.
    pub async fn test_set(&self, which: &str) -> Result<CameraTested, CameraError> {
        let settings = {
            let entries = self.0.entries.lock().await;
            let id = find(&entries, which)?;
            let entry = entries.get(&id).ok_or(CameraError::NotFound)?;
            entry.settings.clone()
        };
        let streams = settings.streams(self.0.trust.clone(), self.0.lan.clone());
        let options = streams.main.options;
        self.0.trials.look(options).await
    }

    async fn statuses(&self) -> BTreeMap<String, CameraStatus> {
        let all = self.0.port.cameras().await.into_iter();
        all.map(|status| (status.id.clone(), status)).collect()
    }
}

/// Which stream of a camera an address is about.
fn before<'a>(known: &'a Settings, text: &str) -> &'a Address {
    let is_sub = |sub: &&Address| sub.to_string() == text.trim();
    known.sub.as_ref().filter(is_sub).unwrap_or(&known.main)
}

fn find(entries: &BTreeMap<String, Entry>, which: &str) -> Result<String, CameraError> {
    if entries.contains_key(which) {
        return Ok(which.to_owned());
    }
    let named = entries.values().filter(|it| it.settings.name == which);
    let ids: Vec<_> = named.map(|entry| entry.id.clone()).collect();
    match ids.as_slice() {
        [] => Err(CameraError::NotFound),
        [only] => Ok(only.clone()),
        [..] => Err(CameraError::Ambiguous(ids.join(", "))),
    }
}

/// One that can be changed here.
fn own<'a>(entries: &'a BTreeMap<String, Entry>, id: &str) -> Result<&'a Entry, CameraError> {
    let entry = entries.get(id).ok_or(CameraError::NotFound)?;
    match entry.configured {
        true => Err(CameraError::Configured),
        false => Ok(entry),
    }
}

fn why(state: &State) -> Option<&Reason> {
    match state {
        State::Reconnecting { why, .. } | State::Refused { why, .. } => Some(why),
        State::Idle | State::Connecting | State::Live { .. } => None,
    }
}

fn describe(entry: &Entry, status: Option<&CameraStatus>) -> CameraEntry {
    let settings = &entry.settings;
    let left = |next: &Instant| {
        let left = next.saturating_duration_since(Instant::now());
        Some(left.as_millis().div_ceil(1000) as u64)
    };
    let (state, retry_in_s) = match status.map(|status| &status.state) {
        None | Some(State::Idle) => (CameraState::Idle, None),
        Some(State::Connecting) => (CameraState::Connecting, None),
        Some(State::Live { .. }) => (CameraState::Live, None),
        Some(State::Reconnecting { next, .. }) => (CameraState::Reconnecting, left(next)),
        Some(State::Refused { next, .. }) => (CameraState::Refused, left(next)),
    };
    let reason = status.and_then(|status| why(&status.state));
    let notes = status.map(|status| status.notes.iter().map(ToString::to_string).collect());
    CameraEntry {
        id: entry.id.clone(),
        name: settings.name.clone(),
        room: settings.room.clone(),
        main: source(&settings.main),
        sub: settings.sub.as_ref().map(source),
        transport: match settings.transport {
            Transport::Tcp => CameraTransport::Tcp,
            Transport::Udp => CameraTransport::Udp,
        },
        audio: settings.audio,
        always_on: settings.always_on,
        pins: settings.pins.iter().map(Pin::to_string).collect(),
        configured: entry.configured,
        state,
        why: reason.map(ToString::to_string),
        retry_in_s,
        fingerprint: reason.and_then(fingerprint),
        video: status.and_then(|status| status.video.as_ref()).map(video),
        sound: status.and_then(|status| status.audio.as_ref()).map(sound),
        notes: notes.unwrap_or_default(),
        watched: status.is_some_and(|status| status.watched),
        bitrate: status.map_or(0, |status| status.bitrate),
        cached_bytes: status.map_or(0, |status| status.cached_bytes as u64),
    }
}

fn source(address: &Address) -> CameraSource {
    let credentials = address.credentials();
    CameraSource {
        address: address.to_string(),
        user: credentials.map(|it| it.user.clone()),
        has_password: credentials.is_some_and(|it| !it.password.is_empty()),
    }
}
