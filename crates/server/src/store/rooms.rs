//! Rooms that the admin made: they exist while nobody is in, and after a restart.

use rusqlite::params;

use super::{Store, StoreError, to_sql};
use crate::clock::unix_seconds;

/// A room's name as it is meant: 1 to 64 characters, no control characters, no `/`.
pub fn name(text: &str) -> Option<String> {
    let name = text.trim();
    let fits = (1..=64).contains(&name.chars().count())
        && !name.chars().any(char::is_control)
        && !name.contains('/');
    fits.then(|| name.to_owned())
}

/// Every permanent room, by name.
///
/// # Errors
///
/// If the database fails.
pub async fn list(store: &Store) -> Result<Vec<String>, StoreError> {
    store
        .run(|db| {
            let mut statement = db.prepare_cached("SELECT name FROM rooms ORDER BY name")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect()
        })
        .await
}

/// Keeps a room.
///
/// # Errors
///
/// If the database fails.
pub async fn keep(store: &Store, name: String) -> Result<(), StoreError> {
    let now = to_sql(unix_seconds());
    store
        .run(move |db| {
            db.execute(
                "INSERT INTO rooms (name, created_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![name, now],
            )
        })
        .await?;
    Ok(())
}

/// Forgets a room. False if it was not kept.
///
/// # Errors
///
/// If the database fails.
pub async fn forget(store: &Store, name: String) -> Result<bool, StoreError> {
    let gone = store
        .run(move |db| db.execute("DELETE FROM rooms WHERE name = ?1", [name]))
        .await?;
    Ok(gone > 0)
}
