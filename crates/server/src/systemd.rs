//! What systemd is told of the server: when it is up, reloads and stops, that it lives, and how many
//! people are in. Nothing happens where no systemd has started it.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::control::Handle;

/// How often it is said how many people are in.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// Everything is up.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again; [`ready`] says that it was.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the monotonic clock cannot be read"),
    }
}

/// The server goes down.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd does not listen");
    }
}

/// Whether anybody wants to know.
pub(crate) fn listens() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// For as long as the server runs, says how many are in, and that it lives as long as the owner of
/// the rooms answers.
pub(crate) async fn keep_alive(control: Handle) {
    let watchdog = sd_notify::watchdog_enabled();
    let every = interval(watchdog);
    let mut told = String::new();
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Ok(Some(population)) = tokio::time::timeout(every, control.population()).await else {
            tracing::error!("the owner of the rooms does not answer");
            continue;
        };
        if watchdog.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
        let status = status(population.rooms, population.participants);
        if status != told {
            tell(&[NotifyState::Status(&status)]);
            told = status;
        }
    }
}

/// Half of the time after which systemd gives a server up.
fn interval(watchdog: Option<Duration>) -> Duration {
    let half = watchdog.map_or(STATUS_INTERVAL, |time| time / 2);
    half.clamp(Duration::from_millis(10), STATUS_INTERVAL)
}

fn status(rooms: usize, participants: u64) -> String {
    let count = |number: u64, one: &str, many: &str| match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    };
    let rooms = count(rooms as u64, "room", "rooms");
    let people = count(participants, "participant", "participants");
    format!("{rooms}, {people}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_watchdog_kills_a_server_that_lives() {
        let half = |ms| interval(Some(Duration::from_millis(ms))).as_millis();
        assert_eq!(half(4000), 2000);
        assert_eq!(half(60_000), 10_000);
        assert_eq!(half(0), 10);
        assert_eq!(interval(None), STATUS_INTERVAL);
    }

    #[test]
    fn one_room_is_not_one_rooms() {
        assert_eq!(status(1, 2), "1 room, 2 participants");
        assert_eq!(status(0, 1), "0 rooms, 1 participant");
    }
}
