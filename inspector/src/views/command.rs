//! What the views ask for. They change nothing themselves: one place applies these, between
//! receiving and drawing.

mod desk;
mod guest;
mod lecture;
mod look;
mod time;

use std::path::PathBuf;

pub use desk::DeskCommand;
pub use guest::GuestCommand;
pub use lecture::LectureCommand;
pub use look::LookCommand;
pub use time::TimeCommand;

use crate::model::Selection;
use crate::session;

/// What a view asks for.
#[derive(Clone, PartialEq, Debug)]
pub enum UiCommand {
    /// Select this everywhere.
    Select(Selection),
    /// Select what was typed.
    GoTo(String),
    /// Put the keyboard into the address box.
    FocusAddressBox,
    /// Look at this moment.
    Seek(usize),
    /// Look at the moment this many steps on, or back.
    SeekBy(i64),
    /// Send this to the guest.
    Session(session::Command),
    /// Follow the guest while it runs, or no longer.
    ToggleFollow,
    /// Look at it this often.
    FollowRate(session::Rate),
    /// Step the function that allocates.
    StepCall,
    /// Step one instruction on the chosen hart.
    StepInstruction,
    /// How many calls a step takes.
    StepCount(u32),
    /// End the command that the link is working on.
    Cancel,
    /// Look at this hart, and at the space that it runs in.
    ChooseHart(u32),
    /// Look at the space of this name.
    ChooseSpace(String),
    /// Compare the space being looked at with the one of this name, or no longer.
    Compare(Option<String>),
    /// Show this tab under the picture.
    ShowTab(Tab),
    /// Write the moment being looked at to a file that the user names.
    SaveSnapshot,
    /// Write all moments to a file that the user names.
    SaveRecording,
    /// Open a file that the user names.
    Open,
    /// Use this file for this.
    File(FilePurpose, PathBuf),
    /// No file is wanted after all.
    ClosePrompt,
    /// Draw dark, light, or as the system does.
    Theme(egui::ThemePreference),
    /// Draw dark where it is light, and light where it is dark.
    OtherTheme,
    /// Larger (1), smaller (-1), or as it was (0).
    Zoom(i8),
    /// Show or hide the keys.
    ToggleHelp,
    /// The notice has been read.
    DismissNotice,
    /// About the maps.
    Look(LookCommand),
    /// About moments.
    Time(TimeCommand),
    /// About the guest.
    Guest(GuestCommand),
    /// About lectures and pictures.
    Lecture(LectureCommand),
    /// About the window itself.
    Desk(DeskCommand),
}

/// What a file is wanted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FilePurpose {
    /// To write the moment being looked at.
    SaveSnapshot,
    /// To write all moments.
    SaveRecording,
    /// To read.
    Open,
    /// To write the lecture as a page for a browser.
    ExportHtml,
    /// To write a picture that scales.
    ExportSvg,
    /// To write a picture of pixels.
    ExportPng,
    /// To write a drawing in characters.
    ExportText,
    /// To write a schematic drawing in characters, in the style of kernels' documents.
    ExportSchematic,
}

impl FilePurpose {
    /// What the question is called.
    pub const fn title(self) -> &'static str {
        match self {
            Self::SaveSnapshot => "Save snapshot",
            Self::SaveRecording => "Save recording",
            Self::ExportSvg => "Export picture as SVG",
            Self::ExportPng => "Export picture as PNG",
            Self::ExportText => "Export text",
            Self::ExportSchematic => "Export schematic",
            Self::Open => "Open a snapshot or a recording",
            Self::ExportHtml => "Export lecture as HTML",
        }
    }

    /// What its button says.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Open => "Open",
            _ => "Save",
        }
    }

    /// The name that is proposed.
    pub const fn default_name(self) -> &'static str {
        match self {
            Self::SaveSnapshot => "snapshot.ron",
            Self::SaveRecording => "recording.ron",
            Self::ExportSvg => "picture.svg",
            Self::ExportPng => "picture.png",
            Self::ExportText => "layout.txt",
            Self::ExportSchematic => "schematic.txt",
            Self::Open => "",
            Self::ExportHtml => "lecture.html",
        }
    }
}

/// What stands under the picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tab {
    /// Moments, and what each changed.
    #[default]
    Timeline,
    /// What the guest wrote, and what is typed for it.
    Console,
    /// The harts.
    Harts,
    /// What is wrong with the page tables.
    Check,
    /// The hart's registers.
    Registers,
    /// Numbers that are watched.
    Watches,
    /// Named stretches of memory.
    Regions,
    /// What the kernel did.
    Trace,
    /// What the link says.
    Log,
    /// Writing a lecture.
    Lecture,
}

impl Tab {
    /// All tabs in order.
    pub const ALL: [Self; 10] = [
        Self::Timeline,
        Self::Console,
        Self::Harts,
        Self::Registers,
        Self::Watches,
        Self::Regions,
        Self::Trace,
        Self::Check,
        Self::Log,
        Self::Lecture,
    ];

    /// Whether it is a list that needs height.
    pub const fn is_list(self) -> bool {
        !matches!(self, Self::Timeline | Self::Check)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeline => "Timeline",
            Self::Check => "Check",
            Self::Console => "Console",
            Self::Harts => "Harts",
            Self::Registers => "Registers",
            Self::Watches => "Watches",
            Self::Regions => "Regions",
            Self::Trace => "Trace",
            Self::Log => "Log",
            Self::Lecture => "Lecture",
        }
    }
}
