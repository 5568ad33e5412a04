//! A page of delimited text: fields appended one after another, with the counts that the caller reports. Every field method
//! writes its value and the delimiter; `end_record` turns the last delimiter into the newline, so a shape names its columns in
//! order and never writes punctuation. Plain fields are written as they are: a value that needs quotes goes through `quoted`.

use super::Generated;

/// Text being written, and what it holds.
pub(super) struct Page {
    text: Vec<u8>,
    delimiter: u8,
    rows: u64,
    quoted_newlines: u64,
}

/// A place between two records of a [`Page`], to go back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    bytes: usize,
    rows: u64,
    quoted_newlines: u64,
}

/// The order of day, month and year.
#[derive(Clone, Copy)]
pub(super) enum DateOrder {
    /// `2023-05-31`
    Iso,
    /// `31/05/2023`
    French,
}

impl Page {
    pub(super) fn new(capacity: usize, delimiter: u8) -> Self {
        Self { text: Vec::with_capacity(capacity), delimiter, rows: 0, quoted_newlines: 0 }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.text
    }

    /// Forgets the text, once it is written elsewhere; the counts go on.
    pub(super) fn clear_text(&mut self) {
        self.text.clear();
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { bytes: self.text.len(), rows: self.rows, quoted_newlines: self.quoted_newlines }
    }

    /// Takes back all that was appended since `mark`, which is not older than the last `clear_text`.
    pub(super) fn go_back(&mut self, mark: Mark) {
        self.text.truncate(mark.bytes);
        self.rows = mark.rows;
        self.quoted_newlines = mark.quoted_newlines;
    }

    /// The counts so far, of a stream of `bytes` bytes.
    pub(super) fn counts(&self, bytes: u64) -> Generated {
        Generated { bytes, rows: self.rows, quoted_newlines: self.quoted_newlines }
    }

    pub(super) fn header(&mut self, columns: &[&str]) {
        for column in columns {
            self.text(column);
        }
        self.end_header();
    }

    pub(super) fn end_header(&mut self) {
        self.end_line();
    }

    pub(super) fn end_record(&mut self) {
        self.end_line();
        self.rows += 1;
    }

    fn end_line(&mut self) {
        let last = self.text.last_mut().expect("a line has at least one field, and every field ends with a delimiter");
        *last = b'\n';
    }

    pub(super) fn text(&mut self, value: &str) {
        self.text.extend_from_slice(value.as_bytes());
        self.text.push(self.delimiter);
    }

    /// One field out of pieces.
    pub(super) fn joined(&mut self, pieces: &[&str]) {
        for piece in pieces {
            self.text.extend_from_slice(piece.as_bytes());
        }
        self.text.push(self.delimiter);
    }

    /// One field in quotes out of pieces; the quotes inside are doubled.
    pub(super) fn quoted(&mut self, pieces: &[&str]) {
        self.text.push(b'"');
        for piece in pieces {
            for (index, run) in piece.split('"').enumerate() {
                if index > 0 {
                    self.text.extend_from_slice(b"\"\"");
                }
                self.text.extend_from_slice(run.as_bytes());
            }
            self.quoted_newlines += piece.bytes().filter(|byte| *byte == b'\n').count() as u64;
        }
        self.text.push(b'"');
        self.text.push(self.delimiter);
    }

    pub(super) fn quoted_empty(&mut self, fields: usize) {
        for _ in 0..fields {
            self.quoted(&[]);
        }
    }

    pub(super) fn empty(&mut self, fields: usize) {
        self.text.resize(self.text.len() + fields, self.delimiter);
    }

    pub(super) fn integer(&mut self, value: u64) {
        self.padded(value, 1);
    }

    /// An integer with leading zeros up to `width` digits, at most 20.
    pub(super) fn padded(&mut self, value: u64, width: usize) {
        self.labelled("", value, width, "");
    }

    /// `before`, an integer with leading zeros up to `width` digits (at most 20), `after`: one field.
    pub(super) fn labelled(&mut self, before: &str, value: u64, width: usize, after: &str) {
        self.text.extend_from_slice(before.as_bytes());
        self.push_digits(value, width);
        self.text.extend_from_slice(after.as_bytes());
        self.text.push(self.delimiter);
    }

    /// A number given in hundredths, with both decimals: `12,50`.
    pub(super) fn hundredths(&mut self, value: u64, decimal_mark: u8) {
        self.push_digits(value / 100, 1);
        self.text.push(decimal_mark);
        self.push_digits(value % 100, 2);
        self.text.push(self.delimiter);
    }

    /// A number given in hundredths, as short as it gets: `12.5`, `12`.
    pub(super) fn shortest_hundredths(&mut self, value: u64) {
        self.push_digits(value / 100, 1);
        match value % 100 {
            0 => {}
            tens if tens % 10 == 0 => {
                self.text.push(b'.');
                self.push_digits(tens / 10, 1);
            }
            rest => {
                self.text.push(b'.');
                self.push_digits(rest, 2);
            }
        }
        self.text.push(self.delimiter);
    }

