//! Splitting alone against the oracle: every record and field of a text, by every path and window.

use batteuse_kernel::arch::Path;
use batteuse_kernel::automaton::{Automaton, End, parse};
use batteuse_kernel::split::split;
use proptest::prelude::*;
use proptest::sample::select;

use super::arbitrary::{CAPS, text};

/// Start and number of fields of a record, and where the fields that were asked for lie.
type Found = (usize, usize, Vec<(usize, usize)>);

const COLUMNS: usize = 3;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn splitting_finds_what_the_oracle_says((dialect, bytes) in text(60), cap in select(&CAPS[..]), window in select(&[1, 7, 64, 16_384][..])) {
        let said = parse(&Automaton::new(&dialect, cap), &bytes, 0);
        let whole: Vec<_> = said.records.iter().filter(|record| record.ended != End::Cut).collect();
        for path in Path::available() {
            let mut found: Vec<Found> = Vec::new();
            split(&bytes, &dialect, cap, path, window, COLUMNS, |record| {
                let starts = record.ends.iter().map(|&end| end as usize + dialect.delimiter.len());
                let starts = std::iter::once(record.start).chain(starts);
                let fields = std::iter::zip(starts, record.ends).map(|(start, &end)| (start, end as usize)).collect();
                found.push((record.start, record.fields, fields));
                let last = record.fields <= COLUMNS;
                assert!(!last || record.ends.last() == Some(&(record.end as u32)), "a record ends with its last field");
            });
            prop_assert_eq!(found.len(), whole.len(), "{}", path.name());
            for ((start, fields, bounds), record) in std::iter::zip(found, &whole) {
                prop_assert_eq!((start as u64, fields), (record.start, record.fields.len()), "{}", path.name());
                for ((from, to), field) in std::iter::zip(bounds, &record.fields) {
                    let raw = &bytes[from..to];
                    let quoted = raw.first().copied() == dialect.quote && dialect.quote.is_some();
                    prop_assert!(quoted || raw == field, "{}: {raw:?} for {field:?}", path.name());
                    prop_assert!(raw.len() >= field.len());
                }
            }
        }
    }
}
