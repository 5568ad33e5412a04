//! A valid RFC 4180 file that misleads every splitter which looks at a few lines and guesses: blocks of one record, whose quoted
//! field of 0.8 MB is full of lines that look like records, and 1,000 plain records. 50 MB hold 60 blocks, 60,060 records.
//! Who starts in such a field sees no quote for longer than any window that is searched for one.

use super::Records;
use super::page::Page;

const COLUMNS: [&str; 3] = ["id", "txt", "n"];
const FALSE_RECORDS: u64 = 40_000;
const PLAIN_RECORDS: u64 = 1_000;

/// The blocks differ in their number only.
pub(super) struct Quotes {
    block: u64,
    false_records: String,
}

impl Quotes {
    pub(super) fn new() -> Self {
        let lines: Vec<String> = (0..FALSE_RECORDS).map(|line| format!("{line},fake row,{line}")).collect();
        Self { block: 0, false_records: lines.join("\n") }
    }
}

impl Records for Quotes {
    fn append_header(&self, page: &mut Page) {
        page.header(&COLUMNS);
    }

    fn append(&mut self, page: &mut Page) {
        page.integer(self.block);
        page.quoted(&["start\n", &self.false_records, "\nend"]);
        page.integer(self.block);
        page.end_record();
        for number in 0..PLAIN_RECORDS {
            page.integer(number);
            page.text("plain");
            page.integer(number);
            page.end_record();
        }
        self.block += 1;
    }
}
