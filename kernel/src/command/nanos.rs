//! What can be typed on the console of the nanos layout.

use pagescope_protocol::VirtAddr;

use super::{CommandError, hexadecimal_digits, parse_number};
use crate::bootargs::parse_pace;

/// What `help` prints.
pub const HELP: &str = "\
kalloc [N]       hand out one page of the backed heap's, or N
kfree [N|0xADDR] take back the newest page, the newest N, or the one at 0xADDR
backed BYTES     hand out mapped memory: physical + virtual_page + map_range
reserve BYTES    hand out address space of virtual_page's, with nothing mapped there
free 0xADDR      take back what `backed` or `reserve` handed out
app [N]          run the application, which touches N pages of its heap (4)
fault WHERE      touch what must fault: null, null-write, null-call, guard, text, execute, noncanonical,
                 kernel-to-user; or have the application do it: user-to-kernel, user-null, user-text,
                 user-execute, user-illegal, user-stack, user-heap, user-loop
regions          every virtual allocation, with its tag and its description
spaces           the address spaces
trace [N]        the last N of map_range and unmap_range: what, when, by whom (16)
tables           the root table; how many tables there are, and pages that wait in the pool
lookup VA        how VA is translated, entry by entry
heap             every heap, and the heap counter
stress N         N random allocations and frees over all heaps, each checked
info             what the inspector is told
pace MS          milliseconds between the idle loop's kallocs; 0 stops it
crash            load from address 0x10 with nobody to catch it: the hart stops
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
    /// `backed`, so many bytes.
    Backed(u64),
    /// `reserve`, so many bytes.
    Reserve(u64),
    /// `free`.
    Free(VirtAddr),
    /// `app`, so many pages.
    Application(u64),
    /// `fault`.
    Fault(FaultKind),
    /// `regions`.
    Regions,
    /// `spaces`.
    Spaces,
    /// `trace`, so many events.
    Trace(u64),
    /// `tables`.
    Tables,
    /// `lookup`.
    Lookup(VirtAddr),
    /// `heap`.
    Heap,
    /// `stress`, so many steps.
    Stress(u64),
    /// `info`.
    Info,
    /// `pace`.
    Pace(u64),
    /// `crash`.
    Crash,
    /// `selftest`.
    Selftest,
    /// `poweroff`.
    Poweroff,
}

/// Something that must fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// A load from address 0.
    Null,
    /// A store to address 0.
    NullWrite,
    /// A call of address 0.
    NullCall,
    /// A store to the guard below the stack.
    Guard,
    /// A store to the instructions.
    Text,
    /// A call of a variable.
    Execute,
    /// A load from an address that Sv39 does not have.
    NonCanonical,
    /// A load from the application's memory while sstatus.SUM is 0.
    KernelToUser,
    /// The application loads from the kernel's image.
    UserToKernel,
    /// The application loads from address 0.
    UserNull,
    /// The application stores to its own instructions.
    UserText,
    /// The application calls its own data.
    UserExecute,
    /// The application runs into zeros, which are no instruction.
    UserIllegal,
    /// The application stores below its stack.
    UserStack,
    /// The application loads past the end of its heap.
    UserHeap,
    /// The application runs for ever, and it is the timer that stops it.
    UserLoop,
}

/// How `fault` is used.
const FAULT_USAGE: &str = "fault null|null-write|null-call|guard|text|execute|noncanonical|\
kernel-to-user|user-to-kernel|user-null|user-text|user-execute|user-illegal|user-stack|user-heap|user-loop";

