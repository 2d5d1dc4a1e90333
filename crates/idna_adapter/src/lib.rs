//! What `idna` asks of letters beyond ASCII when a host name is read, answered by the standard library's tables.
//!
//! By itself it asks ICU4X, whose tables make the binary 0.12 MB larger. They say what other ways there are to write
//! each letter (UTS 46, section 4). What somebody types or copies is nearly in the right form already: it has to be in
//! small letters, which the standard library knows, and then `idna` encodes it. So here what is written in another way,
//! or is not seen, makes a name invalid rather than being mapped. Directions are not checked: a name of Hebrew and
//! Latin letters that the DNS does not know is not found there.
//!
//! The items are those of `idna_adapter` 1.0.0 to 1.2.2, and their meaning is that of ICU4X's functions of the
//! same names.

#![no_std]

/// What joins to the left; nothing is known to.
pub const LEFT_OR_DUAL_JOINING_MASK: JoiningTypeMask = JoiningTypeMask;

/// What joins to the right; nothing is known to.
pub const RIGHT_OR_DUAL_JOINING_MASK: JoiningTypeMask = JoiningTypeMask;

/// What makes a name one with directions; nothing is known to.
pub const RTL_MASK: BidiClassMask = BidiClassMask;

/// What may begin a label of such a name.
pub const FIRST_BC_MASK: BidiClassMask = BidiClassMask;

/// What may end a label from left to right in such a name.
pub const LAST_LTR_MASK: BidiClassMask = BidiClassMask;

/// What may end a label from right to left.
pub const LAST_RTL_MASK: BidiClassMask = BidiClassMask;

/// What may be within a label from left to right in such a name.
pub const MIDDLE_LTR_MASK: BidiClassMask = BidiClassMask;

/// What may be within a label from right to left.
pub const MIDDLE_RTL_MASK: BidiClassMask = BidiClassMask;

/// How a letter joins its neighbours. It matters to what joins them without being seen, which is refused before.
#[derive(Debug, Clone, Copy)]
pub struct JoiningType;

impl JoiningType {
    /// The set of it alone.
    pub fn to_mask(self) -> JoiningTypeMask {
        JoiningTypeMask
    }

    /// Whether neighbours join as if it were not there.
    pub fn is_transparent(self) -> bool {
        false
    }
}

/// A set of ways to join.
#[derive(Debug, Clone, Copy)]
pub struct JoiningTypeMask;

impl JoiningTypeMask {
    /// Whether both have one in common.
    pub fn intersects(self, _other: JoiningTypeMask) -> bool {
        false
    }
}

/// The direction in which a letter is written.
#[derive(Debug, Clone, Copy)]
pub struct BidiClass;

impl BidiClass {
    /// The set of it alone.
    pub fn to_mask(self) -> BidiClassMask {
        BidiClassMask
    }

    /// Whether it is from left to right.
    pub fn is_ltr(self) -> bool {
        true
    }

    /// Whether it is that of a mark that has none of its own.
    pub fn is_nonspacing_mark(self) -> bool {
        false
    }

    /// Whether it is that of a European digit.
    pub fn is_european_number(self) -> bool {
        false
    }

    /// Whether it is that of an Arabic digit.
    pub fn is_arabic_number(self) -> bool {
        false
    }
}

/// A set of directions.
#[derive(Debug, Clone, Copy)]
pub struct BidiClassMask;

impl BidiClassMask {
    /// Whether both have one in common.
    pub fn intersects(self, _other: BidiClassMask) -> bool {
        false
    }
}

/// Who answers.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Adapter;

impl Adapter {
    /// Who answers.
    pub const fn new() -> Self {
        Adapter
    }

    /// Whether it suppresses the vowel of the letter before it. Asked about what stands before a joiner, which is
    /// refused before.
    pub fn is_virama(&self, _c: char) -> bool {
        false
    }

    /// Whether it is a mark on the letter before it. What would begin a label with one is left to the DNS.
    pub fn is_mark(&self, _c: char) -> bool {
        false
    }

    /// The direction in which it is written.
    pub fn bidi_class(&self, _c: char) -> BidiClass {
        BidiClass
    }

    /// How it joins its neighbours.
    pub fn joining_type(&self, _c: char) -> JoiningType {
        JoiningType
    }

    /// What is typed, in the form that is encoded: small letters, and the usual dot. U+FFFD stands for what no name can
    /// have.
    pub fn map_normalize<'a, I: Iterator<Item = char> + 'a>(
        &'a self,
        typed: I,
    ) -> impl Iterator<Item = char> + 'a {
        typed.flat_map(char::to_lowercase).map(|c| match c {
            // RFC 3490, section 3.1. The wide dot is not there: wide letters are refused.
            '\u{3002}' => '.',
            c => valid(c),
        })
    }

    /// What was encoded, to be compared with what it should be.
    pub fn normalize_validate<'a, I: Iterator<Item = char> + 'a>(
        &'a self,
        decoded: I,
    ) -> impl Iterator<Item = char> + 'a {
        decoded.map(|c| {
            let mut small = c.to_lowercase();
            match (small.next(), small.next()) {
                (Some(small), None) => valid(small),
                _ => char::REPLACEMENT_CHARACTER,
            }
        })
    }
}

