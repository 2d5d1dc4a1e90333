//! Tells the local network of this server, and listens for others.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use mdns_sd::{
    DaemonEvent, IfKind, Metrics, RRType, Receiver, ServiceDaemon, ServiceEvent, ServiceInfo,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, timeout};

use super::name::{Place, choose};
use super::{Lan, SERVICE, VERSION};
use crate::config::Listen;
use crate::net::PageAddresses;
use crate::tasks;

/// How often it is looked what the library keeps.
const LOOK: Duration = Duration::from_secs(1);

/// Records that the library may keep: it has no bound of its own, and anybody on the network can
/// send more.
const MAX_RECORDS: i64 = 8192;

/// How long the library may take to say what it has. It reads all that has come first.
const SILENCE: Duration = Duration::from_secs(10);

/// How long nothing is listened to after the library had to be given up.
const REST: Duration = Duration::from_secs(60);

/// After the machine's addresses have changed, or a name was withdrawn: others forget a record one
/// second after its goodbye (RFC 6762 section 10.1).
const CALM: Duration = Duration::from_millis(1300);

/// Within which time an announcement goes out where there is multicast.
const ANNOUNCED: Duration = Duration::from_secs(10);

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(300);

/// How long the start message waits for a name.
const SETTLED: Duration = Duration::from_secs(3);

/// Bytes of a label (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// Bytes of a name in a TXT record, which has 255 for a key and its value (RFC 6763 section 6.1).
const MAX_TEXT: usize = 200;

/// What is announced.
#[derive(Debug)]
pub struct Page {
    /// The machine's name, a label.
    pub host: String,
    /// What other servers call this one.
    pub name: String,
    /// This server's id.
    pub node: Arc<str>,
    /// Empty, or begins with `/`.
    pub prefix: String,
    /// What is listened on.
    pub listen: Listen,
    /// The port that is listened on.
    pub port: u16,
    /// Is told the name under which the page is found.
    pub addresses: Arc<PageAddresses>,
}

