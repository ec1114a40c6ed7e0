//! A table's entries, or a frame's 512 words, packed for a file.
//!
//! Zero words are left out. A run of words that rise by a constant stands once:
//!
//! ```text
//! 2=0x21fff401  508-511=0x21fff0c7+0x400
//! ```
//!
//! says that word 2 is 0x21fff401, and that words 508 to 511 are 0x21fff0c7, 0x21fff4c7, …
//! Where there are not 512 of them, the text begins with how many there are: `of 1024: 2=0x21fff401`.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use core::fmt::{self, Write as _};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use super::hex;
use crate::level::ENTRIES_PER_TABLE;

/// The most entries that a table has: the root of Sv32x4.
const MOST_ENTRIES: usize = 4096;

/// A table's entries, or a frame's words. Clones share them.
#[derive(Clone, PartialEq, Eq)]
pub struct TableEntries(Arc<[u64]>);

/// Why a packed text is not understood.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum UnpackError {
    /// A token is not of the form `first-last=word+step`.
    #[error("{0:?} is not of the form 508-511=0x21fff0c7+0x400")]
    Token(String),
    /// A place past the last, or runs out of order.
    #[error("the entries of {0:?} are out of order or past {1}")]
    Order(String, usize),
    /// How many there are is no table's number of entries.
    #[error("no table has {0:?} entries: 512, 1024, 2048 or 4096")]
    Length(String),
}

impl TableEntries {
    /// These entries, which are shared and not copied.
    pub fn new(entries: impl Into<Arc<[u64]>>) -> Self {
        Self(entries.into())
    }

    /// The entries.
    pub fn words(&self) -> &[u64] {
        &self.0
    }

    /// The entries, to be shared.
    pub const fn shared(&self) -> &Arc<[u64]> {
        &self.0
    }

    /// The packed text.
    pub fn pack(&self) -> String {
        let mut text = String::new();
        if self.0.len() != ENTRIES_PER_TABLE {
            text = format!("of {}:", self.0.len());
        }
        let mut index = 0;
        while index < self.0.len() {
            let first = self.0[index];
            if first == 0 {
                index += 1;
                continue;
            }
            let step = self
                .0
                .get(index + 1)
                .map_or(0, |next| next.wrapping_sub(first));
            let goes_on = |last: &usize| {
                self.0.get(last + 1) == Some(&self.0[*last].wrapping_add(step))
                    && self.0[last + 1] != 0
            };
            let mut last = index;
            while goes_on(&last) {
                last += 1;
            }
            if !text.is_empty() {
                text.push(' ');
            }
            // Writing to a String cannot fail.
            let _ = match last - index {
                0 => write!(text, "{index}={first:#x}"),
                _ if step == 0 => write!(text, "{index}-{last}={first:#x}"),
                _ => write!(text, "{index}-{last}={first:#x}+{step:#x}"),
            };
            index = last + 1;
        }
        text
    }

    /// The words that `text` packs.
    ///
    /// # Errors
    /// [`UnpackError`] with the token that is not understood.
    pub fn unpack(text: &str) -> Result<Self, UnpackError> {
        let (length, text) = match text.trim_start().strip_prefix("of ") {
            Some(rest) => {
                let (length, runs) = rest.split_once(':').unwrap_or((rest, ""));
                (table_length(length)?, runs)
            }
            None => (ENTRIES_PER_TABLE, text),
        };
        let mut words = vec![0; length];
        let mut free_from = 0;
        for token in text.split_ascii_whitespace() {
            let run = parse_token(token).ok_or_else(|| UnpackError::Token(token.into()))?;
            if run.first < free_from || run.last < run.first || run.last >= length {
                return Err(UnpackError::Order(token.into(), length - 1));
            }
            let mut word = run.word;
            for place in &mut words[run.first..=run.last] {
                *place = word;
                word = word.wrapping_add(run.step);
            }
            free_from = run.last + 1;
        }
        Ok(Self(words.into()))
    }
}

fn table_length(text: &str) -> Result<usize, UnpackError> {
    let is_length = |length: &usize| {
        length.is_power_of_two() && (ENTRIES_PER_TABLE..=MOST_ENTRIES).contains(length)
    };
    let length = text.trim().parse().ok().filter(is_length);
    length.ok_or_else(|| UnpackError::Length(text.into()))
}

struct Run {
    first: usize,
    last: usize,
    word: u64,
    step: u64,
}

fn parse_token(token: &str) -> Option<Run> {
    let (places, value) = token.split_once('=')?;
    let (first, last) = places.split_once('-').unwrap_or((places, places));
    let place = |text: &str| {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    let (word, step) = value.split_once('+').unwrap_or((value, "0"));
    Some(Run {
        first: place(first)?,
        last: place(last)?,
        word: hex::parse(word)?,
        step: hex::parse(step)?,
    })
}

impl fmt::Debug for TableEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableEntries({:?})", self.pack())
    }
}

impl Serialize for TableEntries {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.pack())
    }
}

impl<'de> Deserialize<'de> for TableEntries {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::unpack(&text).map_err(|error| de::Error::custom(format!("{error}")))
    }
}
