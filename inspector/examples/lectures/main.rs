//! Makes the lectures in `assets/lectures` from our kernel, in a QEMU of their own: `cargo xtask lectures`.
//!
//! ```text
//! cargo run --example lectures -- SCRIPTS OUT [NAME…]
//! ```
//!
//! A script says which layout boots, and for each step what is typed at the kernel's console, what is selected and
//! what the lecturer says. Numbers in captions come from the guest: `{heap}`, `{tables}`, `{traps}`,
//! `{region:user stack}` is where a region begins, `{pages:user stack}` how many pages it has.

mod console;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use console::Console;
use pagescope::capture::Capturer;
use pagescope::guest::ElfFile;
use pagescope::link::{GdbTarget, Launch, Target as _};
use pagescope::model::{History, MomentId, Slide, notebook::selection_of};
use pagescope_protocol::PAGE_SIZE;
use pagescope_protocol::snapshot::text::recording_to_text;
use pagescope_protocol::snapshot::{LectureView, Region, RegionSpace, Snapshot, Space};
use serde::Deserialize;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A lecture before it is made.
#[derive(Deserialize)]
struct Script {
    title: String,
    layout: String,
    append: String,
    #[serde(default = "one")]
    harts: u32,
    steps: Vec<Step>,
}

const fn one() -> u32 {
    1
}

#[derive(Deserialize)]
struct Step {
    /// What is typed before, line by line; the moment before is shown again where nothing is.
    #[serde(default, rename = "type")]
    lines: Vec<String>,
    /// Milliseconds that the guest gets after that.
    #[serde(default)]
    wait: u64,
    /// What the moment is called.
    #[serde(default)]
    stop: String,
    caption: String,
    /// As in a lecture, or `region:NAME`.
    #[serde(default)]
    select: Option<String>,
    #[serde(default)]
    space: Option<String>,
    #[serde(default)]
    hart: Option<u32>,
    #[serde(default)]
    view: Option<LectureView>,
}

fn main() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let (Some(scripts), Some(out)) = (words.next(), words.next()) else {
        return Err("say where the scripts are, and where the lectures go".into());
    };
    let wanted: Vec<String> = words.collect();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&scripts)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name) {
            make(&path, &Path::new(&out).join(format!("{name}.ron")))?;
        }
    }
    Ok(())
}

/// Makes the lecture that the script at `path` says.
fn make(path: &Path, out: &Path) -> Outcome<()> {
    let options =
        ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
    let text = std::fs::read_to_string(path)?;
    let script: Script = options
        .from_str(&text)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{}: {}", out.display(), script.title);
    let mut guest = AtConsole::boot(&script)?;
    let mut history = History::new();
    let mut slides = Vec::new();
    for step in &script.steps {
        for line in &step.lines {
            let said = guest.console.ask(line)?;
            println!(
                "    > {line}\n      {}",
                said.trim().replace('\n', "\n      ")
            );
        }
        std::thread::sleep(Duration::from_millis(step.wait));
        if history.moments().is_empty() || !step.lines.is_empty() || step.wait > 0 {
            let mut snapshot = guest.look(&step.stop)?;
            // What the kernel did is told by the captions; registers change from run to run.
            snapshot.trace = Vec::new().into();
            for hart in &mut snapshot.harts {
                hart.registers.clear();
            }
            history.push(Arc::new(snapshot));
        }
        let Some(moment) = history.moments().last() else {
            continue;
        };
        println!(
            "  {}: {}",
            moment.snapshot.stop,
            moment.difference.summary()
        );
        slides.push(slide(step, moment.id, &moment.snapshot)?);
    }
    history.notebook_mut().edit("the lecture", |pages| {
        pages.title = script.title.clone();
        pages.lecture = slides;
    });
    let recording = history.to_recording().ok_or("a script without steps")?;
    let text = recording_to_text(&recording);
    println!(
        "  {} steps, {} KiB",
        recording.lecture.len(),
        text.len() >> 10
    );
    std::fs::write(out, text)?;
    Ok(())
}

