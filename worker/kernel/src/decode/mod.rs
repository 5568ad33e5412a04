//! Fields to Arrow arrays, column by column in blocks of rows, with summaries and misses.
//!
//! Invariants: misses, `written` and summaries are functions of the bytes, the dialect and the declared types alone; the
//! guessed types decide only whether there are rows. What is summarized is what is written. It frames nothing and
//! checks no encoding: that is done.

mod bits;
mod column;
mod text;
mod value;

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema, SchemaRef};
use batteuse_shared::limits::REJECT_VALUE_CHARS_MAX;
use batteuse_shared::spec::{Dialect, Encoding};
use batteuse_shared::table::{Classes, Column, ColumnType};

use self::column::{Appended, Block, Cells, Lanes, data_type};
use self::value::{Nulls, Scratch, Values, plain};
use crate::arch::{Fields, Path, Template, each_bit};
use crate::frame::{BLOCK_ROWS, Rows};

/// Decodes the records of one attempt, batch after batch.
#[derive(Debug)]
pub struct Decoder {
    schema: SchemaRef,
    /// The schema of the latest batch.
    held: SchemaRef,
    columns: Vec<Typed>,
    /// Indices of the `columns` that are read, ascending.
    read: Vec<usize>,
    /// The same: those that can reject a row first, so that the others know which rows are written.
    order: Vec<usize>,
    encoding: Encoding,
    decimal: u8,
    path: Path,
    summaries: Vec<Classes>,
    fits: bool,
    scratch: Scratch,
    /// Of the batch under way, without those set aside.
    rows: usize,
    /// Of the block under way, of each column: the rows whose field holds anything.
    filled: Vec<u64>,
    ordinals: [u32; BLOCK_ROWS],
    lanes: Box<Lanes>,
}

#[derive(Debug)]
struct Typed {
    ctype: ColumnType,
    declared: bool,
    /// Of a column with a format.
    template: Option<Box<Template>>,
    nulls: Nulls,
    cells: Cells,
}

impl Typed {
    fn can_miss(&self) -> bool {
        self.declared && self.ctype != ColumnType::Text
    }
}

/// The rows of a batch.
#[derive(Debug)]
pub struct Decoded {
    /// The rows without a miss, in order; none when a value of an inferred column did not fit its guessed type, now or
    /// in an earlier batch. A column of text may be a dictionary of texts.
    pub rows: Option<RecordBatch>,
    /// Records without a miss, whether or not there are `rows`.
    pub written: u64,
}

/// A value that does not fit its declared type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// Index in [`Rows::rows`].
    pub row: usize,
    /// Index of the column.
    pub column: u32,
    /// The value, abridged, and what was expected.
    pub message: String,
}

/// The block under way.
#[derive(Debug, Clone, Copy)]
struct Under {
    /// Rows that it has, rows set aside, rows that are odd: a bit each.
    all: u64,
    rejected: u64,
    odd: u64,
    /// Whether a row lacks fields.
    short: bool,
}

