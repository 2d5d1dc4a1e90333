//! Makes a backup, whether or not a server is running with the data.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rusqlite::{Connection, OpenFlags};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::manifest::{self, Listed, Manifest};
use super::{AUTHORITY_DIR, Part, copy};
use crate::config::Config;
use crate::store::{self, PENDING_NAME, private_file, schema};
use crate::tls;

/// How long a server that writes is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a certificate and its key are read until they belong together: they may be renewed at
/// the same moment.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// What it holds, for people.
    pub parts: Vec<&'static str>,
    /// Bytes of all of it, without the archive's own.
    pub size: u64,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// A part that is ready.
struct Ready {
    part: Part,
    size: u64,
    sha256: String,
    content: Content,
}

enum Content {
    Bytes(Vec<u8>),
    Snapshot(Snapshot),
}

/// Writes a backup of the server with this configuration.
///
/// # Errors
///
/// If there is nothing to back up, a part cannot be read, or the archive cannot be written.
pub fn make(config: &Config, out: impl Write) -> anyhow::Result<Made> {
    let mut warnings = Vec::new();
    let (schema, ready) = gather(config, &mut warnings)?;
    let now = OffsetDateTime::now_utc().truncate_to_second();
    let manifest = Manifest {
        format: manifest::FORMAT,
        schema,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: now.format(&Rfc3339).context("the clock is wrong")?,
        parts: ready.iter().map(Ready::listed).collect(),
    };
    let mtime = u64::try_from(now.unix_timestamp()).unwrap_or(0);
    let parts = ready.iter().map(|ready| ready.part.describe()).collect();
    let size = ready.iter().map(|ready| ready.size).sum();
    pack(&manifest, ready, mtime, out).context("cannot write the archive")?;
    Ok(Made {
        parts,
        size,
        warnings,
    })
}

fn gather(config: &Config, warnings: &mut Vec<String>) -> anyhow::Result<(i64, Vec<Ready>)> {
    let dir = &config.data_dir;
    ensure!(
        !dir.join(PENDING_NAME).exists(),
        "a restore into {} is going on, or was interrupted",
        dir.display()
    );
    let (schema, database) = database(dir)?;
    let mut ready = vec![database];
    let authority = dir.join(AUTHORITY_DIR);
    let files = (authority.join("ca.crt"), authority.join("ca.key"));
    if files.0.exists() && files.1.exists() {
        let (certificate, key) = pair(&files.0, &files.1)?.map_err(|why| {
            anyhow::anyhow!("the authority's certificate and key cannot be used: {why}")
        })?;
        ready.push(Ready::bytes(Part::AuthorityCertificate, certificate)?);
        ready.push(Ready::bytes(Part::AuthorityKey, key)?);
    }
    let acme = authority.join(tls::acme::FILE);
    if acme.exists() {
        ready.push(Ready::bytes(Part::Acme, read(&acme)?)?);
    }
    match tls::operators_files(config) {
        Ok(Some(files)) => match pair(&files.certificate, &files.private_key) {
            Ok(Ok((certificate, key))) => {
                ready.push(Ready::bytes(Part::Certificate, certificate)?);
                ready.push(Ready::bytes(Part::PrivateKey, key)?);
            }
            Ok(Err(why)) => warnings.push(format!("the own certificate is left out: {why}")),
            Err(why) => warnings.push(format!("the own certificate is left out: {why:#}")),
        },
        Ok(None) => {}
        Err(why) => warnings.push(format!("the own certificate is left out: {why}")),
    }
    if let Some(file) = &config.file {
        ready.push(Ready::bytes(Part::Configuration, read(file)?)?);
    }
    Ok((schema, ready))
}

impl Ready {
    fn bytes(part: Part, bytes: Vec<u8>) -> anyhow::Result<Ready> {
        let (size, sha256) = copy(&mut bytes.as_slice(), &mut std::io::sink())?;
        let content = Content::Bytes(bytes);
        Ok(Ready {
            part,
            size,
            sha256,
            content,
        })
    }

