//! The kernel: bytes in, arrays out. Framing, the seam between partitions, decoding and inference.
//!
//! Invariant: bad content is data, never an error: the kernel returns rows and rejects. It does no I/O and knows no thread.

pub mod arch;
pub mod automaton;
mod block;
pub mod decode;
pub mod digest;
pub mod frame;
mod framer;
pub mod infer;
pub mod inspect;
pub mod partition;
pub mod quarantine;
pub mod scan;
pub mod seam;
pub mod split;
