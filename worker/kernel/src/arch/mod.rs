//! The vector kernels: 64 bytes at a time to masks and positions. The only home of `unsafe`.
//!
//! The algorithm, once, as `generic.rs` has it, for each block of 64 bytes:
//!
//! ```text
//! l, d, q     = masks of line ends, of delimiters, of quotes that are not escaped
//! inside      = prefix_xor(q) ^ carried            parity: an odd number of quotes up to and with this byte
//! s           = (l | d) & !inside                  structure: what separates fields and ends records
//! opening     = q & inside,  closing = q & !inside
//! irregular   = opening not right after s, a quote or the record's start,  or closing not right before l, d, a quote or the end
//! if irregular: stop
//! empty       = s right after s, or after an opening quote (not a doubled one) and its closing one
//! odd         = opening right after closing (a doubled quote), or l, or an escape, inside quotes
//! emit the positions of s;  for each of them, whether not empty;  the ordinals of l & s, and of the s that end an odd field
//! ```
//!
//! Parity equals literal quoting exactly as long as nothing is irregular; what is, the automaton reads. Prefix XOR by a carry-less
//! multiplication: Langdale and Lemire, *Parsing Gigabytes of JSON per Second*, VLDB Journal 2019, section 3.1.1; escaped bytes:
//! the same, section 3.1.1. An escape outside quotes is an ordinary byte; a quote behind one can open nothing there, so it does
//! not matter that it is taken out.
//!
//! Departures: (1) with AVX-512 positions are stored by a compress, not one by one; (2) a block shorter than 64 bytes is read from a
//! padded copy, so any split of the input into pieces gives the same. NEON waits until it can be compiled and run somewhere:
//! other processors take the portable path.
//!
//! Invariant: every path gives the same positions, carries and verdicts; which one runs is chosen once per process.
#![expect(unsafe_code, reason = "vector instructions; this is their one home")]

pub(crate) mod arrays;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(test)]
mod bare;
mod codes;
mod gather;
mod generic;
mod lanes;
mod moments;
mod portable;
mod texts;

use std::sync::OnceLock;

pub use codes::{Codes, Known};
pub use moments::Template;

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
    /// Before a byte that means nothing, inside quotes.
    pub escape: Option<u8>,
}

/// What one block tells the next. The first is that of a record's start. The last byte's bit is the highest of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carry {
    /// All ones inside quotes, else zero.
    inside: u64,
    /// Whether the last byte is structural.
    structure: u64,
    /// Which of the last two bytes open a quote.
    opening: u64,
    /// Which of the last three close one.
    closing: u64,
    /// 1 when the last byte is an escape that is not escaped itself, else 0.
    escaping: u64,
}

impl Carry {
    /// At a record's start: as if a line had just ended.
    #[must_use]
    pub fn record_start() -> Self {
        Self { inside: 0, structure: 1, opening: 0, closing: 0, escaping: 0 }
    }

    /// Whether a quote is open.
    #[must_use]
    pub fn in_quotes(self) -> bool {
        self.inside != 0
    }
}

/// What some text is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Structure {
    /// Where fields end: the delimiters and line ends (LF and CR, each) outside quotes. An index in it is an *ordinal*.
    pub ends: Vec<u32>,
    /// A bit for each of `ends`, the first one the lowest of the first word: whether its field holds anything, quotes aside.
    /// What lies beyond the last end is of no meaning.
    pub filled: Vec<u64>,
    /// Ordinals of the line ends.
    pub lines: Vec<u32>,
    /// Ordinals of fields that hold a doubled quote, an escape or a line end, sorted; one may be there several times.
    pub odd: Vec<u32>,
}

impl Structure {
    /// Appends one end, which is no line end, by hand.
    pub fn push(&mut self, end: u32, filled: bool) {
        let (word, bit) = (self.ends.len() / 64, self.ends.len() % 64);
        self.filled.resize(word + 1, 0);
        self.filled[word] = self.filled[word] & !(u64::MAX << bit) | u64::from(filled) << bit;
        self.ends.push(end);
    }

    /// Drops the ends from the ordinal `length` on, with all that is known of lines and odd fields.
    pub fn truncate(&mut self, length: usize) {
        self.ends.truncate(length);
        self.lines.clear();
        self.odd.clear();
    }

