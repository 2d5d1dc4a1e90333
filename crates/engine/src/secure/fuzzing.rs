//! What holds for every packet that claims to be RTCP.

use str0m::crypto::dtls::SrtpProfile;

use super::rtcp_rewrite::{SenderInfo, rewrite};
use super::srtp::{OpenError, RtcpOpener, Sealer};
use super::testing::{crypto, keying_of};

const INFO: SenderInfo = SenderInfo {
    ntp: 5,
    rtp: 6,
    packets: 7,
    octets: 8,
};
const SENDER_REPORT: u8 = 200;

/// Corrects a compound packet, as if str0m had written it.
///
/// # Panics
/// If the result is longer than the original or no compound packet, or says that a silent stream
/// has sent something.
pub fn correcting(plain: &[u8]) {
    let mut corrected = Vec::new();
    if rewrite(plain, &mut corrected, &mut |_| Some(INFO)).is_ok() {
        assert_eq!(corrected.len(), plain.len());
    }
    let mut silent = Vec::new();
    let Ok(done) = rewrite(plain, &mut silent, &mut |_| None) else {
        return;
    };
    assert!(silent.len() <= plain.len());
    assert_eq!(
        silent.is_empty(),
        plain.is_empty(),
        "nothing vanishes whole"
    );
    assert_eq!(done.corrected, 0);
    let mut again = Vec::new();
    let asked = rewrite(&silent, &mut again, &mut |ssrc| {
        panic!("a sender report of {ssrc} is left")
    });
    let asked = asked.expect("still a compound packet");
    assert_eq!((asked.demoted, asked.bye), (0, done.bye));
    assert_eq!(again, silent);
    assert_ne!(silent.get(1), Some(&SENDER_REPORT));
}

/// Opens SRTCP. The first byte chooses the cipher and the second how a good packet is damaged;
/// the rest is a forged packet, and, at its full length, what the peer really says.
///
/// # Panics
/// If a packet opens that the peer has not sealed, or one that it has does not open exactly once.
pub fn opening(data: &[u8]) {
    let [choice, damage, rest @ ..] = data else {
        return;
    };
    let profile = SrtpProfile::ALL[usize::from(*choice) % SrtpProfile::ALL.len()];
    let (ours, theirs) = (keying_of(profile, true), keying_of(profile, false));
    let mut opener = RtcpOpener::new(crypto(), &ours).expect("keys of the right length");
    let mut opened = Vec::new();
    let forged = opener.open(rest, &mut opened);
    assert_eq!(forged, Err(OpenError::Forged), "nobody has sealed {rest:?}");

    let mut peer = Sealer::new(crypto(), &theirs).expect("keys of the right length");
    let plain = &rest[..rest.len() & !3];
    let mut sealed = Vec::new();
    if peer.seal_rtcp(plain, &mut sealed).is_err() {
        assert!(plain.len() < 8 && sealed.is_empty());
        return;
    }
    let at = usize::from(*damage) * sealed.len() / 256;
    let mut damaged = sealed.clone();
    damaged[at] ^= 1 << (choice >> 5);
    let refused = opener.open(&damaged, &mut opened);
    assert_eq!(refused, Err(OpenError::Forged), "byte {at} was changed");
    assert_eq!(opener.open(&sealed, &mut opened), Ok(()));
    assert_eq!(opened, plain);
    let replayed = opener.open(&sealed, &mut opened);
    assert_eq!(replayed, Err(OpenError::Replayed));
    let mut stranger = RtcpOpener::new(crypto(), &theirs).expect("keys of the right length");
    let reflected = stranger.open(&sealed, &mut opened);
    assert_eq!(reflected, Err(OpenError::Forged), "sent back to its sender");
}
