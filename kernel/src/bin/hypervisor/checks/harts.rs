//! Harts: who they are, what is their own, and all of them at once.

use core::arch::asm;

use pagescope_kernel::command::hypervisor::FaultKind;
use pagescope_kernel::fault::Cause;
use pagescope_kernel::program::selftest::{Outcome, Reason};
use pagescope_kernel::{csr_read, ensure};
use pagescope_protocol::{LeafFlags, Satp, VirtAddr};

use super::{each_leaf, mapped, mapped_on, on_every_hart, root};
use crate::cpu::{self, NO_HART};
use crate::{fault, harts, kmem, stress, vmem};

/// Where every hart finds its own.
const CPU_STRUCT: u64 = 0xffff_ffc0_4000_0000;

/// The guard, by S2.9 between the cpu info page and the stack.
const GUARD: core::ops::Range<u64> = 0xffff_ffc0_4000_1000..0xffff_ffc0_4000_2000;

/// Kallocs of each hart.
const ROUNDS: u64 = 100_000;

fn set_tp(value: u64) {
    // SAFETY: nothing but `cpu::tp` reads it, and that only before there is a cpu struct.
    unsafe { asm!("mv tp, {}", in(reg) value, options(nomem, nostack)) };
}

pub(crate) fn s2_6_tp_until_the_cpu_struct() -> Outcome {
    on_every_hart(|| {
        let info = cpu::info();
        let (hart, early) = (info.hart, info.early);
        ensure!(early.tp == hart, "tp was {}", early.tp);
        ensure!(
            early.lock_holder == hart,
            "a lock was held by {} then",
            early.lock_holder
        );
        let tp = cpu::tp();
        ensure!(tp == NO_HART, "tp still is {tp}");
        // Whatever is in it now, locks do not ask.
        set_tp(hart + 1);
        let lock = kmem::lock();
        let holder = kmem::holder();
        drop(lock);
        set_tp(NO_HART);
        ensure!(
            holder == Some(hart),
            "with tp = {}, {holder:?} holds a lock",
            hart + 1
        );
        Ok(())
    })
}

pub(crate) fn s2_7_one_address_another_frame() -> Outcome {
    on_every_hart(|| {
        let satp = csr_read!("satp");
        let hart = cpu::info().hart;
        let own = root(hart)?;
        ensure!(
            Satp::from_bits(satp).root() == own,
            "satp is {satp:#x}, its tables are at {own}"
        );
        // SAFETY: the first word of the cpu info page, which is mapped.
        let found = unsafe { (CPU_STRUCT as *const u64).read_volatile() };
        ensure!(found == hart, "{CPU_STRUCT:#x} says {found}");
        Ok(())
    })?;
    for hart in harts::numbers() {
        let frame = mapped_on(hart, CPU_STRUCT)?.address;
        for other in harts::numbers().filter(|other| *other != hart) {
            ensure!(
                root(hart)? != root(other)?,
                "harts {hart} and {other} share tables"
            );
            let found = mapped_on(other, CPU_STRUCT)?.address;
            ensure!(frame != found, "harts {hart} and {other} share {frame}");
        }
        let first = each_leaf(0, |_| Ok(()))?;
        let count = each_leaf(hart, |leaf| {
            let there = vmem::lookup(root(0)?, leaf.virt).mapped();
            let virt = leaf.virt;
            let there =
                there.ok_or_else(|| Reason::new(format_args!("{virt} is only on {hart}")))?;
            let here = leaf.pte.page().start();
            let flags = leaf.pte.flags();
            let is_own = virt.as_u64() >= CPU_STRUCT && virt.as_u64() < CPU_STRUCT + (1 << 30);
            ensure!(
                there.flags == flags && there.page_size == leaf.size,
                "{virt} is {flags} on hart {hart} and {} on hart 0",
                there.flags
            );
            ensure!(
                (there.address == here) != (is_own && hart != 0),
                "{virt} is {here} on hart {hart} and {} on hart 0",
                there.address
            );
            Ok(())
        })?;
        ensure!(
            count == first,
            "hart {hart} has {count} leaves, hart 0 has {first}"
        );
    }
    Ok(())
}

pub(crate) fn s2_9_overflow_faults_in_the_guard() -> Outcome {
    on_every_hart(|| {
        for (virt, is_mapped) in [
            (GUARD.start - 8, true),
            (GUARD.start, false),
            (GUARD.end - 8, false),
            (GUARD.end, true),
        ] {
            let found = mapped(virt);
            ensure!(
                found.is_ok() == is_mapped,
                "{virt:#x}: mapped is {}",
                found.is_ok()
            );
            if let Ok(found) = found {
                let flags = found.flags;
                ensure!(flags.contains(LeafFlags::WRITE), "{virt:#x} is {flags}");
            }
        }
        Ok(())
    })?;
    for hart in harts::numbers() {
        let fault = fault::provoke_on(hart, FaultKind::Guard);
        let none = || Reason::new(format_args!("hart {hart} overflowed its stack unhindered"));
        let fault = fault.ok_or_else(none)?;
        let (cause, address) = (fault.cause, fault.address);
        ensure!(cause == Cause::STORE_PAGE_FAULT, "hart {hart}: {cause}");
        ensure!(
            GUARD.contains(&address.as_u64()),
            "hart {hart}: the fault is at {address}"
        );
    }
    // They go on, each on its stack.
    on_every_hart(|| {
        let hart = cpu::hart();
        let stack = VirtAddr::new((&raw const hart).expose_provenance() as u64);
        ensure!(stack.as_u64() >= GUARD.end, "the stack is at {stack}");
        Ok(())
    })
}

pub(crate) fn s2_13_nothing_is_lost() -> Outcome {
    let count = harts::count();
    ensure!(count >= 4, "{count} harts run");
    let found = stress::run(ROUNDS);
    ensure!(found.errors == 0, "{} errors", found.errors);
    ensure!(
        found.kallocs == count * ROUNDS && found.kfrees == found.kallocs,
        "{} kallocs and {} kfrees",
        found.kallocs,
        found.kfrees
    );
    // One in four is offered to another hart, which may have to take earlier ones first.
    ensure!(
        found.hand_overs >= found.kallocs / 100,
        "{} pages alone were freed by another hart",
        found.hand_overs
    );
    ensure!(
        found.free_before == found.free_after,
        "{} pages were free before, {} are after",
        found.free_before,
        found.free_after
    );
    Ok(())
}
