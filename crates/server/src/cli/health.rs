//! `umbrella health`: asks the server's own port, for probes in images that have nothing else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::print;
use crate::config::{Config, ConfigError, Environment, Listen};
use crate::tasks;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes that an answer may have; ours has less than ten.
const MAX_ANSWER: usize = 4096;

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// Ask whether clients may come, not only whether the server is alive.
    #[arg(long)]
    ready: bool,
}

/// Fails unless the server answers that all is well.
///
/// A server goes on with what it has read when its file gets a mistake, and must not be killed for
/// that: then it is looked for where the environment and the defaults say that it is.
pub(super) fn run(
    config: Result<Config, ConfigError>,
    env: &Environment,
    args: &HealthArgs,
) -> anyhow::Result<()> {
    config.map_or_else(
        |error| {
            let without = Config::load(Some(Path::new("/dev/null")), env)?;
            let answer = ask_server(&without, args);
            answer.map_err(|_| anyhow!(error).context("the server cannot be looked for"))
        },
        |config| ask_server(&config, args),
    )
}

fn ask_server(config: &Config, args: &HealthArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let (path, state) = match args.ready {
        true => ("/readyz", "ready"),
        false => ("/healthz", "alive"),
    };
    let path = format!("{}{path}", config.http.prefix);
    let asking = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, ask_any(config, &path))
            .await
            .map_err(|_| anyhow!("no answer within {} s", PATIENCE.as_secs()))?
    });
    let url = asking.with_context(|| format!("not {state}"))?;
    print(&format!("{state}: {url}"))
}

/// Where the server can be reached from this machine, best first.
fn places(listen: Listen) -> Vec<SocketAddr> {
    let (v4, v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
    let at = |ip: IpAddr| SocketAddr::new(ip, listen.port());
    match listen {
        Listen::All(_) => vec![at(v4), at(v6)],
        Listen::One(address) if !address.ip().is_unspecified() => vec![address],
        Listen::One(address) if address.is_ipv4() => vec![at(v4)],
        Listen::One(_) => vec![at(v6)],
    }
}

async fn ask_any(config: &Config, path: &str) -> anyhow::Result<String> {
    if config.http.listen.port() == 0 {
        bail!("the port is chosen by the system: give http.listen one, so that it can be asked");
    }
    let mut last = anyhow!("there is no address to ask");
    for place in places(config.http.listen) {
        let scheme = if config.cloud { "http" } else { "https" };
        let url = format!("{scheme}://{place}{path}");
        let what = || format!("cannot reach {url}");
        match TcpStream::connect(place).await.with_context(what) {
            Ok(stream) => {
                return ask(config, stream, place, path)
                    .await
                    .with_context(|| url.clone())
                    .map(|()| url);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn ask(
    config: &Config,
    stream: TcpStream,
    place: SocketAddr,
    path: &str,
) -> anyhow::Result<()> {
    if config.cloud {
        return speak(stream, place, path).await;
    }
    let connector = TlsConnector::from(Arc::new(client()?));
    let name = ServerName::IpAddress(place.ip().into());
    let stream = connector.connect(name, stream).await?;
    speak(stream, place, path).await
}

async fn speak<S>(stream: S, place: SocketAddr, path: &str) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tasks::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, place.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await;
    connection.abort();
    if status.is_success() {
        return Ok(());
    }
    let text = body.map(|body| body.to_bytes()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line: String = text
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(100)
        .collect();
    bail!("{status}: {}", line.escape_debug())
}

fn client() -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    Ok(config)
}

/// Believes any certificate. What is asked stays on this machine, holds no secret, and is answered
/// by a word; an operator's certificate is rarely for the name `localhost`.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_asks_an_address_at_which_nobody_listens() {
        let places =
            |listen| -> Vec<String> { places(listen).iter().map(SocketAddr::to_string).collect() };
        assert_eq!(places(Listen::All(81)), ["127.0.0.1:81", "[::1]:81"]);
        let one = |text: &str| places(Listen::One(text.parse().unwrap()));
        assert_eq!(one("0.0.0.0:81"), ["127.0.0.1:81"]);
        assert_eq!(one("[::]:81"), ["[::1]:81"]);
        assert_eq!(one("192.0.2.1:81"), ["192.0.2.1:81"]);
    }
}
