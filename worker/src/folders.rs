//! Rows by the values of some columns: which folder each goes into, batches in the order of folders, and values back from their texts.
//!
//! Invariants: combinations of values are numbered by their first rows, so numbers follow from the rows alone; rows of one folder keep
//! their order; a row that no folder can stand for has no number and says why. It knows no files.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type, UInt16Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, DictionaryArray, Int64Array, RecordBatch, StringArray, UInt16Array,
    UInt32Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::take::take;
use batteuse_shared::hive;
use batteuse_shared::limits::{BATCH_ROWS_MAX, HIVE_COLUMNS_MAX, HIVE_FILES_MAX, HIVE_OPEN_COLUMNS_MAX};
use batteuse_shared::table::{Column, ColumnType};

use crate::table::Refused;

/// More folders than one attempt can write into.
#[derive(Debug, thiserror::Error)]
#[error(
    "the rows of one partition have more than {most} different values of {columns} (output.parquet.partitionBy), and each is a file: \
     name columns with fewer values, or give a smaller partition.bytes"
)]
pub struct TooManyFolders {
    most: usize,
    columns: String,
}

/// The number of a row that has no folder.
const NONE: u32 = u32::MAX;
/// In a table of codes: not looked up yet.
const UNSEEN: u32 = u32::MAX - 1;
/// The code of null.
const NULL: u32 = 0;

/// The codes of a row's values, one for each column.
type Codes = [u32; HIVE_COLUMNS_MAX];

/// The values that one column had so far.
#[derive(Default)]
struct Values {
    /// By code, from 1.
    texts: Vec<String>,
    by_text: BTreeMap<String, u32>,
    by_number: BTreeMap<i64, u32>,
}

impl Values {
    fn text(&self, code: u32) -> Option<&str> {
        (code != NULL).then(|| self.texts[code as usize - 1].as_str())
    }

    /// [`NONE`] where the text has no folder.
    fn of_text(&mut self, text: &str, column: &String) -> u32 {
        if let Some(&code) = self.by_text.get(text) {
            return code;
        }
        if hive::fit(std::slice::from_ref(column), [Some(text)]).is_err() {
            return NONE;
        }
        let code = self.push(text.to_owned());
        self.by_text.insert(text.to_owned(), code);
        code
    }

    fn of_number(&mut self, number: i64, written: impl FnOnce() -> String) -> u32 {
        if let Some(&code) = self.by_number.get(&number) {
            return code;
        }
        let code = self.push(written());
        self.by_number.insert(number, code);
        code
    }

    fn push(&mut self, text: String) -> u32 {
        self.texts.push(text);
        self.texts.len() as u32
    }
}

/// Tells rows apart by their folders.
pub struct Folders {
    names: Vec<String>,
    /// Of the columns in a batch.
    at: Vec<usize>,
    values: Vec<Values>,
    numbers: BTreeMap<Codes, u32>,
    /// By number.
    codes: Vec<Codes>,
    most: usize,
}

/// Rows in the order of their folders, texts without codes, and where those of each folder lie.
pub struct Split {
    /// The rows.
    pub rows: RecordBatch,
    /// The number of each folder that has some, in order, and which they are.
    pub folders: Vec<(usize, Range<usize>)>,
}

/// Whether rows of `columns` can lie in folders by the values of those named: the types may be guesses that turn out wrong.
#[must_use]
pub fn fit(names: &[String], columns: &[Column]) -> bool {
    let of = |name: &String| columns.iter().find(|column| column.name == *name);
    names.iter().all(|name| of(name).is_some_and(|column| hive::names(column.ctype)))
}

impl Folders {
    /// Of rows of `columns`, by the values of those named, which [`fit`].
    #[must_use]
    pub fn new(names: &[String], columns: &[Column]) -> Self {
        let at = |name: &String| columns.iter().position(|column| column.name == *name).expect("the columns fit");
        let in_files = columns.len().saturating_sub(names.len()).max(1);
        Self {
            names: names.to_vec(),
            at: names.iter().map(at).collect(),
            values: names.iter().map(|_| Values::default()).collect(),
            numbers: BTreeMap::new(),
            codes: Vec::new(),
            most: HIVE_FILES_MAX.min(HIVE_OPEN_COLUMNS_MAX / in_files).max(1),
        }
    }

    /// The schema of the files: without the columns that the folders tell.
    #[must_use]
    pub fn in_files(&self, schema: &Schema) -> SchemaRef {
        let kept = schema.fields().iter().enumerate().filter(|(at, _)| !self.at.contains(at));
        Arc::new(Schema::new(kept.map(|(_, field)| field.clone()).collect::<Vec<_>>()))
    }

