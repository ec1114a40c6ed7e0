//! A lecture as one page for any browser: every step with its caption, its picture and what changed.
//!
//! The page needs nothing from anywhere: pictures, colours and the little script that steps are in it, and its policy
//! forbids the browser to ask for more. Without the script all steps stand below each other. A picture that several
//! steps show is there once.

mod page;

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::export::svg::{Theme, escaped, picture_size, picture_svg};
use crate::model::{Focus, History, ReverseIndex, Selection, Slide};

/// Most steps that a page shows: a browser draws every picture of it.
pub const MOST_STEPS: usize = 200;

/// Most changes that are listed at a step.
const MOST_CHANGES: usize = 14;

/// The page of the lecture of `history`: its steps, or those moments that have notes, or all moments.
pub fn lecture_html(history: &History, name: &str) -> String {
    let mut slides = history.slides();
    if slides.is_empty() {
        let moments = history.moments().iter();
        slides = moments.map(|moment| Slide::new(moment.id, "")).collect();
    }
    let all = slides.len();
    slides.truncate(MOST_STEPS);
    let title = match history.notebook().pages().title.as_str() {
        "" => name,
        title => title,
    };
    let mut pictures = Pictures::default();
    let mut steps = String::new();
    for (number, slide) in slides.iter().enumerate() {
        step(
            &mut steps,
            &mut pictures,
            history,
            number + 1,
            slides.len(),
            slide,
        );
    }
    let about = about(history, slides.len(), all);
    page::of(&escaped(title), &escaped(&about), &pictures.text, &steps)
}

/// Where it comes from, and how much of it there is.
fn about(history: &History, shown: usize, all: usize) -> String {
    let mut parts = Vec::new();
    if let Some(moment) = history.moments().first() {
        let snapshot = &moment.snapshot;
        if let Some(kernel) = &snapshot.kernel {
            parts.push(match kernel.strategy.as_str() {
                "" => format!("layout {}", kernel.layout),
                strategy => format!("layout {}, tables {strategy}", kernel.layout),
            });
        }
        let from = &snapshot.provenance;
        let said = [&from.guest, &from.machine, &from.tool, &from.captured_at];
        parts.extend(said.into_iter().filter(|it| !it.is_empty()).cloned());
    }
    parts.push(match shown {
        1 => "1 step".to_owned(),
        _ if shown == all => format!("{shown} steps"),
        _ => format!("the first {shown} of {all} steps"),
    });
    parts.join(" · ")
}

/// The pictures, each once.
#[derive(Default)]
struct Pictures {
    numbers: HashMap<String, usize>,
    text: String,
}

impl Pictures {
    /// The number of this picture, which is kept if it is new.
    fn number_of(&mut self, svg: String) -> usize {
        let next = self.numbers.len() + 1;
        let [width, height] = picture_size();
        *self.numbers.entry(svg).or_insert_with_key(|svg| {
            let text = &mut self.text;
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                r#"<symbol id="picture-{next}" viewBox="0 0 {width} {height}">{svg}</symbol>"#
            );
            next
        })
    }
}

fn step(
    text: &mut String,
    pictures: &mut Pictures,
    history: &History,
    number: usize,
    count: usize,
    slide: &Slide,
) {
    let Some(place) = history.place_of(slide.moment) else {
        return;
    };
    let Some(moment) = history.moments().get(place) else {
        return;
    };
    let snapshot = &moment.snapshot;
    let chosen = slide.space.as_ref();
    let space = chosen
        .and_then(|name| snapshot.space_named(name))
        .or_else(|| snapshot.space_of_hart(slide.hart.unwrap_or(0)))
        .or_else(|| snapshot.spaces.first());
    let at = match slide.select {
        Selection::Nothing => None,
        select => {
            // A table is looked at where it can be written: through its window.
            let select = match select {
                Selection::Table { frame, .. } => Selection::Physical(frame.start()),
                other => other,
            };
            let index = space.map_or_else(ReverseIndex::default, ReverseIndex::new);
            Focus::resolve(space, &index, select).virt
        }
    };
    let svg = picture_svg(snapshot, space, &moment.difference, Theme::Page, at);
    let picture = pictures.number_of(svg);
    let stop = match snapshot.stop.as_str() {
        "" => format!("Step {number}"),
        stop => stop.to_owned(),
    };
    let stop = escaped(&stop);
    let [width, height] = picture_size();
    let _ = writeln!(
        text,
        r##"<section class="step" id="step-{number}" aria-label="Step {number} of {count}">
<h2><span class="number">{number}<span class="of"> of {count}</span></span> <code>{stop}</code></h2>
<svg class="picture" role="img" aria-label="Memory at step {number}: {stop}" viewBox="0 0 {width} {height}"><use href="#picture-{picture}"/></svg>
<div class="words">"##
    );
    caption(text, &slide.caption);
    changes(text, history, place);
    text.push_str("</div>\n</section>\n");
}

