//! Tests of the journal: what is appended is read back, and nothing else is.

use std::fs;
use std::sync::{Arc, Barrier};
use std::thread;

use batteuse_shared::layout;
use batteuse_store::Disk;
use proptest::prelude::*;

use super::*;

struct Place {
    root: tempfile::TempDir,
    run: RunId,
}

impl Place {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), run: RunId::new("communes-1").unwrap() }
    }

    fn state(&self) -> StateFolder {
        StateFolder::new(Arc::new(Disk::new(self.root.path())), "")
    }

    fn read(&self) -> Result<Replayed<String>, JournalError> {
        Journal::read(&self.state(), &self.run)
    }

    fn open(&self) -> Journal {
        let position = self.read().unwrap().position;
        Journal::open(&self.state(), &self.run, Uuid::new_v4(), position).unwrap()
    }

    fn slot(&self, seq: u64) -> PathBuf {
        self.root.path().join(layout::journal_dir(&self.run)).join(layout::slot(seq))
    }

    /// Three slots: epochs 1, 1, 2; facts a, b+c, d.
    fn three_slots() -> Self {
        let place = Self::new();
        let mut journal = place.open();
        journal.append(Epoch(1), &["a"]).unwrap();
        journal.append(Epoch(1), &["b", "c"]).unwrap();
        journal.append(Epoch(2), &["d"]).unwrap();
        place
    }
}

fn facts(place: &Place) -> Vec<(u32, String)> {
    place.read().unwrap().facts.into_iter().map(|(epoch, fact)| (epoch.0, fact)).collect()
}

fn damage(read: Result<Replayed<String>, JournalError>) -> Damage {
    match read {
        Err(JournalError::Damaged { damage, .. }) => damage,
        other => panic!("damage was not seen: {other:?}"),
    }
}

fn unknown() -> Result<Created, CreateError> {
    Err(CreateError::Unknown(io::Error::other("the reply was lost")))
}

#[test]
fn facts_come_back_in_order_with_their_epochs() {
    let place = Place::three_slots();
    let want = [(1, "a"), (1, "b"), (1, "c"), (2, "d")].map(|(epoch, fact)| (epoch, fact.to_owned()));
    assert_eq!(facts(&place), want);
    let position = place.read().unwrap().position;
    assert_eq!((position.next_seq, position.epoch), (3, Some(Epoch(2))));
    let mut journal = place.open();
    assert_eq!(*journal.position(), position);
    journal.append::<String>(Epoch(2), &[]).unwrap();
    assert_eq!(journal.position().next_seq, 3);
    journal.append(Epoch(2), &["e"]).unwrap();
    assert_eq!(facts(&place).len(), 5);
    assert_eq!(place.read().unwrap().position, *journal.position());
}

