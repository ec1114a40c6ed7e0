//! The maps without a display: panned, zoomed, folded, linked by what is selected and what the mouse rests on, filtered by
//! their legend.

mod ui_support;

use std::sync::Arc;

use egui::{
    Event, Key, Modifiers, MouseWheelSource, MouseWheelUnit, PointerButton, Pos2, Shape, vec2,
};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use pagescope::app::App;
use pagescope::model::{History, Selection, Sign, Stretch, fixture};
use pagescope::views::theme::DARK;
use pagescope::views::{LookCommand, UiCommand};
use pagescope_protocol::snapshot::RegionSpace;
use pagescope_protocol::{Level, PhysAddr, VirtAddr};
use ui_support::painted::{place_of, texts};
use ui_support::{SIZE, Window, go_to, selection, sized, until, window_as};

fn maps(steps: u64) -> Window {
    dark(fixture::history(steps))
}

/// A dark window that moves as on a screen: what glides has frames to glide in.
fn dark(history: History) -> Window {
    let builder = sized(SIZE).with_max_steps(200).with_step_dt(1.0 / 60.0);
    let mut window = window_as(builder, App::offline(history, "lecture.ron"));
    window.ctx.set_theme(egui::Theme::Dark);
    window.run();
    window
}

fn center(harness: &Window, label: &str) -> Pos2 {
    harness.get_by_label_contains(label).rect().center()
}

fn wheel(harness: &mut Window, at: Pos2, lines: f32) {
    harness.hover_at(at);
    harness.run();
    harness.event(Event::MouseWheel {
        unit: MouseWheelUnit::Line,
        delta: vec2(0.0, lines),
        phase: egui::TouchPhase::Move,
        source: MouseWheelSource::Wheel,
        modifiers: Modifiers::NONE,
    });
    harness.run();
}

/// The first and the last address that the virtual map shows.
fn in_view(harness: &Window, map: &str) -> Option<(u64, u64)> {
    let name = harness
        .get_by_label_contains(map)
        .accesskit_node()
        .label()
        .unwrap_or_default();
    let part = name.rsplit_once(" bands, ")?.1;
    let (first, rest) = part.split_once(" to ")?;
    let last = rest.split(' ').next()?;
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    Some((number(first)?, number(last)?))
}

/// How many outlines in the colour of what the mouse rests on lie in `rect`.
fn hover_marks(harness: &Window, rect: egui::Rect) -> usize {
    let is_mark = |shape: &Shape| match shape {
        Shape::Rect(mark) => {
            mark.stroke.color == DARK.text && rect.expand(2.0).contains_rect(mark.rect)
        }
        _ => false,
    };
    let shapes = harness.output().shapes.iter();
    shapes.filter(|clipped| is_mark(&clipped.shape)).count()
}

#[test]
fn the_wheel_zooms_at_the_pointer_and_a_drag_moves() {
    let mut harness = maps(4);
    assert_eq!(
        in_view(&harness, "Virtual map"),
        None,
        "all of it is in view"
    );
    let stack = place_of(&harness, "stack");
    let at = stack.center();
    wheel(&mut harness, at, 6.0);
    let (first, last) = in_view(&harness, "Virtual map").unwrap();
    assert!(
        first <= 0x8021_b000 && 0x8021_b000 <= last,
        "{first:#x} {last:#x}"
    );
    assert!(last - first < 0x1000_0000, "{first:#x} {last:#x}");
    harness.drag_at(at);
    harness.run();
    harness.hover_at(at - vec2(0.0, 80.0));
    harness.run();
    harness.drop_at(at - vec2(0.0, 80.0));
    harness.run();
    let moved = in_view(&harness, "Virtual map").unwrap();
    assert!(moved.0 > first, "{:#x} after {first:#x}", moved.0);
    harness.key_press(Key::Num0);
    harness.run();
    assert_eq!(in_view(&harness, "Virtual map"), None);
}

#[test]
fn pages_are_shown_one_by_one_and_nothing_stays_folded() {
    let mut harness = maps(4);
    go_to(&mut harness, "0x80218000");
    harness.key_press(Key::Z);
    harness.run();
    let words = texts(&harness);
    for page in ["→ 0x80218000", "→ 0x80219000", "→ 0x8021a000"] {
        assert!(
            words.iter().any(|word| word == page),
            "{page} is no line: {words:?}"
        );
    }
    harness.key_press(Key::Num0);
    harness.run();
    let words = texts(&harness);
    assert!(!words.iter().any(|word| word == "→ 0x80219000"));
    assert!(
        words.iter().any(|word| word == "256 GiB unmapped"),
        "{words:?}"
    );
}

