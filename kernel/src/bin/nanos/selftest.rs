//! The self-test: every requirement that this layout meets, checked on the running machine.
//!
//! The checks read live tables and registers, and make the hardware do what is claimed; the numbers
//! that they compare with are the requirements' own, not the kernel's constants.

use pagescope_kernel::arch::sbi_call;
use pagescope_kernel::program::selftest::{self, Check, check};

use crate::checks::{heaps, layout, tables};
use crate::trap;

const CHECKS: [Check; 14] = [
    check("S4.1", layout::s4_1_the_image),
    check("S4.2", layout::s4_2_page_zero),
    check("S4.3", layout::s4_3_the_applications_space),
    check("S4.4", heaps::s4_4_the_first_huge_unit),
    check("S4.5", heaps::s4_5_parent_and_child),
    check("S4.6", heaps::s4_6_addresses_only),
    check("S4.7", heaps::s4_7_backed),
    check("S4.8", tables::s4_8_leaves_of_two_sizes),
    check("S4.9", layout::s4_9_the_region_shrinks),
    check("S4.10", layout::s4_10_boot_memory_is_dismantled),
    check("S4.11", heaps::s4_11_everything_is_tracked),
    check("S4.12", tables::s4_12_the_trace),
    check("S4.13", tables::s4_13_the_table_pool),
    check("S4-stress", heaps::a_thousand_allocations_and_frees),
];

/// Runs all checks, says what they found, and ends the machine.
pub(crate) fn run() -> ! {
    trap::power_off_on_failure();
    sbi_call::set_timer(u64::MAX);
    selftest::run(&CHECKS, |_| true, || {})
}
