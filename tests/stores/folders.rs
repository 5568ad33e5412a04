//! The contract of a folder.

use std::io::Write;
use std::sync::Barrier;

use batteuse_shared::limits::UPLOAD_PART_BYTES;
use batteuse_shared::table::Checksum;
use batteuse_shared::task::Upload;
use batteuse_store::{Created, Folder, Kind, PublishError, ReadError, WriteError, tree};
use sha2::{Digest as _, Sha256};

use super::{Ground, files};

/// All of it.
fn must_hold(ground: &Ground) {
    let folder = &*ground.folder;
    names_are_made_once(folder);
    one_of_sixteen_makes_a_name(folder);
    texts_are_written_again_only_alike(folder);
    a_text_is_replaced_by_who_knows_it(folder);
    files_are_read_whole_and_in_ranges(folder);
    listings_tell_files_from_folders(folder);
    nothing_staged_is_seen_before_it_is_published(folder);
    long_files_are_staged_in_parts(folder);
    what_is_dropped_or_discarded_leaves_nothing(folder);
    of_two_attempts_the_published_one_is_there(folder);
    readable_files_are_read_by_their_names(folder);
    a_tree_is_removed_whole(folder);
    folders_by_values_are_told_whole(folder);
}

#[test]
fn in_memory() {
    must_hold(&Ground::memory());
}

#[test]
fn on_a_disk() {
    must_hold(&Ground::disk());
}

#[test]
fn in_s3() {
    must_hold(&Ground::s3());
}

#[test]
fn in_azure() {
    must_hold(&Ground::azure());
}

fn names_are_made_once(folder: &dyn Folder) {
    folder.make("once").unwrap();
    assert_eq!(folder.create_if_absent("once/a", b"one").unwrap(), Created::Done);
    for again in [b"one".as_slice(), b"two"] {
        assert_eq!(folder.create_if_absent("once/a", again).unwrap(), Created::Exists);
    }
    assert_eq!(folder.read("once/a", 3).unwrap().unwrap(), b"one");
    folder.secure("once").unwrap();
    folder.sweep("once").unwrap();
}

