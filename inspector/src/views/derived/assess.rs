//! What follows from a moment and takes time with its mappings: the bands of the virtual map, who maps which frame, the
//! check, what of each region is mapped.
//!
//! A space of a few thousand mappings is done within the frame that asks. A large one is done by a thread of its own, and
//! what was known before stays on the screen, marked, until that has come to its end: neither scrubbing nor a step waits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, TryRecvError, bounded};
use pagescope_protocol::TranslationMode;
use pagescope_protocol::snapshot::{Snapshot, Space};

use super::fold::fold_alike;
use crate::model::check::{Finding, Report, SpaceReport};
use crate::model::region_rows::{Mapped, region_rows};
use crate::model::{Band, Difference, ReverseIndex, fold_windows, in_machine_terms, virtual_bands};

/// A space with more mappings than this is assessed by a thread of its own.
const LARGE: usize = 4096;

/// All that takes time with the number of mappings.
#[derive(Debug, Default)]
pub(super) struct Assessment {
    pub(super) virtual_bands: Vec<Band>,
    pub(super) index: ReverseIndex,
    pub(super) shared: Vec<(u64, u64)>,
    pub(super) report: Option<SpaceReport>,
    pub(super) kernel_findings: Vec<Finding>,
    pub(super) mapped: Vec<(Mapped, u64)>,
}

impl Assessment {
    /// Of this space of this moment.
    fn of(snapshot: &Snapshot, space: Option<&Space>, difference: &Difference) -> Self {
        let translated = space.filter(|space| space.mode != TranslationMode::Bare);
        let (virtual_bands, index) = match translated {
            Some(space) => (
                fold_windows(
                    snapshot,
                    space,
                    fold_alike(virtual_bands(snapshot, space, difference)),
                ),
                ReverseIndex::new(&in_machine_terms(snapshot, space)),
            ),
            None => (Vec::new(), ReverseIndex::default()),
        };
        let rows = region_rows(snapshot, space);
        let mut report = Report::new(snapshot, space);
        Self {
            virtual_bands,
            shared: index.shared(),
            index,
            report: report.spaces.pop(),
            kernel_findings: report.kernel,
            mapped: rows
                .iter()
                .map(|row| (row.mapped, row.mapped_bytes))
                .collect(),
        }
    }
}

/// A moment, and the space of it that is looked at.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) snapshot: Arc<Snapshot>,
    /// The space's place in the snapshot.
    pub(super) space: Option<usize>,
    pub(super) difference: Arc<Difference>,
}

impl Question {
    fn space(&self) -> Option<&Space> {
        self.snapshot.spaces.get(self.space?)
    }

    fn is_large(&self) -> bool {
        self.space()
            .is_some_and(|space| space.mappings.len() > LARGE)
    }

    fn answer(&self) -> Assessment {
        Assessment::of(&self.snapshot, self.space(), &self.difference)
    }

    fn is_about(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.snapshot, &other.snapshot) && self.space == other.space
    }
}

/// Assesses one moment after the other: of those that came while it was busy, the last.
#[derive(Debug, Default)]
pub(super) struct Assessor {
    wanted: Option<Question>,
    working: Option<(Question, Receiver<Option<Assessment>>)>,
}

impl Assessor {
    /// Asks. The answer is given at once where that is cheap; else [`Self::take`] has it later.
    pub(super) fn ask(&mut self, question: Question, ctx: &egui::Context) -> Option<Assessment> {
        if !question.is_large() {
            self.wanted = None;
            return Some(question.answer());
        }
        self.wanted = Some(question);
        self.start(ctx);
        None
    }

    /// The answer to the question that was asked last, once.
    pub(super) fn take(&mut self, ctx: &egui::Context) -> Option<Assessment> {
        let (question, answers) = self.working.as_ref()?;
        let answer = match answers.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => None,
        };
        let is_wanted = self
            .wanted
            .as_ref()
            .is_some_and(|wanted| wanted.is_about(question));
        self.working = None;
        if is_wanted {
            self.wanted = None;
            return answer;
        }
        self.start(ctx);
        None
    }

    /// Whether an answer is on its way.
    pub(super) const fn is_busy(&self) -> bool {
        self.wanted.is_some()
    }

    fn start(&mut self, ctx: &egui::Context) {
        let (Some(wanted), None) = (&self.wanted, &self.working) else {
            return;
        };
        let (answer, answers) = bounded(1);
        let question = wanted.clone();
        let asked = wanted.clone();
        let window = ctx.clone();
        let work = move || {
            let done = catch_unwind(AssertUnwindSafe(|| question.answer()));
            // The window may be closed by now.
            let _ = answer.send(done.ok());
            window.request_repaint();
        };
        match thread::Builder::new().name("assess".into()).spawn(work) {
            Ok(_) => self.working = Some((asked, answers)),
            Err(_) => self.wanted = None,
        }
    }
}