impl FaultKind {
    const ALL: [(&'static str, Self); 16] = [
        ("null", Self::Null),
        ("null-write", Self::NullWrite),
        ("null-call", Self::NullCall),
        ("guard", Self::Guard),
        ("text", Self::Text),
        ("execute", Self::Execute),
        ("noncanonical", Self::NonCanonical),
        ("kernel-to-user", Self::KernelToUser),
        ("user-to-kernel", Self::UserToKernel),
        ("user-null", Self::UserNull),
        ("user-text", Self::UserText),
        ("user-execute", Self::UserExecute),
        ("user-illegal", Self::UserIllegal),
        ("user-stack", Self::UserStack),
        ("user-heap", Self::UserHeap),
        ("user-loop", Self::UserLoop),
    ];
}

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
        // Without a usage, the number may be left out.
        let mut number = |usage: &'static str| match words.next() {
            Some(word) => parse_number(word)
                .ok_or(CommandError::Number(word))
                .map(Some),
            None if usage.is_empty() => Ok(None),
            None => Err(CommandError::Usage(usage)),
        };
        let command = match name {
            "help" | "?" => Self::Help,
            "kalloc" => match (number("")?, argument) {
                (Some(0), Some(word)) => return Err(CommandError::NoPages(word)),
                (count, _) => Self::Kalloc(count.unwrap_or(1)),
            },
            "kfree" => match (number("")?, argument) {
                (Some(address), Some(word)) if hexadecimal_digits(word).is_some() => {
                    Self::Kfree(VirtAddr::new(address))
                }
                (Some(0), Some(word)) => return Err(CommandError::NoPages(word)),
                (count, _) => Self::KfreeNewest(count.unwrap_or(1)),
            },
            "backed" => Self::Backed(number("backed BYTES")?.unwrap_or_default()),
            "reserve" => Self::Reserve(number("reserve BYTES")?.unwrap_or_default()),
            "free" => Self::Free(VirtAddr::new(number("free 0xADDR")?.unwrap_or_default())),
            "app" => Self::Application(number("")?.unwrap_or(4)),
            "fault" => {
                let usage = CommandError::Usage(FAULT_USAGE);
                let word = words.next().ok_or(usage)?;
                let mut kinds = FaultKind::ALL.iter();
                let (_, kind) = kinds.find(|(name, _)| *name == word).ok_or(usage)?;
                Self::Fault(*kind)
            }
            "regions" => Self::Regions,
            "spaces" => Self::Spaces,
            "trace" => Self::Trace(number("")?.unwrap_or(16)),
            "tables" => Self::Tables,
            "lookup" => Self::Lookup(VirtAddr::new(number("lookup VA")?.unwrap_or_default())),
            "heap" => Self::Heap,
            "stress" => Self::Stress(number("stress N")?.unwrap_or_default()),
            "info" => Self::Info,
            "pace" => {
                let word = words.next().ok_or(CommandError::Usage("pace MS"))?;
                Self::Pace(parse_pace(word).ok_or(CommandError::Pace(word))?)
            }
            "crash" => Self::Crash,
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;

    #[test]
    fn commands_are_read() {
        for (line, command) in [
            ("", Command::Nothing),
            ("kalloc", Command::Kalloc(1)),
            (
                "kfree 0x100400000",
                Command::Kfree(VirtAddr::new(0x1_0040_0000)),
            ),
            ("kfree 3", Command::KfreeNewest(3)),
            ("backed 0x300000", Command::Backed(3 << 20)),
            ("reserve 4096", Command::Reserve(4096)),
            (
                "free 0x100400000",
                Command::Free(VirtAddr::new(0x1_0040_0000)),
            ),
            ("app", Command::Application(4)),
            ("app 12", Command::Application(12)),
            (
                "fault user-to-kernel",
                Command::Fault(FaultKind::UserToKernel),
            ),
            ("trace 5", Command::Trace(5)),
            ("stress 1000", Command::Stress(1000)),
            ("pace 0", Command::Pace(0)),
        ] {
            assert_eq!(Command::parse(line), Ok(command), "{line}");
        }
        for (name, kind) in FaultKind::ALL {
            let line = std::format!("fault {name}");
            assert_eq!(Command::parse(&line), Ok(Command::Fault(kind)));
            assert!(HELP.contains(name) && FAULT_USAGE.contains(name));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, error) in [
            ("map 1", CommandError::Unknown("map")),
            ("backed", CommandError::Usage("backed BYTES")),
            ("backed x", CommandError::Number("x")),
            ("kalloc 0", CommandError::NoPages("0")),
            ("fault", CommandError::Usage(FAULT_USAGE)),
            ("fault here", CommandError::Usage(FAULT_USAGE)),
            ("heap 3", CommandError::TooMany("3")),
            ("pace soon", CommandError::Pace("soon")),
        ] {
            assert_eq!(Command::parse(line), Err(error), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_survived(line: String) {
            let _ = Command::parse(&line);
        }
    }
}
