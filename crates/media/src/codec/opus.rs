//! Opus, RFC 6716 section 3.

/// What the first bytes of an Opus packet say. They are outside of end-to-end encryption as far
/// as the table-of-contents byte goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Toc {
    /// Length in ticks of the RTP clock (48 kHz): 120 (2.5 ms) to 5760 (120 ms).
    pub duration: u32,
    /// Two channels.
    pub stereo: bool,
}

/// Reads the table of contents. `None` for an empty packet, or one longer than 120 ms.
pub fn parse(payload: &[u8]) -> Option<Toc> {
    let toc = *payload.first()?;
    let config = toc >> 3;
    let frame: u32 = match config {
        0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        12..=15 => [480, 960][usize::from(config & 1)],
        _ => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(payload.get(1)? & 0x3f),
    };
    let duration = frame * frames;
    (1..=5760).contains(&duration).then_some(Toc {
        duration,
        stereo: toc & 4 != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_the_table() {
        let parse = |bytes: &[u8]| parse(bytes).map(|toc| (toc.duration, toc.stereo));
        assert_eq!(
            parse(&[0xfc, 1]),
            Some((960, true)),
            "fullband 20 ms stereo"
        );
        assert_eq!(parse(&[0x78, 1]), Some((960, false)), "hybrid 20 ms");
        assert_eq!(
            parse(&[0x81, 1]),
            Some((240, false)),
            "two frames of 2.5 ms"
        );
        assert_eq!(
            parse(&[0xfb, 0x06]),
            Some((5760, false)),
            "six frames of 20 ms"
        );
        assert_eq!(parse(&[0xfb, 0x07]), None, "too long");
        assert_eq!(parse(&[0xfb]), None);
        assert_eq!(parse(&[]), None);
    }
}
