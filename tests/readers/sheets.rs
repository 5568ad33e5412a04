//! The files that readers are given: every type, declared and inferred, every compression, several parts, row groups and pages.
//!
//! Invariant: extremes are at the ends of what the grammar of a type takes; together the sheets hold coded and plain pages of
//! texts, chunks that go from the one to the other, and pages of differences of each kind.

use super::sheet::{Dice, Sheet};

/// All of them, in the order in which they are read.
pub fn all() -> Vec<Sheet> {
    let typed = [("types-none", "none", 1), ("types-snappy", "snappy", 3), ("types-zstd", "zstd(19)", 2)];
    let typed = typed.map(|(name, compression, partitions)| Sheet { compression, partitions, ..declared(name) });
    let mut all = Vec::from(typed);
    all.extend([inferred(), texts(), differences(), groups(), declared("empty").emptied()]);
    all
}

const WHOLE: [&str; 6] = ["9223372036854775807", "-9223372036854775808", "0", "-0", "-1", "1000000000000000"];
const REAL: [&str; 13] = [
    "-0.0",
    "0.0",
    "4.9e-324",
    "-4.9e-324",
    "2.2250738585072014e-308",
    "2.2250738585072011e-308",
    "1.7976931348623157e308",
    "-1.7976931348623157e308",
    "1e-400",
    "-1e-400",
    "0.1",
    "9007199254740993.0",
    "7",
];
const DAYS: [&str; 12] = [
    "0001-01-01",
    "9999-12-31",
    "1582-10-04",
    "1582-10-05",
    "1582-10-14",
    "1582-10-15",
    "1970-01-01",
    "1969-12-31",
    "1900-02-28",
    "2000-02-29",
    "1677-09-20",
    "2262-04-12",
];
const CLOCKS: [&str; 4] = ["T00:00:00", " 23:59:59.999999", "T12:34:56.7", " 00:00:00.000001"];
const ZONES: [&str; 5] = ["Z", "+23:59", "-23:59", "+0530", "-00:01"];
const UNICODE: [&str; 10] = [
    "é",
    "e\u{301}",
    "\u{10ffff}",
    "\u{feff}a",
    "日本語",
    "👩‍👩‍👧‍👦",
    "\u{d7ff}\u{e000}",
    "line\nline\r\n\"quoted\", and a comma",
    " blanks \t",
    "\u{0}",
];

fn day(dice: &mut Dice) -> String {
    format!("{:04}-{:02}-{:02}", 1 + dice.below(9_999), 1 + dice.below(12), 1 + dice.below(28))
}

fn french(dice: &mut Dice) -> String {
    format!("{:02}/{:02}/{:04}", 1 + dice.below(28), 1 + dice.below(12), 1 + dice.below(9_999))
}

fn moment(dice: &mut Dice) -> String {
    let micros = dice.below(1_000_000);
    format!("{}T{:02}:{:02}:{:02}.{micros:06}", day(dice), dice.below(24), dice.below(60), dice.below(60))
}

/// Each of these days at each of these clocks, of each of these zones.
fn moments(zones: &[&str]) -> Vec<String> {
    let days = DAYS.iter().flat_map(|day| CLOCKS.iter().map(move |clock| format!("{day}{clock}")));
    days.flat_map(|day| zones.iter().map(move |zone| format!("{day}{zone}"))).collect()
}

fn digits(dice: &mut Dice, count: usize) -> String {
    (0..count).map(|_| char::from(b'0' + dice.below(10) as u8)).collect()
}

/// A decimal of random length.
fn number(dice: &mut Dice, whole: usize, scale: usize) -> String {
    let length = dice.below(whole as u64 + 1) as usize;
    let whole = digits(dice, length);
    let whole = whole.trim_start_matches('0');
    let sign = if dice.below(2) == 0 { "-" } else { "" };
    let count = dice.below(scale as u64 + 1) as usize;
    let mark = if count == 0 { "" } else { "." };
    format!("{sign}{}{mark}{}", if whole.is_empty() { "0" } else { whole }, digits(dice, count))
}

/// A long text: statistics hold its first 64 bytes at most.
fn long(dice: &mut Dice) -> String {
    let front = ["é".repeat(32), format!("a{}", "é".repeat(40)), "z".repeat(64), "\u{10ffff}".repeat(20)];
    let count = 1 + dice.below(150) as usize;
    format!("{}{}", front[dice.below(4) as usize], digits(dice, count))
}

