//! Good cameras, and their quirks.

use umbrella_media::Codec;
use umbrella_media::codec::h264;

use super::rig::{Audio, Auth, PASSWORD, USER, Video};
use super::*;

fn of(video: Video) -> Script {
    Script {
        video,
        ..Script::default()
    }
}

fn quirk(quirk: Quirk) -> Script {
    Script {
        quirk,
        ..Script::default()
    }
}

#[tokio::test]
async fn camera_has_no_picture() {
    let rig = Rig::start(of(Video::H264)).await;
    let mut session = Session::open(options(&rig.url("")));
    let (video, audio, notes) = connected(&mut session).await;
    assert_eq!((video.size.width, video.size.height), (1920, 1080));
    assert_eq!((video.codec, video.profile), (Codec::H264, "Main"));
    assert_eq!((audio, notes), (None, Vec::new()));
    let first = picture(&mut session).await;
    assert!(first.key_frame && first.payloads.iter().all(|payload| payload.len() <= 1200));
    assert!(h264::parse(&first.payloads[0], false).unwrap().key_frame);
    let mut before = first;
    for index in 1..25 {
        let next = picture(&mut session).await;
        assert_eq!(next.timestamp.wrapping_sub(before.timestamp), 3600);
        assert_eq!(next.key_frame, index % 10 == 0);
        assert!(!next.after_loss && next.captured > before.captured);
        before = next;
    }
}

#[tokio::test]
async fn camera_with_udp_sends_to_nobody() {
    let rig = Rig::start(Script {
        audio: Audio::Pcmu,
        ..Script::default()
    })
    .await;
    let mut options = options(&rig.url(""));
    options.transport = Transport::Udp;
    let mut session = Session::open(options);
    let (_, audio, _) = connected(&mut session).await;
    assert_eq!(audio.unwrap().codec, Codec::Pcmu);
    assert!(picture(&mut session).await.key_frame);
    let setup = rig
        .requests()
        .into_iter()
        .find(|request| request.starts_with("SETUP"));
    assert!(setup.unwrap().contains("RTP/AVP/UDP"));
}

#[tokio::test]
async fn camera_without_parameters_in_its_description_or_in_its_stream_is_black() {
    for video in [Video::InBandOnly, Video::DescribedOnly] {
        let rig = Rig::start(of(video)).await;
        let mut session = Session::open(options(&rig.url("")));
        assert_eq!(connected(&mut session).await.0.size.height, 1080);
        for _ in 0..2 {
            let mut next = picture(&mut session).await;
            while !next.key_frame {
                next = picture(&mut session).await;
            }
            let parsed = h264::parse(&next.payloads[0], false).unwrap();
            assert_eq!(parsed.size.map(|size| size.width), Some(1920), "{video:?}");
        }
    }
}

#[tokio::test]
async fn right_password_is_refused() {
    for auth in [Auth::Basic, Auth::Md5, Auth::Sha256] {
        let script = Script {
            auth,
            ..Script::default()
        };
        let rig = Rig::start(script).await;
        let mut session = Session::open(options(&rig.url(&format!("{USER}:{PASSWORD}@"))));
        connected(&mut session).await;
        let session = Session::open(options(&rig.url("admin:wrong@")));
        assert_eq!(end(session).await, Reason::WrongPassword, "{auth:?}");
        let session = Session::open(options(&rig.url("")));
        assert_eq!(end(session).await, Reason::PasswordNeeded, "{auth:?}");
        assert!(
            !rig.requests()
                .iter()
                .any(|request| request.contains(PASSWORD))
        );
    }
}

#[tokio::test]
async fn h265_is_a_black_picture_without_a_word() {
    let rig = Rig::start(of(Video::H265)).await;
    let mut session = Session::open(options(&rig.url("")));
    let (video, _, notes) = connected(&mut session).await;
    assert_eq!((video.codec, video.size.width), (Codec::H265, 704));
    assert!(notes.contains(&Note::H265));
    assert_eq!(picture(&mut session).await.units.len(), 4);
}

#[tokio::test]
async fn what_browsers_do_not_play_is_a_black_picture_without_a_word() {
    let jpeg = refused(of(Video::Jpeg)).await;
    assert_eq!(jpeg, Reason::VideoCodec("MJPEG".to_owned()));
    assert!(jpeg.to_string().contains("choose H.264"), "{jpeg}");
    assert_eq!(refused(of(Video::None)).await, Reason::NoVideo);
    let rig = Rig::start(of(Video::BFrames)).await;
    let reason = end(Session::open(options(&rig.url("")))).await;
    assert_eq!(reason, Reason::BFrames);
    assert!(jpeg.needs_person() && reason.needs_person());
}

#[tokio::test]
async fn picture_stands_still_after_timestamps_have_jumped() {
    let rig = Rig::start(quirk(Quirk::TimestampJumps)).await;
    let mut session = Session::open(options(&rig.url("")));
    connected(&mut session).await;
    let mut before = picture(&mut session).await;
    for _ in 0..30 {
        let next = picture(&mut session).await;
        let step = next.timestamp.wrapping_sub(before.timestamp);
        assert!((1..90_000).contains(&step), "{step}");
        before = next;
    }
}

