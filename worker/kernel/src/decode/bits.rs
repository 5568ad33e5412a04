//! Bits of a column under construction, appended a word at a time.
//!
//! Invariant: what lies behind the last bit is zero.

use arrow_buffer::{BooleanBuffer, Buffer};

use crate::frame::BLOCK_ROWS;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    length: usize,
}

impl Bits {
    /// Appends the lowest `count` bits of `word`, at most 64; the others are zero.
    #[inline(always)]
    pub(super) fn push(&mut self, word: u64, count: usize) {
        if count == 0 {
            return;
        }
        let bit = self.length % BLOCK_ROWS;
        self.length += count;
        match self.words.last_mut() {
            Some(last) if bit > 0 => {
                *last |= word << bit;
                if bit + count > BLOCK_ROWS {
                    self.words.push(word >> (BLOCK_ROWS - bit));
                }
            }
            _ => self.words.push(word),
        }
    }

    /// Appends so many bits that are zero.
    pub(super) fn push_zeros(&mut self, count: usize) {
        self.length += count;
        self.words.resize(self.length.div_ceil(BLOCK_ROWS), 0);
    }

    /// Drops the bits from the index `length` on.
    pub(super) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
        self.words.truncate(self.length.div_ceil(BLOCK_ROWS));
        if let Some(last) = self.words.last_mut()
            && !self.length.is_multiple_of(BLOCK_ROWS)
        {
            *last &= !(u64::MAX << (self.length % BLOCK_ROWS));
        }
    }

    /// The bit at an index.
    #[inline(always)]
    pub(super) fn get(&self, at: usize) -> bool {
        self.words[at / BLOCK_ROWS] >> (at % BLOCK_ROWS) & 1 == 1
    }

    /// The bits from `from` on, at most 64.
    pub(super) fn word_from(&self, from: usize) -> u64 {
        let (word, bit) = (from / BLOCK_ROWS, from % BLOCK_ROWS);
        let at = |word: usize| self.words.get(word).copied().unwrap_or(0);
        // Shifted in two steps: by 64 in one is no shift.
        at(word) >> bit | (at(word + 1) << 1) << (BLOCK_ROWS - 1 - bit)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// How many of them are set.
    pub(super) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Drops all bits.
    pub(super) fn clear(&mut self) {
        self.words.clear();
        self.length = 0;
    }

    /// All bits; there is none then.
    pub(super) fn take(&mut self) -> BooleanBuffer {
        let next = Self { words: Vec::with_capacity(self.words.len() + 1), length: 0 };
        let Self { words, length } = std::mem::replace(self, next);
        BooleanBuffer::new(Buffer::from_vec(words), 0, length)
    }
}

/// `word` without the bits at the places of `gone`: what lies above moves down.
pub(super) fn without(mut word: u64, gone: u64) -> u64 {
    // The highest first, so that the places of the others stay what they are.
    each_bit_down(gone, |at| {
        let below = (1 << at) - 1;
        word = word & below | (word >> 1) & !below;
    });
    word
}

/// Hands on the place of each bit of `word` that is set, the highest first.
pub(super) fn each_bit_down(mut word: u64, mut each: impl FnMut(usize)) {
    while word != 0 {
        let at = 63 - word.leading_zeros() as usize;
        each(at);
        word &= !(1 << at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_that_were_pushed() {
        let (mut bits, mut plain) = (Bits::default(), Vec::new());
        let mut seed = 7_u64;
        for count in (0..=64).chain([64, 1, 63, 64, 64, 5]) {
            seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            let word = if count == 64 { seed } else { seed & !(u64::MAX << count) };
            bits.push(word, count);
            plain.extend((0..count).map(|at| word >> at & 1 == 1));
            let last = plain.len().saturating_sub(count);
            if count % 5 == 0 {
                bits.push_zeros(3 * count);
                plain.resize(plain.len() + 3 * count, false);
            }
            assert_eq!(bits.word_from(last), word, "{count}");
            if count % 7 == 3 {
                bits.truncate(plain.len() - 2);
                plain.truncate(plain.len() - 2);
            }
            assert_eq!((bits.len(), bits.count()), (plain.len(), plain.iter().filter(|bit| **bit).count()));
        }
        assert!(plain.iter().enumerate().all(|(at, bit)| bits.get(at) == *bit));
        assert_eq!(bits.take().iter().collect::<Vec<_>>(), plain);
        assert_eq!(bits.len(), 0);
        assert_eq!((without(0b1011_0110, 0b1001_0101), without(u64::MAX, u64::MAX), without(5, 0)), (0b0101, 0, 5));
    }
}
