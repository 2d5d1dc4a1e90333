//! The clocks of a camera's streams: every one begins anywhere, may jump, and is none of ours.

use std::time::Duration;

/// A step of more than this, in seconds, is no pause between pictures.
const JUMP: i64 = 10;

/// How far back a step may go, in seconds: pictures may come in another order than they are shown.
const BACK: i64 = 1;

/// Reports that are further off, in microseconds, are wrong: cameras set their clocks late.
const MAX_REPORT: i64 = 5_000_000;

/// How much of the difference to our own clock is made up for in a second.
const DRIFT: f64 = 0.001;

const SECOND: i64 = 1_000_000;

/// When something was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    /// In units of the stream's clock. Goes on over jumps, and from one connection to the next.
    pub(super) timestamp: u32,
    /// Since the epoch, in microseconds; the same for all streams of a camera. Never later than it
    /// arrived.
    pub(super) captured: i64,
}

impl Placed {
    pub(super) fn since_epoch(captured: i64) -> Duration {
        Duration::from_micros(u64::try_from(captured).unwrap_or_default())
    }
}

/// What the streams of a camera have in common: the camera's clock, as its reports tell it.
#[derive(Debug, Default)]
pub(super) struct Wall(Option<i64>);

/// The clock of one stream.
#[derive(Debug)]
pub(super) struct Track {
    rate: i64,
    /// The last timestamp and when it came.
    last: Option<(i64, i64)>,
    ticks: i64,
    /// When tick 0 was, in microseconds since the epoch.
    zero: i64,
    reported: bool,
    /// The last timestamp of the connection before this one.
    after: Option<u32>,
}

impl Track {
    /// `after` is the last timestamp of the connection before this one.
    pub(super) fn new(rate: u32, after: Option<u32>) -> Track {
        Track {
            rate: i64::from(rate.max(1)),
            last: None,
            ticks: 0,
            zero: 0,
            reported: false,
            after,
        }
    }

    /// A timestamp of the camera that arrived so many microseconds after the epoch.
    pub(super) fn place(&mut self, raw: i64, arrived: i64, wall: &mut Wall) -> Placed {
        match self.last {
            // So timestamps go on from one connection to the next.
            None => {
                self.ticks = self.begin(arrived);
                self.zero = arrived - self.captured(self.ticks);
            }
            Some((before, then)) => {
                let step = raw.saturating_sub(before);
                let jumps = step > JUMP * self.rate || step < -BACK * self.rate;
                let step = match jumps {
                    true => self.ticks_in(arrived - then).max(1),
                    false => step,
                };
                self.ticks = self.ticks.saturating_add(step);
                self.follow(step, arrived);
            }
        }
        self.last = Some((raw, arrived));
        let early = self.captured(self.ticks) - arrived;
        if early > 0 {
            self.zero -= early;
            if let (true, Some(offset)) = (self.reported, wall.0.as_mut()) {
                *offset += early;
            }
        }
        Placed {
            timestamp: self.ticks as u32,
            captured: self.captured(self.ticks),
        }
    }

    /// Where timestamps begin: with time, but after what somebody has got already. Cameras that
    /// send what they have kept are ahead of time.
    fn begin(&self, arrived: i64) -> i64 {
        let ticks = self.ticks_in(arrived);
        let Some(after) = self.after else {
            return ticks;
        };
        let ahead = (ticks as u32).wrapping_sub(after).cast_signed();
        ticks + (1 + self.rate / 25 - i64::from(ahead)).max(0)
    }

    /// The camera says when, by its own clock (in microseconds since any time), it had which
    /// timestamp (RFC 3550 section 6.4.1).
    pub(super) fn report(&mut self, raw: i64, clock: i64, wall: &mut Wall) {
        let Some((last, _)) = self.last else {
            return;
        };
        let distance = raw.saturating_sub(last);
        if distance.saturating_abs() > JUMP * self.rate {
            return;
        }
        let captured = self.captured(self.ticks.saturating_add(distance));
        match wall.0 {
            Some(offset) => {
                let wrong = clock.saturating_sub(offset).saturating_sub(captured);
                if wrong.saturating_abs() <= MAX_REPORT {
                    self.zero += wrong;
                } else {
                    wall.0 = Some(clock.saturating_sub(captured));
                }
            }
            None => wall.0 = Some(clock.saturating_sub(captured)),
        }
        self.reported = true;
    }

