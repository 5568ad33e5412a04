//! Fields to Arrow arrays, column by column in blocks of rows, with summaries, misses and the digest of what is written.
//!
//! Invariants: misses, `written` and summaries are functions of the bytes, the dialect and the declared types alone; the
//! guessed types decide only whether there are rows. What is summarized is what is written. It frames nothing and
//! checks no encoding: that is done.

mod column;
mod value;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use batteuse_shared::limits::REJECT_VALUE_CHARS_MAX;
use batteuse_shared::spec::{Dialect, Encoding};
use batteuse_shared::table::{Classes, Column, ColumnType, Digest};

use self::column::{Appended, BLOCK_ROWS, Block, Cells, data_type};
use self::value::{Nulls, Scratch, Values};
use crate::digest::RowDigester;
use crate::frame::Rows;

/// Decodes the records of one attempt, batch after batch.
#[derive(Debug)]
pub struct Decoder {
    schema: SchemaRef,
    columns: Vec<Typed>,
    /// Indices of `columns`: those that can reject a row first, so that the others know which rows are written.
    order: Vec<usize>,
    encoding: Encoding,
    decimal: u8,
    summaries: Vec<Classes>,
    fits: bool,
    digester: RowDigester,
    scratch: Scratch,
}

#[derive(Debug)]
struct Typed {
    ctype: ColumnType,
    declared: bool,
    nulls: Nulls,
    /// Bytes of text in the last batch: the room that the next one probably needs.
    text_bytes: usize,
}

impl Typed {
    fn can_miss(&self) -> bool {
        self.declared && self.ctype != ColumnType::Text
    }
}

