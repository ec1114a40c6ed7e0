//! Finding by a part of a name: no order of the words, and letters may be left out.

use super::Entry;

/// From this score on the title is, or begins with, what was typed.
pub(super) const IS_NAME: u32 = 90;

/// The entries that fit `query`, best first; with nothing typed all, as they are.
pub(super) fn best(query: &str, entries: Vec<Entry>) -> Vec<(u32, Entry)> {
    let query = query.trim().to_lowercase();
    if query.is_empty() {
        return entries.into_iter().map(|entry| (0, entry)).collect();
    }
    let scored = entries.into_iter().filter_map(|entry| {
        let score = score(
            &query,
            &entry.title.to_lowercase(),
            &entry.about.to_lowercase(),
        )?;
        // What cannot be done now stands behind what can.
        let score = match entry.why_not {
            Some(_) => score / 2,
            None => score,
        };
        Some((score, entry))
    });
    let mut scored: Vec<(u32, Entry)> = scored.collect();
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    scored
}

/// How well an entry fits: each word typed must be somewhere. All in small letters.
fn score(query: &str, title: &str, about: &str) -> Option<u32> {
    if title == query {
        return Some(100);
    }
    if title.starts_with(query) {
        return Some(95);
    }
    let mut worst = 90;
    for word in query.split_whitespace() {
        worst = worst.min(word_score(word, title, about)?);
    }
    // Of two that fit alike the shorter one is meant.
    Some(worst - (title.len() as u32 / 8).min(9).min(worst))
}

fn word_score(word: &str, title: &str, about: &str) -> Option<u32> {
    if let Some(begins_word) = contains(word, title) {
        return Some(if begins_word { 85 } else { 70 });
    }
    if let Some(begins_word) = contains(word, about) {
        return Some(if begins_word { 45 } else { 25 });
    }
    is_scattered(word, title).then_some(35)
}

/// Whether `text` has `word` in it: `Some(true)` where it begins a word there.
fn contains(word: &str, text: &str) -> Option<bool> {
    let mut places = text.match_indices(word).map(|(at, _)| at).peekable();
    places.peek()?;
    Some(places.any(|at| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(char::is_alphanumeric)
    }))
}

/// Whether the letters of `word` come in `text` in this order, the first one at the beginning of a word.
fn is_scattered(word: &str, text: &str) -> bool {
    let Some(first) = word.chars().next() else {
        return true;
    };
    let starts = text.match_indices(first).map(|(at, _)| at).filter(|at| {
        let before = text[..*at].chars().next_back();
        !before.is_some_and(char::is_alphanumeric)
    });
    let mut starts = starts;
    starts.any(|at| {
        let mut rest = text[at..].chars();
        word.chars().all(|letter| rest.any(|other| other == letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_fit_comes_first() {
        let title = |query| score(query, "save recording…", "save all moments as a recording.");
        assert!(title("save") > title("rec"));
        assert!(title("rec") > title("moments"));
        assert!(title("moments") > title("svrc"));
        assert!(title("recording save").is_some());
        assert_eq!(title("xyz"), None);
        assert_eq!(title("save xyz"), None);
        assert_eq!(score("pause", "pause", ""), Some(100));
        assert!(score("é", "éa", "").is_some());
    }
}
