//! PNG from our SVG.
//!
//! The two typefaces of the drawings come with the program, so that a picture looks the same on
//! every machine; the system's are a fallback for letters that those two lack.

use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::{Database, Source};
use resvg::usvg::{self, Options, Tree};

/// The most pixels on a side: past any slide, and far from running out of memory.
pub const SIDE_LIMIT: u32 = 16_384;

/// How large everything in a picture of a view may be, compared with the window.
pub const SCALES: RangeInclusive<f32> = 0.25..=8.0;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// The drawing is not understood.
    #[error("this is not an SVG drawing: {0}")]
    Svg(#[from] usvg::Error),
    /// The picture would be too large, or have no pixels.
    #[error(
        "a picture of {width} × {height} pixels cannot be made; each side must have 1 to {SIDE_LIMIT}"
    )]
    Size {
        /// Wanted width.
        width: f32,
        /// Wanted height.
        height: f32,
    },
    /// What is drawn would be too small or too large in it.
    #[error(
        "nothing can be drawn {0} times as large as in the window: the scale is {least} to {most}",
        least = SCALES.start(),
        most = SCALES.end()
    )]
    Scale(f32),
    /// The pixels could not be packed.
    #[error("the picture could not be packed: {0}")]
    Encode(String),
}

fn fonts() -> Arc<Database> {
    static FONTS: OnceLock<Arc<Database>> = OnceLock::new();
    let load = || {
        let mut fonts = Database::new();
        for bytes in [
            include_bytes!("../../../assets/fonts/Inter-Regular.otf").as_slice(),
            include_bytes!("../../../assets/fonts/Inter-SemiBold.otf"),
            include_bytes!("../../../assets/fonts/JetBrainsMono-Regular.ttf"),
            include_bytes!("../../../assets/fonts/JetBrainsMono-Bold.ttf"),
        ] {
            fonts.load_font_source(Source::Binary(Arc::new(bytes)));
        }
        fonts.set_sans_serif_family("Inter");
        fonts.set_monospace_family("JetBrains Mono");
        fonts.load_system_fonts();
        Arc::new(fonts)
    };
    Arc::clone(FONTS.get_or_init(load))
}

/// The picture of `svg`, `scale` pixels for each of its units.
///
/// # Errors
/// [`PngError`], for text that is no SVG and for sizes that make no picture.
pub fn png_from_svg(svg: &str, scale: f32) -> Result<Vec<u8>, PngError> {
    let options = Options {
        font_family: "Inter".into(),
        fontdb: fonts(),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options)?;
    let [width, height] =
        [tree.size().width(), tree.size().height()].map(|side| (side * scale).ceil());
    let fits = |side: f32| side >= 1.0 && side <= SIDE_LIMIT as f32;
    let pixels = (fits(width) && fits(height))
        .then(|| Pixmap::new(width as u32, height as u32))
        .flatten();
    let Some(mut pixels) = pixels else {
        return Err(PngError::Size { width, height });
    };
    resvg::render(
        &tree,
        Transform::from_scale(scale, scale),
        &mut pixels.as_mut(),
    );
    pixels
        .encode_png()
        .map_err(|error| PngError::Encode(error.to_string()))
}
