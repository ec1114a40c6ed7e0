//! Early boot: the boot table, the jump, the free list.

use pagescope_kernel::ensure;
use pagescope_kernel::hypervisor::class::PointerClass;
use pagescope_kernel::hypervisor::kmem::PageState;
use pagescope_kernel::memory::Memory as _;
use pagescope_kernel::program::image;
use pagescope_kernel::program::selftest::{Outcome, Reason};
use pagescope_protocol::{
    LeafFlags, Level, PAGE_SIZE, Pte, PteKind, Satp, TranslationMode, VirtAddr,
};

use crate::cpu::{self, Early};
use crate::entry::BOOT_TABLE;
use crate::{entry, harts, kmem, linear};

/// The entries that S2.3 names, and where each leads.
const GIGAPAGES: [(usize, u64); 4] = [
    (0, 0),
    (2, 0x8000_0000),
    (256, 0x8000_0000),
    (384, 0x8000_0000),
];

/// What was so on the way of every hart.
fn each_early(check: impl Fn(u64, Early) -> Outcome) -> Outcome {
    for hart in harts::numbers() {
        let info = cpu::info_of(hart);
        let missing = || Reason::new(format_args!("hart {hart} has no cpu struct"));
        check(hart, info.ok_or_else(missing)?.early)?;
    }
    Ok(())
}

pub(crate) fn s2_3_four_gigapages() -> Outcome {
    for (index, entry) in BOOT_TABLE.0.iter().enumerate() {
        let kind = Pte::from_bits(*entry).classify(Level::L2);
        let expected = GIGAPAGES.iter().find(|(place, _)| *place == index);
        match (kind, expected) {
            (PteKind::Invalid, None) => {}
            (PteKind::Leaf(leaf), Some((_, phys))) => {
                let start = leaf.page.start();
                ensure!(
                    leaf.size == 1 << 30 && start.as_u64() == *phys,
                    "entry {index} leads to {start}"
                );
                let flags = leaf.flags;
                let wanted = LeafFlags::READ | LeafFlags::ACCESSED | LeafFlags::DIRTY;
                ensure!(flags.contains(wanted), "entry {index} is {flags}");
            }
            _ => return Err(Reason::new(format_args!("entry {index} is {entry:#x}"))),
        }
    }
    let place = image::physical(&raw const BOOT_TABLE);
    each_early(|hart, early| {
        let satp = Satp::from_bits(early.satp);
        ensure!(
            satp.mode() == TranslationMode::Sv39 && satp.root().start() == place,
            "hart {hart} did not start under it: satp was {:#x}",
            early.satp
        );
        let is_first = hart == 0;
        ensure!(
            !is_first || early.handed_out == 0,
            "{} pages were handed out before it was in use",
            early.handed_out
        );
        Ok(())
    })?;
    let page = place.page().map(linear::pointer_to).unwrap_or_default();
    let state = kmem::lock().state(page);
    ensure!(
        state == PageState::Foreign,
        "its page is kalloc's: {state:?}"
    );
    Ok(())
}

pub(crate) fn s2_4_high_after_the_jump() -> Outcome {
    let text = entry::__text_start.address()..entry::__text_end.address();
    each_early(|hart, early| {
        let pc = early.pc;
        ensure!(
            (0xffff_ffc0_0000_0000..0xffff_ffc0_4000_0000).contains(&pc),
            "hart {hart} was at {pc:#x} after the jump"
        );
        ensure!(text.contains(&pc), "hart {hart}: {pc:#x} is not in .text");
        Ok(())
    })
}

pub(crate) fn s2_5_one_hart_frees_all_memory() -> Outcome {
    // Hart 0 found nothing handed out; any other found what hart 0 had taken from the list.
    each_early(|hart, early| {
        ensure!(
            (early.handed_out == 0) == (hart == 0),
            "hart {hart} found {} pages handed out",
            early.handed_out
        );
        Ok(())
    })?;
    let (pages, free, handed_out) = {
        let kmem = kmem::lock();
        (kmem.pages(), kmem.free(), kmem.handed_out())
    };
    let image_end = kmem::image().end().as_u64();
    let all = (0x8800_0000 - PAGE_SIZE - image_end) / PAGE_SIZE;
    ensure!(
        free + handed_out == all,
        "{free} free and {handed_out} handed out of {all} pages behind the image"
    );
    let last = VirtAddr::new(pages.end().as_u64() - 1);
    for end in [pages.start(), last] {
        let class = PointerClass::of(end);
        ensure!(class == PointerClass::Linear, "{end} is {class}");
    }
    // Every link is followed, and each leads to a page of that range.
    kmem::audit().map_err(|damage| Reason::new(format_args!("{damage}")))?;
    // And the hardware reaches the next page by what is stored in the last.
    let none = || Reason::new(format_args!("out of memory"));
    let page = kmem::alloc_page().ok_or_else(none)?;
    kmem::kfree(page.as_u64() as usize);
    let memory = linear::memory();
    let link = VirtAddr::new(memory.load(page));
    let class = PointerClass::of(link);
    ensure!(class == PointerClass::Linear, "the link {link} is {class}");
    let fill = memory.load(link.wrapping_add(8));
    ensure!(
        fill == 0x5a5a_5a5a_5a5a_5a5a,
        "behind the link {link} is {fill:#x}"
    );
    Ok(())
}
