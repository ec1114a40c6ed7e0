//! Addresses as links: a press selects, the other button copies.

use egui::{Link, Response, RichText, Ui};
use pagescope_protocol::{Level, PhysAddr, PhysPage, VirtAddr};

use crate::model::Selection;
use crate::views::command::{LookCommand, UiCommand};
use crate::views::theme;

/// An address that selects what lies there.
pub(super) fn address(
    ui: &mut Ui,
    text: &str,
    hint: &str,
    selection: Selection,
    out: &mut Vec<UiCommand>,
) -> Response {
    let words = RichText::new(text).font(theme::numbers(theme::NUMBERS));
    let response = ui.add(Link::new(words)).on_hover_text(hint);
    if response.hovered() {
        out.push(UiCommand::Look(LookCommand::Hover(selection)));
    }
    if response.clicked() {
        out.push(UiCommand::Select(selection));
    }
    copies(&response, &[("Copy address", text)]);
    response
}

/// A virtual address.
pub(super) fn virt(ui: &mut Ui, virt: VirtAddr, out: &mut Vec<UiCommand>) -> Response {
    let text = virt.to_string();
    address(
        ui,
        &text,
        "Select this address",
        Selection::Virtual(virt),
        out,
    )
}

/// A physical address.
pub(super) fn phys(ui: &mut Ui, phys: PhysAddr, out: &mut Vec<UiCommand>) -> Response {
    let text = phys.to_string();
    let hint = "Select this physical address";
    address(ui, &text, hint, Selection::Physical(phys), out)
}

/// A table.
pub(super) fn table(
    ui: &mut Ui,
    level: Level,
    frame: PhysPage,
    out: &mut Vec<UiCommand>,
) -> Response {
    let text = frame.to_string();
    let selection = Selection::Table { level, frame };
    address(
        ui,
        &text,
        &format!("Select this {level} table"),
        selection,
        out,
    )
}

/// Lets each of these be copied, by the other button of the mouse.
pub(super) fn copies(response: &Response, choices: &[(&str, &str)]) {
    response.context_menu(|ui| {
        for (name, text) in choices {
            if ui.button(*name).clicked() {
                ui.ctx().copy_text((*text).to_owned());
                ui.close();
            }
        }
    });
}
