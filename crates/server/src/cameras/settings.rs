//! What is set of a camera, and how that comes of what is entered.

use crate::camera::{Address, Credentials, Mode, Options, Setup, Streams, Transport};
use crate::http::api::{CameraSettings, CameraStream, CameraTransport};
use crate::mdns::Lan;
use crate::store;
use crate::trunk::{Pin, Trust};

/// Characters of a name that is shown to people.
const MAX_NAME: usize = 64;

/// Bytes of a user's name, and of a password.
const MAX_SECRET: usize = 256;

/// Certificates of one camera.
const MAX_PINS: usize = 8;

/// A camera that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `CA_…`.
    pub id: String,
    /// What was entered.
    pub settings: Settings,
    /// Seconds since the Unix epoch; 0 for one of the configuration.
    pub created_at: u64,
    /// It comes from the configuration and can only be changed there.
    pub configured: bool,
}

/// What was entered of a camera. Shows no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Shown to people.
    pub name: String,
    /// Where it is seen.
    pub room: String,
    /// Its better stream, or its only one, with its credentials.
    pub main: Address,
    /// Its small one, with its own credentials if it has any.
    pub sub: Option<Address>,
    /// How packets come.
    pub transport: Transport,
    /// Sound is wanted.
    pub audio: bool,
    /// Connected also while nobody watches.
    pub always_on: bool,
    /// Certificates that were confirmed.
    pub pins: Vec<Pin>,
}

impl Settings {
    /// Reads what was entered. `before` is what was set until now: what is not said anew stays.
    pub(super) fn read(
        new: &CameraSettings,
        before: Option<&Settings>,
    ) -> Result<Settings, String> {
        let main = address(&new.main, before.map(|before| &before.main))?;
        let known = before.and_then(|before| before.sub.as_ref());
        let sub = new.sub.as_ref().map(|sub| address(sub, known));
        Ok(Settings {
            name: check_name(&new.name)?,
            room: check_room(&new.room)?,
            main,
            sub: sub
                .transpose()
                .map_err(|why| format!("the substream: {why}"))?,
            transport: transport(new.transport),
            audio: new.audio,
            always_on: new.always_on,
            pins: pins(&new.pins)?,
        })
    }

    /// For the owner of the rooms.
    pub(super) fn streams(&self, trust: Trust, lan: Lan) -> Streams {
        let mut options = Options::new(self.main.clone(), trust);
        options.lan = lan;
        options.transport = self.transport;
        options.audio = self.audio;
        options.pins.clone_from(&self.pins);
        Streams {
            main: Setup {
                options,
                mode: match self.always_on {
                    true => Mode::Always,
                    false => Mode::OnDemand,
                },
            },
            sub: self.sub.clone().map(|sub| self.lend(sub)),
        }
    }

    /// A substream without a user of its own is asked for by that of the main one, of the same
    /// camera only.
    fn lend(&self, sub: Address) -> Address {
        match (sub.credentials(), self.main.credentials()) {
            (None, Some(own)) if sub.is_same_place(&self.main) => {
                sub.with_credentials(Some(own.clone()))
            }
            (None | Some(_), None | Some(_)) => sub,
        }
    }
}

/// Reads a name.
pub(crate) fn check_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let fits =
        (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if !fits {
        return Err(format!("a camera's name has 1 to {MAX_NAME} characters"));
    }
    Ok(name.to_owned())
}

/// Reads a room's name.
pub(crate) fn check_room(text: &str) -> Result<String, String> {
    let wrong = "a room's name has 1 to 64 characters and no slash";
    store::rooms::name(text).ok_or_else(|| wrong.to_owned())
}

/// Reads fingerprints.
pub(crate) fn pins(texts: &[String]) -> Result<Vec<Pin>, String> {
    if texts.len() > MAX_PINS {
        return Err(format!("a camera has {MAX_PINS} fingerprints at most"));
    }
    let wrong = "a fingerprint is the SHA-256 of a certificate, as AA:BB:… with 32 pairs";
    let all = texts.iter().map(|text| Pin::parse(text));
    all.collect::<Option<_>>().ok_or_else(|| wrong.to_owned())
}

pub(super) fn transport(wanted: CameraTransport) -> Transport {
    match wanted {
        CameraTransport::Tcp => Transport::Tcp,
        CameraTransport::Udp => Transport::Udp,
    }
}

/// Reads an address with its credentials. A password that is not given is the one of before, but
/// never for another place: whoever comes by the admin's page could have it sent to himself.
pub(super) fn address(given: &CameraStream, before: Option<&Address>) -> Result<Address, String> {
    let text = given.address.trim();
    let kept = before.filter(|before| before.to_string() == text);
    let address = match kept {
        Some(kept) => kept.clone(),
        None if text.contains('…') => {
            return Err("the address has a part that is not shown (…): enter all of it".to_owned());
        }
        None => Address::parse(text).map_err(|why| why.to_string())?,
    };
    let own = address.credentials().cloned().filter(|_| kept.is_none());
    let (user, password) = match own {
        Some(own) => (
            Some(own.user),
            Some(own.password).filter(|it| !it.is_empty()),
        ),
        None => (given.user.clone(), given.password.clone()),
    };
    let credentials = credentials(user, password, &address, before)?;
    Ok(address.with_credentials(credentials))
}

fn credentials(
    user: Option<String>,
    password: Option<String>,
    address: &Address,
    before: Option<&Address>,
) -> Result<Option<Credentials>, String> {
    let known = before.and_then(Address::credentials);
    let stays = before.is_some_and(|before| before.is_same_place(address));
    let user = user.map(|user| user.trim().to_owned());
    let credentials = match (user, password, known) {
        (Some(user), None, _) if user.is_empty() => return Ok(None),
        (Some(user), Some(password), _) => Credentials { user, password },
        (None, Some(password), known) => Credentials {
            user: known.map(|known| known.user.clone()).unwrap_or_default(),
            password,
        },
        (user, None, Some(known)) if stays || known.password.is_empty() => Credentials {
            user: user.unwrap_or_else(|| known.user.clone()),
            password: known.password.clone(),
        },
        (_, None, Some(_)) => {
            let why = "this is another host or port than before: enter user and password again";
            return Err(why.to_owned());
        }
        (Some(user), None, None) => Credentials {
            user,
            password: String::new(),
        },
        (None, None, None) => return Ok(None),
    };
    let fits = |text: &str| text.len() <= MAX_SECRET && !text.chars().any(char::is_control);
    if !fits(&credentials.user) || !fits(&credentials.password) {
        return Err(format!(
            "user and password have at most {MAX_SECRET} characters, on one line"
        ));
    }
    let none = credentials.user.is_empty() && credentials.password.is_empty();
    Ok((!none).then_some(credentials))
}
