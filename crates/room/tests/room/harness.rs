//! A room that is driven by short names, and its effects sorted by who gets them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use umbrella_media::{Codec, Delivery, Kind};
use umbrella_room::command::{
    Join, Moderation, NewTrack, ParticipantChange, SubscriptionReport, TrackLoudness,
};
use umbrella_room::model::{
    ClientFacts, Identity, LeaveReason, ParticipantId, ParticipantKind, ParticipantView,
    Permission, RoomName, Source, TrackId, TrackSettings, VideoLayer,
};
use umbrella_room::{Command, Effect, Limits, Notification, Reason, Room, RoomConfig, Sight};

pub(crate) struct Harness {
    pub(crate) room: Room,
    pub(crate) now: Instant,
}

pub(crate) fn anything() -> Permission {
    Permission {
        subscribe: true,
        publish: true,
        publish_data: true,
        sources: Vec::new(),
        update_own_metadata: true,
        hidden: false,
        recorder: false,
    }
}

/// The stay of `name` has the id `PA_name`, its identity is `name`.
pub(crate) fn newcomer(name: &str) -> Join {
    Join {
        id: pa(name),
        identity: Identity::new(name),
        name: name.to_uppercase(),
        metadata: String::new(),
        attributes: BTreeMap::new(),
        kind: ParticipantKind::Standard,
        permission: anything(),
        sight: Sight::All,
        joined_at_ms: 0,
        auto_subscribe: true,
        adaptive_stream: false,
        client: ClientFacts::default(),
        capabilities: Vec::new(),
    }
}

pub(crate) fn hidden(name: &str) -> Join {
    Join {
        permission: Permission {
            hidden: true,
            ..anything()
        },
        ..newcomer(name)
    }
}

pub(crate) fn pa(name: &str) -> ParticipantId {
    ParticipantId::new(format!("PA_{name}"))
}

pub(crate) fn tr(name: &str) -> TrackId {
    TrackId::new(format!("TR_{name}"))
}

pub(crate) fn microphone(name: &str) -> NewTrack {
    NewTrack {
        id: tr(name),
        client_id: format!("client-{name}"),
        kind: Kind::Audio,
        source: Source::Microphone,
        name: name.to_owned(),
        stream: String::new(),
        muted: false,
        codec: None,
        backup: None,
        backup_of: None,
        width: 0,
        height: 0,
        layers: Vec::new(),
        disable_dtx: false,
        stereo: false,
        disable_red: false,
        encryption: 0,
        audio_features: Vec::new(),
    }
}

pub(crate) fn camera(name: &str) -> NewTrack {
    let layer = |quality, width, height| VideoLayer {
        quality,
        width,
        height,
        bitrate: 0,
        rid: String::new(),
    };
    NewTrack {
        kind: Kind::Video,
        source: Source::Camera,
        width: 1280,
        height: 720,
        layers: vec![layer(0, 320, 180), layer(1, 640, 360), layer(2, 1280, 720)],
        ..microphone(name)
    }
}

pub(crate) fn tile(width: u32, height: u32) -> TrackSettings {
    TrackSettings {
        disabled: false,
        width,
        height,
        quality: None,
        frame_rate: 0,
    }
}

impl Harness {
    pub(crate) fn new() -> Harness {
        Harness::limited(0, Limits::default())
    }

    pub(crate) fn limited(max_participants: u32, limits: Limits) -> Harness {
        let room = Room::new(RoomConfig {
            sid: "RM_1".to_owned(),
            name: RoomName::new("room"),
            metadata: String::new(),
            created_at_s: 0,
            max_participants,
            limits,
        });
        Harness {
            room,
            now: Instant::now(),
        }
    }

    /// A room with these in it, whose effects have been drained.
    pub(crate) fn with(names: &[&str]) -> Harness {
        let mut harness = Harness::new();
        for name in names {
            harness.join(newcomer(name));
        }
        harness
    }

    pub(crate) fn handle(&mut self, command: Command) -> Vec<Effect> {
        self.room.handle(self.now, command);
        self.drain()
    }