    /// Rows without those columns, in the schema that [`Folders::in_files`] gave.
    ///
    /// # Panics
    /// When it is another one.
    #[must_use]
    pub fn for_files(&self, rows: &RecordBatch, schema: &SchemaRef) -> RecordBatch {
        let kept = rows.columns().iter().enumerate().filter(|(at, _)| !self.at.contains(at));
        let columns = kept.map(|(_, column)| column.clone()).collect();
        RecordBatch::try_new(schema.clone(), columns).expect("the columns are those of the schema")
    }

    /// The values that a number stands for, as texts.
    #[must_use]
    pub fn values(&self, number: usize) -> Vec<Option<String>> {
        let codes = std::iter::zip(&self.values, self.codes[number]);
        codes.map(|(values, code)| values.text(code).map(str::to_owned)).collect()
    }

    /// The number of each row, and the rows that have none.
    ///
    /// # Errors
    /// When there are more than files can be written.
    pub fn look(&mut self, rows: &RecordBatch) -> Result<(Vec<u32>, Vec<Refused>), TooManyFolders> {
        let mut columns = Vec::with_capacity(self.at.len());
        for ((values, &at), name) in std::iter::zip(&mut self.values, &self.at).zip(&self.names) {
            columns.push(codes(values, rows.column(at), name));
        }
        let (mut numbers, mut refused) = (Vec::with_capacity(rows.num_rows()), Vec::new());
        let mut last = None;
        for row in 0..rows.num_rows() {
            let mut key = Codes::default();
            let mut unfit = None;
            for (at, column) in columns.iter().enumerate() {
                key[at] = column.codes[row];
                if column.codes[row] == NONE {
                    unfit = unfit.or(Some(at));
                }
            }
            let number = match (unfit, last) {
                (Some(_), _) => NONE,
                (None, Some((before, number))) if before == key => number,
                (None, _) => self.number(key),
            };
            if number == NONE {
                let (at, message) = match unfit {
                    Some(at) => (at, columns[at].why(rows.column(self.at[at]), row)),
                    None => self.too_long(key),
                };
                refused.push(Refused { row, column: Some(self.at[at] as u32), message });
            }
            last = Some((key, number));
            numbers.push(number);
        }
        let crowded = self.values.iter().any(|values| values.texts.len() > self.most + BATCH_ROWS_MAX);
        if self.codes.len() > self.most || crowded {
            return Err(TooManyFolders { most: self.most, columns: self.names.join(", ") });
        }
        Ok((numbers, refused))
    }

    fn number(&mut self, key: Codes) -> u32 {
        if let Some(&number) = self.numbers.get(&key) {
            return number;
        }
        if hive::fit(&self.names, self.texts(key)).is_err() {
            return NONE;
        }
        let number = self.codes.len() as u32;
        self.numbers.insert(key, number);
        self.codes.push(key);
        number
    }

    fn texts(&self, key: Codes) -> impl Iterator<Item = Option<&str>> {
        std::iter::zip(&self.values, key).map(|(values, code)| values.text(code))
    }

    /// Why values of which each has a folder have none together.
    fn too_long(&self, key: Codes) -> (usize, String) {
        match hive::fit(&self.names, self.texts(key)) {
            Err((at, why)) => (at, why.to_string()),
            Ok(()) => unreachable!("what fits has a number"),
        }
    }

    /// Brings rows with these numbers into the order of their folders.
    #[must_use]
    pub fn split(&self, rows: &RecordBatch, numbers: &[u32]) -> Split {
        let mut counts = vec![0; self.codes.len()];
        numbers.iter().for_each(|&number| counts[number as usize] += 1);
        let (mut starts, mut folders, mut at) = (vec![0; counts.len()], Vec::new(), 0);
        for (number, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            starts[number] = at;
            folders.push((number, at..at + count));
            at += count;
        }
        let mut order = vec![0_u32; numbers.len()];
        for (row, &number) in numbers.iter().enumerate() {
            order[starts[number as usize]] = row as u32;
            starts[number as usize] += 1;
        }
        let order = (folders.len() > 1).then(|| UInt32Array::from(order));
        let columns = rows.columns().iter().map(|column| plain(column, order.as_ref())).collect();
        let fields: Vec<_> = rows.schema_ref().fields().iter().map(|field| plain_field(field)).collect();
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("texts alone have changed");
        Split { rows, folders }
    }
}

/// Rows in another order, if one is given, texts without codes: the codes are those of the whole attempt, most of whose texts one folder
/// does not have.
fn plain(column: &ArrayRef, order: Option<&UInt32Array>) -> ArrayRef {
    const WHY: &str = "every index is that of a row or of a text";
    let ordered = |array: ArrayRef| order.map_or(array.clone(), |order| take(&array, order, None).expect(WHY));
    match column.as_dictionary_opt::<UInt16Type>() {
        Some(coded) => {
            let keys = ordered(Arc::new(coded.keys().clone()));
            take(coded.values(), keys.as_primitive::<UInt16Type>(), None).expect(WHY)
        }
        None => ordered(column.clone()),
    }
}