/// Announces this server until it is stopped.
#[derive(Debug)]
pub struct Announcer {
    stop: watch::Sender<bool>,
    settled: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Announcer {
    /// Begins. `lan` knows the network from then on. Where there is none, or no multicast, the log
    /// says so.
    pub fn start(lan: Lan, page: Page) -> Announcer {
        let (stop, stopping) = watch::channel(false);
        let (settle, settled) = watch::channel(false);
        let daemon = open(&lan);
        let teller = Teller {
            lan,
            page,
            settle,
            stopping,
        };
        Announcer {
            stop,
            settled,
            task: tasks::spawn(teller.run(daemon)),
        }
    }

    /// Waits until the name is known, for 3 s at most.
    pub async fn settled(&self) {
        let mut settled = self.settled.clone();
        let _ = timeout(SETTLED, settled.wait_for(|settled| *settled)).await;
    }

    /// Takes everything back (RFC 6762 section 10.1), within about a second.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if timeout(GOODBYE * 3, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// Why the library is not used any more.
enum End {
    Stopped,
    Failed(String),
}

struct Teller {
    lan: Lan,
    page: Page,
    settle: watch::Sender<bool>,
    stopping: watch::Receiver<bool>,
}

/// One life of the library, and what was announced by it.
struct Life {
    daemon: ServiceDaemon,
    events: Receiver<DaemonEvent>,
    services: Receiver<ServiceEvent>,
    look: Interval,
    place: Option<Place>,
    /// Which of the possible names it is.
    number: u32,
    /// When to look for a name again.
    again: Option<Instant>,
    /// By when the first announcement is to be out, if it is not.
    due: Option<Instant>,
    /// The log says that it is not.
    doubted: bool,
}

impl Teller {
    async fn run(mut self, mut daemon: Result<ServiceDaemon, String>) {
        loop {
            let end = match daemon {
                Ok(daemon) => self.live(daemon).await,
                Err(why) => End::Failed(why),
            };
            self.lan.set_daemon(None);
            self.lan.nearby().clear();
            self.settle.send_replace(true);
            let End::Failed(why) = end else {
                return;
            };
            tracing::warn!(
                why,
                again_s = REST.as_secs(),
                "the local network is not listened to"
            );
            let mut stopping = self.stopping.clone();
            if timeout(REST, stopping.wait_for(|stop| *stop)).await.is_ok() {
                return;
            }
            daemon = open(&self.lan);
        }
    }

    async fn live(&mut self, daemon: ServiceDaemon) -> End {
        let begun = daemon.monitor().and_then(|events| {
            let services = daemon.browse(SERVICE)?;
            Ok((events, services))
        });
        let (events, services) = match begun {
            Ok(begun) => begun,
            Err(error) => return End::Failed(error.to_string()),
        };
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut life = Life {
            daemon,
            events,
            services,
            look,
            place: None,
            number: 1,
            again: Some(Instant::now()),
            due: None,
            doubted: false,
        };
        let mut stopping = self.stopping.clone();
        let end = tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => End::Stopped,
            why = self.listen(&mut life) => End::Failed(why),
        };
        self.withdraw(&mut life).await;
        if let Ok(done) = life.daemon.shutdown() {
            let _ = timeout(GOODBYE, done.recv_async()).await;
        }
        end
    }

    /// Answers why it cannot go on.
    async fn listen(&self, life: &mut Life) -> String {
        loop {
            if life.again.is_some_and(|at| at <= Instant::now()) {
                life.again = None;
                self.announce(life).await;
            }
            tokio::select! {
                event = life.services.recv_async() => match event {
                    Ok(event) => self.lan.nearby().note(event),
                    Err(_) => return "too many servers are announced there".to_owned(),
                },
                event = life.events.recv_async() => match event {
                    Ok(event) => life.note(event),
                    Err(_) => return "the library has ended".to_owned(),
                },
                _ = life.look.tick() => {
                    if let Err(why) = life.look_at_records().await {
                        return why;
                    }
                    life.doubt();
                }
            }
        }
    }

    /// Finds a name, and announces the page under it.
    async fn announce(&self, life: &mut Life) {
        if life.place.is_some() {
            self.withdraw(life).await;
            sleep(CALM).await;
        }
        let (place, number) =
            choose(&self.lan, &life.daemon, &self.page.host, life.number.max(1)).await;
        life.number = number;
        match &place {
            Place::Own(host) if number > 1 => {
                tracing::warn!(
                    host,
                    "another machine has this machine's name: announced as this"
                );
            }
            Place::Own(_) => {}
            Place::Shared(host, _) => {
                tracing::info!(
                    host,
                    "another program announces this machine: the service only"
                );
            }
        }
        self.page.addresses.set_local_name(place.host());
        self.settle.send_replace(true);
        life.due = Some(Instant::now() + ANNOUNCED);
        if let Some(info) = self.service(&place, place.host()) {
            if let Err(error) = life.daemon.register(info) {
                tracing::warn!(%error, "not announced on the local network");
            }
        } else {
            // Nobody out there can open it.
            life.due = None;
        }
        life.place = Some(place);
    }

    /// Takes back what was announced.
    async fn withdraw(&self, life: &mut Life) {
        let Some(place) = life.place.take() else {
            return;
        };
        if let Place::Shared(..) = place {
            // The goodbye would be for the other program's name too: it is said of one that is
            // nobody else's.
            let host = format!("umbrella-{}.local", self.short_id().to_ascii_lowercase());
            if let Some(info) = self.service(&place, &host) {
                let _ = life.daemon.register(info);
            }
        }
        let Some(info) = self.service(&place, place.host()) else {
            return;
        };
        if let Ok(done) = life.daemon.unregister(info.get_fullname()) {
            let _ = timeout(GOODBYE, done.recv_async()).await;
        }
    }

    /// What is registered; `None` if the page is for this machine only.
    fn service(&self, place: &Place, host: &str) -> Option<ServiceInfo> {
        let page = &self.page;
        let instance = instance(&page.name, self.short_id());
        let txt = [
            ("v", VERSION),
            ("id", &*page.node),
            ("name", clipped(&page.name, MAX_TEXT)),
            ("path", &page.prefix),
            ("tls", "1"),
        ];
        let make = |addresses: &[IpAddr]| {
            let host = format!("{host}.");
            ServiceInfo::new(SERVICE, &instance, &host, addresses, page.port, &txt[..])
        };
        let one = match page.listen {
            Listen::One(address) if !address.ip().is_unspecified() => Some(address.ip()),
            Listen::One(_) | Listen::All(_) => None,
        };
        if one.is_some_and(|ip| ip.is_loopback()) {
            return None;
        }
        let made = match (place, one) {
            (Place::Own(_), None) => make(&[]).map(ServiceInfo::enable_addr_auto),
            (Place::Own(_), Some(ip)) => make(&[ip]),
            (Place::Shared(_, addresses), _) => make(addresses).map(|mut info| {
                // They are the same as the other program's, which is no conflict (RFC 6762
                // section 9); asking whether they are free would be one.
                info.set_requires_probe(false);
                info
            }),
        };
        made.inspect_err(|error| tracing::warn!(%error, "not announced on the local network"))
            .ok()
    }

    /// Tells servers of the same name apart.
    fn short_id(&self) -> &str {
        let id = self.page.node.trim_start_matches("ND_");
        clipped(id, 6)
    }
}

impl Life {
    fn note(&mut self, event: DaemonEvent) {
        if let DaemonEvent::Announce(..) = event {
            let news = self.due.take().is_some() || self.doubted;
            if let (true, Some(place)) = (news, &self.place) {
                self.doubted = false;
                tracing::info!(host = place.host(), "announced on the local network");
            }
        } else if let DaemonEvent::IpAdd(_) | DaemonEvent::IpDel(_) = event {
            // What nobody shares, the library brings up to date.
            if let Some(Place::Shared(..)) = self.place {
                self.again = Some(Instant::now() + CALM);
            }
        } else if let DaemonEvent::NameChange(change) = event
            && matches!(change.rr_type, RRType::A | RRType::AAAA)
            && self.again.is_none()
            && self.is_named(&change.original)
        {
            tracing::warn!(
                name = %change.original.escape_debug(),
                "another machine on the network has this name as well"
            );
            self.number += 1;
            self.again = Some(Instant::now());
        }
    }

