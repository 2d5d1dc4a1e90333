//! Dials one server, for as long as the operator wants it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng as _;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::LinkId;
use super::door;
use super::frame::MAX_MESSAGE;
use super::hello::{Dialler, Failure, Peer};
use super::registry::{Door, Inner, Newcomer, Stand};
use super::secret::Pin;
use super::settings::Entry;
use super::socket::Socket;
use super::trust::{Stranger, Trust, found};

/// How long an attempt may take, from looking up the name to the last frame of the handshake.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long one of several addresses of a name may take to accept.
const CONNECT: Duration = Duration::from_secs(3);

/// How long to wait between attempts.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// How long to wait where somebody has to do something first.
const SELDOM: Duration = Duration::from_secs(60);

/// A link that has lived for so long was a good one: the next attempt comes soon.
pub(super) const GOOD: Duration = Duration::from_secs(30);

/// Room in the socket's buffer.
const WRITE_BUFFER: usize = 4 * MAX_MESSAGE;

/// Why an attempt has failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Missed {
    #[error("{0}")]
    Network(String),
    #[error("{0}")]
    Handshake(Failure),
    #[error("the server there is known by no public authority")]
    Unknown(Pin),
    #[error(
        "the server there is known by another authority than the one that the join secret or you \
         vouched for; if its certificates were made anew, remove this entry and join again"
    )]
    OtherAuthority,
    #[error("{0}")]
    Door(String),
}

/// How long to wait: more and more, and never for all alike.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff(SHORTEST)
    }
}

impl Backoff {
    pub(super) fn next(&mut self) -> Duration {
        let most = (self.0 * 3).min(LONGEST);
        self.0 = rand::rng().random_range(SHORTEST..=most.max(SHORTEST));
        self.0
    }
}

/// Dials the server of an entry until that is gone.
pub(super) async fn keep(inner: Arc<Inner>, key: String, wake: Arc<Notify>) {
    let mut backoff = Backoff::default();
    let mut said = String::new();
    loop {
        let Some(entry) = inner.entry(&key) else {
            return;
        };
        inner.stand(&key, Stand::Connecting);
        let attempt = attempt(&inner, &entry).await;
        let (wait, stand): (Duration, fn(String, Instant) -> Stand) = match &attempt {
            Ok(_) => (Duration::ZERO, reconnecting),
            Err(missed) => match missed {
                Missed::Handshake(failure) if !failure.may_pass() => (seldom(), refused),
                Missed::OtherAuthority => (seldom(), refused),
                Missed::Unknown(_) => (seldom(), refused),
                Missed::Door(_) | Missed::Network(_) | Missed::Handshake(_) => {
                    (backoff.next(), reconnecting)
                }
            },
        };
        let (why, wait, stand) = match attempt {
            Ok((link, running)) => {
                let start = Instant::now();
                inner.stand(&key, Stand::Connected(link));
                let why = running.await.unwrap_or_else(|_| "the link failed".into());
                if start.elapsed() >= GOOD {
                    backoff = Backoff::default();
                }
                let wait = backoff.next();
                let stand = stand(why.clone(), Instant::now() + wait);
                (why, wait, stand)
            }
            Err(Missed::Unknown(pin)) => {
                let next = Instant::now() + wait;
                let why = Missed::Unknown(pin).to_string();
                (why, wait, Stand::Confirm { pin, next })
            }
            Err(missed) => {
                let why = missed.to_string();
                let stand = stand(why.clone(), Instant::now() + wait);
                (why, wait, stand)
            }
        };
        // Somewhere there may be no network for months.
        if why != said {
            tracing::info!(url = %entry.address, why, wait_s = wait.as_secs_f32(), "no trunk");
            said = why;
        }
        inner.stand(&key, stand);
        let _ = timeout(wait, wake.notified()).await;
    }
}

fn reconnecting(why: String, next: Instant) -> Stand {
    Stand::Reconnecting { why, next }
}

