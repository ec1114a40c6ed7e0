//! System calls, as users make them; and lines of text without formatting.

use core::arch::asm;

use pagescope_kernel::process::syscall;

/// A call with three arguments.
#[inline(always)]
pub(super) fn call(number: u64, first: u64, second: u64, third: u64) -> u64 {
    let answer;
    // SAFETY: the kernel keeps every register but a0, and changes no memory that this program has
    // references to.
    unsafe {
        asm!(
            "ecall",
            inlateout("a0") first => answer,
            in("a1") second,
            in("a2") third,
            in("a7") number,
            options(nostack),
        );
    }
    answer
}

/// Ends the process.
pub(super) fn exit(code: u64) -> ! {
    loop {
        call(syscall::EXIT, code, 0, 0);
    }
}

/// Sleeps.
pub(super) fn sleep(milliseconds: u64) {
    call(syscall::SLEEP, milliseconds, 0, 0);
}

/// Lets the others run.
pub(super) fn yield_now() {
    call(syscall::YIELD, 0, 0, 0);
}

/// Has the heap end at `address`; gives where it ends then.
pub(super) fn brk(address: u64) -> u64 {
    call(syscall::BRK, address, 0, 0)
}

/// Begins a program; gives the process's number.
pub(super) fn spawn(name: &[u8], argument: u64) -> u64 {
    let address = name.as_ptr() as u64;
    call(syscall::SPAWN, address, name.len() as u64, argument)
}

/// Waits for a process; gives how it ended.
pub(super) fn wait(pid: u64) -> u64 {
    call(syscall::WAIT, pid, 0, 0)
}

/// A line of text on the stack.
pub(super) struct Line {
    bytes: [u8; 120],
    length: usize,
}

impl Line {
    pub(super) fn new() -> Self {
        Self {
            bytes: [0; 120],
            length: 0,
        }
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    /// Text, up to its first zero.
    pub(super) fn text(&mut self, text: &[u8]) -> &mut Self {
        for byte in text {
            if *byte == 0 {
                break;
            }
            self.push(*byte);
        }
        self
    }

    /// A decimal number.
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        let mut digits = [0; 20];
        let mut count = 0;
        let mut rest = number;
        for place in &mut digits {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
            count += 1;
            if rest == 0 {
                break;
            }
        }
        for digit in digits.iter().take(count).rev() {
            self.push(*digit);
        }
        self
    }

    /// Prints it, with a newline.
    pub(super) fn print(&mut self) {
        self.push(b'\n');
        call(
            syscall::WRITE,
            self.bytes.as_ptr() as u64,
            self.length as u64,
            0,
        );
    }
}