#[test]
fn an_absent_folder_is_an_empty_journal() {
    let replayed = Place::new().read().unwrap();
    assert_eq!((replayed.facts, replayed.position), (vec![], Position::default()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn what_is_appended_is_read(slots in prop::collection::vec((0u32..3, prop::collection::vec(".{0,20}", 1..4)), 0..6)) {
        let place = Place::new();
        let mut journal = place.open();
        let (mut epoch, mut want) = (0, Vec::new());
        for (later, texts) in &slots {
            epoch += later;
            journal.append(Epoch(epoch), texts).unwrap();
            want.extend(texts.iter().map(|text| (epoch, text.clone())));
        }
        prop_assert_eq!(facts(&place), want);
        prop_assert_eq!(&place.read().unwrap().position, journal.position());
    }
}

#[test]
fn every_flipped_bit_is_seen() {
    let place = Place::three_slots();
    for seq in 0..3 {
        let good = fs::read(place.slot(seq)).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write(place.slot(seq), &bad).unwrap();
            match place.read() {
                Err(JournalError::Damaged { path, .. }) => assert_eq!(path, place.slot(seq)),
                other => panic!("slot {seq} bit {bit}: {other:?}"),
            }
        }
        fs::write(place.slot(seq), good).unwrap();
    }
    assert_eq!(facts(&place).len(), 4);
}

#[test]
fn a_slot_cut_short_or_longer_is_seen() {
    let place = Place::three_slots();
    let good = fs::read(place.slot(2)).unwrap();
    for bytes in 0..good.len() {
        fs::write(place.slot(2), &good[..bytes]).unwrap();
        assert!(matches!(damage(place.read()), Damage::Torn), "{bytes}");
    }
    fs::write(place.slot(2), [good.as_slice(), b"\n"].concat()).unwrap();
    assert!(matches!(damage(place.read()), Damage::Torn));
}

#[test]
fn missing_swapped_and_foreign_slots_are_seen() {
    let place = Place::three_slots();
    let kept = [0, 1, 2].map(|seq| fs::read(place.slot(seq)).unwrap());

    fs::remove_file(place.slot(1)).unwrap();
    let told = place.read().unwrap_err().to_string();
    assert!(told.contains(&layout::slot(1)) && told.contains("is missing") && told.contains("put back"), "{told}");

    fs::write(place.slot(1), &kept[2]).unwrap();
    assert!(matches!(damage(place.read()), Damage::Misplaced { seq: 2, .. }));

    let other = Place::three_slots();
    fs::copy(other.slot(1), place.slot(1)).unwrap();
    assert!(matches!(damage(place.read()), Damage::Chain), "a slot of another chain with the same run and place");

    fs::remove_file(place.slot(1)).unwrap();
    std::os::unix::fs::symlink(other.slot(1), place.slot(1)).unwrap();
    assert!(matches!(damage(place.read()), Damage::Unfit(ReadError::NotRegular)));

    fs::remove_file(place.slot(1)).unwrap();
    fs::write(place.slot(1), &kept[1]).unwrap();
    fs::write(place.slot(1).with_file_name(".batteuse-leftover.tmp"), "half").unwrap();
    assert_eq!(facts(&place).len(), 4);
    fs::write(place.slot(1).with_file_name("notes.txt"), "").unwrap();
    assert!(matches!(place.read(), Err(JournalError::Stray { .. })));
}

fn write_slot(place: &Place, seq: u64, edit: impl Fn(&str) -> String) {
    let bytes = fs::read(place.slot(seq)).unwrap();
    let line = edit(std::str::from_utf8(&bytes[..bytes.len() - TAIL_BYTES]).unwrap());
    let crc = crc32c::crc32c(line.as_bytes());
    fs::write(place.slot(seq), format!("{line}\n{crc:08x}\n")).unwrap();
}

#[test]
fn whole_slots_that_make_no_sense_are_refused() {
    let with = |from: &'static str, to: &'static str| {
        let place = Place::three_slots();
        write_slot(&place, 2, |line| {
            assert!(line.contains(from), "{line}");
            line.replacen(from, to, 1)
        });
        place.read().unwrap_err()
    };
    assert!(matches!(with(r#""format":1"#, r#""format":2"#), JournalError::Format { found: 2, .. }));
    let newer = with(r#""format":1,"run":"communes-1""#, r#""format":2,"job":7"#);
    assert!(matches!(newer, JournalError::Format { found: 2, .. }), "{newer}");
    for (from, to) in [(r#"["d"]"#, r#"[{"Later":1}]"#), (r#""facts""#, r#""truths""#), (r#""format":1,"#, "")] {
        let refused = with(from, to);
        assert!(matches!(refused, JournalError::Damaged { damage: Damage::Undecodable(_), .. }), "{refused}");
    }
    let refused = with(r#""epoch":2"#, r#""epoch":0"#);
    let damage = Damage::EpochWentBack { found: Epoch(0), known: Epoch(1) };
    assert!(refused.to_string().contains(&damage.to_string()), "{refused}");
    assert!(with(r#"communes-1"#, r#"communes-2"#).to_string().contains("communes-2"));
}

#[test]
fn one_of_sixteen_writers_gets_the_slot() {
    let place = Place::three_slots();
    let (barrier, position) = (Barrier::new(16), place.read().unwrap().position);
    let outcomes: Vec<(Uuid, Result<(), AppendError>)> = thread::scope(|scope| {
        let writers: Vec<_> = (0..16)
            .map(|i| {
                let (place, barrier, position) = (&place, &barrier, position.clone());
                scope.spawn(move || {
                    let writer = Uuid::new_v4();
                    let mut journal = Journal::open(&place.state(), &place.run, writer, position).unwrap();
                    barrier.wait();
                    let first = journal.append(Epoch(3 + i), &["mine"]);
                    let second = journal.append(Epoch(3 + i), &["more"]);
                    assert_eq!(first.is_ok(), second.is_ok(), "a fenced journal stays fenced");
                    (writer, first)
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let won: Vec<&Uuid> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(writer, _)| writer).collect();
    assert_eq!(won.len(), 1);
    for (_, outcome) in outcomes.iter().filter(|(_, outcome)| outcome.is_err()) {
        let Err(AppendError::Conflict { seq: 3, writer, epoch }) = outcome else { panic!("{outcome:?}") };
        assert_eq!((writer, Some(*epoch)), (&won[0].to_string(), place.read().unwrap().position.epoch));
    }
    assert_eq!(facts(&place).len(), 6);
}

/// A journal whose next slot is pending with the fact "x", and the bytes of that slot.
fn pending(place: &Place) -> (Journal, Vec<u8>) {
    let mut journal = place.open();
    let nonce = Uuid::new_v4().to_string();
    let bytes = journal.encode(Epoch(2), &nonce, &["x"]).unwrap();
    journal.pending = Some(Pending { epoch: Epoch(2), nonce, bytes: bytes.clone(), in_doubt: false });
    (journal, bytes)
}

#[test]
fn a_slot_with_my_nonce_is_mine_whatever_the_reply_was() {
    for reply in [unknown, || Ok(Created::Exists)] {
        let place = Place::three_slots();
        let (mut journal, bytes) = pending(&place);
        fs::write(place.slot(3), &bytes).unwrap();
        journal.conclude(reply()).unwrap();
        journal.append(Epoch(2), &["y"]).unwrap();
        assert_eq!(facts(&place)[4..], [(2, "x".to_owned()), (2, "y".to_owned())]);
    }
}

#[test]
fn an_unknown_slot_is_settled_before_the_next_and_never_written_twice() {
    // Landed: whether the slot turns up later or not at all, the same facts are a retry and others follow it.
    for landed in [false, true] {
        for retry in [false, true] {
            let place = Place::three_slots();
            let (mut journal, bytes) = pending(&place);
            assert!(matches!(journal.conclude(unknown()), Err(AppendError::Unknown { .. })));
            // A later certain failure does not make the earlier try certain.
            let full = Err(CreateError::NotWritten(io::Error::other("disk full")));
            assert!(matches!(journal.conclude(full), Err(AppendError::Unknown { .. })));
            if landed {
                fs::write(place.slot(3), &bytes).unwrap();
            }
            if retry {
                journal.append(Epoch(2), &["x"]).unwrap();
                journal.settle().unwrap();
            }
            journal.append(Epoch(2), &["y"]).unwrap();
            assert_eq!(facts(&place)[4..], [(2, "x".to_owned()), (2, "y".to_owned())], "{landed} {retry}");
            assert_eq!(fs::read(place.slot(3)).unwrap(), bytes);
        }
    }
}

#[test]
fn an_unknown_slot_that_a_rival_got_is_a_conflict() {
    let place = Place::three_slots();
    let (mut journal, _) = pending(&place);
    assert!(matches!(journal.conclude(unknown()), Err(AppendError::Unknown { .. })));
    place.open().append(Epoch(9), &["theirs"]).unwrap();
    for _ in 0..2 {
        let lost = journal.append(Epoch(2), &["x"]);
        assert!(matches!(lost, Err(AppendError::Conflict { seq: 3, epoch: Epoch(9), .. })), "{lost:?}");
    }
    assert_eq!(facts(&place)[4..], [(9, "theirs".to_owned())]);
}

#[test]
fn a_damaged_slot_in_the_way_is_neither_mine_nor_theirs() {
    let place = Place::three_slots();
    let (mut journal, _) = pending(&place);
    fs::write(place.slot(3), "half a slot").unwrap();
    for _ in 0..2 {
        let unclear = journal.append(Epoch(2), &["x"]);
        assert!(matches!(unclear, Err(AppendError::Unreadable(JournalError::Damaged { .. }))), "{unclear:?}");
    }
    assert_eq!(fs::read(place.slot(3)).unwrap(), b"half a slot");
}

#[test]
fn what_certainly_was_not_written_is_forgotten() {
    let place = Place::three_slots();
    let mut journal = place.open();
    let (dir, aside) = (place.slot(0).parent().unwrap().to_owned(), place.root.path().join("aside"));
    fs::rename(&dir, &aside).unwrap();
    assert!(matches!(journal.append(Epoch(2), &["lost"]), Err(AppendError::Io { .. })));
    fs::rename(&aside, &dir).unwrap();
    let late = journal.append(Epoch(1), &["late"]);
    assert!(matches!(late, Err(AppendError::EpochWentBack { epoch: Epoch(1), known: Epoch(2) })), "{late:?}");
    journal.append(Epoch(2), &["kept"]).unwrap();
    assert_eq!(facts(&place)[4..], [(2, "kept".to_owned())]);
}

#[test]
fn runs_are_listed_in_order() {
    let place = Place::new();
    assert_eq!(place.state().runs().unwrap(), []);
    for name in ["b-1", "a-2", "Not a run"] {
        fs::create_dir_all(place.root.path().join("runs").join(name)).unwrap();
    }
    let runs = place.state().runs().unwrap();
    assert_eq!(runs.iter().map(RunId::as_str).collect::<Vec<_>>(), ["a-2", "b-1"]);
    assert!(layout::journal_dir(&runs[0]).starts_with("runs/a-2/"));
}
