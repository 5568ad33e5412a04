//! Made-up files in the shapes of real open data, for demonstrations and measurements. The bytes are a function of the shape and
//! the seed alone, on every machine and in every version (a test pins them), and a shorter file is a prefix of a longer one.
//! Pure: it writes into what it is given and knows no files, clock or threads.

mod dvf;
mod nppes;
mod page;
mod quotes;
mod random;
mod sirene;
mod tables;
mod taxi;

use page::Page;
use random::Random;
use std::io::{self, Write};
pub use tables::COMMUNES;
use tables::Tables;

/// Text gathered before it is handed to the writer, in bytes: few writes, and it stays in the processor's cache.
const WRITE_BYTES: usize = 256 << 10;

/// What kind of file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Shape {
    /// INSEE's register of establishments: 54 columns, commas, quoted names, one record in 20,000 with a newline in quotes
    Sirene,
    /// New York's yellow taxis: 19 columns, commas, two timestamps, small integers, decimals
    Taxi,
    /// French property sales: 43 columns, `|`, decimal comma, dd/mm/yyyy, many empty fields
    Dvf,
    /// American health providers: 330 columns, commas, every field in quotes, mostly empty
    Nppes,
    /// Valid RFC 4180 that misleads a splitter which guesses: quoted fields of 0.8 MB full of lines that look like records
    Quotes,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Size of the file, header included.
    pub bytes: u64,
    /// Records, without the header.
    pub rows: u64,
    /// Newlines inside quotes: the file has `1 + rows + quoted_newlines` lines.
    pub quoted_newlines: u64,
}

/// Why nothing, or not everything, was written.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// Nothing was written.
    #[error("{bytes_max} bytes cannot hold the header and what follows it whole: ask for at least {bytes_least} bytes")]
    TooSmall {
        /// What was asked for.
        bytes_max: u64,
        /// The least that this shape and seed can be.
        bytes_least: u64,
    },
    /// The writer refused.
    #[error("cannot write the generated text: {0}")]
    Write(#[from] io::Error),
}

/// One shape's way to write its records.
trait Records {
    fn append_header(&self, page: &mut Page);

    fn delimiter(&self) -> u8 {
        b','
    }

    /// Appends what is written whole or not at all: one record, or one block of them.
    fn append(&mut self, page: &mut Page);
}

/// Writes a header and whole records (for [`Shape::Quotes`], whole blocks of 1,001 records) as long as the file stays within
/// `bytes_max` bytes. It stops at the first that does not fit, so a smaller `bytes_max` gives a prefix.
/// The seed does not matter to [`Shape::Quotes`].
///
/// # Errors
/// [`GenerateError::TooSmall`] before anything is written, [`GenerateError::Write`] when `out` fails.
pub fn generate(shape: Shape, seed: u64, bytes_max: u64, out: &mut impl Write) -> Result<Generated, GenerateError> {
    let mut records = records(shape, seed);
    let mut page = Page::new(2 * WRITE_BYTES, records.delimiter());
    records.append_header(&mut page);
    records.append(&mut page);
    let bytes_least = page.bytes().len() as u64;
    if bytes_least > bytes_max {
        return Err(GenerateError::TooSmall { bytes_max, bytes_least });
    }
    let mut bytes_written = 0;
    loop {
        if page.bytes().len() >= WRITE_BYTES {
            out.write_all(page.bytes())?;
            bytes_written += page.bytes().len() as u64;
            page.clear_text();
        }
        let mark = page.mark();
        records.append(&mut page);
        if bytes_written + page.bytes().len() as u64 > bytes_max {
            page.go_back(mark);
            break;
        }
    }
    out.write_all(page.bytes())?;
    out.flush()?;
    Ok(page.counts(bytes_written + page.bytes().len() as u64))
}

fn records(shape: Shape, seed: u64) -> Box<dyn Records> {
    // Streams are part of what a seed means: never renumber them. 0 is the streets'.
    match shape {
        Shape::Sirene => Box::new(sirene::Sirene::new(Tables::embedded(), Random::new(1, seed))),
        Shape::Taxi => Box::new(taxi::Taxi::new(Random::new(2, seed))),
        Shape::Dvf => Box::new(dvf::Dvf::new(Tables::embedded(), Random::new(3, seed))),
        Shape::Nppes => Box::new(nppes::Nppes::new(Tables::embedded(), Random::new(4, seed))),
        Shape::Quotes => Box::new(quotes::Quotes::new()),
    }
}

#[cfg(test)]
mod tests;
