//! Are the tables sound: the verdict, and each finding, to be pressed.

use egui::{Align, CornerRadius, Rect, RichText, ScrollArea, Sense, Ui, UiBuilder, vec2};

use crate::export::text::check_headline;
use crate::model::Selection;
use crate::model::check::{Finding, Severity, Verdict};
use crate::views::command::UiCommand;
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

const ROW: f32 = 20.0;

/// How many faults there are.
pub(super) fn faults(scene: &Scene<'_>) -> usize {
    let findings = scene.derived.findings();
    findings
        .filter(|finding| finding.severity == Severity::Fault)
        .count()
}

/// Draws the verdict and the findings.
pub(super) fn show(ui: &mut Ui, rect: Rect, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let palette = scene.palette;
    let Some(report) = &scene.derived.report else {
        let words = "No hart's satp is known, so neither are the page tables.";
        let font = theme::words(theme::BODY);
        let head = rect.with_max_y(rect.top() + ROW);
        paint::line(ui.painter(), head, Align::Min, words, font, palette.dim);
        return;
    };
    let head = rect.with_max_y(rect.top() + ROW);
    let is_kernel_wrong = !scene.derived.kernel_findings.is_empty();
    let color = match report.verdict {
        Verdict::Unsound => palette.danger,
        _ if is_kernel_wrong => palette.danger,
        Verdict::Sound => palette.data,
        Verdict::Unknown | Verdict::Nothing => palette.dim,
    };
    let mut headline = check_headline(report);
    if scene.derived.is_behind() {
        headline = format!("checking this moment; before it: {headline}");
    }
    if let Some(first) = headline.get(..1) {
        headline = format!("{}{}", first.to_uppercase(), &headline[1..]);
    }
    let font = theme::strong(theme::BODY);
    let (place, response) = (
        head,
        ui.interact(head, ui.scope_id().with("verdict"), Sense::hover()),
    );
    paint::line(ui.painter(), place, Align::Min, &headline, font, color);
    paint::name_canvas(&response, || headline.clone());
    let findings: Vec<&Finding> = scene.derived.findings().collect();
    let list = rect.with_min_y(head.bottom() + 4.0);
    if findings.is_empty() {
        let words = "Pointers, leaves and windows are as the specification and self-mapping want \
                     them. Press a row of the self-map to see a window.";
        let text = match report.verdict {
            Verdict::Sound => words,
            _ => "",
        };
        let galley =
            ui.painter()
                .layout(text.into(), theme::words(12.0), palette.dim, list.width());
        ui.painter().galley(list.min, galley, palette.dim);
        return;
    }
    let mut child = ui.new_child(UiBuilder::new().max_rect(list).id_salt("findings"));
    child.set_clip_rect(list.intersect(ui.clip_rect()));
    child.spacing_mut().item_spacing = vec2(0.0, 0.0);
    ScrollArea::vertical()
        .id_salt("findings")
        .auto_shrink(false)
        .show_rows(&mut child, ROW, findings.len(), |ui, range| {
            for finding in &findings[range] {
                row(ui, list.width() - 10.0, finding, scene, out);
            }
        });
}

/// What a finding is about, to be selected: the address that shows it best, else its entry, else
/// its table.
fn selection(finding: &Finding) -> Option<Selection> {
    let by_table = finding
        .table
        .map(|(level, frame)| Selection::Table { level, frame });
    let by_entry = finding.entry.map(|entry| Selection::Entry {
        level: entry.level,
        table: entry.table,
        index: entry.index,
    });
    finding
        .address
        .map(Selection::Virtual)
        .or(by_entry)
        .or(by_table)
}

fn row(ui: &mut Ui, width: f32, finding: &Finding, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let palette = scene.palette;
    let selection = selection(finding);
    let sense = match selection {
        Some(_) => Sense::click(),
        None => Sense::hover(),
    };
    let (rect, response) = ui.allocate_exact_size(vec2(width, ROW), sense);
    let painter = ui.painter();
    if response.hovered() {
        painter.rect_filled(rect, CornerRadius::same(3), palette.raised);
        if let Some(selection) = selection {
            scene.point(selection);
        }
    }
    let (sign, color) = match finding.severity {
        Severity::Fault => ("fault", palette.danger),
        Severity::Unknown => ("unknown", palette.text),
        Severity::Note => ("note", palette.dim),
    };
    let cell = |from: f32, to: f32| {
        Rect::from_min_max(
            egui::pos2(rect.left() + from, rect.top()),
            egui::pos2((rect.left() + to).min(rect.right()), rect.bottom()),
        )
    };
    paint::line(
        painter,
        cell(4.0, 58.0),
        Align::Min,
        sign,
        theme::strong(11.0),
        color,
    );
    let name = paint::line(
        painter,
        cell(62.0, 200.0),
        Align::Min,
        finding.rule.name(),
        theme::numbers(11.0),
        color,
    );
    let rest = rect.with_min_x(name.right().max(rect.left() + 190.0) + 10.0);
    let font = theme::words(12.0);
    paint::line(painter, rest, Align::Min, &finding.text, font, palette.text);
    response.widget_info(|| {
        let name = format!("{sign} {}: {}", finding.rule.name(), finding.text);
        egui::WidgetInfo::labeled(egui::Role::Button, true, name)
    });
    if response.clicked()
        && let Some(selection) = selection
    {
        out.push(UiCommand::Select(selection));
    }
    response.on_hover_ui(|ui| {
        ui.label(RichText::new(finding.rule.name()).strong());
        ui.label(&finding.text);
        ui.label(finding.rule.meaning());
    });
}
