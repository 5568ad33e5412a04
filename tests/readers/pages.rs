//! What the files tell of their values, chunk by chunk and page by page: bounds, nulls, rows, places.
//!
//! Invariant: it is compared with the cells of the CSV file that lie in the chunk or page; of the Parquet files only the footer, the
//! page index and the pages' headers are believed.

use std::fmt;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};

use super::Tables;
use super::engine::Wanted;
use crate::support::published::parts;

/// A value as its type orders it.
#[derive(Clone, PartialEq, PartialOrd)]
pub enum Key {
    /// Booleans, integers, days, microseconds, and decimals without their point.
    Number(i128),
    Real(f64),
    Text(Vec<u8>),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Real(real) => write!(f, "{real:?}"),
            Self::Text(text) => write!(f, "{:?}", String::from_utf8_lossy(text)),
        }
    }
}

/// Bytes of a text's bound at most.
const BOUND_BYTES: usize = 64;

/// How often each case was met: a check that meets none proves nothing.
#[derive(Debug, Default)]
struct Met {
    row_groups_after_the_first: usize,
    pages_after_the_first: usize,
    pages_of_nulls: usize,
    coded: usize,
    plain: usize,
    /// Chunks of texts that begin coded and go on otherwise.
    coded_then_not: usize,
    /// Chunks with pages of differences: of numbers and moments, of days, of the lengths of texts, and of what these begin with.
    differences: [usize; 4],
    /// Chunks with a page that is a frame of Zstandard and stored as it is.
    stored: usize,
    cut_downwards: usize,
    cut_upwards: usize,
    /// Chunks without bounds of pages, as some page has no upper bound that is short.
    without_index: usize,
}

/// A chunk, and the cells that it must hold.
struct Chunk<'c> {
    what: String,
    metadata: &'c ColumnChunkMetaData,
    keys: Vec<Option<Key>>,
}

/// A cell as its type orders it.
pub fn key(ctype: &str, cell: &str) -> Key {
    match ctype.split('(').next().unwrap() {
        "text" => Key::Text(cell.as_bytes().to_vec()),
        "float64" => Key::Real(f64::from_bits(u64::from_str_radix(cell, 16).unwrap())),
        "boolean" => Key::Number((cell == "true").into()),
        _ => Key::Number(cell.replace('.', "").parse().unwrap()),
    }
}

/// A bound in statistics.
fn bound(physical: Type, bytes: &[u8]) -> Key {
    match physical {
        Type::BOOLEAN => Key::Number(bytes[0].into()),
        Type::INT32 => Key::Number(i32::from_le_bytes(bytes.try_into().unwrap()).into()),
        Type::INT64 => Key::Number(i64::from_le_bytes(bytes.try_into().unwrap()).into()),
        Type::DOUBLE => Key::Real(f64::from_le_bytes(bytes.try_into().unwrap())),
        Type::BYTE_ARRAY => Key::Text(bytes.to_vec()),
        Type::FIXED_LEN_BYTE_ARRAY => {
            let mut wide = [if bytes[0] >> 7 == 1 { 0xff } else { 0 }; 16];
            wide[16 - bytes.len()..].copy_from_slice(bytes);
            Key::Number(i128::from_be_bytes(wide))
        }
        other => panic!("no column of ours is stored as {other}"),
    }
}

/// The bounds of a page in the index.
fn bounds(index: &ColumnIndexMetaData, page: usize) -> Option<(Key, Key)> {
    use ColumnIndexMetaData as Index;
    let number = |pair: Option<(i128, i128)>| pair.map(|(least, most)| (Key::Number(least), Key::Number(most)));
    match index {
        Index::BOOLEAN(index) => {
            number(index.min_value(page).zip(index.max_value(page)).map(|(a, b)| ((*a).into(), (*b).into())))
        }
        Index::INT32(index) => {
            number(index.min_value(page).zip(index.max_value(page)).map(|(a, b)| ((*a).into(), (*b).into())))
        }
        Index::INT64(index) => {
            number(index.min_value(page).zip(index.max_value(page)).map(|(a, b)| ((*a).into(), (*b).into())))
        }
        Index::DOUBLE(index) => {
            index.min_value(page).zip(index.max_value(page)).map(|(a, b)| (Key::Real(*a), Key::Real(*b)))
        }
        Index::BYTE_ARRAY(index) => {
            let pair = index.min_value(page).zip(index.max_value(page));
            pair.map(|(a, b)| (bound(Type::BYTE_ARRAY, a), bound(Type::BYTE_ARRAY, b)))
        }
        Index::FIXED_LEN_BYTE_ARRAY(index) => {
            let pair = index.min_value(page).zip(index.max_value(page));
            pair.map(|(a, b)| (bound(Type::FIXED_LEN_BYTE_ARRAY, a), bound(Type::FIXED_LEN_BYTE_ARRAY, b)))
        }
        other => panic!("no column of ours has the index {other:?}"),
    }
}

