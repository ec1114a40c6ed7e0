//! `pagescope export`: drawings of a snapshot.

use super::arguments::Export;
use super::source::Place;
use super::{Answer, Failure, format, source};
use crate::export::file::write_atomically;
use crate::export::png::png_from_svg;
use crate::export::svg::{Theme, layout_svg};
use crate::export::text::{Order, layout_text, schematic_text};
use crate::model::History;

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
    let theme = if options.dark {
        Theme::Dark
    } else {
        Theme::Light
    };
    let svg = || layout_svg(snapshot, space, &moment.difference, theme);
    let bytes = if options.schematic {
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
        svg().into_bytes()
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
