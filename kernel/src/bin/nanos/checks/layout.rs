//! S4: where everything lies, and what is gone after boot.

use pagescope_kernel::fault::Cause;
use pagescope_kernel::program::probe;
use pagescope_kernel::program::selftest::Outcome;
use pagescope_kernel::{arch, csr_read, ensure, println};
use pagescope_protocol::{LeafFlags, PAGE_SIZE, PhysPage, Satp, VirtAddr, VirtRange};

use super::{load_faults, mapped, refused};
use crate::application::code::Task;
use crate::application::{self, Ending};
use crate::{entry, kernel, stage2, stage3};

const IMAGE: u64 = 0x7f00_0000;
const LOADED: u64 = 0x8020_0000;
const RAM_END: u64 = 0x8800_0000;
const UART: u64 = 0x1000_0000;
const USER_HEAP: u64 = 0x10_0000_0000;
/// The first address past the application's stack.
const APPLICATION_STACK: u64 = 0x7e00_0000;

/// Linked there, mapped there, and running there.
pub(crate) fn s4_1_the_image() -> Outcome {
    let linked = entry::__text_start.address();
    ensure!(linked == IMAGE, ".text is linked at {linked:#x}");
    let first = mapped(VirtAddr::new(IMAGE))?;
    ensure!(
        first.address.as_u64() == LOADED,
        "the image is mapped to {}",
        first.address
    );
    let here = s4_1_the_image as *const () as u64;
    let end = entry::__stack_end.address();
    ensure!((IMAGE..end).contains(&here), "this code is at {here:#x}");
    let stack = arch::stack_pointer();
    ensure!((IMAGE..end).contains(&stack), "sp is {stack:#x}");
    let sections = [
        (".text", &entry::__text_start, &entry::__text_end, "r-x--ad"),
        (
            ".rodata",
            &entry::__rodata_start,
            &entry::__rodata_end,
            "r----ad",
        ),
        (".data", &entry::__data_start, &entry::__data_end, "rw---ad"),
        (".bss", &entry::__bss_start, &entry::__bss_end, "rw---ad"),
        ("guard", &entry::__guard_start, &entry::__guard_end, ""),
        (
            "stack",
            &entry::__stack_start,
            &entry::__stack_end,
            "rw---ad",
        ),
    ];
    for (name, start, end, letters) in sections {
        for page in (start.address()..end.address()).step_by(PAGE_SIZE as usize) {
            let page = VirtAddr::new(page);
            let Some(flags) = LeafFlags::from_letters(letters) else {
                ensure!(load_faults(page), "{name} is mapped");
                continue;
            };
            let found = mapped(page)?;
            ensure!(found.flags == flags, "{name} is {} at {page}", found.flags);
            let distance = found.address.as_u64().wrapping_sub(page.as_u64());
            ensure!(
                distance == LOADED - IMAGE,
                "{page} leads to {}",
                found.address
            );
        }
    }
    Ok(())
}

/// Read, written, called: each faults, and so does the page's last byte.
pub(crate) fn s4_2_page_zero() -> Outcome {
    for address in [0, 1, PAGE_SIZE - 1] {
        let address = VirtAddr::new(address);
        let cause = |fault: Option<probe::Fault>| fault.map(|fault| fault.cause);
        let read = cause(probe::load(address).err());
        ensure!(read == Some(Cause::LOAD_PAGE_FAULT), "a load: {read:?}");
        // SAFETY: it must fault; nothing of the kernel's lies there.
        let written = cause(unsafe { probe::store(address, 1) }.err());
        ensure!(
            written == Some(Cause::STORE_PAGE_FAULT),
            "a store: {written:?}"
        );
    }
    // SAFETY: it must fault, and the test fails where not.
    let called = unsafe { probe::call(VirtAddr::new(0)) }.err();
    let cause = called.map(|fault| fault.cause);
    ensure!(
        cause == Some(Cause::INSTRUCTION_PAGE_FAULT),
        "a call: {cause:?}"
    );
    // Nor for the application.
    for task in [Task::Load, Task::Store, Task::Call] {
        let ending = application::run(task, 0).map_err(refused)?;
        ensure!(ending == Ending::Stopped, "the application: {ending:?}");
    }
    Ok(())
}

/// Below the image everything that is mapped is the application's; it runs there, and its heap grows
/// by zeroed pages, one for each first touch.
pub(crate) fn s4_3_the_applications_space() -> Outcome {
    let (mut start, mut pages) = (0, 0);
    while let Some(range) = VirtRange::from_bounds(VirtAddr::new(start), VirtAddr::new(IMAGE)) {
        let found = kernel::look(|heaps, memory| heaps.tables().first_mapped(memory, range));
        let Some(virt) = found else { break };
        let leaf = mapped(virt)?;
        ensure!(
            leaf.flags.contains(LeafFlags::USER),
            "{virt}, below the image, is the kernel's"
        );
        (start, pages) = (virt.as_u64() + leaf.page_size, pages + 1);
    }
    ensure!(pages >= 3, "{pages} leaves below the image");
    let before = application::demand_zeroed();
    let frames = kernel::heap_counter();
    let ending = application::run(Task::Touch, 7).map_err(refused)?;
    ensure!(ending == Ending::Exit(0), "the application: {ending:?}");
    let touched = application::demand_zeroed() - before;
    ensure!(touched == 7, "{touched} pages were zeroed for 7 touches");
    for page in 0..8 {
        let virt = VirtAddr::new(USER_HEAP + page * PAGE_SIZE);
        let leaf = kernel::lookup(virt).mapped();
        let flags = leaf.map(|leaf| leaf.flags);
        let expected = LeafFlags::from_letters("rw-u-ad").filter(|_| page < 7);
        ensure!(flags == expected, "{virt} is {flags:?}");
    }
    let released = application::release_heap().map_err(refused)?;
    let after = kernel::heap_counter();
    ensure!(
        released == 7 && after == frames,
        "{released} pages came back; {frames} before, {after} after"
    );
    // What is the kernel's is refused, and so is what is beyond the heap.
    for address in [IMAGE, 0x1_0000_0000, USER_HEAP + (64 << 20)] {
        let ending = application::run(Task::Load, address).map_err(refused)?;
        ensure!(ending == Ending::Stopped, "{address:#x}: {ending:?}");
    }
    no_lie_is_believed()
}

