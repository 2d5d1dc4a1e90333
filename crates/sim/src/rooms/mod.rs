//! Rooms under random commands, against a reference model.
//!
//! - `script` thinks of the next command, sensible or not.
//! - `model` knows from plain facts who should see whom, receive what and be told what.
//! - `world` is everybody outside the room: clients that believe what they are told (`client`),
//!   and an engine that forwards what it is asked to. It objects to effects that make no sense.
//! - [`run`] plays them against a real room, and compares beliefs with facts.

mod client;
mod model;
mod mutation;
mod script;
mod world;

use std::fmt;
use std::time::{Duration, Instant};

use umbrella_media::Kind;
use umbrella_room::command::{SubscriptionReport, TrackLoudness};
use umbrella_room::model::{LeaveReason, ParticipantId, RoomName, TrackSettings};
use umbrella_room::{Command, Effect, Limits, Room, RoomConfig};

use crate::random::Random;
use model::Model;
pub use mutation::Mutation;
use script::Script;
use world::World;

/// Somebody who loses its network for longer than this does not come back: a room need not know
/// any more who has left since.
const LONGEST_NIGHT: Duration = Duration::from_secs(50);

/// What to play.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// Random commands before the end of the play.
    pub steps: usize,
    /// Beliefs are compared with facts once in so many steps (1: always), and at the end.
    pub check_every: usize,
    /// Spoil the room's effects on their way, to see that it is noticed.
    pub mutation: Option<Mutation>,
}

/// What was seen in a play that went well.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// Effects of the room.
    pub effects: usize,
    /// The most participants at a time.
    pub participants: usize,
    /// The most consumers at a time.
    pub consumers: usize,
    /// Whether [`Plan::mutation`] found something to spoil.
    pub mutated: bool,
}

/// A room did what it should not, or did not what it should.
#[derive(Debug, Clone)]
pub struct Failure {
    /// [`Plan::seed`].
    pub seed: u64,
    /// At which command, counted from 0.
    pub step: usize,
    /// Which command.
    pub command: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure {
            seed,
            step,
            command,
            what,
        } = self;
        write!(f, "seed {seed}, step {step}: {what}\nafter {command}")
    }
}

/// Plays a room.
///
/// # Errors
/// The first difference between the room and the reference model.
pub fn run(plan: &Plan) -> Result<Seen, Failure> {
    Play::new(plan).run()
}

struct Play<'a> {
    plan: &'a Plan,
    random: Random,
    script: Script,
    model: Model,
    room: Room,
    world: World,
    /// Who hears nothing, and since when.
    dark: Option<(Instant, ParticipantId)>,
    now: Instant,
    step: usize,
    command: String,
    seen: Seen,
}

