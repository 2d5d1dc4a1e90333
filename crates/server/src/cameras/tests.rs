//! Cameras by the operator's hands, with a database and without cameras.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use tokio::net::TcpListener;

use super::*;
use crate::camera::{Address, CameraSpec, CameraStatus, MAX_CAMERAS, Mode, State, Transport};
use crate::http::api::{CameraSettings, CameraStream, CameraTransport, ImportCameras, TestCamera};
use crate::mdns::Lan;
use crate::store::{DataDir, Store};
use crate::trunk::{Pin, Trust};

const SECRET: &str = "hunter2";

fn trust() -> Trust {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["nobody".to_owned()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(params.self_signed(&key).unwrap().der().clone())
        .unwrap();
    Trust::new(roots).unwrap()
}

/// Cameras that nobody watches, and that are in no room.
#[derive(Debug, Default)]
struct Unconnected(Mutex<BTreeMap<String, CameraSpec>>);

impl Unconnected {
    /// What has been set.
    fn specs(&self) -> Vec<CameraSpec> {
        let specs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        specs.values().cloned().collect()
    }
}

impl CameraPort for Unconnected {
    fn set_camera(&self, spec: CameraSpec) -> BoxFuture<'_, ()> {
        let mut specs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        specs.insert(spec.id.clone(), spec);
        ready(()).boxed()
    }

    fn remove_camera<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()> {
        let mut specs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        specs.remove(id);
        ready(()).boxed()
    }

    fn retry_camera<'a>(&'a self, _id: &'a str) -> BoxFuture<'a, ()> {
        ready(()).boxed()
    }

    fn cameras(&self) -> BoxFuture<'_, Vec<CameraStatus>> {
        let specs = self.specs().into_iter();
        let idle = specs.map(|spec| CameraStatus {
            id: spec.id,
            state: State::Idle,
            layers: Vec::new(),
            video: None,
            audio: None,
            notes: Vec::new(),
            watched: false,
            cached_bytes: 0,
            bitrate: 0,
        });
        ready(idle.collect()).boxed()
    }
}

struct Bench {
    dir: tempfile::TempDir,
    port: Arc<Unconnected>,
    cameras: Cameras,
}

impl Bench {
    async fn new() -> Bench {
        Bench::of(tempfile::tempdir().unwrap(), &[]).await
    }

    async fn of(dir: tempfile::TempDir, configured: &[Settings]) -> Bench {
        let store = Store::open(&DataDir::claim(dir.path()).unwrap()).unwrap();
        let port = Arc::new(Unconnected::default());
        let cameras = Cameras::start(configured, store, trust(), Lan::default(), port.clone());
        Bench {
            cameras: cameras.await.unwrap(),
            port,
            dir,
        }
    }

    async fn restart(self, configured: &[Settings]) -> Bench {
        drop(self.cameras);
        Bench::of(self.dir, configured).await
    }

    /// With whom the only camera is asked for its main stream.
    fn who(&self) -> Option<(String, String)> {
        let specs = self.port.specs();
        let address = &specs[0].streams.main.options.address;
        let credentials = address.credentials()?;
        Some((credentials.user.clone(), credentials.password.clone()))
    }
}

fn stream(address: &str) -> CameraStream {
    CameraStream {
        address: address.into(),
        ..CameraStream::default()
    }
}

fn new(name: &str, address: &str) -> CameraSettings {
    CameraSettings {
        name: name.into(),
        room: "Yard".into(),
        main: stream(address),
        sub: None,
        transport: CameraTransport::Tcp,
        audio: true,
        always_on: false,
        pins: Vec::new(),
    }
}

fn known(user: &str) -> Option<(String, String)> {
    Some((user.to_owned(), SECRET.to_owned()))
}

#[tokio::test]
async fn camera_is_gone_or_another_one_after_a_restart() {
    let bench = Bench::new().await;
    let mut settings = new(" Gate ", "rtsp://a:hunter2@cam/1");
    settings.sub = Some(stream("rtsp://cam/2"));
    settings.transport = CameraTransport::Udp;
    settings.always_on = true;
    settings.audio = false;
    settings.pins = vec![Pin::of(b"x").to_string()];
    let entry = bench.cameras.add(&settings).await.unwrap();
    assert!(entry.name == "Gate" && entry.id.starts_with("CA_"));
    let bench = bench.restart(&[]).await;
    let specs = bench.port.specs();
    assert_eq!((specs.len(), &specs[0].id), (1, &entry.id));
    let main = &specs[0].streams.main;
    assert_eq!((main.mode, main.options.audio), (Mode::Always, false));
    assert_eq!(main.options.transport, Transport::Udp);
    assert_eq!(main.options.pins, [Pin::of(b"x")]);
    assert_eq!(bench.who(), known("a"));
    bench.cameras.remove("Gate").await.unwrap();
    assert!(bench.port.specs().is_empty());
    assert!(bench.restart(&[]).await.cameras.list().await.is_empty());
}

