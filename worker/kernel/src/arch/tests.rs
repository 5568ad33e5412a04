//! Every path against the rules written out byte by byte, over every split into pieces.

use proptest::prelude::*;

use super::*;
use crate::infer::{Value, parse};

mod formats;

/// What [`index`] must give for `bytes`, one byte at a time: the structure, and the carry or the first irregular byte.
fn plainly(marks: Marks, bytes: &[u8]) -> (Structure, Result<Carry, usize>) {
    let (mut inside, mut escaping) = (false, false);
    let mut out = Structure::default();
    // What each byte is: structural, opening, closing.
    let mut kinds: Vec<u8> = vec![b's'];
    let mut start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let line = matches!(byte, b'\n' | b'\r');
        let separates = byte == marks.delimiter || line;
        let escaped = std::mem::replace(&mut escaping, false);
        escaping = marks.quote.is_some() && Some(byte) == marks.escape && !escaped;
        let quote = Some(byte) == marks.quote && !escaped;
        let before = *kinds.last().expect("never empty");
        if before == b'c' && !separates && !quote {
            return (out, Err(at));
        }
        let ordinal = out.ends.len() as u32;
        if quote && !inside {
            if before == b'.' {
                return (out, Err(at));
            }
            (inside, _) = (true, kinds.push(b'o'));
            out.odd.extend((before == b'c').then_some(ordinal));
        } else if quote {
            (inside, _) = (false, kinds.push(b'c'));
        } else if separates && !inside {
            let bare = at == start || (kinds.ends_with(b"soc") && at == start + 2);
            out.push(at as u32, !bare);
            out.lines.extend(line.then_some(ordinal));
            kinds.push(b's');
            start = at + 1;
        } else {
            let odd = inside && (line || marks.quote.is_some() && Some(byte) == marks.escape);
            out.odd.extend(odd.then_some(ordinal));
            kinds.push(b'.');
        }
    }
    out.odd.dedup();
    let of = |kind, bits| {
        (0..bits).zip(kinds.iter().rev()).fold(0, |of, (i, k)| of | u64::from(*k == kind) << (bits - 1 - i))
    };
    let inside = if inside { u64::MAX } else { 0 };
    let (structure, opening, closing) = (of(b's', 1), of(b'o', 2), of(b'c', 3));
    (out, Ok(Carry { inside, structure, opening, closing, escaping: escaping.into() }))
}

const BASE: u32 = 1_000;

/// As [`index`] gives it when `bytes` come in pieces that end at `cuts`.
fn by_path(path: Path, marks: Marks, bytes: &[u8], cuts: &[usize]) -> (Structure, Result<Carry, usize>) {
    // Memory that was never right: what is not written shows.
    let wrong = vec![u32::MAX; 2 * bytes.len() + 2 * BLOCK_BYTES];
    let mut found = Structure { filled: vec![u64::MAX; wrong.len()], ends: wrong, ..Structure::default() };
    found.ends.clear();
    let (mut carry, mut from) = (Carry::record_start(), 0);
    let mut end = Ok(());
    for &to in cuts.iter().chain([&bytes.len()]) {
        end = index(path, marks, &bytes[from..to], BASE + from as u32, &mut carry, &mut found).map_err(|at| from + at);
        if end.is_err() {
            break;
        }
        from = to;
    }
    found.ends.iter_mut().for_each(|at| *at -= BASE);
    found.odd.dedup();
    (found, end.map(|()| carry))
}

/// What is known of the ends.
fn known(structure: &Structure) -> (&[u32], Vec<bool>, &[u32], &[u32]) {
    let filled = (0..structure.ends.len()).map(|i| structure.filled_from(i) & 1 == 1).collect();
    (&structure.ends, filled, &structure.lines, &structure.odd)
}

