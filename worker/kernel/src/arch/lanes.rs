//! Short values of one column, 64 at a time, as plain arithmetic over arrays: compiled once for each set of vector instructions.
//!
//! Invariant: what is marked good has the value that [`crate::infer`] gives it; what is not marked is for that to read. Safe code
//! only: which instructions it becomes is the caller's.
#![expect(clippy::needless_range_loop, reason = "lanes run side by side over several arrays")]

use super::{Doubles, Gathered, Keys, Longs};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
pub(super) const ZEROS: u64 = b'0' as u64 * ONES;
/// The powers of ten that a double holds exactly and a short fraction may need.
const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
const DAY_SECONDS: i64 = 86_400;

/// See [`super::wide`].
#[inline(always)]
pub(super) fn wide(gathered: &Gathered) -> u64 {
    let mut wide = [0; 64];
    for i in 0..64 {
        wide[i] = u64::from(gathered.bytes[i] > 8);
    }
    bits(&wide)
}

/// See [`super::keys`].
#[inline(always)]
pub(super) fn keys(gathered: &Gathered, out: &mut Keys) {
    for i in 0..64 {
        let [low, high] = mask([gathered.low[i], gathered.high[i]], gathered.bytes[i]);
        (out.low[i], out.high[i]) = (low, high);
        out.hashes[i] = hash([low, high], gathered.bytes[i]);
    }
}

/// `head` with zeros behind `bytes` bytes.
#[inline(always)]
fn mask([low, high]: [u64; 2], bytes: u64) -> [u64; 2] {
    let bits = 8 * bytes.min(16);
    let of_low = if bits >= 64 { u64::MAX } else { !(u64::MAX << bits) };
    let of_high = if bits >= 128 { u64::MAX } else { !(u64::MAX << (bits.saturating_sub(64) & 63)) };
    [low & of_low, high & of_high]
}

/// A hash of `bytes` bytes, of which `head` is the first ones, masked.
#[inline(always)]
pub(super) fn hash([low, high]: [u64; 2], bytes: u64) -> u64 {
    const ODD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93];
    let hash = (low ^ bytes << 56).wrapping_mul(ODD[0]) ^ high.wrapping_mul(ODD[1]);
    (hash ^ hash >> 32).wrapping_mul(ODD[1]) >> 32
}

/// See [`super::booleans`].
#[inline(always)]
pub(super) fn booleans(gathered: &Gathered) -> (u64, u64) {
    const TRUE: u64 = u64::from_le_bytes(*b"true\0\0\0\0");
    const FALSE: u64 = u64::from_le_bytes(*b"false\0\0\0");
    let (mut yes, mut no) = ([0; 64], [0; 64]);
    for i in 0..64 {
        let [low, _] = mask([gathered.low[i], 0], gathered.bytes[i]);
        yes[i] = u64::from(low == TRUE && gathered.bytes[i] == 4);
        no[i] = u64::from(low == FALSE && gathered.bytes[i] == 5);
    }
    (bits(&yes), bits(&no))
}

/// See [`super::transpose`].
#[inline(always)]
pub(super) fn transpose(words: &mut [u64; 64]) {
    let (mut half, mut low) = (32, u64::MAX >> 32);
    while half != 0 {
        for block in words.chunks_exact_mut(2 * half) {
            let (upper, lower) = block.split_at_mut(half);
            for (a, b) in std::iter::zip(upper, lower) {
                let swapped = ((*a >> half) ^ *b) & low;
                *a ^= swapped << half;
                *b ^= swapped;
            }
        }
        half /= 2;
        low ^= low << half;
    }
}

/// A number of at most fifteen digits and a mark.
struct Number {
    digits: u64,
    places: u64,
    negative: bool,
    good: bool,
}

/// Where the lowest byte of `word` is that is `wanted`, spread out: ones below it; none: ones only.
#[inline(always)]
fn below(word: u64, wanted: u64) -> u64 {
    let other = word ^ wanted;
    // The lowest of these bits is exact: borrows run upwards from it only.
    let marks = other.wrapping_sub(ONES) & !other & HIGHS;
    ((marks & marks.wrapping_neg()) >> 7).wrapping_sub(1)
}

