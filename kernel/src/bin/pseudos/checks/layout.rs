//! S0: where everything lies.

use pagescope_kernel::arch;
use pagescope_kernel::ensure;
use pagescope_kernel::fault::Cause;
use pagescope_kernel::memory::Memory as _;
use pagescope_kernel::program::probe;
use pagescope_kernel::program::publish;
use pagescope_kernel::self_map::Table;
use pagescope_kernel::space::HEAP_FLAGS;
use pagescope_protocol::info::FRESH_FILL;
use pagescope_protocol::{LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, PteKind, VirtAddr};

use super::{entry, live_root, mapped, probe_frame, step, strategy, window_of};
use crate::entry as image;
use crate::{kernel, start};
use pagescope_kernel::program::selftest::Outcome;

const RAM_START: u64 = 0x8000_0000;
const RAM_END: u64 = 0x8800_0000;
const KALLOC_0: u64 = 0x87ff_e000;
const COUNTER_PAGE: u64 = 0x87ff_f000;
const UART: u64 = 0x1000_0000;
const ECAM: u64 = 0x3000_0000;

/// The heap counter, read where the information block says it is.
fn counter() -> u64 {
    let address = VirtAddr::new(publish::read().heap_counter);
    kernel::with(|kernel| kernel.memory.load(address))
}

/// What the device tree and the machine program say, and that RAM ends where it should: what lies
/// behind it cannot be loaded from, not even where it is mapped.
pub(crate) fn s0_1_ram_and_entry() -> Outcome {
    let told = start::hand_off();
    let (ram_start, ram_size) = (told.ram_start, told.ram_size);
    ensure!(
        ram_start == RAM_START,
        "the device tree has RAM at {ram_start:#x}"
    );
    ensure!(
        ram_start + ram_size == RAM_END,
        "the device tree has {ram_size:#x} bytes of RAM, required are 128 MiB"
    );
    let machine_entry = told.machine_entry;
    ensure!(
        machine_entry == RAM_START,
        "the machine program's entry is {machine_entry:#x}"
    );
    let last = VirtAddr::new(RAM_END - 1);
    ensure!(
        probe::load(last).is_ok(),
        "the last byte of RAM, {last}, faults"
    );
    let beyond = probe_frame(PhysAddr::new(RAM_END))?.map_err(|fault| fault.cause);
    ensure!(
        beyond == Err(Cause::LOAD_ACCESS_FAULT),
        "a load from {RAM_END:#x}, mapped, gave {beyond:?}"
    );
    Ok(())
}

/// Section after section by the linker's symbols, by the tables, and by what the hardware does.
pub(crate) fn s0_2_sections_ascend() -> Outcome {
    let sections = [
        (".text", &image::__text_start, &image::__text_end, "r-x--ad"),
        (
            ".rodata",
            &image::__rodata_start,
            &image::__rodata_end,
            "r----ad",
        ),
        (".data", &image::__data_start, &image::__data_end, "rw---ad"),
        (".bss", &image::__bss_start, &image::__bss_end, "rw---ad"),
        ("guard", &image::__guard_start, &image::__guard_end, ""),
        (
            "stack",
            &image::__stack_start,
            &image::__stack_end,
            "rw---ad",
        ),
    ];
    let mut lowest = RAM_START;
    for (name, start, end, flags) in sections {
        let (start, end) = (start.address(), end.address());
        ensure!(
            start >= lowest && end > start,
            "{name} lies at {start:#x}..{end:#x}"
        );
        lowest = end;
        for address in (start..end).step_by(PAGE_SIZE as usize) {
            let address = VirtAddr::new(address);
            let Some(flags) = LeafFlags::from_letters(flags) else {
                let fault = probe::load(address).err();
                let cause = fault.map(|fault| fault.cause);
                ensure!(cause == Some(Cause::LOAD_PAGE_FAULT), "{name} is mapped");
                continue;
            };
            let found = mapped(address)?;
            ensure!(
                found.flags == flags,
                "{name} is {} at {address}",
                found.flags
            );
            ensure!(
                found.address.as_u64() == address.as_u64(),
                "{name} at {address} is mapped to {}",
                found.address
            );
        }
    }
    let heap_bottom = publish::read().heap_bottom;
    ensure!(
        heap_bottom >= lowest,
        "free memory begins at {heap_bottom:#x}, in the image"
    );
    let (low, high) = (image::__stack_start.address(), image::__stack_end.address());
    let stack_pointer = arch::stack_pointer();
    ensure!(
        (low..high).contains(&stack_pointer),
        "sp is {stack_pointer:#x}"
    );
    for read_only in [&image::__text_start, &image::__rodata_start] {
        let address = VirtAddr::new(read_only.address());
        // SAFETY: it must fault; the boot header's first byte and padding are not missed.
        let fault = unsafe { probe::store(address, b'P') }.err();
        let cause = fault.map(|fault| fault.cause);
        ensure!(
            cause == Some(Cause::STORE_PAGE_FAULT),
            "{address} can be written"
        );
    }
    Ok(())
}

