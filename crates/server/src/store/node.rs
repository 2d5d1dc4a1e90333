//! Who this server is among others: an id that is made once and stays.

use rusqlite::params;

use super::{Store, StoreError, to_sql};
use crate::auth::random_text;
use crate::clock::unix_seconds;

/// How every id begins.
pub const PREFIX: &str = "ND_";

/// This server's id, which is made at the first call.
///
/// # Errors
///
/// If the database fails.
pub async fn id(store: &Store) -> Result<String, StoreError> {
    let (fresh, now) = (new_id(), to_sql(unix_seconds()));
    store
        .run(move |db| {
            db.execute(
                "INSERT INTO node (id, node, created_at) VALUES (1, ?1, ?2)
                 ON CONFLICT (id) DO NOTHING",
                params![fresh, now],
            )?;
            db.query_row("SELECT node FROM node", [], |row| row.get(0))
        })
        .await
}

/// This server's id, and the number of this run: greater than that of any earlier run, also of one
/// before a back-up was brought back or the clock was set back, and another one for each copy of the
/// data directory.
///
/// # Errors
///
/// If the database fails.
pub async fn start(store: &Store) -> Result<(String, u64), StoreError> {
    let (node, now) = (id(store).await?, to_sql(unix_seconds()));
    let run: i64 = store
        .run(move |db| {
            db.query_row(
                "UPDATE node SET run = max(run + 1, ?1) RETURNING run",
                params![now],
                |row| row.get(0),
            )
        })
        .await?;
    let run = u32::try_from(run).unwrap_or(u32::MAX);
    Ok((
        node,
        u64::from(run) << 32 | u64::from(rand::random::<u32>()),
    ))
}

/// Gives this server another id: its data directory is a copy of another one's.
///
/// # Errors
///
/// If the database fails.
pub async fn renew(store: &Store) -> Result<String, StoreError> {
    let (fresh, now) = (new_id(), to_sql(unix_seconds()));
    let kept = fresh.clone();
    store
        .run(move |db| {
            db.execute(
                "INSERT INTO node (id, node, created_at) VALUES (1, ?1, ?2)
                 ON CONFLICT (id) DO UPDATE SET node = ?1, created_at = ?2",
                params![kept, now],
            )
        })
        .await?;
    Ok(fresh)
}

fn new_id() -> String {
    format!("{PREFIX}{}", random_text(12))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DataDir;

    #[tokio::test]
    async fn server_is_another_one_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = {
            let dir = DataDir::claim(dir.path()).unwrap();
            id(&Store::open(&dir).unwrap()).await.unwrap()
        };
        assert!(first.starts_with(PREFIX) && first.len() == 19, "{first}");
        let dir = DataDir::claim(dir.path()).unwrap();
        let store = Store::open(&dir).unwrap();
        assert_eq!(id(&store).await.unwrap(), first);
        let second = renew(&store).await.unwrap();
        assert_ne!(second, first);
        assert_eq!(id(&store).await.unwrap(), second);
    }

    #[tokio::test]
    async fn later_run_is_taken_for_an_earlier_one() {
        let dir = tempfile::tempdir().unwrap();
        let dir = DataDir::claim(dir.path()).unwrap();
        let store = Store::open(&dir).unwrap();
        let mut last = 0;
        for _ in 0..5 {
            let (node, run) = start(&store).await.unwrap();
            assert_eq!(node, id(&store).await.unwrap());
            assert!(run >> 32 > last >> 32, "{run} after {last}");
            last = run;
        }
    }
}
