//! Everything that can be done, once each: its name, its key, what it asks for, and why it cannot be done now.
//!
//! The keyboard, the command palette and the list of keys read this table, so none of them can know a command that
//! the others lack. Each area of the window has a file of its own.

mod desk;
mod guest;
mod lecture;
mod look;
mod presenter;
mod time;

use std::borrow::Cow;

use egui::{Button, Key, KeyboardShortcut, Modifiers, Response, Ui};

pub use guest::why_not as guest_why_not;
pub use presenter::{PRESENTER_KEYS, PresenterKeys};

use super::command::UiCommand;
use super::state::State;

/// What an action is about: the headings of the palette and of the list of keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Letting the guest run, and stopping it.
    Guest,
    /// Moments: going to them, marking them.
    Time,
    /// What is looked at, and how.
    Look,
    /// Showing it to others.
    Lecture,
    /// Files, and the window itself.
    Desk,
}

impl Group {
    /// All groups in their order.
    pub const ALL: [Self; 5] = [
        Self::Guest,
        Self::Time,
        Self::Look,
        Self::Lecture,
        Self::Desk,
    ];

    /// Its heading.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Guest => "Guest",
            Self::Time => "Time",
            Self::Look => "Look",
            Self::Lecture => "Lecture",
            Self::Desk => "Window and files",
        }
    }
}

/// A key with what is held down beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keys {
    /// What is held down.
    pub modifiers: Modifiers,
    /// The key.
    pub key: Key,
    /// Whether it works while something is being typed, too.
    pub while_typing: bool,
}

impl Keys {
    /// A key that letters and arrows of a text field do not need.
    pub const fn always(modifiers: Modifiers, key: Key) -> Self {
        Self {
            modifiers,
            key,
            while_typing: true,
        }
    }

    /// A key that a text field has for itself.
    pub const fn unless_typing(modifiers: Modifiers, key: Key) -> Self {
        Self {
            modifiers,
            key,
            while_typing: false,
        }
    }

    /// For egui.
    pub const fn shortcut(self) -> KeyboardShortcut {
        KeyboardShortcut::new(self.modifiers, self.key)
    }

    /// `Ctrl+Shift+S`.
    pub fn text(self) -> String {
        let mut text = String::new();
        for (is_held, name) in [
            (self.modifiers.command || self.modifiers.ctrl, "Ctrl+"),
            (self.modifiers.alt, "Alt+"),
            (self.modifiers.shift, "Shift+"),
        ] {
            if is_held {
                text.push_str(name);
            }
        }
        text.push_str(match self.key {
            Key::ArrowLeft => "Left",
            Key::ArrowRight => "Right",
            Key::ArrowUp => "Up",
            Key::ArrowDown => "Down",
            Key::Escape => "Esc",
            key => key.symbol_or_name(),
        });
        text
    }
}

/// Something that can be done.
pub struct Action {
    /// What it is called, everywhere.
    pub name: &'static str,
    /// The name where it depends on what there is: `Step kalloc`.
    pub title: Option<fn(&State) -> String>,
    /// A sentence about it.
    pub about: &'static str,
    /// What it belongs to.
    pub group: Group,
    /// Its keys, the one to show first.
    pub keys: &'static [Keys],
    /// What it asks for.
    pub command: fn(&State) -> UiCommand,
    /// Why it cannot be done now, and what to do; `None` where it can.
    pub why_not: fn(&State) -> Option<String>,
}

impl Action {
    /// An action that can always be done.
    pub const fn new(
        group: Group,
        name: &'static str,
        about: &'static str,
        keys: &'static [Keys],
        command: fn(&State) -> UiCommand,
    ) -> Self {
        Self {
            name,
            title: None,
            about,
            group,
            keys,
            command,
            why_not: |_| None,
        }
    }

    /// With a name that depends on what there is.
    pub const fn titled(mut self, title: fn(&State) -> String) -> Self {
        self.title = Some(title);
        self
    }