#[tokio::test]
async fn new_resolution_breaks_the_picture() {
    let rig = Rig::start(quirk(Quirk::Resizes)).await;
    let mut session = Session::open(options(&rig.url("")));
    assert_eq!(connected(&mut session).await.0.size.height, 1080);
    loop {
        match next(&mut session).await {
            Event::Video(_) => {}
            Event::Changed(video) => {
                assert_eq!(video.size.height, 720);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let key = picture(&mut session).await;
    assert!(key.key_frame);
    let size = h264::parse(&key.payloads[0], false).unwrap().size;
    assert_eq!(size.map(|size| size.height), Some(720));
}

#[tokio::test]
async fn camera_behind_another_address_than_it_knows_is_lost() {
    for quirk in [Quirk::WrongBase, Quirk::UnknownChannel, Quirk::Moved] {
        let script = Script {
            quirk,
            ..Script::default()
        };
        let rig = Rig::start(script).await;
        let mut session = Session::open(options(&rig.url("")));
        connected(&mut session).await;
        picture(&mut session).await;
    }
}

#[tokio::test]
async fn test_of_a_camera_tells_nothing() {
    let rig = Rig::start(Script {
        audio: Audio::Aac,
        ..Script::default()
    })
    .await;
    let look = Duration::from_millis(400);
    let found = probe::probe_for(options(&rig.url("")), look).await.unwrap();
    assert_eq!((found.video.size.height, found.ended), (1080, None));
    assert_eq!(found.audio.unwrap().source, "AAC, 16000 Hz, mono");
    assert_eq!(found.key_frame.len(), 3);
    assert!(found.frame_rate.unwrap() > 5.0 && found.bitrate > 1000);
    assert!(found.key_frame_interval.unwrap() > Duration::from_millis(20));
    let closed = Address::parse("rtsp://127.0.0.1:1/x").unwrap();
    let closed = probe(Options::new(closed, trust())).await;
    assert_eq!(closed, Err(Reason::PortClosed(1)));
}

#[tokio::test]
async fn test_of_a_camera_takes_for_ever() {
    let quirk = Quirk::NoKeyFrames;
    let rig = Rig::start(Script {
        quirk,
        ..Script::default()
    })
    .await;
    let mut options = options(&rig.url(""));
    options.limits.start = Duration::from_millis(900);
    options.limits.key_frame = Duration::from_secs(30);
    let found = probe_until(options.clone(), Duration::from_secs(1)).await;
    assert_eq!(found, Err(Reason::NoKeyFrame(1)));
    // One that has everything is looked at for no longer, either.
    let rig = Rig::start(Script::default()).await;
    options.address = Address::parse(&rig.url("")).unwrap();
    let begin = std::time::Instant::now();
    let found = probe_until(options, Duration::from_secs(1)).await.unwrap();
    assert!(!found.key_frame.is_empty() && begin.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn nobody_can_look_at_a_camera_by_tls() {
    use rustls::pki_types::PrivateKeyDer;
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["cam".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let tls = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(tls));
    let rig = Rig::with_tls(of(Video::H264), Some(tls)).await;
    let url = rig.url("").replace("rtsp:", "rtsps:");
    let pin = crate::trunk::Pin::of(&certificate);
    let unknown = end(Session::open(options(&url))).await;
    assert_eq!(unknown, Reason::UnknownCertificate(pin));
    let mut confirmed = options(&url);
    confirmed.pins = vec![pin];
    let mut session = Session::open(confirmed.clone());
    connected(&mut session).await;
    picture(&mut session).await;
    confirmed.pins = vec![crate::trunk::Pin::of(b"another")];
    let other = end(Session::open(confirmed)).await;
    assert_eq!(other, Reason::OtherCertificate);
}

/// `UMBRELLA_TEST_CAMERA=rtsp://… cargo nextest run real_camera --run-ignored all`
#[tokio::test]
#[ignore = "needs a camera"]
async fn real_camera_is_not_understood() {
    let url = std::env::var("UMBRELLA_TEST_CAMERA").unwrap();
    let address = Address::parse(&url).unwrap();
    let mut options = Options::new(address, trust());
    if std::env::var("UMBRELLA_TEST_UDP").is_ok() {
        options.transport = Transport::Udp;
    }
    let found = probe(options).await;
    assert!(found.is_ok(), "{found:?}");
    let found = found.unwrap();
    panic!(
        "{:?} {:?} {:?} {:?} after {:?}, {:?} per second, key frames each {:?}, {} bit/s, {:?}",
        found.video,
        found.audio,
        found.notes,
        found.key_frame.len(),
        found.first_picture,
        found.frame_rate,
        found.key_frame_interval,
        found.bitrate,
        found.ended
    );
}
