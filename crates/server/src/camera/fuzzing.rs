//! What must hold for the bytes of cameras, and for addresses that somebody enters.

use bytes::Bytes;

use super::address::Address;
use super::audio::AccessUnits;
use super::framing::Framing;

/// Reads what a camera sends over RTSP, an AAC packet and an address. The first byte says into how
/// many pieces the bytes fall.
///
/// # Panics
/// If pieces are read as something else than the whole, a password is shown, or more sound comes
/// out than went in.
pub fn camera(data: &[u8]) {
    let Some((&pieces, data)) = data.split_first() else {
        return;
    };
    let framing = || Framing::new([192, 0, 2, 1].into());
    let whole = framing().push(data);
    let mut cut = framing();
    let pieces = data
        .chunks(usize::from(pieces).max(1))
        .map(|piece| cut.push(piece));
    let pieces: Result<Vec<_>, _> = pieces.collect();
    assert_eq!(whole.is_ok(), pieces.is_ok());
    if let (Ok(whole), Ok(pieces)) = (whole, pieces) {
        assert_eq!(whole, pieces.concat());
    }
    let payload = Bytes::copy_from_slice(data);
    let mut units = AccessUnits::default();
    for lost in [false, true, false] {
        let read = units.read(&payload, lost).unwrap_or_default();
        let size: usize = read.iter().map(Bytes::len).sum();
        assert!(size <= 2 * data.len());
    }
    if let Ok(address) = std::str::from_utf8(data)
        .map_err(drop)
        .and_then(|text| Address::parse(text).map_err(drop))
    {
        let shown = address.to_string();
        let secret = address.credentials().map(|who| who.password.as_str());
        // What is also part of the host or path is no secret.
        let bare = address.clone().with_credentials(None).to_string();
        assert!(secret.is_none_or(|secret| secret.is_empty()
            || !shown.contains(secret)
            || bare.contains(secret)));
    }
}