fn refused(why: String, next: Instant) -> Stand {
    Stand::Refused { why, next }
}

fn seldom() -> Duration {
    SELDOM.mul_f64(rand::rng().random_range(0.9..1.1))
}

async fn attempt(
    inner: &Arc<Inner>,
    entry: &Entry,
) -> Result<(LinkId, JoinHandle<String>), Missed> {
    match timeout(HANDSHAKE, reach(inner, entry)).await {
        Ok(result) => result,
        Err(_) => Err(Missed::Network(format!(
            "no answer within {} s",
            HANDSHAKE.as_secs()
        ))),
    }
}

async fn reach(inner: &Arc<Inner>, entry: &Entry) -> Result<(LinkId, JoinHandle<String>), Missed> {
    let stream = connect(inner, entry).await?;
    if !entry.address.is_secure() {
        return shake_hands(inner, entry, stream).await;
    }
    let stream = match secure(&inner.trust, entry, stream, true).await {
        // A server with a public certificate shows its own to those who ask for no name. So it is
        // found where the public one does not do: by our clock, or as we do not know its authority.
        Err(Missed::OtherAuthority) => {
            let stream = connect(inner, entry).await?;
            secure(&inner.trust, entry, stream, false).await?
        }
        secured => secured?,
    };
    shake_hands(inner, entry, stream).await
}

/// Makes sure who is there, by asking for the server by its name or not.
async fn secure(
    trust: &Trust,
    entry: &Entry,
    stream: TcpStream,
    by_name: bool,
) -> Result<TlsStream<TcpStream>, Missed> {
    let pins = entry.secret_pin.into_iter().chain(entry.confirmed_pin);
    let (mut config, finding) = trust
        .client(pins.collect())
        .map_err(|error| Missed::Network(format!("TLS: {error:#}")))?;
    config.enable_sni = by_name;
    let name = ServerName::try_from(entry.address.host().to_owned())
        .map_err(|_| Missed::Network("this is no name of a server".to_owned()))?;
    let connector = TlsConnector::from(Arc::new(config));
    connector
        .connect(name, stream)
        .await
        .map_err(|error| match found(&finding) {
            Some(Stranger::Unknown(pin)) => Missed::Unknown(pin),
            Some(Stranger::Other) => Missed::OtherAuthority,
            None => Missed::Network(format!("TLS: {error}")),
        })
}

async fn connect(inner: &Inner, entry: &Entry) -> Result<TcpStream, Missed> {
    let (host, port) = (entry.address.host(), entry.address.port());
    let stream = inner.lan.connect(host, port, CONNECT).await;
    let stream = stream.map_err(|why| Missed::Network(why.to_string()))?;
    // A ping that waits for company tells nothing.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn shake_hands<S>(
    inner: &Arc<Inner>,
    entry: &Entry,
    stream: S,
) -> Result<(LinkId, JoinHandle<String>), Missed>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let opened = client_async_with_config(entry.address.door(), stream, Some(config)).await;
    let (socket, _) = opened.map_err(|error| closed_door(&error))?;
    let mut socket = Socket::dialled(socket);
    let (dialler, hello) = Dialler::new(
        inner.own.clone(),
        &entry.key,
        entry.proof_key.clone(),
        &entry.rooms,
    );
    let peer = match greet(&mut socket, dialler, hello).await {
        Ok(peer) => peer,
        Err(missed) => {
            if let Missed::Handshake(failure) = &missed {
                door::part(socket, failure).await;
            }
            return Err(missed);
        }
    };
    let by = Door::secret(&entry.key);
    match inner.join(Newcomer::Dialled(peer), &by, socket).await {
        Ok(joined) => Ok(joined),
        Err((failure, socket)) => {
            door::part(socket, &failure).await;
            Err(Missed::Handshake(failure))
        }
    }
}

