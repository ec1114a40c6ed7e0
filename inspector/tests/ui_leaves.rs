//! Superpages in the maps, folded cards of tables, and ribbons through a guest's two stages.

mod ui_support;

use pagescope::model::fixture;
use pagescope::views::camera::CameraStep;
use pagescope::views::{LookCommand, UiCommand};
use pagescope_protocol::TranslationMode;
use ui_support::painted::texts;
use ui_support::{SIZE, ask, go_to, moment};

#[test]
fn a_superpage_zoomed_in_is_one_leaf_with_its_level_and_frames() {
    let mut window = moment(fixture::in_mode(TranslationMode::Sv39), SIZE);
    go_to(&mut window, "0xffffffc000012000");
    let zoom = LookCommand::Camera(CameraStep::ToSelection);
    ask(&mut window, UiCommand::Look(zoom));
    let texts = texts(&window);
    let has = |wanted: &str| texts.iter().any(|words| words == wanted);
    assert!(has("2 MiB page (L1)"), "{texts:#?}");
    assert!(has("frames 0x80200–0x803ff"), "{texts:#?}");
    // The next one is another leaf.
    assert!(has("frames 0x80400–0x805ff"), "{texts:#?}");
    // No line says that one of its frames is a leaf.
    assert!(!has("→ 0x80213000"), "{texts:#?}");
}
