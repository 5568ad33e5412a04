//! What a scripted server does wrong, and when: rules on the operation, the key and the number of the call; and the log of what it
//! was asked.
//!
//! Invariant: a rule counts the calls that it is about and how often it struck; one that never did, or not as often as it was to,
//! fails the test.

use std::ops::Range;
use std::sync::{Arc, Mutex};

/// What is asked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Put,
    Get,
    Head,
    Delete,
    /// Of many objects at once: its key is empty.
    DeleteMany,
    /// Its key is the prefix.
    List,
    /// Of an upload.
    Begin,
    Part,
    Complete,
    Abort,
}

/// What it does wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Answers with a status and the code of an error, having carried out what was asked or not. With 200 it is an error in the
    /// body of what looks like success.
    Reply { applied: bool, status: u16, code: &'static str },
    /// Closes the connection without a reply, having carried out what was asked or not.
    Close { applied: bool },
    /// Forgets all uploads to the key first, as a lifecycle rule does.
    Expire,
    /// Another writer replaces the object first.
    Overtake(&'static [u8]),
    /// Answers no call before so many are waiting.
    Together(usize),
    /// Sends so many bytes of the object, then breaks the connection.
    Cut(usize),
    /// Sends so many bytes of the object as if they were all.
    Short(usize),
    /// Sends the object with the lowest bit of this byte flipped.
    Flip(usize),
}

/// Refused, with nothing done.
pub const fn refused(status: u16, code: &'static str) -> Fault {
    Fault::Reply { applied: false, status, code }
}

/// Done, and yet answered with an error.
pub const fn done_but(status: u16, code: &'static str) -> Fault {
    Fault::Reply { applied: true, status, code }
}

/// The usual way to say: later.
pub const BUSY: Fault = refused(503, "SlowDown");

/// Of a rule that strikes as often as there are calls.
pub const EVER: Range<usize> = 0..usize::MAX;

struct Rule {
    op: Op,
    key: String,
    calls: Range<usize>,
    fault: Fault,
    seen: usize,
    struck: usize,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub op: Op,
    pub key: String,
    /// What was done wrong.
    pub fault: Option<Fault>,
}

#[derive(Default)]
struct Acts {
    rules: Vec<Rule>,
    log: Vec<Call>,
}

/// Shared by the server and the test.
#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<Acts>>);

impl Script {
    /// From now on `fault` strikes the calls, counted from here and from 0, of `op` on keys that hold `key`. Of several rules for
    /// one call the first strikes; all count it.
    pub fn rule(&self, op: Op, key: &str, calls: Range<usize>, fault: Fault) {
        self.0.lock().unwrap().rules.push(Rule { op, key: key.to_owned(), calls, fault, seen: 0, struck: 0 });
    }

    /// Notes a call; what to do wrong.
    pub fn next(&self, op: Op, key: &str) -> Option<Fault> {
        let mut acts = self.0.lock().unwrap();
        let mut fault = None;
        for rule in acts.rules.iter_mut().filter(|rule| rule.op == op && key.contains(&rule.key)) {
            if fault.is_none() && rule.calls.contains(&rule.seen) {
                rule.struck += 1;
                fault = Some(rule.fault.clone());
            }
            rule.seen += 1;
        }
        acts.log.push(Call { op, key: key.to_owned(), fault: fault.clone() });
        fault
    }

    pub fn log(&self) -> Vec<Call> {
        self.0.lock().unwrap().log.clone()
    }

    /// Ends all rules.
    ///
    /// # Panics
    /// When one did not strike as often as it was to.
    #[track_caller]
    pub fn close(&self) {
        for rule in std::mem::take(&mut self.0.lock().unwrap().rules) {
            let wanted = if rule.calls.end == usize::MAX { rule.struck.max(1) } else { rule.calls.len() };
            let Rule { op, key, fault, seen, struck, .. } = &rule;
            assert_eq!(*struck, wanted, "{fault:?} on {op:?} of {key:?} struck so often, in {seen} calls");
        }
    }
}
