//! Servers to measure, and the synthetic participants that measure them: each run gets a fresh
//! server on loopback.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cmd::cargo;
use crate::workspace::target_dir;

/// The API key that the server under test knows.
pub(crate) const KEY: &str = "benchkey";
pub(crate) const SECRET: &str = "a secret that only benchmarks use";

/// TCP ports on loopback.
const UMBRELLA_PORT: u16 = 18_473;
const JANUS_PORT: u16 = 18_474;
const SOAKED_PORT: u16 = 18_475;
const FAR_PORT: u16 = 18_476;

/// The first ports for media, of which each server has a thousand.
const UMBRELLA_MEDIA: u16 = 46_000;
const SOAKED_MEDIA: u16 = 47_000;
const FAR_MEDIA: u16 = 48_000;

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// How programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As it is shipped.
    Release,
    /// As the tests have built most of it already.
    Debug,
}

/// What is measured, and what measures.
pub(crate) struct Binaries {
    pub(crate) server: PathBuf,
    pub(crate) loadgen: PathBuf,
}

impl Binaries {
    /// Builds them, or takes those that are there.
    pub(crate) fn make(profile: Profile, build: bool) -> Result<Binaries> {
        match profile {
            _ if !build => {}
            Profile::Release => {
                // One after the other, so that the server has the features that it is shipped with.
                for package in ["umbrella", "umbrella-loadgen"] {
                    cargo(format!("{package}, release build"))
                        .args(["build", "--release", "--package", package])
                        .run()?;
                }
            }
            Profile::Debug => cargo("umbrella and umbrella-loadgen, debug build")
                // Both have tests, which have built them with the tests' features.
                .args(["build", "--workspace", "--tests"])
                .run()?,
        }
        let folder = match profile {
            Profile::Release => "release",
            Profile::Debug => "debug",
        };
        let binary = |name: &str| {
            let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
            target_dir().join(folder).join(name)
        };
        Ok(Binaries {
            server: binary("umbrella"),
            loadgen: binary("umbrella-loadgen"),
        })
    }
}

/// A running server; it is ended when this is dropped.
pub(crate) struct Server {
    child: Child,
    /// What the load generator is told about it.
    pub(crate) args: Vec<String>,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended by itself.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Starts ours.
    pub(crate) fn umbrella(binary: &Path, dir: &Path) -> Result<Server> {
        let command = Server::umbrella_at(UMBRELLA_PORT, UMBRELLA_MEDIA, binary, dir);
        Server::start_umbrella(command, UMBRELLA_PORT, dir)
    }

    /// Starts ours with cameras: the value of `UMBRELLA_CAMERAS`.
    pub(crate) fn with_cameras(binary: &Path, dir: &Path, cameras: &str) -> Result<Server> {
        let mut command = Server::umbrella_at(UMBRELLA_PORT, UMBRELLA_MEDIA, binary, dir);
        command.env("UMBRELLA_CAMERAS", cameras);
        Server::start_umbrella(command, UMBRELLA_PORT, dir)
    }

    /// What ours, which was started in `dir`, answers on its command line.
    pub(crate) fn ask(binary: &Path, dir: &Path, words: &[&str]) -> Result<String> {
        let command = Server::umbrella_command(UMBRELLA_PORT, UMBRELLA_MEDIA, binary, dir);
        ask(command, words)
    }

    /// Starts ours so that it can be soaked while another one is measured. Rooms go soon after the
    /// last participant, so that many do.
    ///
    /// The C library's allocator is told to keep one heap for all threads, and to give back what it
    /// can (mallopt(3); other C libraries ignore it). Otherwise memory depends on how rooms happen
    /// to lie on workers: what one of them has freed, the other one's heap cannot use.
    pub(crate) fn soaked(binary: &Path, dir: &Path) -> Result<Server> {
        let mut command = Server::umbrella_at(SOAKED_PORT, SOAKED_MEDIA, binary, dir);
        command
            .env("UMBRELLA_ROOMS_EMPTY_TIMEOUT_S", "5")
            .env("UMBRELLA_ROOMS_DEPARTURE_TIMEOUT_S", "5")
            .env("MALLOC_ARENA_MAX", "1")
            .env("MALLOC_TRIM_THRESHOLD_", "0")
            .env("MALLOC_TOP_PAD_", "0")
            .env("MALLOC_MMAP_THRESHOLD_", "16384");
        Server::start_umbrella(command, SOAKED_PORT, dir)
    }

