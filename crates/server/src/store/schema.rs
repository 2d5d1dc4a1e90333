//! The tables, and how an older database becomes a current one.

use std::path::Path;

use rusqlite::Connection;

use super::StoreError;

/// Each step leads from the version that is its index to the next. Steps are never changed once
/// released; new ones are added at the end.
const STEPS: &[&str] = &[
    "
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
",
    "
    ALTER TABLE invites ADD COLUMN role TEXT NOT NULL DEFAULT 'watch'
        CHECK (role IN ('watch', 'talk', 'moderate'));
    UPDATE invites SET role = 'talk' WHERE can_publish <> 0;
    ALTER TABLE invites DROP COLUMN can_publish;
",
    "
    CREATE TABLE node (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        node TEXT NOT NULL,
        run INTEGER NOT NULL DEFAULT 0,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE trunk_secrets (
        key TEXT PRIMARY KEY,
        proof_key BLOB NOT NULL,
        name TEXT NOT NULL,
        rooms TEXT NOT NULL,
        moderate INTEGER NOT NULL,
        expires_at INTEGER,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE trunk_joined (
        key TEXT NOT NULL,
        node TEXT NOT NULL,
        joined_at INTEGER NOT NULL,
        PRIMARY KEY (key, node)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE trunk_entries (
        key TEXT PRIMARY KEY,
        proof_key BLOB NOT NULL,
        url TEXT NOT NULL UNIQUE,
        rooms TEXT NOT NULL,
        insecure INTEGER NOT NULL,
        secret_pin BLOB,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE trunk_pins (
        key TEXT PRIMARY KEY,
        url TEXT NOT NULL,
        pin BLOB NOT NULL,
        confirmed_at INTEGER NOT NULL
    ) STRICT;
",
    "
    ALTER TABLE trunk_entries ADD COLUMN moderate INTEGER NOT NULL DEFAULT 1;
",
    "
    CREATE TABLE cameras (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        room TEXT NOT NULL,
        address TEXT NOT NULL,
        user TEXT,
        password TEXT,
        sub_address TEXT,
        sub_user TEXT,
        sub_password TEXT,
        transport TEXT NOT NULL CHECK (transport IN ('tcp', 'udp')),
        audio INTEGER NOT NULL,
        always_on INTEGER NOT NULL,
        pins TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT;
",
    "
    ALTER TABLE invites ADD COLUMN cameras TEXT;
",
];

/// The newest version that this program knows.
pub(crate) fn known() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// The version of a database; 0 is one without tables.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Everything that a database consists of, as kind, name and columns: the same for all databases of
/// one version.
pub(crate) fn shape(connection: &Connection) -> rusqlite::Result<Vec<[String; 3]>> {
    let mut statement = connection.prepare(
        "SELECT it.type, it.name, coalesce((SELECT group_concat(name || ' ' || type || ' ' || pk)
             FROM (SELECT name, type, pk FROM pragma_table_info(it.name) ORDER BY cid)), '')
         FROM sqlite_schema AS it ORDER BY 1, 2",
    )?;
    let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
    rows.collect()
}

/// The shape that databases of a version have.
pub(crate) fn shape_of(version: i64) -> rusqlite::Result<Vec<[String; 3]>> {
    let connection = Connection::open_in_memory()?;
    for step in STEPS.iter().take(usize::try_from(version).unwrap_or(0)) {
        connection.execute_batch(step)?;
    }
    shape(&connection)
}

pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let (known, found) = (known(), version(connection)?);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invites_of_an_older_database_allow_what_they_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("umbrella.db");
        let mut connection = Connection::open(&path).unwrap();
        connection.execute_batch(STEPS[0]).unwrap();
        connection
            .execute_batch(
                "PRAGMA user_version = 1;
                 INSERT INTO invites (id, hash, room, can_publish, created_at)
                     VALUES ('a', x'01', 'kitchen', 0, 1), ('b', x'02', 'kitchen', 1, 2);
                 INSERT INTO invite_uses (invite, client, used_at) VALUES ('b', x'03', 3);",
            )
            .unwrap();
        prepare(&mut connection, &path).unwrap();
        let mut statement = connection
            .prepare("SELECT id || ' ' || role FROM invites ORDER BY id")
            .unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        let rows: Vec<String> = rows.map(Result::unwrap).collect();
        assert_eq!(rows, ["a watch", "b talk"]);
        let uses: i64 = connection
            .query_row("SELECT count(*) FROM invite_uses", [], |row| row.get(0))
            .unwrap();
        assert_eq!(uses, 1);
    }

    #[test]
    fn invites_from_before_cameras_could_be_chosen_show_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("umbrella.db");
        let mut connection = Connection::open(&path).unwrap();
        for step in &STEPS[..5] {
            connection.execute_batch(step).unwrap();
        }
        connection
            .execute_batch(
                "PRAGMA user_version = 5;
                 INSERT INTO invites (id, hash, room, role, created_at)
                     VALUES ('a', x'01', 'kitchen', 'talk', 1);",
            )
            .unwrap();
        prepare(&mut connection, &path).unwrap();
        let kept: (String, Option<String>) = connection
            .query_row("SELECT role, cameras FROM invites", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(kept, ("talk".to_owned(), None), "all cameras");
    }

    #[test]
    fn database_without_trunks_loses_its_invites_when_it_learns_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("umbrella.db");
        let mut connection = Connection::open(&path).unwrap();
        connection.execute_batch(STEPS[0]).unwrap();
        connection.execute_batch(STEPS[1]).unwrap();
        connection
            .execute_batch(
                "PRAGMA user_version = 2;
                 INSERT INTO invites (id, hash, room, role, created_at)
                     VALUES ('a', x'01', 'kitchen', 'talk', 1);",
            )
            .unwrap();
        prepare(&mut connection, &path).unwrap();
        let counts: (i64, i64) = connection
            .query_row(
                "SELECT (SELECT count(*) FROM invites),
                        (SELECT count(*) FROM node) + (SELECT count(*) FROM trunk_secrets)
                        + (SELECT count(*) FROM trunk_joined) + (SELECT count(*) FROM trunk_pins)
                        + (SELECT count(*) FROM trunk_entries)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(counts, (1, 0));
    }
}
