//! Superpages in the maps, folded cards of tables, and ribbons through a guest's two stages.

mod ui_support;

use egui_kittest::kittest::Queryable as _;
use pagescope::model::fixture;
use pagescope::views::camera::CameraStep;
use pagescope::views::{LookCommand, UiCommand};
use pagescope_protocol::TranslationMode;
use ui_support::painted::texts;
use ui_support::{SIZE, Window, ask, go_to, moment, recording};

#[test]
fn a_superpage_zoomed_in_is_one_leaf_with_its_level_and_frames() {
    let mut window = moment(fixture::in_mode(TranslationMode::Sv39), SIZE);
    go_to(&mut window, "0xffffffc000012000");
    let zoom = LookCommand::Camera(CameraStep::ToSelection);
    ask(&mut window, UiCommand::Look(zoom));
    let texts = texts(&window);
    let has = |wanted: &str| texts.iter().any(|words| words.ends_with(wanted));
    assert!(has("2 MiB page (L1)"), "{texts:#?}");
    assert!(has("0x80200–0x803ff"), "{texts:#?}");
    // The next one is another leaf.
    assert!(has("0x80400–0x805ff"), "{texts:#?}");
    // No line says that one of its frames is a leaf.
    assert!(!has("→ 0x80213000"), "{texts:#?}");
}

#[test]
fn runs_of_entries_alike_are_folded_and_a_press_opens_them() {
    let mut window = recording(fixture::history(4), SIZE);
    let folded = |window: &Window| -> Vec<String> {
        let nodes = window.get_all_by_label_contains("Entries ");
        let labels =
            nodes.filter_map(|node| Some(format!("{node:?}").split('"').nth(1)?.to_owned()));
        labels.filter(|label| label.contains(" to ")).collect()
    };
    let before = folded(&window);
    // The root: entry 2 leads on, and nearly all others are empty.
    let root = before.iter().find(|label| label.ends_with("empty"));
    let root = root.expect("something is folded").clone();
    let words = root.rsplit(": ").next().expect("words").to_owned();
    assert!(texts(&window).contains(&words), "{words}");
    press_first(&mut window, &root);
    assert_eq!(folded(&window).len(), before.len() - 1);
    // All of it is folded again.
    ask(
        &mut window,
        UiCommand::Look(LookCommand::Camera(CameraStep::Fit)),
    );
    assert_eq!(folded(&window), before);
}

fn press_first(window: &mut Window, label: &str) {
    let first = window.get_all_by_label(label).next();
    first.expect("it is there").click();
    window.run();
}

#[test]
fn a_guest_s_ribbons_pass_through_guest_physical_memory() {
    let mut window = moment(fixture::hypervisor_guest(), SIZE);
    let stage = |space: &pagescope_protocol::snapshot::Space| space.through.is_some();
    let snapshot = window.state().state().snapshot().expect("a moment").clone();
    let guest = snapshot.spaces.iter().find(|space| stage(space));
    let guest = guest.expect("a guest's space");
    let at = guest.mappings.last().expect("it maps something").virt;
    ask(&mut window, UiCommand::ChooseSpace(guest.name.clone()));
    go_to(&mut window, &at.to_string());
    window.get_by_label("Ribbons pass 1 stretch of guest physical memory");
    window.get_by_label("1 ribbon to its frames");
    // Of all ranges in view: the UART is far from RAM.
    window.get_by_label("Ribbons").click();
    window.run();
    window.get_by_label_contains(" stretches of guest physical memory");
    // The machine's own space has one stage.
    let own = snapshot.spaces.iter().find(|space| !stage(space));
    let own = own.expect("the machine's").name.clone();
    ask(&mut window, UiCommand::ChooseSpace(own));
    let passes = window.query_by_label_contains("of guest physical memory");
    assert!(passes.is_none());
}
