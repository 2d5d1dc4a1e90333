//! Which addresses this machine has outside, and what is advertised of them.
//!
//! Addresses come and go: those of interfaces are listed anew every few seconds, and the public ones
//! behind a NAT are asked for, from the media port itself, at the STUN servers that the operator has
//! named. Nobody is asked if none is named. What has changed counts for new connections.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::config::{MediaConfig, StunServer};
use crate::control;
use crate::mdns::Lan;
use crate::net::{Advertised, PageAddresses, SeenAs, interface_addresses};
use crate::tasks;
use crate::trunk::Trunks;

/// How often interfaces are listed.
const LIST: Duration = Duration::from_secs(10);

/// How often STUN servers are asked.
const ASK: Duration = Duration::from_secs(120);

/// How soon they are asked again if one of them has not answered.
const ASK_AGAIN: Duration = Duration::from_secs(20);

/// How long the name of one is looked for.
const LOOKUP: Duration = Duration::from_secs(5);

/// How long the start message waits for the first answer.
const SETTLING: Duration = Duration::from_secs(2);

/// Keeps what is advertised right, until it is dropped.
#[derive(Debug)]
pub(crate) struct Outside {
    /// Whether STUN servers have been asked once, or there are none.
    asked: watch::Receiver<bool>,
    _running: JoinSet<()>,
}

impl Outside {
    /// Must be called within a tokio runtime.
    pub(crate) fn start(
        config: &MediaConfig,
        lan: &Lan,
        control: &control::Handle,
        trunks: &Trunks,
        page: &Arc<PageAddresses>,
    ) -> Outside {
        let (settled, asked) = watch::channel(config.stun.is_empty());
        let keeper = Keeper {
            config: config.clone(),
            lan: lan.clone(),
            control: control.clone(),
            trunks: trunks.clone(),
            page: Arc::clone(page),
            known: BTreeMap::new(),
            state: vec![State::Unknown; config.stun.len()],
            settled,
        };
        let mut running = JoinSet::new();
        tasks::spawn_in(&mut running, keeper.run());
        Outside {
            asked,
            _running: running,
        }
    }

    /// Waits for the first answers of STUN servers, for 2 s at most.
    pub(crate) async fn settled(&self) {
        let mut asked = self.asked.clone();
        let _ = timeout(SETTLING, asked.wait_for(|asked| *asked)).await;
    }
}

/// What is known of a STUN server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Answers,
    Fails,
}

/// An address of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    V4,
    V6,
}

/// What somebody outside has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    seen: SeenAs,
    /// Another port than ours, at which the NAT has let us out.
    other_port: Option<(u16, u16)>,
}

/// By which of the STUN servers.
#[derive(Debug, Clone, Copy)]
struct Heard {
    index: usize,
    said: Said,
}

struct Keeper {
    config: MediaConfig,
    lan: Lan,
    control: control::Handle,
    trunks: Trunks,
    page: Arc<PageAddresses>,
    known: BTreeMap<Family, Heard>,
    /// Of each STUN server.
    state: Vec<State>,
    settled: watch::Sender<bool>,
}

impl Keeper {
    async fn run(mut self) {
        let mut ask_at = Instant::now();
        loop {
            if !self.config.stun.is_empty() && ask_at <= Instant::now() {
                self.ask().await;
                let is_well = self.state.iter().all(|it| *it == State::Answers);
                ask_at = Instant::now() + if is_well { ASK } else { ASK_AGAIN };
            }
            self.update().await;
            self.settled.send_replace(true);
            sleep(LIST).await;
        }
    }

    /// Advertises what is there by now.
    async fn update(&self) {
        let interfaces = match interface_addresses() {
            Ok(interfaces) if !interfaces.is_empty() => interfaces,
            Ok(_) | Err(_) => return, // it will be back
        };
        let found: Vec<SeenAs> = self.known.values().map(|it| it.said.seen).collect();
        let ports = self.control.media_ports();
        let advertised = Advertised::new(&self.config, &interfaces, &found, ports);
        let before = self.control.advertised();
        if *before == advertised {
            return;
        }
        tracing::info!(
            addresses = advertised.known(),
            before = before.known(),
            "other addresses are advertised for media from now on"
        );
        self.page
            .set_found_ips(found.iter().map(|it| it.ip).collect());
        self.trunks.set_reflectors(&advertised.udp());
        self.control.advertise(advertised).await;
    }

