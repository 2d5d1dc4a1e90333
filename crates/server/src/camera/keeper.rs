//! Keeps a connection to a camera for as long as somebody wants it.

use std::time::{Duration, Instant};

use rand::Rng as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};

use super::audio::AudioFormat;
use super::reason::Reason;
use super::session::{After, Event, Note, Options, Session, VideoFormat};
use crate::memory::{Memory, Work};
use crate::tasks;

/// When a camera is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// While somebody wants it.
    #[default]
    OnDemand,
    /// Always.
    Always,
}

/// What a keeper needs to know.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Of each connection.
    pub options: Options,
    /// When there is one.
    pub mode: Mode,
}

/// How long to wait between what.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between attempts, at least.
    pub shortest: Duration,
    /// Between attempts, at most.
    pub longest: Duration,
    /// Between attempts where somebody has to do something first.
    pub seldom: Duration,
    /// A connection that has lasted so long was a good one: the next attempt comes soon.
    pub good: Duration,
    /// Until a connection ends that nobody wants any more.
    pub linger: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            shortest: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            seldom: Duration::from_secs(60),
            good: Duration::from_secs(30),
            linger: Duration::from_secs(10),
        }
    }
}

/// How things stand with a camera.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Nobody wants it.
    Idle,
    /// The first attempt, or the first after a change.
    Connecting,
    /// There are pictures.
    Live {
        /// What they are.
        video: VideoFormat,
        /// What the sound is.
        audio: Option<AudioFormat>,
        /// What is not as it should be.
        notes: Vec<Note>,
    },
    /// It is tried again soon, or is being tried.
    Reconnecting {
        /// Why there is nothing.
        why: Reason,
        /// When it is tried again.
        next: Instant,
    },
    /// Somebody has to do something first. It is tried again all the same.
    Refused {
        /// What is wrong.
        why: Reason,
        /// When it is tried again.
        next: Instant,
    },
}

/// What is wanted of a keeper. Only the last wish counts.
#[derive(Debug, Clone)]
struct Wish {
    setup: Setup,
    wanted: bool,
    /// Counts changes of the setup.
    changes: u64,
    /// Counts those who cannot wait.
    retries: u64,
}

impl Wish {
    fn is_on(&self) -> bool {
        self.wanted || self.setup.mode == Mode::Always
    }
}

/// Keeps a connection to a camera. Ends when it is dropped.
#[derive(Debug)]
pub struct Keeper {
    wish: watch::Sender<Wish>,
    state: watch::Receiver<State>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Begins. The events of all connections come one after the other, each connection's with
    /// `Ended` as the last one; when nobody takes them, the camera waits. They go on as if the
    /// connection were the same: timestamps never go back.
    ///
    /// It is connected only where there is `memory` for it.
    pub fn start(setup: Setup, pace: Pace, memory: Memory, events: mpsc::Sender<Event>) -> Keeper {
        let (wish, wishes) = watch::channel(Wish {
            setup,
            wanted: false,
            changes: 0,
            retries: 0,
        });
        let (states, state) = watch::channel(State::Idle);
        let keeping = Keeping {
            wishes,
            states,
            events,
            pace,
            memory,
            admitted: false,
            backoff: pace.shortest,
            after: After::default(),
        };
        Keeper {
            wish,
            state,
            task: tasks::spawn(keeping.run()),
        }
    }

    /// Whether somebody wants pictures. With [`Mode::OnDemand`], nothing is connected until then,
    /// and soon after not any more.
    pub fn want(&self, wanted: bool) {
        self.wish.send_if_modified(|wish| {
            let changes = wish.wanted != wanted;
            wish.wanted = wanted;
            changes
        });
    }

    /// Connects with another setup from now on, at once.
    pub fn reconfigure(&self, setup: Setup) {
        self.wish.send_modify(|wish| {
            wish.setup = setup;
            wish.changes += 1;
        });
    }

    /// Tries again at once, if it is waiting for that.
    pub fn retry(&self) {
        self.wish.send_modify(|wish| wish.retries += 1);
    }

    /// How things stand.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Hangs up, and never connects again.
    pub fn stop(self) {}
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Keeping {
    wishes: watch::Receiver<Wish>,
    states: watch::Sender<State>,
    events: mpsc::Sender<Event>,
    pace: Pace,
    memory: Memory,
    /// There was memory for it, since it is wanted.
    admitted: bool,
    backoff: Duration,
    /// The last timestamps that were sent.
    after: After,
}

/// How a connection has ended.
enum End {
    /// By itself.
    Broken { why: Reason, lived: bool },
    /// Nobody wants it, or wants it otherwise.
    Unwanted,
    /// The keeper has no owner any more.
    Orphaned,
}

impl Keeping {
    async fn run(mut self) {
        let mut again = false;
        let mut said = None;
        loop {
            let wish = self.wishes.borrow_and_update().clone();
            if !wish.is_on() {
                (again, self.admitted) = (false, false);
                self.states.send_replace(State::Idle);
                if self.wishes.changed().await.is_err() {
                    return;
                }
                continue;
            }
            // While it is tried again, why it ended is worth more than that it is tried.
            if !again {
                self.states.send_replace(State::Connecting);
            }
            let address = wish.setup.options.address.clone();
            match self.connection(wish).await {
                End::Orphaned => return,
                End::Unwanted => again = false,
                End::Broken { why, lived } => {
                    again = true;
                    // Somewhere a camera may be off for months.
                    if said.as_ref() != Some(&why) || lived {
                        tracing::info!(camera = %address, %why, "no camera");
                        said = Some(why.clone());
                    }
                    if !self.wait(why).await {
                        return;
                    }
                }
            }
        }
    }

