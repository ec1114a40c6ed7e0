//! Pictures of the window's views, drawn without a window: the same code that draws on the screen draws here.

use std::thread;
use std::time::Duration;

use egui::{Context, RawInput, Rect, Theme, UiBuilder, pos2, vec2};

use super::fonts::with_fonts;
use super::png::{PngError, SCALES, SIDE_LIMIT, png_from_svg};
use super::shapes::{Textures, remember_textures, svg_from_shapes};
use crate::views::state::State;
use crate::views::theme::{self, Palette};
use crate::views::{ViewPart, Views};

/// Most frames that are drawn until nothing moves any more: what is worked out beside the window takes a while.
const MOST_FRAMES: usize = 2000;

/// How long a view that is being worked out is waited for between frames.
const PAUSE: Duration = Duration::from_millis(5);

/// What picture is wanted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Picture {
    /// Of what.
    pub part: ViewPart,
    /// Dark colours instead of light ones.
    pub is_dark: bool,
    /// Its width and height.
    pub size: [u32; 2],
    /// How large everything in it is: 1 as in the window, 2 for the back row.
    pub scale: f32,
}

impl Default for Picture {
    /// The whole picture for a slide.
    fn default() -> Self {
        Self {
            part: ViewPart::Whole,
            is_dark: false,
            size: [1920, 1080],
            scale: 1.5,
        }
    }
}

/// The picture as SVG, with its typefaces in it.
///
/// # Errors
/// Where it would be too large, or have no pixels, or its scale is none of [`SCALES`].
pub fn view_svg(state: &State, picture: &Picture) -> Result<String, PngError> {
    drawn(state, picture).map(with_fonts)
}

/// The picture as SVG that names its typefaces.
fn drawn(state: &State, picture: &Picture) -> Result<String, PngError> {
    let [width, height] = picture.size;
    let fits = |side: u32| (1..=SIDE_LIMIT).contains(&side);
    if !fits(width) || !fits(height) {
        return Err(PngError::Size {
            width: width as f32,
            height: height as f32,
        });
    }
    // Not a number is in no range.
    if !SCALES.contains(&picture.scale) {
        return Err(PngError::Scale(picture.scale));
    }
    let size = vec2(width as f32, height as f32) / picture.scale;
    let theme = match picture.is_dark {
        true => Theme::Dark,
        false => Theme::Light,
    };
    let ctx = Context::default();
    theme::install(&ctx);
    ctx.set_theme(theme);
    let mut views = Views::default();
    let mut textures = Textures::new();
    let mut shapes = Vec::new();
    let mut settled = 0;
    for frame in 0..MOST_FRAMES {
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(pos2(0.0, 0.0), size)),
            time: Some(frame as f64),
            focused: false,
            ..RawInput::default()
        };
        let mut is_busy = false;
        let mut output = ctx.run_ui(input, |ui| {
            let page = ui.ctx().content_rect();
            let mut page = ui.new_child(UiBuilder::new().max_rect(page));
            is_busy = views.show_part(&mut page, state, picture.part);
        });
        remember_textures(&mut textures, &output.textures_delta);
        output.textures_delta.clear();
        shapes = std::mem::take(&mut output.shapes);
        // Once to measure, once with what was measured.
        settled = if is_busy { 0 } else { settled + 1 };
        if settled >= 3 {
            break;
        }
        if is_busy {
            thread::sleep(PAUSE);
        }
    }
    let background = Palette::for_theme(picture.is_dark).background;
    let title = format!("Pagescope – {}", state.title);
    Ok(svg_from_shapes(
        shapes,
        &textures,
        size,
        picture.size,
        background,
        &title,
    ))
}

/// The picture as PNG, of exactly its size.
///
/// # Errors
/// [`PngError`].
pub fn view_png(state: &State, picture: &Picture) -> Result<Vec<u8>, PngError> {
    png_from_svg(&drawn(state, picture)?, 1.0)
}
