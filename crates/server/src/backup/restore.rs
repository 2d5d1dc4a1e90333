//! Brings a backup back. Everything is unpacked and checked aside before anything is changed.

use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use rusqlite::{Connection, OpenFlags};
use time::OffsetDateTime;
use time::macros::format_description;

use super::manifest::{self, Listed, Manifest};
use super::{AUTHORITY_DIR, OPERATOR_DIR, Part, copy};
use crate::store::{self, DataDir, PENDING_NAME, private_file, schema};
use crate::tls;

/// Where a backup is unpacked until all of it has been checked.
const UNFINISHED_NAME: &str = "restore-unfinished";

/// Everything in a data directory that is replaced: the database goes with what SQLite has beside it.
const REPLACED: [&str; 6] = [
    store::FILE_NAME,
    "umbrella.db-wal",
    "umbrella.db-shm",
    "umbrella.db-journal",
    AUTHORITY_DIR,
    OPERATOR_DIR,
];

/// What was brought back.
#[derive(Debug)]
pub struct Restored {
    /// When the backup was made, RFC 3339.
    pub created_at: String,
    /// By which version.
    pub program: String,
    /// What it held, for people.
    pub parts: Vec<&'static str>,
    /// Where the state of before is now.
    pub replaced: Option<PathBuf>,
    /// Where files are that were not in the data directory before.
    pub operator: Option<PathBuf>,
}

/// Brings a backup back into a data directory. One that has content is only touched with `force`,
/// and what was there is kept.
///
/// # Errors
///
/// If a server uses the directory, it has content, or the archive is damaged, of a newer version,
/// or no backup; nothing is changed then.
pub fn restore(dir: &Path, input: impl Read, force: bool) -> anyhow::Result<Restored> {
    let is_new = !dir.exists();
    let claimed = DataDir::claim(dir)?;
    let staging = dir.join(UNFINISHED_NAME);
    let restored = replace(&claimed, &staging, input, force);
    if restored.is_err() {
        let _ = std::fs::remove_dir_all(&staging);
        if is_new {
            let _ = std::fs::remove_file(claimed.lock_path());
            let _ = std::fs::remove_dir(dir);
        }
    }
    restored
}

fn replace(
    claimed: &DataDir,
    staging: &Path,
    input: impl Read,
    force: bool,
) -> anyhow::Result<Restored> {
    let dir = claimed.path();
    let pending = dir.join(PENDING_NAME);
    let old = content(dir);
    if !force && (!old.is_empty() || pending.exists()) {
        bail!(
            "there is a server's state in {} already; --force replaces it, and keeps it",
            dir.display()
        );
    }
    let _ = std::fs::remove_dir_all(staging);
    let (manifest, parts) = unpack(input, staging).context("this backup cannot be used")?;
    check(&manifest, &parts, staging).context("this backup cannot be used")?;
    give_to_owner(claimed, &parts, staging)?;
    let what = || format!("cannot replace what is in {}", dir.display());
    let _ = std::fs::remove_dir_all(&pending);
    // From here on, until this is gone, no server starts with what is half-way.
    std::fs::rename(staging, &pending).with_context(what)?;
    sync(dir).with_context(what)?;
    let replaced = set_aside(dir, &old).with_context(what)?;
    for name in REPLACED {
        let (from, to) = (pending.join(name), dir.join(name));
        if from.exists() {
            std::fs::rename(from, to).with_context(what)?;
        }
    }
    sync(dir).with_context(what)?;
    std::fs::remove_dir_all(&pending).with_context(what)?;
    let operator = dir.join(OPERATOR_DIR);
    Ok(Restored {
        created_at: manifest.created_at,
        program: manifest.program,
        parts: parts.iter().map(|part| part.describe()).collect(),
        replaced,
        operator: operator.exists().then_some(operator),
    })
}

