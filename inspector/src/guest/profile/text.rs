//! A profile's text: read, checked, and its errors in words.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use ron::extensions::Extensions;
use thiserror::Error;

use super::Profile;

/// Largest file, in bytes.
const MAX_BYTES: u64 = 256 << 10;

/// Deepest nesting of brackets.
const MAX_DEPTH: usize = 32;

/// Why a profile is of no use.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ProfileError {
    /// The file cannot be read.
    #[error("cannot read the profile {path}: {why}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// What is in it is no profile.
    #[error("{path}:{line}:{column}: {what}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 where it is about all of it.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong, and what to write instead.
        what: String,
    },
    /// No built-in profile has this name, and there is no such file.
    #[error("there is no profile {name:?}: neither a file, nor one of {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The built-in ones.
        known: String,
    },
}

/// Reads the file at `path`.
///
/// # Errors
/// [`ProfileError`], which names file, line, field and remedy.
pub fn open(path: &Path) -> Result<Profile, ProfileError> {
    let unreadable = |why: String| ProfileError::Unreadable {
        path: path.into(),
        why,
    };
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut bytes = Vec::new();
    // A pipe or a device has no length to ask for.
    let mut some = file.take(MAX_BYTES + 1);
    some.read_to_end(&mut bytes)
        .map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(unreadable(format!(
            "it has more than {MAX_BYTES} bytes; that is no profile"
        )));
    }
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is no text".into()))?;
    read(path, &text)
}

/// Reads `text`, which is said to come from `path`.
///
/// # Errors
/// [`ProfileError::Wrong`].
pub fn read(path: &Path, text: &str) -> Result<Profile, ProfileError> {
    let options = ron::Options::default()
        .with_default_extension(Extensions::IMPLICIT_SOME)
        .with_recursion_limit(MAX_DEPTH);
    let profile: Profile = options.from_str(text).map_err(|error| {
        let at = error.span.start;
        ProfileError::Wrong {
            path: path.into(),
            line: at.line,
            column: at.col,
            what: words(&error.code),
        }
    })?;
    match profile.contradiction() {
        None => Ok(profile),
        Some(what) => Err(ProfileError::Wrong {
            path: path.into(),
            line: line_of(text, &what),
            column: 1,
            what,
        }),
    }
}

/// The line in which the field that `what` names first begins one.
fn line_of(text: &str, what: &str) -> usize {
    let name = what.split('`').nth(1).unwrap_or_default();
    let is_it = |line: &str| {
        let after = line.trim_start().strip_prefix(name);
        after.is_some_and(|after| after.trim_start().starts_with(':'))
    };
    text.lines().position(is_it).map_or(1, |line| line + 1)
}

/// What is wrong, in words; of a field that nobody knows the one that may be meant.
fn words(error: &ron::Error) -> String {
    match error {
        ron::Error::NoSuchStructField {
            expected, found, ..
        } => {
            let hint = match alike(found, expected) {
                Some(name) => format!("write `{name}`"),
                None => format!("the fields are: {}", expected.join(", ")),
            };
            format!("there is no field `{found}` here; {hint}")
        }
        ron::Error::NoSuchEnumVariant {
            expected, found, ..
        } => {
            let hint = match alike(found, expected) {
                Some(name) => format!("write {name}"),
                None => format!("write one of: {}", expected.join(", ")),
            };
            format!("there is no {found} here; {hint}")
        }
        ron::Error::MissingStructField { field, .. } => {
            format!("the field `{field}` is missing; see assets/profiles/README.md")
        }
        ron::Error::DuplicateStructField { field, .. } => {
            format!("the field `{field}` stands here twice; leave one out")
        }
        ron::Error::ExceededRecursionLimit => {
            format!("brackets are nested more than {MAX_DEPTH} deep; no profile needs that")
        }
        other => other.to_string(),
    }
}

/// The name that is most like `found`, where one is.
fn alike<'a>(found: &str, names: &[&'a str]) -> Option<&'a str> {
    let all = names.iter().map(|name| (distance(found, name), *name));
    let (distance, name) = all.min()?;
    (distance * 2 <= found.len().min(24)).then_some(name)
}

/// How many letters differ (Levenshtein); only the first 40 of each count.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(40).collect();
    let b: Vec<char> = b.chars().take(40).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = before + usize::from(left != right);
            before = row[j + 1];
            row[j + 1] = replaced.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"(
    profile: 1,
    name: "small",
    recognise: (symbols: ["proc", "kalloc"]),
    processes: (
        struct: "proc",
        place: Array(start: "proc", count: 64, stride: 360),
        page_table: (path: "pagetable", offsets: [80]),
    ),
)"#;

    fn wrong(text: &str) -> (usize, String) {
        match read(Path::new("p.ron"), text) {
            Err(ProfileError::Wrong { line, what, .. }) => (line, what),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_small_profile_is_read() {
        let profile = read(Path::new("p.ron"), SMALL).expect("a profile");
        assert_eq!(&*profile.name, "small");
        assert_eq!(profile.recognise.symbols.len(), 2);
    }

    #[test]
    fn errors_name_line_field_and_remedy() {
        for (from, to, line, words) in [
            (
                "stride",
                "strid",
                7,
                "there is no field `strid` here; write `stride`",
            ),
            (
                "profile: 1",
                "profile: 2",
                2,
                "this program reads version 1",
            ),
            ("count: 64", "count: 0", 7, "write 1 to 65536"),
            (
                "offsets: [80]",
                "offsets: [80, 8]",
                8,
                "`page_table` has 2 offsets",
            ),
            (
                "offsets: [80]",
                "offsets: [8000000]",
                8,
                "no struct has a member so far in",
            ),
            ("Array", "Arry", 7, "write Array"),
            (
                "    name: \"small\",\n",
                "",
                9,
                "the field `name` is missing",
            ),
            ("\"pagetable\"", "\"page table\"", 8, "is no path"),
            (
                "(symbols: [\"proc\", \"kalloc\"])",
                "()",
                4,
                "names neither",
            ),
            ("name: \"small\"", "name: \"\"", 3, "an empty name"),
        ] {
            assert!(SMALL.contains(from), "{from}");
            let (at, what) = wrong(&SMALL.replacen(from, to, 1));
            assert!(what.contains(words), "{from} → {to}: {what}");
            assert_eq!(at, line, "{from} → {to}: {what}");
        }
    }

    #[test]
    fn hostile_texts_are_refused() {
        let deep = format!("{}{}", "(profile:".repeat(10_000), ")".repeat(10_000));
        wrong(&deep);
        let many = vec!["\"a\""; 100_000].join(",");
        let (_, what) = wrong(&SMALL.replace("\"proc\", \"kalloc\"", &many));
        assert!(what.contains("at most 256"), "{what}");
        wrong("");
        wrong("(((((");
    }
}