/// Reads the first `bytes` of `word`, the first the lowest, 1 to 8 of them.
#[inline(always)]
fn number(word: u64, bytes: u64, decimal: u64) -> Number {
    let negative = word & 0xff == u64::from(b'-');
    let sign = if negative { 8 } else { 0 };
    let (word, bits) = (word >> sign, (8 * bytes).wrapping_sub(sign));
    let own = u64::MAX >> (64u64.wrapping_sub(bits) & 63);
    let below = below(word & own, decimal);
    let marked = if below == u64::MAX { 0 } else { 8 };
    // The mark is taken out: what follows it moves down by a byte.
    let moved = (word & below) | ((word >> 8) & !below);
    let count = bits.wrapping_sub(marked);
    let whole = u64::from(below.count_ones()).min(bits);
    // Right-aligned behind zeros, so that the last digit is the highest byte.
    let digits = (moved ^ ZEROS) << (64u64.wrapping_sub(count) & 63);
    let fraction = count.wrapping_sub(whole);
    let leading_zero = whole > 8 && word & 0xff == u64::from(b'0');
    let good = bits.wrapping_sub(8) <= 56
        && whole != 0
        && (marked == 0 || fraction != 0)
        && !leading_zero
        && all_digits(digits);
    Number { digits: eight_digits(digits), places: (fraction / 8) & 15, negative, good }
}

/// As [`number`], of 1 to 16 bytes in two words.
#[inline(always)]
fn wide_number([low, high]: [u64; 2], bytes: u64, decimal: u64) -> Number {
    let negative = low & 0xff == u64::from(b'-');
    let (low, high, bits) =
        if negative { (low >> 8 | high << 56, high >> 8, (8 * bytes).wrapping_sub(8)) } else { (low, high, 8 * bytes) };
    let [own_low, own_high] = mask([u64::MAX; 2], bits / 8);
    let (in_low, in_high) = (below(low & own_low, decimal), below(high & own_high, decimal));
    let in_high = if in_low == u64::MAX { in_high } else { 0 };
    let marked = if in_high == u64::MAX { 0 } else { 8 };
    let (moved_low, moved_high) =
        ((low & in_low) | ((low >> 8 | high << 56) & !in_low), (high & in_high) | ((high >> 8) & !in_high));
    let (moved_low, moved_high) = (moved_low ^ ZEROS, moved_high ^ ZEROS);
    let count = bits.wrapping_sub(marked);
    let whole = u64::from(in_low.count_ones() + in_high.count_ones()).min(bits);
    let shift = 128u64.wrapping_sub(count) & 127;
    let by = shift & 63;
    let (first, last) = if shift >= 64 {
        (0, moved_low << by)
    } else {
        (moved_low << by, moved_high << by | (moved_low >> 1) >> (63 - by))
    };
    let fraction = count.wrapping_sub(whole);
    let leading_zero = whole > 8 && low & 0xff == u64::from(b'0');
    let good = bits.wrapping_sub(8) <= 120
        && count <= 120
        && whole != 0
        && (marked == 0 || fraction != 0)
        && !leading_zero
        && all_digits(first)
        && all_digits(last);
    let digits = eight_digits(first).wrapping_mul(100_000_000).wrapping_add(eight_digits(last));
    Number { digits, places: (fraction / 8) & 15, negative, good }
}

/// Whether every byte is 0 to 9.
#[inline(always)]
fn all_digits(digits: u64) -> bool {
    (digits | digits.wrapping_add(0x76 * ONES)) & HIGHS == 0
}

/// Pairs of digits, 0 to 9 each, as numbers: in the bytes 0, 2, 4 and 6.
#[inline(always)]
fn pairs(digits: u64) -> u64 {
    digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff
}

