//! Between the wire's messages and the vocabulary, in both directions.
//!
//! Invariant: outwards never fails; inwards checks every bound, once, here. What needs more than one message to judge
//! (whose attempt it is, whether a span tiles) is the scheduler's.

mod dialect;
mod outcome;
mod table;
mod task;

use batteuse_shared::ids::{AttemptId, RunId, WorkerId};
use batteuse_shared::limits::{NAME_BYTES_MAX, SOURCE_BYTES_MAX};
use batteuse_shared::span::StateId;

use crate::error::{BadValue, WireError};
use crate::v1;

/// Result of reading a field.
pub(crate) type Read<T> = Result<T, WireError>;

/// An enum of the vocabulary that has a twin on the wire with a zero that says nothing.
pub(crate) trait Twinned: Sized {
    /// Reads the number of the twin.
    fn read(field: &'static str, raw: i32) -> Read<Self>;
    /// The number of the twin.
    fn write(self) -> i32;
}

/// Declares that two enums are [`Twinned`], variant by variant.
macro_rules! twinned {
    ($plain:ty, $wire:ty, $($variant:ident),+) => {
        impl $crate::convert::Twinned for $plain {
            fn read(field: &'static str, raw: i32) -> $crate::convert::Read<Self> {
                match <$wire>::try_from(raw) {
                    Ok(<$wire>::Unspecified) => Err($crate::error::WireError::Missing(field)),
                    $(Ok(<$wire>::$variant) => Ok(Self::$variant),)+
                    Err(_) => Err($crate::error::WireError::Unknown { field, value: raw }),
                }
            }
            fn write(self) -> i32 {
                match self {
                    $(Self::$variant => <$wire>::$variant as i32,)+
                }
            }
        }
    };
}
pub(crate) use twinned;

/// A message that must be there.
pub(crate) fn present<W, T: TryFrom<W, Error = WireError>>(field: &'static str, value: Option<W>) -> Read<T> {
    value.ok_or(WireError::Missing(field))?.try_into()
}

/// A message that may be absent.
pub(crate) fn optional<W, T: TryFrom<W, Error = WireError>>(value: Option<W>) -> Read<Option<T>> {
    value.map(T::try_from).transpose()
}

/// At most `max` messages.
pub(crate) fn list<W, T: TryFrom<W, Error = WireError>>(
    field: &'static str,
    values: Vec<W>,
    max: usize,
) -> Read<Vec<T>> {
    at_most(field, values.len(), max)?;
    values.into_iter().map(T::try_from).collect()
}

/// Every value as its message.
pub(crate) fn messages<T, W: From<T>>(values: Vec<T>) -> Vec<W> {
    values.into_iter().map(W::from).collect()
}

/// Refuses more than `max` entries.
pub(crate) fn at_most(field: &'static str, count: usize, max: usize) -> Read<()> {
    if count > max { Err(WireError::invalid(field, BadValue::TooMany { count, max })) } else { Ok(()) }
}

/// A text that must not be empty.
pub(crate) fn required(field: &'static str, text: String) -> Read<String> {
    if text.is_empty() { Err(WireError::Missing(field)) } else { Ok(text) }
}

/// A text of at most `max` bytes.
pub(crate) fn text(field: &'static str, text: String, max: usize) -> Read<String> {
    length(field, text.len(), 0, max)?;
    Ok(text)
}

/// A short name: 1 to [`NAME_BYTES_MAX`] bytes.
pub(crate) fn name(field: &'static str, name: String) -> Read<String> {
    text(field, required(field, name)?, NAME_BYTES_MAX)
}

/// Refuses another length than `min..=max`.
pub(crate) fn length(field: &'static str, bytes: usize, min: usize, max: usize) -> Read<()> {
    let good = (min..=max).contains(&bytes);
    if good { Ok(()) } else { Err(WireError::invalid(field, BadValue::Length { bytes, min, max })) }
}

/// A number in `min..=max`.
pub(crate) fn within(field: &'static str, value: u64, min: u64, max: u64) -> Read<u64> {
    let good = (min..=max).contains(&value);
    if good { Ok(value) } else { Err(WireError::invalid(field, BadValue::Range { value, min, max })) }
}

/// An offset, size or count: at most [`SOURCE_BYTES_MAX`].
pub(crate) fn size(field: &'static str, value: u64) -> Read<u64> {
    within(field, value, 0, SOURCE_BYTES_MAX)
}

/// An offset that may be absent.
pub(crate) fn optional_size(field: &'static str, value: Option<u64>) -> Read<Option<u64>> {
    value.map(|v| size(field, v)).transpose()
}

/// A byte that travels as a wider number.
pub(crate) fn byte(field: &'static str, value: u32) -> Read<u8> {
    u8::try_from(value)
        .map_err(|_| WireError::invalid(field, BadValue::Range { value: value.into(), min: 0, max: u8::MAX.into() }))
}

/// A byte that may be absent.
pub(crate) fn optional_byte(field: &'static str, value: Option<u32>) -> Read<Option<u8>> {
    value.map(|v| byte(field, v)).transpose()
}

/// A state of the automaton.
pub(crate) fn state(field: &'static str, value: u32) -> Read<StateId> {
    byte(field, value).map(StateId)
}

/// A run's id.
pub(crate) fn run_id(field: &'static str, text: &str) -> Read<RunId> {
    RunId::new(text).map_err(|bad| WireError::invalid(field, bad))
}

/// A worker's name.
pub(crate) fn worker_id(field: &'static str, text: &str) -> Read<WorkerId> {
    WorkerId::new(text).map_err(|bad| WireError::invalid(field, bad))
}

/// Names an attempt on the wire.
pub(crate) fn attempt_ref(run: RunId, attempt: AttemptId) -> v1::AttemptRef {
    v1::AttemptRef { run: run.into(), attempt: attempt.0 }
}

/// A staged name: it is joined to a folder by whoever reads it, so it must not lead out of it.
pub(crate) fn key(field: &'static str, key: String) -> Read<String> {
    // The longest file name of the common file systems.
    const KEY_BYTES_MAX: usize = 255;
    let alphabet = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let good = key.len() <= KEY_BYTES_MAX && !key.starts_with('.') && key.bytes().all(alphabet);
    if key.is_empty() {
        Err(WireError::Missing(field))
    } else if good {
        Ok(key)
    } else {
        Err(WireError::invalid(field, BadValue::Key(key)))
    }
}

/// Cuts words for the operator to `max` bytes, at a character: a message must arrive, even if not whole.
pub(crate) fn cut(mut words: String, max: usize) -> String {
    words.truncate(words.floor_char_boundary(max));
    words
}