fn least_and_most(keys: &[Option<Key>]) -> Option<(&Key, &Key)> {
    let mut values = keys.iter().flatten();
    let first = values.next()?;
    Some(values.fold((first, first), |(least, most), key| {
        (if key < least { key } else { least }, if key > most { key } else { most })
    }))
}

/// Bounds hold all values, and are values themselves where they are said to be exact, or short. Both zeros lie within zeros.
fn must_bound(what: &str, told: (&Key, &Key), exact: Option<(bool, bool)>, keys: &[Option<Key>], met: &mut Met) {
    let (least, most) = least_and_most(keys).unwrap_or_else(|| panic!("{what}: bounds without a value"));
    assert!(told.0 <= least && most <= told.1, "{what}: {told:?} do not hold {least:?} and {most:?}");
    match told {
        (Key::Text(low), Key::Text(high)) => {
            assert!(low.len() <= BOUND_BYTES && str::from_utf8(low).is_ok(), "{what}: lower bound {low:?}");
            assert!(str::from_utf8(high).is_ok(), "{what}: upper bound {high:?}");
            met.cut_downwards += usize::from(told.0 != least);
            met.cut_upwards += usize::from(told.1 != most);
            let long = |key: &Key| matches!(key, Key::Text(text) if text.len() > BOUND_BYTES);
            assert!((told.0 == least || long(least)) && (told.1 == most || long(most)), "{what}: {told:?} is loose");
            let (low_exact, high_exact) = exact.unwrap_or((false, false));
            assert!(!low_exact || told.0 == least, "{what}: its lower bound is not exact");
            assert!(!high_exact || told.1 == most, "{what}: its upper bound is not exact");
        }
        (Key::Real(low), Key::Real(high)) => {
            assert!(*low != 0.0 || low.is_sign_negative(), "{what}: a lower bound of zero is -0.0");
            assert!(*high != 0.0 || high.is_sign_positive(), "{what}: an upper bound of zero is 0.0");
            assert_eq!((told.0, told.1), (least, most), "{what}: bounds");
        }
        _ => assert_eq!((told.0, told.1), (least, most), "{what}: bounds"),
    }
}

impl Chunk<'_> {
    fn nulls(keys: &[Option<Key>]) -> usize {
        keys.iter().filter(|key| key.is_none()).count()
    }

    /// The chunk's own statistics.
    fn statistics(&self, met: &mut Met) {
        let (what, metadata) = (&self.what, self.metadata);
        let told = metadata.statistics().unwrap_or_else(|| panic!("{what}: no statistics"));
        assert_eq!(told.null_count_opt(), Some(Self::nulls(&self.keys) as u64), "{what}: nulls");
        assert_eq!(metadata.num_values(), self.keys.len() as i64, "{what}: values");
        let physical = metadata.column_type();
        if let Some((low, high)) = told.min_bytes_opt().zip(told.max_bytes_opt()) {
            let pair = (&bound(physical, low), &bound(physical, high));
            must_bound(what, pair, Some((told.min_is_exact(), told.max_is_exact())), &self.keys, met);
        } else {
            let most = least_and_most(&self.keys).map(|(_, most)| most);
            let endless = matches!(most, Some(Key::Text(text)) if text.starts_with("\u{10ffff}".as_bytes()));
            assert!(most.is_none() || endless, "{what}: no bounds");
        }
    }

    /// The pages lie one behind the other to the chunk's end, each with the rows that the index tells; returns where they begin.
    fn places(&self, locations: &[PageLocation], pages: &mut dyn PageReader, met: &mut Met) -> Vec<usize> {
        let what = &self.what;
        let (start, bytes) = self.metadata.byte_range();
        let mut at = self.metadata.data_page_offset();
        let mut firsts: Vec<usize> = Vec::new();
        for location in locations {
            assert_eq!(location.offset, at, "{what}: pages lie one behind the other");
            at += i64::from(location.compressed_page_size);
            firsts.push(usize::try_from(location.first_row_index).unwrap());
        }
        assert_eq!(at as u64, start + bytes, "{what}: pages end with the chunk");
        let mut encodings = Vec::new();
        let mut rows = 0;
        while let Some(page) = pages.get_next_page().unwrap_or_else(|e| panic!("{what}: {e}")) {
            if !matches!(page, Page::DictionaryPage { .. }) {
                assert_eq!(firsts.get(encodings.len()), Some(&rows), "{what}: first row of a page");
                rows += page.num_values() as usize;
                encodings.push(page.encoding());
            }
        }
        assert_eq!((rows, encodings.len()), (self.keys.len(), firsts.len()), "{what}: rows and pages");
        let coded = encodings.iter().filter(|encoding| **encoding == Encoding::RLE_DICTIONARY).count();
        let text = self.metadata.column_type() == Type::BYTE_ARRAY;
        met.coded += usize::from(text && coded == encodings.len());
        met.plain += usize::from(coded == 0);
        met.coded_then_not += usize::from(text && coded > 0 && coded < encodings.len());
        let differences = [
            (Type::INT64, Encoding::DELTA_BINARY_PACKED),
            (Type::INT32, Encoding::DELTA_BINARY_PACKED),
            (Type::BYTE_ARRAY, Encoding::DELTA_LENGTH_BYTE_ARRAY),
            (Type::BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY),
        ];
        for (met, (ctype, encoding)) in std::iter::zip(&mut met.differences, differences) {
            *met += usize::from(self.metadata.column_type() == ctype && encodings.contains(&encoding));
        }
        firsts
    }

    /// What the index tells of each page; pages begin at the rows `firsts`.
    fn index(&self, index: &ColumnIndexMetaData, firsts: &[usize], met: &mut Met) {
        if let ColumnIndexMetaData::NONE = index {
            let endless = |key: &Key| matches!(key, Key::Text(text) if text.starts_with("\u{10ffff}".as_bytes()));
            assert!(self.keys.iter().flatten().any(endless), "{}: no index of its pages", self.what);
            met.without_index += 1;
            return;
        }
        assert_eq!(index.num_pages(), firsts.len() as u64, "{}: pages in the index", self.what);
        for (page, &first) in firsts.iter().enumerate() {
            let keys = &self.keys[first..firsts.get(page + 1).copied().unwrap_or(self.keys.len())];
            let (what, nulls) = (format!("{}, page {page}", self.what), Self::nulls(keys));
            assert_eq!(index.null_count(page), Some(nulls as i64), "{what}: nulls");
            assert_eq!(index.is_null_page(page), nulls == keys.len(), "{what}: whether all are null");
            met.pages_of_nulls += usize::from(nulls == keys.len());
            met.pages_after_the_first += usize::from(page > 0);
            match bounds(index, page) {
                Some((low, high)) => must_bound(&what, (&low, &high), None, keys, met),
                None => assert_eq!(nulls, keys.len(), "{what}: no bounds"),
            }
        }
    }
}

