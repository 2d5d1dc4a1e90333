//! All cameras that are set.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::port::CameraPort;
use super::settings::{Entry, Settings};
use super::trial::Trials;
use crate::camera::CameraSpec;
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

impl Cameras {
    /// Reads what is set, and hands each camera to the owner of the rooms.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn start(
        configured: &[Settings],
        store: Store,
        trust: Trust,
        lan: Lan,
        port: Arc<dyn CameraPort>,
    ) -> Result<Cameras, StoreError> {
        let configured = configured.iter().map(|settings| Entry {
            id: configured_id(settings),
            settings: settings.clone(),
            created_at: 0,
            configured: true,
        });
        // What is in both is as it is configured.
        let kept = store::cameras::list(&store).await?;
        let all: Vec<_> = configured.chain(kept).collect();
        let mut entries = BTreeMap::new();
        for entry in all {
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

/// The same at each start, since nobody remembers it.
fn configured_id(settings: &Settings) -> String {
    let text = format!("{}\0{}", settings.room, settings.name);
    let mut id = crate::auth::derive("camera", &text);
    id.truncate(13);
    format!("CA_{id}")
}
