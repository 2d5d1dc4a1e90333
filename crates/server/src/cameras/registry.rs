//! All cameras that are set.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::port::CameraPort;
use super::settings::{Entry, Settings};
use super::trial::Trials;
use crate::camera::{CameraSpec, MAX_CAMERAS};
use crate::mdns::Lan;
use crate::store::{self, Store, StoreError};
use crate::trunk::Trust;

/// All cameras that are set. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cameras(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) port: Arc<dyn CameraPort>,
    pub(super) trust: Trust,
    pub(super) lan: Lan,
    pub(super) trials: Trials,
    /// By id. Held for the whole of a change, so that database, rooms and this agree.
    pub(super) entries: Mutex<BTreeMap<String, Entry>>,
}

/// Why these cameras cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration and the database together have more than may be.
    #[error(
        "there are {configured} cameras in the configuration and {kept} that were set on the page or \
         by commands, and together there may be at most {MAX_CAMERAS}: take some out of the \
         configuration ([[camera]])"
    )]
    TooMany {
        /// In the configuration.
        configured: usize,
        /// In the database, those not counted that the configuration has as well.
        kept: usize,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Cameras {
    /// Reads what is set, and hands each camera to the owner of the rooms.
    ///
    /// # Errors
    ///
    /// If there are too many, or the database fails.
    pub async fn start(
        configured: &[Settings],
        store: Store,
        trust: Trust,
        lan: Lan,
        port: Arc<dyn CameraPort>,
    ) -> Result<Cameras, StartError> {
        let entries = together(configured, store::cameras::list(&store).await?)?;
        let inner = Inner {
            store,
            port,
            trust,
            lan,
            trials: Trials::new(),
            entries: Mutex::new(BTreeMap::new()),
        };
        for entry in entries.values() {
            inner.hand_over(entry).await;
        }
        *inner.entries.lock().await = entries;
        Ok(Cameras(Arc::new(inner)))
    }
}

impl Cameras {
    /// Takes the cameras of a new configuration. Those that have not changed are left alone.
    ///
    /// # Errors
    ///
    /// If there are too many, or the database fails; nothing has changed then.
    pub async fn configure(&self, configured: &[Settings]) -> Result<(), StartError> {
        let inner = &self.0;
        let mut entries = inner.entries.lock().await;
        let wanted = together(configured, store::cameras::list(&inner.store).await?)?;
        for id in entries.keys().filter(|id| !wanted.contains_key(*id)) {
            inner.port.remove_camera(id).await;
        }
        for (id, entry) in &wanted {
            if entries.get(id) != Some(entry) {
                inner.hand_over(entry).await;
            }
        }
        *entries = wanted;
        Ok(())
    }
}

/// All that are set, by id. What is in both is as it is configured.
fn together(
    configured: &[Settings],
    kept: Vec<Entry>,
) -> Result<BTreeMap<String, Entry>, StartError> {
    let mut entries = BTreeMap::new();
    for entry in configured.iter().map(from_configuration).chain(kept) {
        if is_taken(&entries, &entry.settings, None) {
            let Settings { name, room, .. } = &entry.settings;
            tracing::warn!(
                name,
                room,
                "a camera is set twice; the configured one counts"
            );
            continue;
        }
        entries.insert(entry.id.clone(), entry);
    }
    if entries.len() > MAX_CAMERAS {
        let configured = entries.values().filter(|it| it.configured).count();
        let kept = entries.len() - configured;
        return Err(StartError::TooMany { configured, kept });
    }
    Ok(entries)
}

impl Inner {
    /// Tells the owner of the rooms of a camera, or of what has changed about it.
    pub(super) async fn hand_over(&self, entry: &Entry) {
        let settings = &entry.settings;
        let spec = CameraSpec {
            id: entry.id.clone(),
            name: settings.name.clone(),
            room: settings.room.clone(),
            streams: settings.streams(self.trust.clone(), self.lan.clone()),
        };
        self.port.set_camera(spec).await;
    }
}

/// Whether another camera has this name in this room: nobody could tell them apart.
pub(super) fn is_taken(
    entries: &BTreeMap<String, Entry>,
    settings: &Settings,
    own: Option<&str>,
) -> bool {
    let mut others = entries.values().filter(|it| Some(it.id.as_str()) != own);
    others.any(|it| it.settings.name == settings.name && it.settings.room == settings.room)
}

fn from_configuration(settings: &Settings) -> Entry {
    Entry {
        id: configured_id(settings),
        settings: settings.clone(),
        created_at: 0,
        configured: true,
    }
}

/// The same at each start, since nobody remembers it.
fn configured_id(settings: &Settings) -> String {
    let text = format!("{}\0{}", settings.room, settings.name);
    let mut id = crate::auth::derive("camera", &text);
    id.truncate(13);
    format!("CA_{id}")
}
