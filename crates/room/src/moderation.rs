//! What moderators and the operator can do. The door has checked that they may.

use std::sync::Arc;
use std::time::Instant;

use crate::command::{Moderation, ParticipantChange};
use crate::effect::Notification;
use crate::mesh::Order;
use crate::model::{Identity, LeaveReason, Permission};
use crate::room::{Audience, Room};
use crate::roster::ParticipantKey;

impl Room {
    /// [`Command::Moderate`](crate::Command::Moderate).
    pub(crate) fn moderate(&mut self, now: Instant, moderation: Moderation) {
        match moderation {
            Moderation::Remove { identity } => {
                if let Some(key) = self.roster.by_identity(&identity)
                    && !self.order(key, || Order::Remove)
                {
                    self.part_with(now, key, LeaveReason::Removed);
                }
            }
            Moderation::Mute { track, muted } => self.mute_by_moderator(now, &track, muted),
            Moderation::Update {
                identity,
                change,
                permission,
            } => {
                self.update(now, &identity, &change, permission);
            }
            Moderation::SetRoomMetadata { metadata } => self.set_metadata(metadata),
            Moderation::SetMaxParticipants { max_participants } => {
                self.set_max_participants(max_participants);
            }
            Moderation::Close { reason } => {
                if reason == LeaveReason::RoomDeleted {
                    self.share_state(true);
                }
                self.close(now, reason);
            }
        }
    }

    fn update(
        &mut self,
        now: Instant,
        identity: &Identity,
        change: &ParticipantChange,
        permission: Option<Permission>,
    ) {
        let Some(key) = self.roster.by_identity(identity) else {
            return;
        };
        let order = || Order::Update {
            change: change.clone(),
            permission: permission.clone(),
        };
        if self.order(key, order) {
            return;
        }
        self.update_here(now, key, change, permission);
    }

    pub(crate) fn update_here(
        &mut self,
        now: Instant,
        key: ParticipantKey,
        change: &ParticipantChange,
        permission: Option<Permission>,
    ) {
        if self.change(key, change).is_ok()
            && let Some(permission) = permission
        {
            self.set_permission(now, key, permission);
        }
    }

    /// Takes away what is no longer allowed, tells of it, then gives what is newly allowed.
    fn set_permission(&mut self, now: Instant, key: ParticipantKey, new: Permission) {
        let Some(participant) = self.roster.participants.get_mut(&key) else {
            return;
        };
        if participant.view.permission == new {
            return;
        }
        let was_hidden = participant.view.permission.hidden;
        let hides = new.hidden && !was_hidden;
        let appears = was_hidden && !new.hidden;
        Arc::make_mut(&mut participant.view).permission = new;
        self.end_forbidden_tracks(now, key);
        if hides {
            self.vanish(now, key);
        }
        self.announce(key, Audience::Everybody);
        if appears {
            self.tell_quality(&[key]);
        }
        self.settle_participant(key);
        self.census(now);
    }

    fn end_forbidden_tracks(&mut self, now: Instant, key: ParticipantKey) {
        let Some(participant) = self.roster.participants.get(&key) else {
            return;
        };
        let id = participant.view.id.clone();
        let permission = participant.view.permission.clone();
        for track_key in participant.tracks.clone() {
            let Some(track) = self.roster.tracks.get(&track_key) else {
                continue;
            };
            // The other codec of one goes with it.
            if track.first.is_some() {
                continue;
            }
            if permission.hidden || !permission.may_publish(track.view.source) {
                let track = track.view.id.clone();
                self.end_track(now, track_key);
                self.notify(id.clone(), Notification::TrackUnpublished { track });
            }
        }
    }

    /// To the others, who becomes hidden has left.
    fn vanish(&mut self, now: Instant, key: ParticipantKey) {
        let Some(participant) = self.roster.participants.get_mut(&key) else {
            return;
        };
        let last = participant.view.vanished();
        Arc::make_mut(&mut participant.view).version = last.version;
        self.departures.note(now, &last);
        self.tell(&[Arc::new(last)], |other| other != key);
    }

    fn set_metadata(&mut self, metadata: String) {
        if self.config.metadata == metadata || self.config.limits.check_metadata(&metadata).is_err()
        {
            return;
        }
        self.config.metadata = metadata;
        self.tell_room();
        self.share_state(false);
    }

    fn set_max_participants(&mut self, max_participants: u32) {
        if self.config.max_participants != max_participants {
            self.config.max_participants = max_participants;
            self.tell_room();
            self.share_state(false);
        }
    }

    /// Everybody has to go; nobody is told of the others who go as well.
    pub(crate) fn close(&mut self, now: Instant, reason: LeaveReason) {
        if self.is_empty() {
            return;
        }
        let everybody: Vec<_> = self.roster.here().map(|(key, _)| *key).collect();
        for key in everybody {
            self.take_out(now, key, reason);
        }
        self.end_if_empty(now);
    }
}
