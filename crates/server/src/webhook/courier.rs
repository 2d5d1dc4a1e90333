//! Brings events to one receiver. Each receiver has its own, so that none waits for another.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::backlog::{Backlog, Next};
use super::event::Event;
use crate::tally::Tally;

/// How long events are still delivered when the server stops.
pub(super) const LAST_ATTEMPTS: Duration = Duration::from_secs(2);

/// Why the oldest of many events are dropped.
const TOO_MANY: &str = "too many wait";

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver has it.
    Delivered,
    /// The receiver does not want it, and would not want it another time.
    Refused(String),
    /// It may work another time.
    Failed(String),
}

/// What an event is posted with.
pub(super) trait Post {
    /// One attempt, of bounded time.
    fn post(&mut self, event: &Event) -> impl Future<Output = Outcome> + Send;
}

/// Brings events to one receiver.
#[derive(Debug)]
pub(super) struct Courier<P> {
    post: P,
    /// Scheme, host and port of the receiver, for the log.
    receiver: String,
    backlog: Backlog,
    lost: Tally,
}

/// Where events come from.
struct Inbox {
    events: mpsc::Receiver<Arc<Event>>,
    /// Set when nothing comes any more: when the last attempt has to end.
    end: Option<Instant>,
}

impl Inbox {
    /// The next event; once `None`, then never again anything.
    async fn next(&mut self) -> Option<Arc<Event>> {
        if self.end.is_some() {
            std::future::pending::<()>().await;
        }
        let event = self.events.recv().await;
        if event.is_none() {
            self.end = Some(Instant::now() + LAST_ATTEMPTS);
        }
        event
    }
}

impl<P: Post> Courier<P> {
    pub(super) fn new(receiver: String, post: P) -> Courier<P> {
        Courier {
            post,
            receiver,
            backlog: Backlog::default(),
            lost: Tally::default(),
        }
    }

    /// Runs until no event can come any more, and [`LAST_ATTEMPTS`] longer at most.
    pub(super) async fn run(mut self, events: mpsc::Receiver<Arc<Event>>) {
        let mut inbox = Inbox { events, end: None };
        loop {
            let now = Instant::now();
            let expired = self.backlog.expire(now.into_std());
            self.lost(expired, "they got too old");
            match self.backlog.next(now.into_std()) {
                Next::Try(event) => {
                    let outcome = self.attempt(&event, &mut inbox).await;
                    self.judge(event, outcome);
                }
                Next::Wait(None) if inbox.end.is_some() => return,
                Next::Wait(until) => self.wait(until, &mut inbox).await,
            }
            if inbox.end.is_some_and(|end| end <= Instant::now()) {
                self.give_up();
                return;
            }
        }
    }

    /// One attempt, during which further events are taken in.
    async fn attempt(&mut self, event: &Event, inbox: &mut Inbox) -> Outcome {
        let mut dropped = 0;
        let outcome = {
            let attempt = self.post.post(event);
            tokio::pin!(attempt);
            loop {
                let end = inbox.end;
                tokio::select! {
                    outcome = &mut attempt => break outcome,
                    came = inbox.next() => if let Some(event) = came {
                        dropped += self.backlog.push(event);
                    },
                    () = sleep_until(end) => break Outcome::Failed("the server stops".to_owned()),
                }
            }
        };
        self.lost(dropped, TOO_MANY);
        outcome
    }

    async fn wait(&mut self, until: Option<std::time::Instant>, inbox: &mut Inbox) {
        let until = until.map(Instant::from_std);
        let end = [until, inbox.end].into_iter().flatten().min();
        tokio::select! {
            came = inbox.next() => match came {
                Some(event) => {
                    let dropped = self.backlog.push(event);
                    self.lost(dropped, TOO_MANY);
                }
                None => self.backlog.hurry(),
            },
            () = sleep_until(end) => {}
        }
    }

    fn judge(&mut self, event: Arc<Event>, outcome: Outcome) {
        let receiver = &self.receiver;
        match outcome {
            Outcome::Delivered => {
                if self.backlog.answered() {
                    tracing::info!(receiver, "the receiver of webhooks takes events again");
                }
            }
            Outcome::Refused(why) => {
                self.backlog.answered();
                self.lost(1, &why);
            }
            Outcome::Failed(why) => {
                let now = Instant::now().into_std();
                if self.backlog.failed(now, event, rand::random()) {
                    tracing::warn!(
                        receiver,
                        why,
                        "a receiver of webhooks takes no events; they are sent again"
                    );
                }
            }
        }
    }

    fn lost(&mut self, count: u64, why: &str) {
        if let Some(lost) = self.lost.add(Instant::now().into_std(), count) {
            tracing::warn!(receiver = self.receiver, lost, why, "events were dropped");
        }
    }

