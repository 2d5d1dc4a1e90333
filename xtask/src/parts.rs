//! What end-to-end tests are made of: browsers, a Python with the native SDK, a reverse proxy, a
//! relay, an authority.

use crate::cmd::{Cmd, which};
use crate::python::environment;
use crate::workspace::{root, target_dir};
use anyhow::{Result, bail};
use std::path::PathBuf;

/// Where each part is; `None` only when the caller said that parts may be missing.
pub(crate) struct Parts {
    chromium: Option<PathBuf>,
    firefox: Option<PathBuf>,
    python: Option<PathBuf>,
}

impl Parts {
    /// The variables by which the tests find the parts; a missing part has none.
    pub(crate) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let named = [
            ("CHROMIUM", &self.chromium),
            ("FIREFOX", &self.firefox),
            ("UMBRELLA_TEST_PYTHON", &self.python),
        ];
        named
            .into_iter()
            .filter_map(|(name, part)| Some((name, part.clone()?)))
            .collect()
    }
}

/// A browser: the variable that names it, its usual names, its Debian packages.
struct Browser {
    variable: &'static str,
    names: &'static [&'static str],
    packages: &'static [&'static str],
}

const CHROMIUM: Browser = Browser {
    variable: "CHROMIUM",
    names: &["chromium", "chromium-browser", "google-chrome"],
    packages: &["chromium", "fonts-dejavu-core"],
};
const FIREFOX: Browser = Browser {
    variable: "FIREFOX",
    names: &["firefox-esr", "firefox"],
    packages: &["firefox-esr"],
};

/// Programs that make and look into the tests' own networks and what is there, or that stand in for
/// an access point's shell, and their Debian packages.
const PROGRAMS: [(&str, &str); 8] = [
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("turnserver", "coturn"),
    ("openssl", "openssl"),
    ("busybox", "busybox"),
    ("shellcheck", "shellcheck"),
    // An authority that gives certificates by ACME.
    ("pebble", "pebble"),
    // Announces a machine's name on most desktops, and must get along with the server. Where services
    // are started, its package starts it.
    ("avahi-daemon", "avahi-daemon"),
];

/// What the tests' cameras are made of.
const CAMERA: [&str; 7] = [
    "gstreamer1.0-libav",
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-plugins-bad",
    "gstreamer1.0-plugins-ugly",
    "python3-gi",
    "gir1.2-gst-rtsp-server-1.0",
];

/// Ends well where the tests' cameras work: one element of each package.
const CAMERA_WORKS: &str = "import gi
gi.require_version('GstRtspServer', '1.0')
from gi.repository import Gst, GstRtspServer
Gst.init(None)
parts = 'avenc_aac videotestsrc rtph264pay h264parse x264enc'.split()
assert all(Gst.ElementFactory.find(part) for part in parts)";

/// Finds the parts and installs what is missing, or says exactly what to install.
pub(crate) fn prepare(skip_missing: bool) -> Result<Parts> {
    let mut missing = Vec::new();
    for browser in [&CHROMIUM, &FIREFOX] {
        if find(browser).is_none() {
            missing.extend(browser.packages);
        }
    }
    for (program, package) in PROGRAMS {
        let elsewhere = PathBuf::from("/usr/sbin").join(program);
        if which(program).is_none() && !elsewhere.exists() {
            missing.push(package);
        }
    }
    let camera = Cmd::new("camera", "/usr/bin/python3");
    if camera.args(["-c", CAMERA_WORKS]).probe().is_none() {
        missing.extend(CAMERA);
    }
    if !missing.is_empty()
        && let Err(error) = install_packages(&missing)
    {
        if !skip_missing {
            return Err(error);
        }
        eprintln!("  ! {error:#}; going on without");
    }
    let python = match python() {
        Err(error) if skip_missing => {
            eprintln!("  ! {error:#}; going on without");
            None
        }
        other => Some(other?),
    };
    Ok(Parts {
        chromium: find(&CHROMIUM),
        firefox: find(&FIREFOX),
        python,
    })
}

fn find(browser: &Browser) -> Option<PathBuf> {
    match std::env::var_os(browser.variable) {
        Some(path) if !path.is_empty() => Some(path.into()),
        _ => browser.names.iter().find_map(|name| which(name)),
    }
}

/// Installs Debian packages, or says which to install.
pub(crate) fn install_packages(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    let root = Cmd::new("user id", "id").arg("-u").probe().as_deref() == Some("0");
    if !root || which("apt-get").is_none() {
        bail!("missing: {list}. On Debian: apt-get install --no-install-recommends {list}");
    }
    let apt = |label: String| {
        Cmd::new(label, "apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-o", "DPkg::Lock::Timeout=300", "-q", "-y"])
    };
    apt("apt-get update".into()).arg("update").quiet()?;
    apt(format!("apt-get install {list}"))
        .args(["install", "--no-install-recommends"])
        .args(packages)
        .quiet()?;
    if packages.contains(&"coturn") {
        // The package starts it as a service, which nobody has asked for. There may be no systemd.
        let stop = Cmd::new("coturn's service", "systemctl");
        let _ = stop.args(["disable", "--now", "coturn"]).probe();
    }
    Ok(())
}

/// A virtual environment with what `e2e/requirements.txt` lists; its interpreter.
fn python() -> Result<PathBuf> {
    let venv = target_dir().join("e2e-python");
    let wanted = crate::workspace::read(&root().join("e2e/requirements.txt"))?;
    environment(&venv, &wanted, &["-r", "e2e/requirements.txt"])?;
    Ok(venv.join("bin/python3"))
}