#[tokio::test]
async fn password_is_shown_to_whoever_looks() {
    let bench = Bench::new().await;
    let mut settings = new("Gate", "rtsp://a:hunter2@cam/x?password=hunter2&y=1");
    settings.sub = Some(CameraStream {
        address: "rtsp://cam2/x".into(),
        user: Some("b".into()),
        password: Some("hunter2".into()),
    });
    let debug = format!("{settings:?}");
    let added = bench.cameras.add(&settings).await.unwrap();
    let list = bench.cameras.list().await;
    let json = serde_json::to_string(&(&added, &list)).unwrap();
    let kept = Settings::read(&settings, None).unwrap();
    let inside = format!("{kept:?} {:?} {:?}", bench.cameras, bench.port);
    for text in [debug, json, inside, format!("{list:?}")] {
        assert!(!text.contains(SECRET), "{text}");
    }
    assert!(list[0].main.has_password && list[0].sub.as_ref().unwrap().has_password);
    assert_eq!(list[0].main.user.as_deref(), Some("a"));
}

#[tokio::test]
async fn password_is_sent_to_a_host_that_somebody_else_has_entered() {
    let bench = Bench::new().await;
    let id = bench
        .cameras
        .add(&new("Gate", "rtsps://a:hunter2@cam:8554/1"))
        .await
        .unwrap()
        .id;
    let change = async |stream: CameraStream| {
        let mut changed = new("Gate", "");
        changed.main = stream;
        bench.cameras.change(&id, &changed).await
    };
    for elsewhere in [
        "rtsps://evil:8554/1",
        "rtsps://cam:8555/1",
        "rtsps://cam/1",
        // Everybody on the way could read it.
        "rtsp://cam:8554/1",
        "rtsps://a@evil:8554/1",
    ] {
        let refused = change(stream(elsewhere)).await.unwrap_err().to_string();
        assert!(refused.contains("again"), "{refused}");
        let test = TestCamera {
            id: Some(id.clone()),
            stream: stream(elsewhere),
            transport: CameraTransport::Tcp,
            audio: true,
            pins: Vec::new(),
        };
        let refused = bench.cameras.test(&test).await.unwrap_err();
        assert!(matches!(refused, CameraError::Invalid(_)), "{refused}");
    }
    assert_eq!(bench.who(), known("a"));
    // Another stream of the same camera, and another user.
    change(stream("rtsps://cam:8554/2")).await.unwrap();
    assert_eq!(bench.who(), known("a"));
    let mut other = stream("rtsps://cam:8554/2");
    other.user = Some("b".into());
    change(other.clone()).await.unwrap();
    assert_eq!(bench.who(), known("b"));
    // Nobody, and then a substream elsewhere, which is not asked for by the main one's user.
    other.user = Some(String::new());
    change(other).await.unwrap();
    assert_eq!(bench.who(), None);
    change(stream("rtsp://evil/")).await.unwrap();
    assert_eq!(bench.who(), None);
}

#[tokio::test]
async fn substream_gets_the_password_of_another_camera() {
    let bench = Bench::new().await;
    let mut settings = new("Gate", "rtsp://a:hunter2@cam/1");
    let sub = async |bench: &Bench, settings: &CameraSettings| {
        let id = bench.cameras.list().await.first().map(|it| it.id.clone());
        match id {
            Some(id) => bench.cameras.change(&id, settings).await.unwrap(),
            None => bench.cameras.add(settings).await.unwrap(),
        };
        let sub = bench.port.specs()[0].streams.sub.clone().unwrap();
        sub.credentials().map(|it| it.password.clone())
    };
    settings.sub = Some(stream("rtsp://cam/2"));
    assert_eq!(sub(&bench, &settings).await.as_deref(), Some(SECRET));
    settings.main = stream("rtsp://cam/1");
    settings.sub = Some(stream("rtsp://evil/2"));
    assert_eq!(sub(&bench, &settings).await, None);
    settings.sub = Some(stream("rtsp://cam:8554/2"));
    assert_eq!(sub(&bench, &settings).await, None);
}