fn valid(c: char) -> char {
    match has_another_form(c) {
        true => char::REPLACEMENT_CHARACTER,
        false => c,
    }
}

/// Whether the same could be written in another way, or it is not seen: then tables would be needed.
fn has_another_form(c: char) -> bool {
    c.is_control()
        || !c.is_ascii() && c.is_whitespace()
        || matches!(c,
            // A soft hyphen; numbers and signs in Latin-1 that stand for others.
            '\u{a8}' | '\u{aa}' | '\u{ad}' | '\u{af}' | '\u{b2}'..='\u{b5}' | '\u{b8}'..='\u{ba}'
            | '\u{bc}'..='\u{be}'
            // Accents apart from their letters, and sounds from their syllables.
            | '\u{300}'..='\u{36f}' | '\u{1100}'..='\u{11ff}' | '\u{3099}'..='\u{309c}'
            // What joins or parts letters, and directions.
            | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{209f}'
            // Signs that stand for letters, numbers in circles.
            | '\u{2100}'..='\u{214f}' | '\u{2150}'..='\u{218b}' | '\u{2460}'..='\u{24ff}'
            // Signs and sounds in squares and circles.
            | '\u{3131}'..='\u{318e}' | '\u{3192}'..='\u{319f}' | '\u{3200}'..='\u{33ff}'
            // Halves of pairs, private ones, twins of others' letters, joined letters, forms, wide and narrow ones.
            | '\u{e000}'..='\u{fdff}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe10}'..='\u{ffff}'
            // Letters for formulae; what no letter is.
            | '\u{1d400}'..='\u{1d7ff}' | '\u{1f100}'..='\u{1f1ff}' | '\u{2f800}'..='\u{2fa1f}'
            | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;
    use std::format;
    use std::string::String;

    fn encoded(typed: &str) -> Option<String> {
        idna::domain_to_ascii(typed).ok()
    }

    /// What they are encoded to is from RFC 3492, section 7.1, and other implementations.
    #[test]
    fn name_in_ones_own_alphabet_is_none() {
        for (typed, expected) in [
            ("Käfer.example", "xn--kfer-loa.example"),
            ("faß.de", "xn--fa-hia.de"),
            ("sfu.MÜNCHEN.example", "sfu.xn--mnchen-3ya.example"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("他们为什么不说中文。cn", "xn--ihqwcrb4cv8a8dqg056pqjye.cn"),
            (
                "почемужеонинеговорятпорусски.рф",
                "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l.xn--p1ai",
            ),
            // With a virama, which is no letter.
            ("क्योंनहीं.भारत", "xn--i1ba9c0d7a0d6b2eq.xn--h2brj9c"),
            ("למההםפשוטלאמדבריםעברית", "xn--4dbcagdahymbxekheh6e0a7fei0b"),
            ("한국어.example", "xn--3e0bk47br7k.example"),
            ("が.example", "xn--v8j.example"),
            ("kamera.example", "kamera.example"),
        ] {
            assert_eq!(encoded(typed).as_deref(), Some(expected), "{typed}");
            // What is encoded stays so, whoever has done it.
            assert_eq!(encoded(expected).as_deref(), Some(expected), "{typed}");
            let loud = expected.to_ascii_uppercase();
            assert_eq!(encoded(&loud).as_deref(), Some(expected), "{typed}");
        }
    }

    #[test]
    fn name_that_looks_like_another_leads_elsewhere() {
        for typed in [
            "ka\u{308}fer.example",
            "kä\u{200b}fer.example",
            "kä\u{200d}fer.example",
            "kä\u{ad}fer.example",
            "ｋäfer.example",
            "\u{1112}\u{1161}\u{11ab}.example",
            "か\u{3099}.example",
            "kä\u{3000}fer.example",
            "\u{202e}käfer.example",
            "ﬁx.example",
            "ⓚäfer.example",
            "m².example",
            "𝓴.example",
            // "ä" with its accent apart, "fix" with two letters joined, and "Ä", as somebody has encoded them.
            "xn--kafer-fgd.example",
            "xn--x-sy8h.example",
            "xn--7ba.example",
        ] {
            assert_eq!(encoded(typed), None, "{typed:?}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_survived_and_what_it_comes_to_is_kept(
            typed in prop_oneof![
                "\\PC{0,40}",
                "(\\PC{0,3}[a-zA-Z.äÖß-]{0,4}){0,6}",
                "(xn--[a-zA-Z0-9-]{0,12}\\.){0,3}",
            ],
        ) {
            if let Some(name) = encoded(&typed) {
                prop_assert!(name.is_ascii());
                prop_assert_eq!(encoded(&name), Some(name));
            }
            let (shown, _) = idna::domain_to_unicode(&format!("{typed}.example"));
            prop_assert!(!shown.is_empty());
        }
    }
}