    fn umbrella_at(port: u16, media: u16, binary: &Path, dir: &Path) -> Command {
        // What an earlier run left behind, if any.
        let _ = std::fs::remove_dir_all(dir.join("data"));
        Server::umbrella_command(port, media, binary, dir)
    }

    /// Ours with its settings, to be started or, with arguments, to speak with the one that runs.
    ///
    /// All synthetic participants come from one address and at once, so the bounds that protect a
    /// server from that are lifted.
    fn umbrella_command(port: u16, media: u16, binary: &Path, dir: &Path) -> Command {
        let data = dir.join("data");
        let mut command = Command::new(binary);
        command
            .env_clear()
            .env("HOME", &data)
            .env("UMBRELLA_CLOUD", "1")
            .env("UMBRELLA_DATA_DIR", &data)
            .env("UMBRELLA_HTTP_SERVE_ADDR", format!("127.0.0.1:{port}"))
            .env("UMBRELLA_PUBLIC_IP", "127.0.0.1")
            .env("UMBRELLA_ADVERTISE_LAN", "0")
            .env("UMBRELLA_MIN_PORT", media.to_string())
            .env("UMBRELLA_MAX_PORT", (media + 999).to_string())
            .env("UMBRELLA_KEYS", format!("{KEY}: {SECRET}"))
            .env("UMBRELLA_LIMIT_SOCKETS_PER_ADDRESS", "4096")
            .env("UMBRELLA_LIMIT_PARTICIPANTS_PER_ROOM", "0")
            .env("UMBRELLA_LIMIT_MESSAGES_PER_SECOND", "10000")
            .env("UMBRELLA_LIMIT_OFFERS_PER_MINUTE", "100000")
            .env("UMBRELLA_LOG", "warn");
        command
    }

    fn start_umbrella(command: Command, port: u16, dir: &Path) -> Result<Server> {
        let url = format!("ws://127.0.0.1:{port}");
        let args = vec!["--url".into(), url];
        start(command, &dir.join("umbrella.log"), port, args)
    }

    /// Starts Janus with its video room and nothing else.
    pub(crate) fn janus(binary: &Path, dir: &Path) -> Result<Server> {
        let config = dir.join("janus");
        std::fs::create_dir_all(&config)?;
        let write = |name: &str, text: String| {
            let path = config.join(name);
            std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
        };
        write("janus.jcfg", janus_config())?;
        let transport = format!(
            "general: {{ json = \"compact\"; ws = true; ws_port = {JANUS_PORT}; \
             ws_ip = \"127.0.0.1\"; wss = false; }}\n"
        );
        write("janus.transport.websockets.jcfg", transport)?;
        write("janus.plugin.videoroom.jcfg", "general: { }\n".into())?;
        let mut command = Command::new(binary);
        command.arg("--configs-folder").arg(&config).args([
            "--debug-level",
            "2",
            "--disable-colors",
        ]);
        let args = vec![
            "--url".into(),
            format!("ws://127.0.0.1:{JANUS_PORT}"),
            "--dialect".into(),
            "janus".into(),
            "--bind".into(),
            own_address()?.to_string(),
        ];
        start(command, &dir.join("janus.log"), JANUS_PORT, args)
    }
}

/// Two of ours. The far one dials the near one when it is told to, and keeps the link from then on.
pub(crate) struct Pair {
    pub(crate) near: Server,
    pub(crate) far: Server,
    binary: PathBuf,
    near_dir: PathBuf,
    far_dir: PathBuf,
}

impl Pair {
    /// Starts both; they are not linked.
    pub(crate) fn start(binary: &Path, dir: &Path) -> Result<Pair> {
        let (near_dir, far_dir) = (dir.join("near"), dir.join("far"));
        let server = |port, media, dir: &Path| {
            std::fs::create_dir_all(dir)?;
            let command = Server::umbrella_at(port, media, binary, dir);
            Server::start_umbrella(command, port, dir)
        };
        Ok(Pair {
            near: server(UMBRELLA_PORT, UMBRELLA_MEDIA, &near_dir)?,
            far: server(FAR_PORT, FAR_MEDIA, &far_dir)?,
            binary: binary.to_owned(),
            near_dir,
            far_dir,
        })
    }

