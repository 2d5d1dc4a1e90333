//! Starts the binary in a directory of its own and speaks HTTP with it.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A bound on waiting for what must come; nothing is measured with it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The binary.
const UMBRELLA: &str = env!("CARGO_BIN_EXE_umbrella");

/// A command of the binary that sees nothing of this process's environment.
pub(crate) fn umbrella(dir: &Path) -> Command {
    ours(Command::new(UMBRELLA), dir)
}

/// The server at a terminal, which is util-linux's `script`: what it shows is the command's output.
pub(crate) fn umbrella_at_terminal(dir: &Path) -> Command {
    let mut script = Command::new("script");
    script.args(["--quiet", "--flush", "--command", UMBRELLA, "/dev/null"]);
    ours(script, dir)
}

fn ours(mut command: Command, dir: &Path) -> Command {
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("UMBRELLA_DATA_DIR", dir.join("data"))
        .env("UMBRELLA_HTTP_SERVE_ADDR", "127.0.0.1:0")
        // Tests are nobody's neighbours.
        .env("UMBRELLA_MDNS", "0")
        .env("UMBRELLA_MIN_PORT", "42000")
        .env("UMBRELLA_WORKERS", "1")
        .current_dir(dir);
    command
}

/// Runs a command that is expected to end by itself.
pub(crate) fn run(command: &mut Command) -> Output {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let end = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("it did not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// What a command says when it refuses to work.
pub(crate) fn refusal(command: &mut Command) -> String {
    let output = run(command);
    assert!(!output.status.success(), "it was expected to fail");
    String::from_utf8(output.stderr).unwrap()
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) greeting: String,
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Plain HTTP.
    pub(crate) fn cloud() -> Self {
        Self::start(tempfile::tempdir().unwrap(), &[("UMBRELLA_CLOUD", "1")])
    }

    pub(crate) fn start(dir: tempfile::TempDir, env: &[(&str, &str)]) -> Self {
        let log = dir.path().join("log");
        let mut child = umbrella(dir.path())
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut greeting = String::new();
        // The message has an empty line after its head and one at its end.
        let mut empty = 0;
        while empty < 2 {
            let Some(Ok(line)) = lines.next() else {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("the server did not start: {greeting}{log}");
            };
            empty += usize::from(line.is_empty());
            greeting.push_str(&line);
            greeting.push('\n');
        }
        let port = greeting
            .split("://localhost:")
            .nth(1)
            .unwrap()
            .split('/')
            .next()
            .unwrap();
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap())),
            child,
            dir,
            greeting,
            log,
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The code of a one-time link.
    pub(crate) fn setup_code(&self) -> String {
        let output = run(umbrella(self.dir.path()).arg("admin-link"));
        let link = String::from_utf8(output.stdout).unwrap();
        link.split("#/setup/").nth(1).unwrap().trim().to_owned()
    }

    /// A request over plain HTTP.
    pub(crate) fn call(&self, method: &str, path: &str) -> Call<'_> {
        Call {
            server: self,
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// What of it is in memory.
    pub(crate) fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.unwrap().trim().strip_suffix(" kB").unwrap();
        kib.parse::<u64>().unwrap() / 1024
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, which: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([which, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Asks it to end, which it must do without complaint; its directory stays.
    pub(crate) fn terminate(mut self) -> tempfile::TempDir {
        self.signal("-TERM");
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{}", self.log());
                return std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
            }
            assert!(Instant::now() < end, "it did not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        if !std::thread::panicking() {
            assert!(!log.contains("panicked"), "{log}");
        }
    }
}

/// A request in the making.
pub(crate) struct Call<'a> {
    server: &'a Server,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Call<'_> {
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string());
        self.header("content-type", "application/json")
    }

    pub(crate) fn send(self) -> Reply {
        let stream = TcpStream::connect(self.server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
            self.method, self.path, self.server.address
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = self.body.unwrap_or_default();
        head.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        exchange(stream, &head)
    }
}

/// Sends a request that asks for the connection to be closed, and reads the answer.
pub(crate) fn exchange(mut stream: impl Read + Write, request: &str) -> Reply {
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    // A server that refuses a body early may reset the connection after its answer.
    let _ = stream.read_to_end(&mut bytes);
    Reply::parse(&bytes)
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap_or((line, "")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self {
            status,
            headers,
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map_or("", |(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The body; the status must be the expected one.
    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        serde_json::from_slice(&self.body).unwrap()
    }
}