/// What there is to lose.
fn content(dir: &Path) -> Vec<&'static str> {
    let there = |name: &&str| std::fs::symlink_metadata(dir.join(name)).is_ok();
    REPLACED.into_iter().filter(there).collect()
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Keeps the state of before, in the data directory itself: that may be a volume of its own.
fn set_aside(dir: &Path, old: &[&str]) -> anyhow::Result<Option<PathBuf>> {
    if old.is_empty() {
        return Ok(None);
    }
    let form = format_description!("[year][month][day]T[hour][minute][second]Z");
    let now = OffsetDateTime::now_utc().format(&form)?;
    let mut aside = dir.join(format!("replaced-{now}"));
    let mut count = 1;
    while aside.exists() {
        count += 1;
        aside = dir.join(format!("replaced-{now}-{count}"));
    }
    make_dir(&aside)?;
    for name in old {
        std::fs::rename(dir.join(name), aside.join(name))?;
    }
    Ok(Some(aside))
}

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Unpacks an archive that anybody may have written.
fn unpack(input: impl Read, staging: &Path) -> anyhow::Result<(Manifest, Vec<Part>)> {
    make_dir(staging)?;
    make_dir(&staging.join(AUTHORITY_DIR))?;
    make_dir(&staging.join(OPERATOR_DIR))?;
    let mut archive = tar::Archive::new(input);
    // Raw: long names and other extensions are entries like all others, and refused like them.
    let mut entries = archive.entries()?.raw(true);
    let first = entries.next().context("it is empty")?;
    let mut first = first.context("it is no tar archive, or is cut off")?;
    check_entry(&first, manifest::NAME, manifest::MOST)?;
    let mut text = Vec::new();
    first.read_to_end(&mut text).context("it is cut off")?;
    let (manifest, announced) = Manifest::read(&text)?;
    let mut parts = Vec::new();
    for (part, listed) in announced {
        let entry = entries.next();
        let entry = entry.with_context(|| format!("{} is missing in it", part.name()))?;
        let mut entry = entry.context("it is damaged, or cut off")?;
        check_entry(&entry, part.name(), part.most())?;
        take(&mut entry, part, &listed, staging)?;
        parts.push(part);
    }
    ensure!(
        entries.next().is_none(),
        "there is more in it than it announces"
    );
    for empty in [AUTHORITY_DIR, OPERATOR_DIR] {
        // Fails for one that is not empty.
        let _ = std::fs::remove_dir(staging.join(empty));
    }
    Ok((manifest, parts))
}

fn check_entry<R: Read>(entry: &tar::Entry<'_, R>, name: &str, most: u64) -> anyhow::Result<()> {
    let header = entry.header();
    let found = header.path_bytes();
    ensure!(
        *found == *name.as_bytes(),
        "{name} was expected in it, not {:?}",
        String::from_utf8_lossy(&found)
    );
    ensure!(
        header.entry_type() == tar::EntryType::Regular,
        "its {name} is no ordinary file"
    );
    let size = header.entry_size().context("it is damaged")?;
    ensure!(
        size <= most,
        "its {name} has {size} bytes, more than the {most} that are read"
    );
    Ok(())
}

fn take(entry: &mut impl Read, part: Part, listed: &Listed, staging: &Path) -> anyhow::Result<()> {
    let path = staging.join(part.name());
    let what = || format!("cannot write {}", path.display());
    let file = private_file().create_new(true).open(&path);
    let mut file = file.with_context(what)?;
    let (size, sha256) = copy(entry, &mut file)
        .with_context(|| format!("{} is cut off, or there is no space for it", part.name()))?;
    ensure!(
        size == listed.size && sha256.eq_ignore_ascii_case(&listed.sha256),
        "its {} is damaged: the sum is not the announced one",
        part.name()
    );
    file.sync_all().with_context(what)
}

/// Whether a server could start with it.
fn check(manifest: &Manifest, parts: &[Part], staging: &Path) -> anyhow::Result<()> {
    check_database(&staging.join(Part::Database.name()), manifest.schema)
        .context("its database makes no sense")?;
    if parts.contains(&Part::AuthorityKey) {
        let read = |part: Part| std::fs::read(staging.join(part.name()));
        let pair = (read(Part::AuthorityCertificate)?, read(Part::AuthorityKey)?);
        tls::check_pair(&pair.0, &pair.1)
            .map_err(|why| anyhow::anyhow!("its certificate authority makes no sense: {why}"))?;
    }
    Ok(())
}

/// A database of ours, sound, and with nothing else in it: what others have built into one, such as
/// triggers, would run in the server.
fn check_database(path: &Path, announced: i64) -> anyhow::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    let found = schema::version(&connection)?;
    ensure!(
        found == announced && found > 0,
        "it is of version {found}, not {announced}"
    );
    ensure!(
        schema::shape(&connection)? == schema::shape_of(found)?,
        "its tables are not those of version {found}"
    );
    let sound: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    ensure!(sound == "ok", "it is damaged: {sound}");
    Ok(())
}

/// Root may bring back what another user's server is to read.
fn give_to_owner(claimed: &DataDir, parts: &[Part], staging: &Path) -> anyhow::Result<()> {
    let owner = std::fs::metadata(claimed.path())?;
    if std::fs::metadata(staging)?.uid() == owner.uid() {
        return Ok(());
    }
    let dirs = [AUTHORITY_DIR, OPERATOR_DIR].map(|name| staging.join(name));
    let files = parts.iter().map(|part| staging.join(part.name()));
    let all = dirs.into_iter().filter(|dir| dir.exists()).chain(files);
    for path in all.chain([claimed.lock_path(), staging.to_owned()]) {
        std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid()))
            .with_context(|| format!("cannot give {} to the server's user", path.display()))?;
    }
    Ok(())
}
