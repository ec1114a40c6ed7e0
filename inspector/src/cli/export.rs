//! `pagescope export`: drawings of a snapshot.

use super::arguments::{Export, PictureTheme, PictureView};
use super::source::Place;
use super::{Answer, Failure, format, lecture, source};
use crate::export::file::write_atomically;
use crate::export::fonts::with_fonts;
use crate::export::png::png_from_svg;
use crate::export::svg::{Theme, layout_svg};
use crate::export::text::{Order, layout_text, schematic_text};
use crate::export::view::{Picture, view_png, view_svg};
use crate::model::History;
use crate::model::selection::newest;
use crate::session::Connection;
use crate::views::ViewPart;
use crate::views::state::State;

/// Pixels for each unit of the drawing: sharp on a projector.
const PNG_SCALE: f32 = 2.0;

pub(super) fn run(options: &Export) -> Result<Answer, Failure> {
    let known = source::Known::of(&options.guest)?;
    let history = match Place::file(&options.file, &options.from)? {
        Place::File(history) => history,
        dump => {
            let mut history = History::new();
            history.push(source::one_moment(dump, known)?);
            history
        }
    };
    if options.view.is_some() && !(options.kind.svg || options.kind.png) {
        return Err(Failure::Usage(
            "--view draws pictures: give --svg or --png with it".into(),
        ));
    }
    if options.kind.html {
        let title = options.file.file_name().unwrap_or_default();
        let title = title.to_string_lossy();
        return lecture::write_html(&history, &title, options.out.as_deref());
    }
    let moments = history.moments();
    let last = moments.len().saturating_sub(1);
    let chosen = options.moment.unwrap_or(last);
    let moment = moments.get(chosen).ok_or_else(|| {
        Failure::Usage(format!(
            "there is no moment {chosen}; the moments are 0 to {last}"
        ))
    })?;
    let snapshot = &moment.snapshot;
    source::mention_changing(snapshot);
    let space = match &options.space.space {
        Some(name) => Some(source::space_named(snapshot, name)?),
        None => snapshot.space_of_hart(options.space.hart),
    };
    let is_dark = options.dark || options.theme == Some(PictureTheme::Dark);
    let theme = if is_dark { Theme::Dark } else { Theme::Light };
    let svg = || layout_svg(snapshot, space, &moment.difference, theme);
    let bytes = if let Some(view) = options.view {
        let space = space.map(|space| space.name.clone());
        picture(options, view, is_dark, space, chosen, &history)?
    } else if options.schematic {
        let space = space.ok_or_else(|| {
            Failure::Usage("no address space is known: no hart's satp could be read".into())
        })?;
        let order = match options.high_first {
            true => Order::HighFirst,
            false => Order::LowFirst,
        };
        schematic_text(snapshot, space, order).into_bytes()
    } else if options.kind.text {
        layout_text(snapshot, space).into_bytes()
    } else if options.kind.svg {
        with_fonts(svg()).into_bytes()
    } else {
        png_from_svg(&svg(), PNG_SCALE).map_err(Failure::usage)?
    };
    match &options.out {
        Some(out) => {
            write_atomically(out, &bytes).map_err(Failure::usage)?;
            format::write(&format!("wrote {}", out.display()));
        }
        None if options.kind.png => {
            return Err(Failure::Usage(
                "name the file for the picture: -o picture.png".into(),
            ));
        }
        None => format::write(String::from_utf8_lossy(&bytes).trim_end()),
    }
    Ok(Answer::Yes)
}

/// A view as the window draws it.
fn picture(
    options: &Export,
    view: PictureView,
    is_dark: bool,
    space: Option<String>,
    moment: usize,
    history: &History,
) -> Result<Vec<u8>, Failure> {
    let usual = Picture::default();
    let picture = Picture {
        part: match view {
            PictureView::Whole => ViewPart::Whole,
            PictureView::Virtual => ViewPart::Virtual,
            PictureView::Tables => ViewPart::Tables,
            PictureView::Physical => ViewPart::Physical,
            PictureView::Frames => ViewPart::Frames,
            PictureView::Detail => ViewPart::Detail,
            PictureView::Timeline => ViewPart::Timeline,
        },
        is_dark,
        size: match &options.size {
            Some(text) => parse_size(text)?,
            None => usual.size,
        },
        scale: options.scale.unwrap_or(usual.scale),
    };
    let title = options.file.file_name();
    let title = title.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut state = State::new(title, history.clone(), Connection::None);
    state.history.seek(moment);
    state.space = space;
    let selected = options.select.as_ref();
    let selected = selected.and_then(|text| state.looked_up(text));
    let selected = selected
        .transpose()
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let found = state
        .moment()
        .map(|moment| newest(&moment.snapshot, &moment.difference));
    state.selection = selected.or(found).unwrap_or_default();
    match options.kind.png {
        true => view_png(&state, &picture),
        false => view_svg(&state, &picture).map(String::into_bytes),
    }
    .map_err(Failure::usage)
}

/// `1920x1080`.
fn parse_size(text: &str) -> Result<[u32; 2], Failure> {
    let wrong = || Failure::Usage(format!("{text:?} is no size: say it as 1920x1080"));
    let (width, height) = text.split_once(['x', 'X', '×']).ok_or_else(wrong)?;
    let side = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong());
    Ok([side(width)?, side(height)?])
}
