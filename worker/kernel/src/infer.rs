//! What one value is: the grammars of the types, and the class of a value in the lattice of types.
//!
//! Invariant: [`classify`] is the class of what [`parse`] returns and decoding takes its values from [`parse`] too, so a
//! value fits a guessed type if and only if its class lies within that type; only where a format is declared it takes them from
//! [`parse_as`]. It trims nothing, knows no nulls and never
//! fails: what fits no grammar is text.

use batteuse_shared::format::{Format, Place};
use batteuse_shared::table::{Classes, ColumnType};

/// Integers below this in magnitude have at most 15 digits, and are exact as doubles.
const SHORT_BOUND: u64 = 1_000_000_000_000_000;
/// Most digits of an integer that can fit 64 bits; so many never overflow a `u64`.
const INTEGER_DIGITS_MAX: usize = 19;
/// Floats with a decimal comma up to this length are rewritten with a point on the stack. Real ones have under 25 bytes.
const COMMA_FLOAT_BYTES: usize = 64;
const DAY_MICROS: i64 = 86_400_000_000;
const MINUTE_MICROS: i64 = 60_000_000;

/// One non-null value, read by the narrowest grammar that takes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Boolean(bool),
    /// `-?(0|[1-9][0-9]*)` that fits 64 bits.
    Integer(i64),
    /// A JSON number with the dialect's decimal mark, with a fraction or an exponent. Finite.
    Float(f64),
    /// `YYYY-MM-DD`, a valid day of the years 0001 to 9999. Days since 1970-01-01.
    Date(i32),
    /// `YYYY-MM-DD[T ]HH:MM:SS[.f]`, 1 to 6 fractional digits. Microseconds since 1970-01-01T00:00:00 of the same clock.
    Timestamp(i64),
    /// The same with `Z`, `±HH:MM` or `±HHMM`. Microseconds since the Unix epoch.
    TimestampUtc(i64),
    /// Anything else.
    Text,
}

impl Value {
    /// The class in which the value counts towards its column's type.
    #[inline]
    #[must_use]
    pub fn class(self) -> Classes {
        match self {
            Self::Boolean(_) => Classes::BOOLEAN,
            Self::Integer(n) if n.unsigned_abs() < SHORT_BOUND => Classes::INT_SHORT,
            Self::Integer(_) => Classes::INT_LONG,
            Self::Float(_) => Classes::FLOAT,
            Self::Date(_) => Classes::DATE,
            Self::Timestamp(_) => Classes::TIMESTAMP,
            Self::TimestampUtc(_) => Classes::TIMESTAMP_UTC,
            Self::Text => Classes::TEXT,
        }
    }
}

/// The class of a decoded non-null value; `decimal` is the dialect's decimal mark.
#[inline]
#[must_use]
pub fn classify(value: &[u8], decimal: u8) -> Classes {
    parse(value, decimal).class()
}

/// Reads a decoded non-null value; `decimal` is the dialect's decimal mark.
#[inline]
#[must_use]
pub fn parse(value: &[u8], decimal: u8) -> Value {
    match value {
        // No number has hyphens in both places.
        [b'0'..=b'9', _, _, _, b'-', _, _, b'-', ..] => parse_moment(value).unwrap_or(Value::Text),
        [b'0'..=b'9' | b'-', ..] => parse_number(value, decimal).unwrap_or(Value::Text),
        b"true" => Value::Boolean(true),
        b"false" => Value::Boolean(false),
        _ => Value::Text,
    }
}

/// An integer or a float.
fn parse_number(value: &[u8], decimal: u8) -> Option<Value> {
    let negative = value[0] == b'-';
    let start = usize::from(negative);
    let (end, magnitude) = integer_part(value, start)?;
    if end < value.len() {
        let short = short_float(value, start, end, magnitude, decimal).map(|x| if negative { -x } else { x });
        return short.or_else(|| parse_float(value, end, decimal)).map(Value::Float);
    }
    if end - start > INTEGER_DIGITS_MAX {
        return None;
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }.map(Value::Integer)
}

