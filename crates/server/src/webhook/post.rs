//! One attempt to deliver an event: HTTP/1.1, with TLS if the address says so.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::courier::{Outcome, Post};
use super::event::Event;
use super::signature::Signer;
use crate::clock::unix_seconds;
use crate::config::WebhookUrl;
use crate::mdns::Lan;
use crate::tasks;
use crate::tls::system_roots;

/// How long an attempt may take, from looking up the name to the answer.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How long one of several addresses of a name may take to accept.
const CONNECT: Duration = Duration::from_millis(1500);

/// How long the rest of an answer may take whose status is known.
const REST: Duration = Duration::from_secs(1);

/// For how long an idle connection is used again: afterwards a router on the way may have
/// forgotten it.
const IDLE: Duration = Duration::from_secs(10);

/// Bytes of an answer's head, and of its body, that are read. What they say does not matter.
const ANSWER: usize = 64 * 1024;

/// Posts to one address.
#[derive(Debug)]
pub(super) struct Poster {
    url: WebhookUrl,
    signer: Signer,
    tls: Option<Arc<ClientConfig>>,
    lan: Lan,
    kept: Option<Connection>,
}

/// A connection that has carried something, or will at once.
#[derive(Debug)]
struct Connection {
    requests: SendRequest<Full<Bytes>>,
    /// When it was used last.
    used: Instant,
    task: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // An attempt that took too long must not go on by itself.
        self.task.abort();
    }
}

impl Post for Poster {
    async fn post(&mut self, event: &Event) -> Outcome {
        let authorization = match self.signer.sign(&event.body, unix_seconds()) {
            Ok(token) => token,
            Err(_) => return Outcome::Refused("the API key that signs was revoked".to_owned()),
        };
        match timeout(ATTEMPT, self.exchange(event, &authorization)).await {
            Ok(Ok(status)) => judge(status),
            Ok(Err(error)) => Outcome::Failed(format!("{error:#}")),
            Err(_) => Outcome::Failed(format!("no answer within {} s", ATTEMPT.as_secs())),
        }
    }
}

/// What cannot become better by itself is not repeated.
fn judge(status: StatusCode) -> Outcome {
    match status {
        _ if status.is_success() => Outcome::Delivered,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Outcome::Failed(format!("it answers {status}"))
        }
        _ if status.is_client_error() => Outcome::Refused(format!("it answers {status}")),
        _ if status.is_redirection() => {
            Outcome::Refused(format!("it answers {status}; redirects are not followed"))
        }
        _ => Outcome::Failed(format!("it answers {status}")),
    }
}

impl Poster {
    /// `tls` must be there if the address is `https://`.
    pub(super) fn new(
        url: WebhookUrl,
        signer: Signer,
        tls: Option<Arc<ClientConfig>>,
        lan: Lan,
    ) -> Poster {
        Poster {
            url,
            signer,
            tls,
            lan,
            kept: None,
        }
    }

    async fn exchange(&mut self, event: &Event, authorization: &str) -> anyhow::Result<StatusCode> {
        if let Some(kept) = self.kept.take()
            && kept.is_usable()
        {
            // The receiver may just have closed it, so this says nothing about the receiver.
            if let Ok(status) = self.send(kept, event, authorization).await {
                return Ok(status);
            }
        }
        let connection = self.connect().await?;
        self.send(connection, event, authorization).await
    }

    async fn send(
        &mut self,
        mut connection: Connection,
        event: &Event,
        authorization: &str,
    ) -> anyhow::Result<StatusCode> {
        let request = Request::post(self.url.path_and_query())
            .header(header::HOST, self.url.host_header())
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, "application/webhook+json")
            .header(header::USER_AGENT, "umbrella")
            .body(Full::new(event.body.clone()))?;
        connection.requests.ready().await?;
        let answer = connection.requests.send_request(request).await?;
        let status = answer.status();
        if drain(answer.into_body()).await {
            connection.used = Instant::now();
            self.kept = Some(connection);
        }
        Ok(status)
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = self.reach().await?;
        let Some(tls) = &self.tls else {
            return open(stream).await;
        };
        let name = ServerName::try_from(self.url.host().to_owned())?;
        let connector = TlsConnector::from(Arc::clone(tls));
        let stream = connector.connect(name, stream).await;
        open(stream.context("TLS")?).await
    }

    async fn reach(&self) -> anyhow::Result<TcpStream> {
        let (host, port) = (self.url.host(), self.url.port());
        let stream = self.lan.connect(host, port, CONNECT).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Connection {
    fn is_usable(&self) -> bool {
        !self.requests.is_closed() && self.used.elapsed() < IDLE
    }
}

async fn open<S>(stream: S) -> anyhow::Result<Connection>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (requests, connection) = Builder::new()
        .max_buf_size(ANSWER)
        .handshake(TokioIo::new(stream))
        .await?;
    let task = tasks::spawn(async move {
        // Whoever waits for an answer hears of it too.
        let _ = connection.await;
    });
    Ok(Connection {
        requests,
        used: Instant::now(),
        task,
    })
}

