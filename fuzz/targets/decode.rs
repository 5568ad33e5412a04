//! Fuzz target: every way to decode a file gives the values that the grammars read one by one.
#![no_main]

use batteuse_fuzz::decode::Decode;

libfuzzer_sys::fuzz_target!(|decode: Decode| decode.check());