/// The value of eight digits, the first the lowest byte: pairs, quadruples, all (Lemire, *Quickly parsing eight digits*).
#[inline(always)]
fn eight_digits(digits: u64) -> u64 {
    let pairs = pairs(digits);
    let quadruples = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (quadruples.wrapping_mul(10_000).wrapping_add(quadruples >> 32)) & 0xffff_ffff
}

/// The bits of 64 lanes.
#[inline(always)]
pub(super) fn bits(lanes: &[u64; 64]) -> u64 {
    let mut bits = 0;
    for (i, lane) in lanes.iter().enumerate() {
        bits |= lane << i;
    }
    bits
}

/// The number in a lane, of at most eight bytes or, if `WIDE`, sixteen.
#[inline(always)]
fn number_at<const WIDE: bool>(gathered: &Gathered, i: usize, decimal: u64) -> Number {
    if WIDE {
        wide_number([gathered.low[i], gathered.high[i]], gathered.bytes[i], decimal)
    } else {
        number(gathered.low[i], gathered.bytes[i], decimal)
    }
}

/// See [`super::longs`].
#[inline(always)]
pub(super) fn longs(gathered: &Gathered, out: &mut Longs) {
    longs_of::<false>(gathered, out);
}

/// See [`super::wide_longs`].
#[inline(always)]
pub(super) fn wide_longs(gathered: &Gathered, out: &mut Longs) {
    longs_of::<true>(gathered, out);
}

#[inline(always)]
fn longs_of<const WIDE: bool>(gathered: &Gathered, out: &mut Longs) {
    let mut good = [0; 64];
    for i in 0..64 {
        // The mark is one that no number has.
        let number = number_at::<WIDE>(gathered, i, u64::MAX);
        let digits = number.digits as i64;
        out.values[i] = if number.negative { -digits } else { digits };
        good[i] = u64::from(number.good && number.places == 0);
    }
    out.good = bits(&good);
}

/// See [`super::doubles`].
#[inline(always)]
pub(super) fn doubles(gathered: &Gathered, decimal: u8, out: &mut Doubles) {
    doubles_of::<false>(gathered, decimal, out);
}

/// See [`super::wide_doubles`].
#[inline(always)]
pub(super) fn wide_doubles(gathered: &Gathered, decimal: u8, out: &mut Doubles) {
    doubles_of::<true>(gathered, decimal, out);
}

#[inline(always)]
fn doubles_of<const WIDE: bool>(gathered: &Gathered, decimal: u8, out: &mut Doubles) {
    let decimal = u64::from(decimal) * ONES;
    let (mut good, mut whole) = ([0; 64], [0; 64]);
    for i in 0..64 {
        let number = number_at::<WIDE>(gathered, i, decimal);
        out.values[i] = quotient(&number);
        good[i] = u64::from(number.good);
        whole[i] = u64::from(number.places == 0);
    }
    (out.good, out.whole) = (bits(&good), bits(&whole));
}

/// Digits and power of ten are exact as doubles, so this is the nearest double to what is written (Clinger, *How to Read Floating
/// Point Numbers Accurately*, PLDI 1990).
#[inline(always)]
fn quotient(number: &Number) -> f64 {
    let value = number.digits as i64 as f64 / POWERS[number.places as usize & 15];
    if number.negative { -value } else { value }
}

/// `YYYY-MM-DD` of which `head` holds the first eight bytes and `tail` begins with the last two: days since 1970-01-01, proleptic
/// Gregorian, and whether it is one.
#[inline(always)]
fn date(head: u64, tail: u64) -> (i64, bool) {
    const HYPHENS: u64 = (b'-' as u64) << 32 | (b'-' as u64) << 56;
    let hyphens = head & (0xff << 32 | 0xff << 56) == HYPHENS;
    // The month's digits stand one byte further on than wanted.
    let digits = ((head & 0xffff_ffff) | (head >> 8 & 0xffff_0000_0000) | tail << 48) ^ ZEROS;
    let (days, good) = day(digits);
    (days, hyphens && good)
}

