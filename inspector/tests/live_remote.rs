//! A gdb port that is far away: what is counted is ways there and back, because each of them costs what the
//! line is long. The numbers do not depend on how fast anything is.

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pagescope::capture::Capturer;
use pagescope::capture::live::translate_live;
use pagescope::capture::step::CallStepper;
use pagescope::guest::ElfFile;
use pagescope::link::{
    Cancel, ConnectOptions, GdbTarget, HartId, LinkError, PhysicalAccess, Target,
};
use pagescope::session::{Command, Connection, Event, Session, Source};
use pagescope_protocol::{PhysAddr, PhysRange, Satp};
use support::proxy::Proxy;
use support::{HANG_GUARD, Machine};

/// Far enough for requests to go out together; what is asserted does not depend on it.
const FAR: Duration = Duration::from_millis(5);

/// As a guest on another machine is seen: by its port alone.
fn remote() -> ConnectOptions {
    ConnectOptions {
        way: Some(PhysicalAccess::GdbPort),
        ..ConnectOptions::default()
    }
}

#[test]
fn looking_takes_few_rounds() {
    for (layout, harts) in [("pseudos", 1), ("process", 1), ("hypervisor", 4)] {
        let machine = Machine::boot_layout(layout, "pace=1", harts, true);
        drop(machine.attach_booted());
        let proxy = Proxy::start(machine.guest.address(), FAR);
        let elf = Arc::new(ElfFile::open(&machine.elf).expect("our own ELF"));

        let mut target = GdbTarget::connect(&proxy.address, remote()).expect("QEMU is there");
        let connected = proxy.take();
        let mut capturer = Capturer::new(&mut target, Some(elf)).expect("it can be asked");
        let learnt = proxy.take();
        let first = capturer.capture(&mut target, "test").expect("a capture");
        let captured = proxy.take();
        let tables: usize = first.spaces.iter().map(|space| space.tables.len()).sum();
        let again = capturer.capture(&mut target, "test").expect("a capture");
        let captured_again = proxy.take();
        let levels = 3;
        println!(
            "{layout}: {} spaces, {tables} tables: connect {connected:?}, learn {learnt:?}, capture \
             {captured:?}, again {captured_again:?}",
            first.spaces.len()
        );
        assert_eq!(again.spaces.len(), first.spaces.len());
        // qSupported, PhyMemMode, what QEMU is asked at once, the description's parts.
        assert!(connected.rounds <= 4, "{connected:?}");
        // Our kernel's block: its pointer, itself, its tables.
        assert!(learnt.rounds <= 3, "{learnt:?}");
        // Registers of all harts, which are more than the first window holds where there are four; the block,
        // its tables, its trace; the page tables level by level.
        let registers = if harts == 1 { 1 } else { 5 };
        // Once: which extensions the processor has.
        assert!(captured.rounds <= registers + 4 + levels, "{captured:?}");
        assert!(
            captured_again.rounds <= registers + 3 + levels,
            "{captured_again:?}"
        );

        let satp = target
            .register(HartId::new(0), "satp")
            .expect("QEMU")
            .expect("satp");
        let pc = target
            .register(HartId::new(0), "pc")
            .expect("QEMU")
            .expect("pc");
        proxy.take();
        let machine_map = capturer.machine().clone();
        let address = pagescope_protocol::VirtAddr::new(pc);
        translate_live(&mut target, &machine_map, Satp::from_bits(satp), address).expect("QEMU");
        let walked = proxy.take();
        assert!(walked.rounds <= levels, "{walked:?}");
        Box::new(target).detach().expect("it can be left");
        let left = proxy.take();
        println!("{layout}: walk {walked:?}, leave {left:?}");
        assert!(left.rounds <= 2, "{left:?}");
    }
}

