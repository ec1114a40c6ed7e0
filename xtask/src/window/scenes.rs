//! What is played, and what must be seen.

use std::env;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::Duration;

use super::app::{App, is_qemu};
use super::picture::Picture;
use super::screen::{Screen, Window};
use super::{Deadline, Places};
use crate::failure::Failure;

/// Steps kalloc (the window's own help says so).
const STEP_KEY: &str = "F8";

/// Fewer colours than this is a window with nothing in it: text alone, with its smooth edges, has
/// more.
const FEWEST_COLOURS: usize = 60;

/// Fewer differing pixels than this is a blinking caret, not a step.
const FEWEST_PIXELS: usize = 200;

/// How long the first picture must stay as it is: meanwhile the guest boots, and is captured.
const FIRST_QUIET: Duration = Duration::from_secs(2);

/// How long any later picture must.
const STEP_QUIET: Duration = Duration::from_millis(300);

/// `pagescope demo`: a window on a guest of its own, with this layout; kalloc steps show; closing takes
/// the guest along.
pub(super) fn demo(
    places: &Places,
    layout: &'static str,
    steps: u32,
    deadline: Deadline,
) -> Result<(), Failure> {
    say(&format!("{layout}: a window on a guest of its own"));
    let screen = Screen::start(deadline)?;
    let mut command = Command::new(&places.pagescope);
    command.args(["demo", "--layout", layout]);
    screen.show(&mut command);
    let log = places.pictures.join(format!("{layout}.log"));
    let mut app = App::start("pagescope demo", command, log)?;
    let scene = Scene {
        screen: &screen,
        window: screen.window(&mut app, deadline)?,
        pictures: &places.pictures,
        name: layout,
        deadline,
    };
    let guests = deadline.within(Duration::from_secs(30)).poll(|| {
        app.still_runs()?;
        let guests = app.guests();
        Ok((!guests.is_empty()).then_some(guests))
    })?;
    let guests =
        guests.ok_or_else(|| app.failure("shows a window, but no QEMU is among its processes"))?;
    let first = scene.first_picture(&mut app)?;
    scene.step(&mut app, first, steps)?;
    screen.resize(scene.window, 1000, 700)?;
    scene.picture("1000x700", STEP_QUIET, |picture| {
        picture.colours() >= FEWEST_COLOURS
    })?;
    scene.close(&mut app)?;
    let gone = deadline
        .within(Duration::from_secs(10))
        .poll(|| Ok((!guests.iter().any(|pid| is_qemu(*pid))).then_some(())))?;
    gone.ok_or_else(|| app.failure("has ended, and its QEMU still runs"))?;
    say(&format!("{layout}: closed, and its QEMU is gone"));
    Ok(())
}