impl<'a> Play<'a> {
    fn new(plan: &'a Plan) -> Play<'a> {
        let mut random = Random::new(plan.seed);
        let limits = Limits {
            participants: 4 + random.below(40) as u32,
            heard: random.below(6),
            tracks: 1 + random.below(6),
            metadata: 40,
            attributes: 60,
            name: 24,
            relayed: 4,
            data_message: 100,
        };
        let max_participants = if random.one_in(2) {
            0
        } else {
            3 + random.below(30) as u32
        };
        let config = RoomConfig {
            sid: "RM_sim".to_owned(),
            name: RoomName::new("sim"),
            metadata: String::new(),
            created_at_s: 1,
            max_participants,
            limits: limits.clone(),
        };
        Play {
            plan,
            script: Script::new(&mut random),
            random,
            model: Model::new(limits, max_participants),
            room: Room::new(config),
            world: World::default(),
            dark: None,
            now: Instant::now(),
            step: 0,
            command: "the beginning".to_owned(),
            seen: Seen::default(),
        }
    }

    fn run(mut self) -> Result<Seen, Failure> {
        while self.step < self.plan.steps {
            // Mostly everything happens at once; now and then what is told late has its time.
            let most = if self.random.one_in(10) { 6000 } else { 400 };
            let pause = Duration::from_millis(self.random.below(most) as u64);
            self.wait(pause)?;
            self.darkness()?;
            let command = self.script.next(&mut self.random, &self.model, &self.world);
            self.play(command)?;
            if self.random.one_in(self.plan.check_every.max(1)) {
                self.check()?;
            }
            self.step += 1;
        }
        self.dawn()?;
        self.speech()?;
        self.tiles()?;
        self.quiet()?;
        self.end()?;
        Ok(self.seen)
    }

    /// Now and then somebody loses its network, and finds it again. Not where an effect is spoiled:
    /// who is in the dark would not notice.
    fn darkness(&mut self) -> Result<(), Failure> {
        if self.plan.mutation.is_some() {
            return Ok(());
        }
        match &self.dark {
            None if self.random.one_in(20) => {
                let somebody = self.random.pick(&self.model.ids()).cloned();
                self.dark = somebody.map(|id| (self.now, id));
                let dark = self.dark.iter();
                dark.for_each(|(_, id)| self.world.lose(id.clone()));
                Ok(())
            }
            Some((since, _)) if *since + LONGEST_NIGHT < self.now => self.dawn(),
            Some(_) if self.random.one_in(20) => self.dawn(),
            None | Some(_) => Ok(()),
        }
    }

    /// Who is in the dark is back, and has to know everything.
    fn dawn(&mut self) -> Result<(), Failure> {
        let Some((_, participant)) = self.dark.take() else {
            return Ok(());
        };
        self.world.begin_resume(&participant);
        self.play(Command::Resume { participant })?;
        self.world.end_resume();
        self.check()
    }

    /// One command: to the model, to the room, and what follows to the world.
    fn play(&mut self, command: Command) -> Result<(), Failure> {
        self.command = format!("{command:?}");
        if let Command::TrackOpened { track, .. } = &command
            && self.model.is_pending(track)
        {
            self.world.producer_opened(track);
        }
        if let Command::Subscription {
            participant,
            track,
            report: SubscriptionReport::Failed { .. },
        } = &command
        {
            self.world.consumer_failed(participant, track);
        }
        if let Command::Subscribe {
            participant,
            tracks,
            subscribe: true,
        } = &command
        {
            self.world.asks_for(participant, tracks);
        }
        let expected = self.model.apply(&command, self.now);
        self.room.handle(self.now, command);
        let outcome = self.carry_out()?;
        outcome
            .compare(&expected)
            .map_err(|what| self.failure(what))?;
        self.seen.participants = self.seen.participants.max(self.model.len());
        self.seen.consumers = self.seen.consumers.max(self.world.consumers());
        Ok(())
    }

    fn carry_out(&mut self) -> Result<world::Outcome, Failure> {
        let mut effects: Vec<Effect> = std::iter::from_fn(|| self.room.poll_effect()).collect();
        self.seen.effects += effects.len();
        if let Some(mutation) = self.plan.mutation
            && !self.seen.mutated
            && self.step * 3 > self.plan.steps
            && (self.step == self.plan.steps || !mutation.is_overtaken())
        {
            self.seen.mutated = mutation.spoil(&mut effects, &mut self.random);
        }
        let mut outcome = world::Outcome::default();
        for effect in effects {
            self.world
                .absorb(&effect, &mut outcome)
                .map_err(|what| self.failure(format!("{what}\nby {effect:?}")))?;
        }
        Ok(outcome)
    }

    /// Lets time pass, waking the room whenever it wants to be woken.
    fn wait(&mut self, time: Duration) -> Result<(), Failure> {
        let end = self.now + time;
        let mut wakes = 0;
        while let Some((at, reason)) = self.room.next_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.room.handle_timeout(self.now);
            let outcome = self.carry_out()?;
            if outcome.is_unicast() {
                return Err(self.failure(format!("{reason:?} told somebody alone")));
            }
            wakes += 1;
            if wakes > 1000 {
                return Err(self.failure(format!("{reason:?} wakes for ever")));
            }
        }
        self.now = end;
        Ok(())
    }