fn one_of_sixteen_makes_a_name(folder: &dyn Folder) {
    folder.make("race").unwrap();
    let barrier = Barrier::new(16);
    let race = |i: usize| {
        let mine = format!("writer {i}");
        barrier.wait();
        // `Exists` is no proof that another won: the client's own retry may have met its success.
        _ = folder.create_if_absent("race/slot", mine.as_bytes());
        let there = folder.read("race/slot", 100).unwrap().expect("somebody has won");
        let won = there == mine.as_bytes();
        (String::from_utf8(there).unwrap(), won)
    };
    let made: Vec<(String, bool)> = std::thread::scope(|scope| {
        let race = &race;
        let writers: Vec<_> = (0..16).map(|i| scope.spawn(move || race(i))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert_eq!(made.iter().filter(|(_, won)| *won).count(), 1, "{made:?}");
    assert!(made.iter().all(|(there, _)| *there == made[0].0), "all read one content: {made:?}");
}

fn texts_are_written_again_only_alike(folder: &dyn Folder) {
    folder.make("texts").unwrap();
    for _ in 0..2 {
        folder.write_if_absent_or_equal("texts/report.json", b"{}\n").unwrap();
    }
    for other in [b"{ }\n".as_slice(), b"{}", b""] {
        let refused = folder.write_if_absent_or_equal("texts/report.json", other);
        assert!(matches!(refused, Err(WriteError::Different)), "{refused:?}");
    }
    assert_eq!(folder.read("texts/report.json", 10).unwrap().unwrap(), b"{}\n");
}

fn a_text_is_replaced_by_who_knows_it(folder: &dyn Folder) {
    let sha256 = |text: &[u8]| Checksum(Sha256::digest(text).into());
    let texts = [b"first".as_slice(), b"second", b"third"];
    folder.write_if_absent_or_equal("switched", texts[0]).unwrap();
    for pair in texts.windows(2) {
        for _ in 0..2 {
            folder.replace("switched", &sha256(pair[0]), pair[1]).unwrap();
            assert_eq!(folder.read("switched", 9).unwrap().unwrap(), pair[1]);
        }
    }
    for (before, wanted) in [(0, 1), (1, 0)] {
        let late = folder.replace("switched", &sha256(texts[before]), texts[wanted]);
        assert!(matches!(late, Err(WriteError::Different)), "{late:?}");
    }
    assert_eq!(folder.read("switched", 9).unwrap().unwrap(), texts[2]);
    folder.discard("switched", None).unwrap();
    folder.replace("switched", &sha256(texts[2]), texts[0]).unwrap();
    assert_eq!(folder.read("switched", 9).unwrap().unwrap(), texts[0]);
}

fn files_are_read_whole_and_in_ranges(folder: &dyn Folder) {
    folder.make("read").unwrap();
    folder.create_if_absent("read/digits", b"0123456789").unwrap();
    assert_eq!(folder.read("read/digits", 10).unwrap().unwrap(), b"0123456789");
    assert!(matches!(folder.read("read/digits", 9), Err(ReadError::TooLarge { bytes: 10 })));
    assert!(folder.read("read/none", 9).unwrap().is_none() && folder.size("read/none").unwrap().is_none());
    assert_eq!(folder.size("read/digits").unwrap(), Some(10));
    assert_eq!(&folder.read_range("read/digits", 3, 4).unwrap()[..], b"3456");
    assert_eq!(&folder.read_range("read/digits", 9, 1).unwrap()[..], b"9");
    for (offset, bytes) in [(8, 3), (10, 1), (99, 1)] {
        assert!(folder.read_range("read/digits", offset, bytes).is_err(), "{offset} {bytes}");
    }
    assert!(folder.read_range("read/none", 0, 1).is_err());
}

fn listings_tell_files_from_folders(folder: &dyn Folder) {
    assert!(folder.list("list").unwrap().is_none() && folder.kind("list").unwrap().is_none());
    folder.make("list/deep/er").unwrap();
    folder.create_if_absent("list/file", b"1").unwrap();
    folder.create_if_absent("list/deep/er/file", b"2").unwrap();
    let mut found = folder.list("list").unwrap().unwrap();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let found: Vec<_> = found.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect();
    assert_eq!(found, [("deep", Kind::Folder), ("file", Kind::File)]);
    assert_eq!(folder.kind("list").unwrap(), Some(Kind::Folder));
    assert_eq!(folder.kind("list/file").unwrap(), Some(Kind::File));
    assert!(
        folder.place("list/file").to_string_lossy().ends_with("out/list/file") || !folder.has_uploads() || {
            folder.place("list/file").to_string_lossy().starts_with("memory:")
        }
    );
}

/// Stages `bytes`; the upload that holds them, where there is one.
fn stage(folder: &dyn Folder, staged: &str, published: &str, bytes: &[u8]) -> Option<Upload> {
    let mut file = folder.stage(staged, published).unwrap();
    file.write_all(bytes).unwrap();
    let sealed = file.seal().unwrap();
    assert_eq!(sealed, (bytes.len() as u64, Checksum(Sha256::digest(bytes).into())));
    let upload = file.keep();
    assert_eq!(upload.is_some(), folder.has_uploads());
    upload
}

fn nothing_staged_is_seen_before_it_is_published(folder: &dyn Folder) {
    folder.make("staging").unwrap();
    let upload = stage(folder, "staging/a.tmp", "a.parquet", b"rows");
    assert!(folder.kind("a.parquet").unwrap().is_none(), "VISIBLE-IS-DECIDED");
    let pending = || folder.pending_uploads().unwrap().map(|all| all.iter().filter(|u| u.key == "a.parquet").count());
    assert!(pending().is_none_or(|pending| pending == 1));
    if folder.has_uploads() {
        assert!(folder.list("staging").unwrap().is_none(), "an upload has no name");
    }
    for _ in 0..2 {
        folder.publish("staging/a.tmp", upload.as_ref(), "a.parquet", 4).unwrap();
        assert_eq!(folder.read("a.parquet", 9).unwrap().unwrap(), b"rows");
    }
    folder.secure("").unwrap();
    assert!(pending().is_none_or(|pending| pending == 0));
    let changed = folder.publish("staging/a.tmp", upload.as_ref(), "a.parquet", 5);
    assert!(matches!(changed, Err(PublishError::Changed { .. } | PublishError::Foreign)), "{changed:?}");
}

fn long_files_are_staged_in_parts(folder: &dyn Folder) {
    folder.make("staging").unwrap();
    for bytes in [UPLOAD_PART_BYTES, 2 * UPLOAD_PART_BYTES + 12_345] {
        let content: Vec<u8> = (0..bytes).map(|i| ((i * i) >> 7) as u8).collect();
        let (staged, published) = (format!("staging/{bytes}.tmp"), format!("long-{bytes}"));
        let upload = stage(folder, &staged, &published, &content);
        let parts = upload.as_ref().map(|upload| upload.parts.len());
        assert!(parts.is_none_or(|parts| parts == bytes.div_ceil(UPLOAD_PART_BYTES)), "{parts:?}");
        folder.publish(&staged, upload.as_ref(), &published, bytes as u64).unwrap();
        assert!(folder.read(&published, bytes as u64).unwrap().unwrap() == content);
    }
}

fn what_is_dropped_or_discarded_leaves_nothing(folder: &dyn Folder) {
    folder.make("gone").unwrap();
    let mut dropped = folder.stage("gone/a.tmp", "gone-a").unwrap();
    dropped.write_all(&vec![7; UPLOAD_PART_BYTES + 1]).unwrap();
    drop(dropped);
    let upload = stage(folder, "gone/b.tmp", "gone-b", b"rows");
    for _ in 0..2 {
        folder.discard("gone/b.tmp", upload.as_ref()).unwrap();
    }
    assert!(folder.list("gone").unwrap().unwrap_or_default().is_empty());
    assert!(folder.kind("gone-a").unwrap().is_none() && folder.kind("gone-b").unwrap().is_none());
    if upload.as_ref().is_none_or(|upload| !upload.id.is_empty()) {
        // Where uploads have no id, nothing can be taken back: it runs out by itself.
        let gone = folder.publish("gone/b.tmp", upload.as_ref(), "gone-b", 4);
        assert!(matches!(gone, Err(PublishError::Gone | PublishError::Io(_))), "{gone:?}");
        assert!(folder.kind("gone-b").unwrap().is_none());
    }
}

fn of_two_attempts_the_published_one_is_there(folder: &dyn Folder) {
    folder.make("two").unwrap();
    let first = stage(folder, "two/first.tmp", "two.parquet", b"first");
    let second = stage(folder, "two/second.tmp", "two.parquet", b"second");
    folder.publish("two/first.tmp", first.as_ref(), "two.parquet", 5).unwrap();
    folder.discard("two/second.tmp", second.as_ref()).unwrap();
    assert_eq!(folder.read("two.parquet", 9).unwrap().unwrap(), b"first");
}

fn readable_files_are_read_by_their_names(folder: &dyn Folder) {
    folder.make("pieces").unwrap();
    for bytes in [0, 10, UPLOAD_PART_BYTES + 1] {
        let (path, content) = (format!("pieces/{bytes}.tmp"), vec![b'x'; bytes]);
        let mut file = folder.stage_readable(&path).unwrap();
        file.write_all(&content).unwrap();
        assert_eq!(file.seal().unwrap().0, bytes as u64);
        assert_eq!(file.keep(), None);
        assert!(folder.read(&path, bytes as u64).unwrap().unwrap() == content);
        folder.discard(&path, None).unwrap();
        assert!(folder.kind(&path).unwrap().is_none());
    }
}

fn a_tree_is_removed_whole(folder: &dyn Folder) {
    folder.make("tree/below").unwrap();
    folder.make("trees").unwrap();
    for name in ["tree/a", "tree/below/b", "trees/c"] {
        folder.create_if_absent(name, b"").unwrap();
    }
    for _ in 0..2 {
        folder.remove_all("tree").unwrap();
        assert_eq!(files(folder, "tree"), [""; 0]);
    }
    assert_eq!(folder.kind("trees/c").unwrap(), Some(Kind::File), "a name that begins alike is another");
}

/// Names as they are escaped, and some that stores write in other ways in their requests.
const BY_VALUES: [&str; 9] = [
    "k=a%2Fb",
    "k=a%252Fb",
    "k=.%2E",
    "k= a b ",
    "k=é日",
    "k=a+b&c;d,e",
    "k=a~b<c>|$@!`}",
    "a=1/b=2/c=3/d=4",
    "k=%01%7F",
];

fn folders_by_values_are_told_whole(folder: &dyn Folder) {
    let before = |entry: &batteuse_store::Entry| entry.name.contains('=');
    assert!(!tree(folder).unwrap().unwrap().iter().any(before));
    let mut wanted = Vec::new();
    for (nth, name) in BY_VALUES.iter().enumerate() {
        let path = format!("{name}/part-{nth}.parquet");
        folder.make(name).unwrap();
        folder.make("staged").unwrap();
        let mut file = folder.stage(&format!("staged/{nth}.tmp"), &path).unwrap();
        file.write_all(name.as_bytes()).unwrap();
        let (bytes, _) = file.seal().unwrap();
        let upload = file.keep();
        folder.publish(&format!("staged/{nth}.tmp"), upload.as_ref(), &path, bytes).unwrap();
        folder.secure(name).unwrap();
        assert_eq!(folder.read(&path, 1_000).unwrap().unwrap(), name.as_bytes(), "{name}");
        wanted.push(path);
    }
    let told = || {
        let mut told = tree(folder).unwrap().unwrap();
        told.retain(before);
        told.sort_by(|one, other| one.name.cmp(&other.name));
        assert!(told.iter().all(|entry| entry.kind == Kind::File), "{told:?}");
        told.into_iter().map(|entry| entry.name).collect::<Vec<_>>()
    };
    wanted.sort();
    assert_eq!(told(), wanted);
    for path in &wanted {
        let (name, _) = path.rsplit_once('/').unwrap();
        folder.remove_empty(name).unwrap();
        assert!(folder.size(path).unwrap().is_some(), "{path}: what lies in it keeps a folder");
        folder.discard(path, None).unwrap();
        folder.remove_empty(name).unwrap();
        folder.remove_empty(name).unwrap();
    }
    assert_eq!(told(), [""; 0]);
}
