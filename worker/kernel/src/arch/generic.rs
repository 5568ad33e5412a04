//! The one algorithm, over whatever a lane of 64 bytes is made of.

use super::{BLOCK_BYTES, Carry, Marks, Structure};

/// Masks of one block, a bit for each byte, the first byte's the lowest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Masks {
    pub(super) line: u64,
    pub(super) delimiter: u64,
    pub(super) quote: u64,
    /// Only where the lane is asked for it.
    pub(super) escape: u64,
}

/// What a set of instructions does with 64 bytes. It holds the bytes to look for, spread out.
pub(super) trait Lane: Copy {
    /// The masks of the block at `block`, that of escapes only if `ESCAPES`.
    ///
    /// # Safety
    /// 64 bytes can be read at `block`, and the processor has the lane's instructions.
    unsafe fn masks<const ESCAPES: bool>(self, block: *const u8) -> Masks;

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

    /// The bits of `bits` at the places of `mask`, moved together.
    ///
    /// # Safety
    /// The processor has the lane's instructions.
    unsafe fn extract(bits: u64, mask: u64) -> u64;
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
    out: &mut Structure,
) -> Result<(), usize> {
    // SAFETY: as the caller's.
    unsafe {
        if marks.escape.is_some() && marks.quote.is_some() {
            blocks::<L, true>(lane, marks, bytes, base, carry, out)
        } else {
            blocks::<L, false>(lane, marks, bytes, base, carry, out)
        }
    }
}

/// As [`index`]; whether escapes are looked for is settled.
///
/// # Safety
/// As [`index`].
#[inline(always)]
unsafe fn blocks<L: Lane, const ESCAPES: bool>(
    lane: L,
    marks: Marks,
    bytes: &[u8],
    base: u32,
    carry: &mut Carry,
    out: &mut Structure,
) -> Result<(), usize> {
    // A block yields at most as many positions as it has bytes, and `emit` may write a whole block beyond the last one.
    out.ends.reserve(bytes.len() + BLOCK_BYTES);
    // Of each word of bits the next one is written too.
    out.filled.resize((out.ends.len() + bytes.len()) / 64 + 2, 0);
    let quotes = if marks.quote.is_some() { u64::MAX } else { 0 };
    let mut state = *carry;
    let mut blocks = bytes.chunks_exact(BLOCK_BYTES);
    let mut at = 0;
    for block in &mut blocks {
        // SAFETY: the chunk has 64 bytes; the caller vouches for the instructions.
        let masks = unsafe { lane.masks::<ESCAPES>(block.as_ptr()) };
        // SAFETY: `reserve` made room for every byte and a block more, and what is written so far is less than `at`; the
        // caller vouches for the instructions.
        let regular =
            unsafe { step::<L, ESCAPES>(masks, quotes, BLOCK_BYTES as u32, base + at as u32, &mut state, out) };
        if !regular {
            return Err(at);
        }
        at += BLOCK_BYTES;
    }
    let rest = blocks.remainder();
    if !rest.is_empty() {
        let mut padded = [0; BLOCK_BYTES];
        padded[..rest.len()].copy_from_slice(rest);
        // SAFETY: the copy has 64 bytes; the caller vouches for the instructions.
        let masks = unsafe { lane.masks::<ESCAPES>(padded.as_ptr()) };
        // SAFETY: as above.
        let regular =
            unsafe { step::<L, ESCAPES>(masks, quotes, rest.len() as u32, base + at as u32, &mut state, out) };
        if !regular {
            return Err(at);
        }
    }
    *carry = state;
    Ok(())
}

