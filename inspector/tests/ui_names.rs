//! Everything that can be pressed has a name, says what it does and its key, and why it is switched off where it is.

mod ui_support;

use std::collections::{BTreeMap, BTreeSet};

use egui::accesskit::{Action, Role};
use egui::{Order, Popup, Rect};
use egui_kittest::Node;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use pagescope::views::actions;
use ui_support::Window;
use ui_support::screens::everywhere;

/// Buttons that stand for an action and are called otherwise, where less or more is to be said.
const OTHER_NAMES: [(&str, &str); 12] = [
    ("Back to now", "Back to now"),
    ("To the end", "Back to now"),
    ("Steps", "List of steps"),
    ("Line", "List of steps"),
    ("Stop", "Play"),
    ("Compare…", "Compare with step…"),
    ("Other step…", "Compare with step…"),
    ("Bookmark this step", "Bookmark"),
    ("Open a file…", "Open…"),
    ("Show", "Show the lecture"),
    ("Save…", "Save recording…"),
    ("All steps", "All of the timeline"),
];

/// Every node of the window.
fn nodes(window: &Window) -> Vec<Node<'_>> {
    let mut found = Vec::new();
    let mut left: Vec<_> = window.root().children().collect();
    while let Some(node) = left.pop() {
        left.extend(node.children());
        found.push(node);
    }
    found
}

fn is_pressed_or_typed_into(node: &Node<'_>) -> bool {
    let inner = node.accesskit_node();
    inner.data().supports_action(Action::Click)
        && !matches!(
            inner.role(),
            Role::GenericContainer | Role::ScrollBar | Role::Label
        )
        || matches!(
            inner.role(),
            Role::Button
                | Role::TextInput
                | Role::ComboBox
                | Role::Slider
                | Role::SpinButton
                | Role::CheckBox
                | Role::RadioButton
                | Role::Link
                | Role::Canvas
        )
}

fn is_title_bar(window: &Window, node: &Node<'_>) -> bool {
    let mut closes = window.query_all_by_label("Close window");
    node.accesskit_node().role() == Role::Unknown
        && closes.any(|close| node.rect().y_range().contains(close.rect().center().y))
}

#[test]
fn everything_that_can_be_pressed_has_a_name() {
    let mut nameless = BTreeMap::new();
    let mut count = 0;
    everywhere(|screen, window| {
        for node in nodes(window) {
            if !is_pressed_or_typed_into(&node) {
                continue;
            }
            count += 1;
            let inner = node.accesskit_node();
            let name = inner.label().or_else(|| inner.value()).unwrap_or_default();
            // A sign is no name. The title bars of egui's own windows are named by what is in them.
            if !is_title_bar(window, &node) && !name.chars().any(char::is_alphanumeric) {
                let what = format!("{:?} {name:?}", inner.role());
                let place = format!("{screen}, at {:?}", inner.bounding_box());
                nameless.entry(what).or_insert(place);
            }
        }
    });
    assert!(nameless.is_empty(), "{nameless:#?}");
    assert!(count > 5000, "{count} things alone were looked at");
}

/// Whether what is at this place belongs to a menu or a dialog over the window.
fn is_covered(window: &Window, rect: Rect) -> bool {
    let layer = window.ctx.layer_id_at(rect.center());
    layer.is_some_and(|layer| layer.order != Order::Background)
}

/// Whether this is in a menu or a dialog. What is in the window itself is in one of its panels.
fn is_over_the_window(node: &Node<'_>) -> bool {
    let mut above = node.accesskit_node().parent();
    while let Some(node) = above {
        match node.role() {
            Role::Menu | Role::Dialog => return true,
            Role::Pane => return false,
            _ => above = node.parent(),
        }
    }
    true
}

/// What is said when the mouse rests on it; where it is scrolled away, it is brought into view.
fn tooltip(window: &mut Window, thing: &Thing) -> String {
    let words = tooltip_at(window, rect_of(window, thing, false));
    if !words.is_empty() {
        return words;
    }
    rect_of(window, thing, true);
    window.run_steps(8);
    tooltip_at(window, rect_of(window, thing, false))
}

/// Where it is now: what was hovered before may have scrolled it.
fn rect_of(window: &Window, thing: &Thing, is_scrolled_to: bool) -> Rect {
    let same = window.query_all_by_label(&thing.name);
    let near = same
        .filter(|node| is_over_the_window(node) == thing.is_over)
        .min_by_key(|node| node.rect().center().distance(thing.rect.center()) as u32);
    near.map_or(thing.rect, |node| {
        if is_scrolled_to {
            node.scroll_to_me();
        }
        node.rect()
    })
}