    /// What the load generator is told if those who watch join the far one.
    pub(crate) fn args(&self) -> Vec<String> {
        let far = ["--watch-url".into(), format!("ws://127.0.0.1:{FAR_PORT}")];
        self.near.args.iter().cloned().chain(far).collect()
    }

    /// A join secret of the near one.
    pub(crate) fn allow(&self) -> Result<String> {
        let near =
            Server::umbrella_command(UMBRELLA_PORT, UMBRELLA_MEDIA, &self.binary, &self.near_dir);
        ask(near, &["trunk", "allow", "--name", "far"])
    }

    /// Lets the far one dial; does not wait for it.
    pub(crate) fn dial(&self, secret: &str) -> Result<()> {
        let url = format!("http://127.0.0.1:{UMBRELLA_PORT}");
        self.ask_far(&["trunk", "add", &url, "--secret", secret])?;
        Ok(())
    }

    /// Links them, and waits until the link is up.
    pub(crate) fn link(&self) -> Result<()> {
        self.dial(&self.allow()?)?;
        let end = Instant::now() + PATIENCE;
        while !self.ask_far(&["trunk", "list"])?.contains(": connected") {
            if Instant::now() > end {
                bail!("no link: see {}", self.far_dir.display());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn ask_far(&self, words: &[&str]) -> Result<String> {
        let far = Server::umbrella_command(FAR_PORT, FAR_MEDIA, &self.binary, &self.far_dir);
        ask(far, words)
    }
}

/// What a running server of ours answers on its command line.
fn ask(mut command: Command, words: &[&str]) -> Result<String> {
    let output = command.args(words).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        // Not all of them: one may be a secret.
        let what = words.iter().take(2).copied().collect::<Vec<_>>();
        bail!("umbrella {}: {why}", what.join(" "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// An address of this machine other than loopback: Janus offers no candidates there. Datagrams to
/// it stay inside of the machine all the same.
fn own_address() -> Result<IpAddr> {
    let probe = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // Nothing is sent: this only looks up the route to an address that nobody has (RFC 5737).
    probe
        .connect((Ipv4Addr::new(198, 51, 100, 1), 9))
        .context("Janus needs a network interface besides loopback")?;
    Ok(probe.local_addr()?.ip())
}

/// What is needed to forward, and ports that do not clash with others.
fn janus_config() -> String {
    "general: { admin_secret = \"bench\"; }\n\
     certificates: { dtls_accept_selfsigned = true; }\n\
     media: { rtp_port_range = \"30000-39999\"; }\n\
     nat: { full_trickle = false; ice_lite = true; }\n\
     plugins: { disable = \"libjanus_audiobridge.so,libjanus_echotest.so,libjanus_recordplay.so,\
            libjanus_sip.so,libjanus_nosip.so,libjanus_streaming.so,libjanus_textroom.so,\
            libjanus_videocall.so,libjanus_voicemail.so,libjanus_lua.so,libjanus_duktape.so\"; }\n\
     transports: { disable = \"libjanus_http.so,libjanus_pfunix.so,libjanus_rabbitmq.so,\
            libjanus_mqtt.so,libjanus_nanomsg.so\"; }\n"
        .to_owned()
}

fn start(mut command: Command, log: &Path, port: u16, args: Vec<String>) -> Result<Server> {
    if TcpStream::connect(("127.0.0.1", port)).is_ok() {
        bail!("somebody listens on port {port} already: end it first");
    }
    let out = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()
        .with_context(|| format!("starting {}", command.get_program().display()))?;
    let mut server = Server { child, args };
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if let Some(status) = server.child.try_wait()? {
            bail!("the server ended ({status}): see {}", log.display());
        }
        if Instant::now() > end {
            bail!("the server does not listen: see {}", log.display());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // Memory before anybody joins is read from a server that has come to rest.
    std::thread::sleep(Duration::from_millis(500));
    Ok(server)
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