    /// Drops the ends below the ordinal `from`, a multiple of 64: what had the ordinal `from` has none.
    pub fn forget(&mut self, from: usize) {
        debug_assert!(from.is_multiple_of(64) && from <= self.ends.len(), "whole words of ends that there are");
        self.ends.drain(..from);
        self.filled.drain(..(from / 64).min(self.filled.len()));
        for ordinals in [&mut self.lines, &mut self.odd] {
            ordinals.retain(|&ordinal| ordinal as usize >= from);
            ordinals.iter_mut().for_each(|ordinal| *ordinal -= from as u32);
        }
    }

    /// The text's first `by` bytes are dropped. An end before its first byte wraps around.
    pub fn shift(&mut self, by: u32) {
        self.ends.iter_mut().for_each(|end| *end = end.wrapping_sub(by));
    }

    /// The bits of 64 ordinals from `from` on.
    #[inline(always)]
    #[must_use]
    pub fn filled_from(&self, from: usize) -> u64 {
        let (word, bit) = (from / 64, from % 64);
        let low = self.filled.get(word).copied().unwrap_or(0) >> bit;
        let high = self.filled.get(word + 1).copied().unwrap_or(0);
        // Shifted in two steps: by 64 in one is no shift.
        low | (high << 1) << (63 - bit)
    }
}

/// Appends to `out` what is in `bytes`, positions each plus `base`.
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
    out: &mut Structure,
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

/// Hands on the place of each bit of `word` that is set, the lowest first.
#[inline(always)]
pub(crate) fn each_bit(mut word: u64, mut each: impl FnMut(usize)) {
    while word != 0 {
        each(word.trailing_zeros() as usize & 63);
        word &= word - 1;
    }
}

/// Where the fields of up to 64 rows lie.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'b> {
    /// The text.
    pub text: &'b [u8],
    /// Where fields end in it: see [`Structure::ends`].
    pub ends: &'b [u32],
    /// Of each row, the ordinal of the end before its first field.
    pub ordinals: &'b [u32; 64],
    /// Bytes of a delimiter.
    pub delimiter_bytes: u32,
    /// The quote; more than a byte holds: none.
    pub quote: u32,
}

/// Bytes that must be there from a field's start on for it to be gathered: a quote, [`COPIED_BYTES`], and some.
const GATHERED_BYTES: usize = 40;

/// Bytes that are there from the start of each value that was gathered: those of a short one may be copied whole, whatever its length.
const COPIED_BYTES: usize = 32;

/// Values of one column, as they lie between their quotes; of those that were not gathered, anything.
#[derive(Debug, Clone)]
pub struct Gathered {
    /// Where they begin in the text.
    pub starts: [u32; 64],
    /// Their bytes.
    pub bytes: [u64; 64],
    /// Their first eight bytes, the first the lowest; what lies behind a value does not matter.
    pub low: [u64; 64],
    /// The next eight, where they were asked for.
    pub high: [u64; 64],
}

impl Default for Gathered {
    fn default() -> Self {
        Self { starts: [0; 64], bytes: [0; 64], low: [0; 64], high: [0; 64] }
    }
}

/// Keys of 64 values: their first sixteen bytes, zeros behind them, and a hash of these and of their length, of 32 bits.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The first eight bytes.
    pub low: [u64; 64],
    /// The next eight.
    pub high: [u64; 64],
    /// Of 32 bits each.
    pub hashes: [u64; 64],
}

impl Default for Keys {
    fn default() -> Self {
        Self { low: [0; 64], high: [0; 64], hashes: [0; 64] }
    }
}

/// Integers read from 64 values.
#[derive(Debug, Clone)]
pub struct Longs {
    /// Of those that are good.
    pub values: [i64; 64],
    /// A bit for each value that was read.
    pub good: u64,
}

impl Default for Longs {
    fn default() -> Self {
        Self { values: [0; 64], good: 0 }
    }
}

/// Doubles read from 64 values.
#[derive(Debug, Clone)]
pub struct Doubles {
    /// Of those that are good.
    pub values: [f64; 64],
    /// A bit for each value that was read.
    pub good: u64,
    /// A bit for each that has no fraction.
    pub whole: u64,
}

impl Default for Doubles {
    fn default() -> Self {
        Self { values: [0.0; 64], good: 0, whole: 0 }
    }
}

