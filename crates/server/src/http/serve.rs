//! The listener: TCP, TLS, and the bounds on what a connection may cost.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::connection::{Connections, Place};
use super::state::{Phase, stopping};
use crate::config::Listen;
use crate::control;
use crate::net::Cidr;
use crate::tasks;

/// How long to pause when the system refuses a connection, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One address may have this share of all connections.
const SHARE_OF_ONE_ADDRESS: usize = 4;

/// Binds the listener, and says at which port it is.
///
/// # Errors
///
/// Says which address and what to do.
pub async fn bind(listen: Listen) -> anyhow::Result<(TcpListener, u16)> {
    let mut last = None;
    for address in listen.candidates() {
        match bind_one(address) {
            Ok(listener) => {
                let bound = listener.local_addr();
                let port = bound.context("the listener has no address")?.port();
                return Ok((listener, port));
            }
            // Without IPv6 the next candidate is worth a try.
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => last = Some((address, error)),
            Err(error) => {
                last = Some((address, error));
                break;
            }
        }
    }
    let (address, error) =
        last.ok_or_else(|| anyhow::anyhow!("there is no address to listen on"))?;
    let hint = hint(error.kind());
    anyhow::bail!(
        "cannot listen on TCP {address}: {error}; {hint} by UMBRELLA_HTTP_SERVE_ADDR or http.listen"
    )
}

fn hint(kind: io::ErrorKind) -> &'static str {
    if kind == io::ErrorKind::AddrInUse {
        "another program uses it: stop that one, or choose another port"
    } else if kind == io::ErrorKind::PermissionDenied {
        "ports below 1024 need rights: choose another port"
    } else if kind == io::ErrorKind::AddrNotAvailable {
        "this machine has no such address: choose another one"
    } else {
        "choose another address"
    }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

/// What a listener serves.
#[derive(Debug, Clone)]
pub struct Service {
    /// The router.
    pub router: Router,
    /// Without it, plain HTTP is served.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Connections at a time.
    pub max_connections: usize,
    /// Proxies, which may have as many connections as they like.
    pub trusted: Vec<Cidr>,
    /// Whose doors these are.
    pub control: control::Handle,
}

/// Serves until the phase is [`Phase::Stopping`]; then no connection is accepted any more, and
/// each ends after the request that it is at. Returns when all have ended.
pub async fn serve(listener: TcpListener, service: Service, mut phase: watch::Receiver<Phase>) {
    let max = service.max_connections;
    let permits = Arc::new(Semaphore::new(max));
    let share = (max / SHARE_OF_ONE_ADDRESS).max(4);
    let connections = Arc::new(Connections::new(service, share, phase.clone()));
    loop {
        let accepted = tokio::select! {
            () = stopping(&mut phase) => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, peer, permit)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Some(place) = Place::take(&connections, peer.ip()) else {
            tracing::debug!(%peer, "too many connections from one address");
            connections.refused();
            continue;
        };
        let connections = Arc::clone(&connections);
        tasks::spawn(async move {
            connections.serve(stream, peer).await;
            drop((place, permit));
        });
    }
    drop(listener);
    let all = u32::try_from(max).unwrap_or(u32::MAX);
    let _ = permits.acquire_many(all).await;
}

type Permit = tokio::sync::OwnedSemaphorePermit;

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, Permit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            None
        }
    }
}