/// What became of some records.
#[derive(Debug)]
pub struct Decoded {
    /// The rows without a miss, in order; none when a value of an inferred column did not fit its guessed type, now or
    /// in an earlier batch.
    pub rows: Option<RecordBatch>,
    /// Records without a miss, whether or not there are `rows`.
    pub written: u64,
    /// Digest of `rows`; zero when there are none.
    pub digest: Digest,
    /// Records with a value that does not fit its declared type: one miss each, of the lowest such column, sorted by row.
    pub misses: Vec<Miss>,
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

/// The batch under way.
struct Batch {
    rejected: Vec<bool>,
    misses: Vec<Miss>,
    cells: Vec<Cells>,
}

impl Decoder {
    /// A decoder for records of these columns. Decimals have `scale <= precision <= 38`.
    #[must_use]
    pub fn new(columns: &[Column], dialect: &Dialect) -> Self {
        let fields = columns.iter().map(|column| Field::new(&column.name, data_type(column.ctype), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let digester = RowDigester::new(&schema).expect("every column type has a canonical form");
        let typed = |column: &Column| Typed {
            ctype: column.ctype,
            declared: column.declared,
            nulls: Nulls::new(&column.nulls),
            text_bytes: 0,
        };
        let columns: Vec<_> = columns.iter().map(typed).collect();
        let mut order: Vec<_> = (0..columns.len()).collect();
        order.sort_by_key(|&index| (!columns[index].can_miss(), index));
        Self {
            schema,
            order,
            encoding: dialect.encoding,
            decimal: dialect.decimal,
            summaries: vec![Classes::default(); columns.len()],
            columns,
            fits: true,
            digester,
            scratch: Scratch::default(),
        }
    }

    /// The schema of the rows: every field nullable.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The summary of each column over the written records of all batches so far; empty for declared columns.
    #[must_use]
    pub fn summaries(&self) -> &[Classes] {
        &self.summaries
    }

    /// Whether every value of the inferred columns of written records fitted its guessed type so far.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.fits
    }

    /// Decodes some records, each with as many fields as there are columns.
    ///
    /// # Panics
    /// When a text field of a UTF-8 source is not UTF-8, against the promise of [`Rows`].
    pub fn decode(&mut self, rows: &Rows<'_>) -> Decoded {
        assert_eq!(rows.columns, self.columns.len(), "framing yields the columns of the plan");
        let count = rows.rows.len();
        let cells = self.columns.iter().map(|column| {
            let (rows, text_bytes) =
                if self.fits { (count, column.text_bytes + column.text_bytes / 8) } else { (0, 0) };
            Cells::new(column.ctype, column.declared, rows, text_bytes)
        });
        let cells = cells.collect();
        let mut batch = Batch { rejected: vec![false; count], misses: Vec::new(), cells };
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut values = Values { rows, encoding: self.encoding, scratch: &mut scratch };
        for start in (0..count).step_by(BLOCK_ROWS) {
            let block = start..count.min(start + BLOCK_ROWS);
            for at in 0..self.order.len() {
                self.block(self.order[at], block.clone(), &mut values, &mut batch);
            }
        }
        self.scratch = scratch;
        self.finish(batch)
    }

    /// Decodes a block of rows of one column.
    fn block(&mut self, column: usize, rows: Range<usize>, values: &mut Values<'_, '_, '_>, batch: &mut Batch) {
        let Typed { ctype, declared, nulls, .. } = &self.columns[column];
        let (cells, summary) = (&mut batch.cells[column], &mut self.summaries[column]);
        if !self.fits && (*declared && *ctype == ColumnType::Text || *summary == Classes::TEXT) {
            // There will be no rows, and there is nothing left to learn.
            return;
        }
        let start = rows.start;
        let mut block = Block { values, column, rows, nulls, rejected: &batch.rejected, decimal: self.decimal };
        if *ctype == ColumnType::Text {
            let learnt = cells.append_text(&mut block, (!declared).then_some(*summary));
            *summary = learnt;
            return;
        }
        let Appended { mut misfits, classes } = cells.append(&mut block);
        if !declared {
            *summary = summary.join(classes);
            self.fits &= misfits == 0;
            return;
        }
        while misfits != 0 {
            let row = start + misfits.trailing_zeros() as usize;
            misfits &= misfits - 1;
            let text = values.get(row, column).unwrap_or_default();
            batch.rejected[row] = true;
            batch.misses.push(Miss { row, column: column as u32, message: mismatch(text, *ctype, self.decimal) });
        }
    }

    /// The end of a batch.
    fn finish(&mut self, batch: Batch) -> Decoded {
        let Batch { rejected, mut misses, cells } = batch;
        misses.sort_unstable_by_key(|miss| miss.row);
        let written = (rejected.len() - misses.len()) as u64;
        if !self.fits {
            return Decoded { rows: None, written, digest: Digest::default(), misses };
        }
        for (column, cells) in std::iter::zip(&mut self.columns, &cells) {
            column.text_bytes = cells.text_bytes();
        }
        let arrays = cells.into_iter().map(Cells::finish).collect();
        let mut rows =
            RecordBatch::try_new(self.schema(), arrays).expect("cells are made by the schema, of equal length");
        if !misses.is_empty() {
            let kept = BooleanArray::from_iter(rejected.into_iter().map(|rejected| Some(!rejected)));
            rows = filter_record_batch(&rows, &kept).expect("the filter is as long as the batch");
        }
        let digest = self.digester.add(&rows);
        Decoded { rows: Some(rows), written, digest, misses }
    }
}

/// Why a value does not fit its declared type, in words.
fn mismatch(text: &[u8], ctype: ColumnType, decimal: u8) -> String {
    // A character has at most four bytes; a cut one at the end is past the characters shown.
    let head = &text[..text.len().min(4 * (REJECT_VALUE_CHARS_MAX + 1))];
    let shown: String = String::from_utf8_lossy(head).chars().take(REJECT_VALUE_CHARS_MAX).collect();
    let cut = if shown.len() < text.len() { "..." } else { "" };
    let mark = char::from(decimal);
    let expected = match ctype {
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
    };
    format!("{shown:?}{cut} is no {ctype}: expected {expected}")
}

#[cfg(test)]
mod tests;
