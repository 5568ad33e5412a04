//! Decoding: a file parsed whole by every set of vector instructions, beside the simple twin.
//!
//! Invariant: all give the same batches, which hold what the grammars read value by value; a dictionary has the digest of its texts.

use std::sync::Arc;

use arbitrary::{Arbitrary, Result, Unstructured};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use batteuse_kernel::arch::Path;
use batteuse_kernel::automaton::Automaton;
use batteuse_kernel::digest;
use batteuse_shared::span::Span;
use batteuse_shared::table::Column;

use crate::attempt::{Attempt, How, attempt, must_be};
use crate::case::{Case, Truth};
use crate::cell::{Cell, rows};
use crate::{draw, generated};

/// A file and how to parse it.
#[derive(Debug)]
pub struct Decode {
    case: Case,
    how: How,
}

impl<'a> Arbitrary<'a> for Decode {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (case, how) = (Case::draw(u)?, How::draw(u)?);
        let is_generated = draw::below(u, 2)? == 1;
        let bytes = if is_generated { generated::file(u, &case)? } else { draw::file(u, &case.dialect)? };
        Ok(Self { case: case.of(bytes), how })
    }
}

impl Decode {
    /// Decodes it with the types of its plan, and with those that settle.
    pub fn check(&self) {
        let truth = self.case.truth();
        let settled = self.case.settled(&truth);
        self.check_with(&self.case.columns, &truth);
        if settled != self.case.columns {
            self.check_with(&settled, &truth);
        }
    }

    /// Decodes it in every way that there is.
    fn check_with(&self, columns: &[Column], truth: &Truth) {
        let start = Automaton::new(&self.case.dialect, self.case.cap).record_start();
        let range = Span::new(self.case.data_start, self.case.bytes.len() as u64);
        let by = |path| attempt(&self.case, columns, range, Some(start), path, &self.how);
        let mut attempts: Vec<(Path, Attempt)> = Path::available().into_iter().map(|path| (path, by(path))).collect();
        let (first, plainest) = attempts.remove(0);
        must_be(&self.case, columns, &[&plainest], truth);
        for (path, other) in attempts {
            let (first, name) = (first.name(), path.name());
            assert_eq!(other.done, plainest.done, "{name} and {first}");
            assert_eq!(other.rejects, plainest.rejects, "{name} and {first}");
            assert!(other.rows == plainest.rows, "rows by {name} and {first}");
            assert!(other.batches == plainest.batches, "batches by {name} and {first}");
        }
        digests(&plainest, columns);
    }
}

/// Dictionaries written out have the digest that they had.
fn digests(attempt: &Attempt, columns: &[Column]) {
    for batch in &attempt.batches {
        let cells = rows(batch, columns);
        let text = |row: usize, column: usize| match &cells[row][column] {
            Some(Cell::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        let plain = |(column, array): (usize, &ArrayRef)| match array.data_type() {
            DataType::Dictionary(..) => {
                Arc::new((0..cells.len()).map(|row| text(row, column)).collect::<StringArray>()) as ArrayRef
            }
            _ => Arc::clone(array),
        };
        let arrays: Vec<ArrayRef> = batch.columns().iter().enumerate().map(plain).collect();
        let named =
            |(array, field): (&ArrayRef, &Arc<Field>)| Field::new(field.name(), array.data_type().clone(), true);
        let fields: Vec<Field> = std::iter::zip(&arrays, batch.schema().fields()).map(named).collect();
        let plain = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("columns of one length");
        let [a, b] = [batch, &plain].map(|batch| digest::rows(batch).expect("types of the output"));
        assert_eq!(a, b, "a dictionary has the digest of its texts");
    }
}