impl Sheet {
    /// The same columns without a row.
    fn emptied(mut self) -> Self {
        self.columns.iter_mut().for_each(|column| column.texts.clear());
        Self { rows: 0, ..self }
    }

    /// Columns of decimals in all the widths in which they may be written.
    fn decimals(mut self) -> Self {
        let shapes = [(1, 0), (1, 1), (4, 2), (9, 0), (9, 9), (10, 2), (18, 0), (18, 18), (19, 0), (19, 4), (28, 10)];
        for (precision, scale) in shapes.into_iter().chain([(37, 1), (38, 0), (38, 10), (38, 38)]) {
            let (whole, nines) = (precision - scale, |count| "9".repeat(count));
            let most = match (whole, scale) {
                (0, _) => format!("0.{}", nines(scale)),
                (_, 0) => nines(whole),
                _ => format!("{}.{}", nines(whole), nines(scale)),
            };
            let least = if scale == 0 { "1".to_owned() } else { format!("0.{}1", "0".repeat(scale - 1)) };
            let some = [most.clone(), format!("-{most}"), least.clone(), format!("-{least}"), "0".into(), "-0".into()];
            self = self.mixed(
                &format!("dec_{precision}_{scale}"),
                &format!("decimal({precision},{scale})"),
                &some.each_ref().map(String::as_str),
                |dice| number(dice, whole, scale),
            );
        }
        self
    }
}

/// Every type declared, with its extremes, and of every type a column without values.
fn declared(name: &'static str) -> Sheet {
    let (civil, zoned) = (moments(&[""]), moments(&ZONES));
    let [civil, zoned] = [&civil, &zoned].map(|texts| texts.iter().map(String::as_str).collect::<Vec<_>>());
    let integer = |dice: &mut Dice| (dice.below(1 << 31) as i64 - (1 << 30)).to_string();
    let real = |dice: &mut Dice| format!("{}e{}", number(dice, 6, 12), dice.below(400) as i64 - 200);
    let mut sheet = Sheet::new(name, 1_500)
        .mixed("word", "text", &["a", "b b", "\"", "x,y", "é"], |dice| format!("word {}", dice.below(50)))
        .mixed("long", "text", &UNICODE, long)
        .mixed("flag", "boolean", &["true", "false"], |dice| (dice.below(2) == 0).to_string())
        .mixed("whole", "int64", &WHOLE, integer)
        .mixed("real", "float64", &[&REAL[..], &["123456789012345678", "-1"]].concat(), real)
        .mixed("day", "date", &DAYS, day)
        .mixed("jour", "date(%d/%m/%Y)", &["01/01/0001", "31/12/9999", "10/10/1582"], french)
        .mixed("moment", "timestamp", &civil, moment)
        .mixed("vu", "timestamp(%d/%m/%Y %H:%M:%S)", &["31/12/9999 23:59:59", "01/01/0001 00:00:00"], |dice| {
            format!("{} {:02}:{:02}:{:02}", french(dice), dice.below(24), dice.below(60), dice.below(60))
        })
        .mixed("instant", "timestamptz", &zoned, |dice| moment(dice) + ZONES[dice.below(5) as usize])
        .decimals();
    let ctypes =
        ["text", "boolean", "int64", "float64", "decimal(5,2)", "decimal(38,9)", "date", "timestamp", "timestamptz"];
    for (at, ctype) in ctypes.into_iter().enumerate() {
        sheet = sheet.column(&format!("none{at}"), ctype, |_| None);
    }
    sheet
}

/// Every type that is inferred; the types are those that the README promises of such values.
fn inferred() -> Sheet {
    let (civil, zoned) = (moments(&[""]), moments(&ZONES));
    let [civil, zoned] = [&civil, &zoned].map(|texts| texts.iter().map(String::as_str).collect::<Vec<_>>());
    let sheet = Sheet::new("inferred", 2_000)
        .mixed("word", "text", &["a", "b b", "é", "007"], |dice| dice.below(50).to_string())
        .mixed("flag", "boolean", &["true", "false"], |dice| (dice.below(2) == 0).to_string())
        .mixed("whole", "int64", &WHOLE, |dice| dice.below(1 << 31).to_string())
        .mixed("real", "float64", &REAL, |dice| number(dice, 6, 12))
        .mixed("day", "date", &DAYS, day)
        .mixed("moment", "timestamp", &civil, moment)
        .mixed("either", "timestamp", &[&DAYS[..], &civil].concat(), day)
        .mixed("instant", "timestamptz", &zoned, |dice| moment(dice) + ZONES[dice.below(5) as usize])
        .mixed("neither", "text", &["9223372036854775807", "1.5"], |dice| number(dice, 18, 3))
        .column("none", "text", |_| None);
    Sheet { partitions: 3, ..sheet.inferred() }
}