/// What the application asks the kernel to print must be its own, every byte of it.
fn no_lie_is_believed() -> Outcome {
    const WRITTEN: u64 = 256;
    let symbols = [
        &entry::__text_start,
        &entry::__rodata_start,
        &entry::__data_start,
        &entry::__bss_start,
        &entry::__guard_start,
        &entry::__stack_start,
    ];
    let of_the_kernel = symbols.map(|symbol| symbol.address());
    let others = [
        // Nobody's: the zero page, and what is free below the image.
        0,
        0x2000,
        // The heaps': the pool of tables is their first.
        0x1_0000_0000,
        // Half of it beyond the stack, the user heap, the lower half of Sv39's addresses.
        APPLICATION_STACK - WRITTEN / 2,
        USER_HEAP + (64 << 20) - WRITTEN / 2,
        (1 << 38) - WRITTEN / 2,
        // No Sv39 address.
        1 << 38,
        // The last bytes that there are: past them is 0, or what wraps.
        u64::MAX - (WRITTEN - 1),
        u64::MAX - (WRITTEN - 2),
        u64::MAX,
    ];
    for address in of_the_kernel.into_iter().chain(others) {
        let ending = application::run(Task::Write, address).map_err(refused)?;
        ensure!(
            ending == Ending::Exit(0),
            "{address:#x} was printed: {ending:?}"
        );
    }
    // The last of its heap is its own, before it is touched.
    let own = USER_HEAP + (64 << 20) - WRITTEN;
    let ending = application::run(Task::Write, own).map_err(refused)?;
    println!();
    ensure!(ending == Ending::Exit(WRITTEN), "{own:#x}: {ending:?}");
    Ok(())
}

/// Boot stack and identity heap are the top of RAM; what was left ends where they begin.
pub(crate) fn s4_9_the_region_shrinks() -> Outcome {
    let Some(boot) = stage2::boot_memory() else {
        ensure!(false, "nothing was carved out");
        return Ok(());
    };
    let (stack, heap) = (boot.stack, boot.identity_heap);
    ensure!(stack.end().as_u64() == RAM_END, "the boot stack: {stack}");
    ensure!(heap.end() == stack.start(), "the identity heap: {heap}");
    ensure!(
        heap.contains(boot.root.start()),
        "the boot root: {}",
        boot.root
    );
    let [left] = stage2::regions_left() else {
        ensure!(false, "{} regions", stage2::regions_left().len());
        return Ok(());
    };
    ensure!(left.end() == heap.start(), "what is left: {left}");
    let bottom = stage2::hand_off().heap_bottom;
    ensure!(left.start().as_u64() == bottom, "what is left: {left}");
    // All that `physical` had in stage 2 is what was left: no frame of stage 2's own.
    let frames = stage3::dismantled().before;
    ensure!(
        frames == left.size() / PAGE_SIZE,
        "physical had {frames} frames, and left were {left}"
    );
    Ok(())
}

/// Other tables, fewer addresses, more frames.
pub(crate) fn s4_10_boot_memory_is_dismantled() -> Outcome {
    let Some(boot) = stage2::boot_memory() else {
        ensure!(false, "there was no boot memory");
        return Ok(());
    };
    let root = Satp::from_bits(csr_read!("satp")).root();
    ensure!(root != boot.root, "satp still has the boot root");
    let gone = [
        boot.stack.start().as_u64(),
        boot.stack.end().as_u64() - 8,
        boot.identity_heap.start().as_u64(),
        boot.root.start().as_u64(),
        LOADED,
        UART,
        RAM_END - PAGE_SIZE,
    ];
    for address in gone {
        let address = VirtAddr::new(address);
        ensure!(load_faults(address), "{address} can still be loaded from");
    }
    let figures = stage3::dismantled();
    let frames = (boot.stack.size() + boot.identity_heap.size()) / PAGE_SIZE;
    let given = figures.after - figures.before;
    ensure!(given == frames && frames != 0, "{given} of {frames} frames");
    let mut page = boot.identity_heap.start();
    while page < boot.stack.end() {
        let is_physicals = kernel::look(|heaps, _| heaps.physical().contains(page.as_u64()));
        ensure!(is_physicals, "{page} is not physical's");
        page = page.wrapping_add(PAGE_SIZE);
    }
    // None of them is a table of the final tree.
    let pool = kernel::look(|heaps, _| {
        let root = PhysPage::from_truncated(boot.root.number());
        heaps.tables().pool().contains(root)
    });
    ensure!(!pool, "the boot root is in the pool");
    Ok(())
}
