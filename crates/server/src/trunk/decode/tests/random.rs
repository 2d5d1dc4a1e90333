//! Valid messages of every kind.

use super::super::*;

/// Kinds of messages that come in.
pub(super) const KINDS: usize = 17;

/// Makes valid messages of every kind, the same ones of the same seed.
pub(super) struct Random(pub(super) u64);

impl Random {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn flag(&mut self) -> bool {
        self.next() & 1 == 0
    }

    fn number(&mut self) -> u32 {
        let shift = self.below(64);
        (self.next() >> shift) as u32
    }

    fn count(&mut self) -> u64 {
        (self.next() >> self.below(64)).min(HIGHEST)
    }

    fn share(&mut self) -> f32 {
        self.below(1001) as f32 / 1000.0
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| make(self))
    }

    fn list<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let most = if self.below(8) == 0 {
            most
        } else {
            most.min(3)
        };
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }

    /// Mostly short, sometimes as long as it may be.
    fn text(&mut self, least: usize, most: usize) -> String {
        let length = match self.below(8) {
            0 => most,
            _ => least + self.below(most.min(12) + 1 - least),
        };
        let mut text = String::new();
        while text.len() < length {
            let next = self.one_of(&['a', 'Z', ' ', '\n', '\0', 'ß', '🌂']);
            text.push(if text.len() + next.len_utf8() > length {
                'x'
            } else {
                next
            });
        }
        text
    }

    fn id(&mut self) -> String {
        let length = 1 + self.below(ID);
        (0..length)
            .map(|_| char::from(b'!' + self.below(94) as u8))
            .collect()
    }

    fn node(&mut self) -> NodeId {
        NodeId::new(self.id())
    }

    fn participant(&mut self) -> ParticipantId {
        ParticipantId::new(self.id())
    }

    fn track(&mut self) -> TrackId {
        TrackId::new(self.id())
    }

    fn room(&mut self) -> RoomName {
        RoomName::new(self.text(1, NAME))
    }

    fn identity(&mut self) -> Identity {
        Identity::new(self.text(1, NAME))
    }

    fn attributes(&mut self) -> Attributes {
        let all = self.list(100, |random| (random.text(0, 64), random.text(0, 500)));
        all.into_iter().collect()
    }

    fn life(&mut self) -> Life {
        Life {
            incarnation: self.next().max(1),
            serial: self.count(),
        }
    }

    fn data_number(&mut self) -> DataNumber {
        DataNumber {
            incarnation: self.next(),
            number: self.count(),
        }
    }

    fn source(&mut self) -> Source {
        self.one_of(&[
            Source::Unknown,
            Source::Camera,
            Source::Microphone,
            Source::ScreenShare,
            Source::ScreenShareAudio,
        ])
    }

    fn codec(&mut self) -> Codec {
        self.one_of(&[
            Codec::Opus,
            Codec::Red,
            Codec::Pcmu,
            Codec::Pcma,
            Codec::G722,
            Codec::Vp8,
            Codec::Vp9,
            Codec::H264,
            Codec::H265,
            Codec::Av1,
        ])
    }

    fn permission(&mut self) -> Permission {
        Permission {
            subscribe: self.flag(),
            publish: self.flag(),
            publish_data: self.flag(),
            sources: self.list(5, Self::source),
            update_own_metadata: self.flag(),
            hidden: self.flag(),
            recorder: self.flag(),
        }
    }

    fn layers(&mut self) -> Vec<VideoLayer> {
        let mut layers = Vec::new();
        for quality in 0..3 {
            if self.flag() {
                layers.push(VideoLayer {
                    quality,
                    width: self.number(),
                    height: self.number(),
                    bitrate: self.number(),
                    rid: self.text(0, RID),
                });
            }
        }
        layers
    }

    fn person_track(&mut self) -> PersonTrack {
        let kind = self.one_of(&[Kind::Audio, Kind::Video]);
        let codec = self.codec();
        let backup = self.codec();
        let layers = self.layers();
        PersonTrack {
            view: TrackView {
                id: self.track(),
                kind,
                source: self.source(),
                name: self.text(0, NAME),
                stream: self.text(0, NAME),
                muted: self.flag(),
                codec: Some(codec).filter(|codec| codec.kind() == kind),
                width: self.number(),
                height: self.number(),
                simulcast: kind == Kind::Video && layers.len() > 1,
                layers,
                disable_dtx: self.flag(),
                stereo: self.flag(),
                disable_red: self.flag(),
                encryption: self.number() as i32,
                audio_features: self.list(RELAYED, |random| random.number() as i32),
            },
            backup: Some(backup).filter(|backup| backup.kind() == kind),
            backup_of: self.maybe(Self::track),
        }
    }

    fn allowed(&mut self) -> AllowedTracks {
        match self.flag() {
            true => AllowedTracks::All,
            false => AllowedTracks::Some(self.list(TRACKS, Self::track).into_iter().collect()),
        }
    }

    fn access(&mut self) -> Access {
        if self.flag() {
            return Access::Everybody;
        }
        let half = ALLOWANCES / 2;
        let stays = self.list(half, |random| (random.participant(), random.allowed()));
        let identities = self.list(half, |random| (random.identity(), random.allowed()));
        Access::Listed {
            stays: stays.into_iter().collect(),
            identities: identities.into_iter().collect(),
        }
    }

    fn person(&mut self) -> Person {
        let mut tracks = self.list(TRACKS, Self::person_track);
        let mut seen = BTreeSet::new();
        tracks.retain(|track| seen.insert(track.view.id.clone()));
        let view = ParticipantView {
            id: self.participant(),
            identity: self.identity(),
            name: self.text(0, NAME),
            metadata: self.text(0, TEXT),
            attributes: self.attributes(),
            kind: self.one_of(&[
                ParticipantKind::Standard,
                ParticipantKind::Ingress,
                ParticipantKind::Egress,
                ParticipantKind::Sip,
                ParticipantKind::Agent,
            ]),
            state: self.one_of(&[ParticipantState::Joined, ParticipantState::Active]),
            joined_at_ms: self.next() % LATEST_MS,
            version: self.number().min(HIGHEST_VERSION),
            permission: self.permission(),
            publishing: tracks.iter().any(|track| track.backup_of.is_none()),
            client: ClientFacts {
                client_protocol: self.number() as i32,
            },
            capabilities: self.list(RELAYED, |random| random.number() as i32),
            left: None,
            tracks: Vec::new(),
        };
        Person {
            view: Arc::new(view),
            tracks,
            access: Arc::new(self.access()),
        }
    }

    fn leave_reason(&mut self) -> LeaveReason {
        self.one_of(&[
            LeaveReason::Asked,
            LeaveReason::DuplicateIdentity,
            LeaveReason::Removed,
            LeaveReason::RoomDeleted,
            LeaveReason::ServerShutdown,
            LeaveReason::ConnectionLost,
            LeaveReason::SignalLost,
            LeaveReason::Misbehaved,
            LeaveReason::StateMismatch,
        ])
    }

    fn data(&mut self) -> Data {
        let payload = self.list(TEXT, |random| random.next() as u8);
        Data {
            number: self.maybe(Self::data_number),
            from: self.maybe(Self::participant),
            to: self.list(100, |random| Identity::new(random.text(0, 600))),
            payload: payload.into(),
        }
    }

    fn loudness(&mut self) -> TrackLoudness {
        TrackLoudness {
            track: self.track(),
            level: self.below(128) as u8,
            voice: self.share(),
        }
    }

    fn quality(&mut self) -> QualityView {
        QualityView {
            participant: self.participant(),
            quality: self.one_of(&[
                Quality::Lost,
                Quality::Poor,
                Quality::Good,
                Quality::Excellent,
            ]),
            score: 1.0 + 3.5 * self.share(),
        }
    }

    fn order(&mut self) -> Order {
        match self.below(4) {
            0 => Order::Mute {
                track: self.track(),
                muted: self.flag(),
            },
            1 => Order::Remove,
            2 => Order::Update {
                change: ParticipantChange {
                    name: self.maybe(|random| random.text(0, NAME)),
                    metadata: self.maybe(|random| random.text(0, TEXT)),
                    attributes: self.attributes(),
                },
                permission: self.maybe(Self::permission),
            },
            _ => Order::Undecodable {
                track: self.track(),
                codec: self.codec(),
            },
        }
    }

    fn room_state(&mut self) -> RoomState {
        RoomState {
            room: self.room(),
            version: self.count(),
            node: self.node(),
            incarnation: self.next(),
            metadata: self.text(0, TEXT),
            max_participants: self.number(),
            closed: self.flag(),
        }
    }

    fn node_state(&mut self) -> NodeState {
        NodeState {
            node: self.node(),
            incarnation: self.next(),
            version: self.count(),
            name: self.text(0, NAME),
            software: self.text(0, NAME),
            media: self.flag(),
            links: self.list(LINKS, |random| NodeLink {
                node: random.node(),
                rtt_ms: random.number(),
                media: random.flag(),
            }),
        }
    }

    fn route(&mut self) -> Route {
        let mut path = self.list(PATH - 1, Self::node);
        path.push(self.node());
        Route {
            room: self.room(),
            life: self.life(),
            path: path.into(),
            rtt_ms: self.number(),
            media: self.flag(),
            silent: self.flag(),
        }
    }

    fn streams(&mut self) -> Vec<Stream> {
        let spatial = [Spatial::LOW, Spatial::MEDIUM, Spatial::HIGH];
        let mut streams = Vec::new();
        for (number, layer) in (1..).zip(spatial) {
            if self.flag() {
                streams.push(Stream {
                    spatial: layer,
                    temporal: Temporal::new(self.below(8) as u8),
                    floor: self.one_of(&spatial[..=layer.index()]),
                    priority: self.one_of(&[
                        Priority::Normal,
                        Priority::Speaker,
                        Priority::Large,
                        Priority::Screen,
                    ]),
                    ssrc: number,
                    repair_ssrc: self.maybe(|_| u32::MAX - number),
                });
            }
        }
        streams
    }

    /// A message of one of [`KINDS`].
    pub(super) fn incoming(&mut self, kind: usize) -> Incoming {
        let (room, origin) = (self.room(), self.node());
        let (track, participant) = (self.track(), self.participant());
        Incoming::Mesh(match kind {
            0 => Message::Route(self.route()),
            1 => Message::Unroute {
                room,
                origin,
                ended: self.maybe(Self::life),
            },
            2 => Message::Follow {
                room,
                origin,
                data: self.maybe(Self::data_number),
                number: self.count(),
            },
            3 if self.flag() => Message::Followed {
                room,
                origin,
                number: self.count(),
            },
            3 => Message::Unfollow { room, origin },
            4 => Message::Person {
                room,
                origin,
                person: Box::new(self.person()),
            },
            5 => Message::Gone {
                room,
                origin,
                participant,
                reason: self.leave_reason(),
            },
            6 => Message::Synced { room, origin },
            7 => Message::Starved {
                room,
                origin,
                track,
                starved: self.flag(),
            },
            8 => Message::Data {
                room,
                origin,
                data: self.data(),
            },
            9 => Message::Levels {
                room,
                origin,
                levels: self.list(LEVELS, Self::loudness).into(),
            },
            10 => Message::Qualities {
                room,
                origin,
                qualities: self.list(LEVELS, Self::quality).into(),
            },
            11 => Message::Order {
                room,
                origin,
                participant,
                order: self.order(),
                hops: self.number(),
            },
            12 => Message::State(self.room_state()),
            13 => Message::Node(self.node_state()),
            _ => return self.of_media(kind, room, origin),
        })
    }

    fn of_media(&mut self, kind: usize, room: RoomName, origin: NodeId) -> Incoming {
        let generation = self.number();
        let candidate = |random: &mut Self| format!("candidate:{}", random.id());
        match kind {
            14 => Incoming::Demand {
                room,
                origin,
                track: self.track(),
                streams: self.streams(),
            },
            15 => Incoming::MediaParameters {
                generation,
                ufrag: self.id(),
                password: self.id(),
                fingerprint: format!("sha-256 {}", self.id()),
                candidates: self.list(CANDIDATES, candidate),
            },
            _ => Incoming::MediaCandidate {
                generation,
                candidate: candidate(self),
            },
        }
    }
}
