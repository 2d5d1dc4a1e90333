//! Images for containers, from `deploy/docker/Dockerfile` and a binary that is there: by buildah, which
//! needs neither a service nor a base image.

use super::build::work_dir;
use super::target::Target;
use crate::cmd::{Cmd, which};
use crate::workspace::root;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

const BUILDAH: [&str; 2] = ["buildah", "runc"];

/// An image, in a store of its own.
pub(crate) struct Image {
    name: String,
    store: PathBuf,
}

impl Image {
    /// Builds it of a binary. `time`, in seconds since 1970, is that of all files.
    pub(crate) fn build(target: &Target, binary: &Path, time: u64) -> Result<Self> {
        if which("buildah").is_none() {
            crate::parts::install_packages(&BUILDAH)?;
        }
        let image = Self {
            name: format!("umbrella:{}", env!("CARGO_PKG_VERSION")),
            store: work_dir().join("images"),
        };
        let context = work_dir().join("image");
        let _ = std::fs::remove_dir_all(&context);
        std::fs::create_dir_all(&context)?;
        std::fs::copy(binary, context.join("umbrella"))
            .with_context(|| format!("copying {}", binary.display()))?;
        image
            .buildah(format!("{}: image", target.name))
            .args(["build", "--isolation", "chroot", "--format", "docker"])
            .args(["--build-arg", "BINARY=given", "--no-cache"])
            .args(["--platform", target.platform, "--tag", &image.name])
            .args(["--timestamp", &time.to_string(), "--file"])
            .arg(root().join("deploy/docker/Dockerfile"))
            .arg(&context)
            .quiet()?;
        Ok(image)
    }

    /// Writes what `docker load` and `podman load` read.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        // There may be an older one, which is not overwritten.
        let _ = std::fs::remove_file(file);
        let to = format!("docker-archive:{}:{}", file.display(), self.name);
        self.buildah(format!("image in {}", file.display()))
            .args(["push", &self.name, &to])
            .quiet()?;
        Ok(())
    }

    /// Runs a command in a container of it: as its user, with its variables, and nothing else there.
    pub(crate) fn run(&self, words: &[&str]) -> Result<()> {
        let from = self.buildah("container");
        let container = from.args(["from", "--pull-never", &self.name]).quiet()?;
        let container = container.trim();
        let run = self.buildah(format!("in the image: umbrella {}", words.join(" ")));
        let done = run
            .args(["run", "--isolation", "chroot", container, "--", "/umbrella"])
            .args(words)
            .quiet();
        let _ = self.buildah("rm").args(["rm", container]).probe();
        done.map(|_| ())
    }

    fn buildah(&self, label: impl Into<String>) -> Cmd {
        // Works without the overlay file system, so inside of containers too.
        Cmd::new(label, "buildah")
            .args(["--storage-driver", "vfs", "--root"])
            .arg(&self.store)
            .arg("--runroot")
            .arg(self.store.join("run"))
    }
}