/// The end of `0|[1-9][0-9]*` at `start`, and its value, exact up to 19 digits.
#[inline]
fn integer_part(value: &[u8], start: usize) -> Option<(usize, u64)> {
    let mut end = start;
    let mut magnitude = 0u64;
    while let Some(digit) = value.get(end).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit <= 9) {
        magnitude = magnitude.wrapping_mul(10).wrapping_add(u64::from(digit));
        end += 1;
    }
    let leading_zero = end - start > 1 && value[start] == b'0';
    (end > start && !leading_zero).then_some((end, magnitude))
}

/// The end of the digits at `start`, of which there must be one at least.
fn digits(value: &[u8], start: usize) -> Option<usize> {
    let count = value.get(start..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then_some(start + count)
}

/// The powers of ten that a double holds exactly and a short fraction may need.
const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The magnitude of a float of at most 15 digits without exponent, whose integer part `whole` lies at `[start, end)`: its digits
/// and the power of ten are exact as doubles, so their quotient is the nearest double to what is written (Clinger, *How to Read
/// Floating Point Numbers Accurately*, PLDI 1990). None when it is written otherwise.
#[inline]
fn short_float(value: &[u8], start: usize, end: usize, whole: u64, decimal: u8) -> Option<f64> {
    let (mark, fraction) = value[end..].split_first()?;
    if *mark != decimal || fraction.is_empty() || end - start + fraction.len() > 15 {
        return None;
    }
    let (mut digits, mut odd) = (whole, false);
    for byte in fraction {
        let digit = byte.wrapping_sub(b'0');
        odd |= digit > 9;
        digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    (!odd).then(|| digits as f64 / POWERS[fraction.len()])
}

/// A float whose integer part ends at `at`, before the end of `value`.
fn parse_float(value: &[u8], at: usize, decimal: u8) -> Option<f64> {
    let mut end = at;
    if value[end] == decimal {
        end = digits(value, end + 1)?;
    }
    if let Some(b'e' | b'E') = value.get(end) {
        let signed = matches!(value.get(end + 1), Some(b'+' | b'-'));
        end = digits(value, end + 1 + usize::from(signed))?;
    }
    if end < value.len() {
        return None;
    }
    let number = if value[at] != decimal || decimal == b'.' {
        fast_float2::parse(value).ok()
    } else if value.len() <= COMMA_FLOAT_BYTES {
        let mut pointed = [0; COMMA_FLOAT_BYTES];
        pointed[..value.len()].copy_from_slice(value);
        pointed[at] = b'.';
        fast_float2::parse(&pointed[..value.len()]).ok()
    } else {
        let mut pointed = value.to_vec();
        pointed[at] = b'.';
        fast_float2::parse(pointed).ok()
    };
    number.filter(|number: &f64| number.is_finite())
}

/// Reads a decimal of at most `scale` significant fraction digits and `precision - scale` integer digits, as an integer
/// of 10^-scale; none when it is written otherwise. `scale <= precision <= 38`. An exponent is refused: its digits are
/// not on the page.
#[must_use]
pub fn parse_decimal(value: &[u8], decimal: u8, precision: u8, scale: u8) -> Option<i128> {
    let negative = value.first() == Some(&b'-');
    let start = usize::from(negative);
    let (end, _) = integer_part(value, start)?;
    let whole = if value[start] == b'0' { &[] } else { &value[start..end] };
    let fraction = match value.get(end) {
        None => &[],
        Some(&mark) if mark == decimal && digits(value, end + 1)? == value.len() => &value[end + 1..],
        Some(_) => return None,
    };
    let zeros = fraction.iter().rev().take_while(|&&byte| byte == b'0').count();
    let fraction = &fraction[..fraction.len() - zeros];
    if fraction.len() > usize::from(scale) || whole.len() > usize::from(precision - scale) {
        return None;
    }
    let unscaled = whole.iter().chain(fraction).fold(0, |n: i128, byte| n * 10 + i128::from(byte - b'0'));
    let unscaled = unscaled * 10i128.pow(u32::from(scale) - fraction.len() as u32);
    Some(if negative { -unscaled } else { unscaled })
}

/// A date or a timestamp; at least 8 bytes, with hyphens after the year and the month.
fn parse_moment(value: &[u8]) -> Option<Value> {
    let (date, clock) = value.split_at_checked(10)?;
    let days = parse_date(date)?;
    let Some((b'T' | b' ', clock)) = clock.split_first() else {
        return clock.is_empty().then_some(Value::Date(days));
    };
    let (time, rest) = clock.split_at_checked(8)?;
    let (fraction, zone) = parse_fraction(rest)?;
    let micros = midnight(days) + parse_time(time)? + fraction;
    Some(if zone.is_empty() { Value::Timestamp(micros) } else { Value::TimestampUtc(micros - parse_zone(zone)?) })
}

/// Reads a decoded non-null value of a column with a declared format: a date or a timestamp, or text where it is none of that
/// format. The calendar is the one of ISO 8601 values.
#[must_use]
pub fn parse_as(format: &Format, value: &[u8]) -> Value {
    let mut iso = *b"0000-00-00T00:00:00.000";
    let mut fits = value.len() == format.places().len();
    for (&byte, place) in value.iter().zip(format.places()) {
        match *place {
            Place::Literal(literal) => fits &= byte == literal,
            Place::Digit(at) => {
                fits &= byte.is_ascii_digit();
                iso[usize::from(at)] = byte;
            }
        }
    }
    let moment = if format.ctype() == ColumnType::Date { &iso[..10] } else { &iso[..] };
    if fits { parse_moment(moment).unwrap_or(Value::Text) } else { Value::Text }
}

/// The start of a day, in microseconds since 1970-01-01T00:00:00.
#[must_use]
pub fn midnight(days: i32) -> i64 {
    i64::from(days) * DAY_MICROS
}

/// `YYYY-MM-DD` as days since 1970-01-01, proleptic Gregorian.
fn parse_date(date: &[u8]) -> Option<i32> {
    let year = number2(date, 0)? * 100 + number2(date, 2)?;
    let (month, day) = (number2(date, 5)?, number2(date, 8)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i32::from(leap),
        _ => return None,
    };
    if year == 0 || day == 0 || day > month_days {
        return None;
    }
    // Years are counted from March, so that the leap day is a year's last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    const EPOCH: i32 = 719_468; // Days from 0000-03-01 to 1970-01-01.
    Some(year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - EPOCH)
}

/// `HH:MM:SS` in microseconds.
fn parse_time(time: &[u8]) -> Option<i64> {
    let (hours, minutes, seconds) = (number2(time, 0)?, number2(time, 3)?, number2(time, 6)?);
    let valid = time[2] == b':' && time[5] == b':' && hours < 24 && minutes < 60 && seconds < 60;
    valid.then(|| i64::from((hours * 60 + minutes) * 60 + seconds) * 1_000_000)
}

/// `.f`, if there, in microseconds, and what follows it.
fn parse_fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    if rest.first() != Some(&b'.') {
        return Some((0, rest));
    }
    let end = digits(rest, 1).filter(|&end| end <= 7)?;
    let micros = rest[1..end].iter().fold(0, |n, byte| n * 10 + i64::from(byte - b'0'));
    Some((micros * 10i64.pow(7 - end as u32), &rest[end..]))
}

/// `Z`, `±HH:MM` or `±HHMM` in microseconds east of UTC.
fn parse_zone(zone: &[u8]) -> Option<i64> {
    let minutes_at = match zone {
        b"Z" => return Some(0),
        [b'+' | b'-', _, _, b':', _, _] => 4,
        [b'+' | b'-', _, _, _, _] => 3,
        _ => return None,
    };
    let (hours, minutes) = (number2(zone, 1)?, number2(zone, minutes_at)?);
    let east = i64::from(hours * 60 + minutes) * MINUTE_MICROS;
    (hours < 24 && minutes < 60).then_some(if zone[0] == b'-' { -east } else { east })
}

/// The two digits at `at`.
#[inline]
fn number2(bytes: &[u8], at: usize) -> Option<i32> {
    let (tens, units) = (bytes[at].wrapping_sub(b'0'), bytes[at + 1].wrapping_sub(b'0'));
    (tens <= 9 && units <= 9).then(|| i32::from(tens) * 10 + i32::from(units))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const B: Classes = Classes::BOOLEAN;
    const I: Classes = Classes::INT_SHORT;
    const L: Classes = Classes::INT_LONG;
    const F: Classes = Classes::FLOAT;
    const D: Classes = Classes::DATE;
    const T: Classes = Classes::TIMESTAMP;
    const U: Classes = Classes::TIMESTAMP_UTC;
    const X: Classes = Classes::TEXT;

    #[test]
    fn every_value_has_its_class() {
        let cases = [
            (B, "true|false"),
            (X, "| |True|TRUE|t|f|tru|truee|false |yes|é|NaN|inf|-inf|null|\u{0}"),
            (I, "0|-0|7|-7|10|75056|123456789012345|-999999999999999|19350000"),
            (L, "1000000000000000|-1000000000000000|9223372036854775807|-9223372036854775808"),
            (X, "9223372036854775808|-9223372036854775809|10000000000000000000|99999999999999999999"),
            (X, "18446744073709551616|18446744073709551617|-|--1|+1|01|00|-01| 1|1 |1a|1-2|2A|1_000|1 000|0x10|٣"),
            (F, "0.0|-0.0|1.5|-1.50|1e3|1E3|1e+3|1.25e-3|0e0|1e-400|0.1e1|1.5e-3001|1e308|9007199254740993.0"),
            (F, "99999999999999999999.5|0.00000000000000000000000000000000000000000000000000000000000000000000001"),
            (X, "1.|.5|-.5|1.e3|1e|1e+|1e1.5|01.5|-01.5|1.5.2|1,5|1.5 |1.5f|1e309|-1e309|1.-5|1e5-|1e99999999999"),
            (D, "2024-02-29|2000-02-29|0001-01-01|9999-12-31|1970-01-01|1582-10-10"),
            (X, "0000-01-01|2023-02-29|1900-02-29|2024-04-31|2024-13-01|2024-00-10|2024-01-00|2024-01-32|2024-1-01"),
            (X, "2024-01-1|24-01-01|12024-01-01|2024/01/01|01-02-2024|2024-01-01 |2024-01-01T|20a4-01-01"),
            (X, "-2024-01-01|2024-01-0a|2024-01-|2024-01-0"),
            (T, "2024-01-01T00:00:00|2024-01-01 23:59:59|2024-01-01T12:34:56.7|2024-01-01T12:34:56.123456"),
            (X, "2024-01-01T24:00:00|2024-01-01T12:60:00|2024-01-01T12:00:60|2024-01-01t12:00:00|2024-01-01T12:00"),
            (X, "2024-01-01T12:00:00.|2024-01-01T12:00:00.1234567|2024-01-01T12:00:00,5|2024-01-01  12:00:00"),
            (X, "2024-01-01T1:00:00|2024-02-30T12:00:00|2024-01-01T12-00-00|2024-01-01T12:00:0x|2024-01-01_12:00:00"),
            (U, "2024-01-01T12:00:00Z|2024-01-01 12:00:00.5Z|2024-01-01T12:00:00+02:00|2024-01-01T12:00:00-0530"),
            (U, "2024-01-01T12:00:00.000001+23:59|0001-01-01T00:00:00+01:00"),
            (X, "2024-01-01T12:00:00z|2024-01-01T12:00:00 Z|2024-01-01T12:00:00+02|2024-01-01T12:00:00+24:00"),
            (X, "2024-01-01T12:00:00+02:60|2024-01-01T12:00:00+2:00|2024-01-01T12:00:00ZZ|2024-01-01T12:00:00+02:000"),
            (X, "2024-01-01Z|2024-01-01+02:00|2024-01-01T12:00:00.1234567Z|2024-01-01T12:00:00 "),
        ];
        for (class, value) in
            cases.iter().flat_map(|&(class, values)| values.split('|').map(move |value| (class, value)))
        {
            assert_eq!(classify(value.as_bytes(), b'.'), class, "{value:?}");
        }
    }

    #[test]
    fn the_decimal_mark_is_the_dialects() {
        let long = format!("1{}", ",0".to_owned() + &"0".repeat(COMMA_FLOAT_BYTES));
        for (value, class) in [
            ("1,5", F),
            ("-0,25e2", F),
            ("1e5", F),
            (&long, F),
            ("1.5", X),
            ("1,", X),
            (",5", X),
            ("1,5,2", X),
            ("1", I),
        ] {
            assert_eq!(classify(value.as_bytes(), b','), class, "{value:?}");
        }
        assert_eq!(parse(b"-12,75e-1", b','), Value::Float(-1.275));
        assert_eq!(parse(long.as_bytes(), b','), Value::Float(1.0));
        // The fraction of a second always follows a point.
        assert_eq!(classify(b"2024-01-01T00:00:00.5", b','), T);
        assert_eq!(classify(b"2024-01-01T00:00:00,5", b','), X);
    }

    #[test]
    fn every_prefix_and_every_changed_byte_is_read_and_decimals_are_numbers() {
        let numbers = I.join(L).join(F);
        let read = |value: &[u8]| {
            let exact = parse_decimal(value, b'.', 38, 10).is_some();
            assert!(!exact || classify(value, b'.').within(numbers), "{}", value.escape_ascii());
            exact
        };
        let mut decimals = 0;
        for value in [&b"2024-01-31T12:34:56.123456+02:00"[..], b"-1234567890.5e-10", b"true", b"2024-01-31"] {
            for end in 0..=value.len() {
                let mut copy = value[..end].to_vec();
                decimals += usize::from(read(&copy));
                for at in 0..end {
                    for byte in [0, b' ', b'-', b'0', b'9', b':', b'.', b'e', b'Z', 0xff] {
                        let was = std::mem::replace(&mut copy[at], byte);
                        decimals += usize::from(read(&copy));
                        copy[at] = was;
                    }
                }
            }
        }
        assert!(decimals > 100);
    }

    #[test]
    fn integers_and_floats_are_what_the_standard_library_reads() {
        for value in ["0", "-0", "42", "-9223372036854775808", "9223372036854775807", "1000000000000000"] {
            assert_eq!(parse(value.as_bytes(), b'.'), Value::Integer(value.parse().expect(value)));
        }
        for value in ["0.1", "1e23", "8.41e21", "2.2250738585072011e-308", "5e-324", "123456789.123456789", "1e-400"] {
            assert_eq!(parse(value.as_bytes(), b'.'), Value::Float(value.parse().expect(value)));
        }
        let Value::Float(zero) = parse(b"-0.0", b'.') else { panic!("a float") };
        assert!(zero == 0.0 && zero.is_sign_negative());
    }

    proptest! {
        #[test]
        fn short_floats_are_what_the_standard_library_reads(digits in 1..10u64.pow(15), places in 1..15usize, negative: bool) {
            let mut text = format!("{digits:0>width$}", width = places + 1);
            text.insert(text.len() - places, '.');
            let text = format!("{}{text}", if negative { "-" } else { "" });
            let want: f64 = text.parse().expect("a number");
            for (text, mark) in [(text.clone(), b'.'), (text.replace('.', ","), b',')] {
                let Value::Float(read) = parse(text.as_bytes(), mark) else { panic!("{text} is a float") };
                prop_assert_eq!(read.to_bits(), want.to_bits(), "{}", text);
            }
        }
    }

    #[test]
    fn every_day_of_the_calendar_follows_the_one_before() {
        let mut days = -719_162; // 0001-01-01
        for year in 1..=9999 {
            for month in 1..=12 {
                for day in 1..=31 {
                    let text = format!("{year:04}-{month:02}-{day:02}");
                    if let Value::Date(read) = parse(text.as_bytes(), b'.') {
                        assert_eq!(read, days, "{text}");
                        days += 1;
                    } else {
                        assert!(day > 28, "{text}");
                    }
                }
            }
        }
        assert_eq!(days, 2_932_897); // 10000-01-01
        assert_eq!(parse(b"1970-01-01", b'.'), Value::Date(0));
    }

    #[test]
    fn timestamps_count_microseconds() {
        let local = |text: &str| match parse(text.as_bytes(), b'.') {
            Value::Timestamp(micros) => micros,
            other => panic!("{text}: {other:?}"),
        };
        let utc = |text: &str| match parse(text.as_bytes(), b'.') {
            Value::TimestampUtc(micros) => micros,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(local("2001-09-09 01:46:40"), 1_000_000_000_000_000);
        assert_eq!(local("1969-12-31T23:59:59.999999"), -1);
        assert_eq!(local("1970-01-01T00:00:00.05"), 50_000);
        assert_eq!(local("0001-01-01T00:00:00"), midnight(-719_162));
        assert_eq!(utc("2001-09-09T01:46:40Z"), 1_000_000_000_000_000);
        assert_eq!(utc("2001-09-09T03:46:40+02:00"), 1_000_000_000_000_000);
        assert_eq!(utc("2001-09-08T20:16:40-0530"), 1_000_000_000_000_000);
        assert_eq!(utc("1970-01-01T00:00:00.5-00:01"), 60_500_000);
    }

    #[test]
    fn formats_are_read_as_they_say() {
        let read = |format: &str, value: &str| parse_as(&format.parse().expect(format), value.as_bytes());
        let iso = |value: &str| parse(value.as_bytes(), b'.');
        for (format, value, want) in [
            ("%d/%m/%Y", "29/02/2024", "2024-02-29"),
            ("%m/%d/%Y", "02/29/2024", "2024-02-29"),
            ("%Y%m%d", "00010203", "0001-02-03"),
            ("%% le %d.%m.%Y", "% le 31.12.9999", "9999-12-31"),
            ("%d/%m/%Y %H:%M:%S", "09/09/2001 01:46:40", "2001-09-09T01:46:40"),
            ("%d/%m/%Y %H:%M", "31/12/1969 23:59", "1969-12-31T23:59:00"),
            ("%S%M%H%Y%d%m%3f", "59022320241205678", "2024-05-12T23:02:59.678"),
        ] {
            assert_eq!(read(format, value), iso(want), "{format}: {value}");
            assert_ne!(iso(want), Value::Text, "{want}");
            for bad in [format!("{value} "), format!(" {value}"), value[1..].to_owned(), want.replace('T', " ") + " "] {
                assert_eq!(read(format, &bad), Value::Text, "{format}: {bad}");
            }
        }
        for bad in
            ["29/02/2023", "00/01/2024", "01/13/2024", "01/01/0000", "1/01/2024 ", "01-01-2024", "01/01/202é", ""]
        {
            assert_eq!(read("%d/%m/%Y", bad), Value::Text, "{bad}");
        }
        for bad in ["01/01/2024 24:00", "01/01/2024 12:60", "01/01/2024T12:00", "01/01/2024 1:000", "01/01/2024 -1:00"]
        {
            assert_eq!(read("%d/%m/%Y %H:%M", bad), Value::Text, "{bad}");
        }
    }

    #[test]
    fn decimals_hold_what_is_written_or_are_refused() {
        let cases: &[(&str, u8, u8, Option<i128>)] = &[
            ("12.34", 4, 2, Some(1234)),
            ("-12.34", 4, 2, Some(-1234)),
            ("12", 4, 2, Some(1200)),
            ("0", 4, 2, Some(0)),
            ("-0.00", 4, 2, Some(0)),
            ("0.5", 2, 2, Some(50)),
            ("12.3400000", 4, 2, Some(1234)),
            ("99.99", 4, 2, Some(9999)),
            ("123", 3, 0, Some(123)),
            ("123.0", 3, 0, Some(123)),
            ("99999999999999999999999999999999999999", 38, 0, Some(10i128.pow(38) - 1)),
            ("-0.00000000000000000000000000000000000001", 38, 38, Some(-1)),
            ("100", 4, 2, None),
            ("1", 2, 2, None),
            ("12.345", 4, 2, None),
            ("123.4", 3, 0, None),
            ("100000000000000000000000000000000000000", 38, 0, None),
            ("1e2", 4, 2, None),
            ("01", 4, 2, None),
            ("1.", 4, 2, None),
            (".5", 4, 2, None),
            ("1,5", 4, 2, None),
            ("", 4, 2, None),
            ("-", 4, 2, None),
            (" 1", 4, 2, None),
            ("1.5x", 4, 2, None),
        ];
        for &(text, precision, scale, want) in cases {
            assert_eq!(parse_decimal(text.as_bytes(), b'.', precision, scale), want, "{text:?}");
            if !text.contains(',') {
                let comma = text.replace('.', ",");
                assert_eq!(parse_decimal(comma.as_bytes(), b',', precision, scale), want, "{comma:?}");
            }
        }
    }
}
