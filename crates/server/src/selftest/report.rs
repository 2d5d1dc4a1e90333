//! What has come of a test, in words and for scripts.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::Serialize;

use super::{Route, Stage, Step};
use crate::worker::Kernel;

/// Everything that was found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    version: &'static str,
    /// Processor and system that the binary was built for.
    target: String,
    /// In the order in which they were done; those that follow on one that has failed are left out.
    pub(super) stages: Vec<Outcome>,
    /// Whether the processor has instructions for AES; `None` if that is not known.
    aes_instructions: Option<bool>,
    /// Whether the machine has IPv6, as far as it can be seen without leaving it.
    pub(super) ipv6: bool,
    kernel: Option<Kernel>,
    /// What is not as good as it could be, and no failure.
    pub(super) remarks: Vec<String>,
}

/// One stage.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    stage: String,
    passed: bool,
    took_ms: f64,
    /// What there is to say; if it has failed, why.
    detail: String,
    /// If it has failed, what may help.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Faults => f.pad("faults"),
            Stage::Page => f.pad("page"),
            Stage::Tls => f.pad("TLS"),
            Stage::Database => f.pad("database"),
            Stage::Worker => f.pad("worker"),
            Stage::Call(route, step) => {
                let route = match route {
                    Route::Udp => "UDP",
                    Route::UdpOverV6 => "UDP over IPv6",
                    Route::Tcp => "TCP",
                };
                let step = match step {
                    Step::Ice => "ICE",
                    Step::Dtls => "DTLS",
                    Step::Audio => "audio",
                    Step::Video => "video",
                    Step::KeyFrame => "key frame",
                    Step::Data => "data",
                };
                f.pad(&format!("{route}: {step}"))
            }
        }
    }
}

impl Outcome {
    pub(super) fn passed(stage: Stage, took: Duration, detail: String) -> Outcome {
        Outcome {
            stage: stage.to_string(),
            passed: true,
            took_ms: ms(took),
            detail,
            advice: None,
        }
    }

    pub(super) fn failed(stage: Stage, took: Duration, why: String) -> Outcome {
        Outcome {
            passed: false,
            advice: Some(advice(stage)),
            ..Outcome::passed(stage, took, why)
        }
    }
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

fn advice(stage: Stage) -> &'static str {
    match stage {
        Stage::Page => {
            "Calls by SDKs work without the page. For the page, take a binary that was built by \
             `cargo xtask`, and copy it anew if it is damaged."
        }
        Stage::Faults => {
            "A fault in one call will end all of them. Please report this bug with all that is printed \
             here."
        }
        Stage::Tls => {
            "Is this the binary for this processor, and copied whole? If it is, this is a bug: please \
             report it with all that is printed here."
        }
        Stage::Database => {
            "Is there room on the disk, and does the file system know locks? Set TMPDIR to a directory \
             on another one to try there; the server will need such a place for UMBRELLA_DATA_DIR."
        }
        Stage::Worker => {
            "The worker needs a UDP and a TCP socket on this machine's own address 127.0.0.1: bring \
             the loopback interface up (`ip link set lo up`), allow more open files (`ulimit -n`), \
             and let a sandbox allow sockets, epoll and threads."
        }
        Stage::Call(_, Step::Ice) => {
            "Packets from this machine to itself do not arrive: bring the loopback interface up \
             (`ip link set lo up`), and let the packet filter (nftables, iptables, an endpoint \
             protection) accept all that goes over it."
        }
        Stage::Call(Route::Udp | Route::UdpOverV6, _) => {
            "Is this the binary for this processor, and copied whole, and does no packet filter drop \
             larger datagrams on the interface lo? If so, this is a bug: please report it with all \
             that is printed here."
        }
        Stage::Call(Route::Tcp, _) => {
            "Is this the binary for this processor, and copied whole? If UDP has passed, calls work \
             where UDP does. Please report this bug with all that is printed here."
        }
    }
}

