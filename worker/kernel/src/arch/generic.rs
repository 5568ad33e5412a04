//! The one algorithm, over whatever a lane of 64 bytes is made of.

use super::{BLOCK_BYTES, Carry, Marks};

/// Masks of one block, a bit for each byte, the first byte's the lowest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Masks {
    /// Delimiters and line ends.
    pub(super) structure: u64,
    /// Quotes.
    pub(super) quote: u64,
}

/// What a set of instructions does with 64 bytes. It holds the bytes to look for, spread out.
pub(super) trait Lane: Copy {
    /// The masks of the block at `block`.
    ///
    /// # Safety
    /// 64 bytes can be read at `block`, and the processor has the lane's instructions.
    unsafe fn masks(self, block: *const u8) -> Masks;

    /// Each bit the XOR of all bits up to it.
    ///
    /// # Safety
    /// The processor has the lane's instructions.
    unsafe fn prefix_xor(mask: u64) -> u64;

    /// Writes `base` plus the index of each bit of `mask` to `out`, in order.
    ///
    /// # Safety
    /// 64 values can be written at `out`, and the processor has the lane's instructions.
    unsafe fn emit(mask: u64, base: u32, out: *mut u32);
}

/// See [`super::index`].
///
/// # Safety
/// The processor has the lane's instructions.
#[inline(always)]
pub(super) unsafe fn index<L: Lane>(
    lane: L,
    marks: Marks,
    bytes: &[u8],
    base: u32,
    carry: &mut Carry,
    out: &mut Vec<u32>,
) -> Result<(), usize> {
    // A block yields at most as many positions as it has bytes, and `emit` may write a whole block beyond the last one.
    out.reserve(bytes.len() + BLOCK_BYTES);
    let quotes = if marks.quote.is_some() { u64::MAX } else { 0 };
    let mut state = *carry;
    let mut blocks = bytes.chunks_exact(BLOCK_BYTES);
    let mut at = 0;
    for block in &mut blocks {
        // SAFETY: the chunk has 64 bytes; the caller vouches for the instructions.
        let masks = unsafe { lane.masks(block.as_ptr()) };
        // SAFETY: `reserve` made room for every byte and a block more, and what is written so far is less than `at`; the
        // caller vouches for the instructions.
        let regular = unsafe { step::<L>(masks, quotes, u64::MAX, base + at as u32, &mut state, out) };
        if !regular {
            return Err(at);
        }
        at += BLOCK_BYTES;
    }
    let rest = blocks.remainder();
    if !rest.is_empty() {
        let mut padded = [0; BLOCK_BYTES];
        padded[..rest.len()].copy_from_slice(rest);
        let valid = (1 << rest.len()) - 1;
        // SAFETY: the copy has 64 bytes; the caller vouches for the instructions.
        let masks = unsafe { lane.masks(padded.as_ptr()) };
        // SAFETY: as above.
        let regular = unsafe { step::<L>(masks, quotes, valid, base + at as u32, &mut state, out) };
        if !regular {
            return Err(at);
        }
    }
    *carry = state;
    Ok(())
}

/// One block, of which the bits in `valid` count: the lowest ones, at least one. False when it is irregular.
///
/// # Safety
/// `out` has room for 64 more values, and the processor has the lane's instructions.
#[inline(always)]
unsafe fn step<L: Lane>(
    masks: Masks,
    quotes: u64,
    valid: u64,
    base: u32,
    carry: &mut Carry,
    out: &mut Vec<u32>,
) -> bool {
    let quote = masks.quote & quotes & valid;
    let either = masks.structure & valid;
    // SAFETY: the caller vouches for the instructions.
    let inside = unsafe { L::prefix_xor(quote) } ^ carry.inside;
    let structure = either & !inside;
    let (opening, closing) = (quote & inside, quote & !inside);
    let may_open = ((structure | quote) << 1) | carry.opens;
    let must_end = ((closing << 1) | carry.closing) & valid;
    if (opening & !may_open) | (must_end & !(either | quote)) != 0 {
        return false;
    }
    let last = 63 - valid.leading_zeros();
    // No quote is beyond the last valid byte, so the parity there is that of the highest bit.
    carry.inside = ((inside as i64) >> 63) as u64;
    carry.opens = (structure | quote) >> last & 1;
    carry.closing = closing >> last & 1;
    let length = out.len();
    debug_assert!(out.capacity() - length >= BLOCK_BYTES, "room was reserved");
    // SAFETY: there is room for 64 more values.
    unsafe { L::emit(structure, base, out.as_mut_ptr().add(length)) };
    // SAFETY: so many of them were written.
    unsafe { out.set_len(length + structure.count_ones() as usize) };
    true
}

/// Writes positions one by one, eight without asking: most blocks have fewer than eight or sixteen.
///
/// # Safety
/// As [`Lane::emit`].
#[inline(always)]
pub(super) unsafe fn emit_each(mut mask: u64, base: u32, mut out: *mut u32) {
    let mut left = mask.count_ones() as usize;
    loop {
        for i in 0..8 {
            // SAFETY: at most 64 values are written: eight times the eighths that hold a bit.
            unsafe { out.add(i).write(base.wrapping_add(mask.trailing_zeros())) };
            mask &= mask.wrapping_sub(1);
        }
        if left <= 8 {
            return;
        }
        left -= 8;
        // SAFETY: as above.
        out = unsafe { out.add(8) };
    }
}
