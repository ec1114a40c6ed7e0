//! What can be typed on the hypervisor layout's console.

use pagescope_protocol::VirtAddr;

use super::{CommandError, hexadecimal_digits, parse_number};
use crate::bootargs::parse_pace;

/// What `help` prints.
pub const HELP: &str = "\
kalloc [N]       hand out one page, or N
kfree [N|0xADDR] take back the newest page, the newest N, or the one at 0xADDR
map VA           map a page from kalloc at VA on every hart, global
unmap VA         unmap it on every hart: the others fence before the page is freed
touch VA         load from VA on every hart; a fault is reported and survived
fault KIND [HART]
                 do what must fault; it is reported and survived. KIND is null-read, null-write,
                 null-call, guard, text, rodata, image, data, linear, identity, machine, noncanonical
crash [HART]     load from address 0x10 with nobody to catch it: the hart stops
stress N         N kallocs and kfrees on every hart at once, each page checked; then all are counted
class VA         what a pointer belongs to, by its address: image, cpu, linear, device
lookup VA [HART] how VA is translated, entry by entry
tables [HART]    every page table of a hart: frame, level, what it covers
harts            each hart's number, satp and frame of the cpu struct
heap             the heap counter, and what is free
regions          the regions that the inspector is told about
spaces           the address spaces that it is told about
trace [N]        what the kernel did last
info             what the inspector is told about the kernel
pace MS          milliseconds between the idle loop's kallocs; 0 stops it
selftest         check every requirement, then power off
poweroff         end the machine
";

/// A command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// An empty line.
    Nothing,
    /// `help`.
    Help,
    /// `kalloc`, so many times.
    Kalloc(u64),
    /// `kfree` of so many, newest first.
    KfreeNewest(u64),
    /// `kfree` of this page.
    Kfree(VirtAddr),
    /// `map`.
    Map(VirtAddr),
    /// `unmap`.
    Unmap(VirtAddr),
    /// `touch`.
    Touch(VirtAddr),
    /// `fault`, on this hart.
    Fault(FaultKind, u64),
    /// `crash`, on this hart.
    Crash(u64),
    /// `stress`, so many rounds.
    Stress(u64),
    /// `class`.
    Class(VirtAddr),
    /// `lookup`, in the tables of this hart.
    Lookup(VirtAddr, u64),
    /// `tables` of this hart.
    Tables(u64),
    /// `harts`.
    Harts,
    /// `heap`.
    Heap,
    /// `regions`.
    Regions,
    /// `spaces`.
    Spaces,
    /// `trace`, so many events.
    Trace(u64),
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
    /// A load from address 0.
    NullRead,
    /// A store to address 0.
    NullWrite,
    /// A call of address 0.
    NullCall,
    /// A stack that overflows.
    Guard,
    /// A store to the instructions.
    WriteToText,
    /// A store to the constants.
    WriteToRodata,
    /// A store to the image through the linear map.
    WriteToImage,
    /// A call of the variables.
    ExecuteData,
    /// A call of the image through the linear map.
    ExecuteLinear,
    /// A load from RAM's physical address.
    Identity,
    /// A load from the linear map where the machine program lies.
    Machine,
    /// A load from an address that Sv39 does not have.
    NonCanonical,
}