    /// One connection, to its end.
    async fn connection(&mut self, wish: Wish) -> End {
        // What is kept of a camera that goes away for a moment is still there when it comes back.
        let cost = self.memory.shares().camera();
        if !self.admitted && self.memory.admit(Work::Camera, cost).is_err() {
            return End::Broken {
                why: Reason::NoMemory,
                lived: false,
            };
        }
        self.admitted = true;
        let start = Instant::now();
        let mut options = wish.setup.options.clone();
        options.after = self.after;
        let mut session = Session::open(options);
        let mut unwanted = None;
        let mut lived = false;
        loop {
            let linger = async {
                match unwanted {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                event = session.next() => event,
                changed = self.wishes.changed() => {
                    if changed.is_err() {
                        return End::Orphaned;
                    }
                    let now = self.wishes.borrow_and_update().clone();
                    if now.changes != wish.changes {
                        return self.hang_up(&mut lived).await;
                    }
                    unwanted = match now.is_on() {
                        true => None,
                        false => unwanted.or(Some(tokio::time::Instant::now() + self.pace.linger)),
                    };
                    continue;
                }
                () = linger => return self.hang_up(&mut lived).await,
            };
            let Some(event) = event else {
                return End::Unwanted;
            };
            let ended = self.state_after(&event, &mut lived);
            if self.events.send(event).await.is_err() {
                return End::Orphaned;
            }
            if let Some(why) = ended {
                if lived && start.elapsed() >= self.pace.good {
                    self.backoff = self.pace.shortest;
                }
                return End::Broken { why, lived };
            }
        }
    }

    /// Those who have seen a beginning see an end.
    async fn hang_up(&mut self, lived: &mut bool) -> End {
        if *lived
            && self
                .events
                .send(Event::Ended(Reason::Closed))
                .await
                .is_err()
        {
            return End::Orphaned;
        }
        End::Unwanted
    }

    /// Tells how things stand after an event. Gives the reason if it was the last one.
    fn state_after(&mut self, event: &Event, lived: &mut bool) -> Option<Reason> {
        match event {
            Event::Connected {
                video,
                audio,
                notes,
            } => {
                *lived = true;
                self.states.send_replace(State::Live {
                    video: *video,
                    audio: audio.clone(),
                    notes: notes.clone(),
                });
                None
            }
            Event::Changed(changed) => {
                self.states.send_modify(|state| {
                    if let State::Live { video, .. } = state {
                        *video = *changed;
                    }
                });
                None
            }
            Event::Video(picture) => {
                self.after.video = Some(picture.timestamp);
                None
            }
            Event::Audio(sound) => {
                self.after.audio = Some(sound.timestamp);
                None
            }
            Event::Ended(why) => Some(why.clone()),
        }
    }

    /// Waits for the next attempt, or until something else is wanted. Whether there is an owner.
    async fn wait(&mut self, why: Reason) -> bool {
        let wait = if why.needs_person() {
            self.pace.seldom.mul_f64(rand::rng().random_range(0.9..1.1))
        } else {
            self.longer()
        };
        let next = Instant::now() + wait;
        let waits = match why.needs_person() {
            true => State::Refused { why, next },
            false => State::Reconnecting { why, next },
        };
        self.states.send_replace(waits.clone());
        let Wish {
            changes, retries, ..
        } = *self.wishes.borrow();
        let waiting = async {
            loop {
                if self.wishes.changed().await.is_err() {
                    return false;
                }
                let wish = self.wishes.borrow_and_update();
                if wish.changes != changes || wish.retries != retries {
                    return true;
                }
                // Whoever looks away and back again must not make it faster.
                self.states.send_replace(match wish.is_on() {
                    true => waits.clone(),
                    false => State::Idle,
                });
            }
        };
        timeout(wait, waiting).await.unwrap_or(true)
    }

    /// More and more, and never for all alike.
    fn longer(&mut self) -> Duration {
        let Pace {
            shortest, longest, ..
        } = self.pace;
        let most = (self.backoff * 3).min(longest);
        self.backoff = rand::rng().random_range(shortest..=most.max(shortest));
        self.backoff
    }
}
