//! Words on the console.
//!
//! It is the machine program's, which takes physical addresses: what is printed passes through a
//! buffer in the image, whose physical address is known.

use core::cell::UnsafeCell;
use core::fmt::{self, Write as _};
use core::sync::atomic::{AtomicU64, Ordering};

use super::image;
use crate::arch::sbi_call::sbi_call;
use crate::sbi::{EXT_DBCN, dbcn};

/// Bytes that are sent in one call at most.
const BUFFER_SIZE: usize = 256;

/// Nobody prints.
const NOBODY: u64 = u64::MAX;

/// How often a hart looks whether another has done printing before it breaks in: so a hart that
/// died while it printed keeps nobody from reporting why. The two may mix up their words.
const PATIENCE: u32 = 50_000_000;

struct Buffer(UnsafeCell<[u8; BUFFER_SIZE]>);

// SAFETY: used by the hart that `PRINTING` names; another breaks in only when that one is thought
// dead, and bytes may be mixed up then.
unsafe impl Sync for Buffer {}

static BUFFER: Buffer = Buffer(UnsafeCell::new([0; BUFFER_SIZE]));
static TYPED: Buffer = Buffer(UnsafeCell::new([0; BUFFER_SIZE]));
static PRINTING: AtomicU64 = AtomicU64::new(NOBODY);

/// The next byte that was typed. One hart reads.
pub fn read() -> Option<u8> {
    let place = TYPED.0.get().cast::<u8>();
    let call = sbi_call(
        EXT_DBCN,
        dbcn::CONSOLE_READ,
        [1, image::physical(place).as_u64(), 0],
    );
    // SAFETY: the buffer is a static; the call may have written to it behind the compiler's back.
    (call == (0, 1)).then(|| unsafe { place.read_volatile() })
}

/// How a byte is shown that user code wants printed: what is no printable ASCII could drive the terminal, and is a
/// dot.
pub const fn harmless(byte: u8) -> char {
    match byte {
        b' '..=b'~' | b'\n' => byte as char,
        _ => '.',
    }
}

/// Text on its way to the console: a debugger may share it.
struct Out {
    length: usize,
}

impl Out {
    fn push(&mut self, byte: u8) {
        if self.length == BUFFER_SIZE {
            self.flush();
        }
        // SAFETY: `length` is less than the buffer's size, and this hart prints.
        unsafe {
            BUFFER
                .0
                .get()
                .cast::<u8>()
                .add(self.length)
                .write_volatile(byte)
        };
        self.length += 1;
    }

    fn flush(&mut self) {
        let place = image::physical(BUFFER.0.get()).as_u64();
        let mut sent = 0;
        while sent < self.length {
            let size = (self.length - sent) as u64;
            match sbi_call(
                EXT_DBCN,
                dbcn::CONSOLE_WRITE,
                [size, place + sent as u64, 0],
            ) {
                (0, written @ 1..) => sent += written as usize,
                _ => break,
            }
        }
        self.length = 0;
    }
}

impl fmt::Write for Out {
    /// With a carriage return before each newline, as terminals expect it.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.push(b'\r');
            }
            self.push(byte);
        }
        Ok(())
    }
}

/// What `print!` and `println!` write with. What one call prints stays together, whatever other harts
/// print; a trap in the middle of it prints all the same.
pub fn write(arguments: fmt::Arguments<'_>) {
    // Before a hart knows which it is, it is the only one that prints.
    let hart = super::hart().min(NOBODY - 1);
    let mut patience = PATIENCE;
    let before = loop {
        match PRINTING.compare_exchange_weak(NOBODY, hart, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => break NOBODY,
            // A trap in the middle of this hart's own words.
            Err(holder) if holder == hart => break hart,
            // Whoever breaks in prints alone: of several that lose patience, one takes over.
            Err(holder) if patience == 0 => {
                let taken =
                    PRINTING.compare_exchange(holder, hart, Ordering::Acquire, Ordering::Relaxed);
                if taken.is_ok() {
                    break NOBODY;
                }
                patience = PATIENCE;
            }
            Err(_) => patience -= 1,
        }
        core::hint::spin_loop();
    };
    let mut out = Out { length: 0 };
    // It takes every byte.
    let _ = out.write_fmt(arguments);
    out.flush();
    // Not where another hart has broken in meanwhile: then it is that one's.
    let _ = PRINTING.compare_exchange(hart, before, Ordering::Release, Ordering::Relaxed);
}

/// Prints to the console.
#[macro_export]
macro_rules! print {
    ($($arguments:tt)*) => { $crate::program::console::write(format_args!($($arguments)*)) };
}

/// Prints a line to the console.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($arguments:tt)*) => { $crate::print!("{}\n", format_args!($($arguments)*)) };
}
