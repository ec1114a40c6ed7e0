//! Words on the console.

use core::fmt::{self, Write as _};
use core::panic::PanicInfo;

use pagescope_kernel::arch::sbi_call::sbi_call;
use pagescope_kernel::sbi::{EXT_DBCN, dbcn};

use crate::trap;

/// The next byte that was typed.
pub(crate) fn read() -> Option<u8> {
    let mut byte = 0u8;
    // In this layout, virtual is physical.
    let place = core::ptr::from_mut(&mut byte).expose_provenance() as u64;
    let call = sbi_call(EXT_DBCN, dbcn::CONSOLE_READ, [1, place, 0]);
    // SAFETY: `byte` is ours; the call may have written to it behind the compiler's back.
    (call == (0, 1)).then(|| unsafe { (&raw const byte).read_volatile() })
}

/// Text on its way to the console, which is the machine program's: a debugger may share it.
struct Out {
    bytes: [u8; 128],
    length: usize,
}

impl Out {
    fn push(&mut self, byte: u8) {
        if self.length == self.bytes.len() {
            self.flush();
        }
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn flush(&mut self) {
        let mut sent = 0;
        while sent < self.length {
            let rest = &self.bytes[sent..self.length];
            // In this layout, virtual is physical.
            let place = rest.as_ptr().expose_provenance() as u64;
            let size = rest.len() as u64;
            match sbi_call(EXT_DBCN, dbcn::CONSOLE_WRITE, [size, place, 0]) {
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

/// What `print!` and `println!` write with.
pub(crate) fn write(arguments: fmt::Arguments<'_>) {
    let mut out = Out {
        bytes: [0; 128],
        length: 0,
    };
    // It takes every byte.
    let _ = out.write_fmt(arguments);
    out.flush();
}

/// Prints to the console.
#[macro_export]
macro_rules! print {
    ($($arguments:tt)*) => { $crate::out::write(format_args!($($arguments)*)) };
}

/// Prints a line to the console.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($arguments:tt)*) => { $crate::print!("{}\n", format_args!($($arguments)*)) };
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("\nkernel: {info}");
    trap::halt()
}