    /// With reasons for which it cannot be done.
    pub const fn unless(mut self, why_not: fn(&State) -> Option<String>) -> Self {
        self.why_not = why_not;
        self
    }

    /// What it is called now.
    pub fn title(&self, state: &State) -> Cow<'static, str> {
        match self.title {
            Some(title) => Cow::Owned(title(state)),
            None => Cow::Borrowed(self.name),
        }
    }

    /// Its first key, to stand beside its name; empty where it has none.
    pub fn keys_text(&self) -> String {
        self.keys
            .first()
            .map_or_else(String::new, |keys| keys.text())
    }
}

/// All actions, group by group.
pub fn all() -> impl Iterator<Item = &'static Action> {
    let groups: [&'static [Action]; 5] = [
        guest::ACTIONS,
        time::ACTIONS,
        look::ACTIONS,
        lecture::ACTIONS,
        desk::ACTIONS,
    ];
    groups.into_iter().flatten()
}

/// The action of this name.
pub fn named(name: &str) -> Option<&'static Action> {
    all().find(|action| action.name == name)
}

/// What a button or a menu says of the action when the mouse rests on it: what it does, and its key.
pub fn hint(name: &str) -> String {
    let Some(action) = named(name) else {
        return name.to_owned();
    };
    match action.keys_text() {
        keys if keys.is_empty() => action.about.to_owned(),
        keys => format!("{} ({keys})", action.about),
    }
}

/// `response`, the button of the action of this name, with words on what that does and its key; where it is switched off,
/// on why.
pub fn explained(response: Response, name: &str, state: &State) -> Response {
    let why_not = named(name).and_then(|action| (action.why_not)(state));
    response
        .on_hover_text(hint(name))
        .on_disabled_hover_text(why_not.unwrap_or_default())
}

/// A line of a menu for the action of this name: its name, its key, and words on both.
pub fn menu_line(ui: &mut Ui, name: &str, state: &State, out: &mut Vec<UiCommand>) {
    let Some(action) = named(name) else {
        return;
    };
    let title = action.title(state);
    let button = Button::new(&*title).shortcut_text(action.keys_text());
    let response = ui.add_enabled((action.why_not)(state).is_none(), button);
    if explained(response, name, state).clicked() {
        out.push((action.command)(state));
        ui.close();
    }
}

/// The actions whose keys were pressed since the last frame; the keys are used up. With `types` a text field has the
/// keyboard; an open menu takes Esc itself, before what is behind it.
pub fn pressed(ctx: &egui::Context, types: bool) -> Vec<&'static Action> {
    let has_menu = egui::Popup::is_any_open(ctx);
    let takes =
        |keys: &Keys| (keys.while_typing || !types) && !(has_menu && keys.key == Key::Escape);
    // A shortcut with fewer modifiers would take the keys of one with more.
    let mut bound: Vec<(&Keys, &'static Action)> = all()
        .flat_map(|action| action.keys.iter().map(move |keys| (keys, action)))
        .filter(|(keys, _)| takes(keys))
        .collect();
    bound.sort_by_key(|(keys, _)| {
        let held = keys.modifiers;
        std::cmp::Reverse(u8::from(held.shift) + u8::from(held.alt) + u8::from(held.command))
    });
    ctx.input_mut(|input| {
        let mut pressed = Vec::new();
        for (keys, action) in bound {
            // Each press counts: a held arrow key moves on and on.
            let times = input.count_and_consume_key(keys.modifiers, keys.key);
            pressed.extend(std::iter::repeat_n(action, times));
        }
        pressed
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_keys_are_there_once() {
        let mut names = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for action in all() {
            assert!(names.insert(action.name), "{} twice", action.name);
            assert!(action.about.ends_with('.'), "{}", action.about);
            for key in action.keys {
                assert!(keys.insert(key.text()), "{} twice", key.text());
            }
        }
        assert_eq!(named("Pause").map(Action::keys_text), Some("F6".into()));
        assert_eq!(hint("Pause"), "Stop all harts and look. (F6)");
    }
}
