//! What can be typed on the console.

pub mod hypervisor;
pub mod nanos;
pub mod process;

use pagescope_protocol::{LeafFlags, Level, PhysAddr, VirtAddr};
use thiserror::Error;

use crate::bootargs::parse_pace;

/// What `help` prints.
pub const HELP: &str = "\
kalloc [N]       hand out one page, or N
kfree [N|0xADDR] take back the newest page, the newest N, or the one at 0xADDR
map VA [N|0xPA] [4K|2M|1G]
                 map N leaves from VA on: to new pages from kalloc, or one leaf to PA. Larger leaves
                 without PA show RAM as it lies, read-only
unmap VA [N]     take away the leaf that maps VA, and the N-1 after it; pages stay handed out
protect VA FLAGS give the leaf that maps VA these permissions: letters of rwxu
rsw VA           flip a software bit (RSW) of the entry that maps VA, through its table's window
touch VA         load from VA and store the byte back; a fault is reported and survived
fault WHAT       do what must fault: null, null-write, null-call, guard, text, rodata, execute,
                 noncanonical, machine, window; it is reported in words, and survived
stress N         N random maps and unmaps, each checked; then everything is counted
bench            what a map costs with this strategy, in cycles and in frames
crash            load from address 0x10 with nobody to catch it: the hart stops
heap             the heap counter, and what is free
tables           every page table: frame, level, what it covers
lookup VA        how VA is translated, entry by entry
harts            start every other hart, and count those that answer
info             the regions that the inspector is told about
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
    /// `map`: where, what, and in leaves of which level.
    Map(VirtAddr, MapTo, Level),
    /// `unmap` of so many leaves.
    Unmap(VirtAddr, u64),
    /// `protect`.
    Protect(VirtAddr, LeafFlags),
    /// `rsw`.
    FlipRsw(VirtAddr),
    /// `stress`, so many steps.
    Stress(u64),
    /// `bench`.
    Bench,
    /// `touch`.
    Touch(VirtAddr),
    /// `fault`.
    Fault(FaultKind),
    /// `crash`.
    Crash,
    /// `heap`.
    Heap,
    /// `tables`.
    Tables,
    /// `lookup`.
    Lookup(VirtAddr),
    /// `harts`.
    Harts,
    /// `info`.
    Info,
    /// `pace`.
    Pace(u64),
    /// `selftest`.
    Selftest,
    /// `poweroff`.
    Poweroff,
}

/// What `map` maps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapTo {
    /// So many leaves: 4 KiB ones to pages from kalloc, larger ones to RAM as it lies.
    Own(u64),
    /// One leaf, to this address.
    Given(PhysAddr),
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
    /// A store to the constants.
    Rodata,
    /// A call of a variable.
    Execute,
    /// A load from an address that Sv39 does not have.
    NonCanonical,
    /// A load from the machine program.
    Machine,
    /// A load from a window in which there is no table, and can be none.
    Window,
}

/// How `fault` is used.
const FAULT_USAGE: &str =
    "fault null|null-write|null-call|guard|text|rodata|execute|noncanonical|machine|window";

