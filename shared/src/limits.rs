//! Every cap of the engine, each with its reason (BOUNDED).

/// The record cap K: marks lie at multiples of it, a record that meets its second mark is cut. Bytes.
/// 16 MiB holds the longest honest records seen (multi-megabyte geometries) and bounds a buffer at 2K.
pub const RECORD_BYTES_MAX: u64 = 16 << 20;

/// How much of a cut record is kept in its reject. Bytes. Enough to recognise it; the sha256 identifies it.
pub const REJECT_RAW_BYTES_MAX: usize = 64 << 10;

/// Longest delimiter, in bytes: each byte more is one more automaton state, and 16 states fit the exit map's budget.
pub const DELIMITER_BYTES_MAX: usize = 8;

/// Most columns of a file. The widest real files have about 5,000; a wrong dialect can make millions.
pub const COLUMNS_MAX: usize = 16_384;

/// Longest header record, in bytes: 16,384 columns with names of 64 bytes.
pub const HEADER_BYTES_MAX: u64 = 1 << 20;

/// Most lines skipped before the header. Preambles are a few lines; the bytes read for them are bounded too.
pub const SKIP_LINES_MAX: u64 = 1_000_000;

/// Most bytes before the first record: byte order mark, skipped, blank and comment lines. [`SKIP_LINES_MAX`] lines of 32
/// bytes; inspection holds them in memory.
pub const PREAMBLE_BYTES_MAX: u64 = 32 << 20;

/// Bytes that inspection reads at each sampled place.
pub const SAMPLE_BYTES: u64 = 256 << 10;

/// Places that inspection samples, spread evenly: a function of the file's size only.
pub const SAMPLE_PLACES: u64 = 32;

/// `partition.bytes: auto` where no sample was measured: small enough that losing one costs a second or two, large enough for good
/// row groups.
pub const PARTITION_BYTES_DEFAULT: u64 = 64 << 20;

/// Least bytes of a partition under `auto`: below it the work around a partition shows.
pub const PARTITION_BYTES_AUTO_MIN: u64 = 16 << 20;

/// Most bytes of a partition under `auto`: losing one costs some seconds of a core.
pub const PARTITION_BYTES_AUTO_MAX: u64 = 1 << 30;

/// Partitions that each slot has under `auto`, at least: the last ones to run leave slots idle for a tenth of their work at most, and
/// who resumes does no more than that again. More would cost the coordinator more, some millisecond each.
pub const PARTITIONS_PER_SLOT_MIN: u64 = 10;

/// Default `output.parquet.fileBytes`: what readers of Parquet like best.
pub const FILE_BYTES_DEFAULT: u64 = 128 << 20;

/// Smallest and largest `output.parquet.fileBytes`: below, files cost more to open than to read; above, uploads run out of parts.
pub const FILE_BYTES_MIN: u64 = 1 << 20;
/// See [`FILE_BYTES_MIN`].
pub const FILE_BYTES_MAX: u64 = 16 << 30;

/// Bytes of the sample whose encoded size tells how small a source becomes: some thousand rows, milliseconds of work.
pub const MEASURED_BYTES: u64 = 1 << 20;

/// Smallest `partition.bytes` a spec may ask for. 1 is legal because the tests of exactness use it.
pub const PARTITION_BYTES_MIN: u64 = 1;

/// Largest `partition.bytes` a spec may ask for, 1 PiB: above any file, and sums with offsets stay within 64 bits.
pub const PARTITION_BYTES_MAX: u64 = 1 << 50;

/// Most partitions of a run: at 64 MiB each that is 6 TiB. The finish task names the rejects of every one of them in a message
/// of at most `MESSAGE_BYTES_MAX`, and the scheduler keeps a KiB and five bytes a column for each.
pub const PARTITIONS_MAX: u64 = 100_000;

/// Size of one read from the source. Bytes. A quarter of a core's cache, so that what is read is still there when it is decoded.
pub const READ_BYTES: usize = 256 << 10;

