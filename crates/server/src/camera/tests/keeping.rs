//! Cameras for months.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use umbrella_media::Spatial;

use super::rig::{Audio, Auth};
use super::*;
use crate::memory::Memory;

fn pace() -> Pace {
    Pace {
        shortest: Duration::from_millis(20),
        longest: Duration::from_millis(200),
        seldom: Duration::from_millis(400),
        good: Duration::from_secs(5),
        linger: Duration::from_millis(150),
    }
}

fn setup(rig: &Rig, mode: Mode) -> Setup {
    Setup {
        options: options(&rig.url("")),
        mode,
    }
}

async fn until(keeper: &Keeper, what: impl Fn(&State) -> bool) -> State {
    let mut state = keeper.state();
    let found = timeout(PATIENCE, state.wait_for(|state| what(state))).await;
    found.unwrap().unwrap().clone()
}

fn is_live(state: &State) -> bool {
    matches!(state, State::Live { .. })
}

/// Takes all events, and keeps them.
fn drain<T: Send + 'static>(mut events: mpsc::Receiver<T>) -> Arc<Mutex<Vec<T>>> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            keep.lock().unwrap().push(event);
        }
    });
    kept
}

#[tokio::test]
async fn camera_that_was_away_needs_a_restart() {
    let rig = Rig::start(Script {
        audio: Audio::Pcmu,
        quirk: Quirk::Closes(25),
        ..Script::default()
    })
    .await;
    let (sender, events) = mpsc::channel(64);
    let kept = drain(events);
    let keeper = Keeper::start(setup(&rig, Mode::Always), pace(), Memory::new(None), sender);
    until(&keeper, is_live).await;
    until(&keeper, |state| {
        matches!(
            state,
            State::Reconnecting {
                why: Reason::Closed,
                ..
            }
        )
    })
    .await;
    until(&keeper, is_live).await;
    until(&keeper, |state| matches!(state, State::Reconnecting { .. })).await;
    // Sound and pictures come back together, and time goes on.
    let kept = kept.lock().unwrap();
    let connections = kept
        .iter()
        .filter(|event| matches!(event, Event::Connected { audio: Some(_), .. }));
    assert!(connections.count() >= 2);
    let pictures = kept.iter().filter_map(|event| match event {
        Event::Video(picture) => Some(picture),
        _ => None,
    });
    let pictures: Vec<_> = pictures.collect();
    for pair in pictures.windows(2) {
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!(step < 1 << 31, "{step}");
    }
}

#[tokio::test]
async fn camera_is_connected_for_which_there_is_no_memory() {
    let rig = Rig::start(Script::default()).await;
    let (sender, _events) = mpsc::channel(64);
    let memory = Memory::new(Some(1));
    let keeper = Keeper::start(setup(&rig, Mode::Always), pace(), memory, sender);
    let state = until(&keeper, |state| matches!(state, State::Reconnecting { .. })).await;
    assert!(matches!(
        state,
        State::Reconnecting {
            why: Reason::NoMemory,
            ..
        }
    ));
    assert_eq!(rig.connections(), 0);
}