    /// A camera's clock is a little too slow or too fast, for months.
    fn follow(&mut self, step: i64, arrived: i64) {
        let late = (arrived - self.captured(self.ticks)).clamp(0, MAX_REPORT);
        let seconds = step.clamp(0, self.rate) as f64 / self.rate as f64;
        self.zero += (late as f64 * DRIFT * seconds) as i64;
    }

    fn captured(&self, ticks: i64) -> i64 {
        let micros = i128::from(ticks) * i128::from(SECOND) / i128::from(self.rate);
        self.zero.saturating_add(micros as i64)
    }

    fn ticks_in(&self, micros: i64) -> i64 {
        let ticks = i128::from(micros) * i128::from(self.rate) / i128::from(SECOND);
        ticks as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_that_jump_stop_the_picture_for_hours() {
        let (mut track, mut wall) = (Track::new(90_000, None), Wall::default());
        let mut raw = 1_000_000_000;
        let mut before = track.place(raw, 0, &mut wall);
        for picture in 1..200i64 {
            raw += match picture {
                50 => 4_000_000_000,
                100 => -3_000_000_000,
                _ => 3600,
            };
            let placed = track.place(raw, picture * 40_000, &mut wall);
            assert_eq!(placed.timestamp - before.timestamp, 3600, "{picture}");
            assert_eq!(placed.captured, picture * 40_000);
            before = placed;
        }
    }

    #[test]
    fn timestamps_go_back_when_the_camera_comes_back() {
        let mut wall = Wall::default();
        let first = Track::new(90_000, None).place(77, 1_000_000, &mut wall);
        let after = Some(first.timestamp);
        let second = Track::new(90_000, after).place(5, 3_000_000, &mut wall);
        assert_eq!(second.timestamp - first.timestamp, 180_000);
        let ahead = Some(second.timestamp + 1_000_000);
        let third = Track::new(90_000, ahead).place(5, 4_000_000, &mut wall);
        assert_eq!(third.timestamp, second.timestamp + 1_003_601);
        assert_eq!(third.captured, 4_000_000);
    }

    #[test]
    fn lips_move_before_the_sound() {
        let mut wall = Wall::default();
        let (mut video, mut audio) = (Track::new(90_000, None), Track::new(16_000, None));
        // Pictures take 300 ms longer than sound to arrive.
        video.place(0, 300_000, &mut wall);
        audio.place(500, 0, &mut wall);
        audio.report(500, 7_000_000, &mut wall);
        video.report(0, 7_000_000, &mut wall);
        let picture = video.place(90_000, 1_300_000, &mut wall);
        let sound = audio.place(16_500, 1_000_000, &mut wall);
        assert!((picture.captured - sound.captured).abs() < 5_000);
    }

    #[test]
    fn clock_of_a_camera_runs_away() {
        let (mut track, mut wall) = (Track::new(90_000, None), Wall::default());
        // 200 ppm too slow and too fast, for ten hours.
        for ppm in [-200i64, 200] {
            let mut placed = track.place(0, 0, &mut wall);
            for second in 1..36_000i64 {
                let raw = second * (90_000 + 90_000 * ppm / 1_000_000);
                placed = track.place(raw, second * 1_000_000, &mut wall);
            }
            let late = 35_999 * 1_000_000 - placed.captured;
            assert!((0..300_000).contains(&late), "{late}");
            track = Track::new(90_000, None);
        }
    }

    #[test]
    fn camera_that_sets_its_clock_moves_the_sound_by_years() {
        let mut wall = Wall::default();
        let mut track = Track::new(8_000, None);
        track.place(0, 0, &mut wall);
        track.report(0, 0, &mut wall);
        track.report(0, 1_700_000_000 * SECOND, &mut wall);
        assert_eq!(track.place(8_000, SECOND, &mut wall).captured, SECOND);
    }
}
