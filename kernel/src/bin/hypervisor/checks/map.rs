//! The virtual memory map, as every hart has it.

use pagescope_kernel::ensure;
use pagescope_kernel::fault::Cause;
use pagescope_kernel::handoff::BOOT_MAGIC;
use pagescope_kernel::hypervisor::class::PointerClass;
use pagescope_kernel::hypervisor::vmem::READ_WRITE;
use pagescope_kernel::memory::Memory as _;
use pagescope_kernel::program::image;
use pagescope_kernel::program::probe;
use pagescope_kernel::program::selftest::{Outcome, Reason};
use pagescope_protocol::{LeafFlags, VirtAddr};

use super::{each_leaf, mapped, on_every_hart};
use crate::{cpu, entry, harts, kmem, linear, vmem};

/// Where S2.1 puts everything.
const KERNEL_IMAGE: u64 = 0xffff_ffc0_0000_0000;
const CPU_STRUCT: u64 = 0xffff_ffc0_4000_0000;
const LINEAR_MAP: u64 = 0xffff_ffe0_0000_0000;

/// RAM on `virt`.
const RAM: core::ops::Range<u64> = 0x8000_0000..0x8800_0000;

/// Eight bytes, each loaded by the hardware, whatever is there.
fn word(address: u64) -> Result<u64, Reason> {
    let mut bytes = [0; 8];
    for (offset, byte) in (0..).zip(&mut bytes) {
        let place = VirtAddr::new(address + offset);
        let failed = |fault: probe::Fault| Reason::new(format_args!("{} at {place}", fault.cause));
        *byte = probe::load(place).map_err(failed)?;
    }
    Ok(u64::from_le_bytes(bytes))
}

pub(crate) fn s2_1_where_everything_is() -> Outcome {
    on_every_hart(|| {
        // The image begins behind the machine program, here and in RAM.
        let offset = 0x20_0000;
        let magic = BOOT_MAGIC;
        for (base, name) in [(KERNEL_IMAGE, "kernel image"), (LINEAR_MAP, "linear map")] {
            let found = mapped(base + offset)?.address.as_u64();
            ensure!(
                found == RAM.start + offset,
                "{name}: {base:#x} + 2 MiB is {found:#x}"
            );
            let found = word(base + offset)?;
            ensure!(found == magic, "{name}: the image begins with {found:#x}");
        }
        let text = entry::__text_start.address();
        ensure!(text == KERNEL_IMAGE + offset, ".text is at {text:#x}");
        // Neither address gives a way to write to it.
        for base in [KERNEL_IMAGE, LINEAR_MAP] {
            let place = VirtAddr::new(base + offset);
            // SAFETY: it faults; should it not, the byte is the one that is there.
            let stored = unsafe { probe::store(place, BOOT_MAGIC.to_le_bytes()[0]) };
            let refused = stored.is_err_and(|fault| fault.cause == Cause::STORE_PAGE_FAULT);
            ensure!(refused, "{place}, in .text, can be written: {stored:?}");
        }
        let hart = word(CPU_STRUCT)?;
        ensure!(hart == cpu::hart(), "the cpu struct says hart {hart}");
        // The whole of RAM but the machine program, and nothing behind it.
        let last = mapped(LINEAR_MAP + (RAM.end - RAM.start) - 1)?
            .address
            .as_u64();
        ensure!(last == RAM.end - 1, "the linear map ends at {last:#x}");
        let below = mapped(LINEAR_MAP + offset - 1).is_ok();
        let behind = mapped(LINEAR_MAP + (RAM.end - RAM.start)).is_ok();
        ensure!(!below && !behind, "mapped below: {below}, behind: {behind}");
        // A word that is stored by its linear pointer is the image's own variable's neighbour in RAM.
        let page = kmem::alloc_page().ok_or_else(|| Reason::new(format_args!("out of memory")))?;
        linear::memory().store(page, 0x1234_5678);
        let found = word(page.as_u64())?;
        kmem::kfree(page.as_u64() as usize);
        ensure!(found == 0x1234_5678, "{page} holds {found:#x}");
        Ok(())
    })
}

pub(crate) fn s2_2_devices_at_their_own_addresses() -> Outcome {
    on_every_hart(|| {
        for device in [0x1000_0000, 0x3000_0000] {
            let found = mapped(device)?;
            ensure!(
                found.address.as_u64() == device,
                "{device:#x} leads to {}",
                found.address
            );
            let flags = found.flags;
            let wanted = READ_WRITE | LeafFlags::GLOBAL;
            ensure!(flags.contains(wanted), "{device:#x} is {flags}");
            ensure!(
                !flags.contains(LeafFlags::EXECUTE),
                "{device:#x} is {flags}"
            );
        }
        // The devices themselves answer: the UART's LSR says that it takes a byte, or has yet to send
        // one (bits 6 and 5, and 0); PCI's first function is QEMU's host bridge (QEMU,
        // include/hw/pci/pci.h).
        let status = probe::load(VirtAddr::new(0x1000_0005));
        ensure!(
            status.is_ok_and(|lsr| lsr & !0x61 == 0),
            "UART0 answers {status:?}"
        );
        let bridge = word(0x3000_0000)? as u32;
        ensure!(bridge == 0x0008_1b36, "PCI ECAM answers {bridge:#x}");
        Ok(())
    })
}