#[tokio::test]
async fn camera_that_is_away_is_dialled_in_a_storm() {
    let rig = Rig::start(Script {
        quirk: Quirk::Closes(3),
        ..Script::default()
    })
    .await;
    let (sender, events) = mpsc::channel(64);
    let _kept = drain(events);
    let keeper = Keeper::start(
        setup(&rig, Mode::OnDemand),
        pace(),
        Memory::new(None),
        sender,
    );
    keeper.want(true);
    for _ in 0..100 {
        // Whoever looks again and again must not make it faster.
        keeper.want(false);
        tokio::time::sleep(Duration::from_millis(5)).await;
        keeper.want(true);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let connections = rig.connections();
    assert!((2..=30).contains(&connections), "{connections}");
}

#[tokio::test]
async fn wrong_password_is_tried_every_second() {
    let rig = Rig::start(Script {
        auth: Auth::Never,
        ..Script::default()
    })
    .await;
    let (sender, events) = mpsc::channel(64);
    let _kept = drain(events);
    let mut setup = setup(&rig, Mode::Always);
    let keeper = Keeper::start(setup.clone(), pace(), Memory::new(None), sender);
    let refused = |state: &State| {
        matches!(
            state,
            State::Refused {
                why: Reason::PasswordNeeded,
                ..
            }
        )
    };
    until(&keeper, refused).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(rig.connections(), 1);
    // Somebody has changed something.
    setup.options.address = Address::parse(&rig.url("a:b@")).unwrap();
    keeper.reconfigure(setup);
    let refused = |state: &State| {
        matches!(
            state,
            State::Refused {
                why: Reason::WrongPassword,
                ..
            }
        )
    };
    until(&keeper, refused).await;
    keeper.retry();
    timeout(PATIENCE, async {
        while rig.connections() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn camera_is_connected_though_nobody_looks() {
    let rig = Rig::start(Script::default()).await;
    let (sender, events) = mpsc::channel(64);
    let _kept = drain(events);
    let keeper = Keeper::start(
        setup(&rig, Mode::OnDemand),
        pace(),
        Memory::new(None),
        sender,
    );
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(
        (rig.connections(), keeper.state().borrow().clone()),
        (0, State::Idle)
    );
    keeper.want(true);
    until(&keeper, is_live).await;
    // Somebody only looks away for a moment.
    keeper.want(false);
    tokio::time::sleep(Duration::from_millis(50)).await;
    keeper.want(true);
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(is_live(&keeper.state().borrow()) && rig.connections() == 1);
    keeper.want(false);
    until(&keeper, |state| *state == State::Idle).await;
    keeper.want(true);
    until(&keeper, is_live).await;
    assert_eq!(rig.connections(), 2);
    keeper.stop();
    timeout(PATIENCE, async {
        while rig.open() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn main_stream_is_fetched_for_whoever_looks_at_the_small_one() {
    let (main, sub) = (
        Rig::start(Script::default()).await,
        Rig::start(Script::default()).await,
    );
    let streams = Streams {
        main: setup(&main, Mode::OnDemand),
        sub: Some(Address::parse(&sub.url("")).unwrap()),
    };
    let (sender, mut events) = mpsc::channel(64);
    let mut camera = Camera::start(streams.clone(), pace(), Memory::new(None), sender);
    let layers: Vec<_> = camera.layers().collect();
    assert_eq!(layers, [Spatial::LOW, Spatial::MEDIUM]);
    camera.want(Spatial::LOW, true);
    let (layer, event) = timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
    assert!(layer == Spatial::LOW && matches!(event, Event::Connected { .. }));
    assert_eq!((main.connections(), sub.connections()), (0, 1));
    camera.want(Spatial::MEDIUM, true);
    loop {
        let (layer, event) = timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
        if layer == Spatial::MEDIUM && matches!(event, Event::Video(_)) {
            break;
        }
    }
    let alone = Streams {
        main: setup(&main, Mode::Always),
        sub: None,
    };
    camera.reconfigure(alone);
    assert_eq!(camera.layers().collect::<Vec<_>>(), [Spatial::LOW]);
    assert_eq!(camera.states().len(), 1);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn password_stands_in_a_log_or_a_message() {
    // If there is one only, tracing takes it for everybody's: a thread without it, as those of other
    // tests, then switches what it comes to first off for all.
    let _another = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // As long as there is one subscriber only, a line that another test's thread comes by first is
    // switched off for all, because that thread has none.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut said = String::new();
    for quirk in [
        Quirk::None,
        Quirk::BadDescription,
        Quirk::Rubbish,
        Quirk::Redirect("rtsp://admin:hunter2@127.0.0.9/".to_owned()),
        Quirk::Status("404 Not Found"),
    ] {
        let rig = Rig::start(Script {
            auth: Auth::Basic,
            quirk,
            ..Script::default()
        })
        .await;
        let url = rig
            .url("admin:hunter2@")
            .replace("/live", "/user=x&password=hunter2/live");
        let setup = Setup {
            options: options(&url),
            mode: Mode::Always,
        };
        let (sender, mut events) = mpsc::channel(64);
        said += &format!("{setup:?} {}", setup.options.address);
        let keeper = Keeper::start(setup, pace(), Memory::new(None), sender);
        let event = timeout(PATIENCE, events.recv()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        said += &format!("{event:?} {:?} {keeper:?}", keeper.state().borrow());
        if let Some(Event::Ended(reason)) = event {
            said += &reason.to_string();
        }
    }
    said += &String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(said.contains("no camera"));
    assert!(!said.contains("hunter2"), "{said}");
    assert!(!said.contains("aHVudGVyMg"), "as base64");
}