    fn check(&self) -> Result<(), Failure> {
        self.world
            .compare(&self.model)
            .and_then(|()| self.world.compare_speakers(&self.model, self.now))
            .and_then(|()| self.world.compare_qualities(&self.model))
            .and_then(|()| self.world.compare_heard(&self.model))
            .and_then(|()| self.world.compare_layers(&self.model, false))
            .and_then(|()| self.model.compare(&self.room))
            .map_err(|what| self.failure(what))
    }

    /// Somebody talks for a while: everybody has to notice, and to notice that it ends.
    fn speech(&mut self) -> Result<(), Failure> {
        // Longer than anybody's picture comes first who has spoken before.
        self.wait(Duration::from_secs(9))?;
        self.world
            .compare_layers(&self.model, true)
            .map_err(|what| self.failure(what))?;
        let Some((track, talker)) = self.model.audible(Kind::Audio) else {
            return self.check();
        };
        for _ in 0..6 {
            self.wait(Duration::from_millis(200))?;
            let loud = TrackLoudness {
                track: track.clone(),
                level: 12,
                voice: 1.0,
            };
            self.play(Command::AudioLevels(vec![loud]))?;
        }
        self.world
            .compare_speaking(&self.model, std::slice::from_ref(&talker))
            .and_then(|()| self.world.compare_speaker(&self.model, Some(&talker)))
            .map_err(|what| self.failure(what))?;
        self.check()
    }

    /// Everybody shows everything small for a while, then nothing, then one of them shows
    /// everything large.
    fn tiles(&mut self) -> Result<(), Failure> {
        for width in [100, 0] {
            for participant in self.model.ids() {
                self.show(participant, width)?;
            }
            self.check()?;
            self.wait(Duration::from_secs(10))?;
            self.world
                .compare_layers(&self.model, true)
                .map_err(|what| self.failure(what))?;
        }
        if let Some(participant) = self.random.pick(&self.model.ids()).cloned() {
            self.show(participant, 2000)?;
        }
        self.check()
    }

    fn show(&mut self, participant: ParticipantId, width: u32) -> Result<(), Failure> {
        let pieces = self.model.pieces.iter();
        self.play(Command::SetTrackSettings {
            participant,
            tracks: pieces.map(|piece| piece.view.id.clone()).collect(),
            settings: TrackSettings {
                disabled: width == 0,
                width,
                height: 0,
                quality: None,
                frame_rate: 0,
            },
        })
    }

    /// Nothing happens any more: what is told late must have been told.
    fn quiet(&mut self) -> Result<(), Failure> {
        self.command = "a long silence".to_owned();
        self.wait(Duration::from_secs(10))?;
        self.world
            .compare_speaking(&self.model, &[])
            .and_then(|()| self.world.compare_speaker(&self.model, None))
            .and_then(|()| self.world.compare_room(&self.model))
            .and_then(|()| self.world.compare_layers(&self.model, true))
            .map_err(|what| self.failure(what))?;
        if let Some((_, reason)) = self.room.next_timeout() {
            return Err(self.failure(format!("an idle room still waits for {reason:?}")));
        }
        self.check()
    }

    /// Everybody goes, together or one by one.
    fn end(&mut self) -> Result<(), Failure> {
        if self.random.one_in(2) {
            let reason = LeaveReason::ServerShutdown;
            self.play(Command::Moderate(
                umbrella_room::command::Moderation::Close { reason },
            ))?;
        }
        for participant in self.model.ids() {
            self.play(Command::Leave {
                participant,
                reason: LeaveReason::Asked,
            })?;
        }
        self.check()?;
        self.world
            .compare_nothing_left()
            .map_err(|what| self.failure(what))
    }

    fn failure(&self, what: String) -> Failure {
        Failure {
            seed: self.plan.seed,
            step: self.step,
            command: self.command.clone(),
            what,
        }
    }
}
