//! What applications are told of rooms: that one began or ended, that somebody here came, went,
//! published or stopped. Those at other servers are told of there.
//!
//! Told is the difference between a room and what was told of it before. So no command can be
//! forgotten, and the order is right whatever the order of effects: nobody publishes before having
//! joined, and who leaves has stopped to publish.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use umbrella_room::Sight;
use umbrella_room::model::{
    LeaveReason, ParticipantId, ParticipantState, ParticipantView, RoomName, TrackId, TrackView,
};

use super::RoomState;
use super::rooms::Entry;
use super::service::state;
use crate::clock::unix_seconds;
use crate::tally::Tally;

/// News that wait to be taken. Closing a large room makes many at once; with more the newest are
/// lost, as the owner of the rooms waits for nobody.
const WAITING: usize = 4096;

/// Something that happened in a room.
#[derive(Debug, Clone)]
pub struct News {
    /// The room, as it was then.
    pub room: RoomState,
    /// What happened.
    pub happening: Happening,
    /// Seconds since the Unix epoch.
    pub at_s: u64,
}

/// What can happen in a room.
#[derive(Debug, Clone)]
pub enum Happening {
    /// The room is there.
    RoomStarted,
    /// The room is gone.
    RoomFinished,
    /// Somebody's media is up for the first time.
    ParticipantJoined(Arc<ParticipantView>),
    /// Somebody who had joined is gone.
    ParticipantLeft(Arc<ParticipantView>),
    /// Somebody is gone whose media never came up.
    ConnectionAborted(Arc<ParticipantView>),
    /// A track can be subscribed to.
    TrackPublished(Arc<ParticipantView>, Box<TrackView>),
    /// A track has ended.
    TrackUnpublished(Arc<ParticipantView>, Box<TrackView>),
}

/// The way of news to whoever tells them on.
pub type NewsSender = mpsc::Sender<News>;

/// A bounded queue of news.
pub fn news() -> (NewsSender, mpsc::Receiver<News>) {
    mpsc::channel(WAITING)
}

/// What was told of each room. Without anybody to tell, it holds nothing and costs nothing.
#[derive(Debug)]
pub(super) struct Chronicle {
    to: Option<NewsSender>,
    rooms: HashMap<RoomName, Vec<Stay>>,
    lost: Tally,
}

/// What was told of somebody's stay.
#[derive(Debug)]
struct Stay {
    view: Arc<ParticipantView>,
    joined: bool,
    published: Vec<TrackId>,
}

impl Chronicle {
    pub(super) fn new(to: Option<NewsSender>) -> Chronicle {
        Chronicle {
            to,
            rooms: HashMap::new(),
            lost: Tally::default(),
        }
    }

    /// A room is there.
    pub(super) fn begun(&mut self, name: &RoomName, entry: &Entry) {
        if self.to.is_some() {
            self.rooms.insert(name.clone(), Vec::new());
            self.tell(entry, [Happening::RoomStarted]);
        }
    }

    /// A room is gone, and everybody in it was sent away before.
    pub(super) fn ended(&mut self, name: &RoomName, entry: &Entry) {
        if self.rooms.remove(name).is_some() {
            self.tell(entry, [Happening::RoomFinished]);
        }
    }

    /// Something may have changed in a room. Views are compared by their addresses: one that
    /// changes is copied, as this holds the old one.
    pub(super) fn changed(&mut self, name: &RoomName, entry: &Entry) {
        let Some(stays) = self.rooms.get_mut(name) else {
            return;
        };
        let mut before = stays.iter();
        let mut views = entry.room.participants_here();
        let known = |view| matches!(before.next(), Some(stay) if Arc::ptr_eq(&stay.view, view));
        if views.all(known) && before.next().is_none() {
            return;
        }
        let happenings = catch_up(stays, entry);
        self.tell(entry, happenings);
    }

    /// Somebody is gone.
    pub(super) fn gone(
        &mut self,
        name: &RoomName,
        entry: &Entry,
        who: &ParticipantId,
        reason: LeaveReason,
    ) {
        let Some(stays) = self.rooms.get_mut(name) else {
            return;
        };
        let Some(index) = stays.iter().position(|stay| stay.view.id == *who) else {
            return;
        };
        let stay = stays.remove(index);
        self.tell(entry, stay.end(reason));
    }

    /// Nothing is told any more: who takes the news sees their end.
    pub(super) fn close(&mut self) {
        self.to = None;
        self.rooms.clear();
    }

    fn tell(&mut self, entry: &Entry, happenings: impl IntoIterator<Item = Happening>) {
        let Some(to) = &self.to else { return };
        for happening in happenings {
            let news = News {
                room: state(entry, &Sight::All),
                happening,
                at_s: unix_seconds(),
            };
            if let Err(mpsc::error::TrySendError::Full(_)) = to.try_send(news)
                && let Some(lost) = self.lost.add(Instant::now(), 1)
            {
                tracing::warn!(lost, "more happens than webhooks can be made of");
            }
        }
    }
}

