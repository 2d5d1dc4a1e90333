//! How much of a track a subscriber gets, from what it says about its tile.

use umbrella_media::{Delivery, Kind, Layer, Priority, Spatial, Temporal};

use crate::model::{Source, TrackSettings, TrackView, VideoLayer};

/// A tile of so many pixels on either side was made large by whoever looks at it: in a grid on a
/// usual screen, tiles are smaller.
const LARGE: (u32, u32) = (960, 540);

/// The delivery that fits a subscriber.
///
/// - Sound is all or nothing.
/// - A tile's size chooses the smallest announced layer that covers the tile when the whole
///   picture is shown in it; without a size the wished quality counts; without that, the top.
/// - Nothing said yet by a client with adaptive stream: the smallest layer, as its first settings
///   follow within a moment and a large picture for a thumbnail would crowd the link.
/// - The rates of a 30 fps picture in three temporal layers decide how many of these are dropped.
///   A track with fewer layers keeps more frames than were asked for.
pub fn delivery(
    track: &TrackView,
    settings: Option<&TrackSettings>,
    adaptive: bool,
    speaks: bool,
) -> Delivery {
    let paused = settings.is_some_and(|s| s.disabled);
    let layer = match (track.kind, settings) {
        (Kind::Audio, _) => Layer::TOP,
        (Kind::Video, None) if adaptive => Layer {
            spatial: Spatial::LOW,
            ..Layer::TOP
        },
        (Kind::Video, None) => Layer::TOP,
        (Kind::Video, Some(settings)) => video_layer(track, settings),
    };
    Delivery {
        paused,
        layer,
        priority: priority(track, settings, speaks),
        floor: Spatial::LOW,
    }
}

/// What a picture is worth beside others, where the path does not carry all of them.
fn priority(track: &TrackView, settings: Option<&TrackSettings>, speaks: bool) -> Priority {
    let large = |s: &TrackSettings| s.width >= LARGE.0 || s.height >= LARGE.1;
    match (track.kind, track.source) {
        (Kind::Audio, _) => Priority::Normal,
        (Kind::Video, Source::ScreenShare) => Priority::Screen,
        (
            Kind::Video,
            Source::Unknown | Source::Camera | Source::Microphone | Source::ScreenShareAudio,
        ) => match settings {
            Some(settings) if large(settings) => Priority::Large,
            Some(_) | None if speaks => Priority::Speaker,
            Some(_) | None => Priority::Normal,
        },
    }
}

fn video_layer(track: &TrackView, settings: &TrackSettings) -> Layer {
    let wished = settings.quality.unwrap_or(Layer::TOP);
    let layer = if settings.width > 0 || settings.height > 0 {
        Layer {
            spatial: covering(&track.layers, settings.width, settings.height),
            ..Layer::TOP
        }
    } else {
        wished
    };
    let temporal = layer.temporal.min(frame_rate_layer(settings.frame_rate));
    Layer { temporal, ..layer }
}

/// The smallest layer that covers a tile; the top when none does or sizes are not announced.
fn covering(layers: &[VideoLayer], width: u32, height: u32) -> Spatial {
    layers
        .iter()
        .find(|layer| covers(layer, width, height))
        .and_then(|layer| Spatial::new(layer.quality))
        .unwrap_or(Spatial::HIGH)
}

/// A picture shown whole in a tile is bounded by one side of it, so one side that is large enough
/// is enough. One eighth less is let pass: clients round, count device pixels, and nobody sees
/// the difference, but the next layer costs three times the bits.
fn covers(layer: &VideoLayer, width: u32, height: u32) -> bool {
    let enough =
        |have: u32, need: u32| need > 0 && have > 0 && u64::from(have) * 9 >= u64::from(need) * 8;
    enough(layer.width, width) || enough(layer.height, height)
}

