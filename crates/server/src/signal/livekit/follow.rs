//! The token that a client comes back with: it says what moderators have changed since it came.

use umbrella_room::Notification;
use umbrella_room::model::{ParticipantId, ParticipantView, Permission, Source};

use super::door;
use crate::auth::{Bearer, Claims, Grants};

/// Brings the claims of a client up to date with what it is told of itself. Whether there was
/// anything to change. What guests of this server may do is remembered here, and their token goes
/// on to say what their invite allows: a moderator could not give it back otherwise.
pub(super) fn follow(
    claims: &mut Claims,
    bearer: Bearer,
    me: &ParticipantId,
    news: &Notification,
) -> bool {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all others are not about it"
    )]
    let views = match news {
        Notification::Joined(snapshot) => std::slice::from_ref(&snapshot.participant),
        Notification::Participants(views) => views.as_slice(),
        _ => return false,
    };
    let mine = views.iter().find(|view| view.id == *me);
    mine.is_some_and(|view| take_over(claims, bearer, view))
}

fn take_over(claims: &mut Claims, bearer: Bearer, view: &ParticipantView) -> bool {
    let remembered = bearer != Bearer::Application;
    let same = claims.name == view.name
        && claims.metadata == view.metadata
        && claims.attributes == view.attributes
        && (remembered || door::permission(&claims.video) == view.permission);
    if same {
        return false;
    }
    claims.name.clone_from(&view.name);
    claims.metadata.clone_from(&view.metadata);
    claims.attributes.clone_from(&view.attributes);
    if !remembered {
        permit(&mut claims.video, &view.permission);
    }
    true
}

/// The reverse of [`door::permission`].
fn permit(grants: &mut Grants, permission: &Permission) {
    let Permission {
        subscribe,
        publish,
        publish_data,
        sources,
        update_own_metadata,
        hidden,
        recorder,
    } = permission;
    grants.can_subscribe = Some(*subscribe);
    grants.can_publish = Some(*publish);
    grants.can_publish_data = Some(*publish_data);
    grants.can_publish_sources = sources.iter().map(|it| name_of(*it).into()).collect();
    grants.can_update_own_metadata = Some(*update_own_metadata);
    grants.hidden = *hidden;
    grants.recorder = *recorder;
}

fn name_of(source: Source) -> &'static str {
    match source {
        Source::Unknown => "unknown",
        Source::Camera => "camera",
        Source::Microphone => "microphone",
        Source::ScreenShare => "screen_share",
        Source::ScreenShareAudio => "screen_share_audio",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lost_a_right_has_it_again_after_coming_back() {
        let mut grants = Grants::default();
        let permission = Permission {
            publish: false,
            sources: vec![Source::Microphone, Source::ScreenShare, Source::Unknown],
            hidden: true,
            ..door::permission(&grants)
        };
        permit(&mut grants, &permission);
        assert_eq!(door::permission(&grants), permission);
    }
}