#[tokio::test]
async fn address_that_is_shown_shortened_replaces_the_real_one() {
    let bench = Bench::new().await;
    let address = "rtsp://cam/user=a_password=hunter2_channel=1";
    let entry = bench.cameras.add(&new("Gate", address)).await.unwrap();
    assert!(entry.main.address.contains('…'), "{}", entry.main.address);
    let mut changed = new("Barn", &entry.main.address);
    bench.cameras.change(&entry.id, &changed).await.unwrap();
    let specs = bench.port.specs();
    let kept = specs[0].streams.main.options.address.without_credentials();
    assert!(kept.contains(SECRET) && specs[0].name == "Barn");
    changed.main = stream("rtsp://cam2/user=…");
    let refused = bench.cameras.change(&entry.id, &changed).await.unwrap_err();
    assert!(refused.to_string().contains("not shown"), "{refused}");
}

#[tokio::test]
async fn configured_camera_is_changed_on_the_page() {
    let configured = Settings::read(&new("Gate", "rtsp://cam/1"), None).unwrap();
    let bench = Bench::new().await;
    bench
        .cameras
        .add(&new("Gate", "rtsp://cam/2"))
        .await
        .unwrap();
    let bench = bench.restart(std::slice::from_ref(&configured)).await;
    let list = bench.cameras.list().await;
    assert!(list.len() == 1 && list[0].configured);
    let id = list[0].id.clone();
    let changed = bench.cameras.change(&id, &new("Gate", "rtsp://x/")).await;
    assert!(matches!(changed, Err(CameraError::Configured)));
    let removed = bench.cameras.remove("Gate").await;
    assert!(matches!(removed, Err(CameraError::Configured)));
    let again = bench.restart(&[configured]).await.cameras.list().await;
    assert_eq!(again[0].id, id);
}

#[tokio::test]
async fn camera_beyond_the_bound_is_nowhere_and_nobody_is_told() {
    let configured = |number: usize| {
        let new = new(&format!("Configured {number}"), "rtsp://cam/1");
        Settings::read(&new, None).unwrap()
    };
    let bench = Bench::new().await;
    for number in 0..MAX_CAMERAS {
        let new = new(&format!("Kept {number}"), "rtsp://cam/1");
        bench.cameras.add(&new).await.unwrap();
    }
    let refused = bench.cameras.add(&new("Another", "rtsp://cam/1")).await;
    let why = refused.unwrap_err().to_string();
    assert!(why.contains("64 cameras"), "{why}");
    let Bench { dir, cameras, .. } = bench;
    drop(cameras);
    let store = Store::open(&DataDir::claim(dir.path()).unwrap()).unwrap();
    let port = Arc::new(Unconnected::default());
    let both = [configured(1), configured(2)];
    let refused = Cameras::start(&both, store, trust(), Lan::default(), port.clone()).await;
    let why = refused.unwrap_err().to_string();
    assert!(
        why.contains("2 cameras") && why.contains("64 that"),
        "{why}"
    );
    assert!(port.specs().is_empty());
}

#[tokio::test]
async fn what_makes_no_sense_is_kept() {
    let bench = Bench::new().await;
    let wrong = |change: fn(&mut CameraSettings)| {
        let mut settings = new("Gate", "rtsp://a:hunter2@cam/1");
        change(&mut settings);
        settings
    };
    for settings in [
        wrong(|it| it.name = " ".into()),
        wrong(|it| it.name = "x".repeat(65)),
        wrong(|it| it.name = "a\nb".into()),
        wrong(|it| it.room = "a/b".into()),
        wrong(|it| it.main.address = "http://a:hunter2@cam/1".into()),
        wrong(|it| it.sub = Some(stream("exec:rm"))),
        wrong(|it| it.pins = vec!["AA:BB".into()]),
        wrong(|it| it.pins = vec!["AA".repeat(32); 9]),
        wrong(|it| {
            it.main = stream("rtsp://cam/1");
            it.main.user = Some("x".repeat(257));
        }),
    ] {
        let refused = bench.cameras.add(&settings).await.unwrap_err();
        assert!(matches!(refused, CameraError::Invalid(_)), "{refused}");
        assert!(!refused.to_string().contains(SECRET), "{refused}");
    }
    for index in 0..MAX_CAMERAS {
        let settings = new(&format!("Cam {index}"), "rtsp://cam/1");
        bench.cameras.add(&settings).await.unwrap();
    }
    let full = bench.cameras.add(&new("One more", "rtsp://cam/1")).await;
    assert!(matches!(full, Err(CameraError::TooManyCameras)));
    let twice = bench.cameras.add(&new("Cam 1", "rtsp://cam/1")).await;
    assert!(matches!(twice, Err(CameraError::Exists)));
}

/// A host that answers nothing, or hangs up.
async fn dumb() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("rtsp://a:hunter2@{}/1", listener.local_addr().unwrap());
    (listener, address)
}

fn test(address: &str) -> TestCamera {
    TestCamera {
        id: None,
        stream: stream(address),
        transport: CameraTransport::Tcp,
        audio: true,
        pins: Vec::new(),
    }
}

