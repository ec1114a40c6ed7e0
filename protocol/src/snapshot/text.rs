//! Snapshots and recordings as RON text, laid out for people.
//!
//! The layout is ours (one mapping, table or region a line), each line is written by the `ron`
//! crate, and reading is wholly its: a file laid out otherwise reads the same.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use ron::Options;
use ron::extensions::Extensions;
use ron::ser::PrettyConfig;
use serde::Serialize;
use thiserror::Error;

use super::{
    Hart, LectureStep, Recording, RecordingStep, Snapshot, Space, SpaceChange, Taken, hex, lecture,
};

const HEADER: &str = "\
// Pagescope: the memory of a running system, for people first.
// Addresses and sizes are hexadecimal, page sizes decimal; flags are rwxugad, '-' where off.
// A table's entries are packed: 508-511=0x21fff0c7+0x400 is four words, each 0x400 more.
";

/// Registers that stand on one line.
const REGISTERS_PER_LINE: usize = 4;

/// What a file holds.
#[derive(Clone, PartialEq, Debug)]
pub enum Document {
    /// One moment.
    Snapshot(Snapshot),
    /// Several.
    Recording(Recording),
}

/// Why a text is not a snapshot or a recording.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum TextError {
    /// There is nothing in it.
    #[error("this is empty: a snapshot begins with Snapshot(…), a recording with Recording(…)")]
    Empty,
    /// It is something else altogether.
    #[error("this is neither a Snapshot(…) nor a Recording(…): it begins with {0:?}")]
    Foreign(String),
    /// It ends too early, or is damaged.
    #[error("line {line}, column {column}, in field `{field}`: {message}\n    {text}")]
    Damaged {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The last field named before the place.
        field: String,
        /// What is wrong.
        message: String,
        /// The line.
        text: String,
    },
    /// It reads, and says something impossible.
    #[error("space {space:?}: {what}")]
    Impossible {
        /// The space's name.
        space: String,
        /// What is impossible.
        what: String,
    },
    /// Its bookmarks or its lecture do not fit its moments.
    #[error("{0}")]
    Misfit(String),
}

fn options() -> Options {
    Options::default().with_default_extension(Extensions::IMPLICIT_SOME)
}

/// The text of `snapshot`.
pub fn snapshot_to_text(snapshot: &Snapshot) -> String {
    let mut writer = Writer {
        text: HEADER.into(),
        depth: 0,
    };
    writer.open("Snapshot(");
    writer.snapshot_fields(snapshot);
    writer.close(")\n");
    writer.text
}

/// The text of `recording`.
pub fn recording_to_text(recording: &Recording) -> String {
    let mut writer = Writer {
        text: HEADER.into(),
        depth: 0,
    };
    writer.open("Recording(");
    let Recording {
        version,
        title,
        bookmarks,
        lecture,
        base,
        steps,
    } = recording;
    writer.field("version", version);
    writer.optional("title", Some(title).filter(|title| !title.is_empty()));
    if !bookmarks.is_empty() {
        writer.list("bookmarks", bookmarks);
    }
    writer.lecture(lecture);
    writer.open("base: Snapshot(");
    writer.snapshot_fields(base);
    writer.close("),\n");
    writer.open("steps: [");
    for step in steps {
        writer.open("(");
        writer.step_fields(step);
        writer.close("),\n");
    }
    writer.close("],\n");
    writer.close(")\n");
    writer.text
}

/// What `text` holds.
///
/// # Errors
/// [`TextError`], which names line and field.
pub fn from_text(text: &str) -> Result<Document, TextError> {
    let first = first_word(text);
    let document = match first.as_str() {
        "Snapshot" => options().from_str(text).map(Document::Snapshot),
        "Recording" => options().from_str(text).map(Document::Recording),
        "" => return Err(TextError::Empty),
        _ => return Err(TextError::Foreign(first)),
    };
    let document = document.map_err(|error| damaged(text, &error))?;
    match &document {
        Document::Snapshot(snapshot) => snapshot.spaces.iter().try_for_each(check_space)?,
        Document::Recording(recording) => {
            if let Some(misfit) = lecture::misfit(recording) {
                return Err(TextError::Misfit(misfit));
            }
            recording.base.spaces.iter().try_for_each(check_space)?;
            let changes = recording.steps.iter().flat_map(|step| &step.spaces);
            changes.into_iter().try_for_each(|change| {
                change
                    .mappings
                    .iter()
                    .try_for_each(|mapping| check_mapping(&change.name, mapping))
            })?;
        }
    }
    Ok(document)
}

/// The first word that is not in a comment or an attribute, or what stands there instead; empty
/// where nothing does.
fn first_word(text: &str) -> String {
    let mut rest = text.trim_start();
    loop {
        let after = if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/")
        } else if rest.starts_with("//") || rest.starts_with("#![") {
            rest.split_once('\n')
        } else {
            break;
        };
        rest = after.map_or("", |(_, after)| after.trim_start());
    }
    let line = rest.lines().next().unwrap_or("");
    let word: String = line
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    if word.is_empty() {
        line.chars().take(20).collect()
    } else {
        word
    }
}

