//! AVX2: two vectors of 32 bytes a block, parity by a carry-less multiplication.

use std::arch::x86_64::{
    __m256i, _MM_HINT_T1, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_prefetch, _mm_set_epi64x, _mm_set1_epi8,
    _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _pext_u64,
};

use super::generic::{self, Lane, Masks};
use super::{Carry, Marks, Structure};

/// Whether this processor has what this path's functions need.
pub(super) fn is_here() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("pclmulqdq")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("lzcnt")
}

/// See [`super::index`].
///
/// # Safety
/// [`is_here`].
#[target_feature(enable = "avx2,pclmulqdq,bmi1,bmi2,popcnt,lzcnt")]
pub(super) unsafe fn index(
    marks: Marks,
    bytes: &[u8],
    base: u32,
    carry: &mut Carry,
    out: &mut Structure,
) -> Result<(), usize> {
    let spread = |byte: u8| _mm256_set1_epi8(byte as i8);
    let lane = Vectors {
        delimiter: spread(marks.delimiter),
        quote: spread(marks.quote.unwrap_or(0)),
        escape: spread(marks.escape.unwrap_or(0)),
        lf: spread(b'\n'),
        cr: spread(b'\r'),
    };
    // SAFETY: this function has the instructions.
    unsafe { generic::index(lane, marks, bytes, base, carry, out) }
}

#[derive(Clone, Copy)]
struct Vectors {
    delimiter: __m256i,
    quote: __m256i,
    escape: __m256i,
    lf: __m256i,
    cr: __m256i,
}

impl Lane for Vectors {
    #[inline(always)]
    unsafe fn masks<const ESCAPES: bool>(self, block: *const u8) -> Masks {
        let mut masks = Masks { line: 0, delimiter: 0, quote: 0, escape: 0 };
        for half in 0..2 {
            // SAFETY: 64 bytes can be read, unaligned; the caller vouches for the instructions.
            unsafe {
                let bytes = _mm256_loadu_si256(block.add(32 * half).cast());
                let line = _mm256_or_si256(_mm256_cmpeq_epi8(bytes, self.lf), _mm256_cmpeq_epi8(bytes, self.cr));
                let bits = |equal| u64::from(_mm256_movemask_epi8(equal) as u32) << (32 * half);
                masks.line |= bits(line);
                masks.delimiter |= bits(_mm256_cmpeq_epi8(bytes, self.delimiter));
                masks.quote |= bits(_mm256_cmpeq_epi8(bytes, self.quote));
                if ESCAPES {
                    masks.escape |= bits(_mm256_cmpeq_epi8(bytes, self.escape));
                }
            }
        }
        masks
    }

    #[inline(always)]
    fn fetch(self, place: *const u8) {
        // SAFETY: nothing is read: a place that is none is no fault.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(place.cast()) };
    }

    #[inline(always)]
    unsafe fn prefix_xor(mask: u64) -> u64 {
        // SAFETY: the caller vouches for the instructions.
        unsafe { prefix_xor_by_multiplication(mask) }
    }

    #[inline(always)]
    unsafe fn emit(mask: u64, base: u32, out: *mut u32) {
        // SAFETY: as the caller's.
        unsafe { generic::emit_each(mask, base, out) }
    }

    #[inline(always)]
    unsafe fn extract(bits: u64, mask: u64) -> u64 {
        // SAFETY: the caller vouches for the instructions.
        unsafe { _pext_u64(bits, mask) }
    }
}

/// Multiplied by all ones without carries, each bit becomes the XOR of all up to it.
///
/// # Safety
/// The processor has PCLMULQDQ.
#[inline(always)]
pub(super) unsafe fn prefix_xor_by_multiplication(mask: u64) -> u64 {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let product = _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, mask as i64), _mm_set1_epi8(-1));
        _mm_cvtsi128_si64(product) as u64
    }
}
