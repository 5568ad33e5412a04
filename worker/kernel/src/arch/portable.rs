//! Eight bytes at a time in plain registers: for processors without the instructions of the other paths, and their twin in tests.

use super::generic::{self, Lane, Masks};
use super::{Carry, Marks};

const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// See [`super::index`].
pub(super) fn index(marks: Marks, bytes: &[u8], base: u32, carry: &mut Carry, out: &mut Vec<u32>) -> Result<(), usize> {
    let lane = Words { delimiter: spread(marks.delimiter), quote: spread(marks.quote.unwrap_or(0)) };
    // SAFETY: it uses no instructions that a processor may lack.
    unsafe { generic::index(lane, marks, bytes, base, carry, out) }
}

#[derive(Clone, Copy)]
struct Words {
    delimiter: u64,
    quote: u64,
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
    unsafe fn masks(self, block: *const u8) -> Masks {
        let (mut structure, mut quote) = (0, 0);
        for i in 0..8 {
            // SAFETY: 64 bytes can be read, and an array of bytes has no alignment.
            let word = u64::from_le_bytes(unsafe { block.add(8 * i).cast::<[u8; 8]>().read() });
            let of_word = equal(word, self.delimiter) | equal(word, spread(b'\n')) | equal(word, spread(b'\r'));
            structure |= of_word << (8 * i);
            quote |= equal(word, self.quote) << (8 * i);
        }
        Masks { structure, quote }
    }

    #[inline(always)]
    unsafe fn prefix_xor(mask: u64) -> u64 {
        (0..6).fold(mask, |mask, power| mask ^ (mask << (1 << power)))
    }

    #[inline(always)]
    unsafe fn emit(mask: u64, base: u32, out: *mut u32) {
        // SAFETY: as the caller's.
        unsafe { generic::emit_each(mask, base, out) }
    }
}