fn frame_rate_layer(frame_rate: u32) -> Temporal {
    match frame_rate {
        1..=8 => Temporal::BASE,
        9..=15 => Temporal::new(1),
        0 | 16.. => Temporal::ALL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Source, TrackId};

    fn camera() -> TrackView {
        let layer = |quality, width, height| VideoLayer {
            quality,
            width,
            height,
            bitrate: 0,
            rid: String::new(),
        };
        TrackView {
            id: TrackId::new("TR_1"),
            kind: Kind::Video,
            source: Source::Camera,
            name: String::new(),
            stream: String::new(),
            muted: false,
            codec: None,
            width: 1280,
            height: 720,
            layers: vec![layer(0, 320, 180), layer(1, 640, 360), layer(2, 1280, 720)],
            simulcast: true,
            disable_dtx: false,
            stereo: false,
            disable_red: false,
            encryption: 0,
            audio_features: Vec::new(),
        }
    }

    fn settings() -> TrackSettings {
        TrackSettings {
            disabled: false,
            width: 0,
            height: 0,
            quality: None,
            frame_rate: 0,
        }
    }

    fn tile(width: u32, height: u32) -> Spatial {
        let settings = TrackSettings {
            width,
            height,
            ..settings()
        };
        delivery(&camera(), Some(&settings), true, false)
            .layer
            .spatial
    }

    #[test]
    fn thumbnail_does_not_cost_a_large_picture() {
        assert_eq!(tile(160, 90), Spatial::LOW);
        assert_eq!(tile(320, 180), Spatial::LOW);
    }

    #[test]
    fn rounded_up_tile_does_not_jump_to_the_next_layer() {
        assert_eq!(tile(322, 181), Spatial::LOW);
        assert_eq!(tile(360, 202), Spatial::LOW);
        assert_eq!(tile(400, 225), Spatial::MEDIUM);
    }

    #[test]
    fn full_screen_is_not_blurred() {
        assert_eq!(tile(1280, 720), Spatial::HIGH);
        assert_eq!(tile(3840, 2160), Spatial::HIGH);
    }

    #[test]
    fn tall_tile_is_judged_by_the_side_that_bounds_the_picture() {
        assert_eq!(tile(300, 1000), Spatial::LOW);
        assert_eq!(tile(2000, 350), Spatial::MEDIUM);
    }

    #[test]
    fn portrait_picture_is_measured_as_announced() {
        let mut track = camera();
        for layer in &mut track.layers {
            std::mem::swap(&mut layer.width, &mut layer.height);
        }
        let settings = TrackSettings {
            width: 180,
            height: 320,
            ..settings()
        };
        assert_eq!(
            delivery(&track, Some(&settings), true, false).layer.spatial,
            Spatial::LOW
        );
    }

    #[test]
    fn size_said_on_one_side_only_is_understood() {
        assert_eq!(tile(600, 0), Spatial::MEDIUM);
        assert_eq!(tile(0, 170), Spatial::LOW);
    }

    #[test]
    fn absurd_sizes_do_not_overflow() {
        assert_eq!(tile(u32::MAX, u32::MAX), Spatial::HIGH);
    }

    #[test]
    fn unannounced_layers_give_the_top() {
        let mut track = camera();
        track.layers.clear();
        let settings = TrackSettings {
            width: 10,
            height: 10,
            ..settings()
        };
        assert_eq!(
            delivery(&track, Some(&settings), true, false),
            Delivery::FULL
        );
    }

    #[test]
    fn quality_counts_when_no_size_is_said() {
        let low = Layer {
            spatial: Spatial::LOW,
            temporal: Temporal::ALL,
        };
        let wished = TrackSettings {
            quality: Some(low),
            ..settings()
        };
        assert_eq!(delivery(&camera(), Some(&wished), false, false).layer, low);
        let sized = TrackSettings {
            width: 1280,
            height: 720,
            ..wished
        };
        assert_eq!(
            delivery(&camera(), Some(&sized), false, false).layer,
            Layer::TOP
        );
    }

    #[test]
    fn adaptive_client_starts_small_and_a_plain_one_with_everything() {
        assert_eq!(
            delivery(&camera(), None, true, false).layer.spatial,
            Spatial::LOW
        );
        assert_eq!(delivery(&camera(), None, false, false), Delivery::FULL);
    }

    #[test]
    fn sound_is_never_thinned() {
        let mut track = camera();
        track.kind = Kind::Audio;
        let tiny = TrackSettings {
            width: 1,
            height: 1,
            frame_rate: 1,
            ..settings()
        };
        assert_eq!(delivery(&track, Some(&tiny), true, false), Delivery::FULL);
        assert_eq!(delivery(&track, None, true, false), Delivery::FULL);
    }

    #[test]
    fn disabled_track_sends_nothing() {
        let off = TrackSettings {
            disabled: true,
            ..settings()
        };
        assert!(delivery(&camera(), Some(&off), true, false).paused);
    }

    #[test]
    fn thumbnail_takes_the_bandwidth_of_a_shared_screen() {
        let sized = |width, height| TrackSettings {
            width,
            height,
            ..settings()
        };
        let worth = |track: &TrackView, settings: TrackSettings| {
            delivery(track, Some(&settings), true, false).priority
        };
        let screen = TrackView {
            source: Source::ScreenShare,
            ..camera()
        };
        let small = worth(&camera(), sized(320, 180));
        let large = worth(&camera(), sized(1280, 720));
        let shared = worth(&screen, sized(320, 180));
        assert!(small < large && large < shared);
        assert_eq!(delivery(&camera(), None, true, false).priority, small);
    }

    #[test]
    fn low_frame_rates_drop_temporal_layers() {
        let rate = |frame_rate| {
            let settings = TrackSettings {
                frame_rate,
                ..settings()
            };
            delivery(&camera(), Some(&settings), true, false)
                .layer
                .temporal
        };
        assert_eq!(rate(0), Temporal::ALL);
        assert_eq!(rate(30), Temporal::ALL);
        assert_eq!(rate(15), Temporal::new(1));
        assert_eq!(rate(5), Temporal::BASE);
    }
}
