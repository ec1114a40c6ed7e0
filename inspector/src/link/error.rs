//! What can go wrong with a link, each with its remedy.

use std::path::PathBuf;
use std::time::Duration;

use super::PhysicalAccess;
use super::address::Address;

/// What can go wrong with a link.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LinkError {
    /// Nothing is there.
    #[error("nobody listens on {address}; start QEMU with {}", option_for(address))]
    ConnectionRefused {
        /// Where.
        address: Address,
    },
    /// The way there is not open: no such host, path or permission.
    #[error("cannot connect to {address}: {why}; check the name, and that you may open it")]
    CannotConnect {
        /// Where.
        address: Address,
        /// What the operating system says.
        why: String,
    },
    /// Somebody is there who speaks something else.
    #[error(
        "{address} is no gdb stub: it says \"{what}\"; name the port that QEMU was given with -s or -gdb"
    )]
    NotAStub {
        /// Where.
        address: Address,
        /// How its answer begins, escaped.
        what: String,
    },
    /// Somebody is there who says nothing.
    #[error(
        "{address} gave no answer for {waited:?}; check that it is a gdb port and that no other debugger is attached (QEMU serves one at a time)"
    )]
    NoAnswer {
        /// Where.
        address: Address,
        /// For how long.
        waited: Duration,
    },
    /// The connection ended.
    #[error("the connection to {address} is lost: {why}; start the guest again and reconnect")]
    Lost {
        /// Where.
        address: Address,
        /// What ended it.
        why: String,
    },
    /// The machine is of a kind that we do not show.
    #[error(
        "the target is of architecture {found}; Pagescope shows RISC-V (riscv:rv64, riscv:rv32), so start qemu-system-riscv64 or qemu-system-riscv32"
    )]
    OtherArchitecture {
        /// The architecture that its description names.
        found: String,
    },
    /// The stub refused a request that it has to grant.
    #[error("the stub refused {packet} with {code}; if it is not QEMU, it may lack this feature")]
    Refused {
        /// The request.
        packet: String,
        /// The stub's answer.
        code: String,
    },
    /// The stub's answers make no sense.
    #[error(
        "the stub at {address} does not keep to gdb's protocol: {what}; reconnect, and if it happens again, report it"
    )]
    Protocol {
        /// Where.
        address: Address,
        /// What it did.
        what: String,
    },
    /// The target cannot be asked this while it runs.
    #[error("the guest runs; pause it before asking for its {what}")]
    Running {
        /// What was asked for.
        what: &'static str,
    },
    /// The stub has no way to physical memory.
    #[error(
        "the stub at {address} cannot read physical memory (it has neither Qqemu.PhyMemMode nor a monitor command `physical`); use QEMU's gdb port, or the debug channel of Pagescope's kernel"
    )]
    NoPhysicalMemory {
        /// Where.
        address: Address,
    },
    /// The file that should hold the guest's RAM does not.
    #[error("{path} does not serve as the guest's RAM: {why}; connect without it")]
    RamFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file is no dump that can be read.
    #[error("{path} does not serve as a dump of a guest's memory: {why}")]
    Dump {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A dump does nothing.
    #[error("this is a {kind}, which cannot {what}; attach to a guest for that")]
    Offline {
        /// What it is.
        kind: &'static str,
        /// What was asked for.
        what: &'static str,
    },
    /// Physical memory cannot be read by the way that was asked for.
    #[error("memory cannot be read by this way ({way}): {why}")]
    NoWay {
        /// Which.
        way: PhysicalAccess,
        /// Why not, and what to do.
        why: String,
    },
    /// No monitor is there.
    #[error(
        "no monitor listens on {address}; start QEMU with {}",
        monitor_option_for(address)
    )]
    NoMonitor {
        /// Where.
        address: Address,
    },
    /// Somebody is there who is no monitor.
    #[error(
        "{address} is no monitor of QEMU: it says \"{what}\"; name the one that QEMU was given with -qmp or -monitor"
    )]
    NotAMonitor {
        /// Where.
        address: Address,
        /// How its answer begins, escaped.
        what: String,
    },
    /// A monitor says nothing.
    #[error(
        "the monitor at {address} gave no answer for {waited:?}; check that it is a monitor (-qmp or -monitor, not the gdb port) and that nobody else is connected to it (it serves one client at a time)"
    )]
    MonitorSilent {
        /// Where.
        address: Address,
        /// For how long.
        waited: Duration,
    },
    /// A monitor's answers make no sense.
    #[error(
        "the monitor at {address} does not keep to its protocol: {what}; reconnect, and if it happens again, report it"
    )]
    MonitorNonsense {
        /// Where.
        address: Address,
        /// What it did.
        what: String,
    },
    /// A monitor refused a command.
    #[error("QEMU's monitor refused `{command}`: {answer}")]
    MonitorRefused {
        /// The command.
        command: String,
        /// Its answer.
        answer: String,
    },
    /// The machine's RAM cannot be read while it runs.
    #[error("this guest cannot be looked at while it runs: {why}; start QEMU with {options}")]
    NotMapped {
        /// Why not.
        why: String,
        /// The options that make it so.
        options: &'static str,
    },
    /// The monitor is of another machine than the gdb port.
    #[error(
        "the monitor {monitor} is not of the machine at {port}: {why}; name the monitor of the QEMU that was started \
         with this gdb port"
    )]
    OtherMachine {
        /// The monitor.
        monitor: Address,
        /// The gdb port.
        port: Address,
        /// How that is known.
        why: String,
    },
    /// A debugger's work was asked of a target that has no gdb port.
    #[error(
        "{what} needs the gdb port: start QEMU with -s, and attach with :1234 beside --monitor"
    )]
    NeedsGdbPort {
        /// What was asked for.
        what: &'static str,
    },
    /// The stub cannot watch memory for writes.
    #[error(
        "the stub at {address} has no watchpoints, so the next write to a table cannot be stopped at: name the \
         kernel's ELF (--elf FILE), to step the function that allocates instead, or attach to QEMU's gdb port (-s)"
    )]
    NoWatchpoints {
        /// Where.
        address: Address,
    },
    /// The user, or the application's end, ended the wait.
    #[error("cancelled")]
    Cancelled,
}

/// The option that makes QEMU listen on `address`.
fn option_for(address: &Address) -> String {
    match address {
        Address::Tcp { port: 1234, .. } => "-s (or -gdb tcp::1234)".to_owned(),
        Address::Tcp { port, .. } => format!("-gdb tcp::{port}"),
        Address::Unix(path) => format!("-gdb unix:{},server=on,wait=off", path.display()),
        Address::Serial(path) | Address::File(path) => {
            format!("a gdb stub on {}", path.display())
        }
    }
}

/// The option that gives QEMU a monitor on `address`.
fn monitor_option_for(address: &Address) -> String {
    match address {
        Address::Tcp { host, port } => format!("-qmp tcp:{host}:{port},server=on,wait=off"),
        Address::Unix(path) => format!("-qmp unix:{},server=on,wait=off", path.display()),
        Address::Serial(path) | Address::File(path) => format!("a monitor on {}", path.display()),
    }
}
