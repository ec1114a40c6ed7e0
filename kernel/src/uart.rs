//! A 16550, polled.
//!
//! ```text
//!  +0  RBR (read), THR (write)    a byte in, a byte out
//!  +1  IER                        bit 0: interrupts when a byte has come
//!  +2  FCR (write)                bit 0: FIFOs on
//!  +5  LSR                        bit 0: a byte waits in RBR; bit 5: THR takes a byte
//! ```
//!
//! Source: National Semiconductor PC16550D, section 8. QEMU needs no baud rate to be set.

use core::fmt;

const RBR_THR: usize = 0;
const IER: usize = 1;
const FCR: usize = 2;
const LSR: usize = 5;
const LSR_DATA_READY: u8 = 1 << 0;
const LSR_THR_EMPTY: u8 = 1 << 5;

/// The device, as one program sees its registers.
#[derive(Debug)]
pub struct Uart {
    registers: *mut u8,
}

impl Uart {
    /// The device whose registers begin at `registers`.
    ///
    /// # Safety
    /// For as long as the value lives, eight bytes at `registers` must be mapped, be a 16550's, and
    /// be used through values of this type alone.
    pub const unsafe fn new(registers: *mut u8) -> Self {
        Self { registers }
    }

    /// Switches the FIFOs on, so that a line typed while nobody polls is kept.
    pub fn enable_fifos(&mut self) {
        self.write(FCR, 1);
    }

    /// Has the device interrupt for as long as a byte waits.
    pub fn enable_receive_interrupt(&mut self) {
        self.write(IER, 1);
    }

    /// Sends one byte, waiting until the device takes it.
    pub fn send(&mut self, byte: u8) {
        while self.read(LSR) & LSR_THR_EMPTY == 0 {
            core::hint::spin_loop();
        }
        self.write(RBR_THR, byte);
    }

    /// The byte that waits, if one does.
    pub fn receive(&mut self) -> Option<u8> {
        (self.read(LSR) & LSR_DATA_READY != 0).then(|| self.read(RBR_THR))
    }

    fn read(&mut self, register: usize) -> u8 {
        // SAFETY: `new`'s caller promised eight mapped registers here; all offsets are below 8.
        unsafe { self.registers.add(register).read_volatile() }
    }

    fn write(&mut self, register: usize, value: u8) {
        // SAFETY: as in `read`.
        unsafe { self.registers.add(register).write_volatile(value) }
    }
}

impl fmt::Write for Uart {
    /// Sends the text, with a carriage return before each newline, as terminals expect it.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.send(b'\r');
            }
            self.send(byte);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_there_only_when_the_line_status_says_so() {
        let mut registers = [0u8; 8];
        registers[RBR_THR] = b'x';
        let base = registers.as_mut_ptr();
        // SAFETY: eight bytes of our own.
        let mut uart = unsafe { Uart::new(base) };
        assert_eq!(uart.receive(), None);
        uart.write(LSR, LSR_DATA_READY | LSR_THR_EMPTY);
        assert_eq!(uart.receive(), Some(b'x'));
        uart.send(b'y');
        assert_eq!(uart.read(RBR_THR), b'y');
        uart.enable_fifos();
        assert_eq!(uart.read(FCR), 1);
        uart.enable_receive_interrupt();
        assert_eq!(uart.read(IER), 1);
    }
}