    fn give_up(&self) {
        let lost = self.backlog.len();
        if lost > 0 {
            let receiver = &self.receiver;
            tracing::warn!(
                receiver,
                lost,
                "the server stops before all events were delivered"
            );
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::backlog::MAX_AGE;
    use super::*;

    /// Far more than anything here takes: it is there so that a failure ends.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// The bodies of attempts.
    type Attempts = Arc<Mutex<Vec<String>>>;

    /// Takes so long, and then answers by the number of the attempt and the body.
    struct Fake {
        takes: Duration,
        answer: fn(usize, &str) -> Outcome,
        attempts: Attempts,
    }

    impl Post for Fake {
        async fn post(&mut self, event: &Event) -> Outcome {
            let body = String::from_utf8_lossy(&event.body).into_owned();
            let number = self.attempts.lock().unwrap().len();
            let outcome = (self.answer)(number, &body);
            self.attempts.lock().unwrap().push(body);
            tokio::time::sleep(self.takes).await;
            outcome
        }
    }

    struct Rig {
        attempts: Attempts,
        events: mpsc::Sender<Arc<Event>>,
        courier: tokio::task::JoinHandle<()>,
    }

    impl Rig {
        fn new(takes: Duration, answer: fn(usize, &str) -> Outcome) -> Rig {
            let attempts = Attempts::default();
            let post = Fake {
                takes,
                answer,
                attempts: attempts.clone(),
            };
            let (events, inbox) = mpsc::channel(8);
            let courier = Courier::new("http://x".into(), post);
            Rig {
                attempts,
                events,
                courier: tokio::spawn(courier.run(inbox)),
            }
        }

        async fn send(&self, name: &str, age: Duration) {
            let made = std::time::Instant::now().checked_sub(age).unwrap();
            let body = name.to_owned().into();
            let event = Arc::new(Event { made, body });
            self.events.send(event).await.unwrap();
        }

        /// Waits for so many attempts, and yields the bodies.
        async fn attempts(&self, count: usize) -> Vec<String> {
            let end = Instant::now() + PATIENCE;
            loop {
                let attempts = self.attempts.lock().unwrap().clone();
                if attempts.len() >= count {
                    return attempts;
                }
                assert!(Instant::now() < end, "only {attempts:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }

        /// Lets the server stop; all attempts, and how long the end took.
        async fn end(self) -> (Vec<String>, Duration) {
            let start = Instant::now();
            drop(self.events);
            self.courier.await.unwrap();
            let attempts = std::mem::take(&mut *self.attempts.lock().unwrap());
            (attempts, start.elapsed())
        }
    }

    fn down_for_two_attempts(number: usize, _: &str) -> Outcome {
        match number {
            ..2 => Outcome::Failed("it is down".into()),
            _ => Outcome::Delivered,
        }
    }

    #[tokio::test]
    async fn receiver_that_was_down_misses_events_or_gets_them_out_of_order() {
        let rig = Rig::new(Duration::ZERO, down_for_two_attempts);
        for name in ["a", "b", "c"] {
            rig.send(name, Duration::ZERO).await;
        }
        assert_eq!(rig.attempts(5).await, ["a", "a", "a", "b", "c"]);
    }

    #[tokio::test]
    async fn receiver_that_comes_back_gets_news_of_long_ago() {
        let rig = Rig::new(Duration::ZERO, |_, _| Outcome::Delivered);
        rig.send("old", MAX_AGE).await;
        rig.send("new", Duration::ZERO).await;
        assert_eq!(rig.attempts(1).await, ["new"]);
    }

    #[tokio::test]
    async fn event_that_is_refused_holds_up_all_others() {
        let rig = Rig::new(Duration::ZERO, |_, name| match name {
            "bad" => Outcome::Refused("400".into()),
            _ => Outcome::Delivered,
        });
        rig.send("bad", Duration::ZERO).await;
        rig.send("good", Duration::ZERO).await;
        assert_eq!(rig.attempts(2).await, ["bad", "good"]);
    }

    #[tokio::test]
    async fn server_that_stops_drops_its_last_events() {
        let rig = Rig::new(Duration::ZERO, down_for_two_attempts);
        rig.send("a", Duration::ZERO).await;
        rig.attempts(2).await;
        // The next attempt is at least a second away.
        rig.send("b", Duration::ZERO).await;
        let (attempts, took) = rig.end().await;
        assert_eq!(attempts, ["a", "a", "a", "b"]);
        assert!(took < Duration::from_millis(900), "{took:?}");
    }

    #[tokio::test]
    async fn server_that_stops_waits_for_a_receiver_that_hangs() {
        let rig = Rig::new(PATIENCE, |_, _| Outcome::Delivered);
        rig.send("a", Duration::ZERO).await;
        rig.attempts(1).await;
        rig.send("b", Duration::ZERO).await;
        let (attempts, took) = rig.end().await;
        assert_eq!(attempts, ["a"]);
        assert!(took >= LAST_ATTEMPTS && took < PATIENCE, "{took:?}");
    }
}
