//! How a peer has asked to send its new tracks.

use umbrella_media::Kind;

use crate::api::PublishOptions;

use super::sdp::parse::{Description, PeerSection};

/// Options that no section has taken yet, and the offer whose sections take them.
#[derive(Debug)]
pub(super) struct Options<'a> {
    left: Vec<PublishOptions>,
    offer: &'a Description,
}

impl<'a> Options<'a> {
    pub(super) fn new(options: Vec<PublishOptions>, offer: &'a Description) -> Self {
        Options {
            left: options,
            offer,
        }
    }

    /// The options of a section in which the peer begins to send: those of its track, else the
    /// first of its kind whose track no section of the offer names.
    pub(super) fn take(&mut self, section: &PeerSection, kind: Kind) -> Option<PublishOptions> {
        let named = |track: &str| self.offer.sections.iter().any(|s| s.track == track);
        let find = |fits: &dyn Fn(&PublishOptions) -> bool| {
            self.left.iter().position(|o| o.kind == kind && fits(o))
        };
        let index = find(&|o| o.track == section.track).or_else(|| find(&|o| !named(&o.track)))?;
        Some(self.left.remove(index))
    }
}

#[cfg(test)]
mod tests {
    use umbrella_media::Codec;

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

    fn taken(tracks: &[&str], announced: &[(&str, Codec)]) -> Vec<Option<Codec>> {
        let offer = offer(tracks);
        let options = announced.iter().map(|(track, codec)| PublishOptions {
            track: (*track).into(),
            kind: codec.kind(),
            codec: Some(*codec),
            dtx: false,
        });
        let mut options = Options::new(options.collect(), &offer);
        let sections = offer.sections.iter();
        sections
            .map(|section| options.take(section, Kind::Video)?.codec)
            .collect()
    }

    #[test]
    fn screen_is_sent_with_the_codec_of_the_camera() {
        let announced = [("screen", Codec::Vp9), ("camera", Codec::H264)];
        assert_eq!(
            taken(&["camera", "screen"], &announced),
            [Some(Codec::H264), Some(Codec::Vp9)]
        );
    }

    #[test]
    fn peer_that_makes_up_track_ids_sends_with_any_codec() {
        let announced = [("mic", Codec::Opus), ("camera", Codec::Vp9)];
        assert_eq!(taken(&["{17-4}"], &announced), [Some(Codec::Vp9)]);
    }

    #[test]
    fn unannounced_track_takes_the_codec_of_a_named_one() {
        let announced = [("camera", Codec::Av1)];
        assert_eq!(
            taken(&["stranger", "camera"], &announced),
            [None, Some(Codec::Av1)]
        );
    }
}