/// Takes a room over as it is now, and yields what is new. Both lists are in the order of joining.
fn catch_up(stays: &mut Vec<Stay>, entry: &Entry) -> Vec<Happening> {
    let mut happenings = Vec::new();
    let mut count = 0;
    for view in entry.room.participants_here() {
        let known = stays[count..].iter().position(|s| s.view.id == view.id);
        match known {
            Some(gone) => drop(stays.drain(count..count + gone)),
            None => stays.insert(count, Stay::new(view)),
        }
        stays[count].change(view, &mut happenings);
        count += 1;
    }
    stays.truncate(count);
    happenings
}

impl Stay {
    fn new(view: &Arc<ParticipantView>) -> Stay {
        Stay {
            view: Arc::clone(view),
            joined: false,
            published: Vec::new(),
        }
    }

    /// Who negotiates fast may have a track before media is up: it waits for that.
    fn change(&mut self, now: &Arc<ParticipantView>, happenings: &mut Vec<Happening>) {
        if !self.joined && now.state == ParticipantState::Active {
            self.joined = true;
            happenings.push(Happening::ParticipantJoined(Arc::clone(now)));
        }
        if self.joined {
            for track in &self.view.tracks {
                let known = self.published.iter().position(|id| *id == track.id);
                if let Some(index) = known
                    && now.tracks.iter().all(|t| t.id != track.id)
                {
                    self.published.remove(index);
                    let track = Box::new(track.clone());
                    happenings.push(Happening::TrackUnpublished(Arc::clone(now), track));
                }
            }
            for track in &now.tracks {
                if !self.published.contains(&track.id) {
                    self.published.push(track.id.clone());
                    let track = Box::new(track.clone());
                    happenings.push(Happening::TrackPublished(Arc::clone(now), track));
                }
            }
        }
        self.view = Arc::clone(now);
    }

