//! Fuzz target: a file cut anywhere gives what the oracle says of it uncut.
#![no_main]

use batteuse_fuzz::seam::Seam;

libfuzzer_sys::fuzz_target!(|seam: Seam| seam.check());
