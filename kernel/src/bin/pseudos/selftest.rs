//! The self-test: every requirement that this layout meets, checked on the running machine.
//!
//! The checks read live tables and registers, and make the hardware do what is claimed; the numbers
//! that they compare with are the requirements' own, not the kernel's constants.

use pagescope_kernel::arch::sbi_call;
use pagescope_kernel::program::publish;
use pagescope_kernel::program::selftest::{self, Check, Outcome, Reason, check};

use crate::checks::{layout, paging, tables};
use crate::kernel::{self, alloc_page};
use crate::trap;

const fn of_demand(id: &'static str, run: fn() -> Outcome) -> Check {
    Check {
        only: Some("tables=demand"),
        ..check(id, run)
    }
}

const CHECKS: [Check; 18] = [
    check("S0.1", layout::s0_1_ram_and_entry),
    check("S0.2", layout::s0_2_sections_ascend),
    check("S0.3", layout::s0_3_heap_counter),
    check("S0.4", layout::s0_4_kalloc_descends),
    check("S0.5", layout::s0_5_devices),
    check("S0.6", layout::s0_6_self_map),
    check("S0.7", layout::s0_7_no_help_from_machine_mode),
    check("S0.8", layout::s0_8_boot_map),
    check("S0.9", paging::s0_9_entries_are_physical),
    check("S1.1", paging::s1_1_split_and_coverage),
    check("S1.2", paging::s1_2_different_entries),
    check("S1.3", paging::s1_3_non_canonical),
    check("S1.4", paging::s1_4_translated_from_the_start),
    check("S1.5", tables::s1_5_the_tables_have_a_region_of_their_own),
    of_demand("S1.6", tables::s1_6_a_fault_in_the_region_makes_a_table),
    of_demand("S1.7", tables::s1_7_a_trap_for_each_missing_level),
    check("S1.8", tables::s1_8_other_faults_are_s_modes_own),
    check("S1.9", paging::s1_9_kalloc_does_not_recurse),
];

/// More than the checks use of pages that kalloc has never handed out: some of them are about how
/// these come.
const PAGES_NEEDED: u64 = 1024;

/// How many pages there are that kalloc has never handed out.
fn untouched_pages() -> u64 {
    kernel::with(|kernel| {
        let heap = kernel.space.heap();
        let next = heap.next_untouched().map(|page| page.number() + 1);
        next.map_or(0, |end| end - heap.layout().bottom.number())
    })
}

/// Why the checks cannot run, if they cannot: their failures would not be the kernel's.
pub(crate) fn obstacle() -> Option<Reason> {
    let left = untouched_pages();
    (left < PAGES_NEEDED).then(|| {
        Reason::new(format_args!(
            "selftest needs {PAGES_NEEDED} pages that were never handed out; {left} are left: \
             boot again"
        ))
    })
}

/// kalloc hands out what was freed first; checks are about what comes then.
pub(crate) fn use_up_freed_pages() {
    kernel::refill();
    while publish::read().freed_pages != 0 && alloc_page().is_some() {}
}

/// Runs all checks, says what they found, and ends the machine.
pub(crate) fn run() -> ! {
    trap::power_off_on_failure();
    // No timer interrupt may be taken for help from M-mode.
    sbi_call::set_timer(u64::MAX);
    let strategy = kernel::with(|kernel| kernel.space.self_map().name());
    selftest::run(
        &CHECKS,
        |only| only.strip_prefix("tables=") == Some(strategy),
        use_up_freed_pages,
    )
}
