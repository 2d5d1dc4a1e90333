//! Between a camera and the RTSP library: connects, speaks TLS, and bounds what comes.
//!
//! The library connects by itself, keeps what a camera sends without a limit, and knows no TLS. So
//! it connects to a gate on this machine, which passes on. The requests then name the gate's
//! address, as behind any forwarded port; cameras look at the path.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::framing::Framing;
use super::reason::{Reason, Step};
use super::session::{Options, Transport};
use crate::mdns::Unreached;
use crate::tasks;
use crate::trunk::{Pin, Stranger, Trust, found};

/// Bytes that are read at a time.
const BUFFER: usize = 32 * 1024;

/// A connection to a camera, and where the library finds it. Ends soon after the library has hung
/// up.
#[derive(Debug)]
pub(super) struct Gate {
    /// Host and port, as in an address.
    pub(super) authority: String,
    seen: Arc<Mutex<Seen>>,
}

/// What passed, apart from bytes.
#[derive(Debug, Default)]
struct Seen {
    fault: Option<Reason>,
    redirect: Option<String>,
    spoken: bool,
}

impl Gate {
    /// Connects to a camera.
    ///
    /// # Errors
    ///
    /// Why it cannot be reached.
    pub(super) async fn open(address: &Address, options: &Options) -> Result<Gate, Reason> {
        let limits = &options.limits;
        let stream = connect(address, options).await?;
        let internal = |_: io::Error| Reason::Internal;
        let (own, peer) = (stream.local_addr().map_err(internal)?, stream.peer_addr());
        let source = peer.map_err(internal)?.ip().to_canonical();
        // With UDP the library listens for packets where it connects from.
        let local: IpAddr = match options.transport {
            Transport::Tcp => [127, 0, 0, 1].into(),
            Transport::Udp => own.ip(),
        };
        let listener = TcpListener::bind((local, 0)).await.map_err(internal)?;
        let authority = listener.local_addr().map_err(internal)?.to_string();
        let gate = Gate {
            authority,
            seen: Arc::default(),
        };
        let passage = Passage {
            listener,
            framing: Framing::new(source),
            seen: Arc::clone(&gate.seen),
        };
        if address.is_secure() {
            let stream = secure(address, stream, &options.pins, &options.trust).await?;
            tasks::spawn(passage.open(stream, limits.start));
        } else {
            tasks::spawn(passage.open(stream, limits.start));
        }
        Ok(gate)
    }

    /// What the gate has found wrong.
    pub(super) fn fault(&self) -> Option<Reason> {
        self.seen().fault.take()
    }

    /// Where the camera sends us instead.
    pub(super) fn redirect(&self) -> Option<String> {
        self.seen().redirect.take()
    }

    /// Whether anything of RTSP has come.
    pub(super) fn has_spoken(&self) -> bool {
        self.seen().spoken
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects to the camera.
async fn connect(address: &Address, options: &Options) -> Result<TcpStream, Reason> {
    let patience = options.limits.connect;
    let host = address.host();
    let stream = options.lan.connect(&host, address.port(), patience).await;
    let stream = stream.map_err(|why| match why {
        Unreached::Name(_) | Unreached::NoAddress => Reason::UnknownName(host),
        Unreached::Refused(address, error) => unreachable(address, &error),
        Unreached::Silent => Reason::Silent {
            step: Step::Connect,
            seconds: patience.as_secs(),
        },
    })?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn unreachable(address: SocketAddr, error: &io::Error) -> Reason {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return Reason::PortClosed(address.port());
    }
    let mut words = error.to_string();
    if let Some(code) = words.find(" (os error") {
        words.truncate(code);
    }
    Reason::Unreachable(words.to_lowercase())
}

async fn secure(
    address: &Address,
    stream: TcpStream,
    pins: &[Pin],
    trust: &Trust,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Reason> {
    let (mut config, finding) = trust
        .client(pins.to_vec())
        .map_err(|error| Reason::Tls(error.to_string()))?;
    config.alpn_protocols.clear();
    let name = ServerName::try_from(address.host());
    let name = name.map_err(|_| Reason::UnknownName(address.host()))?;
    let connected = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await;
    connected.map_err(|error| match found(&finding) {
        Some(Stranger::Unknown(pin)) => Reason::UnknownCertificate(pin),
        Some(Stranger::Other) => Reason::OtherCertificate,
        None => Reason::Tls(error.to_string()),
    })
}

struct Passage {
    listener: TcpListener,
    framing: Framing,
    seen: Arc<Mutex<Seen>>,
}

impl Passage {
    /// Waits for the library, and passes on until either side hangs up.
    async fn open<S>(mut self, camera: S, wait: std::time::Duration)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let Ok(Some(library)) = timeout(wait, self.accept()).await else {
            return;
        };
        let _ = library.set_nodelay(true);
        let (mut from_camera, mut to_camera) = tokio::io::split(camera);
        let (mut from_library, mut to_library) = library.into_split();
        let up = async {
            let _ = tokio::io::copy(&mut from_library, &mut to_camera).await;
            let _ = to_camera.shutdown().await;
        };
        tokio::select! {
            () = up => {}
            () = self.down(&mut from_camera, &mut to_library) => {
                let _ = to_library.shutdown().await;
            }
        }
    }

    /// Others on this machine, or in this network, have no business here.
    async fn accept(&self) -> Option<TcpStream> {
        let own = self.listener.local_addr().ok()?.ip();
        loop {
            let (stream, peer) = self.listener.accept().await.ok()?;
            if peer.ip() == own {
                return Some(stream);
            }
        }
    }

    async fn down(
        &mut self,
        camera: &mut (impl AsyncRead + Unpin),
        library: &mut (impl AsyncWrite + Unpin),
    ) {
        let mut buffer = vec![0; BUFFER];
        loop {
            let Ok(length @ 1..) = camera.read(&mut buffer).await else {
                return;
            };
            let passed = self.framing.push(&buffer[..length]);
            let passed = {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.spoken |= self.framing.has_spoken();
                if let Some(redirect) = self.framing.redirect() {
                    seen.redirect = Some(redirect);
                }
                match passed {
                    Ok(passed) => passed,
                    Err(fault) => {
                        seen.fault = Some(fault);
                        return;
                    }
                }
            };
            if library.write_all(&passed).await.is_err() {
                return;
            }
        }
    }
}