/// Whether a page is a frame of Zstandard whose first block is stored (RFC 8878): one segment, its size in four bytes, a raw block.
fn stored(file: &[u8], page: &PageLocation) -> bool {
    let bytes = &file[page.offset as usize..][..page.compressed_page_size as usize];
    let frame = |bytes: &[u8]| bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000]) && bytes[9] >> 1 & 3 == 0;
    bytes.windows(12).any(frame)
}

/// Checks one part, whose first row is `first` of the table; returns its rows.
fn part(path: &Path, table: &str, wanted: &Wanted, first: usize, met: &mut Met) -> usize {
    let options = ReadOptionsBuilder::new().with_page_index().build();
    let file = Bytes::from(fs::read(path).unwrap());
    let reader = SerializedFileReader::new_with_options(file.clone(), options).unwrap();
    let metadata: &ParquetMetaData = reader.metadata();
    let mut row = first;
    for group in 0..metadata.num_row_groups() {
        met.row_groups_after_the_first += usize::from(group > 0);
        let rows = usize::try_from(metadata.row_group(group).num_rows()).unwrap();
        for (at, (name, ctype, cells)) in wanted.iter().enumerate() {
            let cells = &cells[row..row + rows];
            let chunk = Chunk {
                what: format!("{table}, rows from {row}, column {name}"),
                metadata: metadata.row_group(group).column(at),
                keys: cells.iter().map(|cell| cell.as_deref().map(|cell| key(ctype, cell))).collect(),
            };
            chunk.statistics(met);
            let mut pages = reader.get_row_group(group).unwrap().get_column_page_reader(at).unwrap();
            let locations = metadata.offset_index().unwrap()[group][at].page_locations();
            let firsts = chunk.places(locations, &mut *pages, met);
            met.stored += usize::from(locations.iter().any(|location| stored(&file, location)));
            chunk.index(&metadata.column_index().unwrap()[group][at], &firsts, met);
        }
        row += rows;
    }
    row - first
}

#[test]
fn statistics_and_page_indexes_hold_what_the_pages_hold() {
    let tables = Tables::make();
    let mut met = Met::default();
    for (sheet, out) in &tables.sheets {
        let (wanted, mut first) = (super::wanted(sheet), 0);
        for path in parts(out) {
            first += part(&path, sheet.name, &wanted, first, &mut met);
        }
        assert_eq!(first, sheet.rows, "{}: rows", sheet.name);
    }
    let Met { row_groups_after_the_first, pages_after_the_first, pages_of_nulls, .. } = met;
    let Met { coded, plain, coded_then_not, stored, cut_downwards, cut_upwards, without_index, .. } = met;
    let places = [row_groups_after_the_first, pages_after_the_first, pages_of_nulls, stored];
    let made = [coded, plain, coded_then_not, cut_downwards, cut_upwards, without_index];
    let mut counts = places.iter().chain(&made).chain(&met.differences);
    assert!(counts.all(|&count| count > 0), "the sheets do not hold all cases: {met:?}");
}
