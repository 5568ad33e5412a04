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

/// How far ahead text is fetched: beyond the end of a window, where the processor would stop by itself.
const FETCHED_AHEAD_BYTES: usize = 16 << 10;

/// What a set of instructions does with 64 bytes. It holds the bytes to look for, spread out.
pub(super) trait Lane: Copy {
    /// The masks of the block at `block`, that of escapes only if `ESCAPES`.
    ///
    /// # Safety
    /// 64 bytes can be read at `block`, and the processor has the lane's instructions.
    unsafe fn masks<const ESCAPES: bool>(self, block: *const u8) -> Masks;

    /// Has the bytes about `place`, which may be nowhere, brought nearer: they are wanted soon.
    fn fetch(self, place: *const u8);

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
    out.lines.reserve(bytes.len() + BLOCK_BYTES);
    // Of each word of bits the next one is written too.
    out.filled.resize((out.ends.len() + bytes.len()) / 64 + 2, 0);
    let quotes = if marks.quote.is_some() { u64::MAX } else { 0 };
    let mut cursor = Cursor {
        ends: out.ends.as_mut_ptr(),
        length: out.ends.len(),
        filled: out.filled.as_mut_ptr(),
        pending: out.filled[out.ends.len() / 64] & !(u64::MAX << (out.ends.len() % 64)),
        lines: out.lines.as_mut_ptr(),
        line_count: out.lines.len(),
        odd: &mut out.odd,
    };
    let mut state = *carry;
    let mut blocks = bytes.chunks_exact(BLOCK_BYTES);
    let (mut at, mut regular) = (0, true);
    for block in &mut blocks {
        lane.fetch(block.as_ptr().wrapping_add(FETCHED_AHEAD_BYTES));
        // SAFETY: the chunk has 64 bytes; the caller vouches for the instructions.
        let masks = unsafe { lane.masks::<ESCAPES>(block.as_ptr()) };
        // SAFETY: `reserve` made room for every byte and a block more, and what is written so far is less than `at`; the
        // caller vouches for the instructions.
        regular =
            unsafe { step::<L, ESCAPES>(masks, quotes, BLOCK_BYTES as u32, base + at as u32, &mut state, &mut cursor) };
        if !regular {
            break;
        }
        at += BLOCK_BYTES;
    }
    let rest = blocks.remainder();
    if regular && !rest.is_empty() {
        let mut padded = [0; BLOCK_BYTES];
        padded[..rest.len()].copy_from_slice(rest);
        // SAFETY: the copy has 64 bytes; the caller vouches for the instructions.
        let masks = unsafe { lane.masks::<ESCAPES>(padded.as_ptr()) };
        let count = rest.len() as u32;
        // SAFETY: as above.
        regular = unsafe { step::<L, ESCAPES>(masks, quotes, count, base + at as u32, &mut state, &mut cursor) };
    }
    let (length, line_count) = (cursor.length, cursor.line_count);
    // SAFETY: so many were written, of each: in the room reserved.
    unsafe {
        out.ends.set_len(length);
        out.lines.set_len(line_count);
    }
    if !regular {
        return Err(at);
    }
    *carry = state;
    Ok(())
}
/// Where the next values of a structure are written.
struct Cursor<'o> {
    ends: *mut u32,
    length: usize,
    filled: *mut u64,
    /// The bits of the word of `filled` that `length` lies in, as far as they are known.
    pending: u64,
    lines: *mut u32,
    line_count: usize,
    odd: &'o mut Vec<u32>,
}

