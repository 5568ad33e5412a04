//! A journal whose slots come short, are altered or are gone: it is never guessed at.

use batteuse_coordinator::journal::{AppendError, Damage, JournalError};

use super::journals::{FIRST, Notebook, SECOND};
use crate::support::scripted::{Fault, Op};

fn book_of_two() -> Notebook {
    let mut book = Notebook::new();
    book.append("second").unwrap();
    book
}

/// The slot that is called damaged, and how.
#[track_caller]
fn damage(read: Result<Vec<String>, JournalError>) -> (String, Damage) {
    match read {
        Err(JournalError::Damaged { path, damage }) => (path.display().to_string(), damage),
        other => panic!("no damage is found: {other:?}"),
    }
}

/// Every byte of every slot.
#[test]
fn a_flipped_bit_is_damage_and_names_its_slot() {
    let book = book_of_two();
    for slot in [FIRST, SECOND] {
        let key = book.key(slot);
        let before = book.scene.server.objects();
        for byte in 0..before[&key].len() {
            book.scene.server.rot(&key, byte, byte as u32 % 8);
            let (path, damage) = damage(book.read());
            assert!(path.ends_with(slot), "byte {byte}: {path}");
            assert!(matches!(damage, Damage::Torn), "byte {byte}: {damage:?}");
            book.scene.server.rot(&key, byte, byte as u32 % 8);
        }
        assert!(book.scene.server.objects() == before, "nothing was changed");
    }
    book.must_hold(&["first", "second"]);
}

#[test]
fn a_bit_flipped_on_its_way_stops_one_reader_only() {
    let book = book_of_two();
    book.scene.server.fault(Op::Get, SECOND, 0..1, Fault::Flip(40));
    assert!(damage(book.read()).0.ends_with(SECOND));
    book.must_hold(&["first", "second"]);
}

#[test]
fn a_slot_that_is_gone_is_missed() {
    let book = book_of_two();
    book.scene.server.lose(&book.key(FIRST));
    let (path, damage) = damage(book.read());
    assert!(path.ends_with(FIRST) && matches!(damage, Damage::Missing), "{path}: {damage:?}");
    book.scene.server.must_have_removed_nothing();
}

#[test]
fn a_slot_cut_short_is_not_read() {
    let book = book_of_two();
    let bytes = book.scene.server.objects()[&book.key(SECOND)].len();
    // Broken off: the client asks for the rest. Short of that, it is an error, and no damage.
    book.scene.server.fault(Op::Get, SECOND, 0..1, Fault::Cut(bytes / 2));
    assert_eq!(book.read().unwrap(), ["first", "second"]);
    book.scene.server.fault(Op::Get, SECOND, 0..1, Fault::Cut(bytes / 2));
    book.scene.server.fault(Op::Get, SECOND, 1..2, Fault::Short(1));
    let short = book.read();
    assert!(matches!(short, Err(JournalError::Io { .. })), "{short:?}");
    // A store that says that this is all.
    for kept in [0, 1, bytes / 2, bytes - 1] {
        book.scene.server.fault(Op::Get, SECOND, 0..1, Fault::Short(kept));
        let (path, damage) = damage(book.read());
        assert!(path.ends_with(SECOND) && matches!(damage, Damage::Torn), "{path}: {damage:?}");
    }
    book.must_hold(&["first", "second"]);
}

/// What is read back after an unclear reply is damaged: it is no rival's slot, and not nothing either.
#[test]
fn a_damaged_slot_is_nobodys() {
    for fault in [Fault::Flip(40), Fault::Short(9)] {
        let mut book = Notebook::new();
        book.scene.server.fault(Op::Put, SECOND, 0..1, Fault::Close { applied: true });
        book.scene.server.fault(Op::Get, SECOND, 0..1, fault);
        let unreadable = book.append("second");
        assert!(matches!(unreadable, Err(AppendError::Unreadable(JournalError::Damaged { .. }))), "{unreadable:?}");
        book.append("second").unwrap();
        book.must_hold(&["first", "second"]);
    }
}