fn damaged(text: &str, error: &ron::error::SpannedError) -> TextError {
    let position = error.span.start;
    let line_text = text
        .lines()
        .nth(position.line.saturating_sub(1))
        .unwrap_or("");
    TextError::Damaged {
        line: position.line,
        column: position.col,
        field: field_at(text, position.line, position.col),
        message: error.code.to_string(),
        text: line_text.trim().chars().take(120).collect(),
    }
}

/// The last field named before a place: the word before the last colon that is in no string and in
/// no comment. Empty where there is none.
fn field_at(text: &str, line: usize, column: usize) -> String {
    let lines = text.split_inclusive('\n').enumerate().take(line);
    let mut before = lines.flat_map(|(number, content)| {
        let width = if number + 1 == line {
            column
        } else {
            usize::MAX
        };
        content.chars().take(width)
    });
    let mut field = String::new();
    let mut word = String::new();
    while let Some(c) = before.next() {
        match c {
            '"' => {
                // Up to the closing quote, which a backslash hides.
                while let Some(inside) = before.next() {
                    match inside {
                        '"' => break,
                        '\\' => {
                            before.next();
                        }
                        _ => {}
                    }
                }
            }
            // Our files have line comments only.
            '/' => {
                before.by_ref().find(|c| *c == '\n');
            }
            ':' if !word.is_empty() => field = core::mem::take(&mut word),
            _ => {}
        }
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
        } else {
            word.clear();
        }
    }
    field
}

fn check_space(space: &Space) -> Result<(), TextError> {
    space
        .mappings
        .iter()
        .try_for_each(|mapping| check_mapping(&space.name, &mapping))?;
    let starts = space.mappings.ranges().map(|range| range.virt);
    if starts
        .clone()
        .zip(starts.skip(1))
        .any(|(one, next)| one >= next)
    {
        return Err(TextError::Impossible {
            space: space.name.clone(),
            what: "its mappings are not in the order of their addresses".into(),
        });
    }
    Ok(())
}

fn check_mapping(space: &str, mapping: &super::Mapping) -> Result<(), TextError> {
    let fits = |start: u64| mapping.size != 0 && start.checked_add(mapping.size - 1).is_some();
    let sizes = mapping.page_size.is_power_of_two() && mapping.page_size >= crate::PAGE_SIZE;
    if sizes && fits(mapping.virt.as_u64()) && fits(mapping.phys.as_u64()) {
        return Ok(());
    }
    Err(TextError::Impossible {
        space: space.into(),
        what: format!(
            "a mapping of {:#x} bytes in pages of {} at {}",
            mapping.size, mapping.page_size, mapping.virt
        ),
    })
}