impl Cursor<'_> {
    /// Notes the ends in `structure`, the line ends among them, and those that end a field that is not empty.
    ///
    /// # Safety
    /// There is room for 64 more of each, and the processor has the lane's instructions.
    #[inline(always)]
    unsafe fn note<L: Lane>(&mut self, base: u32, structure: u64, mut line: u64, filled: u64) {
        let (word, bit) = (self.length / 64, self.length % 64);
        let ordinal = |line: u64| self.length as u32 + (structure & !line & line.wrapping_sub(1)).count_ones();
        // Most blocks have no line end or one (two of a CR LF): two are written without asking.
        let (first, second) = (ordinal(line), ordinal(line & line.wrapping_sub(1)));
        let count = line.count_ones() as usize;
        // SAFETY: as the caller's: 64 ends, their bits in this word and the next, and 64 lines.
        unsafe {
            self.lines.add(self.line_count).cast::<[u32; 2]>().write([first, second]);
            for i in 2..count {
                line &= line - 1;
                self.lines.add(self.line_count + i).write(ordinal(line & (line - 1)));
            }
            let bits = L::extract(filled, structure);
            let here = self.pending | bits << bit;
            let next = (bits >> 1) >> (63 - bit);
            self.filled.add(word).cast::<[u64; 2]>().write([here, next]);
            L::emit(structure, base, self.ends.add(self.length));
            self.line_count += count;
            self.length += structure.count_ones() as usize;
            self.pending = if self.length / 64 == word { here } else { next };
        }
    }
}

/// One block, of which the first `bytes` count, at least one. False when it is irregular.
///
/// # Safety
/// The cursor has room for 64 more of each value, and the processor has the lane's instructions.
#[inline(always)]
unsafe fn step<L: Lane, const ESCAPES: bool>(
    masks: Masks,
    quotes: u64,
    bytes: u32,
    base: u32,
    carry: &mut Carry,
    cursor: &mut Cursor<'_>,
) -> bool {
    let valid = u64::MAX >> (64 - bytes);
    let escaped = if ESCAPES { escaped(masks.escape & valid, bytes, &mut carry.escaping) } else { 0 };
    let quote = masks.quote & quotes & valid & !escaped;
    let line = masks.line & valid;
    let either = line | (masks.delimiter & valid);
    if quote | carry.inside | carry.opening | carry.closing == 0 {
        // No quote is near: nothing is irregular or odd.
        let filled = either & !(either << 1 | carry.structure);
        carry.structure = last::<1>(either, bytes, carry.structure);
        // SAFETY: as the caller's.
        unsafe { cursor.note::<L>(base, either, line, filled) };
        return true;
    }
    // SAFETY: the caller vouches for the instructions.
    let inside = unsafe { L::prefix_xor(quote) } ^ carry.inside;
    let structure = either & !inside;
    let (opening, closing) = (quote & inside, quote & !inside);
    let after_structure = structure << 1 | carry.structure;
    let after_closing = closing << 1 | carry.closing >> 2;
    let may_open = after_structure | after_closing;
    if (opening & !may_open) | (after_closing & valid & !(either | quote)) != 0 {
        return false;
    }
    let bare = after_closing & (opening << 2 | carry.opening) & !(closing << 3 | carry.closing);
    let filled = structure & !(after_structure | bare);
    let odd = (opening & after_closing) | (inside & if ESCAPES { line | (masks.escape & valid) } else { line });
    // No quote is beyond the last valid byte, so the parity there is that of the highest bit.
    carry.inside = ((inside as i64) >> 63) as u64;
    carry.structure = last::<1>(structure, bytes, carry.structure);
    carry.opening = last::<2>(opening, bytes, carry.opening);
    carry.closing = last::<3>(closing, bytes, carry.closing);
    if odd != 0 {
        mark_odd(odd, structure, cursor.length as u32, cursor.odd);
    }
    // SAFETY: as the caller's.
    unsafe { cursor.note::<L>(base, structure, line & structure, filled) };
    true
}

/// The last `N` bits of `before`, of `N` bits, and the `bytes` lowest of `mask`, 1 to 64.
#[inline(always)]
fn last<const N: u32>(mask: u64, bytes: u32, before: u64) -> u64 {
    if bytes >= N { mask >> (bytes - N) } else { (mask << N | before) >> bytes }
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