/// How far ahead of a read the system is told of the next ones. Bytes. At 1 GB/s a slot parses it in 4 ms: about what a network file
/// system takes to answer, and more than the 128 KiB that systems read ahead by themselves.
pub const READ_AHEAD_BYTES: u64 = 4 << 20;

/// Most bytes of one read while a record is longer than a read: reads double with it, and stop there, so that the buffer stays near the
/// record's own size.
pub const READ_BYTES_GROWN_MAX: usize = 8 << 20;

/// Fields of an open record, beyond those that count, above which the others are dropped: a record may be all delimiters, so what
/// is kept of it is bounded.
pub const SURPLUS_FIELDS_MAX: usize = 4_096;

/// Bytes of records at which a batch ends. About 2,300 sirene rows: what decoding writes is still near when it is digested and
/// encoded. Larger ones gain nothing, as pages are filled over many batches.
pub const BATCH_BYTES_MAX: usize = 1 << 19;

/// Bytes whose structure is indexed at a time: text and positions stay in the nearest caches until they are used.
pub const INDEX_BYTES: usize = 16 << 10;

/// Most rows of one batch between decode and encode: bounds memory for files with very short records.
pub const BATCH_ROWS_MAX: usize = 65_536;

/// Fields at which a batch ends, whatever its rows: 2 Mi, twice what a read of sirene or taxi holds. Padding makes many fields out
/// of few bytes, and each costs some 20 bytes until it is encoded.
pub const BATCH_FIELDS_MAX: usize = 2 << 20;

/// Rows at which a Parquet row group is flushed: what readers expect (DuckDB and parquet-mr are near it).
pub const ROW_GROUP_ROWS_MAX: usize = 1 << 20;

/// Columns up to which Parquet pages may have dictionaries. The writer sets about 64 KiB aside for each column's before the first
/// value: 128 MiB an attempt at this many, 1 GiB at [`COLUMNS_MAX`].
pub const DICTIONARY_COLUMNS_MAX: usize = 2_048;

/// Most values of a dictionary made in decoding: its entries and slots take some 400 KB, so a few columns' stay in a core's cache.
/// Less than 65,535, so that a code and one more fit 16 bits.
pub const DICTIONARY_VALUES_MAX: usize = 8_192;

/// Most bytes of the texts of such a dictionary: the page that the Parquet writer makes of it holds a MiB too.
pub const DICTIONARY_BYTES_MAX: usize = 1 << 20;

/// Most values, and most bytes of texts, of all these dictionaries of an attempt together: its columns share them evenly. With slots
/// and arrays that is some 250 MB at most, and what a file of 54 columns needs is not cut.
pub const DICTIONARIES_VALUES_MAX: usize = 1 << 19;

/// See [`DICTIONARIES_VALUES_MAX`].
pub const DICTIONARIES_BYTES_MAX: usize = 64 << 20;

/// Distinct values from which on a dictionary must pay: an eighth of the values seen at most. So many that those of a column with
/// a few hundred are all there by then; a table of 256 columns or more has no room for more anyway.
pub const DICTIONARY_VALUES_FREE: usize = 2_048;

/// Slots of a dictionary looked at before a value is called one too many: at most half are in use, so more would be somebody's intent.
pub const DICTIONARY_PROBES_MAX: usize = 32;

/// Likewise, of a dictionary made in encoding, which is much larger: a hundred thousand values in half of the slots lie in rows of some
/// sixty by chance.
pub const SLOT_PROBES_MAX: usize = 256;

/// Encoded bytes at which a Parquet row group is flushed, so that memory stays bounded for wide rows.
pub const ROW_GROUP_BYTES_MAX: usize = 128 << 20;

/// Bytes of memory at which a Parquet row group is flushed: its encoded pages, what waits for a page, and dictionaries with the slots by
/// which their values are found. Twice [`ROW_GROUP_BYTES_MAX`], so that it cuts no group but those of many columns whose values are
/// mostly new: slots and hashes take more than such values, and room grows by doubling. Each slot of a worker holds one row group; where
/// its memory is less than twice this ([`SLOT_MEMORY_PARTS`]), that bounds it.
pub const ROW_GROUP_MEMORY_BYTES_MAX: usize = 2 * ROW_GROUP_BYTES_MAX;

