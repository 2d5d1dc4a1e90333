//! Tells applications what happens in rooms: signed HTTP requests, as LiveKit's webhooks.
//!
//! The owner of the rooms hands news to one task that makes events of them, and that to a courier
//! for each receiver. All queues on the way are bounded and nobody waits for a receiver.

mod backlog;
mod courier;
mod event;
mod post;
mod signature;

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use self::courier::{Courier, LAST_ATTEMPTS};
use self::event::Event;
use self::post::{Poster, system_trust};
use self::signature::Signer;
use crate::auth::Authority;
use crate::config::WebhookConfig;
use crate::control::{News, NewsSender, news};
use crate::mdns::Lan;
use crate::tasks;

/// Events on the way to a courier, which takes them at once.
const ON_THE_WAY: usize = 64;

/// What tells applications.
#[derive(Debug)]
pub struct Webhooks {
    task: JoinHandle<()>,
}

impl Webhooks {
    /// Starts telling whom the configuration names. `None` if that is nobody; otherwise with the
    /// sender, where news are to be put.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If there is no such API key.
    pub fn start(
        config: &WebhookConfig,
        authority: &Arc<Authority>,
        lan: &Lan,
    ) -> anyhow::Result<Option<(NewsSender, Webhooks)>> {
        if config.urls.is_empty() {
            return Ok(None);
        }
        if !authority.knows(&config.api_key) {
            bail!(
                "webhook.api_key: there is no API key `{}`; take one of auth.keys, or one that was \
                 made on the admin page and not revoked",
                config.api_key
            );
        }
        let secure = config.urls.iter().any(|url| url.is_secure());
        let trust = secure.then(system_trust).transpose()?;
        let (sender, inbox) = news();
        let mut couriers = Vec::new();
        let mut running = JoinSet::new();
        for url in &config.urls {
            let signer = Signer::new(Arc::clone(authority), config.api_key.clone());
            let tls = trust.clone().filter(|_| url.is_secure());
            let poster = Poster::new(url.clone(), signer, tls, lan.clone());
            let (courier, events) = mpsc::channel(ON_THE_WAY);
            let courier_of_url = Courier::new(url.to_string(), poster);
            tasks::spawn_in(&mut running, courier_of_url.run(events));
            couriers.push(courier);
        }
        let task = tasks::spawn(distribute(inbox, couriers, running));
        Ok(Some((sender, Webhooks { task })))
    }

    /// Waits for the last events to be delivered, for 2 s at most. Every sender of news must have
    /// been dropped.
    pub async fn finish(self) {
        // The couriers bound it themselves.
        let patience = LAST_ATTEMPTS + Duration::from_millis(500);
        let _ = tokio::time::timeout(patience, self.task).await;
    }
}

async fn distribute(
    mut inbox: mpsc::Receiver<News>,
    couriers: Vec<mpsc::Sender<Arc<Event>>>,
    mut tasks: JoinSet<()>,
) {
    while let Some(news) = inbox.recv().await {
        let event = Arc::new(Event::new(Instant::now().into_std(), &news));
        for courier in &couriers {
            // Couriers wait for nothing else.
            let _ = courier.send(Arc::clone(&event)).await;
        }
    }
    drop(couriers);
    while tasks.join_next().await.is_some() {}
}
