//! What can be typed on the console of the process layout.

use pagescope_protocol::VirtAddr;

use super::{CommandError, hexadecimal_digits, parse_number};
use crate::bootargs::parse_pace;

/// What `help` prints.
pub const HELP: &str = "\
ps               the processes: number, program, state, satp, tables, stack, heap, ticks
programs         the programs that can be spawned
spawn NAME [ARG] begin a process
kill PID         end one
brk PID PAGES    have its heap be so many pages
hotplug N        map device IO page N, where there is a hole
unplug N         make it a hole again
kalloc [N]       hand out one page, or N
kfree [N|0xADDR] take back the newest page, the newest N, or the one at 0xADDR
fault KIND       do what must fault, and survive it: null-read, null-write, null-call, text (a store),
                 data (execution), noncanonical, stack, original, kernel-user, kernel-call-user; by
                 a process: guard, user-kernel
crash            overflow the kernel stack with nobody to catch it: the hart stops
regions          every region: addresses, whose, name
spaces           every address space: satp, name
trace [N]        the last N things that the kernel did
tables           the page tables of every space
lookup VA [PID]  how VA is translated, entry by entry
heap             the heap counter, and what is free
info             what the machine is, and where everything lies
pace MS          milliseconds between the idle loop's kallocs; 0 stops it
selftest         check every requirement, then power off
poweroff         end the machine
";

/// A command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command<'a> {
    /// An empty line.
    Nothing,
    /// `help`.
    Help,
    /// `ps`.
    Ps,
    /// `programs`.
    Programs,
    /// `spawn`: which program, with which argument.
    Spawn(&'a str, u64),
    /// `kill`.
    Kill(u64),
    /// `brk`: whose heap, how many pages.
    Brk(u64, u64),
    /// `hotplug`.
    HotPlug(u64),
    /// `unplug`.
    Unplug(u64),
    /// `kalloc`, so many times.
    Kalloc(u64),
    /// `kfree` of so many, newest first.
    KfreeNewest(u64),
    /// `kfree` of this page.
    Kfree(VirtAddr),
    /// `fault`.
    Fault(FaultKind),
    /// `crash`.
    Crash,
    /// `regions`.
    Regions,
    /// `spaces`.
    Spaces,
    /// `trace`: so many events.
    Trace(u64),
    /// `tables`.
    Tables,
    /// `lookup`, in the kernel's space or a process's.
    Lookup(VirtAddr, Option<u64>),
    /// `heap`.
    Heap,
    /// `info`.
    Info,
    /// `pace`.
    Pace(u64),
    /// `selftest`.
    Selftest,
    /// `poweroff`.
    Poweroff,
}

/// Something that must fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// The kernel loads from address 0.
    NullRead,
    /// The kernel stores to address 0.
    NullWrite,
    /// The kernel calls address 0.
    NullCall,
    /// The kernel stores to its instructions.
    WriteText,
    /// The kernel executes its variables.
    ExecuteData,
    /// The kernel loads from an address that Sv39 cannot represent.
    NonCanonical,
    /// The kernel stores below its stack.
    StackOverflow,
    /// The kernel loads from the original of the shared data.
    Original,
    /// The kernel loads from a user's page, without sstatus.SUM.
    KernelUser,
    /// The kernel executes a user's page.
    KernelCallUser,
    /// A process overflows its stack.
    Guard,
    /// A process loads from the kernel's variables.
    UserKernel,
}

impl FaultKind {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 12] = [
        ("null-read", Self::NullRead),
        ("null-write", Self::NullWrite),
        ("null-call", Self::NullCall),
        ("text", Self::WriteText),
        ("data", Self::ExecuteData),
        ("noncanonical", Self::NonCanonical),
        ("stack", Self::StackOverflow),
        ("original", Self::Original),
        ("kernel-user", Self::KernelUser),
        ("kernel-call-user", Self::KernelCallUser),
        ("guard", Self::Guard),
        ("user-kernel", Self::UserKernel),
    ];

    fn parse(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(name, _)| *name == word);
        found.map(|(_, kind)| *kind)
    }
}

const FAULT_USAGE: &str = "fault KIND; `help` lists the kinds";