/// Shakes hands from the side that dials.
pub(super) async fn greet(
    socket: &mut Socket,
    dialler: Dialler,
    hello: Vec<u8>,
) -> Result<Peer, Missed> {
    let answer = ask(socket, hello).await?;
    let (proved, proof) = dialler.challenge(&answer).map_err(Missed::Handshake)?;
    let answer = ask(socket, proof).await?;
    proved.welcome(&answer).map_err(Missed::Handshake)
}

async fn ask(socket: &mut Socket, frame: Vec<u8>) -> Result<bytes::Bytes, Missed> {
    socket.send(frame).await.map_err(Missed::Network)?;
    let answer = socket.next().await.map_err(Missed::Network)?;
    answer.ok_or_else(|| Missed::Network("the other server closed the connection".to_owned()))
}

fn closed_door(error: &WsError) -> Missed {
    let WsError::Http(response) = error else {
        return Missed::Network(format!("the WebSocket did not open: {error}"));
    };
    let status = response.status();
    Missed::Door(match status.as_u16() {
        404 => "there is no Umbrella with trunks at this address; does it have a prefix?".into(),
        300..=399 => format!("it answers {status}; enter the address that it leads to"),
        429 => "too many attempts; it is tried again later".into(),
        _ => format!("it answers {status}"),
    })
}

#[cfg(test)]
mod tests {
    use rustls::server::{ClientHello, ResolvesServerCert};
    use rustls::sign::CertifiedKey;
    use rustls::{RootCertStore, ServerConfig};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::config::TrunkTo;
    use crate::tls::{Names, in_memory};
    use crate::trunk::{Address, JoinSecret};

    /// One authority's certificate for those who ask for a name, another one's for the others.
    #[derive(Debug)]
    struct TwoFaces {
        public: Arc<dyn ResolvesServerCert>,
        own: Arc<dyn ResolvesServerCert>,
    }

    impl ResolvesServerCert for TwoFaces {
        fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            match hello.server_name() {
                Some(_) => self.public.resolve(hello),
                None => self.own.resolve(hello),
            }
        }
    }

    #[tokio::test]
    async fn server_that_was_vouched_for_is_refused_since_it_has_a_public_certificate() {
        let (_, public) = in_memory(&Names::default()).unwrap();
        let (authority, own) = in_memory(&Names::default()).unwrap();
        let faces = TwoFaces {
            public: Arc::clone(&public.cert_resolver),
            own: Arc::clone(&own.cert_resolver),
        };
        let mut config = ServerConfig::clone(&own);
        config.cert_resolver = Arc::new(faces);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                drop(acceptor.accept(stream).await);
            }
        });

        let to = TrunkTo {
            address: Address::parse("https://meet.example.org", false).unwrap(),
            secret: JoinSecret::random(Some(Pin::of(&authority))),
            rooms: Vec::new(),
            moderate: true,
        };
        let entry = Entry::configured(&to, None);
        // Somebody's, since there must be one.
        let mut roots = RootCertStore::empty();
        roots.add(in_memory(&Names::default()).unwrap().0).unwrap();
        let trust = Trust::new(roots).unwrap();
        let dial = || async { TcpStream::connect(address).await.unwrap() };
        let by_name = secure(&trust, &entry, dial().await, true).await;
        assert!(matches!(by_name, Err(Missed::OtherAuthority)));
        secure(&trust, &entry, dial().await, false).await.unwrap();
    }

    #[test]
    fn many_servers_come_back_at_the_same_moment_or_never() {
        for _ in 0..100 {
            let mut backoff = Backoff(SHORTEST);
            let mut waits = Vec::new();
            for _ in 0..200 {
                waits.push(backoff.next());
            }
            assert!(waits.iter().all(|wait| (SHORTEST..=LONGEST).contains(wait)));
            assert!(waits[0] <= SHORTEST * 3);
            assert!(waits.iter().max() > Some(&Duration::from_secs(20)));
        }
    }
}
