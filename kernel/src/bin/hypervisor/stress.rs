//! All harts call kalloc and kfree at once, and every page is watched (S2.13).
//!
//! ```text
//!  kalloc ─▶ nobody else has it? fresh? ─▶ stamped: hart and number ─┬─▶ stamp whole? ─▶ kfree
//!                                                                   └─▶ handed to the next hart,
//!                                                                       which checks and frees it
//! ```
//!
//! The owner of each page is kept beside the pages, so that a page that two harts have is found even if neither
//! writes to it. In the end the list is followed from end to end.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use pagescope_kernel::hypervisor::VAS_LINEAR_MAP;
use pagescope_kernel::hypervisor::kmem::MAX_PAGES;
use pagescope_kernel::memory::Memory as _;
use pagescope_kernel::println;
use pagescope_protocol::info::FRESH_FILL;
use pagescope_protocol::{PAGE_SIZE, VirtAddr};

use crate::cpu::{self, MAX_HARTS};
use crate::{harts, kmem, linear};

/// Pages that a hart holds at most.
const HELD: usize = 16;

/// Bytes between the words that are stamped: all of a page would only cost time.
const STRIDE: u64 = 256;

/// Nobody's page.
const NOBODY: u8 = 0;

/// Who has each page, as hart + 1.
static OWNERS: [AtomicU8; MAX_PAGES] = [const { AtomicU8::new(NOBODY) }; MAX_PAGES];

/// Pages that may be on their way to a hart: it may not run for a while.
const PLACES: usize = 64;

/// Pages on their way to the hart whose places these are; 0 for none.
static HANDED: [[AtomicU64; PLACES]; MAX_HARTS] =
    [const { [const { AtomicU64::new(0) }; PLACES] }; MAX_HARTS];

static ROUNDS: AtomicU64 = AtomicU64::new(0);
static KALLOCS: AtomicU64 = AtomicU64::new(0);
static KFREES: AtomicU64 = AtomicU64::new(0);
static HAND_OVERS: AtomicU64 = AtomicU64::new(0);
static ERRORS: AtomicU64 = AtomicU64::new(0);
/// A bit for each hart that is not there yet: they begin together.
static LATE: AtomicU64 = AtomicU64::new(0);
/// A bit for each hart that has yet to do its rounds.
static WORKING: AtomicU64 = AtomicU64::new(0);

/// What a run found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Findings {
    /// Pages that were handed out.
    pub(crate) kallocs: u64,
    /// Pages that were taken back.
    pub(crate) kfrees: u64,
    /// Pages that another hart freed.
    pub(crate) hand_overs: u64,
    /// Free pages before it.
    pub(crate) free_before: u64,
    /// Free pages after it.
    pub(crate) free_after: u64,
    /// Everything that was not as it should be; each was printed.
    pub(crate) errors: u64,
}

/// Every hart does `rounds` kallocs, and as many kfrees are done.
pub(crate) fn run(rounds: u64) -> Findings {
    for counter in [&KALLOCS, &KFREES, &HAND_OVERS, &ERRORS] {
        counter.store(0, Ordering::Relaxed);
    }
    ROUNDS.store(rounds, Ordering::Relaxed);
    for harts in [&LATE, &WORKING] {
        harts.store(harts::live(), Ordering::Release);
    }
    let free_before = kmem::free_pages();
    harts::run_everywhere(work);
    let free_after = kmem::free_pages();
    if let Err(damage) = kmem::audit() {
        complain(format_args!("{damage}"));
    }
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let findings = Findings {
        kallocs: read(&KALLOCS),
        kfrees: read(&KFREES),
        hand_overs: read(&HAND_OVERS),
        free_before,
        free_after,
        errors: read(&ERRORS),
    };
    println!(
        "stress: {} harts, {} kallocs, {} kfrees, {} of them on another hart",
        harts::count(),
        findings.kallocs,
        findings.kfrees,
        findings.hand_overs
    );
    println!(
        "stress: {free_before} pages free before, {free_after} after; {} errors",
        findings.errors
    );
    findings
}

fn complain(words: core::fmt::Arguments<'_>) {
    // One is enough to know; thousands would take hours.
    if ERRORS.fetch_add(1, Ordering::Relaxed) < 8 {
        println!("stress: hart {}: {words}", cpu::hart());
    }
}

