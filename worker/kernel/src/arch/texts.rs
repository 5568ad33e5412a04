//! Texts of one column, copied one behind the other.
//!
//! Invariant: no load leaves the text and no store the room made, whatever the starts and lengths say: starts are clamped, and room is
//! made for all lengths, of which 32 bits count.
#![expect(clippy::needless_range_loop, reason = "lanes run side by side over several arrays")]

use super::{COPIED_BYTES, Gathered};

/// See [`super::append`].
#[inline(always)]
pub(super) fn append(text: &[u8], gathered: &Gathered, rows: u64, out: &mut Vec<u8>) {
    let Some(last) = text.len().checked_sub(COPIED_BYTES) else { return };
    let lengths = (0..64).map(|row| if rows >> row & 1 == 1 { u64::from(gathered.bytes[row] as u32) } else { 0 });
    let bytes = usize::try_from(lengths.sum::<u64>()).unwrap_or(usize::MAX);
    out.reserve(bytes.saturating_add(COPIED_BYTES));
    let mut at = out.len();
    let mut left = rows;
    while left != 0 {
        let row = left.trailing_zeros() as usize & 63;
        left &= left - 1;
        let (start, bytes) = (gathered.starts[row] as usize, gathered.bytes[row] as u32 as usize);
        if bytes <= COPIED_BYTES {
            // SAFETY: there are so many bytes from `last` on, and so many more than all texts together were reserved.
            unsafe {
                let from = text.as_ptr().add(start.min(last)).cast::<[u8; COPIED_BYTES]>();
                out.as_mut_ptr().add(at).cast::<[u8; COPIED_BYTES]>().write(from.read());
            }
        } else {
            let text = &text[start..start + bytes];
            // SAFETY: all texts together were reserved, and a vector lies apart from what is borrowed.
            unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), out.as_mut_ptr().add(at), bytes) };
        }
        at += bytes;
    }
    // SAFETY: every byte up to there was written.
    unsafe { out.set_len(at) };
}

/// See [`super::lengths`].
#[inline(always)]
pub(super) fn lengths(gathered: &Gathered, rows: u64, out: &mut [i32; 64]) {
    for row in 0..64 {
        out[row] = if rows >> row & 1 == 1 { gathered.bytes[row] as i32 } else { 0 };
    }
}
