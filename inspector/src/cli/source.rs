//! Where a command reads from: a live guest, or a file of one.

mod files;
mod known;
mod place;
mod spaces;
mod words;

use std::sync::Arc;

use pagescope_protocol::snapshot::Snapshot;

use super::{Failure, format, interrupt};
use crate::guest::ElfError;
use crate::link::LinkError;
use crate::session::{OpenError, Opened, Source};

pub(super) use files::{can_write, history, last_moment};
pub(super) use known::Known;
pub(super) use place::{Place, is_file, live, needs_monitor, port, watch};
pub(super) use spaces::{space_chosen, space_named, space_of};
pub(super) use words::parse_address;

/// Attaches, or opens a dump, for one command.
pub(super) fn open(source: Source, known: Known) -> Result<Opened, Failure> {
    open_source(&known.with_source(source))
}

/// Opens any source, for one command.
pub(super) fn open_source(source: &Source) -> Result<Opened, Failure> {
    let cancel = interrupt::cancel();
    // A dump is a file, and stays what it is.
    interrupt::holds_guest(!matches!(source, Source::Dump { .. }));
    let opened = source.open(&cancel).map_err(|error| match error {
        _ if cancel.is_cancelled() => Failure::Cancelled,
        OpenError::Elf(error @ ElfError::NotElf { .. }) => Failure::usage(error),
        // A file that is of no use.
        OpenError::Link(error @ LinkError::Dump { .. }) => Failure::usage(error),
        other => Failure::target(other),
    })?;
    if let Some(why) = opened.capturer.knowledge().doubt() {
        format::tell(&why);
    }
    let xlen_bits = opened.target.facts().xlen_bits;
    let roots = &opened.capturer.knowledge().options.roots;
    let modes = roots.iter().filter_map(|(mode, _)| *mode);
    let other = { modes }.find(|mode| (mode.entry_bytes() == 4) != (xlen_bits == 32));
    if let Some(mode) = other {
        leave(opened);
        return Err(Failure::Usage(format!(
            "this machine has {xlen_bits} bits, and {mode} is not among its modes: {}",
            match xlen_bits {
                32 => "it has Sv32",
                _ => "it has Sv39, Sv48 and Sv57",
            }
        )));
    }
    Ok(opened)
}

/// Leaves the guest as it was found. A command's answer does not depend on how that went, but the
/// user must know.
pub(super) fn leave(opened: Opened) {
    let Opened {
        target, guest, eye, ..
    } = opened;
    drop(eye);
    if let Err(error) = target.detach() {
        format::tell(&format!("the guest may not be as it was found: {error}"));
    }
    drop(guest);
    interrupt::holds_guest(false);
}

/// One moment of a guest or a file. What is not whole in it is said at once, whatever the answer's format.
pub(super) fn one_moment(place: Place, known: Known) -> Result<Arc<Snapshot>, Failure> {
    let snapshot = match place {
        Place::File(_) if known.options.load_offset.is_some() => {
            return Err(Failure::Usage(
                "--load-offset is for guests and dumps: a snapshot says itself where its names are"
                    .into(),
            ));
        }
        Place::File(history) => {
            let last = history
                .moments()
                .last()
                .map(|moment| Arc::clone(&moment.snapshot));
            last.ok_or_else(|| Failure::Usage("the file holds no moment".into()))
        }
        Place::Live(live) => captured(open(live, known)?),
        Place::Watch(watch) => captured(open_source(&known.look_on(watch))?),
    }?;
    mention_changing(&snapshot);
    Ok(snapshot)
}

/// One moment of a guest, which is left afterwards.
fn captured(mut opened: Opened) -> Result<Arc<Snapshot>, Failure> {
    let snapshot = capture(&mut opened);
    leave(opened);
    let snapshot = snapshot?;
    for warning in &snapshot.warnings {
        format::tell(warning);
    }
    Ok(snapshot)
}

/// One moment of a guest, whether it runs or stands still.
pub(super) fn capture(opened: &mut Opened) -> Result<Arc<Snapshot>, Failure> {
    if let Some(looked) = opened.look(&interrupt::cancel()).map_err(Failure::target)? {
        return Ok(looked);
    }
    let stop = opened.stop.clone();
    let target = opened.target.as_mut();
    opened
        .capturer
        .capture(target, stop)
        .map_err(Failure::target)
}

/// Says where the kernel was changing what it says of regions and spaces.
pub(super) fn mention_changing(snapshot: &Snapshot) {
    let changing = snapshot.kernel.as_ref().map_or(0, |kernel| kernel.changing);
    if let Some(unsettled) = snapshot.taken.unsettled() {
        format::tell(&format!(
            "taken while the guest ran, and did not settle: {unsettled}; what is said of that may be \
             half old and half new"
        ));
    } else if changing > 0 {
        format::tell(
            "the kernel was changing its regions or spaces at this moment; \
             some may be half changed",
        );
    }
}