impl FaultKind {
    const ALL: [(&'static str, Self); 10] = [
        ("null", Self::Null),
        ("null-write", Self::NullWrite),
        ("null-call", Self::NullCall),
        ("guard", Self::Guard),
        ("text", Self::Text),
        ("rodata", Self::Rodata),
        ("execute", Self::Execute),
        ("noncanonical", Self::NonCanonical),
        ("machine", Self::Machine),
        ("window", Self::Window),
    ];
}

/// Why a line is no command.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum CommandError<'a> {
    /// A first word that is none.
    #[error("no command `{0}`; `help` lists them")]
    Unknown(&'a str),
    /// A word where a number should be.
    #[error("`{0}` is no number: decimal, or hexadecimal with 0x")]
    Number(&'a str),
    /// A word is missing.
    #[error("usage: {0}")]
    Usage(&'static str),
    /// A word too many.
    #[error("`{0}` is one word too many")]
    TooMany(&'a str),
    /// A count of no pages.
    #[error("`{0}` pages: give a count from 1 on; an address begins with 0x")]
    NoPages(&'a str),
    /// Not a number of milliseconds.
    #[error("`{0}` is no pace: milliseconds, 0 to 3600000")]
    Pace(&'a str),
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
            "map" => {
                let virt = VirtAddr::new(number(MAP_USAGE)?.unwrap_or_default());
                let next = words.next();
                let (what, size) = match next.filter(|word| level(word).is_none()) {
                    Some(word) => (map_to(word)?, words.next()),
                    None => (MapTo::Own(1), next),
                };
                let level = match size {
                    Some(word) => level(word).ok_or(CommandError::Usage(MAP_USAGE))?,
                    None => Level::L0,
                };
                Self::Map(virt, what, level)
            }
            "unmap" => {
                let virt = VirtAddr::new(number("unmap VA [N]")?.unwrap_or_default());
                match number("")? {
                    Some(0) => return Err(CommandError::NoPages("0")),
                    count => Self::Unmap(virt, count.unwrap_or(1)),
                }
            }
            "protect" => {
                let usage = "protect VA FLAGS, with FLAGS some letters of rwxu";
                let virt = VirtAddr::new(number(usage)?.unwrap_or_default());
                let flags = words.next().and_then(permissions);
                Self::Protect(virt, flags.ok_or(CommandError::Usage(usage))?)
            }
            "rsw" => Self::FlipRsw(VirtAddr::new(number("rsw VA")?.unwrap_or_default())),
            "stress" => Self::Stress(number("stress N")?.unwrap_or_default()),
            "bench" => Self::Bench,
            "touch" => Self::Touch(VirtAddr::new(number("touch VA")?.unwrap_or_default())),
            "lookup" => Self::Lookup(VirtAddr::new(number("lookup VA")?.unwrap_or_default())),
            "fault" => {
                let usage = CommandError::Usage(FAULT_USAGE);
                let word = words.next().ok_or(usage)?;
                let kinds = FaultKind::ALL;
                let (_, kind) = kinds.iter().find(|(name, _)| *name == word).ok_or(usage)?;
                Self::Fault(*kind)
            }
            "pace" => {
                let word = words.next().ok_or(CommandError::Usage("pace MS"))?;
                Self::Pace(parse_pace(word).ok_or(CommandError::Pace(word))?)
            }
            "crash" => Self::Crash,
            "heap" => Self::Heap,
            "tables" => Self::Tables,
            "harts" => Self::Harts,
            "info" => Self::Info,
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

const MAP_USAGE: &str = "map VA [N|0xPA] [4K|2M|1G]";

/// The level whose leaves have this size.
fn level(word: &str) -> Option<Level> {
    match word {
        "4K" | "4k" => Some(Level::L0),
        "2M" | "2m" => Some(Level::L1),
        "1G" | "1g" => Some(Level::L2),
        _ => None,
    }
}

fn map_to(word: &str) -> Result<MapTo, CommandError<'_>> {
    match parse_number(word) {
        None => Err(CommandError::Number(word)),
        Some(address) if hexadecimal_digits(word).is_some() => {
            Ok(MapTo::Given(PhysAddr::new(address)))
        }
        Some(0) => Err(CommandError::NoPages(word)),
        Some(count) => Ok(MapTo::Own(count)),
    }
}

/// The permissions that these letters say.
fn permissions(word: &str) -> Option<LeafFlags> {
    let flag = |letter| match letter {
        'r' => Some(LeafFlags::READ),
        'w' => Some(LeafFlags::WRITE),
        'x' => Some(LeafFlags::EXECUTE),
        'u' => Some(LeafFlags::USER),
        _ => None,
    };
    let flags: Option<LeafFlags> = word.chars().map(flag).collect();
    flags.filter(|flags| !flags.is_empty())
}

/// What follows `0x`.
fn hexadecimal_digits(word: &str) -> Option<&str> {
    word.strip_prefix("0x").or(word.strip_prefix("0X"))
}

/// A decimal number, or a hexadecimal one with `0x`; underscores may group its digits.
fn parse_number(word: &str) -> Option<u64> {
    let (digits, radix) = match hexadecimal_digits(word) {
        Some(digits) => (digits, 16),
        None => (word, 10),
    };
    let mut value: Option<u64> = None;
    for digit in digits.chars().filter(|digit| *digit != '_') {
        let digit = u64::from(digit.to_digit(radix)?);
        value = Some(
            value
                .unwrap_or(0)
                .checked_mul(radix.into())?
                .checked_add(digit)?,
        );
    }
    value
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
        let page = MapTo::Given(PhysAddr::new(0x87ff_6000));
        for (line, command) in [
            ("", Command::Nothing),
            ("  help ", Command::Help),
            ("kalloc", Command::Kalloc(1)),
            ("kalloc 600", Command::Kalloc(600)),
            ("kfree", Command::KfreeNewest(1)),
            ("kfree 3", Command::KfreeNewest(3)),
            ("kfree 70000", Command::KfreeNewest(70000)),
            ("kfree 0x1000", Command::Kfree(VirtAddr::new(0x1000))),
            ("kfree 0x0", Command::Kfree(VirtAddr::new(0))),
            (
                "kfree 0x87ff6000",
                Command::Kfree(VirtAddr::new(0x87ff_6000)),
            ),
            (
                "map 0x1_0000_0000",
                Command::Map(virt, MapTo::Own(1), Level::L0),
            ),
            (
                "map 0x100000000 0x87ff6000",
                Command::Map(virt, page, Level::L0),
            ),
            (
                "map 0x100000000 3 2M",
                Command::Map(virt, MapTo::Own(3), Level::L1),
            ),
            (
                "map 0x100000000 1g",
                Command::Map(virt, MapTo::Own(1), Level::L2),
            ),
            (
                "map 0x100000000 0x87ff6000 4K",
                Command::Map(virt, page, Level::L0),
            ),
            ("unmap 0x100000000", Command::Unmap(virt, 1)),
            ("unmap 0x100000000 512", Command::Unmap(virt, 512)),
            (
                "protect 0x100000000 rw",
                Command::Protect(virt, LeafFlags::READ | LeafFlags::WRITE),
            ),
            ("rsw 0x100000000", Command::FlipRsw(virt)),
            ("stress 10000", Command::Stress(10000)),
            ("bench", Command::Bench),
            ("fault window", Command::Fault(FaultKind::Window)),
            ("touch 0", Command::Touch(VirtAddr::new(0))),
            ("fault guard", Command::Fault(FaultKind::Guard)),
            ("pace 0", Command::Pace(0)),
            ("poweroff", Command::Poweroff),
        ] {
            assert_eq!(Command::parse(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, message) in [
            ("kaloc", "no command `kaloc`; `help` lists them"),
            (
                "kalloc x",
                "`x` is no number: decimal, or hexadecimal with 0x",
            ),
            (
                "kfree 0",
                "`0` pages: give a count from 1 on; an address begins with 0x",
            ),
            (
                "kalloc 0",
                "`0` pages: give a count from 1 on; an address begins with 0x",
            ),
            ("map", "usage: map VA [N|0xPA] [4K|2M|1G]"),
            ("map 0 1 3M", "usage: map VA [N|0xPA] [4K|2M|1G]"),
            (
                "map 0 0",
                "`0` pages: give a count from 1 on; an address begins with 0x",
            ),
            (
                "map 0 x",
                "`x` is no number: decimal, or hexadecimal with 0x",
            ),
            (
                "protect 0 q",
                "usage: protect VA FLAGS, with FLAGS some letters of rwxu",
            ),
            (
                "protect 0",
                "usage: protect VA FLAGS, with FLAGS some letters of rwxu",
            ),
            ("stress", "usage: stress N"),
            (
                "touch 0x",
                "`0x` is no number: decimal, or hexadecimal with 0x",
            ),
            ("heap now", "`now` is one word too many"),
            (
                "fault line",
                "usage: fault null|null-write|null-call|guard|text|rodata|execute|noncanonical|machine|window",
            ),
            ("pace soon", "`soon` is no pace: milliseconds, 0 to 3600000"),
            (
                "touch 0x10000000000000000",
                "`0x10000000000000000` is no number: decimal, or hexadecimal with 0x",
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

        #[test]
        fn numbers_round_trip(number: u64) {
            prop_assert_eq!(parse_number(&format!("{number}")), Some(number));
            prop_assert_eq!(parse_number(&format!("{number:#x}")), Some(number));
        }
    }
}
