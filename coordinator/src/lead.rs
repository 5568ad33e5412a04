//! Who leads: of all coordinators on one state store one acts, the others wait to take over.
//!
//! To lead is a hint (LEASE-IS-HINT): two that both believe it harm nobody, since every slot of a journal has one writer. It only spares
//! them to race for each slot. The leader's record is replaced with each beat, on condition that it is still the one last seen; a record
//! that stands still for as long as a leader may be silent, by the watch of who waits, is taken over. No clock is compared with
//! another's. Pure: the shell reads and writes the record.

use batteuse_shared::limits::LEADER_BEATS_MISSED_MAX;
use batteuse_shared::time::Millis;
use serde::{Deserialize, Serialize};

/// What the state store says of the leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leader {
    /// Which leader, from 1 on: raised by one at every take-over.
    pub term: u64,
    /// Names its process.
    pub writer: String,
    /// Where it can be reached, for those who wait and for people.
    pub url: String,
    /// Grows while it lives.
    pub beat: u64,
    /// How often it does. Milliseconds.
    pub beat_ms: u64,
    /// Whether it has left in order: nobody needs to wait.
    pub left: bool,
}

impl Leader {
    /// The text that stands in the store: of equal records the same.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("plain values with text keys serialise")
    }
}

/// A record to be written in the place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// What must still stand there; none: nothing does.
    pub before: Option<Leader>,
    /// What is to stand there.
    pub record: Leader,
}

/// Where a coordinator stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Somebody else leads, or nobody yet.
    Waiting,
    /// This one leads.
    Leading,
    /// It led, and another one does now: it must do nothing more.
    Deposed,
}

/// One coordinator's view.
#[derive(Debug)]
pub struct Lead {
    writer: String,
    url: String,
    beat_ms: u64,
    standing: Standing,
    /// The record last seen or written, and since when it has stood there, by the watch of this process.
    seen: Option<(Option<Leader>, Millis)>,
}

impl Lead {
    /// A coordinator that has looked at nothing yet, and will beat so often. Milliseconds.
    #[must_use]
    pub fn new(writer: &str, url: &str, beat_ms: u64) -> Self {
        let (writer, url) = (writer.to_owned(), url.to_owned());
        Self { writer, url, beat_ms, standing: Standing::Waiting, seen: None }
    }

    /// Where it stands.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The leader, as far as is known.
    #[must_use]
    pub fn leader(&self) -> Option<&Leader> {
        self.seen.as_ref().and_then(|(record, _)| record.as_ref())
    }

    /// `found` stands in the store now: what to write, if anything.
    #[must_use]
    pub fn look(&mut self, found: Option<Leader>, now: Millis) -> Option<Write> {
        let own = found.as_ref().is_some_and(|record| record.writer == self.writer);
        match (&self.standing, own) {
            (Standing::Deposed, _) => None,
            (Standing::Leading, false) => {
                self.standing = Standing::Deposed;
                None
            }
            // What was written with an unclear reply stands there, too.
            (_, true) => {
                (self.standing, self.seen) = (Standing::Leading, Some((found, now)));
                self.next_beat(false)
            }
            (Standing::Waiting, false) => self.wait(found, now),
        }
    }

    fn wait(&mut self, found: Option<Leader>, now: Millis) -> Option<Write> {
        let since = match &self.seen {
            Some((seen, since)) if *seen == found => *since,
            _ => now,
        };
        self.seen = Some((found.clone(), since));
        let free = found.as_ref().is_none_or(|record| record.left);
        let patience = found.as_ref().map_or(0, |record| record.beat_ms.saturating_mul(LEADER_BEATS_MISSED_MAX));
        if !free && now.since(since) < patience {
            return None;
        }
        let term = found.as_ref().map_or(0, |record| record.term) + 1;
        let (writer, url, beat_ms) = (self.writer.clone(), self.url.clone(), self.beat_ms);
        let record = Leader { term, writer, url, beat: 0, beat_ms, left: false };
        Some(Write { before: found, record })
    }

    /// The record of a leader that lives, or that leaves in order.
    fn next_beat(&self, left: bool) -> Option<Write> {
        let before = self.leader()?.clone();
        let record = Leader { beat: before.beat + 1, left, ..before.clone() };
        Some(Write { before: Some(before), record })
    }

    /// The last record of a leader that leaves in order.
    #[must_use]
    pub fn leave(&self) -> Option<Write> {
        if self.standing == Standing::Leading { self.next_beat(true) } else { None }
    }

