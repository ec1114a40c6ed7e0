//! A picture of a window, as far as a test can judge one.

use std::collections::HashSet;

/// A picture's pixels, three bytes each.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Picture {
    rgb: Vec<u8>,
}

impl Picture {
    /// These bytes.
    pub(super) fn new(rgb: Vec<u8>) -> Self {
        Self { rgb }
    }

    fn pixels(&self) -> impl Iterator<Item = &[u8]> {
        self.rgb.chunks_exact(3)
    }

    /// How many different colours it has.
    pub(super) fn colours(&self) -> usize {
        self.pixels().collect::<HashSet<_>>().len()
    }

    /// How many pixels differ; all of them where the sizes do.
    pub(super) fn differing_pixels(&self, other: &Self) -> usize {
        if self.rgb.len() != other.rgb.len() {
            return self.rgb.len().max(other.rgb.len()) / 3;
        }
        let pairs = self.pixels().zip(other.pixels());
        pairs.filter(|(one, another)| one != another).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_differences_are_counted_by_pixel() {
        let one = Picture::new(vec![0, 0, 0, 1, 2, 3, 0, 0, 0]);
        let other = Picture::new(vec![0, 0, 0, 1, 2, 4, 0, 0, 1]);
        assert_eq!(one.colours(), 2);
        assert_eq!(one.differing_pixels(&other), 2);
        assert_eq!(one.differing_pixels(&one), 0);
        assert_eq!(one.differing_pixels(&Picture::new(vec![0; 12])), 4);
    }
}
