//! The structural index with nothing around it: what the machine allows, for `benches/kernel` to hold [`super::index`] against.
//!
//! No product code has it. The benchmark takes this file in by its path, so that `unsafe` stays in its one home, and `tests.rs`
//! sees that what is timed is right. Invariant: for text whose every quote is parity's, it writes the positions of the delimiters
//! and line ends outside quotes, and carries the parity; it checks nothing and carries nothing else.
//!
//! Of the ways tried to write positions these were the fastest: with AVX-512 two quarters without asking and the others by count
//! (1.4 to 1.6 times a question for each), with AVX2 sixteen at a time without asking (1.4 to 1.6 times a question for each).
#![expect(unsafe_code, reason = "vector instructions; this folder is their one home")]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_set1_epi8, _mm256_cmpeq_epi8, _mm256_loadu_si256,
    _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm512_add_epi32, _mm512_cmpeq_epi8_mask,
    _mm512_cvtepu8_epi32, _mm512_extracti32x4_epi32, _mm512_loadu_si512, _mm512_maskz_compress_epi8, _mm512_set1_epi8,
    _mm512_set1_epi32, _mm512_storeu_si512,
};

/// Bytes of a block.
const BLOCK_BYTES: usize = 64;

/// A bare loop: takes the delimiter, the quote, whole blocks of text, all ones or none for the parity before them, and what to
/// write positions to, a block longer than the text. Gives the number of positions.
pub type Bare = fn(u8, u8, &[u8], &mut u64, &mut [u32]) -> usize;

/// The bare loop for the instructions of this name, where the processor has them.
#[cfg(target_arch = "x86_64")]
pub fn of(name: &str) -> Option<Bare> {
    match name {
        "avx512" => has_avx512().then_some(avx512 as Bare),
        "avx2" => has_avx2().then_some(avx2 as Bare),
        _ => None,
    }
}

/// The bare loop for the instructions of this name, where the processor has them.
#[cfg(not(target_arch = "x86_64"))]
pub fn of(_name: &str) -> Option<Bare> {
    None
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
    let compressing = wide && is_x86_feature_detected!("avx512vbmi2");
    compressing && is_x86_feature_detected!("pclmulqdq") && is_x86_feature_detected!("popcnt")
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    let wide = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("pclmulqdq");
    wide && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("popcnt")
}

#[cfg(target_arch = "x86_64")]
fn avx512(delimiter: u8, quote: u8, bytes: &[u8], parity: &mut u64, out: &mut [u32]) -> usize {
    assert!(has_avx512() && bytes.len().is_multiple_of(BLOCK_BYTES) && out.len() >= bytes.len() + BLOCK_BYTES);
    // SAFETY: the processor has the instructions, and there is room for every byte and a block more.
    unsafe { avx512_blocks(delimiter, quote, bytes, parity, out.as_mut_ptr()) }
}

#[cfg(target_arch = "x86_64")]
fn avx2(delimiter: u8, quote: u8, bytes: &[u8], parity: &mut u64, out: &mut [u32]) -> usize {
    assert!(has_avx2() && bytes.len().is_multiple_of(BLOCK_BYTES) && out.len() >= bytes.len() + BLOCK_BYTES);
    // SAFETY: as above.
    unsafe { avx2_blocks(delimiter, quote, bytes, parity, out.as_mut_ptr()) }
}

