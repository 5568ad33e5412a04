//! Resuming: an embedded run is killed (kill -9) at half, and what `batteuse resume` then takes is set beside a whole run.
//!
//! There are two halves. At half as `batteuse status` tells it, half of the bytes are staged: they are in the journal, and not done
//! again. Half of the bytes are read earlier, and what the partitions under way had read is lost with them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use batteuse_coordinator::claim;
use batteuse_coordinator::journal::{Journal, StateFolder};
use batteuse_coordinator::scheduler::{Fact, Run};
use batteuse_shared::layout;
use batteuse_shared::limits::{SAMPLE_BYTES, SAMPLE_PLACES};
use batteuse_shared::report::Report;
use batteuse_store::Disk;

use super::figures::{Figures, ROUNDS, Wanted, verdict};
use super::meter::{Ended, Process, batteuse, run, until};
use super::source::{Source, THREADS, told};

#[derive(Clone, Copy)]
enum Half {
    Staged,
    Read,
}

pub fn section(source: &Source) {
    let whole = || source.convert(&source.output("resume"), Some(source.fine_partition_bytes()));
    let want = whole().1;
    for (half, what) in [(Half::Staged, "staged"), (Half::Read, "read")] {
        let (mut whole_seconds, mut rest_seconds, mut staged) =
            (Figures::default(), Figures::default(), Figures::default());
        for _ in 0..ROUNDS {
            whole_seconds.push(whole().0.seconds);
            let output = source.output("resume");
            staged.push(100.0 * kill_at(half, source, &output) as f64 / source.bytes as f64);
            let (ended, report) = resume(&output);
            let same = (report.counts, report.digest) == (want.counts, want.digest);
            assert!(same, "{}: a resumed run writes the same: {report:?}", source.shape);
            rest_seconds.push(ended.seconds);
        }
        source.output("resume");
        let (shape, whole, rest) = (&source.shape, whole_seconds.told(), rest_seconds.told());
        println!(
            "  {shape}: killed when half was {what}, {} % staged; whole {whole} s, resumed {rest} s",
            staged.told()
        );
        let ratio = rest_seconds.by(&whole_seconds);
        verdict(&format!("{shape}: {} of a whole run", ratio.told()), ratio.median(), Wanted::AtMost(0.6));
    }
}

fn resume(output: &Path) -> (Ended, Report) {
    let workers = THREADS.to_string();
    told(run(batteuse(&["resume", "-o", "json", "--workers", &workers, "--to"]).arg(output)))
}

/// Begins a run and kills it; the bytes that it had staged.
fn kill_at(half: Half, source: &Source, output: &Path) -> u64 {
    let process = source.begin(output, Some(source.fine_partition_bytes()));
    until("half of the run", || match half {
        Half::Staged => staged_bytes(output) >= source.bytes / 2,
        Half::Read => read_bytes(&process).saturating_sub(sampled_bytes(source)) >= source.bytes / 2,
    });
    process.kill().expect("the run is long enough to be killed");
    staged_bytes(output)
}

/// Bytes of the partitions that are staged, by the journal.
fn staged_bytes(output: &Path) -> u64 {
    let Ok(Some((_, claim))) = claim::current(&Disk::new(output)) else { return 0 };
    let state = StateFolder::new(Arc::new(Disk::new(output)), layout::EMBEDDED_STATE);
    let journal = Journal::read::<Fact>(&state, &claim.run);
    let facts = journal.unwrap().facts.into_iter().map(|(_, fact)| fact);
    Run::replay(facts).map_or(0, |run| run.status().bytes_done)
}

/// Bytes that a process has read, from whatever file.
fn read_bytes(process: &Process) -> u64 {
    let counts = fs::read_to_string(format!("/proc/{}/io", process.id)).unwrap();
    counts.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

/// Bytes that inspection reads.
fn sampled_bytes(source: &Source) -> u64 {
    (SAMPLE_BYTES * SAMPLE_PLACES).min(source.bytes)
}
