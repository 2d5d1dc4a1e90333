//! HTTPS to an ACME server, bounded in time and size: whatever it sends, it holds up nothing else.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;

use super::super::system_roots;
use crate::mdns::Lan;
use crate::tasks;

/// How long one of several addresses of a name may take to accept.
const CONNECT: Duration = Duration::from_secs(5);

/// How long one request may take, from looking up the name to the last byte.
const REQUEST: Duration = Duration::from_secs(30);

/// Bytes of an answer's head, and of its body.
const ANSWER: usize = 256 * 1024;

/// How long the server has asked to wait when it refused something. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(Arc<Mutex<Option<Duration>>>);

impl Asked {
    /// If it has.
    pub(super) fn wait(&self) -> Option<Duration> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The library does not tell of it where something is refused.
    fn note(&self, answer: &BytesResponse) {
        let status = answer.parts.status;
        if !status.is_client_error() && !status.is_server_error() {
            return;
        }
        if let Some(wait) = retry_after(&answer.parts.headers, SystemTime::now()) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(wait);
        }
    }
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    date.duration_since(now).ok()
}

/// Asks one thing at a time, each over a connection of its own: there are a dozen in two months.
pub(super) struct Https {
    lan: Lan,
    tls: Arc<ClientConfig>,
    asked: Asked,
}

impl Https {
    /// Trusts the system's authorities and those in `ca_file`. What is `asked` is noted there.
    ///
    /// # Errors
    ///
    /// If that file cannot be used.
    pub(super) async fn open(
        lan: Lan,
        ca_file: Option<PathBuf>,
        asked: Asked,
    ) -> anyhow::Result<Https> {
        let tls = tasks::spawn_blocking(move || trusting(ca_file.as_deref())).await??;
        let tls = Arc::new(tls);
        Ok(Https { lan, tls, asked })
    }
}

fn trusting(ca_file: Option<&Path>) -> anyhow::Result<ClientConfig> {
    let mut roots = system_roots();
    if let Some(path) = ca_file {
        let broken = || format!("acme.ca_file {} cannot be used", path.display());
        let mut found = 0;
        for authority in CertificateDer::pem_file_iter(path).with_context(broken)? {
            roots
                .add(authority.with_context(broken)?)
                .with_context(broken)?;
            found += 1;
        }
        anyhow::ensure!(found > 0, "{}: no certificate is in it", broken());
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

impl HttpClient for Https {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (lan, tls, asked) = (self.lan.clone(), Arc::clone(&self.tls), self.asked.clone());
        Box::pin(async move {
            let exchange = tokio::time::timeout(REQUEST, exchange(lan, tls, request));
            let answer = exchange.await.unwrap_or_else(|_| {
                let seconds = REQUEST.as_secs();
                Err(anyhow::anyhow!("no answer within {seconds} s"))
            });
            let answer = answer.map_err(|error| Error::Other(format!("{error:#}").into()))?;
            asked.note(&answer);
            Ok(answer)
        })
    }
}

async fn exchange(
    lan: Lan,
    tls: Arc<ClientConfig>,
    mut request: Request<BodyWrapper<Bytes>>,
) -> anyhow::Result<BytesResponse> {
    let uri = request.uri().clone();
    let secure = uri.scheme_str() == Some("https");
    anyhow::ensure!(secure, "the ACME server names an address without https://");
    let authority = uri.authority().context("an address without a host")?;
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority.port_u16().unwrap_or(443);
    let stream = lan
        .connect(&host, port, CONNECT)
        .await
        .with_context(|| format!("{authority} cannot be reached"))?;
    let connector = TlsConnector::from(tls);
    let stream = connector
        .connect(ServerName::try_from(host)?, stream)
        .await
        .with_context(|| format!("TLS with {authority}"))?;
    let (mut requests, connection) = http1::Builder::new()
        .max_buf_size(ANSWER)
        .handshake(TokioIo::new(stream))
        .await?;
    request
        .headers_mut()
        .insert(HOST, HeaderValue::from_str(authority.as_str())?);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = Uri::try_from(path)?;
    let answer = async {
        let (parts, body) = requests.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        Ok::<_, anyhow::Error>(BytesResponse {
            parts,
            body: Box::new(body),
        })
    };
    tokio::pin!(answer);
    tokio::pin!(connection);
    tokio::select! {
        answer = &mut answer => answer,
        // It has read all there is: what is left is in the answer's buffers.
        ended = &mut connection => {
            ended?;
            answer.await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn authority_that_asks_for_patience_is_not_heard() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(wait("86400"), Some(Duration::from_secs(86_400)));
        let date = httpdate::fmt_http_date(now + Duration::from_secs(90));
        assert_eq!(wait(&date), Some(Duration::from_secs(90)));
        assert_eq!(wait("-1"), None);
        assert_eq!(wait("tomorrow"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
