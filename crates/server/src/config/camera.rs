//! Cameras in rooms.

use super::ConfigError;
use super::file::Camera;
use super::parse::Blame;
use crate::camera::{Address, MAX_CAMERAS, Transport};
use crate::cameras::{Settings, check_name, check_room, pins};

pub(super) fn check(written: &[Camera], blame: &Blame<'_>) -> Result<Vec<Settings>, ConfigError> {
    if written.len() > MAX_CAMERAS {
        let problem = format!("expected at most {MAX_CAMERAS} cameras");
        return Err(blame.error("camera", "", problem));
    }
    let mut all: Vec<Settings> = Vec::new();
    for (index, camera) in written.iter().enumerate() {
        let wrong = |why| blame.error("camera", "", format!("entry {}: {why}", index + 1));
        let camera = read(camera).map_err(wrong)?;
        let twice = |other: &Settings| other.name == camera.name && other.room == camera.room;
        if all.iter().any(twice) {
            let why = "another entry has the same name and room".to_owned();
            return Err(wrong(why));
        }
        all.push(camera);
    }
    Ok(all)
}

fn read(written: &Camera) -> Result<Settings, String> {
    let address = |name: &str, text: &str| {
        // The address itself is not shown: it may hold a password.
        Address::parse(text).map_err(|why| format!("{name}: {why}"))
    };
    let sub = Some(written.sub_url.as_str()).filter(|text| !text.trim().is_empty());
    Ok(Settings {
        name: check_name(&written.name)?,
        room: check_room(&written.room)?,
        main: address("url", &written.url)?,
        sub: sub.map(|text| address("sub_url", text)).transpose()?,
        transport: match written.transport.trim() {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            _ => return Err("transport: expected \"tcp\" or \"udp\"".to_owned()),
        },
        audio: written.audio,
        always_on: written.always_on,
        pins: pins(&written.pin).map_err(|why| format!("pin: {why}"))?,
    })
}