/// Lays fields out over lines; what stands on one line is `ron`'s own writing.
struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    fn indent(&mut self) {
        for _ in 0..self.depth {
            self.text.push_str("    ");
        }
    }

    fn open(&mut self, head: &str) {
        self.indent();
        self.text.push_str(head);
        self.text.push('\n');
        self.depth += 1;
    }

    fn close(&mut self, tail: &str) {
        self.depth -= 1;
        self.indent();
        self.text.push_str(tail);
    }

    fn value<T: Serialize>(&mut self, value: &T) {
        let config = PrettyConfig::new().depth_limit(0).escape_strings(true);
        // Our types are plain data: nothing in them refuses to be written.
        let text = options()
            .to_string_pretty(value, config)
            .unwrap_or_default();
        self.text.push_str(&text);
    }

    fn field<T: Serialize>(&mut self, name: &str, value: &T) {
        self.indent();
        self.text.push_str(name);
        self.text.push_str(": ");
        self.value(value);
        self.text.push_str(",\n");
    }

    /// A field that is left out where nothing is known.
    fn optional<T: Serialize>(&mut self, name: &str, value: Option<&T>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    /// One item a line.
    fn list<T: Serialize>(&mut self, name: &str, items: impl IntoIterator<Item = T>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return self.field(name, &Vec::<T>::new());
        }
        self.open(&format!("{name}: ["));
        for item in items {
            self.indent();
            self.value(&item);
            self.text.push_str(",\n");
        }
        self.close("],\n");
    }

    fn snapshot_fields(&mut self, snapshot: &Snapshot) {
        // Taken apart by name, so that a new field cannot be forgotten here.
        let Snapshot {
            version,
            provenance,
            stop,
            taken,
            notes,
            warnings,
            kernel,
            heap,
            harts,
            physical,
            regions,
            watches,
            spaces,
            frames,
            trace,
        } = snapshot;
        self.field("version", version);
        self.field("provenance", provenance);
        self.field("stop", stop);
        self.taken(taken);
        self.prose("notes", notes);
        self.warnings(warnings);
        self.field("kernel", kernel);
        self.field("heap", heap);
        self.harts(harts);
        self.list("physical", physical);
        self.list("regions", regions);
        self.list("watches", watches);
        self.open("spaces: [");
        for space in spaces {
            self.space(space);
        }
        self.close("],\n");
        self.list("frames", frames);
        self.list("trace", trace);
    }

    /// What a person writes and reads: its line breaks are line breaks in the file too.
    fn prose(&mut self, name: &str, text: &str) {
        self.indent();
        self.text.push_str(name);
        self.text.push_str(": ");
        let begin = self.text.len();
        self.value(&text);
        let escaped = self.text.split_off(begin);
        let mut letters = escaped.chars();
        while let Some(letter) = letters.next() {
            let escape = if letter == '\\' { letters.next() } else { None };
            match escape {
                Some('n') => self.text.push('\n'),
                // Needs no escape between double quotes.
                Some('\'') => self.text.push('\''),
                other => {
                    self.text.push(letter);
                    self.text.extend(other);
                }
            }
        }
        self.text.push_str(",\n");
    }

    fn warnings(&mut self, warnings: &[String]) {
        if !warnings.is_empty() {
            self.list("warnings", warnings);
        }
    }

    fn lecture(&mut self, lecture: &[LectureStep]) {
        if lecture.is_empty() {
            return;
        }
        self.open("lecture: [");
        for step in lecture {
            let LectureStep {
                moment,
                caption,
                select,
                space,
                hart,
                view,
            } = step;
            self.open("(");
            self.field("moment", moment);
            self.optional("select", select.as_ref());
            self.optional("space", space.as_ref());
            self.optional("hart", hart.as_ref());
            self.optional("view", view.as_ref());
            self.prose("caption", caption);
            self.close("),\n");
        }
        self.close("],\n");
    }

    /// Left out where the guest stood still.
    fn taken(&mut self, taken: &Taken) {
        if !taken.is_stopped() {
            self.field("taken", taken);
        }
    }

    fn harts(&mut self, harts: &[Hart]) {
        if harts.is_empty() {
            return self.field("harts", &harts);
        }
        self.open("harts: [");
        for hart in harts {
            let Hart {
                id,
                pc,
                place,
                privilege,
                satp,
                registers,
            } = hart;
            self.open("(");
            self.field("id", id);
            self.field("pc", &pc.map(|pc| pc.to_string()));
            self.optional("place", Some(place).filter(|place| !place.is_empty()));
            self.field("privilege", privilege);
            self.field("satp", &satp.map(hex::satp_text));
            self.open("registers: {");
            for line in registers.chunks(REGISTERS_PER_LINE) {
                self.indent();
                for (place, register) in line.iter().enumerate() {
                    self.text.push_str(if place == 0 { "" } else { " " });
                    self.value(&register.name);
                    self.text.push_str(": ");
                    self.value(&hex::word_text(register.value));
                    self.text.push(',');
                }
                self.text.push('\n');
            }
            self.close("},\n");
            self.close("),\n");
        }
        self.close("],\n");
    }

    fn space(&mut self, space: &Space) {
        let Space {
            name,
            mode,
            asid,
            root,
            kind,
            number,
            harts,
            through,
            truncated,
            tables,
            mappings,
        } = space;
        self.open("(");
        self.field("name", name);
        self.field("mode", &hex::mode_text(*mode));
        self.field("asid", asid);
        self.field("root", &root.to_string());
        self.optional("kind", kind.as_ref());
        self.optional("number", number.as_ref());
        self.field("harts", harts);
        self.optional("through", through.as_ref());
        self.field("truncated", truncated);
        self.list("tables", tables);
        self.list("mappings", mappings);
        self.close("),\n");
    }

    fn step_fields(&mut self, step: &RecordingStep) {
        let RecordingStep {
            stop,
            taken,
            notes,
            warnings,
            captured_at,
            heap,
            kernel,
            harts,
            watches,
            spaces,
            regions,
            trace,
            rest,
        } = step;
        self.field("stop", stop);
        self.taken(taken);
        self.prose("notes", notes);
        self.warnings(warnings);
        self.field("captured_at", captured_at);
        self.field("heap", heap);
        self.field("kernel", kernel);
        self.harts(harts);
        self.list("watches", watches);
        self.open("spaces: [");
        for change in spaces {
            self.change(change);
        }
        self.close("],\n");
        if let Some(edits) = regions {
            self.list("regions", edits);
        }
        if let Some(edits) = trace {
            self.list("trace", edits);
        }
        self.field("rest", rest);
    }

    fn change(&mut self, change: &SpaceChange) {
        let SpaceChange {
            name,
            mode,
            asid,
            root,
            kind,
            number,
            harts,
            through,
            truncated,
            tables_gone,
            tables,
            mappings_gone,
            mappings,
        } = change;
        self.open("(");
        self.field("name", name);
        self.field("mode", &hex::mode_text(*mode));
        self.field("asid", asid);
        self.field("root", &root.to_string());
        self.optional("kind", kind.as_ref());
        self.optional("number", number.as_ref());
        self.field("harts", harts);
        self.optional("through", through.as_ref());
        self.field("truncated", truncated);
        self.field("tables_gone", tables_gone);
        self.list("tables", tables);
        self.field("mappings_gone", mappings_gone);
        self.list("mappings", mappings);
        self.close("),\n");
    }
}
