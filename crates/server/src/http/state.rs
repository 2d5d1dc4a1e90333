//! What the handlers of HTTP share.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use rustls::pki_types::CertificateDer;
use tokio::sync::watch;

use super::assets::Page;
use crate::auth::{Accounts, Invites, Keys};
use crate::cameras::Cameras;
use crate::config::Live;
use crate::control;
use crate::net::PageAddresses;
use crate::store::Store;
use crate::tls::{Desk, InUse};
use crate::trunk::Trunks;

/// Whether new clients are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not everything is up.
    Starting,
    /// Everything is up.
    Running,
    /// Going down.
    Stopping,
}

/// What the handlers share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    /// The configuration, which may change.
    pub config: Live,
    /// The database.
    pub store: Store,
    /// The admin.
    pub accounts: Accounts,
    /// Invite links.
    pub invites: Invites,
    /// API keys.
    pub keys: Keys,
    /// The rooms.
    pub control: control::Handle,
    /// The links to other servers.
    pub trunks: Trunks,
    /// The cameras.
    pub cameras: Cameras,
    /// The page.
    pub page: Page,
    /// The own authority's certificate, if there is one.
    pub authority: Option<CertificateDer<'static>>,
    /// How things are with the certificate by ACME, if one is wanted.
    pub certificate: Option<Desk>,
    /// The certificates that are shown, unless a proxy does that.
    pub certificates: Option<InUse>,
    /// Where the page can be opened.
    pub addresses: Arc<PageAddresses>,
    /// Whether new clients are let in.
    pub phase: watch::Receiver<Phase>,
    /// When the server started.
    pub started: Instant,
    /// The same as the time of day.
    pub started_at: SystemTime,
}

/// Waits until the server goes down.
pub(super) async fn stopping(phase: &mut watch::Receiver<Phase>) {
    // An error means that the sender is gone, and the server with it.
    drop(phase.wait_for(|phase| *phase == Phase::Stopping).await);
}
