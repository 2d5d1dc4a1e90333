//! How loud a track was over an interval.

use crate::AudioLevel;

/// How loud a track was over an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Mean level in -dBov: 0 is the loudest, 127 is silence.
    pub level: u8,
    /// Share of the packets that the encoder called voice, 0 to 1.
    pub voice: f32,
}

/// Gathers the audio levels of one track. The mean is that of the levels in decibels, which is
/// near to how loud it was heard: one click in a silence does not make a speaker.
#[derive(Debug, Clone, Default)]
pub struct LevelMeter {
    packets: u32,
    voice: u32,
    sum: u64,
}

impl LevelMeter {
    /// Nothing heard yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the level of one packet.
    pub fn add(&mut self, level: AudioLevel) {
        self.packets = self.packets.saturating_add(1);
        self.voice += u32::from(level.voice);
        self.sum += u64::from(level.level.min(127));
    }

    /// Ends the interval and begins the next. `None` if there was no packet in it.
    pub fn take(&mut self) -> Option<Level> {
        let LevelMeter {
            packets,
            voice,
            sum,
        } = std::mem::take(self);
        let mean = (sum + u64::from(packets) / 2).checked_div(u64::from(packets))?;
        Some(Level {
            level: mean.min(127) as u8,
            voice: voice as f32 / packets as f32,
        })
    }
}
