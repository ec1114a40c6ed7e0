//! A display without a screen: Xvfb, and what a person does at it.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::app::App;
use super::picture::Picture;
use super::{Deadline, close};
use crate::failure::Failure;

/// How long one xdotool or import may take.
const TOOL_LIMIT: Duration = Duration::from_secs(20);

/// A display; it ends with this handle.
#[derive(Debug)]
pub(super) struct Screen {
    server: Child,
    number: u32,
}

/// A window on it, by the number that the display gave it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window(u32);

impl Screen {
    /// Starts a display of 1400×900 under a number that is free.
    pub(super) fn start(deadline: Deadline) -> Result<Self, Failure> {
        let mut server = Command::new("Xvfb")
            .args("-displayfd 1 -screen 0 1400x900x24 -nolisten tcp -noreset".split(' '))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| Failure::new(format!("cannot start Xvfb: {error}")))?;
        let said = server.stdout.take();
        // From here on the handle ends the server if anything fails.
        let mut screen = Self { server, number: 0 };
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            if let Some(said) = said {
                let _ = BufReader::new(said).read_line(&mut line);
            }
            let _ = sender.send(line);
        });
        let line = receiver.recv_timeout(deadline.within(TOOL_LIMIT).left());
        screen.number = line
            .ok()
            .and_then(|line| line.trim().parse().ok())
            .ok_or_else(|| Failure::new("Xvfb did not open a display"))?;
        Ok(screen)
    }

    /// Puts a program on this display, drawn by the processor: the same on every machine.
    pub(super) fn show(&self, command: &mut Command) {
        command
            .env("DISPLAY", format!(":{}", self.number))
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("XAUTHORITY");
    }

    /// Waits for the program's window.
    pub(super) fn window(&self, app: &mut App, deadline: Deadline) -> Result<Window, Failure> {
        let found = deadline.poll(|| {
            app.still_runs()?;
            let search = ["search", "--onlyvisible", "--name", "^Pagescope"];
            // xdotool fails while there is none.
            let list = self.tool("xdotool", &search).unwrap_or_default();
            let list = String::from_utf8_lossy(&list).into_owned();
            Ok(list.lines().find_map(|line| line.trim().parse().ok()))
        })?;
        let window: u32 = found.ok_or_else(|| app.failure("opens no window"))?;
        let id = window.to_string();
        // There is no window manager that would give it the keyboard. The pointer goes to where
        // it hovers over nothing.
        self.tool("xdotool", &["windowfocus", "--sync", &id])?;
        self.tool("xdotool", &["mousemove", "0", "899"])?;
        Ok(Window(window))
    }

    /// Presses a key, by its X name.
    pub(super) fn press(&self, key: &str) -> Result<(), Failure> {
        self.tool("xdotool", &["key", key]).map(drop)
    }

    /// Types a text, letter by letter.
    pub(super) fn type_text(&self, text: &str) -> Result<(), Failure> {
        // A moment between letters: a window that is busy drawing would lose some.
        let delay = ["type", "--delay", "30", text];
        self.tool("xdotool", &delay).map(drop)
    }

    /// Gives the window another size.
    pub(super) fn resize(&self, window: Window, width: u32, height: u32) -> Result<(), Failure> {
        let [id, width, height] = [window.0, width, height].map(|number| number.to_string());
        self.tool("xdotool", &["windowsize", &id, &width, &height])
            .map(drop)
    }

    /// Asks the window to close.
    pub(super) fn close(&self, window: Window) -> Result<(), Failure> {
        close::ask_to_close(self.number, window.0)
            .map_err(|error| Failure::new(format!("cannot ask the window to close: {error}")))
    }

    /// Takes a picture of the window, and leaves it in `file`.
    pub(super) fn picture(&self, window: Window, file: &Path) -> Result<Picture, Failure> {
        let id = window.0.to_string();
        let file = file.to_string_lossy();
        self.tool("import", &["-silent", "-window", &id, &file])?;
        let bytes = ["-map", "rgb", "-storage-type", "char", &file, "-"];
        self.tool("stream", &bytes).map(Picture::new)
    }

    /// Takes pictures until one is `wanted` and stays the same for as long as `quiet`, which says
    /// that what was being drawn is finished; at the end of the time the last one that was wanted.
    pub(super) fn picture_when(
        &self,
        window: Window,
        file: &Path,
        deadline: Deadline,
        quiet: Duration,
        wanted: impl Fn(&Picture) -> bool,
    ) -> Result<Option<Picture>, Failure> {
        let mut last: Option<(Picture, Instant)> = None;
        let settled = deadline.poll(|| {
            let picture = self.picture(window, file)?;
            if !wanted(&picture) {
                last = None;
                return Ok(None);
            }
            match &last {
                Some((before, since)) if *before == picture => {
                    Ok((since.elapsed() >= quiet).then_some(picture))
                }
                _ => {
                    last = Some((picture, Instant::now()));
                    Ok(None)
                }
            }
        })?;
        Ok(settled.or(last.map(|(picture, _)| picture)))
    }

    /// Runs a tool on this display, and gives what it writes.
    fn tool(&self, program: &str, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
        let shown = format!("{program} {}", arguments.join(" "));
        let failed = |what: String| Failure::new(format!("`{shown}` {what}"));
        let mut command = Command::new(program);
        self.show(&mut command);
        let mut child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(format!("cannot be started: {error}")))?;
        let written = child.stdout.take();
        // Read while it runs, or a full pipe would hold it up.
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut written) = written {
                let _ = written.read_to_end(&mut bytes);
            }
            bytes
        });
        let ended = Deadline::after(TOOL_LIMIT).poll(|| {
            child
                .try_wait()
                .map_err(|error| failed(format!("cannot be waited for: {error}")))
        });
        let ended = match ended {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(Some(status)) => Err(failed(format!("failed ({status})"))),
            Ok(None) => Err(failed(format!("did not end within {TOOL_LIMIT:?}"))),
            Err(failure) => Err(failure),
        };
        if ended.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let bytes = reader.join().unwrap_or_default();
        ended.map(|()| bytes)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