/// Percent of the memory that a worker's control group allows, or that its machine has, which its slots share: the rest is the process's own,
/// the page cache's and other people's.
pub const MEMORY_PERCENT: u64 = 75;

/// Least memory of a slot. Bytes: below it fewer slots are used. A row group takes half of it; the rest holds a record of the longest kind,
/// dictionaries and parts under way. Two slots at sirene take less than this together.
pub const SLOT_MEMORY_BYTES_MIN: u64 = 128 << 20;

/// The row group under way takes at most one part in so many of its slot's memory, and so do parts that a store was not sent yet.
pub const SLOT_MEMORY_PARTS: u64 = 2;

/// Heartbeats in the time that a lease lives without a word: so many less one may be lost.
pub const HEARTBEATS_PER_TTL: u64 = 5;

/// Longest interval of a worker's heartbeat. Milliseconds: people see progress by it.
pub const HEARTBEAT_MS_MAX: u64 = 3_000;

/// When a worker tells whether an attempt has given away what it was asked for. Milliseconds: some batches later, and much sooner than its
/// next heartbeat.
pub const BEAT_SOON_MS: u64 = 100;

/// How long a lease of an embedded run lives. Milliseconds. Its workers are threads of the coordinator's process, which no network cuts
/// off: only a disk that stalls keeps it from answering, and that is no reason to give work up.
pub const LEASE_TTL_EMBEDDED_MS: u64 = 600_000;

/// How long a lease lives without a word from its worker. Milliseconds. A worker that was not answered for so long stops; one that was
/// not heard for twice this long has stopped, and others may begin what it had.
pub const LEASE_TTL_MS: u64 = 15_000;

/// Longest such time that may be asked for. Milliseconds: with an hour nobody is given up in a night.
pub const LEASE_TTL_MS_MAX: u64 = 3_600_000;

/// Times that a lease's time may pass without any work while the worker's heartbeats go on: then the attempt hangs.
pub const HUNG_TTLS: u64 = 8;

/// Least such time. Milliseconds: two minutes are twice what a database may take over one statement, and longer than a store's client goes
/// on trying one request.
pub const HUNG_MS_MIN: u64 = 120_000;

/// Times the median pace at which an attempt is late: most differ less, by what lies in their ranges.
pub const STRAGGLER_TIMES: u64 = 2;

/// Paces of ended attempts by which a run knows what is usual: the latest ones, so that it follows a machine that becomes slower.
pub const PACES_KEPT: usize = 101;

/// Least rest of a range that is given away. Bytes: some 7 ms of a core, about what one partition more takes. Who is late by seconds with
/// less is slow indeed.
pub const SPLIT_BYTES_MIN: u64 = 1 << 20;

/// How long the attempts of a closed stream are kept for its worker to come back. Milliseconds.
pub const SUSPECT_MS: u64 = 2_000;

/// How long a call waits for the coordinator that it reached to lead. Milliseconds: longer than a leader may be silent, shorter than
/// [`CALL_MS_MAX`].
pub const LEAD_WAIT_MS_MAX: u64 = 8_000;

/// Largest record of who leads, in bytes: a URL and a few numbers.
pub const LEADER_BYTES_MAX: u64 = 64 << 10;

/// Beats of a leading coordinator in its state store in the time that a lease lives: one a second. Each is a small write, 86,400 a day.
pub const LEADER_BEATS_PER_TTL: u64 = 15;

/// Times that a coordinator which leaves tries to say so. Who waits takes over a few seconds later if it cannot.
pub const LEAVE_TRIES_MAX: u32 = 3;

/// Beats that a leader may miss before another coordinator takes over: a store that stalls for a few seconds moves nobody, and workers
/// have new leases within ten.
pub const LEADER_BEATS_MISSED_MAX: u64 = 5;

/// Interval of the driver's tick. Milliseconds. Bounds how late an expiry is noticed.
pub const TICK_MS: u64 = 250;