#[test]
fn keys_zoom_and_move_the_map_under_the_mouse() {
    let mut harness = maps(4);
    let tables = harness
        .get_by_label_contains("Cards of page tables at 100 %")
        .rect();
    harness.hover_at(tables.center_bottom() - vec2(0.0, 4.0));
    harness.run();
    harness.key_press(Key::Plus);
    harness.run();
    harness.get_by_label("Cards of page tables at 150 %");
    harness.key_press(Key::Minus);
    harness.run();
    harness.get_by_label("Cards of page tables at 100 %");
    assert_eq!(
        in_view(&harness, "Virtual map"),
        None,
        "the other maps stay"
    );
    let virt = center(&harness, "Virtual map");
    harness.hover_at(virt);
    harness.run();
    for _ in 0..3 {
        harness.key_press(Key::Plus);
        harness.run();
    }
    let before = in_view(&harness, "Virtual map").unwrap();
    harness.key_press_modifiers(Modifiers::SHIFT, Key::ArrowDown);
    harness.run();
    let after = in_view(&harness, "Virtual map").unwrap();
    assert!(
        after.0 > before.0 || after.1 > before.1,
        "{before:x?} {after:x?}"
    );
    assert_eq!(
        harness.state().state().history.cursor(),
        4,
        "no step in time"
    );
}

#[test]
fn a_press_in_the_minimap_goes_to_the_upper_half() {
    let mut harness = maps(4);
    let at = center(&harness, "Virtual map");
    wheel(&mut harness, at, 8.0);
    let strip = harness.get_by_label("Minimap of all 512 GiB").rect();
    let low = strip.center_bottom() - vec2(0.0, 3.0);
    harness.drag_at(low);
    harness.run();
    harness.drop_at(low);
    harness.run();
    let (_, last) = in_view(&harness, "Virtual map").unwrap();
    assert!(last > 0xffff_ffc0_0000_0000, "{last:#x}");
}

#[test]
fn what_the_mouse_rests_on_is_marked_in_every_view() {
    let mut harness = maps(4);
    go_to(&mut harness, "0x87ff3000");
    let heap = place_of(&harness, "heap counter");
    harness.hover_at(heap.center());
    harness.run();
    let hover = harness.state().state().look.hover;
    assert_eq!(hover, Selection::Virtual(VirtAddr::new(0x87ff_f000)));
    for view in ["Physical map", "Frames of RAM", "Entries of the L2 table"] {
        let rect = harness.get_by_label_contains(view).rect();
        assert!(hover_marks(&harness, rect) > 0, "no mark in {view}");
    }
    // From a frame to its address.
    let frames = harness.get_by_label_contains("Frames of RAM").rect();
    harness.hover_at(frames.left_top() + vec2(3.0, 3.0));
    harness.run();
    assert!(matches!(
        harness.state().state().look.hover,
        Selection::Physical(_)
    ));
    harness.hover_at(Pos2::new(100.0, 20.0));
    harness.run();
    assert_eq!(harness.state().state().look.hover, Selection::Nothing);
}

#[test]
fn shift_selects_the_whole_band_and_its_frames_have_a_ribbon() {
    let mut harness = maps(4);
    let stack = place_of(&harness, "stack");
    let at = stack.center();
    harness.hover_at(at);
    harness.run();
    for pressed in [true, false] {
        harness.event_modifiers(
            Event::PointerButton {
                pos: at,
                button: PointerButton::Primary,
                pressed,
                modifiers: Modifiers::SHIFT,
            },
            Modifiers::SHIFT,
        );
        harness.run();
    }
    let whole = Selection::Range(Stretch {
        space: RegionSpace::Virtual,
        start: 0x8021_7000,
        size: 0x8000,
    });
    assert_eq!(selection(&harness), whole);
    harness.get_by_label("1 ribbon to its frames");
    harness.key_press(Key::R);
    harness.run();
    let all = harness.get_by_label_contains(" ribbons to their frames");
    let name = all.accesskit_node().label().unwrap_or_default();
    let count: usize = name.split(' ').next().unwrap().parse().unwrap();
    assert!((8..400).contains(&count), "{name}");
    harness.get_by_label("Ribbons").click();
    harness.run();
    harness.get_by_label("1 ribbon to its frames");
}

