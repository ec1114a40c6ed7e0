//! What has to be on the machine, how that is seen, and which package brings it.
//!
//! Presence is judged by the thing itself (a program on PATH, a library that the loader finds), so
//! that what came by another way than apt counts too.

use std::env;
use std::path::Path;

use crate::command::Line;

/// Which work needs a thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    /// Running a guest.
    Guest,
    /// Testing a guest with a debugger.
    GuestTest,
    /// Opening a window.
    Window,
    /// Testing a window without a screen.
    WindowTest,
    /// Testing the page of a lecture in a browser.
    PageTest,
    /// Fuzzing: libFuzzer is built from its source.
    Fuzz,
}

/// How a thing's presence is seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Thing {
    /// A program on PATH.
    Program(&'static str),
    /// A shared library that the loader finds.
    Library(&'static str),
    /// An OpenGL driver, whichever.
    GraphicsDriver,
}

/// One thing that is needed.
#[derive(Debug)]
pub(crate) struct Need {
    work: Work,
    thing: Thing,
    /// The Debian packages that bring it; the first one that the release has is taken.
    packages: &'static [&'static str],
}

const fn need(work: Work, thing: Thing, packages: &'static [&'static str]) -> Need {
    Need {
        work,
        thing,
        packages,
    }
}

/// Everything that cargo does not bring. QEMU's RISC-V machines have a package of their own since
/// Debian 13; before that they are among the miscellaneous ones.
const NEEDS: &[Need] = {
    use Thing::{GraphicsDriver, Library, Program};
    use Work::{Fuzz, Guest, GuestTest, PageTest, Window, WindowTest};
    &[
        need(
            Guest,
            Program("qemu-system-riscv64"),
            &["qemu-system-riscv", "qemu-system-misc"],
        ),
        need(GuestTest, Program("gdb-multiarch"), &["gdb-multiarch"]),
        need(
            PageTest,
            Program("chromium"),
            &["chromium", "chromium-browser"],
        ),
        need(Window, Library("libX11.so.6"), &["libx11-6"]),
        need(Window, Library("libX11-xcb.so.1"), &["libx11-xcb1"]),
        need(Window, Library("libXcursor.so.1"), &["libxcursor1"]),
        need(Window, Library("libXi.so.6"), &["libxi6"]),
        need(Window, Library("libXrandr.so.2"), &["libxrandr2"]),
        need(Window, Library("libxkbcommon.so.0"), &["libxkbcommon0"]),
        need(
            Window,
            Library("libxkbcommon-x11.so.0"),
            &["libxkbcommon-x11-0"],
        ),
        need(Window, Library("libGL.so.1"), &["libgl1"]),
        need(Window, Library("libEGL.so.1"), &["libegl1"]),
        need(Window, GraphicsDriver, &["libgl1-mesa-dri"]),
        need(Fuzz, Program("c++"), &["g++"]),
        need(WindowTest, Program("Xvfb"), &["xvfb"]),
        need(WindowTest, Program("xdotool"), &["xdotool"]),
        need(WindowTest, Program("import"), &["imagemagick"]),
        need(WindowTest, Program("stream"), &["imagemagick"]),
    ]
};

impl Need {
    /// What it is, for a person.
    pub(crate) fn name(&self) -> &'static str {
        match self.thing {
            Thing::Program(name) | Thing::Library(name) => name,
            Thing::GraphicsDriver => "an OpenGL driver",
        }
    }

    /// The package that brings it, of those that `has_package` says the release has; the last one
    /// where it cannot tell.
    pub(crate) fn package(&self, has_package: impl Fn(&str) -> bool) -> Option<&'static str> {
        let found = self.packages.iter().find(|package| has_package(package));
        found.or(self.packages.last()).copied()
    }
}

/// What is not there of what `works` need.
pub(crate) fn missing(works: &[Work]) -> Vec<&'static Need> {
    let libraries = Line::new("ldconfig -p")
        .output()
        .or_else(|| Line::new("/sbin/ldconfig -p").output());
    let needed = NEEDS.iter().filter(|need| works.contains(&need.work));
    needed
        .filter(|need| match need.thing {
            Thing::Program(name) => !on_path(name),
            // Without a list of libraries nothing is known to be missing; the window itself will
            // say which one it does not find.
            Thing::Library(name) => libraries.as_ref().is_some_and(|list| !lists(list, name)),
            Thing::GraphicsDriver => libraries.is_some() && !graphics_driver(),
        })
        .collect()
}

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether `ldconfig -p` lists this library: `\tlibX11.so.6 (libc6,x86-64) => …`.
fn lists(list: &str, library: &str) -> bool {
    list.lines()
        .any(|line| line.split_whitespace().next() == Some(library))
}

/// Whether Mesa's drivers or a vendor's own are there.
fn graphics_driver() -> bool {
    let architecture = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    let folders = ["/usr/lib", "/usr/lib64", architecture.as_str()];
    folders.iter().map(Path::new).any(|folder| {
        holds(&folder.join("dri"), "", "_dri.so")
            || holds(folder, "libgallium", ".so")
            || holds(folder, "libGLX_nvidia", ".0")
    })
}

fn holds(folder: &Path, start: &str, end: &str) -> bool {
    let Ok(entries) = folder.read_dir() else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with(start) && name.ends_with(end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_by_its_whole_name() {
        let list = "1 libs found\n\tlibX11.so.6 (libc6,x86-64) => /usr/lib/libX11.so.6\n";
        assert!(lists(list, "libX11.so.6"));
        assert!(!lists(list, "libX11.so"));
    }

    #[test]
    fn the_first_package_that_the_release_has_is_taken() {
        let qemu = &NEEDS[0];
        assert_eq!(qemu.package(|_| true), Some("qemu-system-riscv"));
        assert_eq!(
            qemu.package(|name| name == "qemu-system-misc"),
            Some("qemu-system-misc")
        );
        assert_eq!(qemu.package(|_| false), Some("qemu-system-misc"));
    }

    #[test]
    fn every_need_has_a_package() {
        assert!(NEEDS.iter().all(|need| !need.packages.is_empty()));
    }
}
