//! A document with parts that are made: they stand between markers.
//!
//! ```text
//!  <!-- begin check pool -->
//!  …
//!  <!-- end -->
//! ```

use std::fs;

use crate::command::root;
use crate::failure::Failure;

/// A document, by its path from the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    path: &'static str,
    text: String,
}

impl Document {
    /// Reads it.
    pub(super) fn read(path: &'static str) -> Result<Self, Failure> {
        let text = fs::read_to_string(root().join(path))
            .map_err(|error| Failure::new(format!("{path}: {error}")))?;
        Ok(Self { path, text })
    }

    /// Replaces what lies between the markers of `name`.
    pub(super) fn replace(&mut self, name: &str, by: &str) -> Result<(), Failure> {
        self.text = replaced(&self.text, name, by).ok_or_else(|| {
            Failure::new(format!(
                "{} has no `{}` with an `{END}` after it",
                self.path,
                begin(name)
            ))
        })?;
        Ok(())
    }

    /// Its text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Writes it back.
    pub(super) fn write(&self) -> Result<(), Failure> {
        fs::write(root().join(self.path), &self.text)
            .map_err(|error| Failure::new(format!("{}: {error}", self.path)))
    }
}

const END: &str = "<!-- end -->";

fn begin(name: &str) -> String {
    format!("<!-- begin {name} -->")
}

/// `text` with what lies between the markers of `name` replaced; `None` without such markers.
fn replaced(text: &str, name: &str, by: &str) -> Option<String> {
    let begin = begin(name);
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}\n{by}\n{END}{after}"))
}

/// A block of text as it stands in a document.
pub(super) fn verbatim(text: &str) -> String {
    format!("```text\n{}\n```", text.trim_matches('\n').trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_the_markers_is_replaced() {
        let document = "a\n<!-- begin x -->\nold\n<!-- end -->\nb <!-- end -->";
        let new = replaced(document, "x", "new").unwrap();
        assert_eq!(
            new,
            "a\n<!-- begin x -->\nnew\n<!-- end -->\nb <!-- end -->"
        );
        assert_eq!(replaced(&new, "x", "new"), Some(new.clone()));
        assert_eq!(replaced(document, "y", "new"), None);
    }
}
