//! Files in folders by the values of columns, in real stores, by the real binary: hostile values, and folders that are replaced while
//! others stay.
//!
//! Invariant: after each run `verify` reads all of it again, `_SUCCESS` lists what a lister sees, and nothing staged is left.

use std::fs;

use batteuse_shared::layout;
use batteuse_shared::limits::TEXT_BYTES_MAX;
use serde_json::Value;

use super::runs::{Site, json, must_be_swept, seen};
use crate::support::servers::{Azurite, Seaweed};

/// What a store, a request or a path may stumble over.
pub const HOSTILE: [&str; 20] = [
    "a/b",
    "a%2Fb",
    ".",
    "..",
    "é",
    "a=b",
    " a b ",
    "'\"`",
    "\u{1}\u{7f}\t",
    "a\\b",
    "x.",
    "[{*?#:^}]",
    "NULL",
    "_x",
    "007",
    "a+b",
    "a&b;c,d",
    "%",
    "a~b<c>|$@!",
    "日本",
];

/// Rows whose `k` goes through all hostile values and null, and whose `y` is one of the years.
pub fn hostile(rows: usize, years: &[i64]) -> String {
    let mut text = "id,k,y\n".to_owned();
    for row in 0..rows {
        let k = HOSTILE.get(row % (HOSTILE.len() + 1)).map(|k| format!("\"{}\"", k.replace('"', "\"\"")));
        text += &format!("{row},{},{}\n", k.unwrap_or_default(), years[row % years.len()]);
    }
    text
}

fn files(success: &Value) -> Vec<(String, String)> {
    let files = success["files"].as_array().unwrap().iter();
    files.map(|file| (file["name"].as_str().unwrap().to_owned(), file["sha256"].to_string())).collect()
}

fn folders_are_replaced(site: &Site) {
    let (url, folder) = (site.url("by"), site.output("by"));
    let run = |rows: usize, years: &[i64], mode: &str| {
        let path = site.folder.path().join("by.csv");
        fs::write(&path, hostile(rows, years)).unwrap();
        let bytes = (fs::metadata(&path).unwrap().len() / 3).to_string();
        let args = ["run", "--from", path.to_str().unwrap(), "--to", &url, "--partition-by", "y,k", "--mode", mode];
        site.ask(&[&args[..], &["--partition-bytes", &bytes, "--workers", "2"]].concat()).expect(0);
        site.ask(&["verify", &url]).expect(0);
        must_be_swept(&*folder);
        let success = json(&*folder, layout::SUCCESS);
        let (mut listed, mut there) =
            (files(&success).into_iter().map(|file| file.0).collect::<Vec<_>>(), seen(&*folder));
        listed.push(layout::SUCCESS.to_owned());
        listed.sort();
        there.sort();
        assert_eq!(listed, there, "{mode}");
        success
    };
    let first = run(84, &[2023, 2024], "error");
    // Three partitions; 21 values, the second year has them too.
    assert_eq!((first["rows"].as_u64(), files(&first).len()), (Some(84), 84));
    let second = run(21, &[2024], "overwrite-partition");
    let of = |success: &Value, year: &str| {
        files(success).into_iter().filter(|file| file.0.starts_with(year)).collect::<Vec<_>>()
    };
    assert_eq!(of(&second, "y=2023/"), of(&first, "y=2023/"), "what is not written stays");
    assert_eq!((second["rows"].as_u64(), of(&second, "y=2024/").len()), (Some(42 + 21), 21));
    assert!(of(&second, "y=2024/").iter().all(|file| !of(&first, "y=2024/").contains(file)));
    let third = run(2, &[2025], "append");
    assert_eq!((third["rows"].as_u64(), third["inputs"].as_array().unwrap().len()), (Some(65), 3));
    // Nothing of the second run's rows is left, and so nothing of what it read.
    let fourth = run(21, &[2024], "overwrite-partition");
    assert_eq!((fourth["rows"].as_u64(), fourth["inputs"].as_array().unwrap().len()), (Some(65), 3));
    site.ask(&["gc", &url]).expect(0);
    let manifest = json(&*folder, fourth["manifest"].as_str().unwrap());
    assert_eq!(manifest["partitionBy"], serde_json::json!(["y", "k"]));
    for part in manifest["parts"].as_array().unwrap() {
        // A partition without rows has no file.
        let (Some(file), k) = (part["file"].as_str(), &part["values"][1]) else { continue };
        assert!(k.is_null() || HOSTILE.contains(&k.as_str().unwrap()), "{part}");
        assert_eq!(folder.read(file, TEXT_BYTES_MAX).unwrap().unwrap().len() as u64, part["bytes"], "{part}");
    }
    // Somebody else's file where a reader of the table would find it.
    let stray = "y=2024/k=a%2Fb/theirs.parquet";
    folder.create_if_absent(stray, b"theirs").unwrap();
    let verified = site.ask(&["verify", &url]).expect(8);
    assert!(verified.out.contains(stray), "{}", verified.out);
    let path = site.folder.path().join("by.csv");
    let args = ["run", "--from", path.to_str().unwrap(), "--to", &url, "--partition-by", "y,k", "--mode", "append"];
    site.ask(&args).expect(12).says(&[stray]);
}

#[test]
fn folders_of_a_disk_are_replaced() {
    let out = tempfile::tempdir().unwrap();
    let base = batteuse_shared::location::url_of_dir(out.path()).unwrap();
    folders_are_replaced(&Site::new(base, Vec::new()));
}

#[test]
fn folders_of_s3_are_replaced() {
    let server = Seaweed::start();
    folders_are_replaced(&Site::new(server.bucket("grain"), server.env()));
}

#[test]
fn folders_of_azure_are_replaced() {
    let server = Azurite::start();
    folders_are_replaced(&Site::new(server.container("grain"), server.env()));
}

#[test]
fn a_run_into_folders_of_s3_is_as_one_onto_a_disk() {
    let server = Seaweed::start();
    super::runs::a_run_is_as_one_onto_a_disk(&Site::new(server.bucket("grain"), server.env()).in_folders());
}
