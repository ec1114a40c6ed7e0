//! What a lecturer adds to a recording: bookmarks, and a lecture.
//!
//! ```text
//!   lecture: [
//!       (moment: 5, select: "0x87ff3000", caption: "…"),
//! ```
//!
//! A lecture's step shows a moment with a caption. What is selected stands as one word, the way that
//! addresses are typed everywhere; see [`Pointed`].

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::{Recording, RegionSpace, hex};
use crate::addr::{PhysAddr, PhysPage, VirtAddr};
use crate::level::Level;

/// Most bookmarks, and most steps of a lecture, that a file may have.
pub const MAX_LECTURE_STEPS: usize = 10_000;

/// Most bytes of a caption.
pub const MAX_CAPTION_BYTES: usize = 16 << 10;

/// A moment with a name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bookmark {
    /// Which moment of the recording, from 0.
    pub moment: usize,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// One step of a lecture.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LectureStep {
    /// Which moment of the recording is shown, from 0.
    pub moment: usize,
    /// What the lecturer says: plain text, an empty line between paragraphs.
    #[serde(default)]
    pub caption: String,
    /// What is selected; the newest thing where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Pointed>,
    /// The space that is looked at, by name; that of the hart where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// The hart that is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hart: Option<u32>,
    /// The view that is drawn large; all of them side by side where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<LectureView>,
}

/// A view that can be drawn large.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum LectureView {
    /// The map of virtual addresses.
    Virtual,
    /// The page tables.
    Tables,
    /// Physical memory.
    Physical,
    /// What a newer version has a word for: drawn as if nothing were said.
    #[serde(other)]
    Other,
}

/// What a lecture points at.
///
/// As text: `0x87ff3000` is a virtual address, `p:0x87ff3000` a physical one, `0x87ff3000+0x2000` and
/// `p:0x87ff3000+0x2000` are stretches, `L0 0x87ffe000` is a table, `L0 0x87ffe000[499]` an entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Pointed {
    /// A virtual address.
    Virtual(VirtAddr),
    /// A physical address.
    Physical(PhysAddr),
    /// A stretch of one of the maps: at least a byte, and not past the last address.
    Stretch {
        /// Which map.
        space: RegionSpace,
        /// First address.
        start: u64,
        /// Bytes.
        size: u64,
    },
    /// A table.
    Table {
        /// Its level.
        level: Level,
        /// Its frame.
        frame: PhysPage,
    },
    /// An entry of a table.
    Entry {
        /// The table's level.
        level: Level,
        /// The table's frame.
        table: PhysPage,
        /// The entry's place.
        index: u16,
    },
}

/// A text that points at nothing.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error(
    "{0:?} points at nothing: write \"0x87ff3000\" for a virtual address, \"p:0x87ff3000\" for a physical one, \
     \"0x87ff3000+0x2000\" for a stretch, \"L0 0x87ffe000\" for a table, \"L0 0x87ffe000[499]\" for its entry"
)]
pub struct PointedError(String);

impl fmt::Display for Pointed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Virtual(address) => write!(f, "{:#x}", address.as_u64()),
            Self::Physical(address) => write!(f, "p:{:#x}", address.as_u64()),
            Self::Stretch { space, start, size } => {
                let sign = match space {
                    RegionSpace::Virtual => "",
                    RegionSpace::Physical => "p:",
                };
                write!(f, "{sign}{start:#x}+{size:#x}")
            }
            Self::Table { level, frame } => {
                write!(f, "L{} {:#x}", level.number(), frame.start().as_u64())
            }
            Self::Entry {
                level,
                table,
                index,
            } => {
                let (level, table) = (level.number(), table.start().as_u64());
                write!(f, "L{level} {table:#x}[{index}]")
            }
        }
    }
}

impl FromStr for Pointed {
    type Err = PointedError;

    fn from_str(text: &str) -> Result<Self, PointedError> {
        pointed(text.trim()).ok_or_else(|| PointedError(text.chars().take(80).collect()))
    }
}

