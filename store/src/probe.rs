//! What a store must do to hold runs: tried on the store itself, said in words.
//!
//! Invariant: it leaves nothing behind but what the store refuses to give back, and it touches nothing that was there. A check
//! that fails names what would go wrong and what to do.
#![expect(clippy::disallowed_methods, reason = "a shell: it sets threads against each other and draws names")]

use std::io::Write;
use std::sync::Barrier;
use std::time::{Duration, SystemTime};

use batteuse_shared::layout;
use batteuse_shared::limits::{CLOCK_SKEW_MS_MAX, PROBE_TRIES_MAX};

use crate::{CreateError, Created, Folder, Kind, PublishError};

/// How one check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// As it must be.
    Holds,
    /// As it may be; worth knowing.
    Note(String),
    /// Runs must not be trusted to this store.
    Fails(String),
    /// It could not be tried: the store refused, or was not reached.
    Untried(String),
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is asked of the store.
    pub what: &'static str,
    /// What it did.
    pub found: Found,
}

/// Whether runs may be trusted to a store with these findings.
#[must_use]
pub fn fit(checks: &[Check]) -> bool {
    checks.iter().all(|check| matches!(check.found, Found::Holds | Found::Note(_)))
}

const UNSAFE_CREATES: &str = "two coordinators could both believe that they own a run: keep state in PostgreSQL (--state postgres://...) \
                              or use a store with conditional writes (If-None-Match), and write output to such a store";

/// Tries everything in `folder`, with `writers` at once in the race, under a name of its own. `now` is the clock of this process.
#[must_use]
pub fn full(folder: &dyn Folder, writers: usize, now: SystemTime) -> Vec<Check> {
    let at = place(folder);
    let access = access(folder, &at);
    let reached = access == Found::Holds;
    let mut checks = vec![Check { what: "files can be made, read, listed and removed", found: access }];
    if reached {
        type Try<'a> = (&'static str, Box<dyn Fn() -> Result<Found, String> + 'a>);
        let tries: [Try<'_>; 7] = [
            ("a name is made once", Box::new(|| once(folder, &at))),
            ("of many writers at once one makes the name", Box::new(|| race(folder, &at, writers))),
            ("a file is replaced by who knows what it held", Box::new(|| switch(folder, &at))),
            ("what is staged is seen when it is published, and not before", Box::new(|| publishing(folder, &at))),
            ("what is staged can be given up", Box::new(|| giving_up(folder, &at))),
            ("uploads that were left can be found", Box::new(|| pending(folder))),
            ("the clocks agree", Box::new(|| clocks(folder, &at, now))),
        ];
        let tried = |(what, check): Try<'_>| Check { what, found: check().unwrap_or_else(Found::Untried) };
        checks.extend(tries.into_iter().map(tried));
    }
    if let Err(error) = folder.remove_all(&at) {
        let found = Found::Note(format!("{} is left: {error}", folder.place(&at).display()));
        checks.push(Check { what: "nothing is left behind", found });
    }
    checks
}

/// The one check without which no run may begin, in a few requests.
#[must_use]
pub fn quick(folder: &dyn Folder) -> Found {
    if !folder.has_uploads() {
        // A disk: link(2) makes a name once, or says that it cannot.
        return Found::Holds;
    }
    let at = place(folder);
    let found = once(folder, &at).unwrap_or_else(Found::Untried);
    match folder.remove_all(&at) {
        Err(error) if found == Found::Holds => Found::Untried(format!("what was made cannot be removed: {error}")),
        _ => found,
    }
}

/// Where a probe works: in an object store among the engine's own files, so that a run which begins meanwhile takes it for no
/// stranger's; on a disk beside them, where no empty folder is left.
fn place(folder: &dyn Folder) -> String {
    let nonce = uuid::Uuid::new_v4().simple();
    if folder.has_uploads() { format!("{}/{nonce}", layout::DOCTOR) } else { format!("batteuse-doctor-{nonce}") }
}

