//! The stream's messages through a pipe: between a worker and a process in which it has one attempt alone.
//!
//! Invariant: each message is led by its length, and none that is longer than [`MESSAGE_BYTES_MAX`] is read.

use std::io::{self, Read, Write};

use batteuse_shared::limits::MESSAGE_BYTES_MAX;

use crate::error::WireError;
use crate::messages::{CoordinatorSays, WorkerSays};
use crate::v1;

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// The pipe broke, or ended inside a message.
    #[error("the pipe broke: {0}")]
    Broken(#[from] io::Error),
    /// A message is longer than any.
    #[error("a message of {bytes} bytes, where at most {MESSAGE_BYTES_MAX} are read")]
    TooLong {
        /// How long it says that it is.
        bytes: u32,
    },
    /// These bytes are no message.
    #[error("not a message: {0}")]
    Garbled(#[from] prost::DecodeError),
    /// A message that says what it may not.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Says what a worker would say.
///
/// # Errors
/// When the pipe is closed.
pub fn say(says: WorkerSays, to: &mut impl Write) -> io::Result<()> {
    write(&v1::WorkerMessage::from(says), to)
}

/// Hears what was [said](say); none at the pipe's end.
///
/// # Errors
/// When that is no message, or the pipe ends inside one.
pub fn hear(from: &mut impl Read) -> Result<Option<WorkerSays>, PipeError> {
    Ok(read::<v1::WorkerMessage>(from)?.map(WorkerSays::try_from).transpose()?)
}

/// Tells what a coordinator would say.
///
/// # Errors
/// When the pipe is closed.
pub fn tell(says: CoordinatorSays, to: &mut impl Write) -> io::Result<()> {
    write(&v1::CoordinatorMessage::from(says), to)
}

/// Takes what was [told](tell); none at the pipe's end.
///
/// # Errors
/// When that is no message, or the pipe ends inside one.
pub fn take(from: &mut impl Read) -> Result<Option<CoordinatorSays>, PipeError> {
    Ok(read::<v1::CoordinatorMessage>(from)?.map(CoordinatorSays::try_from).transpose()?)
}

fn write(message: &impl prost::Message, to: &mut impl Write) -> io::Result<()> {
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(&bytes)?;
    to.flush()
}

fn read<M: prost::Message + Default>(from: &mut impl Read) -> Result<Option<M>, PipeError> {
    let mut length = Vec::new();
    from.by_ref().take(4).read_to_end(&mut length)?;
    let bytes = match <[u8; 4]>::try_from(&length[..]) {
        Ok(length) => u32::from_be_bytes(length),
        Err(_) if length.is_empty() => return Ok(None),
        Err(_) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    };
    if bytes as usize > MESSAGE_BYTES_MAX {
        return Err(PipeError::TooLong { bytes });
    }
    // What is said to come may not come: room is made as it does.
    let mut message = Vec::new();
    from.by_ref().take(bytes.into()).read_to_end(&mut message)?;
    if message.len() < bytes as usize {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(Some(M::decode(&message[..])?))
}
