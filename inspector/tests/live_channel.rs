//! The kernel's debug channel: a gdb stub of its own on the serial port, attached to as to QEMU's.

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use pagescope::capture::Capturer;
use pagescope::capture::run_until::{Goal, Listener, RunProgress, Runner};
use pagescope::capture::step::CallStepper;
use pagescope::guest::ElfFile;
use pagescope::link::{
    Address, Cancel, ConnectOptions, GdbTarget, PhysicalAccess, StopReason, Target as _,
};
use pagescope_protocol::snapshot::text::{Document, from_text};
use pagescope_protocol::snapshot::{Provenance, Snapshot};
use support::{HANG_GUARD, Machine, folder, kernel_in, pagescope, stderr, stdout};

/// Registers that stopping by the channel itself changes, as it happens in M-mode: the trap that
/// brings a hart into the stub is the last one that the machine-mode registers tell of. What is
/// pending changes while the stub is talking.
const MOVED_BY_THE_TRAP: [&str; 6] = ["mstatus", "mepc", "mcause", "mtval", "mip", "sip"];

/// What QEMU's port shows and our kernel's stub does not: it has no use for a hypervisor's settings,
/// and of the rules for physical memory it sets two.
const NOT_OVER_THE_CHANNEL: [&str; 7] = [
    "henvcfg", "pmpaddr2", "pmpaddr3", "pmpaddr4", "pmpaddr5", "pmpaddr6", "pmpaddr7",
];

fn connect(address: &str) -> GdbTarget {
    let address: Address = address.parse().expect("an address");
    let options = ConnectOptions {
        timeout: HANG_GUARD,
        ..ConnectOptions::default()
    };
    GdbTarget::connect(&address, options).expect("somebody answers")
}

/// What both ways must agree in: everything but who was asked, what the machine is made of beside
/// RAM, and what the stop itself moves.
fn comparable(snapshot: &Snapshot) -> Snapshot {
    let mut snapshot = snapshot.clone();
    snapshot.provenance = Provenance::default();
    let ram: Vec<_> = snapshot.ram().collect();
    snapshot
        .physical
        .retain(|region| region.range().is_some_and(|range| ram.contains(&range)));
    for region in &mut snapshot.physical {
        region.name.clear();
    }
    for hart in &mut snapshot.harts {
        hart.registers.retain(|register| {
            let name = register.name.as_str();
            !MOVED_BY_THE_TRAP.contains(&name) && !NOT_OVER_THE_CHANNEL.contains(&name)
        });
    }
    snapshot
}

/// The same guest, at the same instruction, through QEMU's port and through the channel. The
/// channel's patch lies on kalloc's first instruction and QEMU's breakpoint before it: QEMU stops the
/// hart in front of the patch, and when it lets go, the hart runs into it.
#[test]
fn both_ways_show_the_same_guest() {
    let machine = Machine::boot("pace=5", false);
    let elf = Arc::new(ElfFile::open(&machine.elf).expect("our own ELF"));
    let kalloc = elf.address_of("kalloc").expect("kalloc is a real symbol");

    let mut channel = connect(&machine.channel());
    assert_eq!(channel.facts().physical, PhysicalAccess::Monitor);
    let mut by_channel = Capturer::new(&mut channel, Some(Arc::clone(&elf))).expect("it reads");
    let mut port = machine.attach();
    let mut by_port = Capturer::new(&mut port, Some(elf)).expect("QEMU says what it has");
    port.set_breakpoint(kalloc).expect("QEMU sets it");
    port.resume().expect("the stub goes on");
    channel.set_breakpoint(kalloc).expect("the stub sets it");
    channel.resume().expect("the guest goes on");

    let stop = port.wait_for_stop(HANG_GUARD).expect("QEMU answers");
    assert!(
        matches!(stop, Some(StopReason::Breakpoint { .. })),
        "{stop:?}"
    );
    let seen_by_port = by_port.capture(&mut port, "at kalloc").expect("a capture");
    port.clear_breakpoint(kalloc).expect("QEMU clears it");
    Box::new(port).detach().expect("QEMU lets go");

    let stop = channel.wait_for_stop(HANG_GUARD).expect("the stub answers");
    assert!(
        matches!(stop, Some(StopReason::Breakpoint { .. })),
        "{stop:?}"
    );
    let seen = by_channel
        .capture(&mut channel, "at kalloc")
        .expect("a capture");
    assert_eq!(seen.harts[0].pc, Some(kalloc));
    assert_eq!(seen.harts[0].privilege.as_deref(), Some("S"));
    assert_eq!(comparable(&seen), comparable(&seen_by_port));
    // Who was asked is told.
    assert!(
        seen.provenance.link.contains("monitor physical"),
        "{:?}",
        seen.provenance
    );
    assert!(
        seen.provenance
            .machine
            .contains("RAM as the device tree says"),
        "{:?}",
        seen.provenance
    );
    assert!(seen_by_port.provenance.machine.starts_with("QEMU"));
    assert_eq!(seen_by_port.provenance.link, "mapped RAM");

    channel
        .clear_breakpoint(kalloc)
        .expect("the stub clears it");
    Box::new(channel).detach().expect("the stub lets go");
}

