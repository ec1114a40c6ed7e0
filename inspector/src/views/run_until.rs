//! The question what a guest is to be run to.

use egui::{Button, ComboBox, DragValue, Grid, TextEdit, Ui, vec2};
use pagescope_protocol::{VirtAddr, VirtRange};

use super::actions;
use super::command::{GuestCommand, UiCommand};
use super::dialog::{dialog, remark};
use super::scene::Scene;
use super::theme;
use crate::capture::run_until::Goal;
use crate::model::Selection;

/// What it is run to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Kind {
    #[default]
    Heap,
    Mapped,
    Change,
    Returns,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Heap, Self::Mapped, Self::Change, Self::Returns];

    const fn name(self) -> &'static str {
        match self {
            Self::Heap => "The heap counter is at least",
            Self::Mapped => "An address is mapped",
            Self::Change => "Tables change",
            Self::Returns => "A function returns",
        }
    }
}

/// Whether Enter means the whole question: not where it presses a button that has the keyboard. A field that takes Enter
/// has left the keyboard by then.
fn is_entered(ui: &Ui) -> bool {
    ui.memory(|memory| memory.focused().is_none())
        && ui.input(|input| input.key_pressed(egui::Key::Enter))
}

/// What the question keeps: what was asked last.
#[derive(Default)]
pub struct RunUntil {
    is_shown: bool,
    kind: Kind,
    heap: u64,
    address: String,
    /// Whether only the space being looked at counts.
    in_space: bool,
    from: String,
    to: String,
    symbol: String,
    count: u32,
}

impl RunUntil {
    /// Shows the question, where it is asked.
    pub fn show(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        if !scene.state.guest.asks_run_until {
            self.is_shown = false;
            return;
        }
        if !std::mem::replace(&mut self.is_shown, true) {
            self.prepare(scene);
        }
        let mut goes = false;
        let is_open = dialog(ui.ctx(), "Run until", 460.0, |ui| {
            Grid::new("run until")
                .num_columns(2)
                .spacing(vec2(14.0, 10.0))
                .show(ui, |ui| {
                    for kind in Kind::ALL {
                        ui.radio_value(&mut self.kind, kind, kind.name());
                        ui.horizontal(|ui| self.fields(ui, kind, scene));
                        ui.end_row();
                    }
                });
            let goal = self.goal(scene);
            let why_not = match (&goal, scene.state.can_step()) {
                (_, false) => actions::guest_why_not(scene.state),
                (Err(why), _) => Some(why.clone()),
                (Ok(_), true) => None,
            };
            let words = match &why_not {
                    Some(why) => why.clone(),
                    None => "Each stop on the way is kept up to the hundredth, then each tenth, past a thousand each \
                             hundredth. Cancel ends it at any time."
                        .to_owned(),
                };
            remark(ui, &words, scene);
            ui.horizontal(|ui| {
                let button = ui.add_enabled(why_not.is_none(), Button::new("Run until it is so"));
                goes = button.clicked() || (why_not.is_none() && is_entered(ui));
                if goes && let Ok(command) = goal {
                    out.push(UiCommand::Guest(command));
                }
                if ui.button("Not now").clicked() {
                    out.push(UiCommand::Guest(GuestCommand::ToggleRunUntil));
                }
            });
        });
        if !is_open && !goes {
            out.push(UiCommand::Guest(GuestCommand::ToggleRunUntil));
        }
    }

    /// Sensible values in what has none yet.
    fn prepare(&mut self, scene: &Scene<'_>) {
        let counter = scene
            .state
            .snapshot()
            .and_then(|one| one.heap)
            .map_or(0, |heap| heap.counter);
        if self.heap <= counter {
            self.heap = counter + 10;
        }
        if self.address.is_empty()
            && let Selection::Virtual(address) = scene.state.selection
        {
            self.address = address.to_string();
        }
        if self.symbol.is_empty() {
            self.symbol = scene.state.step_symbol.clone().unwrap_or_default();
        }
        self.count = self.count.max(1);
    }