    /// What is told when it is over.
    fn end(self, reason: LeaveReason) -> Vec<Happening> {
        let mut last = ParticipantView::clone(&self.view);
        last.state = ParticipantState::Left;
        last.left = Some(reason);
        last.version += 1;
        last.publishing = false;
        let tracks = std::mem::take(&mut last.tracks);
        let last = Arc::new(last);
        if !self.joined {
            return vec![Happening::ConnectionAborted(last)];
        }
        let told = |track: &TrackView| self.published.contains(&track.id);
        let unpublished = tracks.into_iter().filter(told).map(Box::new);
        unpublished
            .map(|track| Happening::TrackUnpublished(Arc::clone(&last), track))
            .chain([Happening::ParticipantLeft(Arc::clone(&last))])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use umbrella_media::Kind;
    use umbrella_room::command::{Join, Moderation, NewTrack, ParticipantChange, Remote};
    use umbrella_room::mesh::Person;
    use umbrella_room::model::{
        ClientFacts, Identity, NodeId, ParticipantKind, Permission, Source,
    };
    use umbrella_room::{Command, Effect, Limits, RoomConfig};

    use super::super::rooms::{Rooms, Stay as StayTime};
    use super::*;

    /// A room whose commands are told as its owner does it.
    struct Rig {
        rooms: Rooms,
        name: RoomName,
        chronicle: Chronicle,
        inbox: mpsc::Receiver<News>,
    }

    impl Rig {
        fn new() -> Rig {
            let name = RoomName::new("kitchen");
            let config = RoomConfig {
                sid: "RM_1".into(),
                name: name.clone(),
                metadata: String::new(),
                created_at_s: 0,
                max_participants: 0,
                limits: Limits::default(),
            };
            let mut rooms = Rooms::default();
            let stay = StayTime {
                empty: Duration::ZERO,
                departure: Duration::ZERO,
            };
            rooms.insert(Instant::now(), config, 0, false, stay);
            let (to, inbox) = news();
            let mut chronicle = Chronicle::new(Some(to));
            chronicle.begun(&name, rooms.get(&name).unwrap());
            Rig {
                rooms,
                name,
                chronicle,
                inbox,
            }
        }

        fn handle(&mut self, command: Command) {
            let entry = self.rooms.get_mut(&self.name).unwrap();
            entry.room.handle(Instant::now(), command);
            while let Some(effect) = entry.room.poll_effect() {
                if let Effect::Disconnect {
                    participant,
                    reason,
                } = effect
                {
                    self.chronicle.gone(&self.name, entry, &participant, reason);
                }
            }
            self.chronicle.changed(&self.name, entry);
        }

        fn join(&mut self, id: &str, identity: &str) {
            self.handle(Command::Join(Box::new(Join {
                id: ParticipantId::new(id),
                identity: Identity::new(identity),
                name: String::new(),
                metadata: String::new(),
                attributes: Default::default(),
                kind: ParticipantKind::Standard,
                permission: Permission {
                    subscribe: true,
                    publish: true,
                    publish_data: true,
                    sources: Vec::new(),
                    update_own_metadata: true,
                    hidden: false,
                    recorder: false,
                },
                sight: Sight::All,
                joined_at_ms: 0,
                auto_subscribe: true,
                adaptive_stream: false,
                client: ClientFacts::default(),
                capabilities: Vec::new(),
            })));
        }

        fn connect(&mut self, id: &str) {
            let participant = ParticipantId::new(id);
            self.handle(Command::MediaConnected { participant });
        }

        fn publish(&mut self, id: &str, track: &str) {
            let participant = ParticipantId::new(id);
            let new = NewTrack {
                id: TrackId::new(track),
                client_id: track.into(),
                kind: Kind::Audio,
                source: Source::Microphone,
                name: String::new(),
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
            };
            let track = new.id.clone();
            self.handle(Command::Publish {
                participant,
                track: Box::new(new),
            });
            self.handle(Command::TrackOpened { track, codec: None });
        }

        /// What was told since it was asked last.
        fn told(&mut self) -> Vec<String> {
            let mut told = Vec::new();
            while let Ok(news) = self.inbox.try_recv() {
                told.push(match news.happening {
                    Happening::RoomStarted => "started".to_owned(),
                    Happening::RoomFinished => "finished".to_owned(),
                    Happening::ParticipantJoined(who) => format!("{} joined", who.id),
                    Happening::ParticipantLeft(who) => {
                        format!("{} left: {:?} {}", who.id, who.left, who.metadata)
                    }
                    Happening::ConnectionAborted(who) => format!("{} aborted", who.id),
                    Happening::TrackPublished(who, track) => format!("{} has {}", who.id, track.id),
                    Happening::TrackUnpublished(who, track) => {
                        format!("{} had {}", who.id, track.id)
                    }
                });
            }
            told
        }
    }

    #[test]
    fn application_hears_of_a_track_before_its_publisher() {
        let mut rig = Rig::new();
        rig.join("ann", "ann");
        rig.publish("ann", "mic");
        assert_eq!(rig.told(), ["started"]);
        rig.connect("ann");
        assert_eq!(rig.told(), ["ann joined", "ann has mic"]);
        rig.connect("ann");
        let track = TrackId::new("mic");
        rig.handle(Command::Unpublish { track });
        assert_eq!(rig.told(), ["ann had mic"]);
    }

    #[test]
    fn somebody_at_another_site_is_counted_by_both() {
        let mut rig = Rig::new();
        rig.join("ann", "ann");
        rig.connect("ann");
        assert_eq!(rig.told(), ["started", "ann joined"]);
        let entry = rig.rooms.get(&rig.name).unwrap();
        let mut view = ParticipantView::clone(entry.room.participants().next().unwrap());
        view.id = ParticipantId::new("bob");
        view.identity = Identity::new("bob");
        rig.handle(Command::Remote {
            origin: NodeId::new("elsewhere"),
            remote: Remote::Person(Box::new(Person {
                view: Arc::new(view),
                tracks: Vec::new(),
                access: Default::default(),
            })),
        });
        assert_eq!(
            state(rig.rooms.get(&rig.name).unwrap(), &Sight::All)
                .view
                .participants,
            2
        );
        assert!(rig.told().is_empty());
    }

    #[test]
    fn application_takes_somebody_for_present_who_is_gone() {
        let mut rig = Rig::new();
        for id in ["ann", "bob", "cid"] {
            rig.join(id, id);
            rig.connect(id);
        }
        rig.publish("bob", "mic");
        rig.told();
        let change = ParticipantChange {
            metadata: Some("tired".into()),
            ..ParticipantChange::default()
        };
        rig.handle(Command::Moderate(Moderation::Update {
            identity: Identity::new("bob"),
            change,
            permission: None,
        }));
        rig.join("bob again", "bob");
        let gone = "bob left: Some(DuplicateIdentity) tired";
        assert_eq!(rig.told(), ["bob had mic", gone]);
        rig.connect("bob again");
        assert_eq!(rig.told(), ["bob again joined"]);
        rig.join("dan", "dan");
        let reason = LeaveReason::RoomDeleted;
        rig.handle(Command::Moderate(Moderation::Close { reason }));
        let entry = rig.rooms.remove(&rig.name).unwrap();
        rig.chronicle.ended(&rig.name, &entry);
        let told = [
            "ann left: Some(RoomDeleted) ",
            "cid left: Some(RoomDeleted) ",
            "bob again left: Some(RoomDeleted) ",
            "dan aborted",
            "finished",
        ];
        assert_eq!(rig.told(), told);
        assert!(rig.chronicle.rooms.is_empty());
    }

    #[test]
    fn changes_that_nobody_waits_for_are_told() {
        let mut rig = Rig::new();
        rig.join("ann", "ann");
        rig.connect("ann");
        rig.publish("ann", "mic");
        rig.told();
        rig.handle(Command::Mute {
            participant: ParticipantId::new("ann"),
            track: TrackId::new("mic"),
            muted: true,
        });
        assert_eq!(rig.told(), Vec::<String>::new());
    }
}
