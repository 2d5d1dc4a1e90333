//! Reads the configuration again while the server runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tokio::sync::{Mutex, watch};

use super::log::LogFilter;
use super::serve::bounds;
use crate::config::{Environment, LimitsConfig, Reloaded, find_file};
use crate::http::App;
use crate::systemd;

/// How often the file is looked at. One that has changed is read when it has not changed again until
/// the next look: an editor may write it in pieces.
const FILE_INTERVAL: Duration = Duration::from_secs(3);

/// Where the configuration comes from.
#[derive(Debug)]
pub(super) struct Origin {
    /// The file that was asked for.
    pub(super) file: Option<PathBuf>,
    pub(super) env: Environment,
    pub(super) log: LogFilter,
}

/// Reads the configuration again. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Reloader(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Origin,
    app: App,
    limits: watch::Sender<LimitsConfig>,
    /// Held during a reload; what the file was like when it was read.
    seen: Mutex<Option<Stamp>>,
}

/// What tells that a file has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    modified: Option<SystemTime>,
    size: u64,
}

impl Origin {
    /// `None` if there is no file.
    fn stamp(&self) -> Option<Stamp> {
        let path = find_file(self.file.as_deref(), &self.env)?;
        let metadata = std::fs::metadata(&path).ok()?;
        Some(Stamp {
            path,
            modified: metadata.modified().ok(),
            size: metadata.len(),
        })
    }
}

impl Reloader {
    pub(super) fn new(origin: Origin, app: App, limits: watch::Sender<LimitsConfig>) -> Reloader {
        let seen = Mutex::new(origin.stamp());
        Reloader(Arc::new(Inner {
            origin,
            app,
            limits,
            seen,
        }))
    }

    /// Reads it again and says what has changed.
    ///
    /// # Errors
    ///
    /// What is wrong with it; nothing has changed then.
    pub(super) async fn reload(&self) -> anyhow::Result<String> {
        let mut seen = self.0.seen.lock().await;
        *seen = self.0.origin.stamp();
        systemd::reloading();
        let result = self.0.apply().await;
        note(&result);
        systemd::ready();
        drop(seen);
        result.map(|it| describe(&it.changed, &it.restart))
    }

    /// Whenever the file has changed.
    pub(super) async fn at_changes(self) {
        let mut last = self.0.origin.stamp();
        loop {
            tokio::time::sleep(FILE_INTERVAL).await;
            let now = self.0.origin.stamp();
            let is_settled = now == last;
            last.clone_from(&now);
            // One that is gone is being replaced, or about to be missed: both are for the operator.
            if is_settled && now.is_some() && now != *self.0.seen.lock().await {
                let _ = self.reload().await;
            }
        }
    }
}

impl Inner {
    async fn apply(&self) -> anyhow::Result<Reloaded> {
        let Origin { file, env, log } = &self.origin;
        let app = &self.app;
        let reloaded = app.config.now().reload(file.as_deref(), env)?;
        let config = &reloaded.config;
        let failed = "the database failed; some of the new configuration is not used";
        // Too many of them are refused, before anything has changed.
        app.cameras.configure(&config.cameras).await?;
        // Whoever is let in by a new key finds the new bounds.
        app.control.set_bounds(bounds(config)).await;
        self.limits.send_replace(config.limits.clone());
        log.set(&config.log)?;
        app.keys.configure(&config.keys).await.context(failed)?;
        app.trunks.configure(&config.trunk).await.context(failed)?;
        app.config.replace(config.clone());
        Ok(reloaded)
    }
}

/// For the log.
fn note(result: &anyhow::Result<Reloaded>) {
    let reloaded = match result {
        Ok(reloaded) => reloaded,
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(error, "the new configuration is not used");
            return;
        }
    };
    let (changed, restart) = (&reloaded.changed, &reloaded.restart);
    if !changed.is_empty() {
        tracing::info!(keys = changed.join(" "), "the configuration has changed");
    }
    if !restart.is_empty() {
        let keys = restart.join(" ");
        tracing::warn!(keys, "these changes of the configuration need a restart");
    }
    if changed.is_empty() && restart.is_empty() {
        tracing::info!("nothing has changed in the configuration");
    }
}

fn describe(changed: &[String], restart: &[String]) -> String {
    let mut lines = Vec::new();
    if !changed.is_empty() {
        lines.push(format!("In use from now on: {}", changed.join(", ")));
    }
    if !restart.is_empty() {
        lines.push(format!("After a restart: {}", restart.join(", ")));
    }
    if lines.is_empty() {
        lines.push("Nothing has changed.".to_owned());
    }
    lines.join("\n")
}