/// Each stretch of text between empty lines is a paragraph.
fn caption(text: &mut String, caption: &str) {
    if caption.trim().is_empty() {
        return;
    }
    text.push_str("<div class=\"caption\">\n");
    let mut lines: Vec<String> = Vec::new();
    let end = std::iter::once("");
    for line in caption.lines().chain(end) {
        if !line.trim().is_empty() {
            lines.push(escaped(line));
        } else if !lines.is_empty() {
            let _ = writeln!(text, "<p>{}</p>", lines.join("<br>\n"));
            lines.clear();
        }
    }
    text.push_str("</div>\n");
}

fn changes(text: &mut String, history: &History, place: usize) {
    let Some(moment) = history.moments().get(place) else {
        return;
    };
    let changes = &moment.difference.changes;
    if changes.is_empty() {
        return;
    }
    text.push_str("<details class=\"changes\" open><summary>What changed</summary>\n<ul>\n");
    for change in changes.iter().take(MOST_CHANGES) {
        let class = match change.kind() {
            crate::model::ChangeKind::Added => "added",
            crate::model::ChangeKind::Removed => "removed",
            crate::model::ChangeKind::Changed => "changed",
        };
        let words = escaped(&change.to_string());
        let _ = writeln!(text, r#"<li class="{class}">{words}</li>"#);
    }
    if changes.len() > MOST_CHANGES {
        let more = changes.len() - MOST_CHANGES;
        let _ = writeln!(text, "<li>… and {more} more</li>");
    }
    text.push_str("</ul></details>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    fn lecture() -> History {
        let mut history = fixture::history(4);
        let ids: Vec<_> = (0..5).filter_map(|place| history.id_at(place)).collect();
        history.notebook_mut().edit("a lecture", |pages| {
            pages.title = "</title><script>alert(1)</script>".into();
            pages.lecture = vec![
                Slide::new(ids[2], "First & <b>foremost</b>.\n\nSecond\nline."),
                Slide::new(ids[2], "The same picture."),
                Slide::new(ids[4], "Another."),
            ];
        });
        history
    }

    #[test]
    fn every_step_is_there_and_a_shared_picture_once() {
        let page = lecture_html(&lecture(), "lecture.ron");
        assert_eq!(page.matches("<section class=\"step\"").count(), 3);
        assert_eq!(page.matches("<symbol id=").count(), 2);
        assert_eq!(page.matches("href=\"#picture-1\"").count(), 2);
        assert!(page.contains("<p>First &amp; &lt;b&gt;foremost&lt;/b&gt;.</p>"));
        assert!(page.contains("<p>Second<br>\nline.</p>"));
        assert!(!page.contains("<script>alert"), "a title is no markup");
        assert!(page.contains("heap counter 11 → 12"));
    }

    #[test]
    fn the_page_names_no_other_place() {
        let page = lecture_html(&lecture(), "lecture.ron");
        // The name of SVG's namespace is no address.
        let page = page.replace("http://www.w3.org/2000/svg", "");
        for word in [
            "http:",
            "https:",
            "//cdn",
            "url(http",
            "<link rel=\"stylesheet",
        ] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("default-src 'none'"));
    }

    #[test]
    fn a_recording_without_a_lecture_shows_its_first_moments() {
        let page = lecture_html(&fixture::history(230), "steps.ron");
        assert_eq!(page.matches("<section class=\"step\"").count(), MOST_STEPS);
        assert!(page.contains("the first 200 of 231 steps"));
        assert!(page.contains("<title>steps.ron</title>"));
    }
}
