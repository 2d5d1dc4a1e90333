//! TLS, the local authority, and certificates of the operator.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::{PATIENCE, Reply, Server, exchange, refusal, umbrella};

fn secure() -> Server {
    Server::start(tempfile::tempdir().unwrap(), &[])
}

/// A request by a client that trusts one authority only.
fn get(server: &Server, root: &CertificateDer<'static>, path: &str) -> Result<Reply, String> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    while connection.is_handshaking() {
        connection
            .complete_io(&mut stream)
            .map_err(|error| error.to_string())?;
    }
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    Ok(exchange(StreamOwned::new(connection, stream), &request))
}

fn authority(server: &Server) -> CertificateDer<'static> {
    use rustls::pki_types::pem::PemObject as _;
    let path = server.dir.path().join("data/tls/ca.crt");
    CertificateDer::from_pem_file(path).unwrap()
}

#[test]
fn a_device_that_trusts_the_authority_trusts_the_server() {
    let server = secure();
    assert!(
        server.greeting.contains("https://localhost:"),
        "{}",
        server.greeting
    );
    let root = authority(&server);
    let served = get(&server, &root, "/ca.crt").unwrap();
    assert_eq!(served.header("content-type"), "application/x-x509-ca-cert");
    assert_eq!(served.body, root.as_ref());
    let guide = get(&server, &root, "/trust").unwrap().text();
    assert!(guide.contains("iPhone") && guide.contains("/ca.mobileconfig"));
    let profile = get(&server, &root, "/ca.mobileconfig").unwrap();
    assert_eq!(
        profile.header("content-type"),
        "application/x-apple-aspen-config"
    );
}

#[test]
fn plain_http_at_the_tls_port_is_shown_the_way() {
    let server = secure();
    let reply = server.call("GET", "/sfu?x=1").send();
    assert_eq!(reply.status, 308);
    assert_eq!(
        reply.header("location"),
        format!("https://{}/sfu?x=1", server.address)
    );
    let reply = server.call("POST", "/api/login").send();
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("https://"));
}

fn write_certificate(dir: &Path) -> CertificateDer<'static> {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::NoCa;
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(dir.join("service.key"), key.serialize_pem()).unwrap();
    std::fs::write(dir.join("service.crt"), certificate.pem()).unwrap();
    certificate.der().clone()
}

#[test]
fn files_of_the_operator_win_and_are_reloaded_when_they_change() {
    let dir = tempfile::tempdir().unwrap();
    let first = write_certificate(dir.path());
    let server = Server::start(dir, &[]);
    let reply = get(&server, &first, "/ca.crt").unwrap();
    assert_eq!(reply.status, 404);
    // Modification times may be coarse.
    std::thread::sleep(Duration::from_millis(20));
    let second = write_certificate(server.dir.path());
    let end = Instant::now() + PATIENCE;
    while let Err(error) = get(&server, &second, "/healthz") {
        assert!(Instant::now() < end, "{error}");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(get(&server, &first, "/healthz").is_err());
}

#[test]
fn half_a_certificate_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    write_certificate(dir.path());
    std::fs::remove_file(dir.path().join("service.key")).unwrap();
    let text = refusal(&mut umbrella(dir.path()));
    assert!(
        text.contains("service.key") && text.contains("missing"),
        "{text}"
    );
}