    fn listed(&self) -> Listed {
        Listed {
            name: self.part.name().to_owned(),
            size: self.size,
            sha256: self.sha256.clone(),
        }
    }
}

/// Reads a small file.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let what = || format!("cannot read {}", path.display());
    // All of these have the same bound.
    let most = Part::Configuration.most();
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(what)?;
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .with_context(what)?;
    ensure!(
        bytes.len() as u64 <= most,
        "{} has more than {most} bytes",
        path.display()
    );
    Ok(bytes)
}

type Pair = (Vec<u8>, Vec<u8>);

/// A certificate and its key; the inner error is that they do not belong together.
fn pair(certificate: &Path, key: &Path) -> anyhow::Result<Result<Pair, String>> {
    let mut looks = 0;
    loop {
        let both = (read(certificate)?, read(key)?);
        match tls::check_pair(&both.0, &both.1) {
            Ok(()) => return Ok(Ok(both)),
            Err(why) if looks == LOOKS => return Ok(Err(why)),
            Err(_) => looks += 1,
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// A copy of the database, in the data directory, removed when it is no longer needed.
struct Snapshot(PathBuf);

impl Drop for Snapshot {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The database as it is at one moment. What was deleted from it is not in the copy.
fn database(dir: &Path) -> anyhow::Result<(i64, Ready)> {
    let path = dir.join(store::FILE_NAME);
    ensure!(
        path.exists(),
        "there is no database in {}; say which data directory by --data-dir or UMBRELLA_DATA_DIR",
        dir.display()
    );
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let what = || format!("cannot read the database {}", path.display());
    let connection = Connection::open_with_flags(&path, flags).with_context(what)?;
    connection.busy_timeout(PATIENCE)?;
    let snapshot = Snapshot(dir.join(format!("backup-{}.db", std::process::id())));
    // Left by a process of the same number that was killed.
    let _ = std::fs::remove_file(&snapshot.0);
    // SQLite writes into an empty file, and it is to be nobody else's.
    let file = private_file().create_new(true).open(&snapshot.0);
    file.with_context(|| format!("cannot write {}", snapshot.0.display()))?;
    let name = snapshot.0.to_str().context("the path is not UTF-8")?;
    let copied = connection.execute("VACUUM INTO ?1", [name]);
    copied.with_context(what)?;
    drop(connection);
    let copy_of = Connection::open_with_flags(&snapshot.0, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let schema = schema::version(&copy_of).with_context(what)?;
    drop(copy_of);
    let (size, sha256) = copy(&mut File::open(&snapshot.0)?, &mut std::io::sink())?;
    let part = Part::Database;
    ensure!(
        size <= part.most(),
        "the database has {size} bytes, more than a backup holds"
    );
    let content = Content::Snapshot(snapshot);
    Ok((
        schema,
        Ready {
            part,
            size,
            sha256,
            content,
        },
    ))
}

fn pack(manifest: &Manifest, ready: Vec<Ready>, mtime: u64, out: impl Write) -> anyhow::Result<()> {
    let mut archive = tar::Builder::new(out);
    let text = serde_json::to_vec_pretty(manifest)?;
    append(
        &mut archive,
        manifest::NAME,
        text.len() as u64,
        mtime,
        text.as_slice(),
    )?;
    for Ready {
        part,
        size,
        content,
        ..
    } in ready
    {
        match content {
            Content::Bytes(bytes) => {
                append(&mut archive, part.name(), size, mtime, bytes.as_slice())?;
            }
            Content::Snapshot(file) => {
                append(&mut archive, part.name(), size, mtime, File::open(&file.0)?)?;
            }
        }
    }
    archive.into_inner()?.flush()?;
    Ok(())
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    name: &str,
    size: u64,
    mtime: u64,
    content: impl Read,
) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(mtime);
    archive.append_data(&mut header, name, content)
}
