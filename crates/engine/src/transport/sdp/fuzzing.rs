//! What holds for every session description, whoever has written it.

use umbrella_media::Codec;

use super::parse::Description;
use super::write::{Plan, rewrite};
use crate::api::{Label, Limits};

const CANDIDATES: &str = "a=candidate:ours\r\na=end-of-candidates\r\n";

/// Reads a description and rewrites it. The first byte chooses what becomes of its sections, the
/// rest is the text.
///
/// # Panics
/// If what was understood once is not understood the same way again, or if rewriting loses a
/// section or tells more of us than it should.
pub fn description(data: &[u8]) {
    let Some((&choice, text)) = data.split_first() else {
        return;
    };
    let limits = Limits::default();
    let text = String::from_utf8_lossy(text);
    let Ok(read) = Description::parse(&text, &limits) else {
        return;
    };
    assert!(read.sections.len() <= limits.sections);
    let again = Description::parse(&read.text, &limits).expect("str0m gets what was understood");
    assert_eq!(again, read, "str0m gets what was understood");

    let label = Label {
        stream: "PA_stream".into(),
        track: "TR_track".into(),
    };
    let mut asked = 0u8;
    let ours = rewrite(&read.text, CANDIDATES, |_| {
        asked = asked.wrapping_add(1);
        plan(choice.wrapping_add(asked), &label)
    });
    let rewritten = Description::parse(&ours, &limits).expect("a peer understands what we write");
    let mids = |description: &Description| -> Vec<String> {
        let sections = description.sections.iter();
        sections.map(|section| section.mid.clone()).collect()
    };
    assert_eq!(mids(&rewritten), mids(&read), "sections are the same");
    let candidates = ours.lines().filter(|line| line.starts_with("a=candidate:"));
    assert!(candidates.count() <= 1, "{ours}");

    let silent = rewrite(&read.text, "", |_| Plan::Silent);
    let ours_to_say = ["a=msid:", "a=ssrc:", "a=ssrc-group:"];
    let says_who_sends = |line: &str| ours_to_say.iter().any(|start| line.starts_with(start));
    let (_, sections) = silent.split_once("\nm=").unwrap_or_default();
    assert!(!sections.lines().any(says_who_sends), "{silent}");
}

fn plan(choice: u8, label: &Label) -> Plan<'_> {
    let stereo = choice & 0x80 != 0;
    match choice % 5 {
        0 => Plan::AsItIs,
        1 => Plan::Receive {
            stereo,
            dtx: choice & 0x40 != 0,
            favourite: Some(Codec::H264),
        },
        2 => Plan::Receive {
            stereo,
            dtx: choice & 0x40 != 0,
            favourite: None,
        },
        3 => Plan::Silent,
        _ => Plan::Carry { label, stereo },
    }
}
