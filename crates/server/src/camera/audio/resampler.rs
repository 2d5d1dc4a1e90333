//! From a camera's sampling rate to 48 kHz: a polyphase filter.

use std::f64::consts::PI;

/// Input samples that make one output sample.
const TAPS: usize = 32;

/// Of the Kaiser window: 80 dB of what is above the camera's own limit is removed.
const BETA: f64 = 8.0;

/// The part of the camera's bandwidth that passes.
const PASS: f64 = 0.92;

const TARGET: u32 = 48_000;

/// Resamples one channel.
#[derive(Debug, Clone)]
pub(super) struct Resampler {
    /// Output samples per `step` input samples.
    phases: usize,
    step: usize,
    filter: Vec<f32>,
    /// The last input samples, then new ones.
    input: Vec<f32>,
    /// Of the next output sample, in phases after the first input sample.
    position: usize,
}

impl Resampler {
    /// For a rate of 1 to 48000 Hz.
    pub(super) fn new(rate: u32) -> Resampler {
        let common = gcd(rate, TARGET);
        let phases = (TARGET / common) as usize;
        Resampler {
            phases,
            step: (rate / common) as usize,
            filter: if rate == TARGET {
                Vec::new()
            } else {
                filter(phases)
            },
            input: vec![0.0; TAPS - 1],
            position: 0,
        }
    }

    /// By how many microseconds what comes out is late.
    pub(super) fn delay(&self, rate: u32) -> i64 {
        match self.filter.is_empty() {
            true => 0,
            false => (TAPS as i64 / 2) * 1_000_000 / i64::from(rate),
        }
    }

    /// Appends what comes of these samples.
    pub(super) fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        if self.filter.is_empty() {
            out.extend_from_slice(samples);
            return;
        }
        self.input.extend_from_slice(samples);
        loop {
            let (at, phase) = (self.position / self.phases, self.position % self.phases);
            let Some(window) = self.input.get(at..at + TAPS) else {
                break;
            };
            let filter = &self.filter[phase * TAPS..][..TAPS];
            out.push(window.iter().zip(filter).map(|(a, b)| a * b).sum());
            self.position += self.step;
        }
        let used = (self.position / self.phases).min(self.input.len());
        self.input.drain(..used);
        self.position -= used * self.phases;
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A low pass for each phase, in the order in which it meets the samples. The limit is the lower of
/// the rates', which is always the camera's.
fn filter(phases: usize) -> Vec<f32> {
    let half = TAPS as f64 / 2.0;
    let mut all = Vec::with_capacity(phases * TAPS);
    for phase in 0..phases {
        let offset = phase as f64 / phases as f64;
        let weights = (0..TAPS).map(|tap| {
            let x = tap as f64 - (half - 1.0) - offset;
            sinc(x * PASS) * PASS * kaiser(x / half)
        });
        let weights: Vec<f64> = weights.collect();
        let sum: f64 = weights.iter().sum();
        all.extend(weights.iter().map(|weight| (weight / sum) as f32));
    }
    all
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 {
        1.0
    } else {
        (PI * x).sin() / (PI * x)
    }
}

fn kaiser(x: f64) -> f64 {
    if x.abs() >= 1.0 {
        return 0.0;
    }
    bessel(BETA * (1.0 - x * x).sqrt()) / bessel(BETA)
}

/// The modified Bessel function of order 0, by its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 1..40 {
        term *= (x / 2.0 / f64::from(n)).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_of_other_rates_is_distorted_late_or_of_another_pitch() {
        for rate in [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000] {
            let tone = |rate: u32, at: f64| (2.0 * PI * 1000.0 * at / f64::from(rate)).sin();
            let input: Vec<f32> = (0..rate)
                .map(|at| tone(rate, f64::from(at)) as f32)
                .collect();
            let mut resampler = Resampler::new(rate);
            let mut out = Vec::new();
            for piece in input.chunks(1000) {
                resampler.push(piece, &mut out);
            }
            assert!(
                (47_990..=48_001).contains(&out.len()),
                "{rate}: {}",
                out.len()
            );
            let is_same = resampler.delay(rate) == 0;
            let late = if is_same {
                0.0
            } else {
                16.0 * 48_000.0 / f64::from(rate)
            };
            let (mut signal, mut noise) = (0.0, 0.0);
            for (at, sample) in out.iter().enumerate().skip(500) {
                let ideal = tone(TARGET, at as f64 - late);
                signal += ideal * ideal;
                noise += (ideal - f64::from(*sample)).powi(2);
            }
            let ratio = 10.0 * (signal / f64::max(noise, 1e-12)).log10();
            assert!(ratio > 60.0, "{rate}: {ratio} dB");
        }
    }
}
