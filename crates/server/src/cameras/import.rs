//! Cameras of another program's configuration: the streams of a `go2rtc.yaml`.
//!
//! The YAML is read as a stream of events by a library; of these, a tree is made here that holds
//! no more than the text does. Aliases are not followed, so that nothing grows.

use saphyr_parser::{Event, Parser};

use super::operator::CameraError;
use super::registry::Cameras;
use super::settings::{Settings, check_name, check_room};
use crate::camera::{Address, Transport};
use crate::http::api::{ImportCameras, ImportedCameras, SkippedCamera};
use crate::tasks;

/// Bytes of a file.
pub const MAX_IMPORT: usize = 24 * 1024;

/// Lists in lists in lists.
const MAX_DEPTH: usize = 32;

/// Characters of a name that is told back.
const MAX_SHOWN: usize = 64;

impl Cameras {
    /// Sets the cameras of a `go2rtc.yaml`, as far as they are ones.
    ///
    /// # Errors
    ///
    /// If the text cannot be read, or the database fails.
    pub async fn import(&self, what: &ImportCameras) -> Result<ImportedCameras, CameraError> {
        let room = check_room(&what.room).map_err(CameraError::Invalid)?;
        let text = what.text.clone();
        // The text is anybody's: the library may need its time, or fail in the middle.
        let reading = tasks::spawn_blocking(move || read(&text)).await;
        let found = reading
            .unwrap_or_else(|_| Err("this text cannot be read".to_owned()))
            .map_err(CameraError::Invalid)?;
        let mut imported = ImportedCameras {
            added: Vec::new(),
            skipped: Vec::new(),
        };
        for Stream { name, source } in found {
            let why = match source.and_then(|source| source.settings(&name, &room)) {
                Ok(settings) => match self.keep(settings).await {
                    Ok(entry) => {
                        imported.added.push(entry.name);
                        continue;
                    }
                    Err(CameraError::Store(error)) => return Err(error.into()),
                    Err(why) => why.to_string(),
                },
                Err(why) => why,
            };
            let name = name.chars().take(MAX_SHOWN).collect();
            imported.skipped.push(SkippedCamera { name, why });
        }
        Ok(imported)
    }
}

/// A stream of the file: where it comes from, or why it is left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) source: Result<Source, String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    address: Address,
    audio: bool,
}

impl Source {
    pub(super) fn settings(self, name: &str, room: &str) -> Result<Settings, String> {
        Ok(Settings {
            name: check_name(name)?,
            room: room.to_owned(),
            main: self.address,
            sub: None,
            transport: Transport::Tcp,
            audio: self.audio,
            always_on: false,
            pins: Vec::new(),
        })
    }
}

/// The streams of a text, in their order; or why it has none, in words that hold nothing of it.
pub(super) fn read(text: &str) -> Result<Vec<Stream>, String> {
    if text.len() > MAX_IMPORT {
        return Err(format!("the text has more than {} KiB", MAX_IMPORT / 1024));
    }
    let Some(Node::Map(sections)) = tree(text)? else {
        return Err("this is no go2rtc.yaml: it has no streams".to_owned());
    };
    let named = |(name, node)| (name == "streams").then_some(node);
    let streams = sections.into_iter().find_map(named);
    let Some(Node::Map(streams)) = streams else {
        return Err("this is no go2rtc.yaml: it has no streams".to_owned());
    };
    let each = streams.into_iter();
    Ok(each
        .map(|(name, node)| Stream {
            source: source(node),
            name,
        })
        .collect())
}

/// The first camera's address among the sources of a stream.
fn source(node: Node) -> Result<Source, String> {
    let texts = match node {
        Node::Text(text) => vec![text],
        Node::List(list) => list.into_iter().filter_map(Node::text).collect(),
        Node::Map(_) | Node::Alias => Vec::new(),
    };
    let ours = |text: &&String| matches!(scheme(text).as_str(), "rtsp" | "rtsps");
    let Some(text) = texts.iter().find(ours) else {
        // Only how they begin: the rest may hold passwords.
        let mut schemes: Vec<String> = Vec::new();
        for scheme in texts.iter().map(|text| scheme(text) + ":") {
            if !schemes.contains(&scheme) {
                schemes.push(scheme);
            }
        }
        return Err(match schemes.is_empty() {
            true => "it has no source".to_owned(),
            false => format!(
                "its source is {}, and only rtsp: and rtsps: are taken",
                schemes.join(", ")
            ),
        });
    };
    let (address, options) = text.split_once('#').unwrap_or((text.as_str(), ""));
    if address.contains("${") {
        return Err("its address has a part that comes from the environment (${…})".to_owned());
    }
    let wanted = |media: &str| options.split('#').any(|option| option == media);
    Ok(Source {
        address: Address::parse(address).map_err(|why| why.to_string())?,
        audio: !wanted("media=video") || wanted("media=audio"),
    })
}

/// What is before the first colon, if that can be a scheme.
fn scheme(text: &str) -> String {
    let scheme = text.trim().split(':').next().unwrap_or_default();
    let fits =
        (1..=16).contains(&scheme.len()) && scheme.chars().all(|c| c.is_ascii_alphanumeric());
    match fits && text.contains(':') {
        true => scheme.to_ascii_lowercase(),
        false => "something else".to_owned(),
    }
}

/// What is written, as far as it matters.
#[derive(Debug)]
enum Node {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    /// Stands for something else, and is not followed.
    Alias,
}

impl Node {
    fn text(self) -> Option<String> {
        match self {
            Node::Text(text) => Some(text),
            Node::List(_) | Node::Map(_) | Node::Alias => None,
        }
    }
}

