//! Eight bytes at a time in plain registers: for processors without the instructions of the other paths, and their twin in tests.

use super::generic::{self, Lane, Masks};
use super::{Carry, Marks, Structure};

const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// See [`super::index`].
pub(super) fn index(
    marks: Marks,
    bytes: &[u8],
    base: u32,
    carry: &mut Carry,
    out: &mut Structure,
) -> Result<(), usize> {
    let of = |byte: Option<u8>| spread(byte.unwrap_or(0));
    let lane = Words { delimiter: spread(marks.delimiter), quote: of(marks.quote), escape: of(marks.escape) };
    // SAFETY: it uses no instructions that a processor may lack.
    unsafe { generic::index(lane, marks, bytes, base, carry, out) }
}

#[derive(Clone, Copy)]
struct Words {
    delimiter: u64,
    quote: u64,
    escape: u64,
}

fn spread(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// A bit for each byte of `word` that is the byte spread over `wanted`. Exact: no carry runs from byte to byte (Hacker's
/// Delight, 2nd edition, section 6-1).
#[inline(always)]
fn equal(word: u64, wanted: u64) -> u64 {
    let differs = word ^ wanted;
    let zero = !(((differs & LOW) + LOW) | differs | LOW);
    // The highest bits of the eight bytes, gathered into one byte.
    (zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

impl Lane for Words {
    #[inline(always)]
    unsafe fn masks<const ESCAPES: bool>(self, block: *const u8) -> Masks {
        let mut masks = Masks { line: 0, delimiter: 0, quote: 0, escape: 0 };
        for i in 0..8 {
            // SAFETY: 64 bytes can be read, and an array of bytes has no alignment.
            let word = u64::from_le_bytes(unsafe { block.add(8 * i).cast::<[u8; 8]>().read() });
            masks.line |= (equal(word, spread(b'\n')) | equal(word, spread(b'\r'))) << (8 * i);
            masks.delimiter |= equal(word, self.delimiter) << (8 * i);
            masks.quote |= equal(word, self.quote) << (8 * i);
            if ESCAPES {
                masks.escape |= equal(word, self.escape) << (8 * i);
            }
        }
        masks
    }

    #[inline(always)]
    fn fetch(self, _place: *const u8) {}

    #[inline(always)]
    unsafe fn prefix_xor(mask: u64) -> u64 {
        (0..6).fold(mask, |mask, power| mask ^ (mask << (1 << power)))
    }

    #[inline(always)]
    unsafe fn emit(mask: u64, base: u32, out: *mut u32) {
        // SAFETY: as the caller's.
        unsafe { generic::emit_each(mask, base, out) }
    }

    #[inline(always)]
    unsafe fn extract(bits: u64, mask: u64) -> u64 {
        let (mut left, mut out, mut place) = (mask, 0, 0);
        while left != 0 {
            out |= (bits >> left.trailing_zeros() & 1) << place;
            place += 1;
            left &= left - 1;
        }
        out
    }
}
