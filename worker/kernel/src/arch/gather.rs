//! The values of one column, out of the text and into lanes: loads that no bound is checked for one by one.
//!
//! Invariant: no load leaves its slice, whatever the ends and ordinals say: places are clamped first.
#![expect(clippy::needless_range_loop, reason = "lanes run side by side over several arrays")]

use super::{Fields, GATHERED_BYTES, Gathered, each_bit};

/// Rows from which on all 64 are gathered side by side, those not asked for too: that takes no more than a bit by bit walk.
const DENSE_ROWS: u32 = 40;

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
    if rows.count_ones() >= DENSE_ROWS {
        // In steps, each of which is either of loads alone or of arithmetic alone: where there are instructions that gather, the
        // compiler takes them.
        let (mut at, mut pairs) = ([0; 64], [[0; 2]; 64]);
        for row in 0..64 {
            at[row] = from.ordinals[row].wrapping_add(column).min(pair_last);
        }
        for row in 0..64 {
            // SAFETY: there are two ends from `pair_last` on, and `at` is no greater.
            pairs[row] = unsafe { from.ends.as_ptr().add(at[row] as usize).cast::<[u32; 2]>().read() };
        }
        for row in 0..64 {
            let [before, end] = pairs[row];
            let start = before.wrapping_add(from.delimiter_bytes);
            out.starts[row] = start;
            out.bytes[row] = u64::from(end.wrapping_sub(start));
            at[row] = start.min(start_last);
        }
        for row in 0..64 {
            // SAFETY: there are more than eight bytes from `start_last` on, and `at` is no greater; bytes have no alignment.
            out.low[row] =
                u64::from_le_bytes(unsafe { from.text.as_ptr().add(at[row] as usize).cast::<[u8; 8]>().read() });
        }
    } else {
        each_bit(rows, |row| {
            let at = from.ordinals[row].wrapping_add(column).min(pair_last);
            // SAFETY: there are two ends from `pair_last` on, and `at` is no greater.
            let [before, end] = unsafe { from.ends.as_ptr().add(at as usize).cast::<[u32; 2]>().read() };
            let start = before.wrapping_add(from.delimiter_bytes);
            out.starts[row] = start;
            out.bytes[row] = u64::from(end.wrapping_sub(start));
            let at = start.min(start_last) as usize;
            // SAFETY: there are more than eight bytes from `start_last` on, and `at` is no greater; bytes have no alignment.
            out.low[row] = u64::from_le_bytes(unsafe { from.text.as_ptr().add(at).cast::<[u8; 8]>().read() });
        });
    }
    let (mut any_quoted, mut last) = (false, 0);
    for row in 0..64 {
        any_quoted |= out.low[row] & 0xff == u64::from(from.quote);
        last = last.max(out.starts[row]);
    }
    // Seldom is a value too near to the end of the text, and seldom are there no rows but quoted ones.
    let mut gathered = rows;
    if last > start_last {
        for row in 0..64 {
            gathered &= !(u64::from(out.starts[row] > start_last) << row);
        }
    }
    if any_quoted {
        unquote(from, gathered, out);
    }
    gathered
}

/// Takes the quotes off those that have them, of the `gathered` rows; what becomes of the others does not matter.
#[inline(always)]
fn unquote(from: &Fields<'_>, gathered: u64, out: &mut Gathered) {
    let mut quoted = [0; 64];
    for row in 0..64 {
        quoted[row] = u64::from(out.low[row] & 0xff == u64::from(from.quote) && out.bytes[row] >= 2);
        out.starts[row] = out.starts[row].wrapping_add(quoted[row] as u32);
        out.bytes[row] -= 2 * quoted[row];
    }
    each_bit(gathered, |row| {
        // One byte further on than `start_last` there are still eight.
        let head = from.text[out.starts[row] as usize..].first_chunk().expect("more than nine bytes are there");
        out.low[row] = u64::from_le_bytes(*head);
    });
}

/// See [`super::gather_second`].
#[inline(always)]
pub(super) fn gather_second(text: &[u8], by: u32, starts: &[u32; 64], out: &mut [u64; 64]) {
    let Some(last) = text.len().checked_sub(8) else { return };
    let last = last.min(u32::MAX as usize) as u32;
    let mut at = [0; 64];
    for (at, start) in std::iter::zip(&mut at, starts) {
        *at = start.saturating_add(by).min(last);
    }
    for (out, at) in std::iter::zip(out, at) {
        // SAFETY: there are eight bytes from `last` on, and `at` is no greater; bytes have no alignment.
        *out = u64::from_le_bytes(unsafe { text.as_ptr().add(at as usize).cast::<[u8; 8]>().read() });
    }
}