/// Failures in a row by the environment (disk, store) after which an embedded run stops, undecided, and says `resume`. With
/// the back-off that is a few seconds: enough for a hiccup. A coordinator waits for ever.
pub const FAILURES_ENVIRONMENT_MAX: u32 = 5;

/// Attempts of one task that may panic before the run fails: a bug is deterministic, so trying on is waste.
pub const FAILURES_CRASH_MAX: u32 = 3;

/// Attempts at one range that may crash, hang or be lost with their worker before it is tried in a process of its own; the next one that
/// crashes or hangs has the range cut in halves. Once may be chance; twice is a habit.
pub const KILLS_BEFORE_ALONE: u32 = 2;

/// Bytes of a range that kills at which it is cut no further, and set aside: some hundred records are lost beside the one that kills, and
/// a GiB is cut fourteen times to get there.
pub const QUARANTINE_BYTES_MAX: u64 = 64 << 10;

/// At most this part of a planned partition is set aside for one record, where partitions are small.
pub const QUARANTINE_PARTITION_SHARE: u64 = 16;

/// Different tasks that may crash or hang on one worker, without one that goes well in between, before it is set aside.
pub const ASIDE_TASKS: usize = 3;

/// Times a lease's time that a worker is set aside: five minutes. A node that was repaired takes work again without anybody's help.
pub const ASIDE_TTLS: u64 = 20;

/// Workers that crash within a lease's time, at as many different tasks, at which their run waits: a rack that goes down, or a fault of the
/// run itself, is no reason to spend its tasks' budgets.
pub const CRASHED_WORKERS: usize = 3;

/// See [`CRASHED_WORKERS`].
pub const CRASHED_TASKS: usize = 3;

/// Times a lease's time that a run waits then: half a minute; doubles.
pub const HOLD_TTLS: u64 = 2;

/// Times that this wait doubles: up to four minutes.
pub const HOLD_DOUBLINGS_MAX: u32 = 3;

/// Attempts of one task that may hang before the run fails: each takes a minute and a slot of a worker.
pub const FAILURES_HUNG_MAX: u32 = 3;

/// Attempts of one task that may be lost with their worker before the run fails. High, because a lost worker says
/// little about the partition (pods come and go); finite, because a poison record must not kill workers for ever.
pub const FAILURES_LOST_MAX: u32 = 20;

/// Least wait after a failure by the environment before a run leases again. Milliseconds; doubles.
pub const RETRY_BACKOFF_MS: u64 = 200;

/// Longest such wait. Milliseconds. Bounds how long a run stands still after its disk has room again.
pub const RETRY_BACKOFF_MS_MAX: u64 = 30_000;

/// Most events handled in one turn of the driver, and so most facts of one group commit.
pub const EVENTS_PER_TURN_MAX: usize = 256;

/// Events queued for the driver before senders wait.
pub const EVENT_QUEUE_MAX: usize = 1_024;

/// Messages queued for one worker before its stream is dropped: a worker that reads nothing is not there.
pub const WORKER_QUEUE_MAX: usize = 1_024;

/// Slots one worker may offer: more threads than any machine we know has.
pub const SLOTS_MAX: u32 = 1_024;

/// Largest gRPC message, in bytes: a lease or a report with 16,384 columns stays below it.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Longest spec a coordinator takes, in bytes.
pub const SPEC_BYTES_MAX: usize = 1 << 20;

/// Longest message kept with a failed attempt, in bytes; the rest is in the worker's log.
pub const FAILURE_MESSAGE_BYTES_MAX: usize = 2_000;

/// Rejects that a report shows with line, column and reason.
pub const REJECTS_SHOWN: usize = 3;

/// Largest journal slot, in bytes: a group commit of 256 reports with 16,384 columns each stays below it.
pub const JOURNAL_SLOT_BYTES_MAX: u64 = 256 << 20;

/// Parts that the facts of one journal slot name at most, if they are several facts: with long folders a part takes some 3 KB, so these
/// stay below [`JOURNAL_SLOT_BYTES_MAX`].
pub const JOURNAL_SLOT_PARTS_MAX: usize = 1 << 16;

