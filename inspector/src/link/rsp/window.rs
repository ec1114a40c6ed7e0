//! How many requests may be on their way at once.
//!
//! ```text
//!  near     the stub is the limit: 16 keep it busy, and more wait in its queue for nothing
//!  far      a window a round trip: 16 reads of 2 KiB in 400 ms are 80 KiB/s, whatever the line could do
//! ```
//!
//! A window that came back within little more than one round trip was too small: the line was idle
//! meanwhile. Then it doubles. A line that is full makes the replies come one after the other, and ends
//! that, so what is on its way stays near what the line holds. QEMU's stub reads its requests from a
//! socket one after the other, however many wait there, and its replies are drained while we send.

use std::time::Duration;

/// What keeps a stub on the same machine busy. Measured on QEMU 7.2: no faster beyond it.
const NEAR: usize = 16;

/// Where it begins on a far line: replies of 256 KiB as they are sent.
const FAR: usize = 64;

/// Most requests on their way: replies of 4 MiB as they are sent. That much may still come after somebody
/// cancelled.
const MOST: usize = 1024;

/// From here on a line is far: nothing on one machine takes so long.
const FAR_AWAY: Duration = Duration::from_millis(5);

/// The window of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Window {
    size: usize,
    /// Whether it stays at one: a line on which a damaged request could not be told.
    is_single: bool,
    /// The least time from a request to its reply.
    round_trip: Option<Duration>,
}

impl Window {
    /// A window for a line on which nothing was measured yet.
    pub(super) const fn new(is_single: bool) -> Self {
        Self {
            size: if is_single { 1 } else { NEAR },
            is_single,
            round_trip: None,
        }
    }

    /// Requests that may be on their way.
    pub(super) const fn size(self) -> usize {
        self.size
    }

    /// The reply to a request came after `time`, with nothing else on its way before it.
    pub(super) fn note_round_trip(&mut self, time: Duration) {
        let least = self.round_trip.map_or(time, |before| before.min(time));
        self.round_trip = Some(least);
        if least >= FAR_AWAY && !self.is_single {
            self.size = self.size.max(FAR);
        }
    }

    /// A whole window of replies came within `time`, and more is to be asked.
    pub(super) fn note_full(&mut self, time: Duration) {
        let Some(round_trip) = self.round_trip.filter(|time| *time >= FAR_AWAY) else {
            return;
        };
        if time < round_trip * 2 && !self.is_single {
            self.size = (self.size * 2).min(MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    #[test]
    fn near_stubs_keep_a_small_window() {
        let mut window = Window::new(false);
        window.note_round_trip(Duration::from_micros(60));
        window.note_full(Duration::from_micros(70));
        assert_eq!(window.size(), NEAR);
    }

    #[test]
    fn far_ones_get_what_their_line_holds() {
        let mut window = Window::new(false);
        window.note_round_trip(ms(430));
        window.note_round_trip(ms(400));
        assert_eq!(window.size(), FAR);
        window.note_full(ms(450));
        window.note_full(ms(450));
        assert_eq!(window.size(), 4 * FAR);
        // The line is full: the replies come one after the other.
        window.note_full(ms(900));
        assert_eq!(window.size(), 4 * FAR);
        for _ in 0..20 {
            window.note_full(ms(450));
        }
        assert_eq!(window.size(), MOST);
    }

    #[test]
    fn a_lossy_line_stays_at_one() {
        let mut window = Window::new(true);
        window.note_round_trip(ms(400));
        window.note_full(ms(400));
        assert_eq!(window.size(), 1);
    }
}