#[test]
fn back_and_forward_go_through_selections() {
    let mut harness = maps(4);
    go_to(&mut harness, "0x80200000");
    go_to(&mut harness, "p:0x87fff000");
    let first = Selection::Virtual(VirtAddr::new(0x8020_0000));
    let second = Selection::Physical(PhysAddr::new(0x87ff_f000));
    harness.key_press_modifiers(Modifiers::ALT, Key::ArrowLeft);
    harness.run();
    assert_eq!(selection(&harness), first);
    harness.get_by_label("Forward").click();
    harness.run();
    assert_eq!(selection(&harness), second);
    harness.get_by_label("Back").click();
    harness.run();
    assert_eq!(selection(&harness), first);
    let press = |button, pressed| Event::PointerButton {
        pos: Pos2::new(700.0, 400.0),
        button,
        pressed,
        modifiers: Modifiers::NONE,
    };
    harness.event(press(PointerButton::Extra2, true));
    harness.event(press(PointerButton::Extra2, false));
    harness.run();
    assert_eq!(selection(&harness), second);
    assert_eq!(
        harness.state().state().history.cursor(),
        4,
        "no step in time"
    );
}

#[test]
fn the_legend_is_a_filter_that_says_so_and_ends_with_esc() {
    let mut harness = maps(4);
    let fills = |harness: &Window| {
        let code = DARK.band_fill(pagescope::model::BandKind::Code);
        let shapes = harness.output().shapes.iter();
        let is_code = |shape: &Shape| matches!(shape, Shape::Rect(rect) if rect.fill == code);
        shapes.filter(|clipped| is_code(&clipped.shape)).count()
    };
    assert!(fills(&harness) > 0);
    harness.get_by_label("Legend: stack").click();
    harness.run();
    assert_eq!(harness.state().state().look.filter, Some(Sign::Stack));
    harness.get_by_label("Only stack is bright");
    assert_eq!(fills(&harness), 0, "code is still bright");
    harness.key_press(Key::Escape);
    harness.run();
    assert_eq!(harness.state().state().look.filter, None);
    assert!(harness.query_by_label("Only stack is bright").is_none());
    assert!(fills(&harness) > 0);
    harness.get_by_label("Legend: L1").click();
    harness.run();
    let filter = harness.state().state().look.filter;
    assert_eq!(filter, Some(Sign::Table(Level::L1)));
    harness.get_by_label("Show all").click();
    harness.run();
    assert_eq!(harness.state().state().look.filter, None);
}

#[test]
fn the_grid_zooms_from_two_mebibytes_to_all_and_names_its_frames() {
    let mut harness = maps(4);
    let at = center(&harness, "Frames of RAM, 2 MiB shown");
    wheel(&mut harness, at, -3.0);
    assert!(
        harness
            .query_by_label("Frames of RAM, 2 MiB shown")
            .is_none()
    );
    wheel(&mut harness, at, -40.0);
    harness.get_by_label("Frames of RAM, 128 MiB shown");
    wheel(&mut harness, at, 60.0);
    assert!(
        harness
            .query_by_label("Frames of RAM, 128 MiB shown")
            .is_none()
    );
    harness.get_by_label("All RAM").click();
    harness.run();
    harness.get_by_label("Frames of RAM, 128 MiB shown");
    harness.get_by_label("All RAM").click();
    harness.run();
    harness.get_by_label("Frames of RAM, 2 MiB shown");
}

#[test]
fn a_double_click_goes_to_the_thing() {
    let mut harness = maps(4);
    let card = harness
        .get_by_label_contains("Entries of the L2 table")
        .rect();
    let step = 2.0;
    let cell = card.width() / 16.0;
    let at = card.left_top() + vec2(cell * (step + 0.5), cell * 0.5);
    for _ in 0..2 {
        harness.drag_at(at);
        harness.step();
        harness.drop_at(at);
        harness.step();
    }
    harness.run();
    let is_l1 = matches!(
        selection(&harness),
        Selection::Table {
            level: Level::L1,
            ..
        }
    );
    assert!(is_l1, "{:?}", selection(&harness));
}

#[test]
fn a_quarter_of_a_million_pages_come_beside_the_window() {
    let mut snapshot = fixture::pseudos(4);
    let space = &mut snapshot.spaces[0];
    space.mappings.edit(|mappings| {
        let first = mappings[0].clone();
        for number in 0..20_000u64 {
            let mut page = first.clone();
            page.virt = VirtAddr::new(0x1_0000_0000 + number * 4096);
            page.phys = PhysAddr::new(0x8000_0000 + number * 7919 % 32_768 * 4096);
            page.size = 4096;
            page.page_size = 4096;
            mappings.push(page);
        }
        mappings.sort_by_key(|mapping| mapping.virt);
    });
    let mut history = History::new();
    history.push(Arc::new(snapshot));
    let mut harness = dark(history);
    until(&mut harness, "the map is there", |window| {
        window.query_by_label_contains("Virtual map, ").is_some()
    });
    let command = LookCommand::Hover(Selection::Physical(PhysAddr::new(0x8000_0000)));
    harness.state_mut().queue(UiCommand::Look(command));
    harness.run();
    let words = texts(&harness);
    assert!(
        !words.iter().any(|word| word.contains("catching up")),
        "{words:?}"
    );
}