/// First wait of a worker or client before it connects again. Milliseconds; doubles with jitter.
pub const RECONNECT_MS_MIN: u64 = 100;

/// Longest wait of a worker or client between connection attempts. Milliseconds.
pub const RECONNECT_MS_MAX: u64 = 2_000;

/// Deadline of a unary call to the coordinator. Milliseconds.
pub const CALL_MS_MAX: u64 = 10_000;

/// Least time between two glances at a run that are told to who watches it, but for its last. Milliseconds: a progress bar moves five
/// times a second.
pub const WATCH_MS_MIN: u64 = 200;

/// Runs that may be open at a coordinator unless it is told otherwise, and at most: each holds its partitions in memory (some KiB each)
/// and its folder, and `list` shows as many. What is more waits where it is submitted.
pub const OPEN_RUNS_MAX: u64 = 1_000;

/// Bytes of all specs of open runs: a thousand of 64 KiB, far more than people write. Each is held as values, in memory.
pub const OPEN_SPECS_BYTES_MAX: u64 = 64 << 20;

/// After so long a submission that found no room may be told again. Milliseconds: runs take seconds at least.
pub const SUBMIT_RETRY_AFTER_MS: u64 = 2_000;

/// Times that a submission is told again while no coordinator can take it. With its back-off that is some fifteen seconds: one takes
/// over in ten.
pub const SUBMIT_TRIES_MAX: usize = 4;

/// Workers that `workers` shows, and that one message names in some hundred bytes each.
pub const WORKERS_LISTED_MAX: usize = 10_000;

/// Runs that `list` shows.
pub const RUNS_LISTED_MAX: usize = 1_000;

/// Largest source, and largest offset or count that is taken from the wire: added up over [`PARTITIONS_MAX`] partitions
/// it still fits 64 bits, so no report can make a sum overflow.
pub const SOURCE_BYTES_MAX: u64 = 8 << 40;

/// Most workers of a run that `batteuse bench` measures: as processes, more than fit the memory of a machine that one bench drives.
pub const BENCH_WORKERS_MAX: u32 = 256;

/// Most counts of workers in one bench: 1, 2, 4... up to [`BENCH_WORKERS_MAX`] are nine, and more than this no plot shows.
pub const BENCH_COUNTS_MAX: usize = 16;

/// Most rounds of a bench: its figures are settled long before, and each is kept.
pub const BENCH_ROUNDS_MAX: u32 = 100;

/// How long the coordinator and the workers of a bench may take to come. Milliseconds. They take a tenth of a second where nothing else
/// runs; what takes longer than this does not come at all.
pub const BENCH_START_MS_MAX: u64 = 60_000;

/// Longest time of one phase of an attempt that is told and taken from the wire. Microseconds: 104 days, more than a lease lives.
pub const PHASE_US_MAX: u64 = 9_000_000_000_000;

/// Longest short name on the wire (version, nonce, request id), in bytes: as long as a run's id may be.
pub const NAME_BYTES_MAX: usize = 100;

/// Highest priority of a job; the lowest is its negative. Enough ranks for anybody, and [`PRIORITY_AGE_MS`] times twice as many, after
/// which the lowest overtakes the highest, is twenty minutes.
pub const PRIORITY_MAX: i32 = 100;

/// Waiting for so long without a lease is worth a point of priority. Milliseconds. Ten points of a rival are a minute's wait.
pub const PRIORITY_AGE_MS: u64 = 6_000;

/// Longest name of a job, in bytes: a run's id of at most 100 begins with it.
pub const JOB_NAME_BYTES_MAX: usize = 60;

/// Most bytes of a value of a declared date or time format: the kernel reads such values in three words of eight bytes.
pub const FORMAT_BYTES_MAX: usize = 24;

/// Most texts that mean null for one column: each value of the column is compared with each of them.
pub const NULLS_MAX: usize = 100;

/// Problems of one spec that are shown: enough to mend most specs in one go, few enough for a screen.
pub const PROBLEMS_SHOWN: usize = 20;