/// What a lecturer does: start, step kalloc five times, look at the new page, go back in time, write a picture for a
/// slide, quit. The picture must say what was looked at.
pub(super) fn session(places: &Places, deadline: Deadline) -> Result<(), Failure> {
    say("session: from the first step to a slide");
    let screen = Screen::start(deadline)?;
    let mut command = Command::new(&places.pagescope);
    command.args(["demo", "--layout", "pseudos"]);
    screen.show(&mut command);
    let mut app = App::start(
        "pagescope demo",
        command,
        places.pictures.join("session.log"),
    )?;
    let scene = Scene {
        screen: &screen,
        window: screen.window(&mut app, deadline)?,
        pictures: &places.pictures,
        name: "session",
        deadline,
    };
    let first = scene.first_picture(&mut app)?;
    scene.step(&mut app, first, 5)?;
    // kalloc(0) to kalloc(7) are the boot's, and each page lies under the one before: the fifth step's.
    let page = "0x87ff2000";
    let shows = |what: &str, before: &Picture| {
        scene.picture(what, STEP_QUIET, |picture| {
            picture.differing_pixels(before) >= FEWEST_PIXELS
        })
    };
    let stepped = scene.picture("stepped", STEP_QUIET, |_| true)?;
    screen.press("ctrl+l")?;
    screen.type_text(page)?;
    screen.press("Return")?;
    let selected = shows("selected", &stepped)?;
    say("session: the new page is selected");
    screen.press("Left")?;
    screen.press("Left")?;
    let back = shows("back", &selected)?;
    say("session: two steps back in time");
    screen.press("End")?;
    let now = shows("now", &back)?;
    let slide = places.pictures.join("session.svg");
    let _ = fs::remove_file(&slide);
    screen.press("ctrl+e")?;
    let asked = shows("export", &now)?;
    // The question's first button has the keyboard; a desktop without file dialogs asks for the path.
    screen.press("space")?;
    shows("path", &asked)?;
    screen.press("ctrl+a")?;
    screen.type_text(&slide.to_string_lossy())?;
    screen.press("Return")?;
    let written = deadline.within(Duration::from_secs(20)).poll(|| {
        app.still_runs()?;
        Ok(fs::read_to_string(&slide)
            .ok()
            .filter(|svg| !svg.is_empty()))
    })?;
    let svg = written.ok_or_else(|| app.failure("writes no picture"))?;
    for wanted in ["<svg", page, "Virtual", "Page tables", "Physical", "</svg>"] {
        if !svg.contains(wanted) {
            return Err(Failure::new(format!("{} has no {wanted}", slide.display())));
        }
    }
    if svg.replace("http://www.w3.org/", "").contains("http") {
        return Err(Failure::new(format!(
            "{} refers to something outside of it",
            slide.display()
        )));
    }
    scene.close(&mut app)?;
    say("session: the slide is written, and the window closed");
    Ok(())
}

/// By which way a window comes to a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// QEMU's gdb port.
    GdbPort,
    /// The gdb stub that our kernel has on its serial line; QEMU has no gdb port then.
    Channel,
}

impl Way {
    /// What its pictures are called.
    fn name(self) -> &'static str {
        match self {
            Self::GdbPort => "attach",
            Self::Channel => "channel",
        }
    }

    /// QEMU's option that takes a socket for it, and what else that QEMU needs.
    fn options(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::GdbPort => ("-gdb", &["-serial", "null"]),
            Self::Channel => ("-serial", &[]),
        }
    }
}

/// `pagescope attach`: a window on a guest that somebody else started, and that runs on after it.
pub(super) fn attach(places: &Places, way: Way, deadline: Deadline) -> Result<(), Failure> {
    let name = way.name();
    say(&format!(
        "{name}: a window on a guest that was started by hand"
    ));
    let folder = Folder::new()?;
    let kernel = folder.path("kernel.elf");
    let mut write = Command::new(&places.pagescope);
    write.args(["kernel", "-o"]).arg(&kernel);
    let mut write = App::start(
        "pagescope kernel",
        write,
        places.pictures.join("kernel.log"),
    )?;
    if !write.wait(deadline)?.success() {
        return Err(write.failure("failed"));
    }

    let (port, monitor) = (folder.path("gdb"), folder.path("monitor"));
    let mut qemu = Command::new("qemu-system-riscv64");
    let (port_option, others) = way.options();
    qemu.args("-M virt -m 128M -bios none -display none -kernel".split(' '))
        .arg(&kernel)
        .args(others);
    for (option, socket) in [(port_option, &port), ("-monitor", &monitor)] {
        let socket = format!("unix:{},server=on,wait=off", socket.display());
        qemu.args([option, socket.as_str()]);
    }
    let mut guest = App::start(
        "QEMU",
        qemu,
        places.pictures.join(format!("{name}-qemu.log")),
    )?;
    let open = deadline.poll(|| {
        guest.still_runs()?;
        Ok((port.exists() && monitor.exists()).then_some(()))
    })?;
    open.ok_or_else(|| guest.failure("opens no port"))?;

    let screen = Screen::start(deadline)?;
    let mut command = Command::new(&places.pagescope);
    command
        .arg("attach")
        .arg(format!("unix:{}", port.display()))
        .arg("--elf")
        .arg(&kernel);
    screen.show(&mut command);
    let mut app = App::start(
        "pagescope attach",
        command,
        places.pictures.join(format!("{name}.log")),
    )?;
    let scene = Scene {
        screen: &screen,
        window: screen.window(&mut app, deadline)?,
        pictures: &places.pictures,
        name,
        deadline,
    };
    let first = scene.first_picture(&mut app)?;
    scene.step(&mut app, first, 2)?;
    scene.close(&mut app)?;
    guest.still_runs()?;
    let status = guest_status(&monitor)
        .map_err(|error| Failure::new(format!("cannot ask QEMU's monitor: {error}")))?;
    if !status.contains("running") {
        return Err(Failure::new(format!(
            "the guest ran before pagescope attached to it, and was left like this: {status}"
        )));
    }
    say(&format!("{name}: closed, and the guest runs on"));
    Ok(())
}