/// What is said when the mouse rests on this place.
fn tooltip_at(window: &mut Window, rect: Rect) -> String {
    window.remove_cursor();
    window.run_steps(2);
    window.hover_at(rect.center());
    window.run_steps(8);
    let mut words = Vec::new();
    for tooltip in window.query_all_by_role(Role::Tooltip) {
        let mut left = vec![tooltip];
        while let Some(node) = left.pop() {
            let inner = node.accesskit_node();
            words.extend(inner.value().or_else(|| inner.label()));
            left.extend(node.children());
        }
    }
    words.join(" ")
}

/// A thing that is to be hovered: what it is called, where it is, and whether it is over the window.
struct Thing {
    name: String,
    rect: Rect,
    is_over: bool,
}

/// What can be hovered on this screen, of what is `wanted`.
fn things(window: &Window, wanted: impl Fn(&Node<'_>) -> bool) -> Vec<Thing> {
    let all = window.ctx.content_rect();
    let mut found = Vec::new();
    for node in nodes(window) {
        let inner = node.accesskit_node();
        if inner.bounding_box().is_none() {
            continue;
        }
        let rect = node.rect();
        let name = inner.label().or_else(|| inner.value()).unwrap_or_default();
        if is_pressed_or_typed_into(&node)
            && all.contains(rect.center())
            && rect.is_positive()
            && is_over_the_window(&node) == is_covered(window, rect)
            // An open menu keeps the tooltips of what is under it away.
            && (is_over_the_window(&node) || !Popup::is_any_open(&window.ctx))
            && wanted(&node)
        {
            let is_over = is_over_the_window(&node);
            found.push(Thing {
                name,
                rect,
                is_over,
            });
        }
    }
    found
}

/// The action that something of this name stands for.
fn action_of(window: &Window, name: &str) -> Option<&'static actions::Action> {
    let state = window.state().state();
    // A line of a menu says its key, too.
    let with_keys = |action: &&actions::Action| {
        let line = format!("{} {}", action.title(state), action.keys_text());
        line == name
    };
    if let Some(action) = actions::all().find(with_keys) {
        return Some(action);
    }
    let other = OTHER_NAMES.iter().find(|(label, _)| *label == name);
    let name = other.map_or(name, |(_, action)| *action);
    actions::all().find(|action| action.name == name || action.title(state) == name)
}

#[test]
fn tooltips_tell_the_keys() {
    let mut silent = BTreeSet::new();
    let mut seen = BTreeMap::new();
    everywhere(|screen, window| {
        let is_action = |node: &Node<'_>| {
            let name = node.accesskit_node().label().unwrap_or_default();
            !node.accesskit_node().is_disabled()
                && node.accesskit_node().role() == Role::Button
                && action_of(window, &name).is_some_and(|action| !action.keys.is_empty())
        };
        for thing in things(window, is_action) {
            let place = (thing.name.clone(), thing.is_over);
            let Some(action) = action_of(window, &thing.name) else {
                continue;
            };
            if seen.insert(place, action.name).is_some() {
                continue;
            }
            let words = tooltip(window, &thing);
            if !words.contains(&format!("({})", action.keys_text())) {
                let name = &thing.name;
                silent.insert(format!("{name} ({}) in {screen}: {words:?}", action.name));
            }
        }
    });
    assert!(silent.is_empty(), "{silent:#?}");
    let found: BTreeSet<&str> = seen.into_values().collect();
    assert!(found.len() > 25, "{found:?}");
}

#[test]
fn what_is_switched_off_says_why() {
    let mut silent = BTreeSet::new();
    let mut seen = BTreeSet::new();
    everywhere(|screen, window| {
        let is_off = |node: &Node<'_>| node.accesskit_node().is_disabled();
        for thing in things(window, is_off) {
            let why_not = action_of(window, &thing.name)
                .and_then(|action| (action.why_not)(window.state().state()));
            if !seen.insert((thing.name.clone(), why_not.clone())) {
                continue;
            }
            let words = tooltip(window, &thing);
            if words.is_empty() || why_not.is_some_and(|why_not| !words.contains(&why_not)) {
                silent.insert(format!("{} in {screen}: {words:?}", thing.name));
            }
        }
    });
    assert!(silent.is_empty(), "{silent:#?}");
    assert!(seen.len() > 20, "{seen:?}");
}