    fn fields(&mut self, ui: &mut Ui, kind: Kind, scene: &Scene<'_>) {
        let text = |ui: &mut Ui, value: &mut String, name: &str, hint: &str, width: f32| {
            let edit = TextEdit::singleline(value)
                .id_salt(name)
                .desired_width(width)
                .font(theme::numbers(theme::NUMBERS))
                .hint_text(hint)
                .margin(vec2(6.0, 3.0));
            let response = ui.add(edit);
            response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, name));
            response.changed() || response.gained_focus()
        };
        let touched = match kind {
            Kind::Heap => {
                let drag = ui.add(DragValue::new(&mut self.heap).speed(0.2));
                drag.widget_info(|| {
                    egui::WidgetInfo::labeled(egui::Role::SpinButton, true, "Least heap counter")
                });
                drag.changed()
            }
            Kind::Mapped => {
                let touched = text(
                    ui,
                    &mut self.address,
                    "Address to be mapped",
                    "0x40000000",
                    130.0,
                );
                let space = scene.state.space().map_or("", |space| space.name.as_str());
                let shown = match self.in_space {
                    true => space,
                    false => "any space",
                };
                let combo = ComboBox::new("run until space", "")
                    .width(100.0)
                    .selected_text(format!("in {shown}"));
                let response = combo.show_ui(ui, |ui| {
                    ui.selectable_value(&mut self.in_space, false, "in any space");
                    ui.selectable_value(&mut self.in_space, true, format!("in {space}"));
                });
                response.response.widget_info(|| {
                    let name = format!("Mapped where, in {shown}");
                    egui::WidgetInfo::labeled(egui::Role::ComboBox, true, name)
                });
                touched
            }
            Kind::Change => {
                let first = text(
                    ui,
                    &mut self.from,
                    "First address that counts",
                    "any address",
                    110.0,
                );
                ui.label("to");
                let last = text(
                    ui,
                    &mut self.to,
                    "Last address that counts",
                    "the same page",
                    110.0,
                );
                first || last
            }
            Kind::Returns => {
                let touched = text(ui, &mut self.symbol, "Function", "kalloc", 130.0);
                let drag = DragValue::new(&mut self.count)
                    .range(1..=10_000)
                    .suffix(" ×")
                    .speed(0.1);
                let drag = ui.add(drag);
                drag.widget_info(|| {
                    egui::WidgetInfo::labeled(egui::Role::SpinButton, true, "How many returns")
                });
                touched || drag.changed()
            }
        };
        if touched {
            self.kind = kind;
        }
    }

    /// What is asked for, or what is missing.
    fn goal(&self, scene: &Scene<'_>) -> Result<GuestCommand, String> {
        let address = |text: &str| -> Result<VirtAddr, String> {
            match scene.state.looked_up(text).ok_or("Nothing is open.")? {
                Ok(Selection::Virtual(address)) => Ok(address),
                Ok(Selection::Range(stretch)) => Ok(VirtAddr::new(stretch.start)),
                Ok(_) => Err("Type a virtual address: physical ones are not mapped.".into()),
                Err(_) if text.trim().is_empty() => Err("Type an address.".into()),
                Err(error) => Err(format!("{error}.")),
            }
        };
        Ok(match self.kind {
            Kind::Heap => {
                let heap = scene.state.snapshot().and_then(|one| one.heap);
                let heap = heap.ok_or("This guest publishes no heap counter.")?;
                if heap.counter >= self.heap {
                    return Err(format!("The heap counter is {} already.", heap.counter));
                }
                GuestCommand::RunUntil(Goal::HeapCounter(self.heap))
            }
            Kind::Mapped => {
                let space = scene.state.space().filter(|_| self.in_space);
                GuestCommand::RunUntil(Goal::Mapped {
                    address: address(&self.address)?,
                    space: space.map(|space| space.name.clone()),
                })
            }
            Kind::Change => {
                let within = match (self.from.trim(), self.to.trim()) {
                    ("", _) => None,
                    (from, to) => {
                        let from = address(from)?;
                        let to = match to {
                            "" => from,
                            to => address(to)?,
                        };
                        let first = from.align_down(4096);
                        let after = to.align_down(4096).checked_add(4096);
                        let range = after.and_then(|after| VirtRange::from_bounds(first, after));
                        Some(range.ok_or("The last address lies before the first.")?)
                    }
                };
                GuestCommand::RunUntil(Goal::TableChange { within, count: 1 })
            }
            Kind::Returns => match self.symbol.trim() {
                "" => return Err("Type the function's symbol.".into()),
                symbol => GuestCommand::StepReturns {
                    symbol: symbol.to_owned(),
                    count: self.count,
                },
            },
        })
    }
}