/// `structure` up to the byte `at`. Of odd fields those count that end there too.
fn up_to(mut structure: Structure, at: u32) -> Structure {
    let length = structure.ends.partition_point(|&end| end < at);
    structure.ends.truncate(length);
    structure.lines.retain(|&ordinal| (ordinal as usize) < length);
    structure.odd.retain(|&ordinal| (ordinal as usize) < length);
    structure.odd.dedup();
    structure
}

fn must_agree(marks: Marks, bytes: &[u8], cuts: &[usize]) {
    let (found, end) = plainly(marks, bytes);
    for path in Path::available() {
        let how = || format!("{} of {:?} cut at {cuts:?}", path.name(), bytes.escape_ascii().to_string());
        match (by_path(path, marks, bytes, cuts), end) {
            ((by_path, Ok(carry)), Ok(want)) => {
                assert_eq!((known(&by_path), carry), (known(&found), want), "{}", how());
            }
            ((by_path, Err(block)), Err(byte)) => {
                // The block is left that holds the byte, or the one after it where only that one tells.
                assert!(block <= byte && byte < block + BLOCK_BYTES, "{}: {block} {byte}", how());
                let (got, want) = (up_to(by_path.clone(), u32::MAX), up_to(found.clone(), block as u32));
                assert_eq!((by_path.ends.len(), known(&got)), (want.ends.len(), known(&want)), "{}", how());
            }
            (got, want) => panic!("{}: {got:?} for {want:?}", how()),
        }
    }
}

const COMMA: Marks = Marks { delimiter: b',', quote: Some(b'"'), escape: None };
const ESCAPED: Marks = Marks { escape: Some(b'\\'), ..COMMA };

#[test]
fn every_short_text_is_indexed_as_by_hand() {
    // All texts of up to seven of these bytes, at both ends of a block.
    let alphabet = [b'a', b',', b'"', b'\n', b'\\'];
    for length in 0..=6 {
        for number in 0..alphabet.len().pow(length) {
            let mut left = number;
            let text: Vec<u8> = (0..length)
                .map(|_| {
                    let byte = alphabet[left % alphabet.len()];
                    left /= alphabet.len();
                    byte
                })
                .collect();
            must_agree(COMMA, &text, &[]);
            must_agree(ESCAPED, &text, &[]);
            let mut late = vec![b'\n'; BLOCK_BYTES - 3];
            late.extend(&text);
            must_agree(COMMA, &late, &[]);
        }
    }
}

#[test]
fn a_block_may_hold_any_number_of_positions_anywhere() {
    for count in 0..=BLOCK_BYTES {
        for shift in 0..BLOCK_BYTES {
            // `count` of 64 places, spread as evenly as they go.
            let at = |i: usize| (i + shift) % BLOCK_BYTES * count % BLOCK_BYTES < count;
            let block: Vec<u8> = (0..BLOCK_BYTES).map(|i| if at(i) { b',' } else { b'x' }).collect();
            assert_eq!(block.iter().filter(|&&byte| byte == b',').count(), count);
            must_agree(COMMA, &block.repeat(2), &[]);
        }
    }
}