impl Decoder {
    /// A decoder for records of these columns, of which those with the indices `read`, ascending, are decoded. Decimals have
    /// `scale <= precision <= 38`.
    #[must_use]
    pub fn new(columns: &[Column], read: &[usize], dialect: &Dialect, path: Path) -> Self {
        let fields = read.iter().map(|&index| &columns[index]);
        let fields = fields.map(|column| Field::new(&column.name, data_type(column.ctype), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let typed = |column: &Column| Typed {
            ctype: column.ctype,
            declared: column.declared,
            template: column.format.map(|format| Box::new(Template::new(format))),
            nulls: Nulls::new(&column.nulls, column.format.as_ref()),
            cells: Cells::new(column.ctype, column.declared, read.len()),
        };
        let columns: Vec<_> = columns.iter().map(typed).collect();
        let mut order = read.to_vec();
        order.sort_by_key(|&index| (!columns[index].can_miss(), index));
        Self {
            held: schema.clone(),
            schema,
            order,
            read: read.to_vec(),
            encoding: dialect.encoding,
            decimal: dialect.decimal,
            path,
            summaries: vec![Classes::default(); columns.len()],
            columns,
            fits: true,
            scratch: Scratch::default(),
            rows: 0,
            filled: Vec::new(),
            ordinals: [0; BLOCK_ROWS],
            lanes: Box::default(),
        }
    }

    /// The schema of the rows: every field nullable. Batches may have dictionaries of texts where it has texts.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The summary of each column over the written records of all batches so far; empty for those declared or not read.
    #[must_use]
    pub fn summaries(&self) -> &[Classes] {
        &self.summaries
    }

    /// Whether every value of the inferred columns of written records fitted its guessed type so far.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.fits
    }

    /// Rows of the batch under way.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds some records to the batch, at most [`BLOCK_ROWS`]. Returns those with a value that does not fit its declared type: one miss each, of the lowest such column, sorted by row.
    ///
    /// # Panics
    /// When there are more.
    pub fn add(&mut self, rows: &Rows<'_>) -> Vec<Miss> {
        assert_eq!(rows.columns, self.columns.len(), "framing yields the columns of the plan");
        assert!(rows.rows.len() <= BLOCK_ROWS, "what is known of a block's rows fits a word");
        if rows.rows.is_empty() {
            return Vec::new();
        }
        self.filled.clear();
        let read = self.read.last().map_or(0, |last| last + 1);
        for column in (0..read).step_by(BLOCK_ROWS) {
            self.filled.extend(rows.filled(self.path, column));
        }
        std::iter::zip(&mut self.ordinals, rows.rows).for_each(|(ordinal, row)| *ordinal = row.ordinal);
        let all = u64::MAX >> (BLOCK_ROWS - rows.rows.len());
        let odd = (0..).zip(rows.rows).fold(0, |odd, (bit, row)| odd | u64::from(row.odd) << bit);
        let short = rows.rows.iter().any(|row| (row.fields as usize) < rows.columns);
        let mut block = Under { all, odd, short, rejected: 0 };
        let mut misses = Vec::new();
        let mut scratch = std::mem::take(&mut self.scratch);
        let plain = plain(rows, self.encoding);
        let mut values = Values { rows, encoding: self.encoding, plain, scratch: &mut scratch };
        for at in 0..self.order.len() {
            self.column(self.order[at], &mut block, &mut values, &mut misses);
        }
        self.scratch = scratch;
        self.rows += rows.rows.len() - misses.len();
        if block.rejected != 0 && self.fits {
            let remove = |&index: &usize| self.columns[index].cells.remove(block.rejected, rows.rows.len());
            self.read.iter().for_each(remove);
        }
        misses.sort_unstable_by_key(|miss| miss.row);
        misses
    }

    /// Decodes a block of rows of one column.
    #[inline]
    fn column(&mut self, column: usize, under: &mut Under, values: &mut Values<'_, '_, '_>, misses: &mut Vec<Miss>) {
        let Typed { ctype, declared, template, nulls, cells } = &mut self.columns[column];
        let summary = &mut self.summaries[column];
        if !self.fits && (*declared && *ctype == ColumnType::Text || *summary == Classes::TEXT) {
            // There will be no rows, and there is nothing left to learn.
            return;
        }
        let rows = values.rows;
        let there = if under.short { present(rows, column) } else { under.all };
        if self.filled[column] & there & !under.rejected == 0 && nulls.has_empty() {
            cells.append_nulls(rows.rows.len());
            return;
        }
        let fields = Fields {
            text: rows.bytes,
            ends: &rows.structure.ends,
            ordinals: &self.ordinals,
            delimiter_bytes: rows.delimiter_bytes,
            quote: rows.quote.map_or(u32::MAX, u32::from),
        };
        let mut block = Block {
            fields,
            lanes: &mut self.lanes,
            values,
            column,
            rows: rows.rows.len(),
            filled: self.filled[column],
            there: there & !under.rejected,
            odd: under.odd,
            nulls,
            decimal: self.decimal,
            template: template.as_deref(),
            path: self.path,
        };
        if *ctype == ColumnType::Text {
            let mut learnt = (!*declared).then_some(*summary);
            cells.append_text(&mut block, &mut learnt);
            *summary = learnt.unwrap_or_default();
            return;
        }
        let Appended { misfits, classes } = cells.append(&mut block);
        if !*declared {
            *summary = summary.join(classes);
            self.fits &= misfits == 0;
            return;
        }
        under.rejected |= misfits;
        each_bit(misfits, |row| {
            let text = values.get(row, column).unwrap_or_default();
            let expected = match template {
                Some(template) => format!("a valid {}", template.format()),
                None => expected(*ctype, self.decimal),
            };
            misses.push(Miss { row, column: column as u32, message: mismatch(text, *ctype, &expected) });
        });
    }

    /// Ends the batch.
    pub fn finish(&mut self) -> Decoded {
        let rows = std::mem::take(&mut self.rows);
        let written = rows as u64;
        if !self.fits {
            for column in &mut self.columns {
                column.cells = Cells::new(column.ctype, column.declared, self.read.len());
            }
            return Decoded { rows: None, written };
        }
        let mut none = None;
        let finish = |&index: &usize| self.columns[index].cells.finish(&mut none);
        let arrays: Vec<ArrayRef> = self.read.iter().map(finish).collect();
        let same = |(field, array): (&Arc<Field>, &ArrayRef)| field.data_type() == array.data_type();
        if !std::iter::zip(self.held.fields(), &arrays).all(same) {
            let typed = |(field, array): (&Arc<Field>, &ArrayRef)| {
                Arc::new(field.as_ref().clone().with_data_type(array.data_type().clone()))
            };
            let fields: Vec<_> = std::iter::zip(self.held.fields(), &arrays).map(typed).collect();
            self.held = Arc::new(Schema::new(fields));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.held.clone(), arrays, &options)
            .expect("columns are of equal length");
        Decoded { rows: Some(batch), written }
    }
}

/// The rows that have a field for `column`.
#[cold]
fn present(rows: &Rows<'_>, column: usize) -> u64 {
    (0..).zip(rows.rows).fold(0, |word, (bit, row)| word | u64::from(row.fields as usize > column) << bit)
}

/// Why a value does not fit its declared type, in words.
fn mismatch(text: &[u8], ctype: ColumnType, expected: &str) -> String {
    // A character has at most four bytes; a cut one at the end is past the characters shown.
    let head = &text[..text.len().min(4 * (REJECT_VALUE_CHARS_MAX + 1))];
    let shown: String = String::from_utf8_lossy(head).chars().take(REJECT_VALUE_CHARS_MAX).collect();
    let cut = if shown.len() < text.len() { "..." } else { "" };
    format!("{shown:?}{cut} is no {ctype}: expected {expected}")
}

/// How the values of a type are written.
fn expected(ctype: ColumnType, decimal: u8) -> String {
    let mark = char::from(decimal);
    match ctype {
        ColumnType::Boolean => "true or false".to_owned(),
        ColumnType::Int64 => "digits without leading zeros, within 64 bits".to_owned(),
        ColumnType::Float64 => format!("a finite number with {mark:?} as decimal mark, without leading zeros"),
        ColumnType::Decimal { precision, scale } => format!(
            "at most {} digits, then at most {scale} after {mark:?}, without leading zeros or exponent",
            precision - scale
        ),
        ColumnType::Date => "a valid YYYY-MM-DD".to_owned(),
        ColumnType::Timestamp => "YYYY-MM-DD HH:MM:SS[.ffffff] without zone".to_owned(),
        ColumnType::TimestampUtc => "YYYY-MM-DD HH:MM:SS[.ffffff] with Z or an offset such as +02:00".to_owned(),
        ColumnType::Text => "text".to_owned(),
    }
}

#[cfg(test)]
mod tests;
