//! What outlives a restart: an SQLite database in the data directory.
//!
//! One thread owns the connection; others send it jobs through a bounded queue and wait for the
//! answer without blocking their own thread. When the queue is full the callers wait.

pub mod cameras;
pub mod node;
pub mod rooms;
pub(crate) mod schema;
pub mod trunks;

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

/// The database's file in the data directory.
pub const FILE_NAME: &str = "umbrella.db";

const LOCK_NAME: &str = "lock";

/// What is being brought back from a backup, in the data directory: while it is there, the old state
/// and the new one are mixed.
pub(crate) const PENDING_NAME: &str = "restore-pending";

/// Jobs that wait for the database.
const QUEUE: usize = 256;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Why state could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data directory cannot be used.
    #[error(
        "cannot use the data directory {path}: {error}; make it writable for this user or \
             choose another one by UMBRELLA_DATA_DIR"
    )]
    Directory {
        /// The directory, or the file in it.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another server uses the data directory.
    #[error(
        "the data directory {path} is in use by another umbrella; stop that one or choose \
             another directory by UMBRELLA_DATA_DIR"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The database was written by a newer version.
    #[error(
        "the database {path} is of version {found}, this umbrella knows {known}; use the \
             newer umbrella or another data directory"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A backup was being brought back when the power, or something else, failed.
    #[error(
        "a restore into {path} was interrupted half-way; run `umbrella restore` there again, with \
             --force"
    )]
    HalfRestored {
        /// The directory.
        path: PathBuf,
    },
    /// The database does not work.
    #[error("the database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// The thread of the database has ended.
    #[error("the database is closed")]
    Closed,
}

/// The data directory, held for this process alone as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory (mode 0700) if it does not exist, and claims it.
    ///
    /// # Errors
    ///
    /// If it cannot be made, written to, or belongs to a running server.
    pub fn claim(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::Directory {
            path: path.to_owned(),
            error,
        };
        if path.is_dir() {
            close_to_others(path).map_err(failed)?;
        } else {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(failed)?;
        }
        let lock = private_file()
            .create(true)
            .truncate(false)
            .open(path.join(LOCK_NAME))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse {
                path: path.to_owned(),
            }),
            Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The lock's file.
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.path.join(LOCK_NAME)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Takes away what others may do with a directory that holds secrets.
fn close_to_others(path: &Path) -> io::Result<()> {
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    std::fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Options to write a file that only this user may read.
pub fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
}

impl Store {
    /// Opens the database, makes it if it does not exist, and brings it to the current schema.
    ///
    /// # Errors
    ///
    /// If it cannot be opened or is newer than this program, or a restore was interrupted.
    pub fn open(dir: &DataDir) -> Result<Self, StoreError> {
        let connection = connect(dir)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || work(connection, queue))
            .map_err(|error| StoreError::Directory {
                path: dir.path().join(FILE_NAME),
                error,
            })?;
        Ok(Self { jobs })
    }

    /// Runs a job on the database's thread, in a transaction of its own: all of it happens, or
    /// nothing.
    ///
    /// # Errors
    ///
    /// If the job fails or the database is closed.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = in_transaction(connection, job);
            // Nobody waits any more when the caller was cancelled; the job is done all the same.
            let _ = reply.send(result);
        });
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        Ok(answer.await.map_err(|_| StoreError::Closed)??)
    }
}

fn connect(dir: &DataDir) -> Result<Connection, StoreError> {
    if dir.path().join(PENDING_NAME).exists() {
        return Err(StoreError::HalfRestored {
            path: dir.path().to_owned(),
        });
    }
    let path = dir.path().join(FILE_NAME);
    let failed = |error| StoreError::Directory {
        path: path.clone(),
        error,
    };
    // Made before SQLite does, whose files get the mode of this one.
    let file = private_file()
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed)?;
    file.set_permissions(Permissions::from_mode(0o600))
        .map_err(failed)?;
    drop(file);
    let mut connection = Connection::open(&path)?;
    schema::prepare(&mut connection, &path)?;
    Ok(connection)
}

/// Tries a new database of the current schema, in an empty directory or in memory: what was written
/// must be there, in a directory also when it is opened again. False if it is not.
///
/// # Errors
///
/// If the database does not work, or the directory cannot be used.
pub(crate) fn check(dir: Option<&Path>) -> Result<bool, StoreError> {
    const ROOM: &str = "selftest";
    let open = || match dir {
        Some(dir) => connect(&DataDir::claim(dir)?),
        None => {
            let mut connection = Connection::open_in_memory()?;
            schema::prepare(&mut connection, Path::new(":memory:"))?;
            Ok(connection)
        }
    };
    let mut connection = open()?;
    in_transaction(&mut connection, |db| {
        db.execute(
            "INSERT INTO rooms (name, created_at) VALUES (?1, 0)",
            [ROOM],
        )
    })?;
    if dir.is_some() {
        connection.close().map_err(|(_, error)| error)?;
        connection = open()?;
    }
    let names = connection
        .prepare("SELECT name FROM rooms")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(names == [ROOM])
}

fn in_transaction<T>(
    connection: &mut Connection,
    job: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction()?;
    let result = job(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

fn work(mut connection: Connection, mut queue: mpsc::Receiver<Job>) {
    while let Some(job) = queue.blocking_recv() {
        job(&mut connection);
    }
}

/// A time or a count as SQLite keeps it.
pub fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The reverse of [`to_sql`].
pub fn from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn secrets_are_readable_by_their_owner_only() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let dir = DataDir::claim(&path).unwrap();
        let store = Store::open(&dir).unwrap();
        store
            .run(|db| db.execute("INSERT INTO rooms (name, created_at) VALUES ('x', 1)", []))
            .await
            .unwrap();
        assert_eq!(mode(&path), 0o700);
        for file in std::fs::read_dir(&path).unwrap() {
            let file = file.unwrap().path();
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }

    #[test]
    fn an_open_directory_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let _dir = DataDir::claim(dir.path()).unwrap();
        assert_eq!(mode(dir.path()), 0o700);
    }

    #[test]
    fn two_servers_do_not_share_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::claim(dir.path()).unwrap();
        assert!(matches!(
            DataDir::claim(dir.path()),
            Err(StoreError::InUse { .. })
        ));
        drop(first);
        DataDir::claim(dir.path()).unwrap();
    }

    #[test]
    fn a_newer_database_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let dir = DataDir::claim(dir.path()).unwrap();
        drop(Store::open(&dir).unwrap());
        let connection = Connection::open(dir.path().join(FILE_NAME)).unwrap();
        connection.pragma_update(None, "user_version", 999).unwrap();
        let error = Store::open(&dir).unwrap_err();
        assert!(
            matches!(error, StoreError::Newer { found: 999, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let error = DataDir::claim(Path::new("/proc/no/such"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/proc/no/such") && error.contains("UMBRELLA_DATA_DIR"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_job_that_fails_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let dir = DataDir::claim(dir.path()).unwrap();
        let store = Store::open(&dir).unwrap();
        let failed = store
            .run(|db| {
                db.execute("INSERT INTO rooms (name, created_at) VALUES ('x', 1)", [])?;
                db.execute("INSERT INTO nothing VALUES (1)", [])
            })
            .await;
        assert!(failed.is_err());
        let count: i64 = store
            .run(|db| db.query_row("SELECT count(*) FROM rooms", [], |r| r.get(0)))
            .await
            .unwrap();
        assert_eq!(count, 0);
    }
}