/// One hart's part.
fn work() {
    let hart = cpu::hart();
    let mut held = [None; HELD];
    leave(&LATE, hart, || {});
    let mut random = 0x9e37_79b9_7f4a_7c15 ^ (hart + 1) << 32;
    for number in 0..ROUNDS.load(Ordering::Relaxed) {
        // xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let place = &mut held[random as usize % HELD];
        if let Some((page, stamp)) = place.take() {
            let hands_over = random >> 32 & 3 == 0;
            if !(hands_over && hand_over(hart, page, number)) {
                free(page, Some(stamp), hart);
            }
        }
        *place = take(hart, number);
        receive(hart, number);
    }
    for (page, stamp) in held.iter().flatten() {
        free(*page, Some(*stamp), hart);
    }
    // Whoever still works may still hand over.
    let receive_all = || (0..PLACES as u64).for_each(|number| receive(hart, number));
    leave(&WORKING, hart, receive_all);
    receive_all();
}

/// Takes `hart` from `harts`, and does `meanwhile` until none is left in it that runs.
fn leave(harts: &AtomicU64, hart: u64, meanwhile: impl Fn()) {
    harts.fetch_and(!harts::bit(hart), Ordering::AcqRel);
    while harts.load(Ordering::Acquire) & harts::live() != 0 {
        meanwhile();
        core::hint::spin_loop();
    }
}

fn owner_of(page: VirtAddr) -> Option<&'static AtomicU8> {
    let offset = page.checked_offset_from(VAS_LINEAR_MAP)?;
    OWNERS.get((offset / PAGE_SIZE) as usize)
}

/// What is stored in a page that `hart` got as its `number`th.
fn stamp_of(hart: u64, number: u64) -> u64 {
    (hart + 1) << 56 | number
}

fn words_of(page: VirtAddr) -> impl Iterator<Item = VirtAddr> {
    (0..PAGE_SIZE)
        .step_by(STRIDE as usize)
        .map(move |offset| page.wrapping_add(offset))
}

fn take(hart: u64, number: u64) -> Option<(VirtAddr, u64)> {
    let Some(page) = kmem::alloc_page() else {
        complain(format_args!("out of memory"));
        return None;
    };
    KALLOCS.fetch_add(1, Ordering::Relaxed);
    let before = owner_of(page).map(|owner| owner.swap(hart as u8 + 1, Ordering::AcqRel));
    if before != Some(NOBODY) {
        complain(format_args!(
            "{page} was handed out twice: {before:?} has it"
        ));
    }
    let mut memory = linear::memory();
    let stamp = stamp_of(hart, number);
    for word in words_of(page) {
        let found = memory.load(word);
        if found != u64::from_le_bytes([FRESH_FILL; 8]) {
            complain(format_args!("{word} is {found:#x} in a fresh page"));
        }
        memory.store(word, stamp);
    }
    Some((page, stamp))
}

/// The place that is looked at in this round.
fn place_of(hart: u64, number: u64) -> Option<&'static AtomicU64> {
    HANDED.get(hart as usize)?.get(number as usize % PLACES)
}

/// Gives a page to the next hart, unless it has yet to take the one that lies there.
fn hand_over(hart: u64, page: VirtAddr, number: u64) -> bool {
    let after = harts::numbers().find(|number| *number > hart);
    let next = after.or(harts::numbers().next()).unwrap_or(hart);
    let Some(place) = place_of(next, number).filter(|_| next != hart) else {
        return false;
    };
    place
        .compare_exchange(0, page.as_u64(), Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

/// Frees what another hart has handed over.
fn receive(hart: u64, number: u64) {
    let place = place_of(hart, number);
    let page = place.map_or(0, |place| place.swap(0, Ordering::AcqRel));
    if page != 0 {
        HAND_OVERS.fetch_add(1, Ordering::Relaxed);
        free(VirtAddr::new(page), None, hart);
    }
}

/// Frees a page whose stamp is known, or is another hart's.
fn free(page: VirtAddr, stamp: Option<u64>, hart: u64) {
    let memory = linear::memory();
    let stamp = stamp.unwrap_or_else(|| memory.load(page));
    for word in words_of(page) {
        let found = memory.load(word);
        if found != stamp {
            complain(format_args!("{word} is {found:#x}; stored was {stamp:#x}"));
        }
    }
    let owner = owner_of(page).map(|owner| owner.swap(NOBODY, Ordering::AcqRel));
    let stamped_by = (stamp >> 56) as u8;
    if owner != Some(stamped_by) {
        complain(format_args!(
            "{page} is {owner:?}'s, and was stamped by {stamped_by}"
        ));
    }
    if kmem::kfree(page.as_u64() as usize) {
        KFREES.fetch_add(1, Ordering::Relaxed);
    } else {
        complain(format_args!("{page} was not taken back from hart {hart}"));
    }
}
