//! Cameras that the operator has set. Passwords are kept as they are: cameras want to hear them.

use rusqlite::types::Type;
use rusqlite::{Row, params};

use super::{Store, StoreError, from_sql, to_sql};
use crate::camera::{Address, Credentials, Transport};
use crate::cameras::{Entry, Settings};
use crate::trunk::Pin;

/// Every camera, the oldest first.
///
/// # Errors
///
/// If the database fails.
pub async fn list(store: &Store) -> Result<Vec<Entry>, StoreError> {
    store
        .run(|db| {
            let mut statement = db.prepare(
                "SELECT id, name, room, address, user, password, sub_address, sub_user,
                        sub_password, transport, audio, always_on, pins, created_at
                 FROM cameras ORDER BY created_at, rowid",
            )?;
            let rows = statement.query_map([], read)?;
            rows.collect()
        })
        .await
}

/// Keeps a camera as it is now.
///
/// # Errors
///
/// If the database fails.
pub async fn keep(store: &Store, entry: Entry) -> Result<(), StoreError> {
    store
        .run(move |db| {
            let settings = &entry.settings;
            let sub = settings.sub.as_ref();
            let main = settings.main.credentials();
            let sub_credentials = sub.and_then(Address::credentials);
            let pins = settings.pins.iter().map(Pin::to_string);
            db.execute(
                "INSERT OR REPLACE INTO cameras
                 (id, name, room, address, user, password, sub_address, sub_user, sub_password,
                  transport, audio, always_on, pins, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
                params![
                    entry.id,
                    settings.name,
                    settings.room,
                    settings.main.without_credentials(),
                    main.map(|it| &it.user),
                    main.map(|it| &it.password),
                    sub.map(Address::without_credentials),
                    sub_credentials.map(|it| &it.user),
                    sub_credentials.map(|it| &it.password),
                    match settings.transport {
                        Transport::Tcp => "tcp",
                        Transport::Udp => "udp",
                    },
                    settings.audio,
                    settings.always_on,
                    pins.collect::<Vec<_>>().join("\n"),
                    to_sql(entry.created_at),
                ],
            )
        })
        .await?;
    Ok(())
}

/// Forgets a camera.
///
/// # Errors
///
/// If the database fails.
pub async fn forget(store: &Store, id: String) -> Result<(), StoreError> {
    store
        .run(move |db| db.execute("DELETE FROM cameras WHERE id = ?1", [&id]))
        .await?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let main = address(row, 3)?.ok_or_else(|| wrong(3, "without an address"))?;
    let pins: String = row.get(12)?;
    let transport: String = row.get(9)?;
    Ok(Entry {
        id: row.get(0)?,
        settings: Settings {
            name: row.get(1)?,
            room: row.get(2)?,
            main,
            sub: address(row, 6)?,
            transport: match transport.as_str() {
                "udp" => Transport::Udp,
                _ => Transport::Tcp,
            },
            audio: row.get(10)?,
            always_on: row.get(11)?,
            pins: pins.lines().filter_map(Pin::parse).collect(),
        },
        created_at: from_sql(row.get(13)?),
        configured: false,
    })
}

/// An address and, in the columns behind it, its credentials.
fn address(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Address>> {
    let Some(text) = row.get::<_, Option<String>>(column)? else {
        return Ok(None);
    };
    let address = Address::parse(&text).map_err(|_| wrong(column, "no address of a camera"))?;
    let user: Option<String> = row.get(column + 1)?;
    let password: Option<String> = row.get(column + 2)?;
    Ok(Some(address.with_credentials(user.map(|user| {
        Credentials {
            user,
            password: password.unwrap_or_default(),
        }
    }))))
}

fn wrong(column: usize, why: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, why.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DataDir;

    #[tokio::test]
    async fn cameras_are_forgotten_or_different_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = || Store::open(&DataDir::claim(dir.path()).unwrap()).unwrap();
        let full = Entry {
            id: "CA_full".into(),
            settings: Settings {
                name: "Yard".into(),
                room: "Farm".into(),
                main: Address::parse("rtsps://a:p@ss:w%25rd@[fe80::1]:8554/x@y?password=z")
                    .unwrap(),
                sub: Some(Address::parse("rtsp://b@cam/sub").unwrap()),
                transport: Transport::Udp,
                audio: false,
                always_on: true,
                pins: vec![Pin::of(b"a"), Pin::of(b"b")],
            },
            created_at: 5,
            configured: false,
        };
        let mut plain = full.clone();
        plain.id = "CA_plain".into();
        plain.created_at = 6;
        plain.settings.main = Address::parse("rtsp://10.0.0.9/x").unwrap();
        plain.settings.sub = None;
        plain.settings.transport = Transport::Tcp;
        plain.settings.pins.clear();
        {
            let store = store();
            keep(&store, full.clone()).await.unwrap();
            keep(&store, plain.clone()).await.unwrap();
        }
        assert_eq!(list(&store()).await.unwrap(), [full.clone(), plain.clone()]);
        plain.settings.room = "Barn".into();
        keep(&store(), plain.clone()).await.unwrap();
        forget(&store(), full.id).await.unwrap();
        assert_eq!(list(&store()).await.unwrap(), [plain]);
    }
}