/// A window and what is done to it.
struct Scene<'a> {
    screen: &'a Screen,
    window: Window,
    pictures: &'a Path,
    name: &'static str,
    deadline: Deadline,
}

impl Scene<'_> {
    /// Waits until something is drawn, and stays.
    fn first_picture(&self, app: &mut App) -> Result<Picture, Failure> {
        let picture = self.picture("0", FIRST_QUIET, |picture| {
            picture.colours() >= FEWEST_COLOURS
        });
        app.still_runs()?;
        picture
    }

    /// Presses the key as often, and sees each time that the window changes.
    fn step(&self, app: &mut App, first: Picture, times: u32) -> Result<(), Failure> {
        let mut before = first;
        for number in 1..=times {
            self.screen.press(STEP_KEY)?;
            let changed = self.picture(&number.to_string(), STEP_QUIET, |picture| {
                picture.differing_pixels(&before) >= FEWEST_PIXELS
            });
            app.still_runs()?;
            before = changed.map_err(|failure| {
                app.failure(&format!(
                    "shows no step {number} after {STEP_KEY} ({failure})"
                ))
            })?;
            say(&format!("{}: step {number} shows", self.name));
        }
        Ok(())
    }

    /// Waits for such a picture.
    fn picture(
        &self,
        name: &str,
        quiet: Duration,
        wanted: impl Fn(&Picture) -> bool,
    ) -> Result<Picture, Failure> {
        let file = self.pictures.join(format!("{}-{name}.png", self.name));
        let deadline = self.deadline.within(Duration::from_secs(20));
        let picture = self
            .screen
            .picture_when(self.window, &file, deadline, quiet, wanted)?;
        picture.ok_or_else(|| {
            Failure::new(format!("what was to be seen is not in {}", file.display()))
        })
    }

    /// Closes the window, and sees the program end well.
    fn close(&self, app: &mut App) -> Result<(), Failure> {
        self.screen.close(self.window)?;
        let status = app.wait(self.deadline.within(Duration::from_secs(20)))?;
        if status.success() {
            Ok(())
        } else {
            Err(app.failure(&format!("did not end well when closed ({status})")))
        }
    }
}

/// What QEMU's monitor says to `info status`: "VM status: running".
fn guest_status(monitor: &Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(monitor)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"info status\n")?;
    let mut said = String::new();
    let mut bytes = [0; 1024];
    loop {
        let count = stream.read(&mut bytes)?;
        said.push_str(&String::from_utf8_lossy(&bytes[..count]));
        if let Some((_, status)) = said.split_once("VM status: ")
            && let Some((status, _)) = status.split_once(['\r', '\n'])
        {
            return Ok(status.to_owned());
        }
        if count == 0 {
            return Ok(format!("(unknown; the monitor said {said:?})"));
        }
    }
}

/// A folder for sockets, whose paths must be short; it goes with this handle.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Failure> {
        let path = env::temp_dir().join(format!("pagescope-window-{}", process::id()));
        fs::create_dir_all(&path)
            .map_err(|error| Failure::new(format!("cannot make {}: {error}", path.display())))?;
        Ok(Self(path))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn say(what: &str) {
    eprintln!("   {what}");
}
