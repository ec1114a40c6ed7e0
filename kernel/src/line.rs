//! A line typed on the console.

/// Most bytes of a line.
pub const MAX_LINE: usize = 120;

/// What the console does about one byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Typed {
    /// Show it.
    Echo(u8),
    /// Take the last character off the screen.
    Rub,
    /// Nothing to show.
    Nothing,
    /// The line is complete: [`Line::text`], then [`Line::clear`].
    Complete,
}

/// A line as far as it has been typed.
#[derive(Debug)]
pub struct Line {
    bytes: [u8; MAX_LINE],
    length: usize,
    after_return: bool,
}

impl Line {
    /// An empty line.
    pub const fn new() -> Self {
        Self {
            bytes: [0; MAX_LINE],
            length: 0,
            after_return: false,
        }
    }

    /// Takes one byte. What is not printable ASCII is left out; so is what is too much.
    pub fn push(&mut self, byte: u8) -> Typed {
        let after_return = core::mem::replace(&mut self.after_return, byte == b'\r');
        match byte {
            b'\n' if after_return => Typed::Nothing,
            b'\r' | b'\n' => Typed::Complete,
            0x08 | 0x7f if self.length > 0 => {
                self.length -= 1;
                Typed::Rub
            }
            b' '..=b'~' if self.length < MAX_LINE => {
                self.bytes[self.length] = byte;
                self.length += 1;
                Typed::Echo(byte)
            }
            _ => Typed::Nothing,
        }
    }

    /// What has been typed.
    pub fn text(&self) -> &str {
        // Only printable ASCII was let in.
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or("")
    }

    /// Begins again.
    pub const fn clear(&mut self) {
        self.length = 0;
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn typing_rubbing_and_both_line_endings() {
        let mut line = Line::new();
        for byte in *b"kalx\x7floc\x1b" {
            line.push(byte);
        }
        assert_eq!(line.text(), "kalloc");
        assert_eq!(line.push(b'\r'), Typed::Complete);
        line.clear();
        assert_eq!(line.push(b'\n'), Typed::Nothing);
        assert_eq!(line.push(b'\n'), Typed::Complete);
        assert_eq!(line.push(0x7f), Typed::Nothing);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: std::vec::Vec<u8>) {
            let mut line = Line::new();
            for byte in bytes {
                line.push(byte);
                prop_assert!(line.text().len() <= MAX_LINE);
                prop_assert!(line.text().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            }
        }
    }
}
