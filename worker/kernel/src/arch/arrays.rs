//! Arrays of texts and of codes out of checked parts: the checks of their own constructors, but whole and wide instead of value by
//! value.
//!
//! Invariant: nothing is taken on trust: what these make would pass arrow's own constructors, or they make nothing.

use arrow_array::types::UInt16Type;
use arrow_array::{ArrayRef, DictionaryArray, StringArray, UInt16Array};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

/// The texts in `bytes` that end at `ends`, of which the first is zero and stands before the first text; none when they are not
/// UTF-8, or ends lie where none can. `nulls` are as many as the texts.
#[must_use]
pub fn texts(ends: Vec<i32>, bytes: Vec<u8>, nulls: Option<NullBuffer>) -> Option<StringArray> {
    let rows = ends.len().checked_sub(1)?;
    let sorted = std::iter::zip(&ends, &ends[1..]).fold(true, |sorted, (a, b)| sorted & (a <= b));
    let within = ends[0] == 0 && usize::try_from(ends[rows]).is_ok_and(|last| last <= bytes.len());
    let counted = nulls.as_ref().is_none_or(|nulls| nulls.len() == rows);
    if !sorted || !within || !counted {
        return None;
    }
    if !bytes.is_ascii() {
        let text = simdutf8::basic::from_utf8(&bytes).ok()?;
        if !ends.iter().all(|&end| text.is_char_boundary(end as usize)) {
            return None;
        }
    }
    // SAFETY: the first end is zero, and they never fall.
    let offsets = unsafe { OffsetBuffer::new_unchecked(ScalarBuffer::from(ends)) };
    // SAFETY: the last end lies within the bytes, which are UTF-8 with whole characters between ends; nulls are as many.
    Some(unsafe { StringArray::new_unchecked(offsets, Buffer::from_vec(bytes), nulls) })
}

/// The texts `values` by their codes; none when a code has no text. What stands under a null must be a code too.
#[must_use]
pub fn coded(codes: Vec<u16>, values: ArrayRef, nulls: Option<NullBuffer>) -> Option<DictionaryArray<UInt16Type>> {
    let greatest = codes.iter().fold(0, |greatest, &code| greatest.max(code));
    if !codes.is_empty() && usize::from(greatest) >= values.len() {
        return None;
    }
    let keys = UInt16Array::try_new(codes.into(), nulls).ok()?;
    // SAFETY: every key, under a null or not, is below the number of values.
    Some(unsafe { DictionaryArray::new_unchecked(keys, values) })
}
