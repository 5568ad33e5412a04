//! Bad specs and flags with the exact words that a user sees, and good ones with the job they make.

use clap::Parser;

use super::*;
use crate::cli::OutputForm;

#[derive(Debug, Parser)]
#[command(name = "batteuse run")]
struct Run {
    #[command(flatten)]
    args: RunArgs,
}

/// The flags after `run`, or clap's words.
fn flags(words: &[&str]) -> Result<RunArgs, String> {
    let all = std::iter::once("run").chain(words.iter().copied());
    Run::try_parse_from(all).map(|run| run.args).map_err(|e| e.to_string())
}

const HEAD: &str = "apiVersion: batteuse.dev/v1alpha1\nkind: Ingest\nmetadata: {name: communes}\nspec:\n";
const OUTPUT: &str = "  output: {parquet: {url: \"file:///out/\"}}\n";

/// A spec whose line 5 has the dialect `csv` and whose lines from 7 on are `rest`.
fn spec(csv: &str, rest: &str) -> String {
    format!("{HEAD}  source: {{url: \"file:///data/a.csv\", csv: {csv}}}\n{OUTPUT}{rest}")
}

/// Reads `text` from a file; in errors its path is `job.yaml`.
fn read(text: impl AsRef<[u8]>) -> Result<Job, String> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("job.yaml");
    fs::write(&path, text).expect("the spec is written");
    read_job(&path).map_err(|e| e.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

/// The mistakes of a spec without their excerpts: `line:column: words`.
fn mistakes(text: impl AsRef<[u8]>) -> Vec<String> {
    let said = read(text).expect_err("a bad spec");
    said.lines().filter(|line| !line.starts_with("  ")).map(|line| line.replacen("job.yaml:", "", 1)).collect()
}

#[test]
fn what_cannot_be_read_is_told_with_its_line() {
    let types = "use text, boolean, int64, float64, decimal(p,s) with s <= p <= 38, date, timestamp (either with a format such as date(%d/%m/%Y) too) or timestamptz";
    let yaml =
        "see the indentation and the marks here and just before, and put text of marks such as | # , ' in quotes";
    let no_text = "there is no text here: YAML takes ~, null, nothing and what begins with # for no value; put the text in quotes";
    let no_map = "this is not what is needed here: write a map such as {field: value}";
    let cases = [
        (spec("{delimeter: auto}", ""), "5:45: `delimeter` is no field here: remove it, or use one of delimiter, quote, escape, comment, encoding, decimal, header, skipLines, ragged, nulls".to_owned()),
        (spec("{}", "").replace("metadata: {name: communes}\n", ""), "3:1: the field `metadata` is missing in this map: add it".to_owned()),
        (spec("{}", "").replace("url: \"file:///data/a.csv\", ", ""), "5:12: the field `url` is missing in this map: add it".to_owned()),
        (spec("{delimiter: auto, delimiter: tab}", ""), "5:62: `delimiter` is given twice in this map: keep one".to_owned()),
        (spec("{header: maybe}", ""), "5:53: this is not what is needed here: write true or false".to_owned()),
        (spec("{skipLines: ten}", ""), "5:56: this is not what is needed here: write a whole number, 0 or more".to_owned()),
        (spec("{skipLines: -1}", ""), "5:56: this is not what is needed here: write a whole number, 0 or more".to_owned()),
        (spec("{ragged: drop}", ""), "5:53: \"drop\" is not known here: use one of reject, pad".to_owned()),
        (spec("{delimiter: ~}", ""), format!("5:56: {no_text}")),
        (format!("{HEAD}  source:\n    url: file:///data/a.csv\n    csv:\n      comment: #\n{OUTPUT}"), format!("8:14: {no_text}")),
        (spec("{nulls: NA}", ""), "5:52: this is not what is needed here: write a list such as [a, b]".to_owned()),
        (spec("{delimiter: [a]}", ""), "5:56: this is not what is needed here: write one text".to_owned()),
        (spec("5", ""), format!("5:44: {no_map}")),
        ("- a\n".to_owned(), format!("1:1: {no_map}")),
        (spec("{delimiter: auto", ""), format!("6:3: this is not well-formed YAML: while parsing a flow mapping, did not find expected ',' or '}}'; {yaml}")),
        (spec("{}", "   rejects: {}\n"), format!("7:4: this is not well-formed YAML: while parsing a block mapping, did not find expected key; {yaml}")),
        (spec("{delimiter: |}", ""), format!("5:56: this is not well-formed YAML: unexpected character: `|'; {yaml}")),
        (spec("{delimiter: !x y}", ""), "5:59: the tag !x has no meaning here: put text that begins with ! in quotes".to_owned()),
        (spec("{delimiter: *nope}", ""), "5:56: this alias names no anchor: put text that begins with * in quotes".to_owned()),
        (spec("{}", "  columns: &c [{name: a}]\n  partition: *c\n"), format!("8:14: {no_map}")),
        (spec("{}", "---\na: b\n"), "8:1: a second document begins here: one file holds one job, cut it in two".to_owned()),
        (String::new(), "1:1: the spec ends here: it needs apiVersion, kind, metadata and spec".to_owned()),
        (spec("{}", "  partition: {bytes: 64MX}\n"), "7:22: \"64MX\" is no size: write a whole number of bytes, or a whole number with k, M, G or T (times 1000) or KiB, MiB, GiB or TiB (times 1024), such as 64MiB".to_owned()),
        (spec("{}", "  partition: {bytes: 1.5}\n"), "7:15: floating point `1.5` stands where something else is needed: write a whole number of bytes, text with a unit such as 64MiB, or auto".to_owned()),
        (spec("{}", "  columns: {infer: true, a: int}\n"), format!("7:29: \"int\" is no column type: {types}")),
        (spec("{}", "  columns:\n  - {name: a, type: text}\n  - {name: b, type: int}\n"), format!("9:21: \"int\" is no column type: {types}")),
        (spec("{}", "  columns: {a: text}\n"), "7:12: a map of columns needs `infer: true`: the columns it does not name are inferred; to declare every column, write a list of {name, type}".to_owned()),
        (spec("{}", "  columns: {infer: true, a: text, a: text}\n"), "7:35: `a` is given twice in this map: keep one".to_owned()),
        (spec("{}", "  columns: all\n"), "7:3: string \"all\" stands where something else is needed: write infer, text, {infer: true, name: type, ...} or a list of {name, type, nulls}".to_owned()),
        (spec("{}", "  rejects: {tolerate: {percent: 5%}}\n"), "7:33: this is not what is needed here: write a number".to_owned()),
        (spec("{}", "").replace("out/\"}", "out/\", compression: gzip}"), "6:56: \"gzip\" is no compression: use zstd(1) to zstd(22), snappy or none".to_owned()),
    ];
    for (text, want) in cases {
        assert_eq!(mistakes(&text), [want], "{text}");
    }
}

#[test]
fn what_the_check_finds_is_told_with_its_line() {
    let cases: &[(String, &[&str])] = &[
        (
            spec("{quote: \"ab\"}", "").replace("name: c", "name: C"),
            &[
                "3:18: metadata.name: \"Communes\" is no job name: use 1 to 60 characters of a-z, 0-9 and '-'",
                "5:52: spec.source.csv.quote: \"ab\" is not one ASCII character: give one, in quotes, none or auto",
            ],
        ),
        (
            spec("{quote: &q \"!\", comment: *q}", ""),
            &[
                "5:69: spec.source.csv.comment: \"!\" is the quote as well as the comment: give another character for one of them",
            ],
        ),
        (
            spec("{encoding: utf-16}", "  columns:\n    - {name: a}\n    - name: a\n      type: text\n"),
            &[
                "5:55: spec.source.csv.encoding: \"utf-16\" is not read: use utf-8, windows-1252 or auto, or convert the file first: iconv -f 'UTF-16' -t UTF-8 '/data/a.csv' > '/data/a.csv.utf8'",
                "9:13: spec.columns[1].name: the column \"a\" is given twice: name each column once",
            ],
        ),
        (
            spec("{nulls: [a, b, a]}", "  rejects: {tolerate: {percent: .nan}}\n"),
            &[
                "5:59: spec.source.csv.nulls[2]: \"a\" is given twice: remove one",
                "7:33: spec.rejects.tolerate.percent: NaN percent is out of range: use 0 to 100",
            ],
        ),
        (
            spec("{}", "").replace("file:///data/a.csv", "data/a.csv"),
            &[
                "5:17: spec.source.url: \"data/a.csv\" is not a URL of the form file:///absolute/path, the only one supported for now",
            ],
        ),
        (
            spec("{}", "  partition: {bytes: 0}\n"),
            &["7:22: spec.partition.bytes: 0 bytes are out of range: use 1 byte to 1 PiB, such as 64MiB"],
        ),
    ];
    for (text, want) in cases {
        assert_eq!(&mistakes(text), want, "{text}");
    }
    let twenty_five = format!("  columns:\n{}", "  - {name: a}\n".repeat(25));
    let shown = mistakes(spec("{}", &twenty_five));
    assert_eq!((shown.len(), shown.last().map(String::as_str)), (limits::PROBLEMS_SHOWN + 1, Some("and 4 more")));
}

#[test]
fn the_line_is_shown_with_a_mark() {
    let said = read(spec("{quote: ab}", "")).expect_err("a bad quote");
    let want =
        "job.yaml:5:52: spec.source.csv.quote: \"ab\" is not one ASCII character: give one, in quotes, none or auto
  5 |   source: {url: \"file:///data/a.csv\", csv: {quote: ab}}
    |                                                    ^";
    assert_eq!(said, want);
    // Of a long line, the part around the mark; control characters never reach a terminal.
    let long = spec(&format!("{{nulls: [\"{}\t\"], quote: ab}}", "\u{e9}".repeat(200)), "");
    let said = read(long).expect_err("a bad quote");
    let want = format!("  5 | {} \"], quote: ab}}}}\n    | {}^", "\u{e9}".repeat(62), " ".repeat(74));
    assert_eq!(said.split_once('\n').map(|(_, excerpt)| excerpt), Some(want.as_str()));
}

#[test]
fn files_that_are_no_spec_are_refused() {
    let not_utf8 = "job.yaml:2: the spec is not UTF-8: save it as UTF-8; is this the spec, not the data?";
    assert_eq!(read(b"a: b\nc: \xff\n"), Err(not_utf8.to_owned()));
    let too_long = "job.yaml: the spec is longer than 1048576 bytes: is this the spec, not the data?";
    assert_eq!(read("#".repeat(limits::SPEC_BYTES_MAX + 1)), Err(too_long.to_owned()));
    let absent = read_job(Path::new("/nowhere/job.yaml")).expect_err("no such file").to_string();
    let want = "/nowhere/job.yaml: the spec cannot be read: No such file or directory (os error 2): check the path and its permissions";
    assert_eq!(absent, want);
}

#[test]
fn what_aliases_repeat_is_bounded() {
    let many = vec!["*x"; 1_000].join(", ");
    let nulls = spec(&format!("{{nulls: [&x \"{}\", {many}]}}", "y".repeat(50_000)), "");
    let said = mistakes(nulls);
    assert!(
        said[0].ends_with("the spec grows beyond all measure by its aliases or its depth: write it out plainly"),
        "{said:?}"
    );
    // Ten to the tenth texts, were they built.
    let levels: Vec<String> = ('b'..='j')
        .zip('a'..='i')
        .map(|(to, of)| format!("&{to} [{}]", vec![format!("*{of}"); 10].join(",")))
        .collect();
    let bomb = spec(&format!("{{nulls: [&a [x,x,x,x,x,x,x,x,x,x], {}]}}", levels.join(", ")), "");
    assert_eq!(mistakes(bomb).len(), 1);
    assert_eq!(mistakes("[".repeat(100_000)).len(), 1);
}

#[test]
fn good_specs_are_read() {
    let least = read(spec("{}", "")).expect("the least spec");
    assert_eq!((least.spec.source.csv, least.spec.columns), (Csv::default(), Columns::Infer));
    let whole = r#"apiVersion: batteuse.dev/v1alpha1
kind: Ingest
metadata: {name: communes}
spec:
  source: {url: "file:///data/communes.csv", csv: {delimiter: auto, quote: auto, encoding: auto, header: true, nulls: [""]}}
  partition: {bytes: 64MiB}
  columns: infer            # or {infer: true, siret: text}, or a list of {name, type, nulls}
  output: {parquet: {url: "file:///out/communes/", compression: "zstd(3)"}}
  rejects: {tolerate: {count: 0, percent: 0}}
"#;
    let job = read(whole).expect("the example of the documentation");
    assert_eq!(job.spec.rejects.tolerate, Tolerance { count: Some(0), percent: Some(0.0) });
    assert_eq!(job.spec.partition.bytes, Auto::Given(64 << 20));
    let json = serde_json::to_string_pretty(&job).expect("a job is JSON");
    assert_eq!(read(&json).expect("JSON is YAML"), job);
    assert_eq!(read(format!("\u{feff}{}", whole.replace('\n', "\r\n"))).expect("BOM and CR LF"), job);
    let marks = read(spec("{delimiter: \"\\t\", quote: none, escape: none, comment: \"#\", nulls: [1, no, 0x1F]}", ""))
        .expect("marks");
    let csv = marks.spec.source.csv;
    assert_eq!(
        (csv.given_delimiter(), csv.given_quote(), csv.comment_byte()),
        (Some(vec![b'\t']), Some(None), Some(b'#'))
    );
    assert_eq!(csv.nulls, ["1", "no", "0x1F"]);
    let columns = read(spec(
        "{}",
        "  columns:\n    infer: true\n    b: decimal(5, 2)\n    a: text\n    c: timestamp(%d/%m/%Y %H:%M)\n",
    ))
    .expect("a map")
    .spec
    .columns;
    let names = |columns: Columns| match columns {
        Columns::Some(declared) => declared.into_iter().map(|(name, ctype)| format!("{name} {ctype}")).collect(),
        other => vec![format!("{other:?}")],
    };
    assert_eq!(names(columns), ["b decimal(5,2)", "a text", "c timestamp(%d/%m/%Y %H:%M)"]);
}

/// The job of a source, an output and `words`.
fn job(words: &[&str]) -> Result<Job, String> {
    let all = [&["--from", "/data/D\u{e9}c\u{e8}s 2024.csv", "--to", "/out/x"], words].concat();
    job_from_flags(&flags(&all).expect("flags")).map_err(|e| e.to_string())
}

#[test]
fn flags_make_the_job_that_a_spec_would() {
    let plain = job(&[]).expect("the least flags");
    assert_eq!(plain.metadata.name, "d-c-s-2024");
    assert_eq!(plain.spec.source.url, "file:///data/D%C3%A9c%C3%A8s%202024.csv");
    assert_eq!(plain.spec.output.folder_url(), "file:///out/x/");
    assert_eq!((&plain.spec.source.csv, &plain.spec.partition.bytes), (&Csv::default(), &Auto::Auto));
    let all = job(&[
        "--partition-bytes",
        "1kB",
        "--delimiter",
        "tab",
        "--quote",
        "none",
        "--encoding",
        "latin1",
        "--no-header",
        "--skip-lines",
        "3",
        "--all-text",
        "--ragged",
        "pad",
        "--tolerate",
        "7",
        "--tolerate",
        "0.5%",
    ])
    .expect("every flag")
    .spec;
    let csv = &all.source.csv;
    assert_eq!((csv.given_delimiter(), csv.given_quote()), (Some(vec![b'\t']), Some(None)));
    assert_eq!((csv.header, csv.skip_lines, csv.ragged), (false, 3, batteuse_shared::spec::Ragged::Pad));
    assert_eq!((all.partition.bytes, all.columns), (Auto::Given(1_000), Columns::AllText));
    assert_eq!(all.rejects.tolerate, Tolerance { count: Some(7), percent: Some(0.5) });
    let auto = job(&["--delimiter", "auto", "--quote", "auto", "--encoding", "auto"]).expect("auto");
    assert_eq!(auto, plain);
}

#[test]
fn a_mistake_in_a_flag_names_the_flag() {
    for (words, want) in [
        (["--quote", "ab"].as_slice(), "--quote: \"ab\" is not one ASCII character: give one, in quotes, none or auto"),
        (
            &["--quote", "'", "--delimiter", "'"],
            "--delimiter: \"\\'\" holds the quote character: give another character for one of them",
        ),
        (
            &["--delimiter", ""],
            "--delimiter: the delimiter is empty: give text in quotes such as \"|\", or tab, comma, semicolon, pipe, space or auto",
        ),
        (
            &["--encoding", "big5"],
            "--encoding: \"big5\" is not read: use utf-8, windows-1252 or auto, or convert the file first: iconv -f 'BIG5' -t UTF-8 '/data/D\u{e9}c\u{e8}s 2024.csv' > '/data/D\u{e9}c\u{e8}s 2024.csv.utf8'",
        ),
        (
            &["--skip-lines", "1000001"],
            "--skip-lines: 1000001 lines are too many: at most 1000000 are skipped; cut the file first",
        ),
        (
            &["--partition-bytes", "0"],
            "--partition-bytes: 0 bytes are out of range: use 1 byte to 1 PiB, such as 64MiB",
        ),
        (&["--tolerate", "101%"], "--tolerate: 101 percent is out of range: use 0 to 100"),
        (&["--tolerate", "nan%"], "--tolerate: NaN percent is out of range: use 0 to 100"),
        (
            &["--tolerate", "1", "--tolerate", "2"],
            "--tolerate: a count is given twice: give at most one count and one percentage",
        ),
        (
            &["--tolerate", "1%", "--tolerate", "1%"],
            "--tolerate: a percentage is given twice: give at most one count and one percentage",
        ),
    ] {
        assert_eq!(job(words), Err(want.to_owned()), "{words:?}");
    }
}

#[test]
fn flags_that_do_not_go_together_are_named() {
    let base = ["--from", "a", "--to", "b"];
    let with = |words: &[&str]| flags(&[&base, words].concat());
    for (refused, want) in [
        (
            flags(&["-f", "job.yaml", "--quote", "none"]),
            "the argument '--file <JOB>' cannot be used with '--quote <CHAR|none|auto>'",
        ),
        (flags(&["-f", "job.yaml", "--no-header"]), "the argument '--file <JOB>' cannot be used with '--no-header'"),
        (flags(&["-f", "job.yaml", "--from", "a", "--to", "b"]), "cannot be used with:\n  --from <FILE>\n  --to <DIR>"),
        (flags(&["--from", "a"]), "required arguments were not provided:\n  --to <DIR>"),
        (flags(&[]), "required arguments were not provided:\n  --from <FILE>\n  --to <DIR>"),
        (
            with(&["--tolerate", "x"]),
            "invalid value 'x' for '--tolerate <N|P%>': use a whole number of records such as 10, or a share",
        ),
        (
            with(&["--partition-bytes", "x"]),
            "invalid value 'x' for '--partition-bytes <SIZE>': \"x\" is no size: write a whole number",
        ),
        (with(&["--workers", "0"]), "invalid value '0' for '--workers <N>': 0 is not in 1..=1024"),
        (with(&["--ragged", "x"]), "invalid value 'x' for '--ragged <reject|pad>'\n  [possible values: reject, pad]"),
    ] {
        let said = refused.expect_err(want);
        assert!(said.contains(want), "{said}");
    }
    let both = flags(&["-f", "job.yaml", "--workers", "3", "-o", "json"]).expect("these go with a spec");
    assert_eq!((both.here.workers, both.output, both.file), (Some(3), OutputForm::Json, Some("job.yaml".into())));
    let none = with(&[]).expect("the least flags");
    assert_eq!((none.here.workers, none.output), (None, OutputForm::Text));
    // The list of flags that do not go with a spec is whole.
    use clap::CommandFactory;
    let mut named: Vec<String> = Run::command().get_arguments().map(|arg| arg.get_id().to_string()).collect();
    named.retain(|id| !["file", "workers", "memory", "output"].contains(&id.as_str()));
    assert_eq!(named, crate::cli::JOB_FLAGS);
}

#[test]
fn paths_are_made_absolute_without_losing_links() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let root = fs::canonicalize(dir.path()).expect("it exists");
    fs::create_dir_all(root.join("real/deep")).expect("folders");
    std::os::unix::fs::symlink(root.join("real/deep"), root.join("link")).expect("a link");
    let through = root.join("link/../a.csv");
    assert_eq!(absolute("--from", &through).expect("it resolves"), root.join("real/a.csv"));
    assert_eq!(absolute("--to", &root.join("link/new")).expect("nothing to resolve"), root.join("link/new"));
    let refused = absolute("--to", &root.join("absent/../b")).expect_err("no such folder").to_string();
    assert!(
        refused.starts_with("--to: ") && refused.ends_with("(os error 2): give a path whose folders exist"),
        "{refused}"
    );
    #[expect(clippy::disallowed_methods, reason = "what the code under test is compared with")]
    let here = std::env::current_dir().expect("a current folder");
    assert_eq!(absolute("--from", Path::new("./a.csv")).expect("it resolves"), here.join("a.csv"));
}

#[test]
fn names_come_from_stems() {
    let long = format!("/d/{}.csv", "x".repeat(100));
    for (path, name) in [
        ("/d/communes.csv", "communes"),
        ("StockEtablissement_utf8.csv", "stocketablissement-utf8"),
        ("a.b.csv", "a-b"),
        ("/d/(copie).csv", "copie"),
        ("/d/\u{e9}.csv", "job"),
        ("/", "job"),
        (&long, &"x".repeat(60)),
    ] {
        assert_eq!(job_name(Path::new(path)), name, "{path}");
    }
}