/// What is not closed yet.
#[derive(Debug)]
enum Open {
    List(Vec<Node>),
    /// With the key that waits for its value.
    Map(Vec<(String, Node)>, Option<String>),
}

/// The first document.
fn tree(text: &str) -> Result<Option<Node>, String> {
    let mut parser = Parser::new_from_str(text);
    let mut open: Vec<Open> = Vec::new();
    while let Some(event) = parser.next_event() {
        // The library's own words may show what is written there.
        let (event, _) = event.map_err(|error| {
            let line = error.marker().line();
            format!("this is no YAML: line {line} cannot be read")
        })?;
        let node = match event {
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => continue,
            Event::StreamEnd | Event::DocumentEnd => return Ok(None),
            Event::MappingStart(..) => {
                open.push(Open::Map(Vec::new(), None));
                None
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                None
            }
            Event::MappingEnd | Event::SequenceEnd => open.pop().map(|done| match done {
                Open::List(list) => Node::List(list),
                Open::Map(map, _) => Node::Map(map),
            }),
            Event::Scalar(text, ..) => Some(Node::Text(text.into_owned())),
            Event::Alias(_) => Some(Node::Alias),
        };
        if open.len() > MAX_DEPTH {
            return Err("this is nested too deeply".to_owned());
        }
        let Some(node) = node else {
            continue;
        };
        match open.last_mut() {
            None => return Ok(Some(node)),
            Some(Open::List(list)) => list.push(node),
            Some(Open::Map(map, key)) => match key.take() {
                Some(key) => map.push((key, node)),
                None => *key = Some(node.text().unwrap_or_default()),
            },
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names with addresses, or with why they are left out.
    fn found(text: &str) -> Vec<(String, Result<String, String>)> {
        let each = read(text).unwrap().into_iter();
        each.map(|Stream { name, source }| {
            let shown = source.map(|it| {
                let user = it.address.credentials().map(|it| format!("{}@", it.user));
                let sound = if it.audio { "" } else { " silent" };
                format!("{}{}{sound}", user.unwrap_or_default(), it.address)
            });
            (name, shown)
        })
        .collect()
    }

    #[test]
    fn streams_of_a_real_file_are_left_out() {
        let text = r#"
api:
  listen: ":1984"   # comment
streams:
  porch: rtsp://admin:p%40ss@192.168.1.20/stream1
  "back yard":
    - ffmpeg:back#audio=opus
    - rtsps://u:p@cam.local:322/live?x=1#backchannel=0#media=video
    - rtsp://second/
  'list': [ "rtsp://10.0.0.9/a", exec:x ]
  usb: ffmpeg:device?video=0&token=hunter2#video=h264
  shell: exec:cat /etc/passwd
  mixed: ["http://x/hunter2", "onvif://a:hunter2@cam"]
  env: rtsp://a:${PASSWORD}@cam/x
  bad: rtsp://a:hunter2@/x
  empty:
  nested: { a: b }
log:
  level: debug
"#;
        let all = found(text);
        let ok = |name: &str| {
            let (_, result) = all.iter().find(|(own, _)| own == name).unwrap();
            result.clone()
        };
        assert_eq!(all.len(), 10);
        assert_eq!(ok("porch").unwrap(), "admin@rtsp://192.168.1.20/stream1");
        assert_eq!(
            ok("back yard").unwrap(),
            "u@rtsps://cam.local/live?x=1 silent"
        );
        assert_eq!(ok("list").unwrap(), "rtsp://10.0.0.9/a");
        assert!(ok("usb").unwrap_err().contains("ffmpeg:"));
        assert!(ok("shell").unwrap_err().contains("exec:"));
        assert!(ok("mixed").unwrap_err().contains("http:, onvif:"));
        assert!(ok("env").unwrap_err().contains("environment"));
        for name in ["bad", "empty", "nested", "usb", "mixed"] {
            let why = ok(name).unwrap_err();
            assert!(!why.contains("hunter2"), "{name}: {why}");
        }
    }

    #[test]
    fn file_that_refers_to_itself_grows_without_end() {
        let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (new, old) in ('b'..='z').zip('a'..) {
            let all = vec![format!("*{old}"); 9].join(", ");
            bomb.push_str(&format!("{new}: &{new} [{all}]\n"));
        }
        bomb.push_str("streams:\n  x: *z\n  y: [*z, *z]\n  z: rtsp://cam/\n");
        let all = found(&bomb);
        assert_eq!(all.len(), 3);
        assert!(all[0].1.is_err() && all[1].1.is_err() && all[2].1.is_ok());
    }

    proptest::proptest! {
        #[test]
        fn text_of_anybody_ends_the_server(
            text in "[-\\[\\]{}&*!|>'\"#%@:?, \\n\\ta-c]{0,60}",
            head in "(streams:\\n {0,3})?",
        ) {
            let _ = read(&format!("{head}{text}"));
        }
    }

    #[test]
    fn what_is_no_such_file_is_believed() {
        let deep = "streams: ".to_owned() + &"[".repeat(1000);
        let long = "x".repeat(MAX_IMPORT + 1);
        for text in [
            "",
            "hello",
            "- a\n- b\n",
            "streams:\n",
            "streams: hunter2\n",
            "streams: [hunter2\n",
            "streams:\n\t- hunter2: \"\n",
            "a: {b: hunter2",
            "? [hunter2]\n: x\n",
            "%TAG hunter2",
            &deep,
            &long,
        ] {
            let why = read(text).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}
