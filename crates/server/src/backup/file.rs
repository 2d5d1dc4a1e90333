//! Where a backup goes: a file that is there as a whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::store::private_file;

/// A file in the making, beside the one that it is to become; gone unless it is finished.
#[derive(Debug)]
pub struct Target {
    writer: Option<BufWriter<File>>,
    temporary: PathBuf,
    path: PathBuf,
    force: bool,
}

/// Begins a file that only this user may read. An existing one is replaced with `force` only.
///
/// # Errors
///
/// If it exists, or cannot be written.
pub fn write_file(path: &Path, force: bool) -> anyhow::Result<Target> {
    let name = path.file_name().context("this is no name of a file")?;
    ensure!(!path.is_dir(), "{} is a directory", path.display());
    ensure!(force || !exists(path), already(path));
    let mut temporary = name.to_owned();
    temporary.push(format!(".{}.part", std::process::id()));
    let temporary = path.with_file_name(temporary);
    // Left by a process of the same number that was killed.
    let _ = std::fs::remove_file(&temporary);
    let file = private_file().create_new(true).open(&temporary);
    let file = file.with_context(|| format!("cannot write {}", temporary.display()))?;
    Ok(Target {
        writer: Some(BufWriter::new(file)),
        temporary,
        path: path.to_owned(),
        force,
    })
}

fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

fn already(path: &Path) -> String {
    format!("{} exists; --force replaces it", path.display())
}

impl Target {
    /// All of it is written: gives it its name.
    ///
    /// # Errors
    ///
    /// If it cannot be kept, or there is another file of this name by now.
    pub fn finish(mut self) -> anyhow::Result<()> {
        let what = || format!("cannot write {}", self.path.display());
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error);
        file.and_then(|file| file.sync_all()).with_context(what)?;
        if self.force {
            return std::fs::rename(&self.temporary, &self.path).with_context(what);
        }
        // A link, unlike a rename, replaces nothing that has come meanwhile.
        match std::fs::hard_link(&self.temporary, &self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                anyhow::bail!(already(&self.path))
            }
            // Some file systems, of memory sticks for one, have no links.
            Err(_) => {
                ensure!(!exists(&self.path), already(&self.path));
                std::fs::rename(&self.temporary, &self.path).with_context(what)
            }
        }
    }
}

impl io::Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.as_mut().map_or(Ok(0), |it| it.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), BufWriter::flush)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.temporary);
    }
}
