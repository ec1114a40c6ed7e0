//! The lectures that the program carries: made from our own kernel by `cargo xtask lectures`.

/// A lecture that needs no file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lecture {
    /// What it is called on the command line: `self-map`.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it shows, in a sentence.
    pub about: &'static str,
    /// The recording, as it stands in a file.
    pub text: &'static str,
}

macro_rules! lecture {
    ($name:literal, $title:literal, $about:literal) => {
        Lecture {
            name: $name,
            title: $title,
            about: $about,
            text: include_str!(concat!("../../assets/lectures/", $name, ".ron")),
        }
    };
}

const LECTURES: [Lecture; 5] = [
    lecture!(
        "self-map",
        "The self-map bootstrap",
        "How the first page tables come to map themselves."
    ),
    lecture!(
        "crossing-2mib",
        "Crossing 2 MiB: kalloc makes a new L0",
        "The page that needs a table of its own."
    ),
    lecture!(
        "demand-fault",
        "The demand fault: store, and let M-mode make the table",
        "A store where no table is, tried again until there is one."
    ),
    lecture!(
        "cpu-structs",
        "One address, four harts: private cpu structs",
        "The same address leads each hart to a page of its own."
    ),
    lecture!(
        "stack-growth",
        "A process's stack grows",
        "Pages that are there when they are written to, and not before."
    ),
];

/// All of them, in the order in which they are best shown.
pub const fn lectures() -> &'static [Lecture] {
    &LECTURES
}

/// The one of this name.
pub fn lecture(name: &str) -> Option<&'static Lecture> {
    LECTURES.iter().find(|lecture| lecture.name == name)
}
