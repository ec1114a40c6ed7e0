//! From "where" to a target that can be captured: attaching to a guest, looking on, or starting our own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pagescope_protocol::snapshot::Snapshot;
use thiserror::Error;

use super::console::Console;
use super::follow::{Eye, Watch};
use crate::capture::Capturer;
use crate::capture::settle::ATTEMPTS;
use crate::capture::step::{CallStepper, StepError};
use crate::guest::{ElfError, ElfFile, GuestOptions};
use crate::link::memory::mapped::RamFile;
use crate::link::{
    Address, Cancel, ConnectOptions, DumpOptions, DumpTarget, GdbTarget, Guest, Launch,
    LaunchError, LinkError, PhysicalAccess, Target, same_machine,
};

/// The function that allocates a page, in our kernel and in most that are taught.
pub const ALLOCATION_SYMBOL: &str = "kalloc";

/// Where our kernel has booted and nothing has been allocated yet: its idle loop, which calls
/// [`ALLOCATION_SYMBOL`] at its pace, or not at all where that is 0.
const BOOTED_SYMBOL: &str = "idle";

/// How long our kernel may take from reset to its idle loop. It takes 0.1 s; the limit is a
/// guard against a machine under heavy load.
const BOOT_LIMIT: Duration = Duration::from_secs(60);

/// What to open.
#[derive(Clone, Debug)]
pub enum Source {
    /// A guest that runs already.
    Attach {
        /// Its gdb port.
        address: Address,
        /// Its ELF.
        elf: Option<Arc<ElfFile>>,
        /// How its memory is read.
        memory: MemoryChoice,
        /// Its monitor, to follow it while it runs.
        watch: Option<Watch>,
    },
    /// A guest's memory in a file.
    Dump {
        /// The file, and what it does not say itself.
        dump: DumpOptions,
        /// The guest's ELF.
        elf: Option<Arc<ElfFile>>,
    },
    /// A guest that runs already and is never stopped: its monitor alone.
    Watch {
        /// Its monitor.
        watch: Watch,
        /// Its ELF.
        elf: Option<Arc<ElfFile>>,
    },
    /// Our own kernel in a QEMU of our own, which ends with the session.
    Demo(Demo),
    /// Any of these, and what the user says of its kernel.
    With {
        /// Where it is.
        source: Box<Source>,
        /// What is said of it.
        guest: GuestOptions,
    },
}

/// How a guest's memory is read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemoryChoice {
    /// The way; `None` takes the fastest that there is.
    pub way: Option<PhysicalAccess>,
    /// The file that holds its RAM, where the user knows of one.
    pub ram_file: Option<RamFile>,
}

/// Our own kernel in a QEMU of our own.
#[derive(Clone, Debug)]
pub struct Demo {
    /// The kernel's ELF.
    pub kernel: Arc<[u8]>,
    /// Its command line: `layout=pseudos tables=pool pace=20`.
    pub append: String,
    /// Harts.
    pub harts: u32,
}

/// A target that can be captured.
pub struct Opened {
    /// The target.
    pub target: Box<dyn Target>,
    /// What captures it.
    pub capturer: Capturer,
    /// What it is looked at through while it runs.
    pub eye: Eye,
    /// Steps the allocation function, where the ELF has one.
    pub stepper: Option<CallStepper>,
    /// Our own QEMU; dropped after the target.
    pub guest: Option<Guest>,
    /// Our own guest's console.
    pub console: Option<Console>,
    /// What the guest was doing when it was opened, in words.
    pub stop: String,
}

/// Why a target could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// QEMU.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The ELF.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// Our kernel did not boot.
    #[error("our kernel did not come to its idle loop: {0}")]
    Boot(#[from] StepError),
}

