//! Encoding alone, one thread: the worker's encoder over the kernel's batches, and ArrowWriter over arrow-csv's batches of the same
//! rows. Both write zstd at level 3 into files in memory.
//!
//! What is timed is encoding: each partition's batches are made before. They are encoded by both in turns, as often as there are
//! rounds, before the next partition's are made; a round's time is the sum over the partitions. Ours makes a file of each partition,
//! as a run does, and takes its sha256; ArrowWriter has one file for all, as it would have. That both are given the same rows is
//! asserted before they are timed.

use std::fs::{self, File};
use std::io::Cursor;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_csv::ReaderBuilder;
use arrow_schema::{Schema, SchemaRef};
use batteuse_coordinator::plan::ranges;
use batteuse_kernel::arch::Path as Instructions;
use batteuse_kernel::automaton::Automaton;
use batteuse_kernel::digest::RowDigester;
use batteuse_kernel::partition::{Done, PartitionParse, Plan, Progress};
use batteuse_shared::ids::RunId;
use batteuse_shared::layout;
use batteuse_shared::limits::{
    BATCH_BYTES_MAX, BATCH_FIELDS_MAX, BATCH_ROWS_MAX, INDEX_BYTES, PARTITION_BYTES_DEFAULT, READ_BYTES,
    RECORD_BYTES_MAX,
};
use batteuse_shared::location::url_of_dir;
use batteuse_shared::span::{Span, StateId};
use batteuse_shared::spec::{Compression, Dialect, Encoding, Ragged};
use batteuse_shared::task::Staging;
use batteuse_store::Stores;
use batteuse_worker::encode::Encoder;
use batteuse_worker::stage::StagingDir;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::figures::{Figures, ROUNDS, Wanted, verdict};
use super::source::Source;

/// Rows of arrow-csv's batches.
const THEIR_BATCH_ROWS: usize = 8_192;
const ZSTD_LEVEL: u8 = 3;
/// A folder in memory.
const IN_MEMORY: &str = "/dev/shm";

/// Measures one file, in this process, and prints its lines.
pub fn measure(source: &Source) {
    let text = Text::open(source);
    let folder = tempfile::Builder::new().prefix("batteuse-bench-").tempdir_in(IN_MEMORY).unwrap();
    let mut ours = Ours::new(folder.path());
    let mut theirs: Vec<_> = (0..=ROUNDS).map(|i| Theirs::new(&folder.path().join(i.to_string()), &text)).collect();
    let mut state = Automaton::new(&dialect(), RECORD_BYTES_MAX).record_start();
    for range in ranges(source.manifest.parts[0].span.start, source.bytes, PARTITION_BYTES_DEFAULT) {
        let (our_batches, done) = text.parse(range, state);
        let their_batches = text.read(done.span);
        assert_eq!(digest(&text.schema, &our_batches), digest(&text.schema, &their_batches), "the same rows");
        state = done.exits.exit(state).expect("it was given").state;
        for (round, theirs) in theirs.iter_mut().enumerate() {
            // Who is second finds the caches as the first left them: so each is first as often.
            if round % 2 == 0 {
                ours.encode(round, &text.schema, &our_batches);
                theirs.encode(&their_batches);
            } else {
                theirs.encode(&their_batches);
                ours.encode(round, &text.schema, &our_batches);
            }
        }
    }
    print(source, &ours, theirs.into_iter().map(Theirs::end).collect());
}

fn print(source: &Source, ours: &Ours, theirs: Vec<(f64, u64)>) {
    let shape = &source.shape;
    // The first round only warms up.
    let (mut our_seconds, mut their_seconds) = (Figures::default(), Figures::default());
    ours.seconds[1..].iter().for_each(|&seconds| our_seconds.push(seconds));
    theirs[1..].iter().for_each(|&(seconds, _)| their_seconds.push(seconds));
    println!("{shape}: {} rows, the same given to both", ours.rows);
    let line = |name: &str, seconds: &Figures, bytes: u64| {
        let (rate, output) = (source.megabytes() / seconds.median(), bytes as f64 / 1e6);
        println!("  {name:<11} {:>21} s  {rate:>6.0} MB/s of the source  {output:>6.1} MB written", seconds.told());
    };
    line("batteuse", &our_seconds, ours.bytes);
    line("ArrowWriter", &their_seconds, theirs[0].1);
    let ratio = their_seconds.by(&our_seconds);
    let wanted = if shape == "sirene" { 1.7 } else { 1.4 };
    verdict(
        &format!("{shape}: {} times as fast as ArrowWriter", ratio.told()),
        ratio.median(),
        Wanted::AtLeast(wanted),
    );
}

/// The text of a source.
struct Text<'a> {
    source: &'a Source,
    file: File,
    schema: SchemaRef,
}

impl<'a> Text<'a> {
    fn open(source: &'a Source) -> Self {
        let file = File::open(&source.path).unwrap();
        let schema = PartitionParse::new(plan(source, Span::new(0, source.bytes), None)).schema();
        Self { source, file, schema }
    }