/// Characters of a value that the message of its reject shows; the reject's raw bytes hold the rest.
pub const REJECT_VALUE_CHARS_MAX: usize = 100;

/// Appends of one journal slot that may fail before the coordinator stops: about six seconds of a full disk or a stall.
pub const JOURNAL_TRIES_MAX: u32 = 5;

/// Longest that a database may take over one statement on a journal. Milliseconds. A slot is one row; what takes longer is stuck
/// behind something.
pub const JOURNAL_STATEMENT_MS_MAX: u64 = 30_000;

/// Times that a file is written whose temporary one a rival's sweep takes away. Each sweep is one process that begins with the same
/// folder, so two in a row are rare already.
pub const SWEPT_TRIES_MAX: u32 = 5;

/// Publish attempts of an embedded run that may fail before it stops and says `resume`. A coordinator redoes for ever.
pub const PUBLISH_TRIES_EMBEDDED_MAX: u32 = 3;

/// Buffer before a staged file. Bytes. The encoder copies pages out in pieces of 8 KiB; a call to the system for each is slow.
pub const WRITE_BYTES: usize = 1 << 20;

/// Largest claim of an output folder, in bytes: a run's id, a nonce and a URL of at most 12 KiB (an escaped path of 4 KiB).
pub const CLAIM_BYTES_MAX: u64 = 64 << 10;

/// Bytes that the null tokens and names of all columns take together: they travel in every lease, which must stay well below
/// `MESSAGE_BYTES_MAX`.
pub const COLUMN_TEXT_BYTES_MAX: usize = 4 << 20;

/// Size of one part of an upload to an object store. Bytes. S3 takes parts of 5 MiB and more, and 10,000 of them: 80 GB a file.
pub const UPLOAD_PART_BYTES: usize = 8 << 20;

/// Parts of one upload that are under way at once: while one is sent the next is filled, and memory stays at a few parts a slot.
pub const UPLOAD_PARTS_IN_FLIGHT_MAX: usize = 2;

/// Parts of all uploads of a process into one bucket that are under way at once: 512 MiB. Attempts with a file in each of hundreds of
/// folders would have thousands; they wait instead.
pub const PARTS_IN_FLIGHT_MAX: usize = 64;

/// Uploads of a decided run that are completed at once. Each is two requests of some 100 ms: 10,000 parts take two minutes, not half an
/// hour, and no store slows sixteen clients down.
pub const COMPLETIONS_IN_FLIGHT_MAX: usize = 16;

/// Most parts of a staged upload: what S3 takes.
pub const UPLOAD_PARTS_MAX: usize = 10_000;

/// Most bytes of an upload's id or a part's tag: those of the stores we know have some 200.
pub const UPLOAD_ID_BYTES_MAX: usize = 4_096;

/// Times that a store's client tries a request again before its caller is told. With its back-off that is a few seconds; what lasts
/// longer is for the scheduler, which frees the slot meanwhile.
pub const STORE_RETRIES_MAX: usize = 5;

/// Longest that a store's client goes on trying one request. Milliseconds.
pub const STORE_RETRY_MS_MAX: u64 = 30_000;

/// Largest text (manifest, report) that is read back from a store, in bytes: a manifest names `PARTITIONS_MAX` parts in some 500 bytes
/// each.
pub const TEXT_BYTES_MAX: u64 = 256 << 20;

/// Most files of a table to which a run adds: with those of one run more, their lists in `_SUCCESS` and manifest stay below
/// [`TEXT_BYTES_MAX`], and `RunAccepted`, which holds the list, below [`JOURNAL_SLOT_BYTES_MAX`].
pub const TABLE_FILES_MAX: usize = 200_000;

/// Size of one read of a published file whose checksum is taken. Bytes: as an upload's part, so an object store is asked no more often.
pub const VERIFY_READ_BYTES: usize = 8 << 20;

/// Pending uploads of one folder that are listed. A run of `PARTITIONS_MAX` partitions leaves no more, and each is a line in memory.
pub const PENDING_UPLOADS_MAX: usize = 200_000;