/// One or two lines.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome {
            stage,
            passed,
            took_ms,
            detail,
            advice,
        } = self;
        let result = if *passed { "ok" } else { "FAILED" };
        let line = format!("{stage:26} {result:6} {took_ms:9.1} ms   {detail}");
        f.write_str(line.trim_end())?;
        if let Some(advice) = advice {
            write!(f, "\n    {advice}")?;
        }
        Ok(())
    }
}

impl Report {
    pub(super) fn new() -> Report {
        let mut report = Report {
            version: env!("CARGO_PKG_VERSION"),
            target: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
            stages: Vec::new(),
            aes_instructions: aes_instructions(),
            ipv6: false,
            kernel: None,
            remarks: Vec::new(),
        };
        if report.aes_instructions == Some(false) {
            report.remark(
                "The processor has no instructions for AES: media cost several times as much.",
            );
        }
        report
    }

    /// Whether there is IPv6 to try.
    pub(super) fn ipv6(&mut self, there: bool) {
        self.ipv6 = there;
        if !there {
            self.remark("This machine has no IPv6, not even to itself: clients come by IPv4 only.");
        }
    }

    pub(super) fn kernel(&mut self, kernel: Kernel) {
        self.kernel = Some(kernel);
        if !kernel.gso {
            self.remark(
                "The kernel does not send several datagrams as one (UDP GSO, since Linux 4.18): \
                 sending costs more.",
            );
        }
        if !kernel.gro {
            self.remark(
                "The kernel does not hand over several datagrams as one (UDP GRO, since Linux 5.0): \
                 receiving costs more.",
            );
        }
        if !kernel.receive_times {
            self.remark(
                "Datagrams do not say when they have arrived: while the processor is busy, \
                 bandwidth is taken for less than it is.",
            );
        }
        if kernel.receive_buffer < kernel.wanted_buffer {
            self.remarks.push(format!(
                "A socket holds {} KiB of the {} KiB that the server asks for, so that bursts are \
                 lost sooner: set net.core.rmem_max and net.core.wmem_max to {} (sysctl).",
                kernel.receive_buffer / 1024,
                kernel.wanted_buffer / 1024,
                kernel.wanted_buffer
            ));
        }
    }

    fn remark(&mut self, text: &str) {
        self.remarks.push(text.to_owned());
    }

    /// The stages that have failed, by name.
    pub(crate) fn failed(&self) -> Vec<&str> {
        let failed = self.stages.iter().filter(|it| !it.passed);
        failed.map(|it| it.stage.as_str()).collect()
    }

    /// What is said before the stages.
    pub(crate) fn head(version: &str) -> String {
        let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
        format!("Umbrella {version} for {arch} {os} tests itself on this machine.\n")
    }

    /// What is said after the stages.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::new();
        let yes = |it: bool| if it { "yes" } else { "no" };
        let aes = self.aes_instructions.map_or("not known", yes);
        // Writing to a string does not fail.
        let _ = writeln!(text, "AES instructions: {aes}");
        if let Some(kernel) = self.kernel {
            let Kernel {
                gso,
                gro,
                receive_times,
                ..
            } = kernel;
            let _ = writeln!(
                text,
                "Kernel: UDP GSO {}, UDP GRO {}, times of arrival {}, IPv6 {}",
                yes(gso),
                yes(gro),
                yes(receive_times),
                yes(self.ipv6)
            );
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "Remark: {remark}");
        }
        let failed = self.failed();
        match failed.is_empty() {
            true => text.push_str("All is well."),
            false => {
                let _ = write!(text, "Not well: {}.", failed.join(", "));
            }
        }
        text
    }
}

fn aes_instructions() -> Option<bool> {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let found = Some(std::arch::is_x86_feature_detected!("aes"));
    #[cfg(target_arch = "aarch64")]
    let found = Some(std::arch::is_aarch64_feature_detected!("aes"));
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    let found = None;
    found
}
