//! The vector kernels: 64 bytes at a time to masks and positions. The only home of `unsafe`.
//!
//! The algorithm, once, as `generic.rs` has it, for each block of 64 bytes:
//!
//! ```text
//! q, s0       = masks of quotes, of delimiters and line ends
//! inside      = prefix_xor(q) ^ carried            parity: an odd number of quotes up to and with this byte
//! s           = s0 & !inside                       structure: what separates fields and ends records
//! opening     = q & inside,  closing = q & !inside
//! irregular   = opening not right after s, a quote or the record's start,  or closing not right before s0, a quote or the end
//! if irregular: stop, else emit the positions of s
//! ```
//!
//! Parity equals literal quoting exactly as long as nothing is irregular; what is, the automaton reads. Prefix XOR by a carry-less
//! multiplication: Langdale and Lemire, *Parsing Gigabytes of JSON per Second*, VLDB Journal 2019, section 3.1.1.
//!
//! Departures: (1) with AVX-512 positions are stored by a compress, not one by one; (2) a block shorter than 64 bytes is read from a
//! padded copy, so any split of the input into pieces gives the same. NEON waits until it can be compiled and run somewhere:
//! other processors take the portable path.
//!
//! Invariant: every path gives the same positions, carries and verdicts; which one runs is chosen once per process.
#![expect(unsafe_code, reason = "vector instructions; this is their one home")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod generic;
mod portable;

use std::sync::OnceLock;

/// Bytes of a block: as many as a mask has bits.
pub const BLOCK_BYTES: usize = 64;

/// A set of vector instructions that this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Path {
    /// The fastest one.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<Path> = OnceLock::new();
        *BEST.get_or_init(|| *Self::available().last().expect("the portable one is always there"))
    }

    /// All that this processor has, the slowest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "other paths are x86's"))]
        let mut paths = vec![Path(Kind::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            paths.extend(avx2::is_here().then_some(Path(Kind::Avx2)));
            paths.extend(avx512::is_here().then_some(Path(Kind::Avx512)));
        }
        paths
    }

    /// Its name, for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
        }
    }
}

/// The bytes that structure a text: LF and CR always do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields, if anything is.
    pub quote: Option<u8>,
}

/// What one block tells the next. The first is that of a record's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carry {
    /// All ones inside quotes, else zero.
    inside: u64,
    /// 1 when a quote may open at the next byte, else 0.
    opens: u64,
    /// 1 when the last byte closed a quote, else 0.
    closing: u64,
}

impl Carry {
    /// At a record's start.
    #[must_use]
    pub fn record_start() -> Self {
        Self { inside: 0, opens: 1, closing: 0 }
    }

    /// Whether a quote is open.
    #[must_use]
    pub fn in_quotes(self) -> bool {
        self.inside != 0
    }
}

/// Appends to `out` the positions in `bytes`, each plus `base`, of the delimiters and line ends outside quotes.
///
/// # Errors
/// At the first block in which parity may not be literal quoting, or in which that shows of the block before: its offset in
/// `bytes`. What was appended is right; `carry` is of no use any more.
pub fn index(
    path: Path,
    marks: Marks,
    bytes: &[u8],
    base: u32,
    carry: &mut Carry,
    out: &mut Vec<u32>,
) -> Result<(), usize> {
    match path.0 {
        Kind::Portable => portable::index(marks, bytes, base, carry, out),
        // SAFETY: a path with these instructions is made only where the processor has them ([`Path::available`]).
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => unsafe { avx2::index(marks, bytes, base, carry, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => unsafe { avx512::index(marks, bytes, base, carry, out) },
    }
}

#[cfg(test)]
mod tests;