impl FaultKind {
    /// All of them, by the names that are typed.
    pub const ALL: [(&'static str, Self); 12] = [
        ("null-read", Self::NullRead),
        ("null-write", Self::NullWrite),
        ("null-call", Self::NullCall),
        ("guard", Self::Guard),
        ("text", Self::WriteToText),
        ("rodata", Self::WriteToRodata),
        ("image", Self::WriteToImage),
        ("data", Self::ExecuteData),
        ("linear", Self::ExecuteLinear),
        ("identity", Self::Identity),
        ("machine", Self::Machine),
        ("noncanonical", Self::NonCanonical),
    ];
}

/// Events that `trace` shows where it is not told how many.
const TRACE_DEFAULT: u64 = 16;

impl Command {
    /// Reads a line.
    ///
    /// # Errors
    /// [`CommandError`], to be shown as it is.
    pub fn parse(line: &str) -> Result<Self, CommandError<'_>> {
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.next() else {
            return Ok(Self::Nothing);
        };
        let argument = words.clone().next();
        let mut number = |usage: Option<&'static str>| match (words.next(), usage) {
            (Some(word), _) => parse_number(word)
                .ok_or(CommandError::Number(word))
                .map(Some),
            (None, None) => Ok(None),
            (None, Some(usage)) => Err(CommandError::Usage(usage)),
        };
        let command = match name {
            "help" | "?" => Self::Help,
            "kalloc" => match (number(None)?, argument) {
                (Some(0), Some(word)) => return Err(CommandError::NoPages(word)),
                (count, _) => Self::Kalloc(count.unwrap_or(1)),
            },
            "kfree" => match (number(None)?, argument) {
                (Some(address), Some(word)) if hexadecimal_digits(word).is_some() => {
                    Self::Kfree(VirtAddr::new(address))
                }
                (Some(0), Some(word)) => return Err(CommandError::NoPages(word)),
                (count, _) => Self::KfreeNewest(count.unwrap_or(1)),
            },
            "map" => Self::Map(address(number(Some("map VA"))?)),
            "unmap" => Self::Unmap(address(number(Some("unmap VA"))?)),
            "touch" => Self::Touch(address(number(Some("touch VA"))?)),
            "fault" => {
                let usage = CommandError::Usage("fault KIND [HART]; `help` lists the kinds");
                let word = words.next().ok_or(usage)?;
                let found = FaultKind::ALL.iter().find(|(name, _)| *name == word);
                let (_, kind) = found.ok_or(usage)?;
                let hart = match words.next() {
                    Some(word) => parse_number(word).ok_or(CommandError::Number(word))?,
                    None => 0,
                };
                Self::Fault(*kind, hart)
            }
            "crash" => Self::Crash(number(None)?.unwrap_or_default()),
            "stress" => Self::Stress(number(Some("stress N"))?.unwrap_or_default()),
            "class" => Self::Class(address(number(Some("class VA"))?)),
            "lookup" => {
                let virt = address(number(Some("lookup VA [HART]"))?);
                Self::Lookup(virt, number(None)?.unwrap_or_default())
            }
            "tables" => Self::Tables(number(None)?.unwrap_or_default()),
            "harts" => Self::Harts,
            "heap" => Self::Heap,
            "regions" => Self::Regions,
            "spaces" => Self::Spaces,
            "trace" => Self::Trace(number(None)?.unwrap_or(TRACE_DEFAULT)),
            "info" => Self::Info,
            "pace" => {
                let word = words.next().ok_or(CommandError::Usage("pace MS"))?;
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

/// A number that is an address.
fn address(number: Option<u64>) -> VirtAddr {
    VirtAddr::new(number.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::string::String;

    #[test]
    fn commands_are_read() {
        let virt = VirtAddr::new(0x1_0000_0000);
        for (line, command) in [
            ("", Command::Nothing),
            ("kalloc 3", Command::Kalloc(3)),
            ("kfree", Command::KfreeNewest(1)),
            ("kfree 0x100000000", Command::Kfree(virt)),
            ("map 0x1_0000_0000", Command::Map(virt)),
            ("unmap 0x100000000", Command::Unmap(virt)),
            ("touch 0x100000000", Command::Touch(virt)),
            ("fault guard", Command::Fault(FaultKind::Guard, 0)),
            ("fault null-call 3", Command::Fault(FaultKind::NullCall, 3)),
            ("crash", Command::Crash(0)),
            ("crash 2", Command::Crash(2)),
            ("stress 100000", Command::Stress(100_000)),
            ("class 0x100000000", Command::Class(virt)),
            ("lookup 0x100000000 2", Command::Lookup(virt, 2)),
            ("tables 1", Command::Tables(1)),
            ("trace", Command::Trace(TRACE_DEFAULT)),
            ("pace 0", Command::Pace(0)),
        ] {
            assert_eq!(Command::parse(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, message) in [
            ("kaloc", "no command `kaloc`; `help` lists them"),
            ("map", "usage: map VA"),
            ("map x", "`x` is no number: decimal, or hexadecimal with 0x"),
            (
                "kalloc 0",
                "`0` pages: give a count from 1 on; an address begins with 0x",
            ),
            ("fault", "usage: fault KIND [HART]; `help` lists the kinds"),
            (
                "fault line",
                "usage: fault KIND [HART]; `help` lists the kinds",
            ),
            (
                "fault guard x",
                "`x` is no number: decimal, or hexadecimal with 0x",
            ),
            ("harts now", "`now` is one word too many"),
            ("stress", "usage: stress N"),
        ] {
            assert_eq!(format!("{}", Command::parse(line).unwrap_err()), message);
        }
    }

    #[test]
    fn help_names_every_command_and_every_fault() {
        for line in HELP.lines().filter(|line| !line.starts_with(' ')) {
            let name = line.split_whitespace().next().unwrap();
            let result = Command::parse(name);
            assert!(!matches!(result, Err(CommandError::Unknown(_))), "{name}");
        }
        for (name, kind) in FaultKind::ALL {
            assert!(HELP.contains(name), "{name}");
            let line = format!("fault {name}");
            assert_eq!(Command::parse(&line), Ok(Command::Fault(kind, 0)));
        }
    }

    proptest! {
        #[test]
        fn any_line_is_survived(line: String) {
            let _ = Command::parse(&line);
        }
    }
}
