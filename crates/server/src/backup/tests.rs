use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::manifest::{self, Listed, Manifest};
use super::*;
use crate::config::{Config, Environment};
use crate::store::{DataDir, FILE_NAME, PENDING_NAME, Store, StoreError, schema};
use crate::tls::LocalAuthority;

/// A server's data, and where a backup goes.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn empty() -> Machine {
        let dir = tempfile::tempdir().unwrap();
        Machine { dir }
    }

    /// With a room of this name.
    async fn with_room(room: &str) -> Machine {
        let machine = Machine::empty();
        let dir = DataDir::claim(&machine.data()).unwrap();
        let store = Store::open(&dir).unwrap();
        let name = room.to_owned();
        let insert = "INSERT INTO rooms (name, created_at) VALUES (?1, 1)";
        store
            .run(move |db| db.execute(insert, [name]))
            .await
            .unwrap();
        drop(store);
        // The database's thread closes it when it likes.
        while machine.data().join("umbrella.db-wal").exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let mut authority = LocalAuthority::open(&machine.data().join("tls")).unwrap();
        let names = crate::tls::Names::default();
        authority
            .renew_if_needed(&names, std::time::SystemTime::now())
            .unwrap();
        machine
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn config(&self, text: &str) -> Config {
        let file = self.dir.path().join("umbrella.toml");
        std::fs::write(&file, text).unwrap();
        let data = self.data().to_string_lossy().into_owned();
        let env = Environment::from([("UMBRELLA_DATA_DIR".to_owned(), data)]);
        Config::load(Some(&file), &env).unwrap()
    }

    fn backup(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let made = make(&self.config("[server]\nname = \"Hut\"\n"), &mut bytes).unwrap();
        assert_eq!(made.warnings, Vec::<String>::new());
        bytes
    }

    fn rooms(&self) -> Vec<String> {
        let db = rusqlite::Connection::open(self.data().join(FILE_NAME)).unwrap();
        let mut statement = db.prepare("SELECT name FROM rooms ORDER BY 1").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    fn listing(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.data()) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "lock").collect();
        names.sort();
        names
    }
}

fn restore_into(machine: &Machine, bytes: &[u8], force: bool) -> Result<Restored, String> {
    restore(&machine.data(), bytes, force).map_err(|error| format!("{error:#}"))
}

