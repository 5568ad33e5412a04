//! Fuzz target: every way to frame a text gives the records and fields of the oracle.
#![no_main]

use batteuse_fuzz::scan::Scan;

libfuzzer_sys::fuzz_target!(|scan: Scan| scan.check());
