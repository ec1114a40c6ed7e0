//! What can be typed on: names that go on as the word does that is being typed.

use std::ops::Range;

use pagescope_protocol::snapshot::RegionSpace;

use super::{Scope, names};
use crate::model::size_text;

/// Most names that are offered at once.
const MOST: usize = 10;

/// A name that can be typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Completion {
    /// What is put into the text.
    pub insert: String,
    /// The name.
    pub name: String,
    /// `symbol`, `region`, `register`.
    pub what: &'static str,
    /// Its address or its meaning.
    pub value: String,
}

/// What can be typed on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Completions {
    /// What of the text it takes the place of, in bytes.
    pub replace: Range<usize>,
    /// The names, the likeliest first.
    pub items: Vec<Completion>,
}

/// What can stand at `cursor`, a place in `text` in bytes.
pub fn complete(text: &str, cursor: usize, scope: &Scope<'_>) -> Completions {
    let Some(before) = text.get(..cursor) else {
        return Completions::default();
    };
    let ends_word = |letter: char| "+*<>&|()[]".contains(letter);
    let start = before.rfind(ends_word).map_or(0, |at| at + 1);
    let mut start = start + before[start..].len() - before[start..].trim_start().len();
    if start == 0 && before.len() >= 2 && matches!(&before.as_bytes()[..2], b"p:" | b"v:") {
        start = 2;
    }
    // A name may have blanks in it: first all that stands there, then the last word alone.
    let last = before
        .rfind(|letter: char| !names::is_word(letter) && letter != ':')
        .map_or(0, |at| {
            at + before[at..].chars().next().map_or(1, char::len_utf8)
        });
    for start in [start, last.max(start)] {
        let word = &before[start..];
        if word.is_empty() {
            continue;
        }
        let items = matching(word, scope);
        let is_whole = matches!(items.as_slice(), [only] if only.insert == word);
        if !items.is_empty() && !is_whole {
            return Completions {
                replace: start..cursor,
                items,
            };
        }
    }
    Completions::default()
}

/// How well `name` goes on from `word`: lower is better.
fn rank(word: &str, name: &str) -> Option<u8> {
    let head = name.get(..word.len());
    if head == Some(word) {
        return Some(0);
    }
    if head.is_some_and(|head| head.eq_ignore_ascii_case(word)) {
        return Some(1);
    }
    if word.len() < 2 {
        return None;
    }
    let bytes = name.as_bytes().windows(word.len());
    let mut places = bytes
        .enumerate()
        .filter(|(_, part)| part.eq_ignore_ascii_case(word.as_bytes()))
        .map(|(at, _)| at);
    let first = places.next()?;
    let begins_part = |at: usize| at == 0 || !name.as_bytes()[at - 1].is_ascii_alphanumeric();
    Some(if begins_part(first) || places.any(begins_part) {
        2
    } else {
        3
    })
}

fn matching(word: &str, scope: &Scope<'_>) -> Vec<Completion> {
    let mut found: Vec<(u8, u8, usize, Completion)> = Vec::new();
    let mut offer = |order: u8, name: &str, what, value: &dyn Fn() -> String| {
        let Some(rank) = rank(word, name) else { return };
        // Kept short while it is made: a file may have a hundred thousand names.
        let worst = (found.len() >= 4 * MOST)
            .then(|| found.iter().map(|kept| (kept.0, kept.2)).max())
            .flatten();
        if worst.is_some_and(|worst| (rank, name.len()) >= worst) {
            return;
        }
        found.push((
            rank,
            order,
            name.len(),
            Completion {
                insert: quoted(name),
                name: name.to_owned(),
                what,
                value: value(),
            },
        ));
        if found.len() > 8 * MOST {
            found.sort_by_key(|kept| (kept.0, kept.2));
            found.truncate(4 * MOST);
        }
    };
    for region in names::regions(scope) {
        let which = match region.space {
            RegionSpace::Virtual => "",
            RegionSpace::Physical => "p:",
        };
        offer(0, &region.name, "region", &|| {
            format!("{which}{:#x}, {}", region.start, size_text(region.size))
        });
    }
    for device in scope.snapshot.physical.iter() {
        offer(0, &device.name, "memory", &|| {
            format!("p:{}, {}", device.start, size_text(device.size))
        });
    }
    for hart in &scope.snapshot.harts {
        let is_shown = hart.id == scope.hart;
        for register in &hart.registers {
            let value = || format!("{:#x}", register.value);
            if is_shown {
                offer(1, &register.name, "register", &value);
            }
            if word.starts_with("hart") {
                let name = format!("hart{}.{}", hart.id, register.name);
                offer(2, &name, "register", &value);
            }
        }
    }
    for (name, about) in names::WORDS {
        offer(1, name, "", &|| about.to_owned());
    }
    for (name, about) in names::FUNCTIONS {
        offer(3, &format!("{name}("), "function", &|| about.to_owned());
    }
    for symbol in scope.symbols_here() {
        offer(2, &symbol.name, "symbol", &|| {
            format!("{:#x}", symbol.address)
        });
    }
    found.sort_by(|a, b| (a.0, a.1, a.2, &a.3.name).cmp(&(b.0, b.1, b.2, &b.3.name)));
    found.dedup_by(|a, b| a.3.name == b.3.name);
    found.truncate(MOST);
    found.into_iter().map(|(.., item)| item).collect()
}

/// The name as it is typed: in quotes where it would not be read as one word.
fn quoted(name: &str) -> String {
    let is_word = name
        .strip_suffix('(')
        .unwrap_or(name)
        .chars()
        .all(|letter| names::is_word(letter) || letter == ':');
    match is_word {
        true => name.to_owned(),
        false => format!("\"{name}\""),
    }
}
