//! Whether the idle loop takes pages or gives them back.
//!
//! kalloc is called on the way down, too, once a tick: a debugger that waits for it never waits
//! longer than the pace. Only so many more pages are given back before it ([`KFREES_PER_TICK`]).

/// Pages that are given back in each tick on the way down, before the one that is taken: half of
/// memory comes back in a few hundred ticks, seconds at the usual pace.
pub const KFREES_PER_TICK: u64 = 64;

/// Where the number of pages handed out is going.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// kalloc.
    Up,
    /// [`KFREES_PER_TICK`] times kfree, then kalloc.
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
        let (capacity, mut handed_out, mut held) = (10_000, 8, 0);
        let mut direction = Direction::Up;
        let mut turns = std::vec::Vec::new();
        let mut ticks_down = 0;
        for _ in 0..20_000 {
            let next = direction.next(handed_out, capacity, held);
            if next != direction {
                turns.push(handed_out);
            }
            direction = next;
            if direction == Direction::Down {
                handed_out -= KFREES_PER_TICK;
                held -= KFREES_PER_TICK;
                ticks_down += 1;
            }
            // Whatever the direction, kalloc is called.
            (handed_out, held) = (handed_out + 1, held + 1);
        }
        assert_eq!(turns.len(), 6);
        for pair in turns.chunks(2) {
            assert_eq!(pair[0], 7500);
            assert!((2500 - KFREES_PER_TICK..=2500).contains(&pair[1]));
        }
        assert!(ticks_down < 300, "{ticks_down}");
    }

    #[test]
    fn with_nothing_held_it_goes_up() {
        assert_eq!(Direction::Down.next(90, 100, 0), Direction::Up);
    }
}