fn access(folder: &dyn Folder, at: &str) -> Found {
    let path = format!("{at}/access");
    let tried = || -> Result<Found, String> {
        folder.make(at).map_err(|error| format!("no folder can be made: {error}"))?;
        folder.create_if_absent(&path, b"x").map_err(|error| format!("no file can be made: {error}"))?;
        let read = folder.read(&path, 1).map_err(|error| format!("what was made cannot be read: {error}"))?;
        let listed = folder.list(at).map_err(|error| format!("the folder cannot be listed: {error}"))?;
        folder.discard(&path, None).map_err(|error| format!("what was made cannot be removed: {error}"))?;
        let listed = listed.unwrap_or_default().iter().any(|entry| entry.name == "access" && entry.kind == Kind::File);
        let gone = folder.read(&path, 1).map_err(|error| error.to_string())?.is_none();
        Ok(match (read.as_deref(), listed, gone) {
            (Some(b"x"), true, true) => Found::Holds,
            (Some(b"x"), false, _) => {
                Found::Fails("a file that was just made is not listed: journals would be cut short".to_owned())
            }
            (Some(b"x"), true, false) => Found::Fails("a file that was just removed is still read".to_owned()),
            _ => Found::Fails("a file that was just made is not read back".to_owned()),
        })
    };
    tried().unwrap_or_else(Found::Untried)
}

