//! One connection: TLS or not, then HTTP/1.1.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::client::Arrival;
use super::serve::Service;
use super::state::{Phase, stopping};
use crate::auth::group;
use crate::tls::acme;

/// How long a connection may take to show its first byte, and then to finish the TLS handshake.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// How long the head of a request may take; also how long a connection may idle between requests.
const HEAD_DEADLINE: Duration = Duration::from_secs(20);

/// Bytes of a request's head: a client's first offer can travel in its URI.
const MAX_HEAD_BYTES: usize = 128 * 1024;

/// The first byte of a TLS connection: the content type "handshake" (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Connections {
    service: Service,
    /// Connections that one address may have.
    share: usize,
    phase: watch::Receiver<Phase>,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// One of the connections that an address may have; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Place {
    /// `None` if the address has as many as it may. Proxies stand for many people and are not
    /// counted.
    pub(super) fn take(connections: &Arc<Connections>, ip: IpAddr) -> Option<Self> {
        let address = group(ip);
        let trusted = connections
            .service
            .trusted
            .iter()
            .any(|net| net.contains(ip));
        let mut by_address = connections.counts();
        let count = by_address.entry(address).or_insert(0);
        if *count >= connections.share && !trusted {
            return None;
        }
        *count += 1;
        drop(by_address);
        Some(Self {
            connections: Arc::clone(connections),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.connections.counts();
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

impl Connections {
    pub(super) fn new(service: Service, share: usize, phase: watch::Receiver<Phase>) -> Self {
        Self {
            service,
            share,
            phase,
            by_address: Mutex::default(),
        }
    }

    /// Counts a connection that got no [`Place`].
    pub(super) fn refused(&self) {
        self.service.control.doors().refuse_connection();
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one connection to its end. Its errors are its own: they are logged and forgotten.
    pub(super) async fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.service.tls else {
            let arrival = Arrival { peer, tls: false };
            self.http(stream, arrival, self.service.router.clone())
                .await;
            return;
        };
        let mut first = [0];
        match timeout(HANDSHAKE_DEADLINE, stream.peek(&mut first)).await {
            Ok(Ok(1)) => {}
            Ok(Ok(_) | Err(_)) | Err(_) => return,
        }
        if first[0] != TLS_HANDSHAKE {
            let arrival = Arrival { peer, tls: false };
            self.http(stream, arrival, Router::new().fallback(use_tls))
                .await;
            return;
        }
        let acceptor = TlsAcceptor::from(Arc::clone(tls));
        match timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await {
            // An authority that looks whether this is the server of a name has seen enough.
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(acme::PROTOCOL) => {
                tracing::debug!(%peer, "an ACME challenge was answered");
            }
            Ok(Ok(stream)) => {
                let arrival = Arrival { peer, tls: true };
                self.http(stream, arrival, self.service.router.clone())
                    .await;
            }
            // Mostly browsers that do not trust the certificate yet.
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        }
    }

    async fn http<S>(&self, stream: S, arrival: Arrival, router: Router)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(arrival);
            let router = router.clone();
            async move { Ok::<_, Infallible>(route(router, request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        let mut phase = self.phase.clone();
        tokio::select! {
            result = connection.as_mut() => log_end(result, arrival.peer),
            () = stopping(&mut phase) => {
                connection.as_mut().graceful_shutdown();
                log_end(connection.await, arrival.peer);
            }
        }
    }
}

async fn route(router: Router, request: hyper::Request<Incoming>) -> Response {
    match router.oneshot(request.map(axum::body::Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn log_end(result: Result<(), hyper::Error>, peer: SocketAddr) {
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

/// What plain HTTP gets at a TLS port: the way to the right door. The query is kept, for links;
/// it has come in the clear already.
async fn use_tls(headers: HeaderMap, request: Request) -> Response {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let readable = *request.method() == Method::GET || *request.method() == Method::HEAD;
    match (host, request.uri().path_and_query()) {
        (Some(host), Some(path)) if readable && is_host(host) => {
            Redirect::permanent(&format!("https://{host}{path}")).into_response()
        }
        _ => (
            StatusCode::BAD_REQUEST,
            "This port speaks HTTPS: use https:// or wss:// in the address.\n",
        )
            .into_response(),
    }
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
}
