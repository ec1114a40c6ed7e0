//! Files of ours: read, written again, and everything that is computed or drawn from them.

use pagescope::export::svg::{Theme, layout_svg};
use pagescope::export::text;
use pagescope::model::{Difference, History, ReverseIndex, bands, check, frame_cells};
use pagescope_protocol::VirtAddr;
use pagescope_protocol::snapshot::Snapshot;
use pagescope_protocol::snapshot::text::{
    Document, from_text, recording_to_text, snapshot_to_text,
};

/// Spaces of one file that are drawn; a small file may hold many.
const SPACES: usize = 4;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match from_text(text) {
        Ok(Document::Snapshot(snapshot)) => {
            let written = snapshot_to_text(&snapshot);
            match from_text(&written) {
                Ok(Document::Snapshot(again)) => assert_eq!(again, snapshot, "{written}"),
                other => panic!("what was written is not read: {other:?}\n{written}"),
            }
            use_snapshot(&snapshot);
        }
        Ok(Document::Recording(recording)) => {
            let Ok(history) = History::from_recording(&recording) else {
                return;
            };
            let _ = recording_to_text(&recording);
            for moment in history.moments().iter().take(SPACES) {
                use_snapshot(&moment.snapshot);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn use_snapshot(snapshot: &Snapshot) {
    let nothing = Difference::between(snapshot, snapshot);
    let partition = bands::physical_bands(snapshot);
    let _ = frame_cells::frame_cells(&partition, &[], 0x80000..0x88000, 7);
    let _ = layout_svg(snapshot, None, &nothing, Theme::Light);
    for space in snapshot.spaces.iter().take(SPACES) {
        let _ = space.translate(VirtAddr::new(0x8020_0000));
        let _ = bands::virtual_bands(snapshot, space, &nothing);
        let _ = ReverseIndex::new(space);
        let report = check::check_space(snapshot, space);
        let _ = report.faults();
        let _ = text::layout_text(snapshot, Some(space));
        let _ = layout_svg(snapshot, Some(space), &nothing, Theme::Dark);
    }
}