fn plain_field(field: &Field) -> Field {
    match field.data_type() {
        DataType::Dictionary(_, values) => field.clone().with_data_type((**values).clone()),
        _ => field.clone(),
    }
}

/// The codes of one column's values in a batch.
struct Coded {
    /// Of each row; [`NONE`] where the value has no folder.
    codes: Vec<u32>,
    name: String,
}

impl Coded {
    /// Why the value of a row has no folder.
    fn why(&self, column: &ArrayRef, row: usize) -> String {
        let fits = |text: &str| hive::fit(std::slice::from_ref(&self.name), [Some(text)]);
        let fits = match column.as_dictionary_opt::<UInt16Type>() {
            Some(coded) => fits(coded.values().as_string::<i32>().value(coded.keys().value(row) as usize)),
            None => fits(column.as_string::<i32>().value(row)),
        };
        match fits {
            Err((_, why)) => why.to_string(),
            Ok(()) => unreachable!("what fits has a code"),
        }
    }
}

fn codes(values: &mut Values, column: &ArrayRef, name: &str) -> Coded {
    let rows = 0..column.len();
    let name = name.to_owned();
    let mut of_text = |text: &str| values.of_text(text, &name);
    let codes = match column.data_type() {
        DataType::Dictionary(..) => {
            let coded: &DictionaryArray<UInt16Type> = column.as_dictionary();
            let (keys, texts) = (coded.keys(), coded.values().as_string::<i32>());
            let mut known = vec![UNSEEN; texts.len()];
            let mut of_key = |key: usize| {
                if known[key] == UNSEEN {
                    known[key] = of_text(texts.value(key));
                }
                known[key]
            };
            rows.map(|row| if keys.is_null(row) { NULL } else { of_key(keys.value(row) as usize) }).collect()
        }
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            let mut last: Option<(&str, u32)> = None;
            let mut of_row = |row: usize| {
                let text = texts.value(row);
                let code = last.filter(|(before, _)| *before == text).map_or_else(|| of_text(text), |(_, code)| code);
                last = Some((text, code));
                code
            };
            rows.map(|row| if texts.is_null(row) { NULL } else { of_row(row) }).collect()
        }
        DataType::Int64 => {
            let numbers: &Int64Array = column.as_primitive::<Int64Type>();
            let mut of = |number: i64| values.of_number(number, || number.to_string());
            numbers.iter().map(|number| number.map_or(NULL, &mut of)).collect()
        }
        DataType::Date32 => {
            let days: &Date32Array = column.as_primitive::<Date32Type>();
            let mut of = |day: i32| values.of_number(day.into(), || date(day));
            days.iter().map(|day| day.map_or(NULL, &mut of)).collect()
        }
        DataType::Boolean => {
            let mut of = |yes: bool| values.of_number(yes.into(), || yes.to_string());
            column.as_boolean().iter().map(|yes| yes.map_or(NULL, &mut of)).collect()
        }
        other => unreachable!("no folder is named after {other}"),
    };
    Coded { codes, name }
}

fn date(day: i32) -> String {
    Date32Type::to_naive_date_opt(day).map_or_else(String::new, |date| date.to_string())
}

/// `rows` times the value that `text` stands for in a column of this type; none when it stands for none.
#[must_use]
pub fn constant(ctype: ColumnType, text: Option<&str>, rows: usize) -> Option<ArrayRef> {
    let Some(text) = text else { return Some(nulls(ctype, rows)) };
    let array: ArrayRef = match ctype {
        ColumnType::Int64 => {
            let number: i64 = text.parse().ok().filter(|number: &i64| number.to_string() == text)?;
            Arc::new(Int64Array::from_value(number, rows))
        }
        ColumnType::Date => {
            let day = Date32Type::from_naive_date(text.parse().ok()?);
            Arc::new(Date32Array::from_value(Some(day).filter(|day| date(*day) == text)?, rows))
        }
        ColumnType::Boolean => Arc::new(BooleanArray::from(vec![text.parse::<bool>().ok()?; rows])),
        ColumnType::Text => {
            let keys = UInt16Array::from_value(0, rows);
            Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(vec![text]))))
        }
        _ => return None,
    };
    Some(array)
}

fn nulls(ctype: ColumnType, rows: usize) -> ArrayRef {
    match ctype {
        ColumnType::Int64 => Arc::new(Int64Array::new_null(rows)),
        ColumnType::Date => Arc::new(Date32Array::new_null(rows)),
        ColumnType::Boolean => Arc::new(BooleanArray::new_null(rows)),
        _ => Arc::new(StringArray::new_null(rows)),
    }
}

#[cfg(test)]
mod tests;