fn pointed(text: &str) -> Option<Pointed> {
    let number = |text: &str| text.starts_with("0x").then(|| hex::parse(text)).flatten();
    if let Some(rest) = text.strip_prefix('L') {
        let (level, rest) = rest.split_once(' ')?;
        let level = Level::from_number(level.parse().ok()?)?;
        let (table, index) = match rest.strip_suffix(']') {
            Some(rest) => {
                let (table, index) = rest.split_once('[')?;
                (table, Some(index.parse().ok()?))
            }
            None => (rest, None),
        };
        let address = PhysAddr::new(number(table)?);
        let table = address.page().filter(|page| page.start() == address)?;
        return Some(match index {
            Some(index) => Pointed::Entry {
                level,
                table,
                index,
            },
            None => Pointed::Table {
                level,
                frame: table,
            },
        });
    }
    let (space, rest) = match text.strip_prefix("p:") {
        Some(rest) => (RegionSpace::Physical, rest),
        None => (RegionSpace::Virtual, text),
    };
    if let Some((start, size)) = rest.split_once('+') {
        let (start, size) = (number(start)?, number(size)?);
        start.checked_add(size.checked_sub(1)?)?;
        return Some(Pointed::Stretch { space, start, size });
    }
    let address = number(rest)?;
    Some(match space {
        RegionSpace::Virtual => Pointed::Virtual(VirtAddr::new(address)),
        RegionSpace::Physical => Pointed::Physical(PhysAddr::new(address)),
    })
}

impl Serialize for Pointed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Pointed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Why what a lecturer added does not fit the recording.
pub(super) fn misfit(recording: &Recording) -> Option<String> {
    let moments = recording.steps.len() + 1;
    let too_many = |what: &str, count: usize| {
        (count > MAX_LECTURE_STEPS)
            .then(|| format!("it has {count} {what}; a file may have {MAX_LECTURE_STEPS}"))
    };
    let outside = |what: &str, place: usize, moment: usize| {
        let last = moments - 1;
        (moment >= moments).then(|| {
            format!("{what} {place} is about moment {moment}; the moments are 0 to {last}")
        })
    };
    let lecture: &Vec<LectureStep> = &recording.lecture;
    let long = |place: usize, step: &LectureStep| {
        let bytes = step.caption.len();
        (bytes > MAX_CAPTION_BYTES).then(|| {
            format!(
                "lecture step {place} has a caption of {bytes} bytes; there may be {MAX_CAPTION_BYTES}"
            )
        })
    };
    too_many("bookmarks", recording.bookmarks.len())
        .or_else(|| too_many("lecture steps", lecture.len()))
        .or_else(|| {
            let mut bookmarks = (1..).zip(&recording.bookmarks);
            bookmarks.find_map(|(place, bookmark)| outside("bookmark", place, bookmark.moment))
        })
        .or_else(|| {
            let mut steps = (1..).zip(lecture);
            steps.find_map(|(place, step)| {
                outside("lecture step", place, step.moment).or_else(|| long(place, step))
            })
        })
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn what_is_pointed_at_is_one_word() {
        for text in [
            "0x87ff3000",
            "0xffffffffffffffff",
            "p:0x87ff3000",
            "0x87ff3000+0x2000",
            "p:0x80000000+0x8000000",
            "L0 0x87ffe000",
            "L4 0x87ffe000[511]",
        ] {
            let pointed: Pointed = text.parse().expect(text);
            assert_eq!(pointed.to_string(), text);
        }
        for text in [
            "",
            "87ff3000",
            "0x",
            "p:",
            "kalloc",
            "0x1+0x0",
            "0xffffffffffffffff+0x2",
            "L9 0x87ffe000",
            "L0 0x87ffe001",
            "L0 0x87ffe000[",
            "L0 0x87ffe000[70000]",
            "L0 0xffffffffffffe000",
            "0x11112222333344445",
        ] {
            assert!(text.parse::<Pointed>().is_err(), "{text}");
        }
    }
}
