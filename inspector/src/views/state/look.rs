//! What the views read of how the maps are looked at: what the mouse rests on, the filter, selections passed through.

use crate::model::{Selection, Sign};

/// Most selections that are gone back through.
const MOST_PASSED: usize = 200;

/// State of how the maps are looked at.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LookState {
    /// What the mouse rests on, marked in every view.
    pub hover: Selection,
    /// What alone is drawn bright; all of it with `None`.
    pub filter: Option<Sign>,
    /// Whether all ranges have a ribbon to their frames, or the selected one alone.
    pub shows_all_ribbons: bool,
    /// Selections before this one, the last one at the end.
    past: Vec<Selection>,
    /// Selections that were gone back from, the nearest one at the end.
    ahead: Vec<Selection>,
}

impl LookState {
    /// Takes note that `old` was left for `new`, which somebody chose.
    pub fn leave(&mut self, old: Selection, new: Selection) {
        if old == new {
            return;
        }
        self.ahead.clear();
        self.past.push(old);
        if self.past.len() > MOST_PASSED {
            self.past.remove(0);
        }
    }

    /// The selection before `now`.
    pub fn back(&mut self, now: Selection) -> Option<Selection> {
        let before = self.past.pop()?;
        self.ahead.push(now);
        Some(before)
    }

    /// The selection that was gone back from.
    pub fn forward(&mut self, now: Selection) -> Option<Selection> {
        let next = self.ahead.pop()?;
        self.past.push(now);
        Some(next)
    }

    /// Whether there is a selection to go back to.
    pub const fn can_go_back(&self) -> bool {
        !self.past.is_empty()
    }

    /// Whether there is a selection to go forward to.
    pub const fn can_go_forward(&self) -> bool {
        !self.ahead.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use pagescope_protocol::VirtAddr;

    use super::*;

    #[test]
    fn selections_are_gone_through_as_pages_in_a_browser() {
        let at = |address| Selection::Virtual(VirtAddr::new(address));
        let mut look = LookState::default();
        look.leave(Selection::Nothing, at(1));
        look.leave(at(1), at(2));
        look.leave(at(2), at(2));
        assert_eq!(look.back(at(2)), Some(at(1)));
        assert_eq!(look.back(at(1)), Some(Selection::Nothing));
        assert_eq!(look.back(Selection::Nothing), None);
        assert_eq!(look.forward(Selection::Nothing), Some(at(1)));
        look.leave(at(1), at(3));
        assert!(!look.can_go_forward());
        assert_eq!(look.back(at(3)), Some(at(1)));
        for number in 0..1000 {
            look.leave(at(number), at(number + 1));
        }
        assert_eq!(look.past.len(), MOST_PASSED);
    }
}
