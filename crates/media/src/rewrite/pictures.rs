//! The picture ids, TL0PICIDX and KEYIDX of VP8, which a decoder wants to be continuous
//! (RFC 7741 section 4.2).

use crate::codec::vp8::{PictureId, PictureIds};

use super::Patch;
use super::ranges::{Place, Ranges};

/// Where extended picture ids begin: far enough from 0 that earlier ones can come.
const BASE: u64 = 1 << 32;
const KEY_INDEX: u8 = 0x1f;

/// Renumbers the pictures of one consumer.
#[derive(Debug, Clone, Default)]
pub(super) struct Pictures {
    ids: Option<Ranges>,
    next: Option<u64>,
    tl0: Index,
    key: Index,
}

/// A small number that goes round.
#[derive(Debug, Clone, Copy, Default)]
struct Index {
    /// Added to what comes in.
    offset: u8,
    /// The newest that went out.
    last: Option<u8>,
}

impl Index {
    fn begin(&mut self, first: Option<u8>) {
        if let (Some(first), Some(last)) = (first, self.last) {
            self.offset = last.wrapping_add(1).wrapping_sub(first);
        }
    }

    fn out(self, value: u8) -> u8 {
        value.wrapping_add(self.offset)
    }
}

impl Pictures {
    /// The stream goes on with another source, or anew: its first picture follows the last one
    /// that went out.
    pub(super) fn begin(&mut self, ids: &PictureIds) {
        self.ids = ids.picture.map(|picture| {
            let start = BASE + u64::from(value(picture));
            Ranges::new(start, self.next.unwrap_or(start))
        });
        self.tl0.begin(ids.tl0);
        self.key.begin(ids.layer.map(|layer| layer & KEY_INDEX));
    }

    /// A packet of a picture is dropped, and with it the whole picture.
    pub(super) fn skip(&mut self, ids: &PictureIds) {
        if let (Some(picture), Some(ranges)) = (ids.picture, &mut self.ids) {
            ranges.skip(extend(picture, ranges.highest()));
        }
    }

    /// The numbers with which a packet leaves. `in_order` says that no later packet has come
    /// yet. `None` if the rest of its picture was dropped, or it is too old.
    pub(super) fn place(&mut self, ids: &PictureIds, in_order: bool) -> Option<Patch> {
        let picture = match ids.picture {
            Some(picture) => Some((picture, self.place_id(ids, picture, in_order)?)),
            None => None,
        };
        let tl0 = ids.tl0.map(|tl0| self.tl0.out(tl0));
        let key = ids.layer.map(|layer| self.key.out(layer) & KEY_INDEX);
        if in_order {
            self.tl0.last = tl0.or(self.tl0.last);
            self.key.last = key.or(self.key.last);
        }
        let mut patch = Patch {
            offset: ids.offset,
            ..Patch::NONE
        };
        match picture {
            Some((PictureId::Short(_), out)) => patch.push(out as u8 & 0x7f),
            Some((PictureId::Long(_), out)) => {
                patch.push((out >> 8) as u8 | 0x80);
                patch.push(out as u8);
            }
            None => {}
        }
        tl0.into_iter().for_each(|tl0| patch.push(tl0));
        if let (Some(layer), Some(key)) = (ids.layer, key) {
            patch.push(layer & !KEY_INDEX | key);
        }
        Some(patch)
    }

    fn place_id(&mut self, ids: &PictureIds, picture: PictureId, in_order: bool) -> Option<u64> {
        let ranges = match &mut self.ids {
            // Pictures come in order: a lower id in a later packet is a new count.
            Some(ranges) if !in_order || extend(picture, ranges.highest()) >= ranges.highest() => {
                ranges
            }
            Some(_) | None => {
                self.begin(ids);
                self.ids.as_mut()?
            }
        };
        let number = extend(picture, ranges.highest());
        let Place::Out(out) = ranges.place(number) else {
            return None;
        };
        ranges.note(number);
        self.next = self.next.max(Some(out + 1));
        Some(out)
    }
}

fn value(picture: PictureId) -> u16 {
    match picture {
        PictureId::Short(id) => u16::from(id),
        PictureId::Long(id) => id,
    }
}

/// The extended id nearest to `near`.
fn extend(picture: PictureId, near: u64) -> u64 {
    let span: u64 = match picture {
        PictureId::Short(_) => 1 << 7,
        PictureId::Long(_) => 1 << 15,
    };
    let ahead = u64::from(value(picture)).wrapping_sub(near) % span;
    if ahead < span / 2 {
        near + ahead
    } else {
        near.saturating_sub(span - ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(picture: u16, tl0: u8, layer: u8) -> PictureIds {
        let picture = Some(PictureId::Long(picture));
        PictureIds {
            offset: 2,
            picture,
            tl0: Some(tl0),
            layer: Some(layer),
        }
    }

    #[test]
    fn a_source_alone_keeps_its_numbers() {
        let mut pictures = Pictures::default();
        let first = ids(0x7fff, 250, 0x21);
        pictures.begin(&first);
        assert_eq!(
            pictures.place(&first, true).unwrap().bytes(),
            [0xff, 0xff, 250, 0x21]
        );
        let next = pictures.place(&ids(0, 251, 0x21), true).unwrap();
        assert_eq!(
            (next.offset(), next.bytes()),
            (2, &[0x80, 0, 251, 0x21][..])
        );
    }

    #[test]
    fn another_source_goes_on_where_the_first_ended() {
        let mut pictures = Pictures::default();
        pictures.begin(&ids(100, 7, 3));
        pictures.place(&ids(100, 7, 3), true).unwrap();
        pictures.begin(&ids(9000, 200, 0x9e));
        let first = pictures.place(&ids(9000, 200, 0x9e), true).unwrap();
        assert_eq!(first.bytes(), [0x80, 101, 8, 0x84]);
        let second = pictures.place(&ids(9001, 201, 0x1f), true).unwrap();
        assert_eq!(second.bytes(), [0x80, 102, 9, 0x05]);
    }

    #[test]
    fn dropped_pictures_leave_no_gap_and_late_packets_of_them_are_dropped() {
        let mut pictures = Pictures::default();
        pictures.begin(&ids(10, 1, 0));
        pictures.place(&ids(10, 1, 0), true).unwrap();
        pictures.skip(&ids(11, 1, 0x80));
        pictures.skip(&ids(11, 1, 0x80));
        let after = pictures.place(&ids(12, 2, 0), true).unwrap();
        assert_eq!(after.bytes(), [0x80, 11, 2, 0]);
        assert_eq!(pictures.place(&ids(11, 1, 0x80), false), None);
        assert!(
            pictures
                .place(&ids(10, 1, 0), false)
                .unwrap()
                .bytes()
                .starts_with(&[0x80, 10])
        );
    }

    #[test]
    fn publisher_that_counts_anew_is_followed() {
        let mut pictures = Pictures::default();
        pictures.begin(&ids(5000, 1, 0));
        pictures.place(&ids(5000, 1, 0), true).unwrap();
        let anew = pictures.place(&ids(17, 0, 0), true).unwrap();
        assert!(
            anew.bytes().starts_with(&[0x93, 0x89]),
            "5001, not {:?}",
            anew.bytes()
        );
    }

    #[test]
    fn short_ids_stay_short() {
        let short = |id| PictureIds {
            picture: Some(PictureId::Short(id)),
            ..ids(0, 5, 0)
        };
        let mut pictures = Pictures::default();
        pictures.begin(&short(127));
        pictures.place(&short(127), true).unwrap();
        assert_eq!(pictures.place(&short(0), true).unwrap().bytes(), [0, 5, 0]);
    }
}
