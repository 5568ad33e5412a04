//! Tests of the folders.