#[test]
fn quotes_that_are_none_mean_nothing() {
    let marks = Marks { delimiter: b';', quote: None, escape: Some(b'\\') };
    must_agree(marks, b"a\"b;\"c;d\"\n\0;\0\\\n\\\\;\"\n", &[]);
    must_agree(Marks { delimiter: 0, quote: Some(0xff), escape: None }, b"a\0\xffb\0\n\xff\0\xff\xff\n", &[]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_in_any_pieces_is_indexed_as_by_hand(
        fields in prop::collection::vec((0..16_u8, prop::sample::select(b",,,\n\r".to_vec()), 0..30_usize), 0..40),
        mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut text = Vec::new();
        for (kind, separator, length) in fields {
            match kind {
                0 => text.extend(b"a\"b"),
                1 => text.extend(b"\"x\"y"),
                2 | 3 => text.extend(b"\"a\"\"b\""),
                4 | 5 => text.extend(format!("\"{}\"", ",\n".repeat(length)).bytes()),
                6 => text.extend(b"\"\""),
                7 => text.extend(b"\"a\\\"b\\\\\""),
                8 => text.extend([b"x\\,\"\\", "\\".repeat(length).as_bytes(), b"\""].concat()),
                9 => text.extend(b"\"x\"\"\""),
                _ => text.extend("z".repeat(length).bytes()),
            }
            text.push(separator);
        }
        let mut at: Vec<usize> = cuts.drain(..).map(|cut| cut.index(text.len() + 1)).collect();
        at.sort_unstable();
        must_agree(COMMA, &text, &at);
        must_agree(ESCAPED, &text, &at);
    }
}

#[test]
fn every_split_of_a_text_into_two_and_three_pieces() {
    let text = b"a,\"b\"\"c\",\"\"\r\n\"d,\ne\",f,\"g\"\n,,\n\"h\"\"\",i\r\n\"\",\"j\\\\\",k\n".repeat(3);
    for one in 0..=text.len() {
        for two in (one..=text.len()).step_by(3) {
            must_agree(COMMA, &text, &[one, two]);
            must_agree(ESCAPED, &text, &[one, two]);
        }
    }
}

#[test]
fn a_transposed_square_has_every_bit_where_it_belongs() {
    let before: [u64; 64] =
        std::array::from_fn(|i| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(i as u32));
    for path in Path::available() {
        let mut words = before;
        transpose(path, &mut words);
        for (row, word) in before.iter().enumerate() {
            for (column, transposed) in words.iter().enumerate() {
                assert_eq!(word >> column & 1, transposed >> row & 1, "{}: {row} {column}", path.name());
            }
        }
    }
}

/// Up to 64 texts as they are gathered, the byte `behind` behind each.
fn lanes_of(texts: &[&[u8]], behind: u8) -> (Gathered, [u64; 64]) {
    let (mut gathered, mut tails) = (Gathered::default(), [0; 64]);
    for (i, text) in texts.iter().enumerate() {
        let mut padded = [behind; 24];
        let kept = text.len().min(24);
        padded[..kept].copy_from_slice(&text[..kept]);
        let word = |at: usize| u64::from_le_bytes(padded[at..at + 8].try_into().expect("eight bytes"));
        (gathered.low[i], gathered.high[i], tails[i]) = (word(0), word(8), word(16));
        gathered.bytes[i] = text.len() as u64;
    }
    (gathered, tails)
}

/// What the lanes make of up to 64 texts must be what the grammar makes of each; `must` are those that the lanes may not leave.
fn must_read(texts: &[&[u8]], decimal: u8, must: impl Fn(&[u8], Value) -> bool) {
    for path in Path::available() {
        for behind in [0, b'7', b'.', 0xff] {
            let (gathered, tails) = lanes_of(texts, behind);
            let mut integers = [Longs { values: [0; 64], good: 0 }, Longs { values: [0; 64], good: 0 }];
            longs(path, &gathered, &mut integers[0]);
            wide_longs(path, &gathered, &mut integers[1]);
            let empty = Doubles { values: [0.0; 64], good: 0, whole: 0 };
            let mut numbers = [empty.clone(), empty];
            doubles(path, &gathered, decimal, &mut numbers[0]);
            wide_doubles(path, &gathered, decimal, &mut numbers[1]);
            let mut days = Longs { values: [0; 64], good: 0 };
            dates(path, &gathered, &mut days);
            let mut moments = Longs { values: [0; 64], good: 0 };
            timestamps(path, &gathered, &tails, &mut moments);
            let (yes, no) = booleans(path, &gathered);
            for (i, &text) in texts.iter().enumerate() {
                let how = || format!("{}: {:?} before {behind}", path.name(), text.escape_ascii().to_string());
                let value = parse(text, decimal);
                let bit = |word: u64| word >> i & 1 == 1;
                for (integers, bytes_max) in std::iter::zip(&integers, [8, 16]) {
                    assert!(!bit(integers.good) || value == Value::Integer(integers.values[i]), "{}", how());
                    let may_leave = text.len() > bytes_max || !must(text, value);
                    assert!(bit(integers.good) || may_leave || !matches!(value, Value::Integer(_)), "{}", how());
                }
                for (numbers, bytes_max) in std::iter::zip(&numbers, [8, 16]) {
                    let (got, whole) = (numbers.values[i], bit(numbers.whole));
                    match value {
                        _ if !bit(numbers.good) => {
                            let number = matches!(value, Value::Integer(_) | Value::Float(_));
                            assert!(!number || text.len() > bytes_max || !must(text, value), "{}", how());
                        }
                        Value::Integer(0) => {
                            assert!(got == 0.0 && whole && got.is_sign_negative() == (text[0] == b'-'))
                        }
                        Value::Integer(n) => assert!(got == n as f64 && whole, "{}", how()),
                        Value::Float(want) => assert!(got.to_bits() == want.to_bits() && !whole, "{}: {got}", how()),
                        other => panic!("{}: {got} for {other:?}", how()),
                    }
                }
                assert_eq!(bit(days.good).then_some(days.values[i]), date_of(value), "{}", how());
                let moment = if let Value::Timestamp(micros) = value { Some(micros) } else { None };
                let got = bit(moments.good).then_some(moments.values[i]);
                assert!(got == moment || (got.is_none() && !matches!(text.len(), 19 | 23)), "{}: {got:?}", how());
                assert_eq!((bit(yes), bit(no)), (text == b"true", text == b"false"), "{}", how());
            }
        }
    }
}

fn date_of(value: Value) -> Option<i64> {
    if let Value::Date(days) = value { Some(days.into()) } else { None }
}

#[test]
fn the_lanes_read_numbers_as_the_grammar_does() {
    // Every text of up to four of these, alone and beside digits.
    let alphabet = b"0159.,-e/:\x00\xff";
    let mut texts: Vec<Vec<u8>> = Vec::new();
    for length in 1..=4usize {
        for number in 0..alphabet.len().pow(length as u32) {
            let letter = |i: usize| alphabet[number / alphabet.len().pow(i as u32) % alphabet.len()];
            let text: Vec<u8> = (0..length).map(letter).collect();
            for digits in ["", "1", "90", "105", "9999", "99999999", "1234567890"] {
                texts.push([digits.as_bytes(), &text].concat());
                texts.push([&text, digits.as_bytes()].concat());
            }
        }
    }
    // Exponents, and more than fifteen digits, are the grammar's alone.
    let must = |text: &[u8], _| !text.contains(&b'e') && text.iter().filter(|byte| byte.is_ascii_digit()).count() <= 15;
    for texts in texts.chunks(64) {
        let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        must_read(&texts, b'.', must);
        must_read(&texts, b',', must);
    }
}

#[test]
fn the_lanes_read_dates_and_times_as_the_grammar_does() {
    let mut texts: Vec<String> = Vec::new();
    for year in [0, 1, 4, 99, 100, 400, 1899, 1900, 1970, 2000, 2023, 2024, 9999] {
        for month in 0..=13 {
            for day in [0, 1, 2, 27, 28, 29, 30, 31, 32, 99] {
                texts.push(format!("{year:04}-{month:02}-{day:02}"));
            }
        }
    }
    for clock in
        ["00:00:00", "23:59:59", "24:00:00", "12:60:00", "12:00:60", "1:00:00", "12-00:00", "12:00-00", "0a:00:00"]
    {
        for fraction in ["", ".", ".0", ".123", ".12a", ".1234", ",123", ".123Z", "Z", "+01:00"] {
            for separator in ["T", " ", "t", "", "  "] {
                texts.push(format!("2024-02-29{separator}{clock}{fraction}"));
                texts.push(format!("2023-02-29{separator}{clock}{fraction}"));
                texts.push(format!("1969-12-31{separator}{clock}{fraction}"));
            }
        }
    }
    // Every byte of a good one replaced.
    for good in ["2024-02-29", "2024-02-29T23:59:59", "2024-02-29 23:59:59.999"] {
        for (at, byte) in (0..good.len()).flat_map(|at| b"/0:9-. aT".iter().map(move |&byte| (at, byte))) {
            let mut bytes = good.as_bytes().to_vec();
            bytes[at] = byte;
            texts.push(String::from_utf8(bytes).expect("ASCII"));
        }
    }
    for texts in texts.chunks(64) {
        must_read(&texts.iter().map(String::as_bytes).collect::<Vec<_>>(), b'.', |_, _| true);
    }
}

#[test]
fn values_are_gathered_from_where_they_lie_and_none_from_beyond() {
    // Rows of two fields, every other one quoted, of all lengths, up to the very end of the text.
    let (mut text, mut ends, mut ordinals, mut want) = (Vec::new(), vec![u32::MAX], [0; 64], Vec::new());
    for (row, ordinal) in ordinals.iter_mut().enumerate() {
        *ordinal = ends.len() as u32 - 1;
        for column in 0..2 {
            let value: Vec<u8> = (0..(row * (column + 1)) % 37).map(|i| b'a' + (i + row) as u8 % 26).collect();
            let quoted = (row + column) % 2 == 0;
            want.push((text.len() + usize::from(quoted), value.clone()));
            text.extend(if quoted { [b"\"", &*value, b"\""].concat() } else { value });
            ends.push(text.len() as u32);
            text.push(b',');
        }
    }
    for path in Path::available() {
        for (column, rows) in [(0, u64::MAX), (1, u64::MAX), (1, 0x8000_0000_0001_0001), (0, 1 << 63)] {
            let fields =
                Fields { text: &text, ends: &ends, ordinals: &ordinals, delimiter_bytes: 1, quote: u32::from(b'"') };
            let mut out = Gathered::default();
            let gathered = gather(path, &fields, column, rows, &mut out);
            gather_second(path, &text, 8, &out.starts, &mut out.high);
            for row in 0..64 {
                let (start, value) = &want[2 * row + column as usize];
                let asked = rows >> row & 1 == 1;
                let quoted =
                    usize::from(text[*start - 1..].first() == Some(&b'"') && (row + column as usize).is_multiple_of(2));
                let there = start - quoted + GATHERED_BYTES <= text.len();
                assert_eq!(gathered >> row & 1 == 1, asked && there, "{}: row {row}", path.name());
                if asked && there {
                    assert_eq!((out.starts[row] as usize, out.bytes[row] as usize), (*start, value.len()));
                    let head = [out.low[row].to_le_bytes(), out.high[row].to_le_bytes()].concat();
                    assert_eq!(head, text[*start..*start + 16], "{}: row {row}", path.name());
                }
            }
        }
    }
    // Ordinals and ends that lie: nothing is gathered, and nothing beyond is read.
    for path in Path::available() {
        let ordinals = [u32::MAX - 1; 64];
        let lies = [u32::MAX - 7; 3];
        let fields = Fields { text: &text, ends: &lies, ordinals: &ordinals, delimiter_bytes: 1, quote: u32::MAX };
        assert_eq!(gather(path, &fields, 0, u64::MAX, &mut Gathered::default()), 0);
        let fields = Fields { text: b"short", ends: &[0], ..fields };
        assert_eq!(gather(path, &fields, 0, u64::MAX, &mut Gathered::default()), 0);
    }
}

#[test]
fn keys_hold_nothing_but_the_value() {
    let texts: Vec<Vec<u8>> = (0..64).map(|i| (0..i % 20).map(|j| b'a' + (i + j) as u8 % 26).collect()).collect();
    let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    for path in Path::available() {
        for behind in [0, 0xff] {
            let (mut keys, gathered) = (Keys::default(), lanes_of(&texts, behind).0);
            super::keys(path, &gathered, &mut keys);
            for (i, text) in texts.iter().enumerate() {
                let head: Vec<u8> = text.iter().copied().chain([0; 16]).take(16).collect();
                let word = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
                let want = [word(0), word(8)];
                assert_eq!([keys.low[i], keys.high[i]], want, "{}: {i}", path.name());
                assert_eq!(keys.hashes[i], lanes::hash(want, text.len() as u64), "{}: {i}", path.name());
            }
        }
    }
}

#[test]
fn texts_are_appended_one_behind_the_other() {
    // Of all lengths about that of a copy, up to the very end of the text.
    let text: Vec<u8> = (0..4_000).map(|i| (i % 251) as u8).collect();
    for path in Path::available() {
        for rows in [u64::MAX, 0, 0x8000_0000_0001_0001, 0x5555_5555_5555_5555] {
            let mut gathered = Gathered::default();
            for row in 0..64 {
                gathered.bytes[row] = [0, 1, 31, 32, 33, 100][row % 6];
                gathered.starts[row] = (text.len() - (row * row).max(100)) as u32;
            }
            let mut out = b"before".to_vec();
            append(path, &text, &gathered, rows, &mut out);
            let mut want = b"before".to_vec();
            each_bit(rows, |row| {
                let start = gathered.starts[row] as usize;
                want.extend_from_slice(&text[start..start + gathered.bytes[row] as usize]);
            });
            assert_eq!(out, want, "{} {rows:x}", path.name());
            let mut bytes = [-1; 64];
            lengths(path, &gathered, rows, &mut bytes);
            for (row, bytes) in bytes.into_iter().enumerate() {
                let want = if rows >> row & 1 == 1 { gathered.bytes[row] as i32 } else { 0 };
                assert_eq!(bytes, want, "{} {rows:x}: {row}", path.name());
            }
        }
        // Starts that lie: nothing beyond is read.
        let mut gathered = Gathered { starts: [u32::MAX; 64], ..Gathered::default() };
        gathered.bytes = [7; 64];
        let mut out = Vec::new();
        append(path, &text, &gathered, u64::MAX, &mut out);
        assert_eq!(out.len(), 7 * 64);
        append(path, b"short", &gathered, u64::MAX, &mut out);
        assert_eq!(out.len(), 7 * 64);
    }
}

#[test]
fn codes_are_found_for_the_very_text() {
    // Of all lengths about that of a key, many with the same beginning and length.
    let text = |i: usize| [&b"abcdefghijklmnop"[..i % 17], &b"xyz"[..i % 4], i.to_string().as_bytes()].concat();
    let texts: Vec<Vec<u8>> = (0..2_000).map(text).collect();
    let mut codes = Codes::default();
    for (code, text) in (0..).zip(&texts) {
        assert_eq!(codes.find(text, |other| texts[other as usize] == *text), Known::New);
        codes.insert(text, code);
    }
    let known = |text: &[u8]| codes.find(text, |other| texts[other as usize] == text);
    assert!((0..).zip(&texts).all(|(code, text)| known(text) == Known::As(code)));
    assert_eq!(known(b"abcdefghijklmnop"), Known::New);
    for path in Path::available() {
        // Rows all different, and rows nearly all alike.
        for (first, step) in [(0, 1), (1_900, 1), (7, 0)] {
            let at = |row: usize| if row % 9 == 8 { 1_000 + row } else { first + step * row };
            let rows: Vec<&[u8]> = (0..64).map(|row| texts[at(row)].as_slice()).collect();
            let (gathered, mut keys, mut out) = (lanes_of(&rows, 0xff).0, Keys::default(), [u16::MAX; 64]);
            super::keys(path, &gathered, &mut keys);
            let asked = !(1 << 5);
            let missing = look_up(path, &codes, &gathered, &keys, asked, &mut out);
            for (row, text) in rows.iter().enumerate() {
                let there = text.len() <= 16 && row != 5;
                assert_eq!(missing >> row & 1 == 1, text.len() > 16 && row != 5, "{}: {row}", path.name());
                assert_eq!(out[row], if there { at(row) as u16 } else { u16::MAX }, "{}: {row}", path.name());
            }
        }
    }
}

/// Parity alone, one byte at a time.
fn outside_by_parity(bytes: &[u8], parity: &mut u64) -> Vec<u32> {
    let mut found = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' => *parity = !*parity,
            b',' | b'\n' | b'\r' if *parity == 0 => found.push(at as u32),
            _ => {}
        }
    }
    found
}

