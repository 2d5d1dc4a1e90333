//! Trunks that the operator has made: whom to dial, who may dial, and which authorities are
//! trusted for it.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::Type;
use rusqlite::{Row, params};

use super::{Store, StoreError, from_sql, to_sql};
use crate::clock::unix_seconds;
use crate::trunk::{Address, Entry, Permit, Pin, ProofKey};

/// Nodes that are remembered for each secret.
const MAX_JOINED: i64 = 64;

/// Nodes that have joined, by the key of the secret.
pub type Joined = BTreeMap<String, BTreeSet<String>>;

/// Which nodes have joined by which secret.
///
/// # Errors
///
/// If the database fails.
pub async fn joined(store: &Store) -> Result<Joined, StoreError> {
    store
        .run(|db| {
            let mut statement = db.prepare("SELECT key, node FROM trunk_joined")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let mut joined = Joined::new();
            for row in rows {
                let (key, node): (String, String) = row?;
                joined.entry(key).or_default().insert(node);
            }
            Ok(joined)
        })
        .await
}

/// Remembers that a node has joined by a secret.
///
/// # Errors
///
/// If the database fails.
pub async fn has_joined(store: &Store, key: String, node: String) -> Result<(), StoreError> {
    let now = to_sql(unix_seconds());
    store
        .run(move |db| {
            db.execute(
                "INSERT INTO trunk_joined (key, node, joined_at) SELECT ?1, ?2, ?3
                 WHERE (SELECT count(*) FROM trunk_joined WHERE key = ?1) < ?4
                 ON CONFLICT DO NOTHING",
                params![key, node, now, MAX_JOINED],
            )
        })
        .await?;
    Ok(())
}

/// Confirmed authorities, by the key of the entry.
///
/// # Errors
///
/// If the database fails.
pub async fn pins(store: &Store) -> Result<BTreeMap<String, (String, Pin)>, StoreError> {
    store
        .run(|db| {
            let mut statement = db.prepare("SELECT key, url, pin FROM trunk_pins")?;
            let rows = statement.query_map([], |row| {
                let pin = blob(row, 2, Pin::from_bytes)?;
                Ok((row.get(0)?, (row.get(1)?, pin)))
            })?;
            rows.collect()
        })
        .await
}

/// Keeps a confirmed authority.
///
/// # Errors
///
/// If the database fails.
pub async fn confirm(store: &Store, entry: &Entry, pin: Pin) -> Result<(), StoreError> {
    let (key, url) = (entry.key.clone(), entry.address.to_string());
    let now = to_sql(unix_seconds());
    store
        .run(move |db| {
            db.execute(
                "INSERT INTO trunk_pins (key, url, pin, confirmed_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (key) DO UPDATE SET url = ?2, pin = ?3, confirmed_at = ?4",
                params![key, url, pin.bytes(), now],
            )
        })
        .await?;
    Ok(())
}

/// Every secret that was made.
///
/// # Errors
///
/// If the database fails.
pub async fn permits(store: &Store) -> Result<Vec<Permit>, StoreError> {
    store
        .run(|db| {
            let mut statement = db.prepare(
                "SELECT key, proof_key, name, rooms, moderate, expires_at, created_at
                 FROM trunk_secrets ORDER BY created_at, rowid",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(Permit {
                    key: row.get(0)?,
                    proof_key: blob(row, 1, ProofKey::from_bytes)?,
                    name: row.get(2)?,
                    rooms: lines(&row.get::<_, String>(3)?),
                    moderate: row.get(4)?,
                    expires_at: row.get::<_, Option<i64>>(5)?.map(from_sql),
                    created_at: from_sql(row.get(6)?),
                    joined: BTreeSet::new(),
                    configured: false,
                })
            })?;
            rows.collect()
        })
        .await
}

/// Keeps a secret.
///
/// # Errors
///
/// If the database fails.
pub async fn keep_permit(store: &Store, permit: Permit) -> Result<(), StoreError> {
    store
        .run(move |db| {
            db.execute(
                "INSERT INTO trunk_secrets
                 (key, proof_key, name, rooms, moderate, expires_at, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    permit.key,
                    permit.proof_key.bytes(),
                    permit.name,
                    permit.rooms.join("\n"),
                    permit.moderate,
                    permit.expires_at.map(to_sql),
                    to_sql(permit.created_at),
                ],
            )
        })
        .await?;
    Ok(())
}

/// Forgets a secret, and who has joined by it.
///
/// # Errors
///
/// If the database fails.
pub async fn forget_permit(store: &Store, key: String) -> Result<(), StoreError> {
    store
        .run(move |db| {
            db.execute("DELETE FROM trunk_joined WHERE key = ?1", [&key])?;
            db.execute("DELETE FROM trunk_secrets WHERE key = ?1", [&key])
        })
        .await?;
    Ok(())
}