/// `step` over the channel is the same lecture as over QEMU's port, and leaves the guest running.
#[test]
fn stepping_over_the_channel() {
    let machine = Machine::boot("pace=5", false);
    let channel = machine.channel();
    let elf = machine.elf_text();
    let step = [
        "step", &channel, "--elf", &elf, "--count", "12", "--format", "json",
    ];
    let output = pagescope(&step);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let steps: Vec<serde_json::Value> = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(steps.len(), 12);
    let returned = |step: &serde_json::Value| {
        let text = step["returned"].as_str().expect("a string");
        u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("hexadecimal")
    };
    let counter = |step: &serde_json::Value| step["heap_counter"].as_u64().expect("a number");
    for (before, after) in steps.iter().zip(&steps[1..]) {
        assert_eq!(returned(after), returned(before) - 4096, "{after}");
        assert_eq!(counter(after), counter(before) + 1, "{after}");
    }
    // No patch of ours stops it, and addresses are virtual again for whoever comes next.
    let before = counter(&steps[11]);
    let deadline = Instant::now() + HANG_GUARD;
    while heap_counter(&machine, &channel) <= before + 12 {
        assert!(Instant::now() < deadline, "the guest stands still");
    }
    let mut target = connect(&channel);
    let state = support::monitor(&mut target, "physical");
    assert!(state.contains("off"), "{state}");
}

fn heap_counter(machine: &Machine, address: &str) -> u64 {
    let file = machine.file("now.ron");
    let output = pagescope(&["snapshot", address, "-o", &file.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = std::fs::read_to_string(file).expect("it was written");
    let Ok(Document::Snapshot(snapshot)) = from_text(&text) else {
        panic!("a snapshot was asked for: {text}");
    };
    snapshot.heap.map_or(0, |heap| heap.counter)
}

/// A QEMU whose serial port is a pseudo-terminal, as a board's would be a device.
struct Board(Child);

impl Board {
    fn boot(kernel: &std::path::Path) -> (Self, String) {
        let mut child = Command::new("qemu-system-riscv64")
            .args("-M virt -m 128M -smp 2 -bios none -display none -monitor none".split(' '))
            .args(["-serial", "pty", "-append", "pace=5", "-kernel"])
            .arg(kernel)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("QEMU is installed (`cargo xtask test` does that)");
        let said = child.stdout.take().expect("a pipe");
        let board = Self(child);
        // char device redirected to /dev/pts/3 (label serial0)
        let mut line = String::new();
        let _ = BufReader::new(said).read_line(&mut line);
        let path = line
            .split_whitespace()
            .find(|word| word.starts_with("/dev/"));
        let path = path.unwrap_or_else(|| panic!("no terminal in {line:?}"));
        (board, format!("serial:{path}"))
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every command that reads works over a serial line, without any port of QEMU's.
#[test]
fn a_serial_line_is_enough() {
    let folder = folder();
    let kernel = kernel_in(folder.path());
    let elf = kernel.to_string_lossy().into_owned();
    let (_board, address) = Board::boot(&kernel);
    let output = pagescope(&["check", &address, "--hart", "0"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    assert!(
        stdout(&output).starts_with("sound: "),
        "{}",
        stdout(&output)
    );
    let output = pagescope(&["walk", &address, "kalloc", "--elf", &elf]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = pagescope(&["map", &address, "--phys"]);
    assert!(stdout(&output).contains("UART0"), "{}", stdout(&output));
    let output = pagescope(&["step", &address, "--elf", &elf, "--count", "3"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 3, "{}", stdout(&output));
}

/// The channel has no watchpoints: the next change of a table is looked for at each return of `kalloc`.
#[test]
fn the_next_change_of_a_table_is_found_by_stepping() {
    let machine = Machine::boot("pace=5", false);
    let elf = Arc::new(ElfFile::open(&machine.elf).expect("our own ELF"));
    let kalloc = elf.address_of("kalloc").expect("kalloc is a real symbol");
    let mut channel = connect(&machine.channel());
    let mut capturer = Capturer::new(&mut channel, Some(elf)).expect("it reads");
    let stepper = CallStepper {
        symbol: "kalloc".into(),
        entry: kalloc,
    };
    let before = capturer.capture(&mut channel, "before").expect("a capture");
    let cancel = Cancel::new();
    let goal = Goal::TableChange {
        within: None,
        count: 2,
    };
    let mut kept = Kept::default();
    let mut run = |allocates: Option<CallStepper>, kept: &mut Kept| {
        let mut runner = Runner {
            target: &mut channel,
            capturer: &mut capturer,
            allocates,
            cancel: &cancel,
            limit: Some(HANG_GUARD),
        };
        runner.run(&goal, kept)
    };
    let refused = run(None, &mut kept).expect_err("nothing can be watched, and nothing stepped");
    let words = refused.to_string();
    assert!(
        words.contains("no watchpoints") && words.contains("--elf"),
        "{words}"
    );
    let stops = run(Some(stepper), &mut kept).expect("kalloc maps pages");
    assert!(stops >= 2, "{stops}");
    let [.., last] = kept.0.as_slice() else {
        panic!("nothing was kept");
    };
    assert!(last.stop.starts_with("kalloc("), "{}", last.stop);
    assert_ne!(before.spaces[0].tables, last.spaces[0].tables);
}

#[derive(Default)]
struct Kept(Vec<Arc<Snapshot>>);

impl Listener for Kept {
    fn stop(&mut self, snapshot: Arc<Snapshot>) {
        self.0.push(snapshot);
    }

    fn progress(&mut self, _progress: &RunProgress) {}
}