/// Within the top 256 bytes, and really the number of calls.
pub(crate) fn s0_3_heap_counter() -> Outcome {
    let address = publish::read().heap_counter;
    let top = RAM_END - 256..RAM_END;
    ensure!(
        top.contains(&address),
        "the heap counter lies at {address:#x}"
    );
    ensure!(
        address.is_multiple_of(8),
        "the heap counter at {address:#x} is misaligned"
    );
    let before = counter();
    let page = kernel::kalloc();
    ensure!(page != 0, "out of memory");
    let after = counter();
    ensure!(
        after == before + 1,
        "the heap counter went from {before} to {after}"
    );
    ensure!(kernel::kfree(page), "{page:#x} could not be freed");
    let freed = counter();
    ensure!(
        freed == before,
        "after kfree the heap counter is {freed}, not {before}"
    );
    Ok(())
}

/// Three calls in a row, each where the counter says.
pub(crate) fn s0_4_kalloc_descends() -> Outcome {
    let first = counter();
    for number in first..first + 3 {
        let before = counter();
        ensure!(
            before == number,
            "the heap counter is {before}, expected {number}"
        );
        let page = kernel::kalloc() as u64;
        let expected = KALLOC_0 - number * PAGE_SIZE;
        ensure!(
            page == expected,
            "kalloc({number}) returned {page:#x}, expected {expected:#x}"
        );
        let page = VirtAddr::new(page);
        let fresh = kernel::with(|kernel| kernel.memory.page_is_filled(page, FRESH_FILL));
        ensure!(fresh, "{page} does not have the fresh fill");
    }
    Ok(())
}

/// Mapped at their own addresses, and the devices answer.
pub(crate) fn s0_5_devices() -> Outcome {
    for (name, address) in [
        ("UART0", UART),
        ("PCI ECAM", ECAM),
        ("the end of PCI ECAM", ECAM + (256 << 20) - PAGE_SIZE),
    ] {
        let found = mapped(VirtAddr::new(address))?;
        ensure!(
            found.address.as_u64() == address,
            "{name} is mapped to {}",
            found.address
        );
        let flags = found.flags;
        ensure!(flags.contains(HEAP_FLAGS), "{name} is {flags}");
        ensure!(!flags.contains(LeafFlags::EXECUTE), "{name} is {flags}");
    }
    let line_status = probe::load(VirtAddr::new(UART + 5)).unwrap_or(0);
    ensure!(
        line_status & 0x20 != 0,
        "the UART's line status is {line_status:#x}"
    );
    let byte = |offset| probe::load(VirtAddr::new(ECAM + offset)).unwrap_or(0xff);
    let vendor = u16::from_le_bytes([byte(0), byte(1)]);
    ensure!(
        vendor == 0x1b36,
        "the PCI host bridge has the vendor {vendor:#x}"
    );
    Ok(())
}