/// An archive of anything.
fn archive(entries: &[(tar::EntryType, &[u8], &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, name, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn listed(name: &str, content: &[u8]) -> Listed {
    let (size, sha256) = copy(&mut &*content, &mut io::sink()).unwrap();
    Listed {
        name: name.to_owned(),
        size,
        sha256,
    }
}

fn manifest_of(parts: Vec<Listed>) -> Manifest {
    Manifest {
        format: manifest::FORMAT,
        schema: schema::known(),
        program: "0.1.0".to_owned(),
        created_at: "2030-01-01T00:00:00Z".to_owned(),
        parts,
    }
}

/// An archive with one database and nothing else.
fn with_database(bytes: &[u8], change: impl FnOnce(&mut Manifest)) -> Vec<u8> {
    let mut manifest = manifest_of(vec![listed(FILE_NAME, bytes)]);
    change(&mut manifest);
    let manifest = serde_json::to_vec(&manifest).unwrap();
    archive(&[
        (tar::EntryType::Regular, b"manifest.json", &manifest),
        (tar::EntryType::Regular, FILE_NAME.as_bytes(), bytes),
    ])
}

fn database_with(sql: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(&DataDir::claim(dir.path()).unwrap()).unwrap());
    let path = dir.path().join(FILE_NAME);
    let db = rusqlite::Connection::open(&path).unwrap();
    db.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    db.execute_batch(sql).unwrap();
    db.execute(
        "VACUUM INTO ?1",
        [dir.path().join("copy").to_str().unwrap()],
    )
    .unwrap();
    std::fs::read(dir.path().join("copy")).unwrap()
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let each = paths.flat_map(|path| match path.is_dir() {
        true => files_below(&path),
        false => vec![path],
    });
    each.collect()
}

#[tokio::test]
async fn what_was_written_a_moment_ago_is_missing_in_the_backup_of_a_running_server() {
    let machine = Machine::with_room("kitchen").await;
    let dir = DataDir::claim(&machine.data()).unwrap();
    let store = Store::open(&dir).unwrap();
    // Still in the write-ahead log only.
    let insert = "INSERT INTO rooms (name, created_at) VALUES ('just now', 1)";
    store.run(|db| db.execute(insert, [])).await.unwrap();
    let bytes = machine.backup();
    assert_eq!(machine.listing().len(), 4, "{:?}", machine.listing());
    let other = Machine::empty();
    let restored = restore_into(&other, &bytes, false).unwrap();
    assert_eq!(restored.replaced, None);
    assert_eq!(other.rooms(), ["just now", "kitchen"]);
}

#[tokio::test]
async fn devices_have_to_trust_another_authority_after_a_restore() {
    let machine = Machine::with_room("kitchen").await;
    let other = Machine::empty();
    restore_into(&other, &machine.backup(), false).unwrap();
    let before = LocalAuthority::open(&machine.data().join("tls")).unwrap();
    let after = LocalAuthority::open(&other.data().join("tls")).unwrap();
    assert_eq!(before.certificate(), after.certificate());
    let text = std::fs::read_to_string(other.data().join("operator/umbrella.toml")).unwrap();
    assert!(text.contains("Hut"), "{text}");
    for file in files_below(&other.data()) {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn authority_is_asked_for_another_account_and_certificate_after_a_restore() {
    let machine = Machine::with_room("kitchen").await;
    let kept = "{\"account\":\"secret\"}";
    std::fs::write(machine.data().join("tls/acme.json"), kept).unwrap();
    let other = Machine::empty();
    restore_into(&other, &machine.backup(), false).unwrap();
    let restored = other.data().join("tls/acme.json");
    assert_eq!(std::fs::read_to_string(&restored).unwrap(), kept);
    let mode = std::fs::metadata(&restored).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn what_was_deleted_can_be_read_in_the_backup() {
    let machine = Machine::with_room("a-name-nobody-is-to-read").await;
    let db = rusqlite::Connection::open(machine.data().join(FILE_NAME)).unwrap();
    db.execute("DELETE FROM rooms", []).unwrap();
    drop(db);
    let bytes = machine.backup();
    let name = b"a-name-nobody-is-to-read";
    assert!(!bytes.windows(name.len()).any(|part| part == name));
}

#[tokio::test]
async fn a_restore_takes_the_data_of_a_running_server_away() {
    let machine = Machine::with_room("kitchen").await;
    let bytes = machine.backup();
    let running = DataDir::claim(&machine.data()).unwrap();
    let why = restore_into(&machine, &bytes, true).unwrap_err();
    assert!(why.contains("in use by another umbrella"), "{why}");
    drop(running);
    restore_into(&machine, &bytes, true).unwrap();
}

#[tokio::test]
async fn a_restore_loses_what_was_there() {
    let machine = Machine::with_room("old").await;
    let bytes = Machine::with_room("new").await.backup();
    let why = restore_into(&machine, &bytes, false).unwrap_err();
    assert!(why.contains("--force"), "{why}");
    assert_eq!(machine.rooms(), ["old"]);
    let aside = restore_into(&machine, &bytes, true)
        .unwrap()
        .replaced
        .unwrap();
    assert_eq!(machine.rooms(), ["new"]);
    let db = rusqlite::Connection::open(aside.join(FILE_NAME)).unwrap();
    let old: String = db
        .query_row("SELECT name FROM rooms", [], |row| row.get(0))
        .unwrap();
    assert_eq!(old, "old");
    assert!(aside.join("tls/ca.key").exists());
    // A second one within the same second does not mix with the first.
    let again = restore_into(&machine, &bytes, true)
        .unwrap()
        .replaced
        .unwrap();
    assert_ne!(again, aside);
}

#[tokio::test]
async fn a_damaged_backup_leaves_something_behind() {
    let bytes = Machine::with_room("kitchen").await.backup();
    let machine = Machine::with_room("mine").await;
    let before = machine.listing();
    let other = Machine::empty();
    for cut in [0, 100, 512, 700, 3000, bytes.len() / 2] {
        let part = &bytes[..cut];
        assert!(restore_into(&other, part, false).is_err(), "cut at {cut}");
        assert!(!other.data().exists(), "cut at {cut}");
        assert!(restore_into(&machine, part, true).is_err(), "cut at {cut}");
        assert_eq!(machine.listing(), before, "cut at {cut}");
    }
    // Every block in turn, so that header, manifest and each part are hit.
    for block in 0..bytes.len() / 512 - 2 {
        let mut damaged = bytes.clone();
        // The last bytes of a block may be padding: nobody reads those.
        damaged[block * 512] ^= 1;
        if restore_into(&other, &damaged, false).is_ok() {
            let offset = block * 512;
            let used = bytes[offset..offset + 512].iter().any(|byte| *byte != 0);
            assert!(!used, "damage in block {block} went unnoticed");
            std::fs::remove_dir_all(other.data()).unwrap();
        }
    }
    assert_eq!(machine.rooms(), ["mine"]);
}

/// None of these is taken, and none leaves anything.
fn refuse_all(cases: &[(&str, Vec<u8>)]) {
    let machine = Machine::empty();
    for (what, bytes) in cases {
        let why = restore_into(&machine, bytes, false).unwrap_err();
        let refused = why.starts_with("this backup cannot be used: ");
        assert!(refused, "{what}: {why}");
        let left: Vec<_> = std::fs::read_dir(machine.dir.path()).unwrap().collect();
        assert!(left.is_empty(), "{what}: {left:?}");
    }
}

#[test]
fn a_hostile_archive_writes_elsewhere() {
    use tar::EntryType::{Directory, GNULongName, Link, Regular, Symlink, XHeader};
    let good = database_with("");
    let manifest_for = |parts: Vec<Listed>| serde_json::to_vec(&manifest_of(parts)).unwrap();
    let database = || listed(FILE_NAME, &good);
    let usual = manifest_for(vec![database()]);
    let traversal = manifest_for(vec![database(), listed("../umbrella.db", &good)]);
    let half = manifest_for(vec![database(), listed("tls/ca.crt", b"x")]);
    let (name, outside) = (FILE_NAME.as_bytes(), b"../umbrella.db".as_slice());
    let archive_of = |manifest: &[u8], others: &[(tar::EntryType, &[u8], &[u8])]| {
        let first = (Regular, b"manifest.json".as_slice(), manifest);
        archive(&[&[first], others].concat())
    };
    let one = |kind, name: &[u8], content: &[u8]| archive_of(&usual, &[(kind, name, content)]);
    let database_and = |manifest: &[u8], other: &[u8], content: &[u8]| {
        archive_of(
            manifest,
            &[(Regular, name, &good), (Regular, other, content)],
        )
    };
    refuse_all(&[
        ("path", one(Regular, outside, &good)),
        ("absolute", one(Regular, b"/tmp/umbrella.db", &good)),
        ("announced", database_and(&traversal, outside, &good)),
        ("symlink", one(Symlink, name, b"")),
        ("link", one(Link, name, b"")),
        ("directory", one(Directory, name, b"")),
        ("long name", one(GNULongName, name, &good)),
        ("extension", one(XHeader, name, &good)),
        ("twice", database_and(&usual, name, &good)),
        ("unknown", database_and(&usual, b"x", b"")),
        ("half a pair", database_and(&half, b"tls/ca.crt", b"x")),
        ("no manifest", archive(&[(Regular, name, &good)])),
        ("noise", vec![0xa5; 4096]),
        ("nothing", vec![0; 4096]),
    ]);
    // What all of these are made from is fine.
    restore_into(&Machine::empty(), &one(Regular, name, &good), false).unwrap();
}

#[test]
fn a_database_of_somebody_else_runs_in_the_server() {
    let good = database_with("");
    let trigger = "CREATE TRIGGER t AFTER INSERT ON rooms BEGIN SELECT 1; END";
    let unchanged = |bytes: &[u8]| with_database(bytes, |_| {});
    refuse_all(&[
        ("trigger", unchanged(&database_with(trigger))),
        ("table", unchanged(&database_with("CREATE TABLE extra (a)"))),
        ("none", unchanged(b"not a database")),
        ("version", with_database(&good, |it| it.schema = 1)),
        ("size", with_database(&good, |it| it.parts[0].size += 1)),
        (
            "bound",
            with_database(&good, |it| it.parts[0].size = u64::MAX),
        ),
    ]);
    restore_into(&Machine::empty(), &unchanged(&good), false).unwrap();
}

#[test]
fn a_huge_entry_fills_memory_or_disk() {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(8 << 30);
    header.set_path("manifest.json").unwrap();
    header.set_cksum();
    let machine = Machine::empty();
    let endless = header.as_bytes().chain(io::repeat(b' '));
    let why = restore(&machine.data(), endless, false).unwrap_err();
    assert!(format!("{why:#}").contains("more than the"), "{why:#}");
}

#[test]
fn a_newer_backup_is_taken_for_a_damaged_one() {
    let machine = Machine::empty();
    let good = database_with("");
    let newer = with_database(&good, |it| it.schema += 1);
    let why = restore_into(&machine, &newer, false).unwrap_err();
    assert!(why.contains("use the newer umbrella"), "{why}");
    let newer = with_database(&good, |it| it.format += 1);
    let why = restore_into(&machine, &newer, false).unwrap_err();
    assert!(
        why.contains("it is of format 2, this umbrella knows 1"),
        "{why}"
    );
    // With fields that this version does not know.
    let manifest = br#"{"format": 7, "everything": "else"}"#;
    let newer = archive(&[(tar::EntryType::Regular, b"manifest.json", manifest)]);
    let why = restore_into(&machine, &newer, false).unwrap_err();
    assert!(why.contains("it is of format 7"), "{why}");
}

#[tokio::test]
async fn a_server_starts_with_half_of_a_backup() {
    let machine = Machine::with_room("kitchen").await;
    let bytes = machine.backup();
    std::fs::create_dir(machine.data().join(PENDING_NAME)).unwrap();
    let dir = DataDir::claim(&machine.data()).unwrap();
    let refused = Store::open(&dir).unwrap_err();
    assert!(
        matches!(refused, StoreError::HalfRestored { .. }),
        "{refused}"
    );
    drop(dir);
    assert!(make(&machine.config(""), io::sink()).is_err());
    assert!(restore_into(&machine, &bytes, false).is_err());
    restore_into(&machine, &bytes, true).unwrap();
    Store::open(&DataDir::claim(&machine.data()).unwrap()).unwrap();
}

#[test]
fn a_backup_of_nothing_makes_a_database() {
    let machine = Machine::empty();
    let why = make(&machine.config(""), io::sink())
        .unwrap_err()
        .to_string();
    assert!(why.contains("there is no database in"), "{why}");
    assert!(!machine.data().exists());
}

#[test]
fn an_existing_file_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("umbrella.backup");
    let write = |text: &str, force: bool| -> anyhow::Result<()> {
        let mut target = write_file(&path, force)?;
        target.write_all(text.as_bytes())?;
        target.finish()
    };
    write("one", false).unwrap();
    assert!(
        write("two", false)
            .unwrap_err()
            .to_string()
            .contains("--force")
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
    // Also one that has come while the backup was being made.
    let other = dir.path().join("late");
    let target = write_file(&other, false).unwrap();
    std::fs::write(&other, "mine").unwrap();
    assert!(target.finish().is_err());
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "mine");
    write("three", true).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "three");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    // What fails leaves nothing.
    drop(write_file(&dir.path().join("failed"), false).unwrap());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}
