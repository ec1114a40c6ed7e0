//! A bounded queue of bytes: what was typed and has not been read yet.

/// Room for `N` bytes. What comes when it is full is dropped: the oldest bytes are those that
/// somebody has seen echoed or waits for.
#[derive(Debug)]
pub struct Ring<const N: usize> {
    bytes: [u8; N],
    first: usize,
    length: usize,
}

impl<const N: usize> Ring<N> {
    /// An empty one.
    pub const fn new() -> Self {
        Self {
            bytes: [0; N],
            first: 0,
            length: 0,
        }
    }

    /// Keeps `byte`; `false` where there is no room, and it is dropped.
    pub const fn push(&mut self, byte: u8) -> bool {
        if self.length == N {
            return false;
        }
        self.bytes[(self.first + self.length) % N] = byte;
        self.length += 1;
        true
    }

    /// The byte that came first.
    pub const fn pop(&mut self) -> Option<u8> {
        if self.length == 0 {
            return None;
        }
        let byte = self.bytes[self.first];
        self.first = (self.first + 1) % N;
        self.length -= 1;
        Some(byte)
    }
}

impl<const N: usize> Default for Ring<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn it_is_a_queue_that_drops_what_is_too_much(steps: std::vec::Vec<Option<u8>>) {
            let mut ring = Ring::<5>::new();
            let mut model = VecDeque::new();
            for step in steps {
                match step {
                    Some(byte) => {
                        let fits = model.len() < 5;
                        if fits {
                            model.push_back(byte);
                        }
                        prop_assert_eq!(ring.push(byte), fits);
                    }
                    None => prop_assert_eq!(ring.pop(), model.pop_front()),
                }
            }
        }
    }
}
