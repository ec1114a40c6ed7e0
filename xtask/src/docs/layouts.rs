//! `docs/layouts.md`: the four layouts as the inspector draws them from live guests.
//!
//! The drawings are schematic: names, order, permissions and leaf sizes, and no address that depends on
//! the compiler. So they are the same everywhere, and CI compares them.

use super::document::{Document, verbatim};
use super::{folder, pagescope, said, text};
use crate::failure::Failure;

const DOCUMENT: &str = "docs/layouts.md";

/// A drawing: the layout, the address space that is drawn, and whether its document has the highest address
/// at the top.
const DRAWINGS: [(&str, &str, bool); 4] = [
    ("pseudos", "kernel", false),
    ("hypervisor", "hart 0", false),
    ("process", "process 2", true),
    ("nanos", "kernel", true),
];

/// The document as it should be.
fn drawn() -> Result<(Document, Document), Failure> {
    let stands = Document::read(DOCUMENT)?;
    let mut document = stands.clone();
    for (layout, space, is_high_first) in DRAWINGS {
        let out = folder()?.join(layout);
        pagescope(&["demo", "--headless", "--steps", "0", "--layout", layout])
            .args(["--out".to_owned(), text(&out)])
            .run()?;
        let export = pagescope(&["export"])
            .args([text(&out.join("snapshot.ron"))])
            .args(["--text", "--schematic", "--space"])
            .args([space.to_owned()])
            .args(is_high_first.then_some("--high-first"));
        document.replace(&format!("layout {layout}"), &verbatim(&said(&export)?))?;
    }
    Ok((stands, document))
}

/// Writes the document again.
pub(super) fn draw() -> Result<(), Failure> {
    drawn()?.1.write()?;
    eprintln!("wrote {DOCUMENT}");
    Ok(())
}

/// Says where the document is out of date.
pub(super) fn check() -> Result<(), Failure> {
    let (stands, drawn) = drawn()?;
    let pairs = stands.text().lines().zip(drawn.text().lines());
    let first = pairs.enumerate().find(|(_, (old, new))| old != new);
    match first {
        _ if stands == drawn => {
            eprintln!("{DOCUMENT} is up to date");
            Ok(())
        }
        Some((number, (old, new))) => Err(Failure::new(format!(
            "{DOCUMENT} is out of date from line {} on:\n  it says  {old}\n  now it is {new}",
            number + 1
        ))
        .remedy("Look whether that is meant, and then: cargo xtask docs")),
        None => Err(
            Failure::new(format!("{DOCUMENT} is out of date at its end"))
                .remedy("Look whether that is meant, and then: cargo xtask docs"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document has a place for everything that is drawn.
    #[test]
    fn the_document_has_all_markers() {
        let mut document = Document::read(DOCUMENT).unwrap();
        for (layout, ..) in DRAWINGS {
            assert!(document.replace(&format!("layout {layout}"), "").is_ok());
        }
    }
}