/// Every server that is dialled.
///
/// # Errors
///
/// If the database fails.
pub async fn entries(store: &Store) -> Result<Vec<Entry>, StoreError> {
    store
        .run(|db| {
            let mut statement = db.prepare(
                "SELECT e.key, e.proof_key, e.url, e.rooms, e.insecure, e.secret_pin, p.pin,
                        e.moderate
                 FROM trunk_entries e LEFT JOIN trunk_pins p ON p.key = e.key AND p.url = e.url
                 ORDER BY e.created_at, e.rowid",
            )?;
            let rows = statement.query_map([], read_entry)?;
            rows.collect()
        })
        .await
}

/// Keeps a server that is dialled.
///
/// # Errors
///
/// If the database fails.
pub async fn keep_entry(store: &Store, entry: Entry) -> Result<(), StoreError> {
    let now = to_sql(unix_seconds());
    store
        .run(move |db| {
            db.execute(
                "INSERT INTO trunk_entries
                 (key, proof_key, url, rooms, insecure, secret_pin, moderate, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    entry.key,
                    entry.proof_key.bytes(),
                    entry.address.to_string(),
                    entry.rooms.join("\n"),
                    !entry.address.is_secure(),
                    entry.secret_pin.as_ref().map(Pin::bytes),
                    entry.moderate,
                    now,
                ],
            )
        })
        .await?;
    Ok(())
}

/// Forgets a server that is dialled, and its confirmed authority.
///
/// # Errors
///
/// If the database fails.
pub async fn forget_entry(store: &Store, key: String) -> Result<(), StoreError> {
    store
        .run(move |db| {
            db.execute("DELETE FROM trunk_pins WHERE key = ?1", [&key])?;
            db.execute("DELETE FROM trunk_entries WHERE key = ?1", [&key])
        })
        .await?;
    Ok(())
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let url: String = row.get(2)?;
    let address = Address::parse(&url, row.get(4)?);
    Ok(Entry {
        key: row.get(0)?,
        proof_key: blob(row, 1, ProofKey::from_bytes)?,
        address: address.map_err(|why| wrong(2, Type::Text, why))?,
        rooms: lines(&row.get::<_, String>(3)?),
        moderate: row.get(7)?,
        secret_pin: optional(row, 5)?,
        confirmed_pin: optional(row, 6)?,
        configured: false,
    })
}

fn optional(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Pin>> {
    let bytes: Option<Vec<u8>> = row.get(column)?;
    Ok(bytes.and_then(|bytes| Pin::from_bytes(&bytes)))
}

fn blob<T>(row: &Row<'_>, column: usize, read: impl Fn(&[u8]) -> Option<T>) -> rusqlite::Result<T> {
    let bytes: Vec<u8> = row.get(column)?;
    read(&bytes).ok_or_else(|| wrong(column, Type::Blob, "of another length".to_owned()))
}

fn wrong(column: usize, kind: Type, why: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, why.into())
}

/// Patterns of rooms, one a line: they hold no line ends.
fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DataDir;
    use crate::trunk::JoinSecret;

    fn store(dir: &tempfile::TempDir) -> Store {
        Store::open(&DataDir::claim(dir.path()).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn trunks_are_forgotten_or_different_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let secret = JoinSecret::random(Some(Pin::of(b"a")));
        let entry = Entry {
            key: secret.key(),
            proof_key: secret.proof_key(),
            address: Address::parse("ws://192.0.2.1/u", true).unwrap(),
            rooms: vec!["a*".into(), "b".into()],
            moderate: false,
            secret_pin: secret.pin(),
            confirmed_pin: None,
            configured: false,
        };
        let permit = Permit {
            key: secret.key(),
            proof_key: secret.proof_key(),
            name: "Hut".into(),
            rooms: Vec::new(),
            moderate: true,
            expires_at: Some(7),
            created_at: 5,
            joined: BTreeSet::new(),
            configured: false,
        };
        {
            let store = store(&dir);
            keep_entry(&store, entry.clone()).await.unwrap();
            confirm(&store, &entry, Pin::of(b"b")).await.unwrap();
            keep_permit(&store, permit.clone()).await.unwrap();
            for node in ["ND_a", "ND_b", "ND_a"] {
                has_joined(&store, permit.key.clone(), node.into())
                    .await
                    .unwrap();
            }
        }
        let store = store(&dir);
        let confirmed = Entry {
            confirmed_pin: Some(Pin::of(b"b")),
            ..entry.clone()
        };
        assert_eq!(
            format!("{:?}", entries(&store).await.unwrap()),
            format!("{:?}", [confirmed])
        );
        let kept = permits(&store).await.unwrap();
        assert_eq!(format!("{kept:?}"), format!("{:?}", [&permit]));
        assert!(kept[0].proof_key == permit.proof_key);
        assert_eq!(joined(&store).await.unwrap()[&permit.key].len(), 2);
        forget_entry(&store, entry.key.clone()).await.unwrap();
        forget_permit(&store, permit.key).await.unwrap();
        assert!(entries(&store).await.unwrap().is_empty());
        assert!(permits(&store).await.unwrap().is_empty());
        assert!(joined(&store).await.unwrap().is_empty());
        assert!(pins(&store).await.unwrap().is_empty());
    }
}
