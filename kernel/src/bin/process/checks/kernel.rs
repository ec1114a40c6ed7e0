//! Checks about the kernel's own part.

use pagescope_kernel::ensure;
use pagescope_kernel::fault::Cause;
use pagescope_kernel::process::layout::USER_BASE;
use pagescope_kernel::process::syscall::End;
use pagescope_kernel::program::selftest::Outcome;
use pagescope_kernel::program::{probe, publish};
use pagescope_protocol::info::{region_kind, trace_kind};
use pagescope_protocol::{LeafFlags, PAGE_SIZE, VirtAddr};

use super::outcome;
use crate::users::Attempt;
use crate::{entry, processes, regions, spaces};

/// What the document gives the kernel, region by region from address 0 up: whether it may read, and
/// write; only .text can be executed.
const KERNEL_MAY: [(&str, bool, bool); 8] = [
    (".text", false, false),
    (".rodata", true, false),
    (".data/.bss", true, true),
    ("original shared data", false, false),
    ("kernel stack", true, true),
    ("kernel shared data", true, true),
    ("kernel heap", true, true),
    ("device IO", true, true),
];

/// The 16550's scratch register, which does nothing.
const SCRATCH: u64 = 7;

pub(super) fn s3_3_permissions() -> Outcome {
    let mut below = VirtAddr::new(0);
    for ((range, kind, name, _), (expected, read, write)) in
        regions::kernel_parts().into_iter().zip(KERNEL_MAY)
    {
        ensure!(name == expected, "{name} lies where {expected} belongs");
        ensure!(
            range.start() >= below,
            "{name} lies below what comes before it"
        );
        below = range.end();
        let at = match kind {
            region_kind::DEVICE => range.start().wrapping_add(SCRATCH),
            _ => range.start(),
        };
        let loaded = probe::load(at);
        ensure!(
            loaded.is_ok() == read,
            "{name}: a load at {at} gave {loaded:?}"
        );
        // SAFETY: the byte that is there already.
        let stored = unsafe { probe::store(at, loaded.unwrap_or(0)) };
        ensure!(
            stored.is_ok() == write,
            "{name}: a store at {at} gave {stored:?}"
        );
        if kind != region_kind::TEXT {
            // SAFETY: if it can be executed, the check fails, one way or another.
            let cause = unsafe { probe::call(at) }.map_err(|fault| fault.cause);
            let refused = Err(Cause::INSTRUCTION_PAGE_FAULT);
            ensure!(cause == refused, "{name}: execution gave {cause:?}");
        }
    }
    // Text=X and rodata=R for users, too, and no more than that.
    let rodata = USER_BASE.as_u64() + entry::__rodata_start.address();
    let text = USER_BASE.as_u64() + 0x1000;
    for (address, attempt, end) in [
        (rodata, Attempt::Read, End::Exited(1)),
        (rodata, Attempt::Write, End::Fault(15)),
        (rodata, Attempt::Execute, End::Fault(12)),
        (text, Attempt::Read, End::Fault(13)),
        (text, Attempt::Write, End::Fault(15)),
        // Where instructions begin there is none.
        (USER_BASE.as_u64(), Attempt::Execute, End::Fault(2)),
    ] {
        let found = outcome("rogue", attempt.argument(address))?;
        ensure!(
            found == end,
            "{attempt:?} at {address:#x} by a user: {found:?}"
        );
    }
    // A null read faults, and so does a null call, at the illegal instruction there.
    let null = VirtAddr::new(0);
    let read = probe::load(null).map_err(|fault| fault.cause);
    ensure!(
        read == Err(Cause::LOAD_PAGE_FAULT),
        "a null read gave {read:?}"
    );
    // SAFETY: what lies there is no instruction.
    let called = unsafe { probe::call(null) }.map_err(|fault| fault.cause);
    ensure!(
        called == Err(Cause::ILLEGAL_INSTRUCTION),
        "a null call gave {called:?}"
    );
    Ok(())
}

pub(super) fn s3_4_the_original_is_restricted() -> Outcome {
    let original = spaces::original().start();
    let is_restricted = |moment: &str| {
        let read = probe::load(original).map_err(|fault| fault.cause);
        ensure!(
            read == Err(Cause::LOAD_PAGE_FAULT),
            "{moment} a process is created, the original gives {read:?}"
        );
        Ok(())
    };
    is_restricted("before")?;
    let traced = publish::read().trace_count;
    let pid = super::spawn("count", 1)?;
    is_restricted("after")?;
    // In between it became readable, and restricted again; the newest comes first.
    let mut changes = publish::traced()
        .take_while(|event| event.sequence >= traced)
        .filter(|event| event.kind == trace_kind::PROTECT && event.address == original.as_u64())
        .map(|event| event.flags & u64::from((LeafFlags::READ | LeafFlags::WRITE).bits()));
    let changes = [changes.next(), changes.next(), changes.next()];
    ensure!(
        changes == [Some(0), Some(LeafFlags::READ.bits().into()), None],
        "while a process is created, the original's flags become {changes:?}, newest first"
    );
    let (read, stored) = spaces::with_original(|at| {
        // SAFETY: should it be possible, the check fails.
        (probe::load(at), unsafe { probe::store(at, 0) })
    });
    ensure!(
        read.is_ok(),
        "the original cannot be read to be copied: {read:?}"
    );
    ensure!(stored.is_err(), "the original can be written to");
    // Nor can it be read in the space of a process.
    let in_space = processes::find(pid).map(|(_, process)| {
        spaces::switch_to(process.space.satp());
        let read = probe::load(original);
        spaces::switch_to_kernel();
        read
    });
    ensure!(
        matches!(in_space, Some(Err(_))),
        "in a process's space the original gives {in_space:?}"
    );
    Ok(())
}