/// YYYYMMDD, a digit a byte: as [`date`].
#[inline(always)]
pub(super) fn day(digits: u64) -> (i64, bool) {
    let numbers = pairs(digits);
    let year = (numbers & 0xff) * 100 + (numbers >> 16 & 0xff);
    let (month, day) = (numbers >> 32 & 0xff, numbers >> 48 & 0xff);
    let century = (year * 5_243) >> 19;
    let leap = year & 3 == 0 && (year != century * 100 || century & 3 == 0);
    let february = if leap { 29 } else { 28 };
    let month_days = if month == 2 { february } else { 30 + ((month + (month >> 3)) & 1) };
    let good = all_digits(digits) && year != 0 && month.wrapping_sub(1) < 12 && day.wrapping_sub(1) < month_days;
    // Years are counted from March, so that the leap day is a year's last.
    let early = u64::from(month < 3);
    let (year, month) = (year.saturating_sub(early), month + 12 * early);
    let century = (year * 5_243) >> 19;
    let before_month = (month * 979).wrapping_sub(2_919) >> 5;
    let days = year * 365 + (year >> 2) - century + (century >> 2) + before_month + day;
    // Days from 0000-02-29 to 1970-01-01.
    (days.wrapping_sub(719_469) as i64, good)
}

/// The microseconds from 1970-01-01T00:00:00 to a time of a day, which is HHMMSS and so many thousandths, a digit a byte, and
/// whether it is one.
#[inline(always)]
pub(super) fn moment(days: i64, clock: u64, thousandths: u64) -> (i64, bool) {
    let numbers = pairs(clock);
    let (hours, minutes, seconds) = (numbers & 0xff, numbers >> 16 & 0xff, numbers >> 32 & 0xff);
    let millis = (thousandths & 0xff) * 100 + (thousandths >> 8 & 0xff) * 10 + (thousandths >> 16 & 0xff);
    let second = days * DAY_SECONDS + (hours * 3_600 + minutes * 60 + seconds) as i64;
    let good = all_digits(clock) && all_digits(thousandths) && hours < 24 && minutes < 60 && seconds < 60;
    ((second * 1_000 + millis as i64) * 1_000, good)
}

/// See [`super::dates`].
#[inline(always)]
pub(super) fn dates(gathered: &Gathered, out: &mut Longs) {
    let mut good = [0; 64];
    for i in 0..64 {
        let (days, is_date) = date(gathered.low[i], gathered.high[i]);
        out.values[i] = days;
        good[i] = u64::from(is_date && gathered.bytes[i] == 10);
    }
    out.good = bits(&good);
}

/// See [`super::timestamps`].
#[inline(always)]
pub(super) fn timestamps(gathered: &Gathered, tails: &[u64; 64], out: &mut Longs) {
    let mut good = [0; 64];
    for i in 0..64 {
        let (middle, tail, bytes) = (gathered.high[i], tails[i], gathered.bytes[i]);
        let (days, is_date) = date(gathered.low[i], middle);
        let separator = middle >> 16 & 0xff;
        let colons = middle >> 40 & 0xff == u64::from(b':') && tail & 0xff == u64::from(b':');
        let clock = (middle >> 24 & 0xffff) | (middle >> 48) << 16 | (tail >> 8 & 0xffff) << 32 | (ZEROS >> 48) << 48;
        // `.mmm`, or nothing.
        let point = bytes == 23 && tail >> 24 & 0xff == u64::from(b'.');
        let thousandths = if point { (tail >> 32 & 0x00ff_ffff) ^ (ZEROS >> 40) } else { 0 };
        let (micros, is_moment) = moment(days, clock ^ ZEROS, thousandths);
        out.values[i] = micros;
        let separated = separator == u64::from(b'T') || separator == u64::from(b' ');
        good[i] = u64::from(is_date && is_moment && colons && separated && (bytes == 19 || point));
    }
    out.good = bits(&good);
}
