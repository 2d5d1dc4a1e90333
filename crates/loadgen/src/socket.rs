//! A WebSocket to a server, over TLS or not.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::{WebSocketStream, client_async};
use url::Url;

/// What a WebSocket runs on.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub(crate) type Socket = WebSocketStream<Box<dyn Stream>>;

/// Opens WebSockets to one server.
#[derive(Clone)]
pub(crate) struct Connector {
    url: Url,
    tls: Option<TlsConnector>,
}

impl Connector {
    /// `url` is `ws://…` or `wss://…`; with `insecure` any certificate will do.
    pub(crate) fn new(url: Url, insecure: bool) -> anyhow::Result<Connector> {
        let tls = match url.scheme() {
            "ws" | "http" => None,
            "wss" | "https" => Some(TlsConnector::from(Arc::new(tls_config(insecure)?))),
            other => bail!("{other}:// is not a WebSocket's address: use ws:// or wss://"),
        };
        Ok(Connector { url, tls })
    }

    /// Opens a WebSocket at `path_and_query`, below the path of the server's address.
    pub(crate) async fn open(
        &self,
        path_and_query: &str,
        subprotocol: Option<&'static str>,
    ) -> anyhow::Result<Socket> {
        let host = self.url.host_str().context("an address without a host")?;
        let port = self.url.port_or_known_default().unwrap_or(80);
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = ServerName::try_from(host.to_owned())?;
                Box::new(tls.connect(name, stream).await?)
            }
        };
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        let path = self.url.path().trim_end_matches('/');
        let address = format!("{scheme}://{host}:{port}{path}{path_and_query}");
        let mut request = address.into_client_request()?;
        if let Some(name) = subprotocol {
            let value = HeaderValue::from_static(name);
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, value);
        }
        Ok(client_async(request, stream).await?.0)
    }
}

fn tls_config(insecure: bool) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions()?;
    if insecure {
        let any = Arc::new(AnyCertificate(provider));
        let builder = builder.dangerous().with_custom_certificate_verifier(any);
        return Ok(builder.with_no_client_auth());
    }
    let roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    let builder = builder.with_root_certificates(roots);
    Ok(builder.with_no_client_auth())
}

/// Believes every server: for servers with a certificate of their own making.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
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
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
