//! The self-test: every requirement that this layout meets, checked on the running machine.
//!
//! The checks read live tables and registers, and make the hardware do what is claimed, on every hart; the
//! numbers that they compare with are the requirements' own, not the kernel's constants.

use pagescope_kernel::program::selftest::{self, Check, Outcome, check};

use crate::checks::{boot, harts, map};
use crate::{harts as running, trap};

/// A check of a machine with several harts.
const fn with(only: &'static str, id: &'static str, run: fn() -> Outcome) -> Check {
    Check {
        only: Some(only),
        ..check(id, run)
    }
}

/// QEMU's arguments that two checks need.
const TWO: &str = "-smp 2 or more";
const FOUR: &str = "-smp 4 or more";

const CHECKS: [Check; 13] = [
    check("S2.1", map::s2_1_where_everything_is),
    check("S2.2", map::s2_2_devices_at_their_own_addresses),
    check("S2.3", boot::s2_3_four_gigapages),
    check("S2.4", boot::s2_4_high_after_the_jump),
    check("S2.5", boot::s2_5_one_hart_frees_all_memory),
    check("S2.6", harts::s2_6_tp_until_the_cpu_struct),
    with(TWO, "S2.7", harts::s2_7_one_address_another_frame),
    check("S2.8", map::s2_8_all_global_but_the_cpu_struct),
    check("S2.9", harts::s2_9_overflow_faults_in_the_guard),
    check("S2.10", map::s2_10_no_identity_mapping_of_ram),
    check("S2.11", map::s2_11_classes),
    check("S2.12", map::s2_12_no_physical_base),
    with(FOUR, "S2.13", harts::s2_13_nothing_is_lost),
];

/// Runs all checks, says what they found, and ends the machine.
pub(crate) fn run() -> ! {
    trap::power_off_on_failure();
    selftest::run(
        &CHECKS,
        |only| match only {
            FOUR => running::count() >= 4,
            _ => running::count() >= 2,
        },
        || {},
    )
}
