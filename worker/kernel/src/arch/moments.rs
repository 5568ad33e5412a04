//! Dates and times in a declared format, 64 at a time: their parts are moved to where the arithmetic of `lanes.rs` wants them.
//!
//! Invariant: exactly those values are marked good that [`crate::infer::parse_as`] reads, with the value that it gives them. Safe
//! code only, as in `lanes.rs`.
#![expect(clippy::needless_range_loop, reason = "lanes run side by side over several arrays")]

use batteuse_shared::format::{Format, Place};

use super::lanes::{ZEROS, bits, day, moment};
use super::{Gathered, Longs};

/// The parts of a moment: where they begin in `YYYY-MM-DDTHH:MM:SS.mmm`, and their digits.
const PARTS: [(u8, u32); 7] = [(0, 4), (5, 2), (8, 2), (11, 2), (14, 2), (17, 2), (20, 3)];
/// Bytes that lie in the first two words of a value.
const SHORT_BYTES: u64 = 16;

/// A format, and where its values have what, as lanes look for it. Every value of a format has it in the same places.
#[derive(Debug, Clone)]
pub struct Template {
    format: Format,
    bytes: u64,
    /// Of each word of a value: a mask of its literals, and these.
    literals: [(u64, u64); 3],
    parts: [Part; 7],
}

/// Digits that begin at a byte of a word, and may go on in the next; none of a part that the format has not.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    word: usize,
    /// Bits before it.
    shift: u32,
    mask: u64,
}

impl Template {
    /// Of a format.
    #[must_use]
    pub fn new(format: Format) -> Self {
        let (mut literals, mut parts) = ([(0, 0); 3], [Part::default(); 7]);
        for (i, place) in format.places().iter().enumerate() {
            let (word, shift) = (i / 8, i as u32 % 8 * 8);
            match *place {
                Place::Literal(byte) => {
                    literals[word].0 |= 0xff << shift;
                    literals[word].1 |= u64::from(byte) << shift;
                }
                Place::Digit(at) => {
                    if let Some(part) = PARTS.iter().position(|&(from, _)| from == at) {
                        parts[part] = Part { word, shift, mask: u64::MAX >> (64 - 8 * PARTS[part].1) };
                    }
                }
            }
        }
        Self { format, bytes: format.places().len() as u64, literals, parts }
    }

    /// Of which format it is.
    #[must_use]
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// Whether its values have more than two words.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.bytes > SHORT_BYTES
    }
}

/// The words of 64 values.
type Words<'a> = [&'a [u64; 64]; 3];

/// What stands between the parts of a lane.
struct Frame<'a> {
    words: Words<'a>,
    bytes: &'a [u64; 64],
    literals: [(u64, u64); 3],
    width: u64,
}

impl<'a> Frame<'a> {
    #[inline(always)]
    fn of(template: &Template, words: Words<'a>, bytes: &'a [u64; 64]) -> Self {
        Self { words, bytes, literals: template.literals, width: template.bytes }
    }

    /// Whether a lane has the literals of the template, and its width.
    #[inline(always)]
    fn is_at(&self, i: usize) -> bool {
        let [first, second, third] = self.literals;
        let wrong = ((self.words[0][i] & first.0) ^ first.1)
            | ((self.words[1][i] & second.0) ^ second.1)
            | ((self.words[2][i] & third.0) ^ third.1)
            | (self.bytes[i] ^ self.width);
        wrong == 0
    }
}

/// Where the digits of a part are in all lanes: in this word, and in the next if there are more.
struct Digits<'a> {
    here: &'a [u64; 64],
    next: &'a [u64; 64],
    shift: u32,
    mask: u64,
}

impl<'a> Digits<'a> {
    #[inline(always)]
    fn of(part: Part, words: Words<'a>) -> Self {
        // No part goes on behind the last word: whichever is taken there, the mask keeps nothing of it.
        let (here, next) = (words[part.word.min(2)], words[(part.word + 1).min(2)]);
        Self { here, next, shift: part.shift & 63, mask: part.mask }
    }

    /// Those of a lane, 0 to 9 each if they are any; zeros of a part that is not there.
    #[inline(always)]
    fn at(&self, i: usize) -> u64 {
        // Shifted in two steps: by 64 in one is no shift.
        let both = self.here[i] >> self.shift | self.next[i] << 1 << (63 - self.shift);
        (both ^ ZEROS) & self.mask
    }
}

/// See [`super::dates_as`].
#[inline(always)]
pub(super) fn dates_as(template: &Template, gathered: &Gathered, tails: &[u64; 64], out: &mut Longs) {
    let words = [&gathered.low, &gathered.high, tails];
    let frame = Frame::of(template, words, &gathered.bytes);
    let [years, months, days, ..] = template.parts;
    let [years, months, days] = [Digits::of(years, words), Digits::of(months, words), Digits::of(days, words)];
    let mut good = [0; 64];
    for i in 0..64 {
        let (days, is_date) = day(years.at(i) | months.at(i) << 32 | days.at(i) << 48);
        out.values[i] = days;
        good[i] = u64::from(is_date && frame.is_at(i));
    }
    out.good = bits(&good);
}

/// See [`super::timestamps_as`].
#[inline(always)]
pub(super) fn timestamps_as(template: &Template, gathered: &Gathered, tails: &[u64; 64], out: &mut Longs) {
    let words = [&gathered.low, &gathered.high, tails];
    let frame = Frame::of(template, words, &gathered.bytes);
    let [years, months, days, hours, minutes, seconds, thousandths] = template.parts;
    let [years, months, days] = [Digits::of(years, words), Digits::of(months, words), Digits::of(days, words)];
    let [hours, minutes, seconds] = [Digits::of(hours, words), Digits::of(minutes, words), Digits::of(seconds, words)];
    let thousandths = Digits::of(thousandths, words);
    let mut good = [0; 64];
    for i in 0..64 {
        let (days, is_date) = day(years.at(i) | months.at(i) << 32 | days.at(i) << 48);
        let clock = hours.at(i) | minutes.at(i) << 16 | seconds.at(i) << 32;
        let (micros, is_moment) = moment(days, clock, thousandths.at(i));
        out.values[i] = micros;
        good[i] = u64::from(is_date && is_moment && frame.is_at(i));
    }
    out.good = bits(&good);
}