#[test]
fn bare_loops_find_what_is_outside_quotes() {
    let text = b"a,\"b,\n\"\r\n,,,,,,,,,,,,,\"\",c \"\"\"x\"\n".repeat(64);
    let full = [b','; 4 * BLOCK_BYTES];
    for bare in ["avx512", "avx2"].into_iter().filter_map(bare::of) {
        for text in [&text[..], &full, &[b'z'; BLOCK_BYTES], &[b'"'; BLOCK_BYTES], b""] {
            let (mut parity, mut expected) = (0, 0);
            for window in text.chunks(3 * BLOCK_BYTES) {
                let mut out = vec![0; window.len() + BLOCK_BYTES];
                let count = bare(b',', b'"', window, &mut parity, &mut out);
                assert_eq!(out[..count], outside_by_parity(window, &mut expected));
                assert_eq!(parity, expected);
            }
        }
    }
}

#[test]
fn arrays_are_made_of_parts_that_arrow_would_take_and_no_others() {
    use std::sync::Arc;

    use arrow_array::{Array, StringArray};
    use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

    let nulls = |bits: &[bool]| Some(NullBuffer::from(bits.to_vec()));
    let good: [(&[i32], &str, Option<NullBuffer>); 5] = [
        (&[0], "", None),
        (&[0, 0, 3, 3], "abc", None),
        (&[0, 2, 4], "éab", nulls(&[true, false])),
        (&[0, 2], "abc", None),
        (&[0, 4, 4, 8], "𝄞𝄞", nulls(&[true, true, true])),
    ];
    for (ends, text, nulls) in good {
        let made = arrays::texts(ends.to_vec(), text.into(), nulls.clone()).expect("good parts");
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends.to_vec()));
        let want = StringArray::try_new(offsets, Buffer::from(text.as_bytes()), nulls).expect("arrow takes them");
        assert_eq!(made, want);
        made.to_data().validate_full().expect("arrow's own checks");
    }
    let bad: [(&[i32], &[u8], Option<NullBuffer>); 9] = [
        (&[], b"", None),
        (&[1, 2], b"abc", None),
        (&[0, 4], b"abc", None),
        (&[0, 2, 1], b"abc", None),
        (&[0, -1], b"abc", None),
        (&[0, -1, 2], b"abc", None),
        (&[0, 1, 3], "éa".as_bytes(), None),
        (&[0, 2], b"a\xff", None),
        (&[0, 1], b"a", nulls(&[true, false])),
    ];
    for (ends, bytes, nulls) in bad {
        assert_eq!(arrays::texts(ends.to_vec(), bytes.to_vec(), nulls), None, "{ends:?} of {bytes:?}");
    }
    let values = || Arc::new(StringArray::from(vec!["a", "b"])) as arrow_array::ArrayRef;
    let made = arrays::coded(vec![1, 0, 1], values(), nulls(&[true, false, true])).expect("good codes");
    made.to_data().validate_full().expect("arrow's own checks");
    assert_eq!((made.len(), made.null_count()), (3, 1));
    assert!(arrays::coded(vec![0, 2], values(), None).is_none());
    assert!(arrays::coded(vec![0, 2], values(), nulls(&[true, false])).is_none(), "nor under a null");
    assert!(arrays::coded(vec![0], values(), nulls(&[true, true])).is_none());
    assert_eq!(
        arrays::coded(vec![], Arc::new(StringArray::from(Vec::<&str>::new())), None).map(|made| made.len()),
        Some(0)
    );
}
