//! Drawings carry the typefaces that they name: of each the letters that the drawing has, so that it looks the same on a
//! machine that lacks them, and its text is still text, to be selected and searched for.
//!
//! Browsers read such fonts. Programs that do not (Inkscape) take the system's where it has ours, else another one; each
//! line keeps the width that it was laid out with.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use allsorts::binary::read::ReadScope;
use allsorts::font::MatchingPresentation;
use allsorts::font_data::FontData;
use allsorts::subset::{CmapTarget, SubsetProfile, subset};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A typeface as drawings name it.
struct Face {
    family: &'static str,
    weight: u16,
    format: &'static str,
    /// The drawing has text in it where it has this.
    sign: &'static str,
    bytes: &'static [u8],
}

const FACES: [Face; 4] = [
    Face {
        family: "Inter",
        weight: 400,
        format: "opentype",
        sign: "<text",
        bytes: include_bytes!("../../../assets/fonts/Inter-Regular.otf"),
    },
    Face {
        family: "Inter",
        weight: 600,
        format: "opentype",
        sign: r#"font-weight="600""#,
        bytes: include_bytes!("../../../assets/fonts/Inter-SemiBold.otf"),
    },
    Face {
        family: "JetBrains Mono",
        weight: 400,
        format: "truetype",
        sign: "JetBrains Mono",
        bytes: include_bytes!("../../../assets/fonts/JetBrainsMono-Regular.ttf"),
    },
    Face {
        family: "JetBrains Mono",
        weight: 700,
        format: "truetype",
        sign: r#"font-weight="700""#,
        bytes: include_bytes!("../../../assets/fonts/JetBrainsMono-Bold.ttf"),
    },
];

/// `svg` with the typefaces in it.
pub fn with_fonts(mut svg: String) -> String {
    let style = format!("<style>{}</style>\n", font_faces(&svg));
    // After the title, which stands first in a drawing.
    let at = match svg.find("</title>") {
        Some(at) => at + "</title>".len(),
        None => match svg.find('>') {
            Some(at) => at + 1,
            None => return svg,
        },
    };
    svg.insert_str(at, &style);
    svg
}

/// The `@font-face` rules of what `document` has text in.
pub(super) fn font_faces(document: &str) -> String {
    let letters: BTreeSet<char> = document.chars().filter(|one| !one.is_control()).collect();
    let mut rules = String::new();
    for face in FACES.iter().filter(|face| document.contains(face.sign)) {
        let Some(bytes) = letters_of(face.bytes, &letters) else {
            continue;
        };
        // Writing to a String cannot fail.
        let _ = write!(
            rules,
            "@font-face{{font-family:'{}';font-weight:{};src:url(data:font/{};base64,{}) format('{}')}}",
            face.family,
            face.weight,
            if face.format == "opentype" {
                "otf"
            } else {
                "ttf"
            },
            STANDARD.encode(bytes),
            face.format,
        );
    }
    rules
}

/// `font` with these letters alone, as far as it has them; `None` where it is no font.
fn letters_of(font: &[u8], letters: &BTreeSet<char>) -> Option<Vec<u8>> {
    let data = ReadScope::new(font).read::<FontData<'_>>().ok()?;
    let provider = data.table_provider(0).ok()?;
    let mut font = allsorts::Font::new(provider).ok()?;
    // The first glyph is the one for what is missing, and has to be there.
    let mut glyphs = BTreeSet::from([0]);
    for letter in letters {
        let (glyph, _) = font.lookup_glyph_index(*letter, MatchingPresentation::NotRequired, None);
        glyphs.insert(glyph);
    }
    let glyphs: Vec<u16> = glyphs.into_iter().collect();
    let provider = data.table_provider(0).ok()?;
    subset(
        &provider,
        &glyphs,
        &SubsetProfile::Minimal,
        CmapTarget::Unicode,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_typeface_keeps_the_letters_that_are_asked_for_and_no_more() {
        let letters: BTreeSet<char> = "Aé0→…".chars().collect();
        for face in &FACES {
            let small = letters_of(face.bytes, &letters).expect("it is a font");
            // Inter's outlines share parts, which stay.
            assert!(small.len() < 30_000, "{}: {}", face.family, small.len());
            let data = ReadScope::new(&small)
                .read::<FontData<'_>>()
                .expect("a font");
            let provider = data.table_provider(0).expect("its tables");
            let mut font = allsorts::Font::new(provider).expect("a font");
            let mut has = |letter: char| {
                font.lookup_glyph_index(letter, MatchingPresentation::NotRequired, None)
                    .0
                    != 0
            };
            assert!(
                has('A') && has('é') && has('0') && has('→'),
                "{}",
                face.family
            );
            assert!(!has('B'), "{}", face.family);
        }
        assert_eq!(letters_of(b"no font", &letters), None);
    }

    #[test]
    fn a_drawing_carries_what_it_names() {
        let plain = "<svg><title>t</title><text>words</text></svg>";
        let drawn = with_fonts(plain.into());
        assert_eq!(drawn.matches("@font-face").count(), 1);
        assert!(drawn.starts_with("<svg><title>t</title><style>@font-face{font-family:'Inter'"));
        let bold = r#"<svg><text font-weight="700" font-family="'JetBrains Mono'">1</text></svg>"#;
        assert_eq!(with_fonts(bold.into()).matches("@font-face").count(), 3);
        assert_eq!(with_fonts(String::new()), "");
    }
}
