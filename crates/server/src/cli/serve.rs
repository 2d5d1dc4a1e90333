//! The life of the server, from its configuration to the signal that ends it.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::greeting::{media_lines, push};
use super::local::{Local, admin_link};
use super::log::goes_to_journal;
use super::reload::{Origin, Reloader};
use crate::auth::{Accounts, Invites, Keys};
use crate::cameras::Cameras;
use crate::config::{Config, LimitsConfig, Live, RoomsConfig};
use crate::control::{self, AdminError};
use crate::http::{self, App, Page, Phase};
use crate::mdns::{self, Announcer, Lan};
use crate::memory::Memory;
use crate::net::{PageAddresses, interface_addresses};
use crate::outside::Outside;
use crate::store::{self, DataDir, Store};
use crate::systemd;
use crate::tasks;
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
pub(super) fn serve(config: Config, origin: Origin) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(async {
        let server = Server::start(config, origin).await?;
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
    reloader: Reloader,
    webhooks: Option<Webhooks>,
    announcer: Option<Announcer>,
    outside: Outside,
    data_dir: DataDir,
}

impl Server {
    async fn start(config: Config, origin: Origin) -> anyhow::Result<Self> {
        let (started, started_at) = (Instant::now(), SystemTime::now());
        let data_dir = DataDir::claim(&config.data_dir)?;
        let store = Store::open(&data_dir)?;
        let keys = Keys::load(store.clone(), &config.keys).await?;
        let lan = Lan::default();
        let (news, webhooks) = Webhooks::start(&config.webhook, keys.authority(), &lan)?.unzip();
        let (listener, port) = http::bind(config.http.listen).await?;
        let addresses = Arc::new(PageAddresses::new(&config, port));
        let tls = start_tls(&config, data_dir.path(), &addresses)?;
        let authority = tls.as_ref().and_then(Tls::authority_certificate);
        let pin = authority.as_deref().map(Pin::of);
        let memory = Memory::new(config.limits.memory);
        tasks::spawn(memory.clone().watch());
        let (kept, spared) = (store.clone(), memory.clone());
        let (trunks, links) = Trunks::new(&config.trunk, kept, pin, lan.clone(), spared).await?;
        let announcer = announce(&config, lan.clone(), &trunks, &addresses, port);
        let control = start_media(&config, news, trunks.mesh(), memory)?;
        open_rooms(&store, &control).await?;
        let (kept, owner) = (store.clone(), Arc::new(control.clone()));
        let cameras =
            Cameras::start(&config.cameras, kept, trunks.trust(), lan.clone(), owner).await?;
        trunks
            .start(&config.trunk, control.advertised().udp())
            .await?;
        let outside = Outside::start(&config.media, &lan, &control, &trunks, &addresses);
        tasks::spawn(pass_on(links, control.clone()));
        let (phase, phases) = watch::channel(Phase::Starting);
        let app = App {
            accounts: Accounts::new(store.clone()),
            invites: Invites::new(store.clone()),
            page: Page::new(&config.http.prefix),
            authority,
            certificate: tls.as_ref().and_then(Tls::desk),
            certificates: tls.as_ref().map(Tls::in_use),
            addresses: Arc::clone(&addresses),
            config: Live::new(config),
            store,
            keys,
            control,
            trunks,
            cameras,
            phase: phases.clone(),
            started,
            started_at,
        };
        let (change, limits) = watch::channel(app.config.now().limits.clone());
        let reloader = Reloader::new(origin, app.clone(), change);
        let local = Local::open(data_dir.path(), app.clone(), reloader.clone())?;
        let service = service(&app, limits, tls.as_ref());
        let certificate = describe(tls.as_ref());
        let http = tasks::spawn(http::serve(listener, service, phases));
        if let Some(tls) = tls {
            tasks::spawn(tls.keep_current(lan, move || addresses.names()));
        }
        Ok(Self {
            local: tasks::spawn(local.serve()),
            reloader,
            app,
            phase,
            certificate,
            http,
            webhooks,
            announcer,
            outside,
            data_dir,
        })
    }

    async fn run(self) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
        let mut hangup = signal(SignalKind::hangup()).context("cannot wait for signals")?;
        // Of a server that was started there, a terminal that is closed says that it is to end.
        let at_terminal = std::io::stdin().is_terminal();
        self.phase.send_replace(Phase::Running);
        // What follows is for the greeting: people are let in from here on.
        let startup = self.app.started.elapsed();
        if let Some(announcer) = &self.announcer {
            announcer.settled().await;
        }
        self.outside.settled().await;
        self.greet(startup).await?;
        tasks::spawn(self.reloader.clone().at_changes());
        systemd::ready();
        if systemd::listens() {
            tasks::spawn(systemd::keep_alive(self.app.control.clone()));
        }
        let name = loop {
            tokio::select! {
                _ = terminate.recv() => break "SIGTERM",
                _ = interrupt.recv() => break "SIGINT",
                _ = hangup.recv() => if at_terminal { break "SIGHUP" },
            }
            let reloader = self.reloader.clone();
            // The log says how it went.
            tasks::spawn(async move { drop(reloader.reload().await) });
        };
        tracing::info!(signal = name, "stopping");
        self.stop().await;
        Ok(())
    }

    async fn stop(self) {
        systemd::stopping();
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

    /// What a person needs, and no more. `startup` is how long it took to be ready for clients.
    async fn greet(&self, startup: Duration) -> anyhow::Result<()> {
        let config = self.app.config.now();
        if goes_to_journal(std::io::stdout()) {
            self.greet_in_journal().await?;
        } else {
            self.greet_in_words().await?;
        }
        tracing::info!(
            data_dir = %self.data_dir.path().display(),
            cloud = config.cloud,
            startup_ms = u64::try_from(startup.as_millis()).unwrap_or(u64::MAX),
            "ready"
        );
        Ok(())
    }

    /// Without the one-time link: many may read the journal, and for long.
    async fn greet_in_journal(&self) -> anyhow::Result<()> {
        let (open, media) = (self.app.addresses.urls(), self.app.control.advertised());
        let media = media_lines(&media).join(" ");
        tracing::info!(open = open.join(" "), media, tls = self.certificate, "up");
        if !self.app.accounts.password_set().await? {
            tracing::warn!(
                "there is no admin's password yet; `umbrella admin-link` prints a link to set it"
            );
        }
        Ok(())
    }

    async fn greet_in_words(&self) -> anyhow::Result<()> {
        let mut text = format!("Umbrella {}\n\n", env!("CARGO_PKG_VERSION"));
        push(&mut text, "Open", &self.app.addresses.urls());
        let media = media_lines(&self.app.control.advertised());
        push(&mut text, "Media", &media);
        push(&mut text, "TLS", std::slice::from_ref(&self.certificate));
        push(
            &mut text,
            "Data",
            &[self.data_dir.path().display().to_string()],
        );
        if !self.app.accounts.password_set().await? {
            push(&mut text, "Admin", &self.way_in().await?);
        }
        // Nobody may be reading: that is no reason not to serve.
        let _ = writeln!(std::io::stdout(), "{text}");
        Ok(())
    }

    /// How the admin gets in for the first time. A link is for whoever sits at this terminal: what goes
    /// to a file, or into the log of a container, is kept for long and read by others.
    async fn way_in(&self) -> anyhow::Result<Vec<String>> {
        if !std::io::stdout().is_terminal() {
            return Ok(vec![
                "has no password yet: `umbrella admin-link` prints a link to set it".to_owned(),
            ]);
        }
        let link = admin_link(&self.app.accounts, &self.app.addresses).await?;
        Ok(vec![
            link,
            "(sets the admin's password; valid once, for 15 minutes, at any address above;"
                .to_owned(),
            "`umbrella admin-link` prints a new one)".to_owned(),
        ])
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

fn service(app: &App, limits: watch::Receiver<LimitsConfig>, tls: Option<&Tls>) -> http::Service {
    let (config, shares) = (app.config.now(), app.control.memory().shares());
    let signalling = crate::signal::livekit::router(
        app.control.clone(),
        Arc::clone(app.keys.authority()),
        limits,
        config.turn.clone(),
    );
    let doors = signalling.merge(crate::trunk::router(app.trunks.clone()));
    http::Service {
        router: http::router(app.clone(), doors),
        tls: tls.map(Tls::server_config),
        max_connections: shares.http_connections(config.http.max_connections),
        trusted: config.http.trusted_proxies.clone(),
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
    memory: Memory,
) -> anyhow::Result<control::Handle> {
    let (limits, shares) = (&config.limits, memory.shares());
    let engine = umbrella_engine::Limits::default();
    let interfaces = interface_addresses().context("cannot list this machine's addresses")?;
    let workers = worker::start(&worker::Settings {
        media: config.media.clone(),
        interfaces,
        reach: worker::Reach::Everybody,
        limits: umbrella_engine::Limits {
            data_message: limits.data_message_bytes as usize,
            sdp: limits.message_bytes as usize,
            channel_buffer: shares.channel(engine.channel_buffer),
            history: shares.history(),
            ..engine
        },
        tcp: worker::TcpLimits {
            connections: shares.media_connections(limits.tcp_connections as usize),
            per_address: limits.tcp_connections_per_address as usize,
        },
    })?;
    let control::Bounds {
        rooms,
        max_rooms,
        limits,
    } = bounds(config);
    let settings = control::Settings {
        rooms,
        max_rooms,
        limits,
        news,
        mesh,
        memory,
    };
    Ok(control::start(settings, workers))
}

/// What the owner of the rooms keeps to.
pub(super) fn bounds(config: &Config) -> control::Bounds {
    control::Bounds {
        rooms: config.rooms.clone(),
        max_rooms: config.limits.rooms,
        limits: room_limits(&config.limits, &config.rooms),
    }
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