/// Times that a writer of a probe's race tries again while nobody has made the name: a store that answers 409 to all but one does so
/// once.
pub const PROBE_TRIES_MAX: u32 = 10;

/// Writers at once in the race of `batteuse doctor`: more coordinators than anybody starts, enough to meet a race in a store.
pub const PROBE_WRITERS: usize = 64;

/// Sessions on which these writers race in a database: it gives some hundred to everybody.
pub const PROBE_SESSIONS: usize = 8;

/// How far the clocks of a store and a machine may lie apart before that is told. Milliseconds: a third of what S3 bears.
pub const CLOCK_SKEW_MS_MAX: u64 = 300_000;

/// Default `output.postgres.maxConnections`: what encodes keeps some four sessions of a database busy, and a small one has some 90 to
/// give to all.
pub const TABLE_CONNECTIONS_DEFAULT: u32 = 4;

/// Most connections that a run may ask for: what PostgreSQL allows in all unless it is told otherwise.
pub const TABLE_CONNECTIONS_MAX: u32 = 100;

/// Most partitions of a run into a table of a database: its one transaction holds a lock or three on the staging table of each, and
/// PostgreSQL has room for 6,400 unless it is told otherwise.
pub const TABLE_PARTITIONS_MAX: u64 = 1_000;

/// Longest name in PostgreSQL, in bytes: longer ones it cuts, and two may become one.
pub const TABLE_NAME_BYTES_MAX: usize = 63;

/// Most columns of a table of a database: PostgreSQL's 1,600 less the one that numbers staged rows.
pub const TABLE_COLUMNS_MAX: usize = 1_599;

/// Longest that a database may take over one statement on a staging table. Milliseconds. A batch is a few MiB; what takes longer is
/// stuck behind something, and the attempt gives its slot back.
pub const TABLE_STATEMENT_MS_MAX: u64 = 60_000;

/// Longest that the removal of a staging table waits for an attempt that still writes to it. Milliseconds. What is left then is
/// `batteuse gc`'s.
pub const TABLE_LOCK_MS_MAX: u64 = 5_000;

/// Most columns of `output.parquet.partitionBy`: each multiplies the files, and with four a table has more folders than rows are worth.
pub const HIVE_COLUMNS_MAX: usize = 4;

/// Longest name of a folder by a column's value, in bytes: what the common file systems take.
pub const HIVE_NAME_BYTES_MAX: usize = 255;

/// Longest path of such folders, in bytes: object stores take keys of 1,024, and the part's own name and a prefix need room too.
pub const HIVE_FOLDER_BYTES_MAX: usize = 768;

/// Most files that one attempt writes, one for each combination of values: each is a file or an upload, an encoder and a line in the
/// journal. Departments by years are below it; a column that tells rows apart is far above.
pub const HIVE_FILES_MAX: usize = 1_024;

/// Most columns of all these files together: each of a row group under way takes some 12 KiB before its first page, 768 MiB at this
/// many.
pub const HIVE_OPEN_COLUMNS_MAX: usize = 1 << 16;

/// Bytes of a partition's files that an object store has not been sent, because parts of an upload have a least size, at which the
/// run is refused: they lie in memory. What `partition.bytes: auto` makes is an eighth of it.
pub const HIVE_UNSENT_BYTES_MAX: usize = 1 << 30;

/// How often an attempt that is alone in a process tells its worker how far it is. Milliseconds: more often than heartbeats go out.
pub const ALONE_BEAT_MS: u64 = 200;

/// How long such a process may take to end once it has told all, or closed its pipe. Milliseconds: it has nothing left to do.
pub const ALONE_END_MS_MAX: u64 = 5_000;

/// What is kept of what such a process said last on standard error. Bytes: half of [`FAILURE_MESSAGE_BYTES_MAX`], which it goes into.
pub const LAST_WORDS_BYTES_MAX: usize = 1_000;

/// Most threads that help one attempt to encode a batch. Each is started for it, which takes some 20 us of the 2 ms that a batch takes.
pub const HELPERS_MAX: usize = 7;
