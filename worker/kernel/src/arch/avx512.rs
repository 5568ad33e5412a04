//! AVX-512 with VBMI2: one vector a block, positions by a compressing store.

use std::arch::x86_64::{
    __m512i, _MM_HINT_T1, _mm_prefetch, _mm512_add_epi32, _mm512_cmpeq_epi8_mask, _mm512_cvtepu8_epi32,
    _mm512_extracti32x4_epi32, _mm512_loadu_si512, _mm512_maskz_compress_epi8, _mm512_set_epi8, _mm512_set1_epi8,
    _mm512_set1_epi32, _mm512_storeu_si512, _pext_u64,
};

use super::avx2::prefix_xor_by_multiplication;
use super::generic::{self, Lane, Masks};
use super::{Carry, Marks, Structure};

/// Whether this processor has what this path's functions need.
pub(super) fn is_here() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vpopcntdq")
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
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,pclmulqdq,bmi1,bmi2,popcnt,lzcnt")]
pub(super) unsafe fn index(
    marks: Marks,
    bytes: &[u8],
    base: u32,
    carry: &mut Carry,
    out: &mut Structure,
) -> Result<(), usize> {
    let spread = |byte: u8| _mm512_set1_epi8(byte as i8);
    let lane = Vector {
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
struct Vector {
    delimiter: __m512i,
    quote: __m512i,
    escape: __m512i,
    lf: __m512i,
    cr: __m512i,
}

impl Lane for Vector {
    #[inline(always)]
    unsafe fn masks<const ESCAPES: bool>(self, block: *const u8) -> Masks {
        // SAFETY: 64 bytes can be read, unaligned; the caller vouches for the instructions.
        unsafe {
            let bytes = _mm512_loadu_si512(block.cast());
            Masks {
                line: _mm512_cmpeq_epi8_mask(bytes, self.lf) | _mm512_cmpeq_epi8_mask(bytes, self.cr),
                delimiter: _mm512_cmpeq_epi8_mask(bytes, self.delimiter),
                quote: _mm512_cmpeq_epi8_mask(bytes, self.quote),
                escape: if ESCAPES { _mm512_cmpeq_epi8_mask(bytes, self.escape) } else { 0 },
            }
        }
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
        let count = mask.count_ones();
        // SAFETY: 64 values can be written; whole quarters are, as many as hold a bit. The caller vouches for the instructions.
        unsafe {
            let places = _mm512_maskz_compress_epi8(mask, every_place());
            let base = _mm512_set1_epi32(base as i32);
            let quarter = |at: usize, bytes| {
                _mm512_storeu_si512(out.add(16 * at).cast(), _mm512_add_epi32(base, _mm512_cvtepu8_epi32(bytes)));
            };
            // Two without asking: whether there are more than sixteen is hard to guess.
            quarter(0, _mm512_extracti32x4_epi32::<0>(places));
            quarter(1, _mm512_extracti32x4_epi32::<1>(places));
            if count > 32 {
                quarter(2, _mm512_extracti32x4_epi32::<2>(places));
                quarter(3, _mm512_extracti32x4_epi32::<3>(places));
            }
        }
    }

    #[inline(always)]
    unsafe fn extract(bits: u64, mask: u64) -> u64 {
        // SAFETY: the caller vouches for the instructions.
        unsafe { _pext_u64(bits, mask) }
    }
}

/// The bytes 0 to 63, in order.
///
/// # Safety
/// The processor has AVX-512.
#[inline(always)]
unsafe fn every_place() -> __m512i {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        _mm512_set_epi8(
            63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37,
            36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10,
            9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
        )
    }
}
