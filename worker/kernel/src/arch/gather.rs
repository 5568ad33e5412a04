//! The values of one column, out of the text and into lanes: loads that no bound is checked for one by one.
//!
//! Invariant: no load leaves its slice, whatever the ends and ordinals say: places are clamped first.

use super::{Fields, GATHERED_BYTES, Gathered, each_bit};

/// See [`super::gather`].
#[inline(always)]
pub(super) fn gather(from: &Fields<'_>, column: u32, rows: u64, out: &mut Gathered) -> u64 {
    // The last places at which two ends begin, and as many bytes as are ever gathered of a value.
    let (Some(pair_last), Some(start_last)) =
        (from.ends.len().checked_sub(2), from.text.len().checked_sub(GATHERED_BYTES))
    else {
        return 0;
    };
    // Ordinals and offsets are of 32 bits.
    let (pair_last, start_last) = (pair_last.min(u32::MAX as usize) as u32, start_last.min(u32::MAX as usize) as u32);
    // Row by row: instructions that gather are no faster on the processors we know.
    each_bit(rows, |row| {
        let at = from.ordinals[row].wrapping_add(column).min(pair_last);
        // SAFETY: there are two ends from `pair_last` on, and `at` is no greater.
        let [before, end] = unsafe { from.ends.as_ptr().add(at as usize).cast::<[u32; 2]>().read() };
        let start = before.wrapping_add(from.delimiter_bytes);
        out.starts[row] = start;
        out.bytes[row] = u64::from(end.wrapping_sub(start));
        // SAFETY: there are more than eight bytes from `start_last` on, and the place is no greater; bytes have no alignment.
        let head = unsafe { from.text.as_ptr().add(start.min(start_last) as usize).cast::<[u8; 8]>().read() };
        out.low[row] = u64::from_le_bytes(head);
    });
    let (mut quoted, mut gathered) = (0, 0);
    for row in 0..64 {
        quoted |= u64::from(out.low[row] & 0xff == u64::from(from.quote) && out.bytes[row] >= 2) << row;
        gathered |= u64::from(out.starts[row] <= start_last) << row;
    }
    gathered &= rows;
    each_bit(quoted & gathered, |row| {
        let start = out.starts[row] + 1;
        out.starts[row] = start;
        out.bytes[row] -= 2;
        // One byte further on than `start_last` there are still eight.
        let head = from.text[start as usize..].first_chunk().expect("more than nine bytes are there");
        out.low[row] = u64::from_le_bytes(*head);
    });
    gathered
}

/// See [`super::gather_second`].
#[inline(always)]
pub(super) fn gather_second(text: &[u8], by: u32, starts: &[u32; 64], out: &mut [u64; 64]) {
    let Some(last) = text.len().checked_sub(8) else { return };
    let last = last.min(u32::MAX as usize) as u32;
    for (out, start) in std::iter::zip(out, starts) {
        let at = start.saturating_add(by).min(last);
        // SAFETY: there are eight bytes from `last` on, and `at` is no greater; bytes have no alignment.
        *out = u64::from_le_bytes(unsafe { text.as_ptr().add(at as usize).cast::<[u8; 8]>().read() });
    }
}
