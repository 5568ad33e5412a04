//! What the fuzz targets share: inputs drawn from bytes, the truth about a file by the oracle, and the kernel run over it.
//!
//! Invariant: an input is a function of its bytes alone: knobs in front, one or a few bytes each, and the file behind them, so a
//! mutation of the bytes is one of the file. A check panics where the kernel and the truth differ.

pub mod attempt;
pub mod case;
pub mod cell;
pub mod decode;
pub mod draw;
// The fold itself: the rest of its crate is not for here.
#[path = "../../coordinator/src/fold.rs"]
pub mod fold;
pub mod generated;
pub mod scan;
pub mod seam;