/// However many spaces there are: each level of all of them is one round.
#[test]
fn spaces_are_read_together() {
    let machine = Machine::boot_layout("process", "pace=1", 1, false);
    let elf = Arc::new(ElfFile::open(&machine.elf).expect("our own ELF"));
    let deadline = Instant::now() + HANG_GUARD;
    loop {
        assert!(Instant::now() < deadline, "the kernel starts no processes");
        let proxy = Proxy::start(machine.guest.address(), FAR);
        let mut target = GdbTarget::connect(&proxy.address, remote()).expect("QEMU is there");
        let elf = Some(Arc::clone(&elf));
        let mut capturer = Capturer::new(&mut target, elf).expect("it can be asked");
        proxy.take();
        let snapshot = capturer.capture(&mut target, "test").expect("a capture");
        let captured = proxy.take();
        Box::new(target).detach().expect("it can be left");
        if snapshot.spaces.len() < 3 {
            // The guest goes on booting.
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        println!("{} spaces: {captured:?}", snapshot.spaces.len());
        assert!(captured.rounds <= 8, "{captured:?}");
        break;
    }
}

#[test]
fn a_step_takes_few_rounds() {
    let machine = Machine::boot("pace=1", true);
    drop(machine.attach_booted());
    let proxy = Proxy::start(machine.guest.address(), FAR);
    let elf = Arc::new(ElfFile::open(&machine.elf).expect("our own ELF"));
    let entry = elf.address_of("kalloc").expect("a symbol");
    let mut target = GdbTarget::connect(&proxy.address, remote()).expect("QEMU is there");
    let mut capturer = Capturer::new(&mut target, Some(elf)).expect("it can be asked");
    capturer.capture(&mut target, "test").expect("a capture");
    let stepper = CallStepper {
        symbol: "kalloc".into(),
        entry,
    };
    for _ in 0..3 {
        proxy.take();
        stepper
            .step(&mut target, &Cancel::new(), HANG_GUARD)
            .expect("kalloc returns");
        let stepped = proxy.take();
        capturer.capture(&mut target, "test").expect("a capture");
        let captured = proxy.take();
        println!("step {stepped:?}, capture {captured:?}");
        assert!(stepped.rounds <= 13, "{stepped:?}");
        assert!(captured.rounds <= 7, "{captured:?}");
    }
}

/// 64 MiB over a line of 20 ms: told of while they come, and given up at once.
#[test]
fn a_long_read_is_told_of_and_can_be_cancelled() {
    let machine = Machine::boot("pace=0", true);
    let proxy = Proxy::start(machine.guest.address(), Duration::from_millis(20));
    let options = remote();
    let cancel = options.cancel.clone();
    let mut target = GdbTarget::connect(&proxy.address, options).expect("QEMU is there");
    let told = Arc::new(Mutex::new(Vec::new()));
    let (ours, stop) = (Arc::clone(&told), cancel.clone());
    target.report_to(Arc::new(move |report| {
        let mut told = ours.lock().expect("nobody panics");
        told.push(report.clone());
        if told.len() == 3 {
            stop.cancel();
        }
    }));
    target.begin("a lot");
    let all = PhysRange::new(PhysAddr::new(0x8000_0000), 64 << 20).expect("a range");
    let read = target.read_physical(&[all]);
    assert!(matches!(read, Err(LinkError::Cancelled)), "{read:?}");
    let told = told.lock().expect("nobody panics").clone();
    assert_eq!(told.len(), 3);
    assert!(
        told.windows(2)
            .all(|two| two[0].done_bytes < two[1].done_bytes)
    );
    assert_eq!(told[0].total_bytes, 64 << 20);
    assert!(told[0].to_string().starts_with("reading a lot: "));
    // The connection is of use still: what was on its way is thrown away.
    cancel.reset();
    let few = PhysRange::new(PhysAddr::new(0x8000_0000), 4096).expect("a range");
    let read = target.read_physical(&[few]).expect("it is there still");
    assert!(read[0].is_some());
}

/// The window's path: a far guest is read with its progress shown, and is left when that is cancelled.
#[test]
fn a_far_guest_is_shown_and_left() {
    let machine = Machine::boot("pace=0", true);
    let proxy = Proxy::start(machine.guest.address(), Duration::from_millis(100));
    let source = Source::attach(proxy.address.clone(), None);
    let session = Session::start(source, Arc::new(|| {})).expect("a thread");
    let deadline = Instant::now() + HANG_GUARD;
    let wait_for = |what: &dyn Fn(&Event) -> bool| {
        while !what(&session.events.recv_deadline(deadline).expect("an event")) {}
    };
    wait_for(&|event| matches!(event, Event::Ways(ways) if !ways.is_empty()));
    wait_for(&|event| matches!(event, Event::Moment(_)));
    wait_for(&|event| matches!(event, Event::Connection(Connection::Stopped)));
    session.commands.send(Command::Detach).expect("it listens");
    wait_for(&|event| matches!(event, Event::Connection(Connection::Detached)));
}
