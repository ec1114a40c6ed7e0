//! Looking for bits in a map of words: bit n is bit n % 64 of word n / 64.

/// Bits of a word.
pub(super) const WORD_BITS: usize = u64::BITS as usize;

/// A word; beyond the end, all bits are clear.
pub(super) fn word(words: &[u64], place: usize) -> u64 {
    words.get(place).copied().unwrap_or(0)
}

/// Whether a bit is set.
pub(super) fn bit(words: &[u64], index: usize) -> bool {
    word(words, index / WORD_BITS) >> (index % WORD_BITS) & 1 != 0
}

/// The bits of word `place` that lie from `start` up to `end`.
pub(super) fn mask(place: usize, start: usize, end: usize) -> u64 {
    let (low, high) = (place * WORD_BITS, (place + 1) * WORD_BITS);
    let from = start.max(low) - low;
    let to = end.min(high) - low;
    let below = |bits: usize| {
        if bits == WORD_BITS {
            u64::MAX
        } else {
            (1 << bits) - 1
        }
    };
    below(to) & !below(from)
}

/// The highest bit that is set from `start` up to `end`.
pub(super) fn last_one(words: &[u64], start: usize, end: usize) -> Option<usize> {
    let mut places = (start / WORD_BITS..=(end - 1) / WORD_BITS).rev();
    places.find_map(|place| {
        let ones = word(words, place) & mask(place, start, end);
        (ones != 0).then(|| (place + 1) * WORD_BITS - 1 - ones.leading_zeros() as usize)
    })
}

/// The lowest bit that is set from `start` up to `end`.
pub(super) fn first_one(words: &[u64], start: usize, end: usize) -> Option<usize> {
    let mut places = start / WORD_BITS..=(end - 1) / WORD_BITS;
    places.find_map(|place| {
        let ones = word(words, place) & mask(place, start, end);
        (ones != 0).then(|| place * WORD_BITS + ones.trailing_zeros() as usize)
    })
}

/// The lowest bit from `index` on that is clear; `end` where there is none below it.
pub(super) fn next_zero(words: &[u64], index: usize, end: usize) -> usize {
    let mut index = index;
    while index < end {
        let zeros = !word(words, index / WORD_BITS) >> (index % WORD_BITS);
        if zeros != 0 {
            return (index + zeros.trailing_zeros() as usize).min(end);
        }
        index = (index / WORD_BITS + 1) * WORD_BITS;
    }
    end
}

/// The end of what is clear below `index`, which is set: past the highest clear bit, or 0.
pub(super) fn zeros_end(words: &[u64], index: usize) -> usize {
    let mut end = index;
    while end > 0 {
        let place = (end - 1) / WORD_BITS;
        let zeros = !word(words, place) & mask(place, 0, end);
        if zeros != 0 {
            return (place + 1) * WORD_BITS - zeros.leading_zeros() as usize;
        }
        end = place * WORD_BITS;
    }
    0
}