    /// `record` was written (`done`), or something else stood there: the next look tells what that means, as it does of what is unclear.
    pub fn wrote(&mut self, record: Leader, done: bool, now: Millis) {
        // Who takes over leads once its record still stands at the next look: on a disk two that write at once may both be told that they
        // did. Who leads and was refused may have met its own earlier write: the next look tells.
        if done && self.standing != Standing::Deposed {
            self.seen = Some((Some(record), now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: u64 = 1_000;

    fn lead(name: &str) -> Lead {
        Lead::new(name, "http://here", BEAT)
    }

    /// Looks at `store`, and writes what is wanted if it still stands as it was seen.
    fn turn(lead: &mut Lead, store: &mut Option<Leader>, at: u64) -> bool {
        let Some(Write { before, record }) = lead.look(store.clone(), Millis(at)) else { return false };
        let done = before == *store;
        if done {
            *store = Some(record.clone());
        }
        lead.wrote(record, done, Millis(at));
        done
    }

    #[test]
    fn the_first_one_leads_and_the_second_waits_for_its_silence() {
        let (mut store, mut a, mut b) = (None, lead("a"), lead("b"));
        assert!(turn(&mut a, &mut store, 0));
        assert_eq!(a.standing(), &Standing::Waiting, "until it has seen that its record stands");
        assert!(turn(&mut a, &mut store, 0));
        assert_eq!((a.standing(), a.leader().map(|leader| leader.term)), (&Standing::Leading, Some(1)));
        for at in 0..20 {
            assert!(turn(&mut a, &mut store, at * BEAT), "it beats");
            assert!(!turn(&mut b, &mut store, at * BEAT), "nobody takes over from one that beats");
        }
        let silent_since = 19 * BEAT;
        let patience = LEADER_BEATS_MISSED_MAX * BEAT;
        assert!(!turn(&mut b, &mut store, silent_since + patience - 1));
        assert!(turn(&mut b, &mut store, silent_since + patience));
        assert!(turn(&mut b, &mut store, silent_since + patience));
        assert_eq!((b.standing(), b.leader().map(|leader| leader.term)), (&Standing::Leading, Some(2)));
        assert!(!turn(&mut a, &mut store, silent_since + patience), "it was only stalled, and is deposed");
        assert_eq!(a.standing(), &Standing::Deposed);
        assert!(!turn(&mut a, &mut None, 1_000_000), "for ever");
    }

    #[test]
    fn nobody_waits_for_one_that_has_left() {
        let (mut store, mut a, mut b) = (None, lead("a"), lead("b"));
        turn(&mut a, &mut store, 0);
        turn(&mut a, &mut store, 0);
        let Write { before, record } = a.leave().unwrap();
        assert_eq!(before, store);
        store = Some(record);
        assert!(turn(&mut b, &mut store, 1) && turn(&mut b, &mut store, 1));
        assert_eq!(b.leave().map(|write| write.record.left), Some(true));
        assert_eq!(lead("c").leave(), None);
    }

    #[test]
    fn what_was_written_with_an_unclear_reply_is_found() {
        let (mut store, mut a) = (None, lead("a"));
        store = a.look(store, Millis(0)).map(|write| write.record);
        assert_eq!(a.standing(), &Standing::Waiting);
        assert!(turn(&mut a, &mut store, 1), "it leads, and beats");
        store = a.look(store, Millis(2)).map(|write| write.record);
        assert!(turn(&mut a, &mut store, 3));
        assert_eq!(a.leader().map(|leader| (leader.term, leader.beat)), Some((1, 3)));
    }

    #[test]
    fn of_two_that_take_over_at_once_one_leads() {
        let dead = Leader { term: 7, writer: "x".to_owned(), url: String::new(), beat: 3, beat_ms: BEAT, left: true };
        let (mut store, mut a, mut b) = (Some(dead), lead("a"), lead("b"));
        let wanted = b.look(store.clone(), Millis(0)).unwrap();
        assert!(turn(&mut a, &mut store, 0));
        // On a disk it may be told that it wrote, too: what stands there decides.
        b.wrote(wanted.record, true, Millis(0));
        turn(&mut a, &mut store, 1);
        turn(&mut b, &mut store, 1);
        assert_eq!((a.standing(), b.standing()), (&Standing::Leading, &Standing::Waiting));
    }
}