/// Texts alone: few and many, short and long, null and empty.
fn texts() -> Sheet {
    let mut dice = Dice(1);
    let some = |row: usize, text: String| (!row.is_multiple_of(7)).then_some(text);
    let sheet = Sheet::new("texts", 45_000)
        .texts("few", |row| some(row, ["", "a", "b"][row % 3].to_owned()))
        .texts("one", |_| Some("the only one".to_owned()))
        .texts("late", |row| (row >= 44_000).then(|| format!("late {}", row % 3)))
        .texts("none", |_| None)
        .texts("unicode", |row| some(row, UNICODE[row / 3 % 10].repeat(1 + row % 5)))
        .texts("many", |row| some(row, format!("many {}", row % 3_000)))
        // A dictionary at first, which the rest does not pay for.
        .texts("growing", |row| some(row, if row < 30_000 { row % 400 } else { row }.to_string()))
        .texts("distinct", |row| some(row, format!("{:032x}", (row as u128 * 0x9e37_79b9_7f4a_7c15) << 9)))
        // Bounds of a page are cut here, upwards and downwards.
        .texts("long", |row| some(row, format!("{}{}", "é".repeat(60 + row % 5), row / 100)))
        .texts("huge", move |row| (row % 5_000 == 17).then(|| long(&mut dice).repeat(2_000)));
    Sheet { compression: "snappy", ..sheet }
}

/// What is written as differences: in order, or too many for codes. Extremes are far from what is beside them, and some that go up are
/// packed so well that they are stored.
fn differences() -> Sheet {
    let mut dice = Dice(2);
    let mut below = move |end| dice.below(end);
    let mut noise = below.clone();
    let (mut days, mut zoned, mut ids) = (below.clone(), below.clone(), below.clone());
    let some = |row: usize, text: String| (!row.is_multiple_of(9)).then_some(text);
    let mut micros = 0;
    Sheet::new("differences", 45_000)
        .texts("serial", move |row| some(row, format!("{:09}", 300_000_000 + row * 5 / 4)))
        // What two have in common ends within a character.
        .texts("cut", move |row| Some(format!("préfixe {}{}", ["é", "è", "ê"][row % 3], ids(1 << 31))))
        .texts("lengths", move |row| some(row, format!("{:x}", noise(1 << 31).pow(2)).repeat(1 + row % 3)))
        .column("moment", "timestamp", move |row| {
            micros += below(7_200_000_000);
            let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
            let (day, second) = (seconds / 86_400, seconds % 86_400);
            let (year, day) = (1900 + day / 336, day % 336);
            let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
            let text =
                format!("{year}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}", 1 + day / 28, 1 + day % 28);
            some(row, text)
        })
        .column("instant", "timestamptz", move |row| {
            Some(format!("{:04}-01-01T{:02}:00:00{}", 1 + row / 5, zoned(24), ZONES[row % 5]))
        })
        .column("day", "date", move |row| some(row, format!("{:04}-{:02}-28", 1_500 + days(900), 1 + row % 12)))
        .column("number", "int64", |row| {
            some(row, if row % 99 == 0 { WHOLE[row % 2].into() } else { (row << 20).to_string() })
        })
}

/// Three row groups of two pages and more, whose columns go up from row to row: what filters can skip. Row groups end by the memory
/// that their batches take, so columns that the file has no fields for make them small.
fn groups() -> Sheet {
    let sheet = Sheet::new("groups", 72_000)
        .column("code", "text", |row| Some(format!("{}{:03}", "é".repeat(31), row / 400)))
        .column("name", "text", |row| (row % 11 > 0).then(|| format!("{}{row:06}", "n".repeat(60))))
        .column("real", "float64", |row| (row % 5 > 0).then(|| format!("{}.5", row as i64 - 36_000)))
        .column("amount", "decimal(38,2)", |row| Some(format!("{}.25", (row as i64 - 36_000) * 1_000_000_007)))
        .column("day", "date", |row| Some(format!("{:04}-06-{:02}", 1 + row / 8, 1 + row % 8)))
        .column("moment", "timestamp", |row| (row > 30_000).then(|| format!("{:04}-01-01T00:00:00", row / 8)))
        .column("flag", "boolean", |row| Some((row >= 40_000).to_string()));
    Sheet { voids: 250, ..sheet }
}