    /// The kernel's batches of a range, read, cut and typed as the worker does it.
    fn parse(&self, range: Span, start: StateId) -> (Vec<RecordBatch>, Done) {
        let mut parse = PartitionParse::new(plan(self.source, range, Some(start)));
        let mut batches = Vec::new();
        loop {
            match parse.step() {
                Progress::Wants { offset, bytes } => {
                    self.file.read_exact_at(parse.space(), offset).unwrap();
                    parse.filled(bytes);
                }
                Progress::Batch(batch) => batches.push(batch.rows.expect("the types fit")),
                Progress::Done(done) => return (batches, *done),
            }
        }
    }

    /// arrow-csv's batches of a span.
    fn read(&self, span: Span) -> Vec<RecordBatch> {
        let mut bytes = vec![0; span.bytes() as usize];
        self.file.read_exact_at(&mut bytes, span.start).unwrap();
        let builder = ReaderBuilder::new(self.schema.clone()).with_batch_size(THEIR_BATCH_ROWS);
        builder.build_buffered(Cursor::new(bytes)).unwrap().map(Result::unwrap).collect()
    }
}

/// What a worker plans for a range.
fn plan(source: &Source, range: Span, start: Option<StateId>) -> Plan {
    Plan {
        dialect: dialect(),
        ragged: Ragged::Reject,
        columns: source.manifest.columns.clone(),
        read: (0..source.manifest.columns.len()).collect(),
        range,
        source_bytes: source.bytes,
        start,
        record_bytes_max: RECORD_BYTES_MAX,
        read_bytes: READ_BYTES,
        batch_rows_max: BATCH_ROWS_MAX,
        batch_bytes_max: BATCH_BYTES_MAX,
        batch_fields_max: BATCH_FIELDS_MAX,
        placed: false,
        index_bytes: INDEX_BYTES,
        path: Instructions::best(),
    }
}

fn dialect() -> Dialect {
    Dialect {
        delimiter: b",".to_vec(),
        quote: Some(b'"'),
        escape: None,
        comment: None,
        encoding: Encoding::Utf8,
        decimal: b'.',
    }
}

/// Rows and their digest, in words. Texts are texts, coded or not.
fn digest(schema: &Schema, batches: &[RecordBatch]) -> (usize, String) {
    let mut digester = RowDigester::new(schema).unwrap();
    batches.iter().for_each(|batch| _ = digester.add(batch));
    (batches.iter().map(RecordBatch::num_rows).sum(), digester.digest().to_string())
}

/// The worker's encoder.
struct Ours {
    staging: StagingDir,
    run: RunId,
    /// Of each round.
    seconds: [f64; ROUNDS + 1],
    /// Of one round.
    rows: u64,
    bytes: u64,
}

impl Ours {
    fn new(folder: &Path) -> Self {
        let (nonce, run) = ("bench".to_owned(), RunId::new("bench").unwrap());
        let inside = folder.join(layout::staging_dir(&run));
        fs::create_dir_all(&inside).unwrap();
        fs::write(inside.join(layout::STAGING_NONCE), &nonce).unwrap();
        let staging = Staging { output_url: url_of_dir(folder).unwrap(), nonce };
        let staging = StagingDir::enter(&staging, &run, &Stores::new([])).unwrap();
        Self { staging, run, seconds: [0.0; ROUNDS + 1], rows: 0, bytes: 0 }
    }

    fn encode(&mut self, round: usize, schema: &SchemaRef, batches: &[RecordBatch]) {
        let began = Instant::now();
        let (key, zstd) = ("part".to_owned(), Compression::Zstd(ZSTD_LEVEL));
        let mut encoder = Encoder::new(&self.staging, key, schema.clone(), zstd, &self.run).unwrap();
        batches.iter().for_each(|batch| encoder.write(batch).unwrap());
        let sealed = encoder.finish().unwrap().expect("there are rows");
        self.seconds[round] += began.elapsed().as_secs_f64();
        if round == 0 {
            self.rows += sealed.rows;
            self.bytes += sealed.bytes;
        }
    }
}

/// ArrowWriter, with a file of its own for one round.
struct Theirs {
    writer: ArrowWriter<File>,
    seconds: f64,
}

impl Theirs {
    fn new(path: &Path, text: &Text) -> Self {
        let zstd = Codec::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL.into()).unwrap());
        let properties = WriterProperties::builder().set_compression(zstd).build();
        let file = File::create_new(path).unwrap();
        Self { writer: ArrowWriter::try_new(file, text.schema.clone(), Some(properties)).unwrap(), seconds: 0.0 }
    }

    fn encode(&mut self, batches: &[RecordBatch]) {
        let began = Instant::now();
        batches.iter().for_each(|batch| self.writer.write(batch).unwrap());
        self.seconds += began.elapsed().as_secs_f64();
    }

    /// Seconds of the whole round, and bytes.
    fn end(mut self) -> (f64, u64) {
        let began = Instant::now();
        self.writer.finish().unwrap();
        self.seconds += began.elapsed().as_secs_f64();
        (self.seconds, self.writer.inner().metadata().unwrap().len())
    }
}
