//! Where the codes of a dictionary under construction are found: slots by hash.
//!
//! Invariant: codes are given in the order in which their values came first. The values are the caller's.

use batteuse_shared::limits::SLOT_PROBES_MAX;

/// Slots at first: a page of few values keeps them all in the nearest cache.
const SLOTS_MIN: usize = 256;
/// Bits of a slot that hold a code and one more: a dictionary's page has less than 2^19 values.
const CODE_BITS: u32 = 19;
const CODE: u32 = (1 << CODE_BITS) - 1;

pub(super) struct Slots {
    /// A code and one more, and above it the highest bits of its value's hash; zero where there is none. At most half are in use.
    /// Small, for the sake of the caches.
    slots: Vec<u32>,
    /// Of the values, by code.
    hashes: Vec<u32>,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { slots: vec![0; SLOTS_MIN], hashes: Vec::new() }
    }

    /// The code of a value with this hash, and whether it is a new one; `same` tells whether a code is that of the value. None when
    /// its slots are crowded, or the dictionary is beyond what a page of it could hold.
    #[inline]
    pub(super) fn code(&mut self, hash: u32, same: impl Fn(u32) -> bool) -> Option<(u32, bool)> {
        let mask = self.slots.len() - 1;
        for probe in 0..SLOT_PROBES_MAX {
            let at = (hash as usize + probe) & mask;
            let slot = self.slots[at];
            if slot == 0 {
                return Some((self.insert(at, hash)?, true));
            }
            let code = (slot & CODE) - 1;
            if (slot ^ hash) & !CODE == 0 && same(code) {
                return Some((code, false));
            }
        }
        None
    }

    /// Bytes that they take.
    pub(super) fn memory(&self) -> usize {
        (self.slots.capacity() + self.hashes.capacity()) * size_of::<u32>()
    }

    #[inline(never)]
    fn insert(&mut self, at: usize, hash: u32) -> Option<u32> {
        let code = self.hashes.len() as u32;
        if code == CODE {
            return None;
        }
        self.hashes.push(hash);
        self.slots[at] = hash & !CODE | (code + 1);
        if self.hashes.len() * 2 > self.slots.len() {
            self.grow();
        }
        Some(code)
    }

    #[cold]
    fn grow(&mut self) {
        let slots = self.slots.len() * 2;
        self.slots.clear();
        self.slots.resize(slots, 0);
        for (&hash, next) in std::iter::zip(&self.hashes, 1..) {
            let mut at = hash as usize & (slots - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (slots - 1);
            }
            self.slots[at] = hash & !CODE | next;
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
    let (first, last) = ends(text);
    let hash = mix(first ^ text.len() as u64);
    let between = text.get(8..text.len().saturating_sub(8)).unwrap_or_default();
    let (words, rest) = between.as_chunks::<8>();
    let hash = words.iter().fold(hash, |hash, word| mix(hash ^ u64::from_le_bytes(*word)));
    // What is left between is read together with some of the last word.
    let rest =
        text[text.len() - (rest.len() + 8).min(text.len())..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    mix(hash.rotate_left(32) ^ last ^ mix(rest)) as u32
}

/// Whether two texts are alike.
#[inline]
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    // Short ones without a loop, and without a branch that their lengths decide.
    a.len() == b.len() && if a.len() <= 16 { ends(a) == ends(b) } else { a == b }
}

/// The first and the last eight bytes of a text, which may have some in common; of one of less than eight all of them, twice.
#[inline]
fn ends(text: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    let word = match (text.first_chunk(), text.last_chunk(), text) {
        (Some(first), Some(last), _) => {
            u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
        }
        (_, _, [first, .., last]) => u64::from(*first) << 16 | u64::from(text[text.len() / 2]) << 8 | u64::from(*last),
        (_, _, [byte]) => u64::from(*byte),
        _ => 0,
    };
    (word, word)
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
    fn texts_that_differ_anywhere_are_told_apart() {
        for length in 0..40 {
            let text: Vec<u8> = (0..length).map(|i| b'a' + i % 26).collect();
            assert!(same(&text, &text.clone()));
            assert!(!same(&text, &[&text[..], b"a"].concat()) && hash(&text) != hash(&[&text[..], b"a"].concat()));
            for at in 0..text.len() {
                let mut other = text.clone();
                other[at] ^= 1;
                assert!(!same(&text, &other), "{length} {at}");
                assert_ne!(hash(&text), hash(&other), "{length} {at}");
            }
        }
    }

    #[test]
    fn hashes_that_are_all_alike_are_crowded() {
        let mut slots = Slots::new();
        let taken = (0..1_000).take_while(|_| slots.code(7, |_| false).is_some()).count();
        assert_eq!(taken, SLOT_PROBES_MAX);
    }
}
