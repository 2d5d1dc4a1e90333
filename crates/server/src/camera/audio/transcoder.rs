//! AAC to Opus, inside of the process.

use bytes::Bytes;
use opus_rs::{Application, OpusEncoder};
use symphonia_codec_aac::AacDecoder;
use symphonia_core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia_core::codecs::audio::{AudioCodecParameters, AudioDecoder as _, AudioDecoderOptions};
use symphonia_core::packet::Packet;
use symphonia_core::units::{Duration as Span, Timestamp};

use super::Sound;
use super::resampler::Resampler;
use crate::camera::clock::Placed;

/// Samples per channel of an Opus packet: 20 ms of 48 kHz.
const PACKET: usize = 960;

/// What [`PACKET`] takes, in microseconds.
const PACKET_TIME: i64 = 20_000;

/// By how many microseconds the encoder makes sound late: 312 samples.
const LOOK_AHEAD: i64 = 6_500;

/// By how many samples the camera's encoder makes sound late, at least: an access unit is heard
/// together with the one after it (ISO/IEC 14496-3 section 4.6.11, windows of 2048), but cameras
/// stamp it with the time of what went in. Measured with ffmpeg's encoder.
const OVERLAP: i64 = super::SAMPLES;

/// More than this between what comes and what was expected, in microseconds, is a gap.
const GAP: i64 = 200_000;

/// Bits per second for each channel: more than a camera's microphone is worth.
const BITRATE: i32 = 40_000;

/// Makes Opus packets of 20 ms of AAC-LC access units with 8 to 48 kHz, mono or stereo.
pub struct Transcoder {
    decoder: AacDecoder,
    encoder: OpusEncoder,
    rate: u32,
    channels: usize,
    resamplers: Vec<Resampler>,
    /// Decoded, interleaved.
    decoded: Vec<f32>,
    /// Resampled, for each channel.
    waiting: Vec<Vec<f32>>,
    /// When the first waiting sample was captured, in microseconds since the epoch.
    next: Option<i64>,
    timestamp: u32,
    /// Whether `timestamp` is one that somebody has got.
    heard: bool,
}

impl std::fmt::Debug for Transcoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Transcoder({} Hz, {} channels)",
            self.rate, self.channels
        )
    }
}

impl Transcoder {
    /// For a stream with this AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1).
    ///
    /// # Errors
    ///
    /// What the stream has that cannot be decoded, as `HE-AAC`.
    pub fn new(config: &[u8]) -> Result<Transcoder, String> {
        let mut parameters = AudioCodecParameters::new();
        parameters
            .for_codec(CODEC_ID_AAC)
            .with_extra_data(config.into());
        let decoder = AacDecoder::try_new(&parameters, &AudioDecoderOptions::default());
        let decoder = decoder.map_err(|_| "AAC that is not AAC-LC in mono or stereo".to_owned())?;
        let known = decoder.codec_params();
        let rate = known.sample_rate.unwrap_or_default();
        let channels = known
            .channels
            .as_ref()
            .map_or(0, |channels| channels.count());
        if !(8_000..=48_000).contains(&rate) || !(1..=2).contains(&channels) {
            return Err(format!("AAC with {rate} Hz and {channels} channels"));
        }
        let mut encoder = OpusEncoder::new(48_000, channels, Application::Audio)
            .map_err(|error| format!("AAC, and the encoder fails: {error}"))?;
        encoder.bitrate_bps = BITRATE * channels as i32;
        encoder.complexity = 5;
        Ok(Transcoder {
            decoder,
            encoder,
            rate,
            channels,
            resamplers: vec![Resampler::new(rate); channels],
            decoded: Vec::new(),
            waiting: vec![Vec::new(); channels],
            next: None,
            timestamp: 0,
            heard: false,
        })
    }

    /// Goes on after this timestamp of another connection.
    pub(crate) fn resume(&mut self, after: u32) {
        self.timestamp = after.wrapping_add(PACKET as u32);
        self.heard = true;
    }

    /// Samples per second of what comes in, 8000 to 48000.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// 1 or 2.
    pub fn channels(&self) -> u8 {
        self.channels as u8
    }

    /// Takes an access unit, with which the camera captured sound so many microseconds after the
    /// epoch. What cannot be decoded leaves a gap.
    pub fn push(&mut self, unit: &[u8], captured: i64) -> Vec<Sound> {
        let packet = Packet::new(0, Timestamp::ZERO, Span::ZERO, unit);
        let Ok(buffer) = self.decoder.decode(&packet) else {
            self.decoder.reset();
            return Vec::new();
        };
        let mut decoded = std::mem::take(&mut self.decoded);
        buffer.copy_to_vec_interleaved(&mut decoded);
        let begins = self.expect(captured);
        let mut channel = Vec::with_capacity(decoded.len() / self.channels);
        for index in 0..self.channels {
            channel.clear();
            let samples = decoded.iter().skip(index).step_by(self.channels);
            // What is no number would stay in all filters behind it.
            channel.extend(samples.map(|sample| match sample.is_finite() {
                true => sample.clamp(-1.0, 1.0),
                false => 0.0,
            }));
            self.resamplers[index].push(&channel, &mut self.waiting[index]);
        }
        self.decoded = decoded;
        self.encode(begins)
    }

    /// Compares with what should come; begins anew after a gap, and follows a clock that is a
    /// little too slow or too fast.
    fn expect(&mut self, captured: i64) -> bool {
        let overlap = OVERLAP * 1_000_000 / i64::from(self.rate);
        let captured = captured - overlap - self.resamplers[0].delay(self.rate);
        let waiting = self.waiting[0].len() as i64 * 1000 / 48;
        let wrong = self.next.map(|next| captured - next - waiting);
        match (self.next.as_mut(), wrong) {
            (Some(next), Some(wrong)) if wrong.abs() <= GAP => {
                *next += wrong / 64;
                false
            }
            _ => {
                self.waiting.iter_mut().for_each(Vec::clear);
                self.resamplers = vec![Resampler::new(self.rate); self.channels];
                let timestamp = (i128::from(captured) * 48 / 1000) as u32;
                // Never back: somebody has heard it.
                if !self.heard || timestamp.wrapping_sub(self.timestamp) < 1 << 31 {
                    self.timestamp = timestamp;
                }
                self.next = Some(captured);
                true
            }
        }
    }

    fn encode(&mut self, mut begins: bool) -> Vec<Sound> {
        let mut packets = Vec::new();
        let mut frame = Vec::with_capacity(PACKET * self.channels);
        let mut bytes = [0; 1275];
        while self.waiting[0].len() >= PACKET {
            frame.clear();
            for at in 0..PACKET {
                frame.extend(self.waiting.iter().map(|channel| channel[at]));
            }
            self.waiting
                .iter_mut()
                .for_each(|channel| drop(channel.drain(..PACKET)));
            let captured = self.next.unwrap_or_default() - LOOK_AHEAD;
            // Its length is never wrong, so it never fails; a packet less would be a click.
            self.heard = true;
            if let Ok(length) = self.encoder.encode(&frame, PACKET, &mut bytes) {
                packets.push(Sound {
                    payload: Bytes::copy_from_slice(&bytes[..length]),
                    timestamp: self.timestamp,
                    captured: Placed::since_epoch(captured),
                    begins: std::mem::take(&mut begins),
                });
            }
            self.timestamp = self.timestamp.wrapping_add(PACKET as u32);
            self.next = self.next.map(|next| next + PACKET_TIME);
        }
        packets
    }
}
