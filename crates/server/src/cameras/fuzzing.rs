//! What must hold for files of other programs.

use super::import::{MAX_IMPORT, Stream, read};

/// Reads a text as a `go2rtc.yaml`.
///
/// # Panics
/// If more comes out than is written there, a text that is too long is read, a password is shown, or
/// a stream is taken under a name that nobody could enter.
pub fn import(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let found = match read(text) {
        Ok(found) => found,
        // Never what is written there.
        Err(why) => return assert!(why.len() < 100, "{why}"),
    };
    assert!(text.len() <= MAX_IMPORT);
    // Each has a line, or at least a sign, of its own.
    assert!(found.len() <= text.len());
    // The shortest escape is of two bytes, and what it stands for has three.
    let names: usize = found.iter().map(|stream| stream.name.len()).sum();
    assert!(names <= 3 * text.len());
    for Stream { name, source } in found {
        let settings = match source.map(|source| source.settings(&name, "Yard")) {
            Err(why) => {
                assert!(why.len() <= 200 + 3 * text.len(), "{why}");
                continue;
            }
            Ok(Err(_)) => continue,
            Ok(Ok(settings)) => settings,
        };
        assert!((1..=64).contains(&settings.name.chars().count()));
        let shown = settings.main.to_string();
        let secret = settings.main.credentials();
        let secret = secret.map_or("", |who| who.password.as_str());
        // What is also part of the host or path is no secret.
        let bare = settings.main.clone().with_credentials(None).to_string();
        assert!(secret.is_empty() || !shown.contains(secret) || bare.contains(secret));
    }
}