    /// Whether it is about the name of now: each network and each kind of address has an event.
    fn is_named(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        let place = self.place.as_ref();
        place.is_some_and(|place| place.host().eq_ignore_ascii_case(host))
    }

    /// Says once that nothing could be announced.
    fn doubt(&mut self) {
        if self.place.is_some() && self.due.is_some_and(|due| due <= Instant::now()) {
            self.due = None;
            self.doubted = true;
            tracing::info!("no network with multicast yet: this server is not announced");
        }
    }

    /// Whether what the library keeps of others' records is bounded.
    async fn look_at_records(&self) -> Result<(), String> {
        let asked = self
            .daemon
            .get_metrics()
            .map_err(|error| error.to_string())?;
        let answer = timeout(SILENCE, asked.recv_async()).await;
        let metrics = answer.ok().and_then(Result::ok);
        let metrics = metrics.ok_or("the library does not answer")?;
        match records(&metrics) <= MAX_RECORDS {
            true => Ok(()),
            false => Err("more is said there than is kept".to_owned()),
        }
    }
}

fn records(metrics: &Metrics) -> i64 {
    let kept = metrics
        .iter()
        .filter(|(name, _)| name.starts_with("cached") || *name == "timer");
    kept.map(|(_, count)| *count).sum()
}

/// Begins to listen. `lan` asks by it from then on.
fn open(lan: &Lan) -> Result<ServiceDaemon, String> {
    let daemon = ServiceDaemon::new().map_err(|error| error.to_string())?;
    // Nobody else is there.
    daemon
        .disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])
        .map_err(|error| error.to_string())?;
    lan.set_daemon(Some(daemon.clone()));
    Ok(daemon)
}

/// The name of the service: a label of whatever characters (RFC 6763 section 4.1.1), but dots and
/// backslashes, which programs write in different ways.
fn instance(name: &str, id: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if matches!(c, '.' | '\\') { '-' } else { c })
        .collect();
    format!("{} {id}", clipped(&plain, MAX_LABEL - 1 - id.len()))
}

/// The beginning that has at most so many bytes.
fn clipped(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_no_label() {
        assert_eq!(instance("Hut v1.2\\x", "abc123"), "Hut v1-2-x abc123");
        let long = instance(&"ö".repeat(64), "abc123");
        assert!(
            long.len() <= MAX_LABEL && long.ends_with("ö abc123"),
            "{long}"
        );
        assert_eq!(clipped("öö", 3), "ö");
    }

    #[test]
    fn strangers_fill_the_memory() {
        let mut metrics = Metrics::from([("respond".to_owned(), 1 << 40)]);
        metrics.insert("cached-ptr".to_owned(), 5);
        metrics.insert("cached-addr".to_owned(), MAX_RECORDS);
        assert_eq!(records(&metrics), MAX_RECORDS + 5);
    }
}