/// L2 to L1, L1 to L0, in the document's frames; and for all three a leaf, which lies in this L0
/// where the document draws it (`pool`), or where the strategy keeps it.
pub(crate) fn s0_6_self_map() -> Outcome {
    let page = |address: u64| PhysPage::from_truncated(address / PAGE_SIZE);
    let top = VirtAddr::new(KALLOC_0);
    let root = Table::root(page(0x87ff_c000));
    let l1 = Table::covering(page(0x87ff_d000), Level::L1, top);
    let l0 = Table::covering(page(KALLOC_0), Level::L0, top);
    let live = live_root();
    ensure!(
        live == root.frame,
        "satp leads to {live}, expected {}",
        root.frame
    );
    let link = entry(root, 2)?;
    let expected = PteKind::Pointer(l1.frame);
    ensure!(link.classify(Level::L2) == expected, "L2[2] is {link:?}");
    let link = entry(l1, 63)?;
    let expected = PteKind::Pointer(l0.frame);
    ensure!(link.classify(Level::L1) == expected, "L1[63] is {link:?}");

    let in_l0 = |index, frame| -> Outcome {
        let leaf = entry(l0, index)?;
        let PteKind::Leaf(found) = leaf.classify(Level::L0) else {
            ensure!(false, "L0[{index}] is {leaf:?}");
            return Ok(());
        };
        ensure!(
            found.page == frame,
            "L0[{index}] maps {}, expected {frame}",
            found.page
        );
        let flags = found.flags;
        let expected = LeafFlags::from_letters("rw---ad");
        ensure!(Some(flags) == expected, "L0[{index}] is {flags}");
        Ok(())
    };
    in_l0(511, page(COUNTER_PAGE))?;
    match strategy() {
        "pool" => {
            for (index, table) in [(508, root), (509, l1), (510, l0)] {
                in_l0(index, table.frame)?;
            }
        }
        "self-leaf" => in_l0(510, l0.frame)?,
        _ => {}
    }
    for table in [root, l1, l0] {
        let found = mapped(window_of(table))?;
        ensure!(
            found.address == table.frame.start() && found.flags.contains(HEAP_FLAGS),
            "{} is not seen at {}",
            table.frame,
            window_of(table)
        );
    }
    Ok(())
}

/// A new leaf appears, the page works, and M-mode was not entered.
pub(crate) fn s0_7_no_help_from_machine_mode() -> Outcome {
    // With `demand`, M-mode links a new L0: that is not this page's doing.
    while step(VirtAddr::new(publish::read().heap_next), Level::L0).is_err() {
        ensure!(kernel::kalloc() != 0, "out of memory");
    }
    let before = publish::read();
    let next = VirtAddr::new(before.heap_next);
    ensure!(
        kernel::lookup(next).mapped().is_none(),
        "{next} is mapped before kalloc"
    );
    let page = VirtAddr::new(kernel::kalloc() as u64);
    ensure!(page == next, "kalloc returned {page}, expected {next}");
    let found = mapped(page)?;
    ensure!(
        found.address.as_u64() == page.as_u64(),
        "{page} is mapped to {}",
        found.address
    );
    let stored = 0x0123_4567_89ab_cdef;
    let loaded = kernel::with(|kernel| {
        kernel.memory.store(page, stored);
        kernel.memory.load(page)
    });
    ensure!(loaded == stored, "{page} gave {loaded:#x} back");
    let after = publish::read();
    let traps = |block: &pagescope_protocol::info::InfoBlock| {
        block.machine_table_traps + block.machine_other_traps
    };
    let taken = traps(&after) - traps(&before);
    ensure!(taken == 0, "M-mode was entered {taken} times");
    // The counter counts: this call does enter M-mode.
    arch::sbi_call::set_timer(u64::MAX);
    let counted = traps(&publish::read()) - traps(&after);
    ensure!(counted == 1, "one SBI call was counted as {counted} traps");
    Ok(())
}

/// The pages that were handed out before S-mode started, and the counter's, each at its place.
pub(crate) fn s0_8_boot_map() -> Outcome {
    let handed_out = start::hand_off().handed_out;
    ensure!(
        handed_out >= 3,
        "only {handed_out} pages were handed out before S-mode"
    );
    let counter = mapped(VirtAddr::new(COUNTER_PAGE))?;
    ensure!(
        counter.address == PhysAddr::new(COUNTER_PAGE) && counter.page_size == PAGE_SIZE,
        "the counter's page is mapped to {}",
        counter.address
    );
    for address in (0..handed_out).map(|number| KALLOC_0 - number * PAGE_SIZE) {
        let frame = PhysPage::from_truncated(address / PAGE_SIZE);
        let is_table = kernel::with(|kernel| kernel.space.is_table(frame));
        // With `pool` each is where it is drawn; with the others a table is seen in its window (S1.5),
        // and a page in reserve nowhere.
        if strategy() != "pool" && is_table {
            continue;
        }
        let found = mapped(VirtAddr::new(address))?;
        ensure!(
            found.address == PhysAddr::new(address) && found.page_size == PAGE_SIZE,
            "{address:#x} is mapped to {}, a page of {:#x}",
            found.address,
            found.page_size
        );
        ensure!(
            found.flags.contains(HEAP_FLAGS),
            "{address:#x} is {}",
            found.flags
        );
    }
    Ok(())
}
