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

/// Bytes of a text that its head has.
const HEAD_BYTES: usize = 16;

/// What a text is found by: its first bytes, zeros behind those of a shorter one, and how long it is. Short texts are so compared
/// without a branch that their lengths decide, and without going where they lie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    words: [u64; 2],
    bytes: u32,
}

/// Which bytes of a head are those of a text of so many.
const MASKS: [u128; HEAD_BYTES + 1] = {
    let mut masks = [u128::MAX; HEAD_BYTES + 1];
    let mut bytes = 0;
    while bytes < HEAD_BYTES {
        masks[bytes] = (1 << (8 * bytes)) - 1;
        bytes += 1;
    }
    masks
};

impl Head {
    /// That of the text `bytes[start..end]`.
    #[inline]
    pub(super) fn of(bytes: &[u8], start: usize, end: usize) -> Self {
        let length = end - start;
        let word = bytes[start..]
            .first_chunk()
            .map_or_else(|| filled_up(&bytes[start..end]), |head| u128::from_le_bytes(*head));
        let word = word & MASKS[length.min(HEAD_BYTES)];
        Self { words: [word as u64, (word >> 64) as u64], bytes: length as u32 }
    }

    /// Bytes of the text.
    #[inline]
    pub(super) fn bytes(self) -> usize {
        self.bytes as usize
    }

    /// A number that is in the order of the texts, and alike for those that begin alike.
    #[inline]
    pub(super) fn key(self) -> u64 {
        self.words[0].swap_bytes()
    }

    /// The hash of `text`, whose head it is.
    #[inline]
    pub(super) fn hash(self, text: &[u8]) -> u32 {
        let hash = mix(mix(self.words[0] ^ u64::from(self.bytes)).rotate_left(32) ^ self.words[1]);
        let Some(rest) = text.get(HEAD_BYTES..).filter(|rest| !rest.is_empty()) else { return hash as u32 };
        let (words, _) = rest.as_chunks::<8>();
        let hash = words.iter().fold(hash, |hash, word| mix(hash ^ u64::from_le_bytes(*word)));
        // What is left over is read together with some of the word before.
        let last = text.last_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        mix(hash.rotate_left(32) ^ last) as u32
    }

    /// Whether `text`, whose head it is, is another of that head; `other` tells it.
    #[inline]
    pub(super) fn same<'a>(self, text: &[u8], other: Self, of_other: impl FnOnce() -> &'a [u8]) -> bool {
        self == other && (text.len() <= HEAD_BYTES || text == of_other())
    }
}

/// The first bytes of a text that has fewer than a head.
#[cold]
fn filled_up(text: &[u8]) -> u128 {
    text.iter().rev().fold(0, |word, &byte| word << 8 | u128::from(byte))
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
        // Alone, and with others behind them.
        let behind = |text: &[u8], more: &[u8]| {
            let head = Head::of(&[text, more].concat(), 0, text.len());
            (head, head.hash(text))
        };
        let same = |a: &[u8], b: &[u8]| behind(a, b"").0.same(a, behind(b, b"").0, || b);
        for length in 0..40 {
            let text: Vec<u8> = (0..length).map(|i| b'a' + i % 26).collect();
            let found = behind(&text, b"");
            assert!(
                (0..40).all(|more| behind(&text, &vec![7; more]) == found),
                "what follows is no part of it: {length}"
            );
            assert_eq!(found.0.bytes(), text.len());
            let longer = [&text[..], b"\0"].concat();
            assert!(same(&text, &text.clone()) && !same(&text, &longer) && found.1 != behind(&longer, b"").1);
            for at in 0..text.len() {
                let mut other = text.clone();
                other[at] ^= 1;
                assert!(!same(&text, &other), "{length} {at}");
                assert_ne!(found.1, behind(&other, b"").1, "{length} {at}");
                assert!(
                    found.0.key() == behind(&other, b"").0.key()
                        || (found.0.key() < behind(&other, b"").0.key()) == (text < other)
                );
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