pub(crate) fn s2_8_all_global_but_the_cpu_struct() -> Outcome {
    for hart in harts::numbers() {
        let mut own = 0;
        let count = each_leaf(hart, |leaf| {
            let is_own = (CPU_STRUCT..CPU_STRUCT + (1 << 30)).contains(&leaf.virt.as_u64());
            own += usize::from(is_own);
            let is_global = leaf.pte.flags().contains(LeafFlags::GLOBAL);
            ensure!(
                is_global != is_own,
                "hart {hart}: {} is {}",
                leaf.virt,
                leaf.pte.flags()
            );
            Ok(())
        })?;
        // 1 page of info, 8 of stack, 4 of trap stack.
        ensure!(
            own == 13 && count > own,
            "{own} of {count} leaves are its own"
        );
    }
    global_means_everywhere()
}

/// An address at which nothing is mapped.
const FREE: u64 = 0x1_0000_0000;

/// What is mapped is there on every hart, and what is unmapped is gone on every hart, though each of them
/// has it in its TLB.
fn global_means_everywhere() -> Outcome {
    let page = kmem::alloc_page().ok_or_else(|| Reason::new(format_args!("out of memory")))?;
    linear::memory().store(page, 0x5ca1_ab1e);
    on_every_hart(|| {
        let is_there = probe::load(VirtAddr::new(FREE)).is_ok();
        ensure!(!is_there, "{FREE:#x} is mapped before");
        Ok(())
    })?;
    let failed = |error| Reason::new(format_args!("map: {error}"));
    let phys = linear::frame_at(page).start();
    vmem::map(VirtAddr::new(FREE), phys, READ_WRITE).map_err(failed)?;
    on_every_hart(|| {
        let found = word(FREE)?;
        ensure!(found == 0x5ca1_ab1e, "{FREE:#x} holds {found:#x}");
        Ok(())
    })?;
    let failed = |error| Reason::new(format_args!("unmap: {error}"));
    let unmapped = vmem::unmap(VirtAddr::new(FREE)).map_err(failed)?;
    ensure!(unmapped == phys, "{unmapped} was unmapped");
    kmem::kfree(page.as_u64() as usize);
    on_every_hart(|| {
        let is_there = probe::load(VirtAddr::new(FREE)).is_ok();
        ensure!(!is_there, "{FREE:#x} is still reached");
        Ok(())
    })
}

pub(crate) fn s2_10_no_identity_mapping_of_ram() -> Outcome {
    on_every_hart(|| {
        let before = cpu::info().early.identity_was_there;
        ensure!(before == 1, "RAM's own address was not mapped at boot");
        for address in [RAM.start, 0x8020_0000, 0x8400_0000, RAM.end - 8] {
            match probe::load(VirtAddr::new(address)) {
                Err(fault) if fault.cause == Cause::LOAD_PAGE_FAULT => {
                    let at = fault.address.as_u64();
                    ensure!(at == address, "the fault is at {at:#x}");
                }
                found => {
                    return Err(Reason::new(format_args!("{address:#x} gives {found:?}")));
                }
            }
        }
        Ok(())
    })
}

pub(crate) fn s2_11_classes() -> Outcome {
    on_every_hart(|| {
        let local = 0u8;
        let page = kmem::alloc_page().unwrap_or_default();
        let address = |place: *const u8| place.expose_provenance() as u64;
        let of_function = s2_11_classes as *const () as u64;
        let checks = [
            (of_function, "image"),
            (address((&raw const entry::HAND_OFF).cast()), "image"),
            (address("a constant".as_ptr()), "image"),
            (address(&raw const local), "cpu"),
            (page.as_u64(), "linear"),
            (0x1000_0000, "device"),
            (0x3000_0000, "device"),
            (0x8020_0000, "user"),
            (0, "none"),
            (0x80_0000_0000, "none"),
        ];
        kmem::kfree(page.as_u64() as usize);
        for (address, expected) in checks {
            let class = PointerClass::of(VirtAddr::new(address)).name();
            ensure!(class == expected, "{address:#x} is {class}, not {expected}");
        }
        Ok(())
    })
}

pub(crate) fn s2_12_no_physical_base() -> Outcome {
    for hart in harts::numbers() {
        // RAM is seen at two distances only, which the kernel was told, and never at its own.
        let distances = [KERNEL_IMAGE, LINEAR_MAP].map(|base| base.wrapping_sub(RAM.start));
        each_leaf(hart, |leaf| {
            let (virt, phys) = (leaf.virt.as_u64(), leaf.pte.page().start().as_u64());
            let is_own = (CPU_STRUCT..CPU_STRUCT + (1 << 30)).contains(&virt);
            let distance = virt.wrapping_sub(phys);
            ensure!(
                !RAM.contains(&phys) || is_own || distances.contains(&distance),
                "hart {hart}: {} is mapped to {phys:#x}",
                leaf.virt
            );
            ensure!(
                !RAM.contains(&virt),
                "hart {hart}: RAM's own address {} is mapped",
                leaf.virt
            );
            Ok(())
        })?;
    }
    // Both conversions agree with the hardware's, for code, data, and pages.
    let place = image::physical(&raw const entry::HAND_OFF);
    let found = mapped((&raw const entry::HAND_OFF).expose_provenance() as u64)?.address;
    ensure!(place == found, "the hand-off is at {found}, not {place}");
    let ram = linear::ram();
    ensure!(
        (ram.start().as_u64(), ram.size()) == (RAM.start, RAM.end - RAM.start),
        "RAM is {ram}"
    );
    for offset in (0x20_0000..ram.size()).step_by(0x1f_f000) {
        let phys = ram.start().wrapping_add(offset);
        let pointer = phys.page().map(linear::pointer_to).unwrap_or_default();
        let found = mapped(pointer.as_u64())?.address;
        let back = linear::frame_at(pointer).start();
        let aligned = phys.align_down(0x1000);
        ensure!(
            found == aligned && back == aligned,
            "{pointer} leads to {found}, not {aligned}"
        );
    }
    Ok(())
}
