//! The life of the server, from its configuration to the signal that ends it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::greeting::{media_lines, push};
use super::local::{Local, admin_link};
use crate::auth::{Accounts, Invites, Keys};
use crate::cameras::Cameras;
use crate::config::{Config, LimitsConfig, RoomsConfig};
use crate::control::{self, AdminError};
use crate::http::{self, App, Page, Phase};
use crate::mdns::{self, Announcer, Lan};
use crate::net::{PageAddresses, interface_addresses};
use crate::store::{self, DataDir, Store};
use crate::tls::Tls;
use crate::trunk::{LinkEvent, Pin, Trunks};
use crate::webhook::Webhooks;
use crate::worker;
use umbrella_room::mesh::MeshConfig;

/// How long connections have to end after clients were told; the whole end takes 5 s at most.
const LAST_REQUESTS: Duration = Duration::from_millis(1200);

/// How long work on other threads, such as hashing, is waited for.
const LAST_THREADS: Duration = Duration::from_millis(300);

/// Serves until SIGTERM or SIGINT.
pub(super) fn serve(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(async {
        let server = Server::start(config).await?;
        server.run().await
    });
    runtime.shutdown_timeout(LAST_THREADS);
    result
}

/// A server that is up.
struct Server {
    app: App,
    phase: watch::Sender<Phase>,
    /// How the page is served, for the start message.
    certificate: String,
    http: JoinHandle<()>,
    local: JoinHandle<()>,
    webhooks: Option<Webhooks>,
    announcer: Option<Announcer>,
    data_dir: DataDir,
}

impl Server {
    async fn start(config: Config) -> anyhow::Result<Self> {
        let (started, started_at) = (Instant::now(), SystemTime::now());
        let data_dir = DataDir::claim(&config.data_dir)?;
        let store = Store::open(&data_dir)?;
        let keys = Keys::load(store.clone(), &config.keys).await?;
        let lan = Lan::default();
        let (news, webhooks) = Webhooks::start(&config.webhook, keys.authority(), &lan)?.unzip();
        let listener = http::bind(config.http.listen).await?;
        let port = listener
            .local_addr()
            .context("the listener has no address")?
            .port();
        let addresses = Arc::new(PageAddresses::new(&config, port));
        let tls = start_tls(&config, data_dir.path(), &addresses)?;
        let authority = tls.as_ref().and_then(Tls::authority_certificate);
        let pin = authority.as_deref().map(Pin::of);
        let (trunks, links) = Trunks::new(&config.trunk, store.clone(), pin, lan.clone()).await?;
        let announcer = announce(&config, lan.clone(), &trunks, &addresses, port);
        let control = start_media(&config, news, trunks.mesh())?;
        open_rooms(&store, &control).await?;
        let (kept, owner) = (store.clone(), Arc::new(control.clone()));
        let cameras = Cameras::start(&config.cameras, kept, trunks.trust(), lan, owner).await?;
        let reflectors = udp_addresses(control.media_addresses());
        trunks.start(&config.trunk, reflectors).await?;
        tokio::spawn(pass_on(links, control.clone()));
        let (phase, phases) = watch::channel(Phase::Starting);
        let app = App {
            accounts: Accounts::new(store.clone()),
            invites: Invites::new(store.clone()),
            page: Page::new(&config.http.prefix),
            authority,
            addresses: Arc::clone(&addresses),
            config: Arc::new(config),
            store,
            keys,
            control,
            trunks,
            cameras,
            phase: phases.clone(),
            started,
            started_at,
        };
        let local = Local::open(
            data_dir.path(),
            app.accounts.clone(),
            app.keys.clone(),
            Arc::clone(&addresses),
            app.control.clone(),
            app.trunks.clone(),
            app.cameras.clone(),
        )?;
        let service = service(&app, tls.as_ref());
        let certificate = describe(tls.as_ref());
        let http = tokio::spawn(http::serve(listener, service, phases));
        if let Some(tls) = tls {
            tokio::spawn(tls.keep_current(move || addresses.names()));
        }
        Ok(Self {
            local: tokio::spawn(local.serve()),
            app,
            phase,
            certificate,
            http,
            webhooks,
            announcer,
            data_dir,
        })
    }

