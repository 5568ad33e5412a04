//! What a file says of itself, as pyarrow reads it: the run, the source's version, and the hash of its columns.
//!
//! Invariant: the hash is made anew by the reader, of the columns as it sees them.

use std::path::Path;

use serde_json::{Value, json};

use super::engine::tell;
use super::rejects;
use crate::support::published::{json_file, parts, run_file};

/// The metadata of the Parquet file at `path`.
fn must_say(path: &Path, manifest: &Value) {
    let mut told = tell("pyarrow", &[json!({"about": path})]);
    let said = told.object();
    let place = path.display();
    assert_eq!(said["batteuse.run"], manifest["run"], "{place}");
    let source: Value = serde_json::from_str(said["batteuse.source"].as_str().unwrap()).unwrap();
    assert_eq!(source, manifest["source"], "{place}");
    assert_eq!(said["batteuse.schema"], said["hashed"], "{place}");
    told.must_end();
}

#[test]
fn pyarrow_reads_what_parts_and_rejects_say_of_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let [(out, _), (rejects, _)] = rejects::publish(folder.path());
    let manifest = json_file(&run_file(&out, "manifest.json"));
    for path in parts(&out).iter().chain([&rejects]) {
        must_say(path, &manifest);
    }
}
