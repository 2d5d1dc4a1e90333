//! Cameras that are none, are broken, or mean harm.

use super::rig::{Auth, Video};
use super::*;

async fn refused_with(quirk: Quirk) -> Reason {
    refused(Script {
        quirk,
        ..Script::default()
    })
    .await
}

/// Why a camera with this quirk ends after it has begun.
async fn broken_with(quirk: Quirk) -> Reason {
    let rig = Rig::start(Script {
        quirk,
        ..Script::default()
    })
    .await;
    end(Session::open(options(&rig.url("")))).await
}

#[tokio::test]
async fn camera_fills_our_memory() {
    let long = Reason::TooMuchText;
    assert_eq!(refused_with(Quirk::EndlessHeaders).await, long);
    assert_eq!(refused_with(Quirk::Length("99999999999")).await, long);
    assert_eq!(refused_with(Quirk::ManyStreams).await, long);
    assert_eq!(broken_with(Quirk::Oversized).await, Reason::TooLarge);
}

#[tokio::test]
async fn answer_that_never_ends_is_waited_for() {
    for (quirk, step) in [
        (Quirk::NeverAnswers, Step::Describe),
        (Quirk::SlowDrip, Step::Describe),
        // More is announced than comes.
        (Quirk::Length("9999"), Step::Describe),
    ] {
        let rig = Rig::start(Script {
            quirk,
            ..Script::default()
        })
        .await;
        let mut options = options(&rig.url(""));
        options.limits.answer = Duration::from_millis(300);
        let begin = Instant::now();
        let reason = end(Session::open(options)).await;
        assert_eq!(reason, Reason::Silent { step, seconds: 0 });
        assert!(begin.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn nonsense_brings_the_session_down_without_a_word() {
    for quirk in [
        Quirk::BadDescription,
        Quirk::Rubbish,
        Quirk::Length("-7"),
        Quirk::Length("5"),
    ] {
        let reason = refused_with(quirk.clone()).await;
        let known = matches!(reason, Reason::Protocol { .. } | Reason::NoVideo);
        assert!(known, "{quirk:?}: {reason:?}");
    }
    assert_eq!(refused_with(Quirk::OtherProtocol).await, Reason::NotRtsp);
}

#[tokio::test]
async fn status_of_a_camera_is_only_a_number() {
    for (status, reason) in [
        ("404 Not Found", Reason::NotFound),
        ("403 Forbidden", Reason::Forbidden),
        ("453 Not Enough Bandwidth", Reason::Busy),
        ("461 Unsupported Transport", Reason::Transport),
        (
            "500 Internal Server Error",
            Reason::Status {
                step: Step::Describe,
                status: 500,
            },
        ),
    ] {
        assert_eq!(refused_with(Quirk::Status(status)).await, reason);
    }
}

#[tokio::test]
async fn camera_sends_us_to_other_hosts() {
    let other = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
    let target = format!(
        "rtsp://u:hunter2@{}/x?password=hunter2",
        other.local_addr().unwrap()
    );
    let reason = refused_with(Quirk::Redirect(target)).await;
    assert!(matches!(&reason, Reason::Redirected(to) if to.contains("127.0.0.2")));
    assert!(!format!("{reason} {reason:?}").contains("hunter2"));
    let dialled = timeout(Duration::from_millis(50), other.accept()).await;
    assert!(dialled.is_err(), "nobody may be dialled");
    for nowhere in ["http://127.0.0.1/", "", "file:///etc/passwd"] {
        let reason = refused_with(Quirk::Redirect(nowhere.to_owned())).await;
        assert!(
            matches!(reason, Reason::Redirected(_)),
            "{nowhere}: {reason:?}"
        );
    }
}

#[tokio::test]
async fn redirects_go_round_for_ever() {
    let rig = Rig::start(Script {
        quirk: Quirk::Redirect("/again".to_owned()),
        ..Script::default()
    })
    .await;
    let reason = end(Session::open(options(&rig.url("")))).await;
    assert!(matches!(reason, Reason::Redirected(_)), "{reason:?}");
    assert_eq!(rig.connections(), 2);
}

#[tokio::test]
async fn wrong_password_is_tried_until_the_camera_locks_us_out() {
    let rig = Rig::start(Script {
        auth: Auth::Never,
        ..Script::default()
    })
    .await;
    let reason = end(Session::open(options(&rig.url("admin:x@")))).await;
    assert_eq!(reason, Reason::WrongPassword);
    assert!(reason.needs_person());
    // Once without, to be asked, and once with.
    assert_eq!(rig.requests().len(), 2);
}

#[tokio::test]
async fn frozen_camera_is_shown_as_live() {
    for (quirk, reason) in [
        (Quirk::SilentAfterPlay, Reason::Frozen(0)),
        (Quirk::NoKeyFrames, Reason::NoKeyFrame(0)),
    ] {
        let rig = Rig::start(Script {
            quirk,
            ..Script::default()
        })
        .await;
        let mut options = options(&rig.url(""));
        options.limits.frozen = Duration::from_millis(300);
        options.limits.key_frame = Duration::from_millis(200);
        assert_eq!(end(Session::open(options)).await, reason);
    }
}

#[tokio::test]
async fn camera_that_hangs_up_or_begins_anew_is_shown_as_live() {
    assert_eq!(broken_with(Quirk::Closes(5)).await, Reason::Closed);
    let reason = broken_with(Quirk::SequenceResets).await;
    let step = Step::Stream;
    assert!(
        matches!(reason, Reason::Protocol { step: at, .. } if at == step),
        "{reason:?}"
    );
}

#[tokio::test]
async fn session_goes_on_after_nobody_wants_it() {
    let rig = Rig::start(Script {
        video: Video::H264,
        ..Script::default()
    })
    .await;
    let mut session = Session::open(options(&rig.url("")));
    connected(&mut session).await;
    assert_eq!(rig.open(), 1);
    drop(session);
    timeout(PATIENCE, async {
        while rig.open() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}