impl Opened {
    /// Looks at the guest while it runs; `None` where it stands still, or nothing can be seen of it.
    ///
    /// # Errors
    /// When what it is looked at through is lost.
    pub fn look(&mut self, cancel: &Cancel) -> Result<Option<Arc<Snapshot>>, LinkError> {
        if !self.target.is_running() {
            return Ok(None);
        }
        let Self {
            target,
            capturer,
            eye,
            ..
        } = self;
        let through: &mut dyn Target = match eye {
            Eye::Target => target.as_mut(),
            Eye::Monitor(monitor) => monitor.as_mut(),
            Eye::Blind(_) => return Ok(None),
        };
        capturer
            .capture_running(through, ATTEMPTS, cancel)
            .map(Some)
    }
}

impl Source {
    /// A guest that runs already, whose memory is read by the fastest way.
    pub fn attach(address: Address, elf: Option<Arc<ElfFile>>) -> Self {
        Self::Attach {
            address,
            elf,
            memory: MemoryChoice::default(),
            watch: None,
        }
    }

    /// The same, followed through this monitor while it runs.
    #[must_use]
    pub fn with_watch(mut self, named: Option<Watch>) -> Self {
        if let Self::Attach { watch, .. } = &mut self {
            *watch = named;
        }
        self
    }

    /// The same, with this ELF.
    #[must_use]
    pub fn with_elf(mut self, named: Option<Arc<ElfFile>>) -> Self {
        if let Self::Attach { elf, .. } | Self::Dump { elf, .. } | Self::Watch { elf, .. } =
            &mut self
        {
            *elf = named;
        }
        self
    }

    /// What is being opened, in words.
    pub fn what(&self) -> String {
        match self {
            Self::Attach { address, .. } => format!("connecting to {address}"),
            Self::Dump { dump, .. } => format!("opening {}", dump.path.display()),
            Self::Watch { watch, .. } => format!("connecting to {}", watch.monitor),
            Self::Demo(_) => "starting QEMU with our kernel".into(),
            Self::With { source, .. } => source.what(),
        }
    }

    /// Connects, and learns what the machine is.
    ///
    /// # Errors
    /// [`OpenError`], which names the thing and the remedy.
    pub fn open(&self, cancel: &Cancel) -> Result<Opened, OpenError> {
        self.open_with(&GuestOptions::default(), cancel)
    }

    fn open_with(&self, guest: &GuestOptions, cancel: &Cancel) -> Result<Opened, OpenError> {
        match self {
            Self::With { source, guest } => source.open_with(guest, cancel),
            Self::Attach {
                address,
                elf,
                memory,
                watch,
            } => attach(address, elf.clone(), memory, watch.as_ref(), guest, cancel),
            Self::Dump { dump, elf } => open_dump(dump, elf.clone(), guest),
            Self::Watch { watch, elf } => look_on(watch, elf.clone(), guest, cancel),
            Self::Demo(demo) => demo.open(guest, cancel),
        }
    }
}

fn open_dump(
    dump: &DumpOptions,
    elf: Option<Arc<ElfFile>>,
    guest: &GuestOptions,
) -> Result<Opened, OpenError> {
    let mut target = DumpTarget::open(dump)?;
    let capturer = Capturer::with(&mut target, elf, guest.clone())?;
    Ok(Opened {
        target: Box::new(target),
        // Nothing in it can be stepped.
        stepper: None,
        capturer,
        eye: Eye::Blind("A dump is a moment that is past: nothing in it runs.".into()),
        guest: None,
        console: None,
        stop: "dumped".into(),
    })
}

