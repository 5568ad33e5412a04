//! The pages of a column chunk, one after the other, as the row group takes them.
//!
//! Invariant: they are read in the order in which they were added, dictionary first. Each is held as it was made: chunks grow without
//! being copied.

use std::collections::VecDeque;
use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use parquet::column::page::{CompressedPage, Page, PageWriter as _};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};

/// What a header of a page without statistics takes, and some.
const HEADER_BYTES: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pages {
    pages: VecDeque<Bytes>,
    bytes: usize,
}

/// The bytes of a page with its header: as they are, and as they would be uncompressed.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageBytes {
    pub(super) written: usize,
    pub(super) uncompressed: usize,
}

impl Pages {
    /// Adds a page behind the others, of so many bytes before it was compressed.
    pub(super) fn add(&mut self, page: Page, uncompressed: usize) -> Result<PageBytes, ParquetError> {
        let (page, bytes) = written(page, uncompressed)?;
        self.bytes += bytes.written;
        self.pages.push_back(page);
        Ok(bytes)
    }

    /// Puts a page before the others.
    pub(super) fn add_first(&mut self, page: Page, uncompressed: usize) -> Result<PageBytes, ParquetError> {
        let (page, bytes) = written(page, uncompressed)?;
        self.bytes += bytes.written;
        self.pages.push_front(page);
        Ok(bytes)
    }

    /// Bytes of all of them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn written(page: Page, uncompressed: usize) -> Result<(Bytes, PageBytes), ParquetError> {
    let mut out = TrackedWrite::new(Vec::with_capacity(page.buffer().len() + HEADER_BYTES));
    let spec = SerializedPageWriter::new(&mut out).write_page(CompressedPage::new(page, uncompressed))?;
    let bytes = PageBytes { written: spec.compressed_size, uncompressed: spec.uncompressed_size };
    Ok((out.into_inner()?.into(), bytes))
}

/// Reads pages one after the other.
#[derive(Debug)]
pub(super) struct Reading(VecDeque<Bytes>);

impl Read for Reading {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.pop_front_if(|page| page.is_empty());
        let Some(page) = self.0.front_mut() else { return Ok(0) };
        let bytes = page.len().min(out.len());
        page.copy_to_slice(&mut out[..bytes]);
        Ok(bytes)
    }
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.bytes as u64
    }
}

impl ChunkReader for Pages {
    type T = Reading;

    fn get_read(&self, start: u64) -> Result<Reading, ParquetError> {
        let mut reading = Reading(self.pages.clone());
        io::copy(&mut reading.by_ref().take(start), &mut io::sink())?;
        Ok(reading)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use parquet::basic::Encoding;

    use super::*;

    #[test]
    fn pages_are_read_one_after_the_other_from_any_place_on() {
        let mut pages = Pages::default();
        let data = |byte: u8, bytes: usize| Page::DataPage {
            buf: vec![byte; bytes].into(),
            num_values: 1,
            encoding: Encoding::PLAIN,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let second = pages.add(data(2, 20_000), 30_000).unwrap();
        let third = pages.add(data(3, 5), 5).unwrap();
        let buf = vec![1; 7].into();
        let dictionary = Page::DictionaryPage { buf, num_values: 1, encoding: Encoding::PLAIN, is_sorted: false };
        let first = pages.add_first(dictionary, 7).unwrap();
        assert_eq!(second.uncompressed - second.written, 10_000, "the header counts in both");
        let whole = pages.get_bytes(0, pages.bytes()).unwrap();
        assert_eq!(first.written + second.written + third.written, whole.len());
        let ends =
            |bytes: PageBytes, count: usize, at: usize| whole[at + bytes.written - count..at + bytes.written].to_vec();
        assert_eq!(ends(first, 7, 0), [1; 7]);
        assert_eq!(ends(second, 20_000, first.written), [2; 20_000]);
        assert_eq!(ends(third, 5, first.written + second.written), [3; 5]);
        for start in [0, 1, first.written, first.written + 9_000, whole.len() - 1, whole.len()] {
            let mut rest = Vec::new();
            pages.get_read(start as u64).unwrap().read_to_end(&mut rest).unwrap();
            assert_eq!(rest, whole[start..]);
        }
        assert!(pages.get_bytes(whole.len() as u64 - 1, 2).is_err());
    }
}