/// Defines the entrance to a function that is for each set of instructions.
macro_rules! by_path {
    ($(#[$doc:meta])* $home:ident::$name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?) => {
        $(#[$doc])*
        pub fn $name(path: Path, $($argument: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
            fn avx2($($argument: $type),*) $(-> $result)? {
                $home::$name($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(
                enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,avx512vpopcntdq,bmi1,bmi2,popcnt,lzcnt"
            )]
            fn avx512($($argument: $type),*) $(-> $result)? {
                $home::$name($($argument),*)
            }
            match path.0 {
                Kind::Portable => $home::$name($($argument),*),
                // SAFETY: a path with these instructions is made only where the processor has them ([`Path::available`]).
                #[cfg(target_arch = "x86_64")]
                Kind::Avx2 => unsafe { avx2($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512 => unsafe { avx512($($argument),*) },
            }
        }
    };
}

by_path! {
    /// Gathers the values of `column` of the rows in the word `rows`, without their second eight bytes; the word of those that were:
    /// those with `GATHERED_BYTES` of the text left from where they start.
    gather::gather(from: &Fields<'_>, column: u32, rows: u64, out: &mut Gathered) -> u64
}
by_path! {
    /// Gathers eight more bytes of values that were gathered, `by` bytes on from where each begins, at most 16.
    gather::gather_second(text: &[u8], by: u32, starts: &[u32; 64], out: &mut [u64; 64])
}
by_path! {
    /// Reads `true` and `false`: a bit for each of either.
    lanes::booleans(gathered: &Gathered) -> (u64, u64)
}
by_path! {
    /// Those of more than eight bytes.
    lanes::wide(gathered: &Gathered) -> u64
}
by_path! {
    /// Makes keys.
    lanes::keys(gathered: &Gathered, out: &mut Keys)
}
by_path! {
    /// Looks texts up that were gathered, the rows in the word `rows`, and puts the code of each where it belongs; the word of those
    /// without, be it that they are too long to be told apart by their keys.
    codes::look_up(known: &Codes, gathered: &Gathered, keys: &Keys, rows: u64, out: &mut [u16; 64])
        -> u64
}
by_path! {
    /// Appends the texts that were gathered of the rows in the word `rows`.
    texts::append(text: &[u8], gathered: &Gathered, rows: u64, out: &mut Vec<u8>)
}
by_path! {
    /// The bytes of the texts that were gathered of the rows in the word `rows`; none of the others.
    texts::lengths(gathered: &Gathered, rows: u64, out: &mut [i32; 64])
}
by_path! {
    /// Swaps rows and columns of a square of bits: quarters, then quarters of these (Hacker's Delight, 2nd edition, section 7-3).
    lanes::transpose(words: &mut [u64; 64])
}
by_path! {
    /// Reads integers of at most eight bytes.
    lanes::longs(gathered: &Gathered, out: &mut Longs)
}
by_path! {
    /// Reads integers of at most fifteen digits.
    lanes::wide_longs(gathered: &Gathered, out: &mut Longs)
}
by_path! {
    /// Reads numbers of at most eight bytes without exponent, with the decimal mark `decimal`.
    lanes::doubles(gathered: &Gathered, decimal: u8, out: &mut Doubles)
}
by_path! {
    /// Reads numbers of at most fifteen digits without exponent, with the decimal mark `decimal`.
    lanes::wide_doubles(gathered: &Gathered, decimal: u8, out: &mut Doubles)
}
by_path! {
    /// Reads `YYYY-MM-DD` as days since 1970-01-01.
    lanes::dates(gathered: &Gathered, out: &mut Longs)
}
by_path! {
    /// Reads `YYYY-MM-DD[T ]HH:MM:SS[.mmm]` as microseconds since 1970-01-01T00:00:00; `tails` are the bytes 16 to 24.
    lanes::timestamps(gathered: &Gathered, tails: &[u64; 64], out: &mut Longs)
}
by_path! {
    /// Reads dates of a format as days since 1970-01-01; `tails` are the bytes 16 to 24, of use when it [is long](Template::is_long).
    moments::dates_as(template: &Template, gathered: &Gathered, tails: &[u64; 64], out: &mut Longs)
}
by_path! {
    /// Reads moments of a format as microseconds since 1970-01-01T00:00:00; `tails` as for dates.
    moments::timestamps_as(template: &Template, gathered: &Gathered, tails: &[u64; 64], out: &mut Longs)
}

#[cfg(test)]
mod tests;
