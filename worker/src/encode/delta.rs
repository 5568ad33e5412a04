//! Values as their differences, the forms of Parquet that need no dictionary: DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY and
//! DELTA_BYTE_ARRAY (Parquet format 2.11, Encodings.md).
//!
//! Invariant: what is written is a function of the values, and holds them all in order. Which form is of use it does not decide.

use bytes::Bytes;
use parquet::data_type::{DataType, Int32Type};
use parquet::encodings::encoding::{DeltaBitPackEncoder, Encoder as _};
use parquet::errors::ParquetError;

use super::texts::Written;

/// DELTA_BINARY_PACKED.
pub(super) fn packed<T: DataType>(values: &[T::T]) -> Result<Bytes, ParquetError> {
    let mut encoder = DeltaBitPackEncoder::<T>::new();
    encoder.put(values)?;
    encoder.flush_buffer()
}

/// Appends texts as DELTA_LENGTH_BYTE_ARRAY: their lengths, then all of them.
pub(super) fn lengths(texts: &Written, out: &mut Vec<u8>) -> Result<(), ParquetError> {
    let lengths: Vec<i32> = texts.iter().map(|text| text.len() as i32).collect();
    out.extend_from_slice(&packed::<Int32Type>(&lengths)?);
    out.extend_from_slice(texts.bytes());
    Ok(())
}

/// Appends texts as DELTA_BYTE_ARRAY: how much each has in common with the one before, then the rest of each.
pub(super) fn fronts(texts: &Written, out: &mut Vec<u8>) -> Result<(), ParquetError> {
    let (mut fronts, mut lengths) = (Vec::with_capacity(texts.len()), Vec::with_capacity(texts.len()));
    let mut rests = Vec::new();
    let mut last: &[u8] = &[];
    for text in texts.iter() {
        let front = common(last, text);
        fronts.push(front as i32);
        lengths.push((text.len() - front) as i32);
        rests.extend_from_slice(&text[front..]);
        last = text;
    }
    out.extend_from_slice(&packed::<Int32Type>(&fronts)?);
    out.extend_from_slice(&packed::<Int32Type>(&lengths)?);
    out.extend_from_slice(&rests);
    Ok(())
}

/// Bytes that two texts begin with alike.
pub(super) fn common(a: &[u8], b: &[u8]) -> usize {
    let mut at = 0;
    while let (Some(some), Some(others)) = (a[at..].first_chunk(), b[at..].first_chunk()) {
        let differ = u64::from_le_bytes(*some) ^ u64::from_le_bytes(*others);
        if differ != 0 {
            return at + differ.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + std::iter::zip(&a[at..], &b[at..]).take_while(|(some, other)| some == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_begin_alike_up_to_the_first_byte_that_differs() {
        for length in 0..40_usize {
            let text: Vec<u8> = (0..length as u8).collect();
            assert_eq!(common(&text, &text), length);
            assert_eq!(common(&text, &[&text[..], b"more than eight bytes"].concat()), length);
            for at in 0..length {
                let mut other = text.clone();
                other[at] ^= 0x80;
                assert_eq!(common(&text, &other), at);
                assert_eq!(common(&other, &text[..at]), at);
            }
        }
    }
}
