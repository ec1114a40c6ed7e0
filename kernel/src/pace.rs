//! Whether the idle loop takes pages or gives them back.

/// Where the number of pages handed out is going.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// kalloc next.
    Up,
    /// kfree next.
    Down,
}

impl Direction {
    /// Where it goes on to: up to three quarters of memory, then down to one quarter, then up
    /// again. With no page `held` there is nothing to give back.
    #[must_use]
    pub const fn next(self, handed_out: u64, capacity: u64, held: u64) -> Self {
        if held == 0 || handed_out * 4 <= capacity {
            Self::Up
        } else if handed_out * 4 >= capacity * 3 {
            Self::Down
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_swings_between_one_quarter_and_three() {
        let (capacity, mut handed_out, mut held) = (100, 8, 0);
        let mut direction = Direction::Up;
        let mut turns = std::vec::Vec::new();
        for _ in 0..400 {
            let next = direction.next(handed_out, capacity, held);
            if next != direction {
                turns.push(handed_out);
            }
            direction = next;
            match direction {
                Direction::Up => (handed_out, held) = (handed_out + 1, held + 1),
                Direction::Down => (handed_out, held) = (handed_out - 1, held - 1),
            }
        }
        assert_eq!(turns[..4], [75, 25, 75, 25]);
    }

    #[test]
    fn with_nothing_held_it_goes_up() {
        assert_eq!(Direction::Down.next(90, 100, 0), Direction::Up);
    }
}