impl<'a> Command<'a> {
    /// Reads a line.
    ///
    /// # Errors
    /// [`CommandError`], to be shown as it is.
    pub fn parse(line: &'a str) -> Result<Self, CommandError<'a>> {
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.next() else {
            return Ok(Self::Nothing);
        };
        let argument = words.clone().next();
        let mut next = || words.next();
        let command = match name {
            "help" | "?" => Self::Help,
            "ps" => Self::Ps,
            "programs" => Self::Programs,
            "spawn" => {
                let program = next().ok_or(CommandError::Usage("spawn NAME [ARG]"))?;
                Self::Spawn(program, optional(next())?.unwrap_or(0))
            }
            "kill" => Self::Kill(number(next(), "kill PID")?),
            "brk" => {
                let usage = "brk PID PAGES";
                Self::Brk(number(next(), usage)?, number(next(), usage)?)
            }
            "hotplug" => Self::HotPlug(number(next(), "hotplug N")?),
            "unplug" => Self::Unplug(number(next(), "unplug N")?),
            "kalloc" => Self::Kalloc(count(next())?.unwrap_or(1)),
            "kfree" => match argument.filter(|word| hexadecimal_digits(word).is_some()) {
                Some(_) => Self::Kfree(VirtAddr::new(number(next(), "kfree 0xADDR")?)),
                None => Self::KfreeNewest(count(next())?.unwrap_or(1)),
            },
            "fault" => {
                let kind = next().and_then(FaultKind::parse);
                Self::Fault(kind.ok_or(CommandError::Usage(FAULT_USAGE))?)
            }
            "crash" => Self::Crash,
            "regions" => Self::Regions,
            "spaces" => Self::Spaces,
            "trace" => Self::Trace(count(next())?.unwrap_or(16)),
            "tables" => Self::Tables,
            "lookup" => {
                let virt = VirtAddr::new(number(next(), "lookup VA [PID]")?);
                Self::Lookup(virt, optional(next())?)
            }
            "heap" => Self::Heap,
            "info" => Self::Info,
            "pace" => {
                let word = next().ok_or(CommandError::Usage("pace MS"))?;
                Self::Pace(parse_pace(word).ok_or(CommandError::Pace(word))?)
            }
            "selftest" => Self::Selftest,
            "poweroff" => Self::Poweroff,
            unknown => return Err(CommandError::Unknown(unknown)),
        };
        match words.next() {
            Some(word) => Err(CommandError::TooMany(word)),
            None => Ok(command),
        }
    }
}

fn optional(word: Option<&str>) -> Result<Option<u64>, CommandError<'_>> {
    let Some(word) = word else { return Ok(None) };
    let number = parse_number(word).ok_or(CommandError::Number(word))?;
    Ok(Some(number))
}

fn number<'a>(word: Option<&'a str>, usage: &'static str) -> Result<u64, CommandError<'a>> {
    optional(word)?.ok_or(CommandError::Usage(usage))
}

/// A number that is not 0.
fn count(word: Option<&str>) -> Result<Option<u64>, CommandError<'_>> {
    match (optional(word)?, word) {
        (Some(0), Some(word)) => Err(CommandError::NoPages(word)),
        (count, _) => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::string::String;

    #[test]
    fn commands_are_read() {
        for (line, command) in [
            ("", Command::Nothing),
            (" ps ", Command::Ps),
            ("spawn count", Command::Spawn("count", 0)),
            (
                "spawn rogue 0x1000000000000000",
                Command::Spawn("rogue", 1 << 60),
            ),
            ("kill 3", Command::Kill(3)),
            ("brk 2 16", Command::Brk(2, 16)),
            ("hotplug 1", Command::HotPlug(1)),
            ("kalloc", Command::Kalloc(1)),
            ("kfree 3", Command::KfreeNewest(3)),
            ("kfree 0x1000", Command::Kfree(VirtAddr::new(0x1000))),
            ("trace", Command::Trace(16)),
            ("lookup 0 2", Command::Lookup(VirtAddr::new(0), Some(2))),
            ("lookup 0", Command::Lookup(VirtAddr::new(0), None)),
            ("pace 0", Command::Pace(0)),
        ] {
            assert_eq!(Command::parse(line), Ok(command), "{line}");
        }
        for (name, kind) in FaultKind::ALL {
            let line = format!("fault {name}");
            assert_eq!(Command::parse(&line), Ok(Command::Fault(kind)), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let usage = "usage: fault KIND; `help` lists the kinds";
        for (line, message) in [
            ("psx", "no command `psx`; `help` lists them"),
            ("spawn", "usage: spawn NAME [ARG]"),
            (
                "spawn a b",
                "`b` is no number: decimal, or hexadecimal with 0x",
            ),
            ("brk 1", "usage: brk PID PAGES"),
            ("kill", "usage: kill PID"),
            ("ps now", "`now` is one word too many"),
            ("fault", usage),
            ("fault null", usage),
            ("fault text now", "`now` is one word too many"),
            (
                "kalloc 0",
                "`0` pages: give a count from 1 on; an address begins with 0x",
            ),
        ] {
            assert_eq!(format!("{}", Command::parse(line).unwrap_err()), message);
        }
    }

    #[test]
    fn help_has_a_line_for_every_command() {
        for line in HELP.lines().filter(|line| !line.starts_with(' ')) {
            let name = line.split_whitespace().next().unwrap();
            let result = Command::parse(name);
            assert!(!matches!(result, Err(CommandError::Unknown(_))), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_survived(line: String) {
            let _ = Command::parse(&line);
        }
    }
}
