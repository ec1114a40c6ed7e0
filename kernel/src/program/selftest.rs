//! The self-test's runner.
//!
//! ```text
//!  PASS S0.1
//!  FAIL S0.4 kalloc returned 0x87ff5000, expected 0x87ff6000
//!  SKIP S1.6 is about tables=demand
//!  selftest: 13 passed, 1 failed
//! ```
//!
//! Then the machine ends, with an exit status that says the same.

use core::fmt::{self, Write as _};

use crate::arch::sbi_call;
use crate::println;

/// Why a check failed: words, cut where there are too many.
#[derive(Debug)]
pub struct Reason {
    bytes: [u8; 119],
    length: u8,
}

impl Reason {
    /// These words.
    pub fn new(words: fmt::Arguments<'_>) -> Self {
        let mut reason = Self {
            bytes: [0; 119],
            length: 0,
        };
        // Cutting is all that can go wrong.
        let _ = reason.write_fmt(words);
        reason
    }
}

impl fmt::Write for Reason {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes().filter(u8::is_ascii) {
            let place = self
                .bytes
                .get_mut(usize::from(self.length))
                .ok_or(fmt::Error)?;
            *place = byte;
            self.length += 1;
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.bytes.get(..self.length.into()).unwrap_or(&[]);
        f.write_str(core::str::from_utf8(text).unwrap_or(""))
    }
}

/// What a check finds.
pub type Outcome = Result<(), Reason>;

/// Ends a check that does not hold, with the reason.
#[macro_export]
macro_rules! ensure {
    ($holds:expr, $($reason:tt)+) => {
        if !$holds {
            return Err($crate::program::selftest::Reason::new(format_args!($($reason)+)));
        }
    };
}

/// A check, and the requirement it is about.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// The requirement's id.
    pub id: &'static str,
    /// The check.
    pub run: fn() -> Outcome,
    /// What the machine must have been booted with for it to be about that: `tables=demand`.
    pub only: Option<&'static str>,
}

/// A check of every machine.
pub const fn check(id: &'static str, run: fn() -> Outcome) -> Check {
    Check {
        id,
        run,
        only: None,
    }
}

/// Runs all checks, says what they found, and ends the machine. `before` is called before each;
/// `is_booted_with` says whether a check's `only` holds.
pub fn run(checks: &[Check], is_booted_with: impl Fn(&str) -> bool, mut before: impl FnMut()) -> ! {
    let (mut passed, mut failed) = (0, 0);
    for Check { id, run, only } in checks {
        if let Some(only) = only.filter(|only| !is_booted_with(only)) {
            println!("SKIP {id} is about {only}");
            continue;
        }
        before();
        match run() {
            Ok(()) => {
                passed += 1;
                println!("PASS {id}");
            }
            Err(reason) => {
                failed += 1;
                println!("FAIL {id} {reason}");
            }
        }
    }
    println!("selftest: {passed} passed, {failed} failed");
    sbi_call::power_off(failed != 0)
}