    pub(crate) fn drain(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.room.poll_effect()).collect()
    }

    /// Lets time pass, stopping at every deadline.
    pub(crate) fn wait(&mut self, ms: u64) -> Vec<Effect> {
        let end = self.now + Duration::from_millis(ms);
        let mut effects = Vec::new();
        while let Some((at, _)) = self.room.next_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.room.handle_timeout(self.now);
            effects.extend(self.drain());
        }
        self.now = end;
        effects
    }

    pub(crate) fn next_reason(&self) -> Option<Reason> {
        self.room.next_timeout().map(|(_, reason)| reason)
    }

    pub(crate) fn join(&mut self, join: Join) -> Vec<Effect> {
        self.handle(Command::Join(Box::new(join)))
    }

    pub(crate) fn leave(&mut self, name: &str) -> Vec<Effect> {
        self.handle(Command::Leave {
            participant: pa(name),
            reason: LeaveReason::Asked,
        })
    }

    pub(crate) fn publish(&mut self, name: &str, track: NewTrack) -> Vec<Effect> {
        self.handle(Command::Publish {
            participant: pa(name),
            track: Box::new(track),
        })
    }

    pub(crate) fn open(&mut self, track: &str) -> Vec<Effect> {
        self.handle(Command::TrackOpened {
            track: tr(track),
            codec: None,
        })
    }

    /// Published and opened.
    pub(crate) fn live(&mut self, name: &str, track: NewTrack) -> Vec<Effect> {
        let id = track.id.clone();
        let mut effects = self.publish(name, track);
        effects.extend(self.handle(Command::TrackOpened {
            track: id,
            codec: None,
        }));
        effects
    }

    pub(crate) fn mute(&mut self, name: &str, track: &str, muted: bool) -> Vec<Effect> {
        self.handle(Command::Mute {
            participant: pa(name),
            track: tr(track),
            muted,
        })
    }

    pub(crate) fn subscribe(&mut self, name: &str, track: &str, subscribe: bool) -> Vec<Effect> {
        self.handle(Command::Subscribe {
            participant: pa(name),
            tracks: vec![tr(track)],
            subscribe,
        })
    }

    pub(crate) fn settings(
        &mut self,
        name: &str,
        track: &str,
        settings: TrackSettings,
    ) -> Vec<Effect> {
        self.handle(Command::SetTrackSettings {
            participant: pa(name),
            tracks: vec![tr(track)],
            settings,
        })
    }

    pub(crate) fn fail(&mut self, name: &str, track: &str, codec: Option<Codec>) -> Vec<Effect> {
        self.handle(Command::Subscription {
            participant: pa(name),
            track: tr(track),
            report: SubscriptionReport::Failed { codec },
        })
    }

    pub(crate) fn moderate(&mut self, moderation: Moderation) -> Vec<Effect> {
        self.handle(Command::Moderate(moderation))
    }

    pub(crate) fn permit(&mut self, name: &str, permission: Permission) -> Vec<Effect> {
        self.moderate(Moderation::Update {
            identity: Identity::new(name),
            change: ParticipantChange::default(),
            permission: Some(permission),
        })
    }

    /// One interval in which these were heard.
    pub(crate) fn hear(&mut self, levels: &[(&str, u8, f32)]) -> Vec<Effect> {
        self.now += Duration::from_millis(200);
        let levels = levels.iter().map(|(track, level, voice)| TrackLoudness {
            track: tr(track),
            level: *level,
            voice: *voice,
        });
        self.handle(Command::AudioLevels(levels.collect()))
    }
}

/// What one participant was told.
pub(crate) fn told<'a>(effects: &'a [Effect], name: &str) -> Vec<&'a Notification> {
    let id = pa(name);
    let mine = effects.iter().filter_map(|effect| {
        let Effect::Notify { to, notification } = effect else {
            return None;
        };
        (*to == id).then_some(notification)
    });
    mine.collect()
}

/// The views of others (or itself) that one participant was sent.
pub(crate) fn seen(effects: &[Effect], name: &str) -> Vec<Arc<ParticipantView>> {
    let views = told(effects, name).into_iter().filter_map(|notification| {
        let Notification::Participants(views) = notification else {
            return None;
        };
        Some(views.clone())
    });
    views.flatten().collect()
}

/// The consumers that were opened: subscriber, track, delivery.
pub(crate) fn opened(effects: &[Effect]) -> Vec<(ParticipantId, TrackId, Delivery)> {
    let opened = effects.iter().filter_map(|effect| {
        let Effect::OpenConsumer {
            subscriber,
            track,
            delivery,
            ..
        } = effect
        else {
            return None;
        };
        Some((subscriber.clone(), track.clone(), *delivery))
    });
    opened.collect()
}

/// The consumers that were closed: subscriber, track.
pub(crate) fn closed(effects: &[Effect]) -> Vec<(ParticipantId, TrackId)> {
    let closed = effects.iter().filter_map(|effect| {
        let Effect::CloseConsumer { subscriber, track } = effect else {
            return None;
        };
        Some((subscriber.clone(), track.clone()))
    });
    closed.collect()
}

/// The consumers that were changed.
pub(crate) fn configured(effects: &[Effect]) -> Vec<(ParticipantId, Delivery)> {
    let configured = effects.iter().filter_map(|effect| {
        let Effect::ConfigureConsumer {
            subscriber,
            delivery,
            ..
        } = effect
        else {
            return None;
        };
        Some((subscriber.clone(), *delivery))
    });
    configured.collect()
}

/// Where the first effect is for which this holds.
pub(crate) fn place(effects: &[Effect], what: impl Fn(&Effect) -> bool) -> usize {
    effects
        .iter()
        .position(what)
        .unwrap_or_else(|| panic!("not among {effects:#?}"))
}

pub(crate) fn is_empty_effect(effect: &Effect) -> bool {
    matches!(effect, Effect::Empty)
}