fn attach(
    address: &Address,
    elf: Option<Arc<ElfFile>>,
    memory: &MemoryChoice,
    watch: Option<&Watch>,
    guest: &GuestOptions,
    cancel: &Cancel,
) -> Result<Opened, OpenError> {
    // Before the gdb port, which stops the guest: what is wrong here costs it nothing.
    let mut eye = match watch {
        Some(watch) => Eye::Monitor(Box::new(watch.connect(cancel)?)),
        None => Eye::gdb_port_alone(),
    };
    let options = ConnectOptions {
        ram_file: memory.ram_file.clone(),
        way: memory.way,
        cancel: cancel.clone(),
        ..ConnectOptions::default()
    };
    let mut target = GdbTarget::connect(address, options)?;
    if let Eye::Monitor(monitor) = &mut eye {
        if let Some(why) = same_machine::difference(&mut target, monitor)? {
            return Err(LinkError::OtherMachine {
                monitor: monitor.facts().address.clone(),
                port: address.clone(),
                why,
            }
            .into());
        }
        // The gdb port cannot always say whether the guest ran; the monitor was asked before.
        target.was_found(monitor.facts().found);
    }
    let capturer = Capturer::with(&mut target, elf, guest.clone())?;
    Ok(Opened {
        target: Box::new(target),
        stepper: stepper(&capturer),
        capturer,
        eye,
        guest: None,
        console: None,
        stop: "attached".into(),
    })
}

/// Looks at a guest through its monitor alone, which stops nothing.
fn look_on(
    watch: &Watch,
    elf: Option<Arc<ElfFile>>,
    guest: &GuestOptions,
    cancel: &Cancel,
) -> Result<Opened, OpenError> {
    let mut target = watch.connect(cancel)?;
    let capturer = Capturer::with(&mut target, elf, guest.clone())?;
    Ok(Opened {
        target: Box::new(target),
        stepper: stepper(&capturer),
        capturer,
        eye: Eye::Target,
        guest: None,
        console: None,
        stop: "attached".into(),
    })
}

impl Demo {
    fn open(&self, known: &GuestOptions, cancel: &Cancel) -> Result<Opened, OpenError> {
        let elf = Arc::new(ElfFile::parse(
            Path::new("pagescope-kernel.elf"),
            &self.kernel,
        )?);
        let mut launch = Launch::new(&self.kernel);
        launch.append = self.append.clone();
        launch.harts = self.harts;
        launch.cancel = cancel.clone();
        let guest = launch.start()?;
        // Before the guest runs for the first time: what it wrote earlier would be lost.
        let console = guest.connect_console().and_then(Console::follow);
        let console = console
            .inspect_err(|error| tracing::warn!(%error, "the console is not followed"))
            .ok();
        let options = ConnectOptions {
            cancel: cancel.clone(),
            ..guest.connect_options()
        };
        let mut target = GdbTarget::connect(guest.address(), options)?;
        let eye = match Watch::of(&guest).map(|watch| watch.connect(cancel)) {
            Some(Ok(eye)) => Eye::Monitor(Box::new(eye)),
            Some(Err(error)) => Eye::Blind(error.to_string()),
            None => Eye::Blind(
                "There was no room for the guest's RAM in a file (/dev/shm, the folder for temporary files): \
                 make some, and reconnect."
                    .into(),
            ),
        };
        let capturer = Capturer::with(&mut target, Some(elf), known.clone())?;
        let stepper = stepper(&capturer);
        let idle = capturer.elf().and_then(|elf| elf.address_of(BOOTED_SYMBOL));
        if let Some(entry) = idle {
            let booted = CallStepper {
                symbol: BOOTED_SYMBOL.into(),
                entry,
            };
            booted.run_to_entry(&mut target, cancel, BOOT_LIMIT)?;
        }
        Ok(Opened {
            target: Box::new(target),
            capturer,
            eye,
            stepper,
            guest: Some(guest),
            console,
            stop: "booted".into(),
        })
    }
}

/// What a step steps where nothing is named: what the profile says allocates, as far as the ELF has
/// it, else [`ALLOCATION_SYMBOL`].
pub fn stepper(capturer: &Capturer) -> Option<CallStepper> {
    let elf = capturer.elf()?;
    let profile = capturer.knowledge().profile();
    let told = profile
        .into_iter()
        .flat_map(|profile| profile.allocate.iter());
    let names = told.map(|allocate| &*allocate.symbol);
    let mut names = names.chain([ALLOCATION_SYMBOL]);
    names.find_map(|symbol| {
        Some(CallStepper {
            symbol: symbol.into(),
            entry: elf.address_of(symbol)?,
        })
    })
}