/// # Safety
/// At `out` there is room for as many values as `bytes` has bytes, and a block more.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,pclmulqdq,popcnt")]
unsafe fn avx512_blocks(delimiter: u8, quote: u8, bytes: &[u8], parity: &mut u64, out: *mut u32) -> usize {
    let spread = |byte: u8| _mm512_set1_epi8(byte as i8);
    let (delimiter, quote, lf, cr) = (spread(delimiter), spread(quote), spread(b'\n'), spread(b'\r'));
    let places: [u8; BLOCK_BYTES] = std::array::from_fn(|at| at as u8);
    // SAFETY: the array has 64 bytes.
    let places = unsafe { _mm512_loadu_si512(places.as_ptr().cast()) };
    let (mut inside, mut count) = (*parity, 0);
    for (block, base) in bytes.chunks_exact(BLOCK_BYTES).zip((0..).step_by(BLOCK_BYTES)) {
        // SAFETY: the chunk has 64 bytes.
        let text = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        let line = _mm512_cmpeq_epi8_mask(text, lf) | _mm512_cmpeq_epi8_mask(text, cr);
        let structure = line | _mm512_cmpeq_epi8_mask(text, delimiter);
        let within = prefix_xor(_mm512_cmpeq_epi8_mask(text, quote)) ^ inside;
        inside = ((within as i64) >> 63) as u64;
        let structure = structure & !within;
        let found = structure.count_ones() as usize;
        let packed = _mm512_maskz_compress_epi8(structure, places);
        let base = _mm512_set1_epi32(base);
        let store = |quarter: usize, places| {
            // SAFETY: no more was written than bytes read, so there is room for 64 values.
            unsafe {
                let to = out.add(count + 16 * quarter);
                _mm512_storeu_si512(to.cast(), _mm512_add_epi32(base, _mm512_cvtepu8_epi32(places)));
            }
        };
        store(0, _mm512_extracti32x4_epi32::<0>(packed));
        store(1, _mm512_extracti32x4_epi32::<1>(packed));
        if found > 32 {
            store(2, _mm512_extracti32x4_epi32::<2>(packed));
            store(3, _mm512_extracti32x4_epi32::<3>(packed));
        }
        count += found;
    }
    *parity = inside;
    count
}

/// # Safety
/// At `out` there is room for as many values as `bytes` has bytes, and a block more.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,pclmulqdq,bmi1,popcnt")]
unsafe fn avx2_blocks(delimiter: u8, quote: u8, bytes: &[u8], parity: &mut u64, out: *mut u32) -> usize {
    const AT_ONCE: usize = 16;
    let spread = |byte: u8| _mm256_set1_epi8(byte as i8);
    let (delimiter, quote, lf, cr) = (spread(delimiter), spread(quote), spread(b'\n'), spread(b'\r'));
    let (mut inside, mut count) = (*parity, 0);
    for (block, base) in bytes.chunks_exact(BLOCK_BYTES).zip((0_u32..).step_by(BLOCK_BYTES)) {
        let (mut structure, mut quotes) = (0, 0);
        for half in 0..2 {
            // SAFETY: the chunk has 64 bytes.
            let text = unsafe { _mm256_loadu_si256(block.as_ptr().add(32 * half).cast()) };
            let line = _mm256_or_si256(_mm256_cmpeq_epi8(text, lf), _mm256_cmpeq_epi8(text, cr));
            let either = _mm256_or_si256(line, _mm256_cmpeq_epi8(text, delimiter));
            structure |= u64::from(_mm256_movemask_epi8(either) as u32) << (32 * half);
            quotes |= u64::from(_mm256_movemask_epi8(_mm256_cmpeq_epi8(text, quote)) as u32) << (32 * half);
        }
        let within = prefix_xor(quotes) ^ inside;
        inside = ((within as i64) >> 63) as u64;
        let mut left = structure & !within;
        let found = left.count_ones() as usize;
        let mut written = 0;
        loop {
            for at in 0..AT_ONCE {
                // SAFETY: no more was written than bytes read, so there is room for 64 values: four times sixteen.
                unsafe { out.add(count + written + at).write(base.wrapping_add(left.trailing_zeros())) };
                left &= left.wrapping_sub(1);
            }
            written += AT_ONCE;
            if found <= written {
                break;
            }
        }
        count += found;
    }
    *parity = inside;
    count
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "pclmulqdq")]
fn prefix_xor(mask: u64) -> u64 {
    let product = _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, mask as i64), _mm_set1_epi8(-1));
    _mm_cvtsi128_si64(product) as u64
}