fn once(folder: &dyn Folder, at: &str) -> Result<Found, String> {
    let path = format!("{at}/once");
    folder.make(at).map_err(|error| error.to_string())?;
    match folder.create_if_absent(&path, b"first") {
        Err(CreateError::NotWritten(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
            return Ok(Found::Fails(format!(
                "a name cannot be made on condition that it is free ({error}); {UNSAFE_CREATES}"
            )));
        }
        made => made.map_err(|error| error.to_string())?,
    };
    let second = folder.create_if_absent(&path, b"second").map_err(|error| error.to_string())?;
    let kept = folder.read(&path, 10).map_err(|error| error.to_string())?;
    Ok(match (second, kept.as_deref()) {
        (Created::Exists, Some(b"first")) => Found::Holds,
        _ => Found::Fails(format!("a second writer replaced what the first one made; {UNSAFE_CREATES}")),
    })
}

fn race(folder: &dyn Folder, at: &str, writers: usize) -> Result<Found, String> {
    let path = format!("{at}/race");
    let enter = |i: usize| -> Result<(bool, Vec<u8>), String> {
        let mine = format!("writer {i}").into_bytes();
        let mut told = false;
        for _ in 0..PROBE_TRIES_MAX {
            told |= matches!(folder.create_if_absent(&path, &mine), Ok(Created::Done));
            if let Some(there) = folder.read(&path, 100).map_err(|error| error.to_string())? {
                return Ok((told && there != mine, there));
            }
        }
        Err("nobody made the name".to_owned())
    };
    let ended = at_once(writers, enter).into_iter().map(|ended| ended.map_err(|_| "a writer died".to_owned())?);
    let ended = ended.collect::<Result<Vec<_>, String>>()?;
    let deceived = ended.iter().filter(|(deceived, _)| *deceived).count();
    let contents = ended.iter().filter(|(_, there)| *there != ended[0].1).count();
    Ok(match (deceived, contents) {
        (0, 0) => Found::Holds,
        _ => Found::Fails(format!(
            "of {writers} writers at once, {} were told that they had made the name; {UNSAFE_CREATES}",
            deceived + 1
        )),
    })
}

fn switch(folder: &dyn Folder, at: &str) -> Result<Found, String> {
    Ok(match folder.replaces_by_condition(&format!("{at}/switch")).map_err(|error| error.to_string())? {
        true => Found::Holds,
        false => Found::Note(
            "this store replaces without conditions (If-Match): under output.parquet.mode append and overwrite, a coordinator that was \
             stopped in the very moment of the switch and comes back after a later run could put `_SUCCESS` back"
                .to_owned(),
        ),
    })
}

fn publishing(folder: &dyn Folder, at: &str) -> Result<Found, String> {
    let (staged, published) = (format!("{at}/part.tmp"), format!("{at}/part"));
    let upload = stage(folder, &staged, &published)?;
    let early = folder.kind(&published).map_err(|error| error.to_string())?;
    for _ in 0..2 {
        folder
            .publish(&staged, upload.as_ref(), &published, 4)
            .map_err(|error| format!("publishing fails: {error}"))?;
    }
    let read = folder.read(&published, 4).map_err(|error| error.to_string())?;
    Ok(match (early, read.as_deref()) {
        (None, Some(b"rows")) => Found::Holds,
        (Some(_), _) => {
            Found::Fails("an upload is seen before it is completed: readers would meet half a table".to_owned())
        }
        _ => Found::Fails("a completed upload is not read back".to_owned()),
    })
}

fn giving_up(folder: &dyn Folder, at: &str) -> Result<Found, String> {
    let (staged, published) = (format!("{at}/given-up.tmp"), format!("{at}/given-up"));
    let upload = stage(folder, &staged, &published)?;
    folder.discard(&staged, upload.as_ref()).map_err(|error| format!("an upload cannot be aborted: {error}"))?;
    if upload.as_ref().is_some_and(|upload| upload.id.is_empty()) {
        return Ok(Found::Note(
            "this store drops by itself, after a week, what was uploaded and not completed".to_owned(),
        ));
    }
    Ok(match folder.publish(&staged, upload.as_ref(), &published, 4) {
        Err(PublishError::Gone) => Found::Holds,
        Err(PublishError::Io(error)) => {
            Found::Untried(format!("whether an aborted upload can be completed is unclear: {error}"))
        }
        _ => Found::Fails("an upload that was aborted can still be completed".to_owned()),
    })
}

fn stage(folder: &dyn Folder, staged: &str, published: &str) -> Result<Option<batteuse_shared::task::Upload>, String> {
    let mut file = folder.stage(staged, published).map_err(|error| format!("nothing can be staged: {error}"))?;
    let written = file.write_all(b"rows").and_then(|()| file.seal());
    written.map_err(|error| format!("nothing can be staged: {error}"))?;
    Ok(file.keep())
}

fn pending(folder: &dyn Folder) -> Result<Found, String> {
    Ok(match (folder.has_uploads(), folder.pending_uploads()) {
        (false, _) | (true, Ok(Some(_))) => Found::Holds,
        (true, Ok(None)) => {
            Found::Note("this store does not list them: set a lifecycle rule of a week or more for uploads".to_owned())
        }
        (true, Err(error)) => Found::Note(format!(
            "they cannot be listed ({error}): `batteuse gc` will not find them, so set a lifecycle rule of a week or more"
        )),
    })
}

fn clocks(folder: &dyn Folder, at: &str, now: SystemTime) -> Result<Found, String> {
    let path = format!("{at}/clock");
    folder.create_if_absent(&path, b"x").map_err(|error| error.to_string())?;
    let Some(there) = folder.modified(&path).map_err(|error| error.to_string())? else { return Ok(Found::Holds) };
    Ok(match apart(there, now) {
        None => Found::Holds,
        Some(apart) => Found::Note(format!(
            "the store's clock is {} s apart from this machine's: S3 refuses requests signed more than 15 minutes apart",
            apart.as_secs()
        )),
    })
}

/// Has so many threads do `act` at the same time; what each came to, an error for one that died.
pub fn at_once<T: Send>(count: usize, act: impl Fn(usize) -> T + Sync) -> Vec<std::thread::Result<T>> {
    let barrier = Barrier::new(count);
    let act = |i| {
        barrier.wait();
        act(i)
    };
    std::thread::scope(|scope| {
        let act = &act;
        let threads: Vec<_> = (0..count).map(|i| scope.spawn(move || act(i))).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    })
}

/// How far two clocks lie apart, if that is to be told.
#[must_use]
pub fn apart(there: SystemTime, now: SystemTime) -> Option<Duration> {
    let apart = there.duration_since(now).unwrap_or_else(|earlier| earlier.duration());
    (apart > Duration::from_millis(CLOCK_SKEW_MS_MAX)).then_some(apart)
}
