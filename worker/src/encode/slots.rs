//! Where the codes of a dictionary under construction are found: slots by hash.
//!
//! Invariant: codes are given in the order in which their values came first. The values are the caller's.

use batteuse_shared::limits::DICTIONARY_PROBES_MAX;

/// Slots at first: a page of few values keeps them all in the nearest cache.
const SLOTS_MIN: usize = 256;

pub(super) struct Slots {
    /// A code and one more, below the hash of its value; zero where there is none. At most a quarter are in use: of half, some are
    /// crowded by chance.
    slots: Vec<u64>,
    count: u32,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { slots: vec![0; SLOTS_MIN], count: 0 }
    }

    /// The code of a value with this hash, and whether it is a new one; `same` tells whether a code is that of the value. None when
    /// its slots are crowded.
    #[inline]
    pub(super) fn code(&mut self, hash: u32, same: impl Fn(u32) -> bool) -> Option<(u32, bool)> {
        let mask = self.slots.len() - 1;
        for probe in 0..DICTIONARY_PROBES_MAX {
            let at = (hash as usize + probe) & mask;
            let slot = self.slots[at];
            if slot == 0 {
                return Some((self.insert(at, hash), true));
            }
            let code = slot as u32 - 1;
            if (slot >> 32) as u32 == hash && same(code) {
                return Some((code, false));
            }
        }
        None
    }

    /// Bytes that they take.
    pub(super) fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
    }

    fn insert(&mut self, at: usize, hash: u32) -> u32 {
        let code = self.count;
        self.count += 1;
        self.slots[at] = u64::from(hash) << 32 | u64::from(self.count);
        if self.count as usize * 4 > self.slots.len() {
            self.grow();
        }
        code
    }

    #[cold]
    fn grow(&mut self) {
        let before = std::mem::take(&mut self.slots);
        self.slots = vec![0; before.len() * 2];
        let mask = self.slots.len() - 1;
        for slot in before.into_iter().filter(|&slot| slot != 0) {
            let mut at = (slot >> 32) as usize & mask;
            while self.slots[at] != 0 {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
        }
    }
}

/// The hash of a word, or of what a hash of other words is joined with.
#[inline]
pub(super) fn mix(word: u64) -> u64 {
    let product = u128::from(word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    product as u64 ^ (product >> 64) as u64
}

/// The hash of a text.
#[inline]
pub(super) fn hash(text: &[u8]) -> u32 {
    let (words, rest) = text.as_chunks::<8>();
    let hash = words.iter().fold(text.len() as u64, |hash, word| mix(hash ^ u64::from_le_bytes(*word)));
    let rest = rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
    mix(hash.rotate_left(32) ^ rest) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_keeps_the_code_it_was_given() {
        let mut slots = Slots::new();
        let words: Vec<u64> = (0..5_000_u64).map(|i| i.wrapping_mul(i) << (i % 40)).collect();
        let mut known: Vec<u64> = Vec::new();
        for round in 0..2 {
            for &word in &words {
                let (code, new) = slots.code(mix(word) as u32, |code| known[code as usize] == word).unwrap();
                if new {
                    known.push(word);
                }
                assert!(known[code as usize] == word && !(new && round > 0));
            }
        }
    }

    #[test]
    fn hashes_that_are_all_alike_are_crowded() {
        let mut slots = Slots::new();
        let taken = (0..100).take_while(|_| slots.code(7, |_| false).is_some()).count();
        assert_eq!(taken, DICTIONARY_PROBES_MAX);
    }
}
