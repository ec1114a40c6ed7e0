//! `pagescope snapshot`: everything that is known, as RON.

use std::sync::Arc;

use pagescope_protocol::snapshot::text::snapshot_to_text;

use super::arguments::Snapshot;
use super::source::{self, Place};
use super::{Answer, Failure, format};
use crate::export::file::write_atomically;
use crate::model::named;

pub(super) fn run(options: &Snapshot) -> Result<Answer, Failure> {
    let known = source::Known::of(&options.guest)?.with_lines();
    source::can_write(&options.out)?;
    let snapshot = match Place::chosen(&options.addr, &options.watch, &options.from)? {
        Place::Watch(_) if options.full => {
            return Err(Failure::Usage(
                "--full keeps what all pages hold at one moment: give the guest's gdb port as ADDR, which stops it meanwhile"
                    .into(),
            ));
        }
        Place::Live(live) if options.full => {
            let mut opened = source::open(live, known)?;
            let result = full(&mut opened);
            source::leave(opened);
            let snapshot = result.map_err(Failure::target)?;
            source::mention_changing(&snapshot);
            Arc::new(snapshot)
        }
        Place::File(_) if options.full => {
            return Err(Failure::Usage(
                "--full needs a live guest: a file has no more".into(),
            ));
        }
        place => source::one_moment(place, known)?,
    };
    write_atomically(&options.out, snapshot_to_text(&named(&snapshot)).as_bytes())
        .map_err(Failure::usage)?;
    format::write(&format!("wrote {}", options.out.display()));
    Ok(Answer::Yes)
}

/// A capture with the contents of the mapped frames, read before the guest may go on.
fn full(
    opened: &mut crate::session::Opened,
) -> Result<pagescope_protocol::snapshot::Snapshot, crate::link::LinkError> {
    let stop = opened.stop.clone();
    let target = opened.target.as_mut();
    let captured = opened.capturer.capture(target, stop)?;
    let (frames, mapped) = opened.capturer.contents(target, &captured)?;
    if frames.len() < mapped {
        format::tell(&format!(
            "kept the contents of {} of {mapped} mapped pages",
            frames.len()
        ));
    }
    Ok(pagescope_protocol::snapshot::Snapshot {
        frames: frames.into(),
        ..(*captured).clone()
    })
}