    /// `days` since 1970-01-01.
    pub(super) fn date(&mut self, days: u64, order: DateOrder) {
        self.push_date(days, order);
        self.text.push(self.delimiter);
    }

    /// `seconds` since 1970-01-01: ISO date, `between`, hh:mm:ss, `after`.
    pub(super) fn timestamp(&mut self, seconds: u64, between: u8, after: &str) {
        const SECONDS_PER_DAY: u64 = 86_400;
        self.push_date(seconds / SECONDS_PER_DAY, DateOrder::Iso);
        let second_of_day = seconds % SECONDS_PER_DAY;
        self.text.push(between);
        self.push_digits(second_of_day / 3_600, 2);
        self.text.push(b':');
        self.push_digits(second_of_day / 60 % 60, 2);
        self.text.push(b':');
        self.push_digits(second_of_day % 60, 2);
        self.text.extend_from_slice(after.as_bytes());
        self.text.push(self.delimiter);
    }

    fn push_date(&mut self, days: u64, order: DateOrder) {
        let (year, month, day) = civil_date(days);
        let (mark, first, first_width, last, last_width) = match order {
            DateOrder::Iso => (b'-', year, 4, day, 2),
            DateOrder::French => (b'/', day, 2, year, 4),
        };
        self.push_digits(first, first_width);
        self.text.push(mark);
        self.push_digits(month, 2);
        self.text.push(mark);
        self.push_digits(last, last_width);
    }

    fn push_digits(&mut self, value: u64, width: usize) {
        const DIGITS_MAX: usize = 20; // u64::MAX has 20
        let mut digits = [b'0'; DIGITS_MAX];
        let mut start = DIGITS_MAX;
        let mut rest = value;
        while rest > 0 {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.text.extend_from_slice(&digits[start.min(DIGITS_MAX - width)..]);
    }
}

/// Days since 1970-01-01 to (year, month, day): Howard Hinnant's `civil_from_days`, for days that are not negative.
pub(super) fn civil_date(days: u64) -> (u64, u64, u64) {
    const DAYS_FROM_0000_03_01_TO_1970: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097; // 400 years
    let shifted = days + DAYS_FROM_0000_03_01_TO_1970;
    let day_of_era = shifted % DAYS_PER_ERA;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = shifted / DAYS_PER_ERA * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(write: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::new(0, b',');
        write(&mut page);
        page.end_record();
        String::from_utf8(page.text).unwrap()
    }

    #[test]
    fn dates_follow_the_calendar() {
        for (days, date) in [
            (0, "1970-01-01\n"),
            (59, "1970-03-01\n"),
            (11_016, "2000-02-29\n"),
            (19_722, "2023-12-31\n"),
            (47_540, "2100-02-28\n"),
            (47_541, "2100-03-01\n"),
        ] {
            assert_eq!(record(|page| page.date(days, DateOrder::Iso)), date);
        }
        assert_eq!(record(|page| page.date(19_722, DateOrder::French)), "31/12/2023\n");
        assert_eq!(record(|page| page.timestamp(1_704_067_199, b'T', ".000")), "2023-12-31T23:59:59.000\n");
    }

    #[test]
    fn numbers_are_padded_and_shortened() {
        let line = record(|page| {
            page.integer(0);
            page.integer(u64::MAX);
            page.padded(42, 5);
            page.padded(123_456, 5);
            page.labelled("n°", 7, 3, "_B");
            page.hundredths(1_205, b'.');
            for cents in [0, 5, 50, 700, 655, 1_250] {
                page.shortest_hundredths(cents);
            }
        });
        assert_eq!(line, "0,18446744073709551615,00042,123456,n°007_B,12.05,0,0.05,0.5,7,6.55,12.5\n");
    }

    #[test]
    fn quoted_fields_double_their_quotes_and_count_their_newlines() {
        let mut page = Page::new(0, b',');
        page.quoted(&["\"LE ", "GRAND\"", "", "\n\n,"]);
        page.empty(2);
        page.joined(&["A", "B"]);
        page.end_record();
        assert_eq!(page.bytes(), b"\"\"\"LE GRAND\"\"\n\n,\",,,AB\n");
        assert_eq!(page.counts(9), Generated { bytes: 9, rows: 1, quoted_newlines: 2 });
    }

    #[test]
    fn going_back_takes_back_text_and_counts() {
        let mut page = Page::new(0, b'|');
        page.header(&["a", "b"]);
        let mark = page.mark();
        page.quoted(&["\n"]);
        page.end_record();
        page.go_back(mark);
        assert_eq!(page.bytes(), b"a|b\n");
        assert_eq!(page.counts(4), Generated { bytes: 4, rows: 0, quoted_newlines: 0 });
    }
}