/// One block, of which the first `bytes` count, at least one. False when it is irregular.
///
/// # Safety
/// `out` has room for 64 more values and their bits, and the processor has the lane's instructions.
#[inline(always)]
unsafe fn step<L: Lane, const ESCAPES: bool>(
    masks: Masks,
    quotes: u64,
    bytes: u32,
    base: u32,
    carry: &mut Carry,
    out: &mut Structure,
) -> bool {
    let valid = u64::MAX >> (64 - bytes);
    let escaped = if ESCAPES { escaped(masks.escape & valid, bytes, &mut carry.escaping) } else { 0 };
    let quote = masks.quote & quotes & valid & !escaped;
    let line = masks.line & valid;
    let either = line | (masks.delimiter & valid);
    // SAFETY: the caller vouches for the instructions.
    let inside = unsafe { L::prefix_xor(quote) } ^ carry.inside;
    let structure = either & !inside;
    let (opening, closing) = (quote & inside, quote & !inside);
    let after_structure = behind::<1>(structure, carry.structure);
    let after_closing = behind::<1>(closing, carry.closing);
    let may_open = after_structure | after_closing | behind::<1>(opening, carry.opening);
    if (opening & !may_open) | (after_closing & valid & !(either | quote)) != 0 {
        return false;
    }
    let bare = after_closing & behind::<2>(opening, carry.opening) & !behind::<3>(closing, carry.closing);
    let filled = structure & !(after_structure | bare);
    let odd = (opening & after_closing) | (inside & if ESCAPES { line | (masks.escape & valid) } else { line });
    // No quote is beyond the last valid byte, so the parity there is that of the highest bit.
    carry.inside = ((inside as i64) >> 63) as u64;
    carry.structure = last(structure, bytes, carry.structure);
    carry.opening = last(opening, bytes, carry.opening);
    carry.closing = last(closing, bytes, carry.closing);
    let length = out.ends.len();
    let mut ends = line & structure;
    while ends != 0 {
        out.lines.push(length as u32 + (structure & (ends & ends.wrapping_neg()).wrapping_sub(1)).count_ones());
        ends &= ends - 1;
    }
    if odd != 0 {
        mark_odd(odd, structure, length as u32, &mut out.odd);
    }
    // SAFETY: the caller vouches for the instructions.
    let bits = unsafe { L::extract(filled, structure) };
    debug_assert!(out.ends.capacity() - length >= BLOCK_BYTES && out.filled.len() > length / 64 + 1, "room was made");
    // SAFETY: there is room for 64 more values, and for their bits: so the caller.
    unsafe {
        let word = out.filled.get_unchecked_mut(length / 64..=length / 64 + 1);
        *word.get_unchecked_mut(0) = *word.get_unchecked(0) & !(u64::MAX << (length % 64)) | bits << (length % 64);
        *word.get_unchecked_mut(1) = (bits >> 1) >> (63 - length % 64);
        L::emit(structure, base, out.ends.as_mut_ptr().add(length));
        out.ends.set_len(length + structure.count_ones() as usize);
    }
    true
}

/// The mask moved up by `BY` bytes, over the edge of the block.
#[inline(always)]
fn behind<const BY: u32>(mask: u64, before: u64) -> u64 {
    mask << BY | before >> (64 - BY)
}

/// The last 64 bytes' mask after `bytes` more, 1 to 64.
#[inline(always)]
fn last(mask: u64, bytes: u32, before: u64) -> u64 {
    if bytes == 64 { mask } else { mask << (64 - bytes) | before >> bytes }
}

/// The bytes that stand behind an escape that is not escaped itself; `escaping` tells of the byte before, and is told of the last
/// of `bytes`.
#[inline(always)]
fn escaped(mut escape: u64, bytes: u32, escaping: &mut u64) -> u64 {
    let mut escaped = *escaping;
    escape &= !escaped;
    *escaping = 0;
    while escape != 0 {
        let at = escape.trailing_zeros();
        if at + 1 >= bytes {
            *escaping = 1;
            return escaped;
        }
        escaped |= 1 << (at + 1);
        // Neither it nor what it escapes is an escape any more.
        escape &= !(0b11 << at);
    }
    escaped
}

/// Notes the fields that the bits of `odd` lie in; `length` ends lie before the block.
#[cold]
fn mark_odd(mut odd: u64, structure: u64, length: u32, out: &mut Vec<u32>) {
    while odd != 0 {
        let below = (odd & odd.wrapping_neg()) - 1;
        let ordinal = length + (structure & below).count_ones();
        if out.last() != Some(&ordinal) {
            out.push(ordinal);
        }
        odd &= odd - 1;
    }
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
