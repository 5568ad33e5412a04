//! Codes of texts: short ones are found 64 at a time, by their bytes and length; long ones one by one, by a hash (XXH3) and a look at
//! the text.
//!
//! Invariant: a code is found only for the very text that was given it. Safe code only, as in `lanes.rs`.
#![expect(clippy::needless_range_loop, reason = "lanes run side by side over several arrays")]

use batteuse_shared::limits::DICTIONARY_PROBES_MAX;
use xxhash_rust::xxh3::xxh3_128;

use super::lanes::hash;
use super::{Gathered, Keys};

/// Most bytes of a text that is known by itself.
const KEY_BYTES: usize = 16;
/// Slots of a table with a text: so many that a few dozen texts seldom share one. An empty one has a single slot.
const SLOTS_MIN: usize = 256;
/// Rows alike from which on it pays to look for more of them side by side.
const ALIKE_MIN: u32 = 8;

/// Codes of texts, by their hash.
#[derive(Debug)]
pub struct Codes {
    /// A power of two of them, at most half in use.
    slots: Vec<Slot>,
    used: usize,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// See [`key`].
    low: u64,
    high: u64,
    /// Its length, or [`FREE`].
    bytes: u32,
    code: u16,
}

/// The length of no text.
const FREE: u32 = u32::MAX;

impl Slot {
    const EMPTY: Self = Self { low: 0, high: 0, bytes: FREE, code: 0 };
}

/// What is known of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Its code.
    As(u16),
    /// It has none.
    New,
    /// It may have none: too many have its hash.
    Crowded,
}

impl Default for Codes {
    fn default() -> Self {
        Self { slots: vec![Slot::EMPTY; 1], used: 0 }
    }
}

impl Codes {
    /// What is known of `text`; `same` compares it with the one that has a code, where keys do not tell.
    pub fn find(&self, text: &[u8], same: impl Fn(u16) -> bool) -> Known {
        let [low, high] = key(text);
        for slot in self.probes(hash([low, high], text.len() as u64)) {
            if slot.bytes == FREE {
                return Known::New;
            }
            let alike = slot.low == low && slot.high == high && slot.bytes as usize == text.len();
            if alike && (text.len() <= KEY_BYTES || same(slot.code)) {
                return Known::As(slot.code);
            }
        }
        Known::Crowded
    }

    /// The code of the text of so many bytes with this hash and key, if that is all of it.
    #[inline(always)]
    fn short(&self, hash: u64, [low, high]: [u64; 2], bytes: u64) -> Option<u16> {
        if bytes > KEY_BYTES as u64 {
            return None;
        }
        for slot in self.probes(hash) {
            if slot.low == low && slot.high == high && u64::from(slot.bytes) == bytes {
                return Some(slot.code);
            }
            if slot.bytes == FREE {
                break;
            }
        }
        None
    }

    /// Gives `text`, of less than 4 GiB, which is new, a code.
    pub fn insert(&mut self, text: &[u8], code: u16) {
        self.used += 1;
        if 2 * self.used > self.slots.len() {
            let twice = vec![Slot::EMPTY; SLOTS_MIN.max(2 * self.slots.len())];
            let slots = std::mem::replace(&mut self.slots, twice);
            slots.into_iter().filter(|slot| slot.bytes != FREE).for_each(|slot| self.place(slot));
        }
        let [low, high] = key(text);
        self.place(Slot { low, high, bytes: text.len() as u32, code });
    }

    /// Puts a slot in the first free place of its hash.
    fn place(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = hash([slot.low, slot.high], u64::from(slot.bytes)) as usize & mask;
        while self.slots[at].bytes != FREE {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    /// The slots in which a text with this hash may be, up to a bound.
    #[inline(always)]
    fn probes(&self, hash: u64) -> impl Iterator<Item = &Slot> {
        let mask = self.slots.len() - 1;
        (0..DICTIONARY_PROBES_MAX).map(move |i| &self.slots[(hash as usize).wrapping_add(i) & mask])
    }
}

/// See [`super::look_up`].
#[inline(always)]
pub(super) fn look_up(known: &Codes, gathered: &Gathered, keys: &Keys, rows: u64, out: &mut [u16; 64]) -> u64 {
    let (mut left, mut missing) = (rows, 0);
    // Rows alike are found side by side, as long as that is less work than one by one.
    let mut many = true;
    while left != 0 {
        let row = left.trailing_zeros() as usize & 63;
        let (low, high, bytes) = (keys.low[row], keys.high[row], gathered.bytes[row]);
        let Some(code) = known.short(keys.hashes[row], [low, high], bytes) else {
            missing |= 1 << row;
            left &= left - 1;
            continue;
        };
        if many {
            let mut alike = 0;
            for i in 0..64 {
                let is = (keys.low[i] == low) & (keys.high[i] == high) & (gathered.bytes[i] == bytes);
                alike |= u64::from(is) << i;
            }
            alike &= left;
            for i in 0..64 {
                out[i] = if alike >> i & 1 == 1 { code } else { out[i] };
            }
            left &= !alike;
            many = alike.count_ones() >= ALIKE_MIN;
        } else {
            out[row] = code;
            left &= left - 1;
        }
    }
    missing
}

/// What a text is known by: a short one by its bytes, zeros behind them, a long one by a hash of them.
fn key(text: &[u8]) -> [u64; 2] {
    let both = if text.len() <= KEY_BYTES {
        let mut head = [0; KEY_BYTES];
        head[..text.len()].copy_from_slice(text);
        u128::from_le_bytes(head)
    } else {
        xxh3_128(text)
    };
    [both as u64, (both >> 64) as u64]
}
