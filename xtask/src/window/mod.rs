//! The window test: the real program, in a real window, on a live guest, driven as a person would.
//!
//! ```text
//!  Screen (Xvfb) ◀── keys, pictures ── scene ── starts, ends ──▶ App (pagescope) ──▶ QEMU
//! ```
//!
//! Four kinds of scenes: `session` is what a lecturer does, from the first step to the picture for a slide; `demo` launches a guest of its own, one for each layout, and must take it along when the window is closed;
//! `attach` comes to a guest started by hand, which must go on as it was; `channel` does so over the
//! kernel's own gdb stub, with no port of QEMU's open. The pictures that were taken stay in `target/window`, to be looked at.
//!
//! Everything that is started ends with its handle, whatever happens, and every wait ends by
//! itself.

mod app;
mod close;
mod picture;
mod scenes;
mod screen;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::command::Line;
use crate::failure::Failure;

/// How long a scene may take, from its first process to its last one's end.
const SCENE_LIMIT: Duration = Duration::from_secs(120);

/// How long a lecturer's session may: it waits for a still picture twelve times.
const SESSION_LIMIT: Duration = Duration::from_secs(300);

/// The layouts, and how often kalloc is stepped in each.
const LAYOUTS: [(&str, u32); 4] = [
    ("pseudos", 5),
    ("hypervisor", 2),
    ("process", 2),
    ("nanos", 2),
];

/// Builds the program, and plays the scenes.
pub(crate) fn run() -> Result<(), Failure> {
    // With the tests along, so that the features are those of `cargo test`, which has just built it.
    let build = Line::new("cargo build --workspace --tests --bin pagescope");
    eprintln!("   {build}\n");
    build.run()?;
    let places = Places::find()?;
    scenes::session(&places, Deadline::after(SESSION_LIMIT))?;
    for (layout, steps) in LAYOUTS {
        scenes::demo(&places, layout, steps, Deadline::after(SCENE_LIMIT))?;
    }
    for way in [scenes::Way::GdbPort, scenes::Way::Channel] {
        scenes::attach(&places, way, Deadline::after(SCENE_LIMIT))?;
    }
    eprintln!("   Pictures: {}", places.pictures.display());
    Ok(())
}

/// Where things are.
struct Places {
    /// The program under test.
    pagescope: PathBuf,
    /// Where pictures and logs go.
    pictures: PathBuf,
}

impl Places {
    /// Beside this program: cargo builds both into one folder, wherever it was told to.
    fn find() -> Result<Self, Failure> {
        let own = env::current_exe()
            .map_err(|error| Failure::new(format!("cannot tell where xtask itself is: {error}")))?;
        let folder = own.parent().unwrap_or(Path::new("."));
        let pagescope = folder.join("pagescope");
        if !pagescope.is_file() {
            return Err(Failure::new(format!(
                "{} was not built",
                pagescope.display()
            )));
        }
        let pictures = folder.parent().unwrap_or(folder).join("window");
        fs::create_dir_all(&pictures).map_err(|error| {
            Failure::new(format!("cannot make {}: {error}", pictures.display()))
        })?;
        Ok(Self {
            pagescope,
            pictures,
        })
    }
}

/// When waiting must end.
#[derive(Clone, Copy, Debug)]
struct Deadline(Instant);

impl Deadline {
    fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// The earlier of this one and `time` from now.
    fn within(self, time: Duration) -> Self {
        Self(self.0.min(Instant::now() + time))
    }

    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Asks every 100 ms until there is an answer; `None` when the time is over.
    fn poll<T>(
        self,
        mut ask: impl FnMut() -> Result<Option<T>, Failure>,
    ) -> Result<Option<T>, Failure> {
        loop {
            if let Some(answer) = ask()? {
                return Ok(Some(answer));
            }
            if self.left().is_zero() {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(100).min(self.left()));
        }
    }
}
