//! `pagescope lecture`: a lecture on the screen, or as a page for a browser.

use std::path::Path;

use super::arguments::Lecture;
use super::source::Place;
use super::{Answer, Failure, format, open};
use crate::app::App;
use crate::assets;
use crate::export::file::write_atomically;
use crate::export::html::lecture_html;
use crate::model::History;
use crate::views::command::LectureCommand;

pub(super) fn run(options: &Lecture) -> Result<Answer, Failure> {
    let Some(name) = &options.name else {
        for lecture in assets::lectures() {
            format::write(&format!("{:<16}{}", lecture.name, lecture.title));
        }
        return Ok(Answer::Yes);
    };
    let (history, title) = read(name)?;
    if history.slides().is_empty() {
        return Err(Failure::Usage(format!(
            "{name} has neither a lecture nor notes: open it, write notes (N), save it"
        )));
    }
    if options.html {
        return write_html(&history, &title, options.out.as_deref());
    }
    let mut app = App::offline(history, title);
    app.queue(LectureCommand::Present.into());
    open::show(app)
}

/// One of ours by its name, or a file.
fn read(name: &str) -> Result<(History, String), Failure> {
    let path = Path::new(name);
    if let Some(lecture) = assets::lecture(name).filter(|_| !path.exists()) {
        let history = History::from_text(lecture.text).map_err(Failure::Usage)?;
        return Ok((history, lecture.title.to_owned()));
    }
    let known: Vec<&str> = assets::lectures().iter().map(|it| it.name).collect();
    if !path.exists() {
        return Err(Failure::Usage(format!(
            "there is no file {name}, and no lecture of that name; there are {}",
            known.join(", ")
        )));
    }
    match Place::file(path, &Default::default())? {
        Place::File(history) => {
            let title = path.file_name().unwrap_or(path.as_os_str());
            Ok((history, title.to_string_lossy().into_owned()))
        }
        _ => Err(Failure::Usage(format!(
            "{name} is a dump of memory; a lecture is a recording (.ron)"
        ))),
    }
}

/// Writes the page to `out`, or prints it.
pub(super) fn write_html(
    history: &History,
    title: &str,
    out: Option<&Path>,
) -> Result<Answer, Failure> {
    let page = lecture_html(history, title);
    match out {
        Some(out) => {
            write_atomically(out, page.as_bytes()).map_err(Failure::usage)?;
            format::write(&format!("wrote {}", out.display()));
        }
        None => format::write(page.trim_end()),
    }
    Ok(Answer::Yes)
}