pub(super) fn s3_9_unaligned_on_purpose() -> Outcome {
    let page = |address: u64| address / PAGE_SIZE;
    let stack_end = entry::__kernel_stack_end.address();
    let (shared, shared_end) = (
        entry::__shared_start.address(),
        entry::__shared_end.address(),
    );
    let heap = entry::__heap_start.address();
    ensure!(
        stack_end == shared && shared_end == heap,
        "the kernel's parts do not meet"
    );
    for (name, boundary) in [
        ("stack and shared data", shared),
        ("shared data and heap", heap),
    ] {
        ensure!(
            !boundary.is_multiple_of(PAGE_SIZE),
            "{name} meet at {boundary:#x}, a page's boundary"
        );
    }
    ensure!(
        page(stack_end - 1) == page(shared) && page(shared_end - 1) == page(heap),
        "the kernel's parts do not share pages"
    );
    let pid = super::spawn("count", 1)?;
    let space = processes::find(pid).map(|(_, process)| process.space);
    let space = space.ok_or_else(|| {
        pagescope_kernel::program::selftest::Reason::new(format_args!("no process {pid}"))
    })?;
    let (stack, shared) = (space.stack(), space.layout().shared);
    let frame = |address: u64| {
        let view = spaces::kernels_view(space.satp(), VirtAddr::new(address));
        view.map(|view| page(view.as_u64()))
    };
    ensure!(
        stack.end() == shared.start() && !shared.start().is_aligned(PAGE_SIZE),
        "user stack and shared data meet at {}",
        shared.start()
    );
    let last_of_stack = frame(stack.end().as_u64() - 1);
    ensure!(
        last_of_stack.is_some() && last_of_stack == frame(shared.start().as_u64()),
        "user stack and shared data do not share a frame"
    );
    Ok(())
}

pub(super) fn s3_10_holes_in_the_io_window() -> Outcome {
    /// What a virtio device's first register says: `virt` (virtio 1.2, section 4.2.2).
    const MAGIC: u32 = u32::from_le_bytes(*b"virt");
    let page = spaces::io_page(1);
    let is_hole = || probe::load(page).is_err();
    ensure!(is_hole(), "{page} is no hole");
    ensure!(spaces::plug_in(1), "{page} cannot be mapped");
    ensure!(!is_hole(), "{page} is a hole still");
    let register = core::ptr::with_exposed_provenance::<u32>(page.as_u64() as usize);
    // SAFETY: mapped just now, to a register that can be read.
    let magic = unsafe { register.read_volatile() };
    // In the spaces of processes, too.
    let pid = super::spawn("count", 1)?;
    let space = processes::find(pid).map(|(_, process)| process.space);
    let seen = space.and_then(|space| spaces::kernels_view(space.satp(), page));
    ensure!(spaces::unplug(1), "{page} cannot be unmapped");
    ensure!(magic == MAGIC, "the device at {page} says {magic:#x}");
    ensure!(
        seen.is_some(),
        "{page} is a hole still in a process's space"
    );
    ensure!(is_hole(), "{page} is no hole any more");
    ensure!(
        probe::load(spaces::io_page(0).wrapping_add(SCRATCH)).is_ok(),
        "UART0 went, too"
    );
    Ok(())
}

pub(super) fn s3_11_kernel_stack_overflow() -> Outcome {
    let bottom = entry::__kernel_stack_start.address();
    let restricted = spaces::original();
    // SAFETY: the stack's lowest byte, which nobody has reached.
    let lowest = unsafe { probe::store(VirtAddr::new(bottom), 0) };
    ensure!(lowest.is_ok(), "the stack's lowest byte gave {lowest:?}");
    // SAFETY: below the stack there is nothing of anybody's.
    let below = unsafe { probe::store(VirtAddr::new(bottom - 8), 0) };
    let cause = below.map_err(|fault| (fault.cause, restricted.contains(fault.address)));
    ensure!(
        cause == Err((Cause::STORE_PAGE_FAULT, true)),
        "a store below the stack gave {below:?}"
    );
    ensure!(
        restricted.end().as_u64() == bottom,
        "the restricted region ends elsewhere"
    );
    Ok(())
}