#[tokio::test]
async fn ports_of_a_network_are_searched_by_tests() {
    let bench = Bench::new().await;
    let (closed, address) = dumb().await;
    drop(closed);
    for _ in 0..10 {
        let tested = bench.cameras.test(&test(&address)).await.unwrap();
        let why = tested.why.unwrap();
        assert!(
            tested.found.is_none() && why.contains("nothing listens"),
            "{why}"
        );
        assert!(!why.contains(SECRET), "{why}");
    }
    let refused = bench.cameras.test(&test(&address)).await.unwrap_err();
    assert!(matches!(refused, CameraError::TooMany(_)), "{refused}");
}

#[tokio::test]
async fn tests_without_an_answer_pile_up() {
    let bench = Bench::new().await;
    let (_open, address) = dumb().await;
    let what = test(&address);
    let two = async {
        let both = futures_util::future::join(bench.cameras.test(&what), bench.cameras.test(&what));
        let (one, other) = tokio::time::timeout(Duration::from_secs(13), both)
            .await
            .unwrap();
        assert!(one.unwrap().found.is_none() && other.unwrap().found.is_none());
    };
    let third = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let refused = bench.cameras.test(&what).await.unwrap_err();
        assert!(matches!(refused, CameraError::Busy), "{refused}");
    };
    futures_util::future::join(two, third).await;
}

#[tokio::test]
async fn certificate_that_is_not_shown_is_confirmed() {
    let bench = Bench::new().await;
    let id = bench
        .cameras
        .add(&new("Gate", "rtsps://cam/1"))
        .await
        .unwrap()
        .id;
    for seen in ["", "AA", &Pin::of(b"x").to_string()] {
        let refused = bench.cameras.confirm(&id, seen).await.unwrap_err();
        assert!(
            matches!(refused, CameraError::NothingToConfirm),
            "{refused}"
        );
    }
}

#[test]
fn address_without_its_user_is_another_one() {
    let address = Address::parse("rtsps://a:b@[fe80::1]:8554/x?y=1").unwrap();
    let again = Address::parse(&address.without_credentials()).unwrap();
    assert_eq!(again, address.with_credentials(None));
}

#[tokio::test]
async fn import_sets_cameras_twice_or_into_no_room() {
    let bench = Bench::new().await;
    let mut what = ImportCameras {
        room: "Yard".into(),
        text: "streams:\n  a: rtsp://u:hunter2@cam/1\n  b: exec:x\n".into(),
    };
    let imported = bench.cameras.import(&what).await.unwrap();
    assert_eq!((imported.added.len(), imported.skipped.len()), (1, 1));
    assert_eq!(bench.who(), known("u"));
    let again = bench.cameras.import(&what).await.unwrap();
    assert!(again.added.is_empty() && again.skipped[0].why.contains("already"));
    assert!(!format!("{what:?} {again:?}").contains(SECRET));
    what.room = "a/b".into();
    let refused = bench.cameras.import(&what).await.unwrap_err();
    assert!(matches!(refused, CameraError::Invalid(_)), "{refused}");
}

#[tokio::test]
async fn new_configuration_restarts_cameras_that_have_not_changed() {
    let set = |name: &str, address: &str| Settings::read(&new(name, address), None).unwrap();
    let (gate, yard) = (set("Gate", "rtsp://cam/1"), set("Yard", "rtsp://cam/2"));
    let bench = Bench::new().await;
    let page = new("Door", "rtsp://cam/3");
    bench.cameras.add(&page).await.unwrap();
    let names = || {
        let specs = bench.port.specs();
        let mut names: Vec<_> = specs.into_iter().map(|spec| spec.name).collect();
        names.sort();
        names
    };
    bench
        .cameras
        .configure(&[gate.clone(), yard])
        .await
        .unwrap();
    assert_eq!(names(), ["Door", "Gate", "Yard"]);
    // What is told again would be seen to come back.
    bench.port.0.lock().unwrap().clear();
    let moved = set("Yard", "rtsp://cam/4");
    bench.cameras.configure(&[gate, moved]).await.unwrap();
    assert_eq!(names(), ["Yard"]);
    // One of the page comes back when that of the same name goes.
    let door = set("Door", "rtsp://cam/5");
    bench.cameras.configure(&[door]).await.unwrap();
    let list = bench.cameras.list().await;
    assert!(list.len() == 1 && list[0].configured, "{list:?}");
    bench.cameras.configure(&[]).await.unwrap();
    let list = bench.cameras.list().await;
    assert!(list.len() == 1 && !list[0].configured, "{list:?}");
    assert_eq!(names(), ["Door"]);
}