fn slide(step: &Step, moment: MomentId, snapshot: &Snapshot) -> Outcome<Slide> {
    let space = match &step.space {
        Some(name) => snapshot.space_named(name),
        None => snapshot.space_of_hart(step.hart.unwrap_or(0)),
    };
    let space = space.or(snapshot.spaces.first()).ok_or("no space")?;
    let caption = filled(&step.caption, snapshot, space)?;
    let mut slide = Slide::new(moment, caption.trim());
    if let Some(select) = &step.select {
        let select = filled(select, snapshot, space)?;
        slide.select = selection_of(select.parse()?);
    }
    slide.space.clone_from(&step.space);
    slide.hart = step.hart;
    slide.view = step.view;
    Ok(slide)
}

/// `text` with the guest's numbers in place of `{…}`.
fn filled(text: &str, snapshot: &Snapshot, space: &Space) -> Outcome<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (what, after) = after.split_once('}').ok_or("a `{` without its `}`")?;
        filled.push_str(before);
        filled.push_str(&number(what, snapshot, space)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn number(what: &str, snapshot: &Snapshot, space: &Space) -> Outcome<String> {
    let region = |name: &str| -> Outcome<&Region> {
        let mut regions = snapshot.regions.iter();
        let found = regions.find(|it| {
            it.name == name
                && it.space == RegionSpace::Virtual
                && it.owner.as_deref().is_none_or(|of| of == space.name)
        });
        found.ok_or_else(|| format!("{} has no region `{name}`", space.name).into())
    };
    Ok(match what.split_once(':') {
        Some(("region", name)) => format!("{:#x}", region(name)?.start),
        Some(("last", name)) => {
            let region = region(name)?;
            format!("{:#x}", region.start + region.size - PAGE_SIZE)
        }
        Some(("pages", name)) => region(name)?.size.div_ceil(PAGE_SIZE).to_string(),
        Some(("pa", name)) => {
            let at = pagescope_protocol::VirtAddr::new(region(name)?.start);
            let mapped = space.translate(at).mapped().ok_or("not mapped")?.address;
            mapped.to_string()
        }
        _ => match what {
            "heap" => snapshot.heap.ok_or("no heap")?.counter.to_string(),
            "tables" => space.tables.len().to_string(),
            "root" => space.root.to_string(),
            "traps" => {
                let kernel = snapshot.kernel.as_ref().ok_or("no facts")?;
                kernel.machine_table_traps.to_string()
            }
            other => return Err(format!("`{{{other}}}` is no number of a guest").into()),
        },
    })
}

/// Our kernel at its console.
struct AtConsole {
    guest: pagescope::link::Guest,
    console: Console,
    elf: Arc<ElfFile>,
}

impl AtConsole {
    fn boot(script: &Script) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("kernel.elf");
        // The program lies beside the examples.
        let program = std::env::current_exe()?;
        let program = program
            .ancestors()
            .nth(2)
            .ok_or("no folder")?
            .join("pagescope");
        let written = std::process::Command::new(program)
            .args(["kernel", "--layout", &script.layout, "-o"])
            .arg(&path)
            .status()?;
        if !written.success() {
            return Err("the kernel could not be written".into());
        }
        let kernel = std::fs::read(&path)?;
        let mut launch = Launch::new(&kernel);
        launch.append = format!("layout={} pace=0 {}", script.layout, script.append);
        launch.harts = script.harts;
        launch.stopped = false;
        let guest = launch.start()?;
        let console = Console::open(&guest)?;
        let elf = Arc::new(ElfFile::open(&path)?);
        Ok(Self {
            guest,
            console,
            elf,
        })
    }

    /// Looks at everything, and leaves the guest running.
    fn look(&self, stop: &str) -> Outcome<Snapshot> {
        // A machine that answers at its console may still be half in a change: it is left alone for a moment.
        for _ in 0..200 {
            let options = self.guest.connect_options();
            let mut target = GdbTarget::connect(self.guest.address(), options)?;
            let mut capturer = Capturer::new(&mut target, Some(Arc::clone(&self.elf)))?;
            let snapshot = capturer.capture(&mut target, stop)?;
            Box::new(target).detach()?;
            let is_still = snapshot.kernel.as_ref().is_some_and(|it| it.changing == 0);
            let kernel = snapshot.space_named("kernel");
            if is_still && kernel.is_none_or(|kernel| !kernel.harts.is_empty()) {
                return Ok(snapshot.as_ref().clone());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err("the guest never stood still".into())
    }
}
