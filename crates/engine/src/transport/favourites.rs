//! The codecs with which a peer wants to send its new tracks.

use umbrella_media::{Codec, Kind};

use crate::api::Favourite;

use super::sdp::parse::{Description, PeerSection};

/// Favourites that no section has taken yet, and the offer whose sections take them.
#[derive(Debug)]
pub(super) struct Favourites<'a> {
    left: Vec<Favourite>,
    offer: &'a Description,
}

impl<'a> Favourites<'a> {
    pub(super) fn new(favourites: Vec<Favourite>, offer: &'a Description) -> Self {
        Favourites {
            left: favourites,
            offer,
        }
    }

    /// The favourite of a section in which the peer begins to send: that of its track, else the
    /// first of its kind whose track no section of the offer names.
    pub(super) fn take(&mut self, section: &PeerSection, kind: Kind) -> Option<Codec> {
        let of_kind = |favourite: &Favourite| favourite.codec.kind() == kind;
        let named = |track: &str| self.offer.sections.iter().any(|s| s.track == track);
        let index = self
            .left
            .iter()
            .position(|f| of_kind(f) && f.track == section.track)
            .or_else(|| {
                self.left
                    .iter()
                    .position(|f| of_kind(f) && !named(&f.track))
            })?;
        Some(self.left.remove(index).codec)
    }
}

#[cfg(test)]
mod tests {
    use crate::api::Limits;

    use super::*;

    fn offer(tracks: &[&str]) -> Description {
        let mut sdp = String::from("v=0\r\na=fingerprint:sha-256 AB:CD\r\n");
        for (mid, track) in tracks.iter().enumerate() {
            sdp.push_str(&format!(
                "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:{mid}\r\na=sendonly\r\na=msid:- {track}\r\n"
            ));
        }
        Description::parse(&sdp, &Limits::default()).expect("valid")
    }

    fn taken(tracks: &[&str], favourites: &[(&str, Codec)]) -> Vec<Option<Codec>> {
        let offer = offer(tracks);
        let favourites = favourites.iter().map(|(track, codec)| Favourite {
            track: (*track).into(),
            codec: *codec,
        });
        let mut favourites = Favourites::new(favourites.collect(), &offer);
        let sections = offer.sections.iter();
        sections
            .map(|section| favourites.take(section, Kind::Video))
            .collect()
    }

    #[test]
    fn screen_is_sent_with_the_codec_of_the_camera() {
        let favourites = [("screen", Codec::Vp9), ("camera", Codec::H264)];
        assert_eq!(
            taken(&["camera", "screen"], &favourites),
            [Some(Codec::H264), Some(Codec::Vp9)]
        );
    }

    #[test]
    fn peer_that_makes_up_track_ids_sends_with_any_codec() {
        let favourites = [("mic", Codec::Opus), ("camera", Codec::Vp9)];
        assert_eq!(taken(&["{17-4}"], &favourites), [Some(Codec::Vp9)]);
    }

    #[test]
    fn unannounced_track_takes_the_codec_of_a_named_one() {
        let favourites = [("camera", Codec::Av1)];
        assert_eq!(
            taken(&["stranger", "camera"], &favourites),
            [None, Some(Codec::Av1)]
        );
    }
}