    /// Asks all STUN servers. Of those that answer, the first one in the configuration is believed.
    async fn ask(&mut self) {
        let mut questions = JoinSet::new();
        for (index, server) in self.config.stun.iter().cloned().enumerate() {
            let (lan, control) = (self.lan.clone(), self.control.clone());
            tasks::spawn_in(&mut questions, async move {
                (index, ask(&server, &lan, &control).await)
            });
        }
        let mut heard = Vec::new();
        // One that is dead keeps nobody waiting for what the others say.
        while let Some(answer) = questions.join_next().await {
            let Ok((index, answer)) = answer else {
                continue;
            };
            self.note(index, answer.as_ref().err());
            for said in answer.unwrap_or_default() {
                heard.push(Heard { index, said });
                self.believe(Heard { index, said });
            }
            self.update().await;
            if !self.known.is_empty() {
                self.settled.send_replace(true);
            }
        }
        // Whom we believed and who has not answered gives way; what nobody tells is still the best
        // guess.
        heard.sort_by_key(|it| it.index);
        self.known.values_mut().for_each(|known| {
            if self.state[known.index] == State::Fails {
                known.index = usize::MAX;
            }
        });
        for it in heard {
            self.believe(it);
        }
    }

    /// Unless a server that is believed more has said something else.
    fn believe(&mut self, heard: Heard) {
        let family = family(heard.said.seen.ip);
        let before = self.known.get(&family).copied();
        if before.is_some_and(|before| before.index < heard.index) {
            return;
        }
        self.known.insert(family, heard);
        let said = heard.said;
        if before.and_then(|it| it.said.other_port) != said.other_port
            && let Some((own, outside)) = said.other_port
        {
            tracing::warn!(
                address = %said.seen.ip, own, outside,
                "the NAT in front of this machine uses other ports than ours: forward the media \
                 ports there, each to the same one here, or nobody outside reaches them"
            );
        }
    }

    fn note(&mut self, index: usize, problem: Option<&String>) {
        let (state, server) = (&mut self.state[index], &self.config.stun[index]);
        match problem {
            None => {
                if *state == State::Fails {
                    tracing::info!(%server, "the STUN server answers again");
                }
                *state = State::Answers;
            }
            Some(problem) => {
                if *state != State::Fails {
                    tracing::warn!(
                        %server, problem,
                        "cannot learn the public address (media.public_ips); it is tried again"
                    );
                }
                *state = State::Fails;
            }
        }
    }
}

fn family(ip: IpAddr) -> Family {
    match ip {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}

/// What one server says of us, over IPv4 and over IPv6.
async fn ask(
    server: &StunServer,
    lan: &Lan,
    control: &control::Handle,
) -> Result<Vec<Said>, String> {
    let lookup = timeout(LOOKUP, lan.lookup(&server.host, server.port)).await;
    let found = lookup
        .map_err(|_| "its name was not found in time".to_owned())?
        .map_err(|error| format!("its name was not found: {error}"))?;
    let v4 = found.iter().find(|it| it.is_ipv4());
    let v6 = found.iter().find(|it| it.is_ipv6());
    let (v4, v6) = tokio::join!(ask_at(v4, control), ask_at(v6, control));
    let said: Vec<Said> = [v4, v6].into_iter().flatten().collect();
    match said.is_empty() {
        true => Err("it does not answer, or says what cannot be".to_owned()),
        false => Ok(said),
    }
}

async fn ask_at(reflector: Option<&SocketAddr>, control: &control::Handle) -> Option<Said> {
    let reflector = *reflector?;
    let base = way_to(reflector)?;
    let seen_as = control.look_outside(base, reflector).await?;
    let own = *control.media_ports().first()?;
    said(base, own, seen_as)
}

/// From which of our addresses somebody is reached. Nothing is sent for that.
fn way_to(remote: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// What is to be made of an answer; nothing if no peer could use it.
fn said(base: IpAddr, own_port: u16, seen_as: SocketAddr) -> Option<Said> {
    let ip = seen_as.ip().to_canonical();
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let is_useless = ip.is_unspecified() || ip.is_multicast() || is_link_local;
    // Whoever sees us by loopback is on this machine, and knows no more than we do.
    if is_useless || ip.is_loopback() || ip.is_ipv4() != base.is_ipv4() {
        return None;
    }
    let other_port = (seen_as.port() != own_port).then_some((own_port, seen_as.port()));
    Some(Said {
        seen: SeenAs { ip, base },
        other_port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn useless_address_is_advertised() {
        let base: IpAddr = "10.0.0.5".parse().unwrap();
        for wrong in [
            "0.0.0.0:1",
            "127.0.0.1:1",
            "224.0.0.1:1",
            "169.254.1.1:1",
            "255.255.255.255:1",
            "[2001:db8::1]:1",
            "[::1]:1",
        ] {
            assert_eq!(said(base, 1, wrong.parse().unwrap()), None, "{wrong}");
        }
        let ip = "203.0.113.7".parse().unwrap();
        let seen = SeenAs { ip, base };
        let told = |text: &str| said(base, 40_000, text.parse().unwrap());
        let kept = Some(Said {
            seen,
            other_port: None,
        });
        assert_eq!(told("203.0.113.7:40000"), kept);
        assert_eq!(told("[::ffff:203.0.113.7]:40000"), kept);
        let other_port = Some((40_000, 61_000));
        assert_eq!(told("203.0.113.7:61000"), Some(Said { seen, other_port }));
    }
}
