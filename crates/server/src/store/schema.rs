//! The tables, and how an older database becomes a current one.

use std::path::Path;

use rusqlite::Connection;

use super::StoreError;

/// Each step leads from the version that is its index to the next. Steps are never changed once
/// released; new ones are added at the end.
const STEPS: &[&str] = &["
    CREATE TABLE server (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        signing_secret TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE admin (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        password_hash TEXT NOT NULL,
        changed_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE setup_codes (
        hash BLOB PRIMARY KEY,
        expires_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE sessions (
        hash BLOB PRIMARY KEY,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE api_keys (
        key TEXT PRIMARY KEY,
        secret TEXT NOT NULL,
        note TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE rooms (
        name TEXT PRIMARY KEY,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE invites (
        id TEXT PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        room TEXT NOT NULL,
        can_publish INTEGER NOT NULL,
        expires_at INTEGER,
        allowed INTEGER,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE invite_uses (
        invite TEXT NOT NULL REFERENCES invites (id) ON DELETE CASCADE,
        client BLOB NOT NULL,
        used_at INTEGER NOT NULL,
        PRIMARY KEY (invite, client)
    ) STRICT, WITHOUT ROWID;
"];

pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for (index, step) in STEPS.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", index + 1)?;
        transaction.commit()?;
    }
    Ok(())
}