/// Reads an answer to its end, so that the connection can be used again; false if it is too long.
async fn drain(body: Incoming) -> bool {
    let all = Limited::new(body, ANSWER).collect();
    matches!(timeout(REST, all).await, Ok(Ok(_)))
}

/// How receivers are trusted.
pub(super) fn system_trust() -> anyhow::Result<Arc<ClientConfig>> {
    trust(system_roots())
}

fn trust(roots: RootCertStore) -> anyhow::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::auth::Authority;
    use crate::config::ConfiguredKey;

    fn poster(url: &str, tls: Option<Arc<ClientConfig>>) -> Poster {
        let key = ConfiguredKey {
            key: "umbrella-page".into(),
            secret: "a secret that is long enough".into(),
        };
        let authority = Arc::new(Authority::new(&key, &[]));
        let signer = Signer::new(authority, key.key);
        Poster::new(WebhookUrl::parse(url).unwrap(), signer, tls, Lan::default())
    }

    async fn post(poster: &mut Poster) -> Outcome {
        let event = Event {
            made: std::time::Instant::now(),
            body: Bytes::from_static(b"{}"),
        };
        poster.post(&event).await
    }

    /// Reads a request to its end.
    async fn take(stream: &mut (impl AsyncRead + Unpin)) {
        let mut request = Vec::new();
        while !request.ends_with(b"{}") {
            if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
                return;
            }
        }
    }

    /// Answers every connection with the same, whatever it says; the port.
    async fn receiver(answer: &'static [u8], again: usize) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                take(&mut stream).await;
                for _ in 0..again {
                    let _ = stream.write_all(answer).await;
                }
            }
        });
        port
    }

    #[tokio::test]
    async fn strange_answer_passes_for_success_or_holds_up_what_follows() {
        let endless: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nxxxxxxxxx";
        let cases: [(&[u8], usize, bool); 5] = [
            (b"HTTP/1.1 204 No Content\r\n\r\n", 1, true),
            (endless, 1, true),
            (endless, 10_000, true),
            (b"x-a: b\r\n", 100_000, false),
            (b"", 1, false),
        ];
        for (answer, again, good) in cases {
            let port = receiver(answer, again).await;
            let mut poster = poster(&format!("http://127.0.0.1:{port}/hook"), None);
            // The second one finds a connection that cannot be used again.
            for _ in 0..2 {
                let outcome = post(&mut poster).await;
                assert_eq!(outcome == Outcome::Delivered, good, "{outcome:?}");
                assert!(good || matches!(outcome, Outcome::Failed(_)));
            }
        }
    }

    #[tokio::test]
    async fn connection_that_is_closed_meanwhile_passes_for_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver = tokio::spawn(async move {
            let mut connections = 0;
            let mut taken = 0;
            while taken < 5 {
                let (mut stream, _) = listener.accept().await.unwrap();
                connections += 1;
                // Two on each, and no word to the third.
                for request in 0..3 {
                    take(&mut stream).await;
                    if request < 2 {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        stream.write_all(answer).await.unwrap();
                        taken += 1;
                    }
                    if taken == 5 {
                        break;
                    }
                }
            }
            connections
        });
        let mut poster = poster(&format!("http://127.0.0.1:{port}"), None);
        for _ in 0..5 {
            assert_eq!(post(&mut poster).await, Outcome::Delivered);
        }
        assert_eq!(receiver.await.unwrap(), 3, "connections are used again");
    }

    #[tokio::test]
    async fn receiver_of_an_unknown_authority_is_trusted() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate: CertificateDer<'static> = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(server));
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                take(&mut stream).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .await;
            }
        });
        let refused = post(&mut poster(&url, Some(system_trust().unwrap()))).await;
        assert!(
            matches!(&refused, Outcome::Failed(why) if why.starts_with("TLS")),
            "{refused:?}"
        );
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let trusted = post(&mut poster(&url, Some(trust(roots).unwrap()))).await;
        assert_eq!(trusted, Outcome::Delivered);
    }

    #[test]
    fn refusal_is_repeated_or_failure_is_not() {
        for (status, again) in [
            (404, false),
            (401, false),
            (307, false),
            (408, true),
            (429, true),
            (500, true),
            (503, true),
        ] {
            let outcome = judge(StatusCode::from_u16(status).unwrap());
            let expected = match again {
                true => matches!(outcome, Outcome::Failed(_)),
                false => matches!(outcome, Outcome::Refused(_)),
            };
            assert!(expected, "{status}: {outcome:?}");
        }
    }
}