    async fn run(self) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
        self.phase.send_replace(Phase::Running);
        if let Some(announcer) = &self.announcer {
            announcer.settled().await;
        }
        self.greet().await?;
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
        self.stop().await;
        Ok(())
    }

    async fn stop(self) {
        self.phase.send_replace(Phase::Stopping);
        // Links say goodbye before there are no rooms any more.
        tokio::join!(self.app.trunks.shutdown(), self.app.control.shutdown());
        let requests = tokio::time::timeout(LAST_REQUESTS, self.http);
        let webhooks = async {
            if let Some(webhooks) = self.webhooks {
                webhooks.finish().await;
            }
        };
        let goodbye = async {
            if let Some(announcer) = self.announcer {
                announcer.stop().await;
            }
        };
        // Rooms ended before clients were told: most of the time for this is over by now.
        let (requests, (), ()) = tokio::join!(requests, webhooks, goodbye);
        if requests.is_err() {
            tracing::debug!("some connections were cut");
        }
        self.local.abort();
        // Removes the socket before the data directory is free for the next server.
        let _ = self.local.await;
        tracing::info!("stopped");
    }

    /// What a person at the terminal needs, and no more.
    async fn greet(&self) -> anyhow::Result<()> {
        let config = &self.app.config;
        let mut text = format!("Umbrella {}\n\n", env!("CARGO_PKG_VERSION"));
        push(&mut text, "Open", &self.app.addresses.urls());
        let media = media_lines(self.app.control.media_addresses());
        push(&mut text, "Media", &media);
        push(&mut text, "TLS", std::slice::from_ref(&self.certificate));
        push(
            &mut text,
            "Data",
            &[self.data_dir.path().display().to_string()],
        );
        if !self.app.accounts.password_set().await? {
            let link = admin_link(&self.app.accounts, &self.app.addresses).await?;
            push(&mut text, "Admin", &[link]);
            text.push_str(
                "           (sets the admin's password; valid once, for 15 minutes, at any address \
                 above;\n           `umbrella admin-link` prints a new one)\n",
            );
        }
        // Nobody may be reading: that is no reason not to serve.
        let _ = writeln!(std::io::stdout(), "{text}");
        tracing::info!(
            data_dir = %self.data_dir.path().display(),
            cloud = config.cloud,
            startup_ms = u64::try_from(self.app.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "ready"
        );
        Ok(())
    }
}

fn announce(
    config: &Config,
    lan: Lan,
    trunks: &Trunks,
    addresses: &Arc<PageAddresses>,
    port: u16,
) -> Option<Announcer> {
    let page = mdns::Page {
        host: config.mdns.name.clone(),
        name: trunks.name().to_owned(),
        node: trunks.node(),
        prefix: config.http.prefix.clone(),
        listen: config.http.listen,
        port,
        addresses: Arc::clone(addresses),
    };
    config.mdns.enabled.then(|| Announcer::start(lan, page))
}

fn start_tls(
    config: &Config,
    data_dir: &Path,
    addresses: &PageAddresses,
) -> anyhow::Result<Option<Tls>> {
    if config.cloud {
        return Ok(None);
    }
    Ok(Some(Tls::start(config, data_dir, &addresses.names())?))
}

fn describe(tls: Option<&Tls>) -> String {
    tls.map_or_else(
        || "none: plain HTTP for a reverse proxy (cloud mode)".to_owned(),
        |tls| match tls.authority_certificate() {
            Some(_) => format!("{}; how devices come to trust it: /trust", tls.describe()),
            None => tls.describe(),
        },
    )
}

fn service(app: &App, tls: Option<&Tls>) -> http::Service {
    let signalling = crate::signal::livekit::router(
        app.control.clone(),
        Arc::clone(app.keys.authority()),
        app.config.limits.clone(),
    );
    let doors = signalling.merge(crate::trunk::router(app.trunks.clone()));
    http::Service {
        router: http::router(app.clone(), doors),
        tls: tls.map(Tls::server_config),
        max_connections: app.config.http.max_connections,
        trusted: app.config.http.trusted_proxies.clone(),
        control: app.control.clone(),
    }
}

/// Makes the rooms that are always there.
async fn open_rooms(store: &Store, control: &control::Handle) -> anyhow::Result<()> {
    for room in store::rooms::list(store).await? {
        match control.create_room(&room, true).await {
            Ok(_) | Err(AdminError::RoomExists) => {}
            Err(error) => tracing::warn!(room, %error, "a permanent room is missing"),
        }
    }
    Ok(())
}

/// Brings what happens to links to the owner of the rooms.
async fn pass_on(mut links: mpsc::Receiver<LinkEvent>, control: control::Handle) {
    while let Some(event) = links.recv().await {
        control.link(event).await;
    }
}

fn start_media(
    config: &Config,
    news: Option<control::NewsSender>,
    mesh: MeshConfig,
) -> anyhow::Result<control::Handle> {
    let limits = &config.limits;
    let interfaces = interface_addresses().context("cannot list this machine's addresses")?;
    let workers = worker::start(&worker::Settings {
        media: config.media.clone(),
        interfaces,
        limits: umbrella_engine::Limits {
            data_message: limits.data_message_bytes as usize,
            sdp: limits.message_bytes as usize,
            ..umbrella_engine::Limits::default()
        },
        tcp: worker::TcpLimits {
            connections: limits.tcp_connections as usize,
            per_address: limits.tcp_connections_per_address as usize,
        },
    })?;
    let settings = control::Settings {
        rooms: config.rooms.clone(),
        max_rooms: limits.rooms,
        limits: room_limits(limits, &config.rooms),
        news,
        mesh,
    };
    Ok(control::start(settings, workers))
}

/// The addresses of those that are advertised for media over UDP.
fn udp_addresses(advertised: &[String]) -> Vec<SocketAddr> {
    let udp = advertised.iter().filter_map(|it| it.strip_prefix("udp "));
    udp.filter_map(|it| it.parse().ok()).collect()
}

fn room_limits(limits: &LimitsConfig, rooms: &RoomsConfig) -> umbrella_room::Limits {
    umbrella_room::Limits {
        heard: rooms.loudest,
        participants: limits.participants_per_room,
        tracks: limits.tracks_per_participant as usize,
        data_message: limits.data_message_bytes as usize,
        ..umbrella_room::Limits::default()
    }
}
