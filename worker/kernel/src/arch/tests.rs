//! Every path against the rules written out byte by byte, over every split into pieces.

use proptest::prelude::*;

use super::*;

/// What [`index`] must give for `bytes`, one byte at a time: positions, and the carry or the first irregular byte.
fn plainly(marks: Marks, bytes: &[u8]) -> (Vec<u32>, Result<Carry, usize>) {
    let (mut inside, mut opens, mut closing) = (false, true, false);
    let mut found = Vec::new();
    for (at, &byte) in bytes.iter().enumerate() {
        let separates = byte == marks.delimiter || matches!(byte, b'\n' | b'\r');
        let quote = Some(byte) == marks.quote;
        if closing && !separates && !quote {
            return (found, Err(at));
        }
        closing = false;
        if quote && !inside {
            if !opens {
                return (found, Err(at));
            }
            (inside, opens) = (true, true);
        } else if quote {
            (inside, opens, closing) = (false, true, true);
        } else if separates && !inside {
            found.push(at as u32);
            opens = true;
        } else {
            opens = false;
        }
    }
    let carry = Carry { inside: if inside { u64::MAX } else { 0 }, opens: opens.into(), closing: closing.into() };
    (found, Ok(carry))
}

/// As [`index`] gives it when `bytes` come in pieces that end at `cuts`.
fn by_path(path: Path, marks: Marks, bytes: &[u8], cuts: &[usize]) -> (Vec<u32>, Result<Carry, usize>) {
    const BASE: u32 = 1_000;
    // Memory that was never right: what is not written shows.
    let mut found = vec![u32::MAX; 2 * bytes.len() + 2 * BLOCK_BYTES];
    found.clear();
    let (mut carry, mut from) = (Carry::record_start(), 0);
    for &to in cuts.iter().chain([&bytes.len()]) {
        if let Err(block) = index(path, marks, &bytes[from..to], BASE + from as u32, &mut carry, &mut found) {
            return (found.iter().map(|at| at - BASE).collect(), Err(from + block));
        }
        from = to;
    }
    (found.iter().map(|at| at - BASE).collect(), Ok(carry))
}

fn must_agree(marks: Marks, bytes: &[u8], cuts: &[usize]) {
    let (found, end) = plainly(marks, bytes);
    for path in Path::available() {
        let how = || format!("{} of {:?} cut at {cuts:?}", path.name(), bytes.escape_ascii().to_string());
        match (by_path(path, marks, bytes, cuts), end) {
            ((by_path, Ok(carry)), Ok(want)) => assert_eq!((by_path, carry), (found.clone(), want), "{}", how()),
            ((by_path, Err(block)), Err(byte)) => {
                // The block is left that holds the byte, or the one after it where only that one tells.
                assert!(block <= byte && byte < block + BLOCK_BYTES, "{}: {block} {byte}", how());
                let before: Vec<u32> = found.iter().copied().filter(|at| (*at as usize) < block).collect();
                assert_eq!(by_path, before, "{}", how());
            }
            (got, want) => panic!("{}: {got:?} for {want:?}", how()),
        }
    }
}

const COMMA: Marks = Marks { delimiter: b',', quote: Some(b'"') };

#[test]
fn every_short_text_is_indexed_as_by_hand() {
    // All texts of up to seven of these bytes, at both ends of a block.
    let alphabet = [b'a', b',', b'"', b'\n', b'\r'];
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
    let marks = Marks { delimiter: b';', quote: None };
    must_agree(marks, b"a\"b;\"c;d\"\n\0;\0\n", &[]);
    must_agree(Marks { delimiter: 0, quote: Some(0xff) }, b"a\0\xffb\0\n\xff\0\xff\xff\n", &[]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_in_any_pieces_is_indexed_as_by_hand(
        fields in prop::collection::vec((0..12_u8, prop::sample::select(b",,,\n\r".to_vec()), 0..30_usize), 0..40),
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
                _ => text.extend("z".repeat(length).bytes()),
            }
            text.push(separator);
        }
        let mut at: Vec<usize> = cuts.drain(..).map(|cut| cut.index(text.len() + 1)).collect();
        at.sort_unstable();
        must_agree(COMMA, &text, &at);
    }
}

#[test]
fn every_split_of_a_text_into_two_and_three_pieces() {
    let text = b"a,\"b\"\"c\",\"\"\r\n\"d,\ne\",f,\"g\"\n,,\n\"h\"\"\",i\r\n".repeat(3);
    for one in 0..=text.len() {
        for two in (one..=text.len()).step_by(3) {
            must_agree(COMMA, &text, &[one, two]);
        }
    }
}
