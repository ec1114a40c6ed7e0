//! What the views read of lectures, and of pictures of the views.

use std::sync::Arc;

use crate::model::{MomentId, Selection, Sign, Slide};

/// State of lectures and pictures.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LectureState {
    /// The lecture that is being shown.
    pub show: Option<Show>,
    /// The step that is being written.
    pub chosen: usize,
}

/// A lecture that is being shown.
#[derive(Clone, PartialEq, Debug)]
pub struct Show {
    /// Its steps, at least one.
    pub slides: Arc<[Slide]>,
    /// The one that is shown.
    pub step: usize,
    /// Whether nothing is to be seen for now.
    pub is_blank: bool,
    /// How everything was before.
    pub before: Before,
}

impl Show {
    /// The step that is shown.
    pub fn slide(&self) -> Option<&Slide> {
        self.slides.get(self.step)
    }
}

/// How everything was before a lecture, to be so again.
#[derive(Clone, PartialEq, Debug)]
pub struct Before {
    /// The moment that was looked at; `None` where the last one was followed.
    pub moment: Option<MomentId>,
    /// The moment that was compared with.
    pub base: Option<MomentId>,
    /// What was selected, and whether somebody had chosen it.
    pub selection: (Selection, bool),
    /// The hart.
    pub hart: u32,
    /// The space, and the one that it was compared with.
    pub spaces: [Option<String>; 2],
    /// What alone was drawn bright.
    pub filter: Option<Sign>,
    /// Dark, light, or as the system does.
    pub theme: egui::ThemePreference,
    /// How large everything was drawn.
    pub zoom: f32,
    /// Whether the window filled the screen.
    pub is_full_screen: bool,
}
