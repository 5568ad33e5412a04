//! Small files, each with what inspection makes of it.

use batteuse_shared::spec::{ColumnSpec, Columns, Csv, Ragged};
use batteuse_shared::table::ColumnType;

use super::{given, run, show};

/// What a case gives beside the file.
type Given = fn(&mut Csv);

const AUTO: Given = |_| {};
const NO_HEADER: Given = |csv| csv.header = false;

/// Runs a table of (name, file, what is given, what is found or the words of the refusal after `refused: `).
fn check(cases: &[(&str, &[u8], Given, &str)]) {
    for (name, file, given, want) in cases {
        let mut csv = Csv::default();
        given(&mut csv);
        match (run(file, &csv, &Columns::Infer), want.strip_prefix("refused: ")) {
            (Ok(found), None) => assert_eq!(show(&found), *want, "{name}"),
            (Err(refusal), Some(words)) => {
                assert!(refusal.to_string().contains(words), "{name}: {refusal}");
            }
            (found, _) => panic!("{name}: wanted {want}, found {found:?}"),
        }
    }
}

#[test]
fn inspect_tells_lone_quotes_from_quoted_fields() {
    let plain: String = (0..40).map(|i| format!("{i}\tplain {i}\t{i}\n")).collect();
    let lone = format!("id\tname\tn\n1\t\"Lone\t2\n{plain}4\tpipe 5\"\t4\n5\tz\t5\n");
    let orderly = format!("{lone}6\t\"an orderly one\"\t6\n");
    let honest = format!("id\tname\tn\n1\t\"start\n{plain}end\"\t4\n5\tz\t5\n");
    check(&[
        (
            "two lone quotes in one column, everything regular either way",
            lone.as_bytes(),
            AUTO,
            "\\t none utf-8 . @10 +1 id:int64,name:text,n:int64",
        ),
        (
            "the same beside an orderly one",
            orderly.as_bytes(),
            AUTO,
            "\\t \\\" utf-8 . @10 +1 id:int64,name:text,n:int64",
        ),
        (
            "a quoted field of lines that look like records, but its first and last",
            honest.as_bytes(),
            AUTO,
            "\\t \\\" utf-8 . @10 +1 id:int64,name:text,n:int64",
        ),
        (
            "the same, where short records are padded",
            honest.as_bytes(),
            |csv| csv.ragged = Ragged::Pad,
            "\\t \\\" utf-8 . @10 +1 id:int64,name:text,n:int64",
        ),
        (
            "a field of two lines, each with a delimiter too many for a name",
            b"id,note\n1,\"Dupont\nJean, maire\"\n2,Martin\n3,Durand\n",
            AUTO,
            ", \\\" utf-8 . @8 +1 id:int64,note:text",
        ),
        (
            "fields of lines that are records but for the quotes",
            b"id,note\n1,\"x\n2,y\n3,z\"\n4,w\n",
            AUTO,
            ", \\\" utf-8 . @8 +1 id:int64,note:text",
        ),
    ]);
}

#[test]
fn inspect_reads_what_spreadsheets_and_portals_write() {
    check(&[
        ("Excel's sep line", b"sep=;\r\na;b\r\n1;2\r\n", AUTO, "; \\\" utf-8 . @12 +2 a:int64,b:int64"),
        ("the same behind a BOM", b"\xef\xbb\xbfsep=,\na,b\n1,2\n", AUTO, ", \\\" utf-8 . @13 +2 a:int64,b:int64"),
        (
            "a control character as delimiter",
            &b"a\x01b\x01c\n1\x01x\x012\n".repeat(60),
            |csv| csv.delimiter = given("\x01"),
            "\\x01 \\\" utf-8 . @6 +1 a:text,b:text,c:text",
        ),
        ("a column that is called so", b"sep=x,b\n1,2\n", AUTO, ", \\\" utf-8 . @8 +1 sep=x:int64,b:int64"),
        (
            "points on the map in a semicolon file",
            b"adresse;ville, code;geo, point\n12;Lyon;48.1,5.0\n13;Nice;41.9,2.7\n",
            AUTO,
            "; \\\" utf-8 . @31 +1 adresse:int64,ville, code:text,geo, point:text",
        ),
        (
            "a single column whose name holds a comma, or columns that are missing",
            b"prix (EUR, HT)\n10\n20\n30\n",
            AUTO,
            "refused: the first record and the others disagree",
        ),
        (
            "the same, told",
            b"prix (EUR, HT)\n10\n20\n30\n",
            |csv| csv.delimiter = given("tab"),
            "\\t \\\" utf-8 . @15 +1 prix (EUR, HT):int64",
        ),
    ]);
}

#[test]
fn inspect_finds_delimiters() {
    check(&[
        ("comma", b"a,b\n1,x\n2,y\n", AUTO, ", \\\" utf-8 . @4 +1 a:int64,b:text"),
        ("semicolon", b"a;b\n1;x\n2;y\n", AUTO, "; \\\" utf-8 . @4 +1 a:int64,b:text"),
        ("tab", b"a\tb\n1\tx\n", AUTO, "\\t \\\" utf-8 . @4 +1 a:int64,b:text"),
        ("pipe", b"a|b\n1|x\n", AUTO, "| \\\" utf-8 . @4 +1 a:int64,b:text"),
        ("CRLF", b"a,b\r\n1,x\r\n", AUTO, ", \\\" utf-8 . @5 +1 a:int64,b:text"),
        ("lone CR", b"a,b\r1,x\r2,y\r", AUTO, ", \\\" utf-8 . @4 +1 a:int64,b:text"),
        ("no final newline", b"a,b\n1,x", AUTO, ", \\\" utf-8 . @4 +1 a:int64,b:text"),
        ("header only", b"a,b,c\n", AUTO, ", \\\" utf-8 . @6 +1 a:text,b:text,c:text"),
        ("header only, no newline", b"a;b", AUTO, "; \\\" utf-8 . @3 +0 a:text,b:text"),
        ("one column", b"name\nDupont\nMartin\n", AUTO, ", \\\" utf-8 . @5 +1 name:text"),
        (
            "one column of prose with a comma now and then",
            b"remark\nfine\nwell, well\nno\nyes\n",
            AUTO,
            "; \\\" utf-8 . @7 +1 remark:text",
        ),
        (
            "BAN: semicolon in a quoted field",
            b"id;voie;lat\n1;\"rue; du lac\";48.5\n2;place;47.25\n",
            AUTO,
            "; \\\" utf-8 . @12 +1 id:int64,voie:text,lat:float64",
        ),
        (
            "commas in the text of a semicolon file",
            b"id;adresse;ville\n1;12, rue X;Paris\n2;3, rue Y;Lyon, Rh\n3;4 rue;Nice\n",
            AUTO,
            "; \\\" utf-8 . @17 +1 id:int64,adresse:text,ville:text",
        ),
        (
            "a comma in the header of a semicolon file",
            b"id;prix (euros, HT);n\n1;10;3\n2;20;4\n3;5;6\n",
            AUTO,
            "; \\\" utf-8 . @22 +1 id:int64,prix (euros, HT):int64,n:int64",
        ),
        (
            "one comma in the header and in each record",
            b"id;nom, prenom;n\n1;Durand, Zoe;3\n2;Petit, Luc;4\n",
            AUTO,
            "; \\\" utf-8 . @17 +1 id:int64,nom, prenom:text,n:int64",
        ),
    ]);
}

#[test]
fn inspect_bears_ragged_files_and_keeps_what_is_given() {
    check(&[
        (
            "a few ragged rows",
            b"a,b,c\n1,2,3\n1,2\n1,2,3\n1,2,3,4,5\n1,2,3\n1,2,3\n",
            AUTO,
            ", \\\" utf-8 . @6 +1 a:int64,b:int64,c:int64",
        ),
        (
            "RPPS: a trailing separator in the records only",
            b"a|b\n1|x|\n2|y|\n3|z|\n",
            AUTO,
            "| \\\" utf-8 . @4 +1 a:text,b:text",
        ),
        (
            "records wider than the header, one delimiter",
            b"a,b\n1,2,3\n4,5,6\n7,8,9\n",
            AUTO,
            ", \\\" utf-8 . @4 +1 a:text,b:text",
        ),
        (
            "GTFS and its short rows, padded",
            b"id,name,lat,lon,zone\nA,Foo\nB,Bar\nC,Baz,1.5,2.5,1\n",
            |csv| csv.ragged = Ragged::Pad,
            ", \\\" utf-8 . @21 +1 id:text,name:text,lat:float64,lon:float64,zone:int64",
        ),
        ("given delimiter", b"a:b\n1:2\n", |csv| csv.delimiter = given(":"), ": \\\" utf-8 . @4 +1 a:int64,b:int64"),
        (
            "given delimiter of two bytes",
            b"a||b\n1||2\n",
            |csv| csv.delimiter = given("||"),
            "|| \\\" utf-8 . @5 +1 a:int64,b:int64",
        ),
        (
            "a comment character leaves the other delimiters",
            b";note, it\na,b\n1,2\n",
            |csv| csv.comment = Some(";".to_owned()),
            ", \\\" utf-8 . @14 +2 a:int64,b:int64",
        ),
    ]);
}

#[test]
fn inspect_decides_about_quotes() {
    check(&[
        ("NPPES: all quoted", b"\"a\",\"b\"\n\"1\",\"\"\n\"2\",\"x\"\n", AUTO, ", \\\" utf-8 . @8 +1 a:int64,b:text"),
        ("a header over two lines", b"\"a\nb\",c\n1,2\n", AUTO, ", \\\" utf-8 . @8 +2 a\nb:int64,c:int64"),
        (
            "OpenFoodFacts: lone quotes in a tab file",
            b"code\tname\tn\n01\t\"Bio\" milk\t1\n02\tx\t2\n03\t\"Lone\t3\n04\ty\t4\n05\tz\t5\n06\tw\t6\n",
            AUTO,
            "\\t none utf-8 . @12 +1 code:text,name:text,n:int64",
        ),
        (
            "IMDb: lone quotes among orderly ones",
            b"id\ttitle\nt1\t\"Giliap\"\nt2\tx\nt3\ty\nt4\t\"Rome, open\nt5\tz\nt6\tv\nt7\tw\n",
            AUTO,
            "\\t none utf-8 . @9 +1 id:text,title:text",
        ),
        (
            "lone quotes and inch marks that close them",
            b"id\tname\tn\n1\t\"Lone\t1\n2\tx\t2\n3\tpipe 5\"\t3\n4\t\"Bio\" milk\t4\n5\tw\t5\n6\tv\t6\n",
            AUTO,
            "\\t none utf-8 . @10 +1 id:int64,name:text,n:int64",
        ),
        ("a file cut short in a quoted field", b"a,b\n1,x\n2,y\n3,\"z\n", AUTO, ", \\\" utf-8 . @4 +1 a:int64,b:text"),
        (
            "quoted throughout, one inner quote not doubled",
            b"a,b\n1,\"x\"\n2,\"y \"z\" w\"\n3,\"v\"\n",
            AUTO,
            ", \\\" utf-8 . @4 +1 a:int64,b:text",
        ),
        (
            "quoted where needed, one inner quote not doubled",
            b"a,b\n1,\"x, y\"\n2,\"y \"z\" w\"\n3,v\n4,u\n5,t\n",
            AUTO,
            ", \\\" utf-8 . @4 +1 a:int64,b:text",
        ),
        (
            "tab file with doubled quotes, as a spreadsheet writes it",
            b"a\tb\n1\t\"5\"\" pipe\"\n2\tx\n3\ty\n4\tz\n",
            AUTO,
            "\\t \\\" utf-8 . @4 +1 a:int64,b:text",
        ),
    ]);
}

#[test]
fn inspect_reads_orderly_and_given_quotes() {
    check(&[
        (
            "line ends in quoted fields",
            b"a;b\n1;\"x\ny\"\n2;z\n3;\"u\nv\nw\"\n",
            AUTO,
            "; \\\" utf-8 . @4 +1 a:int64,b:text",
        ),
        (
            "GTFS: quotes inside fields mean nothing",
            b"id,name\n1,Gare \"du Nord\"\n2,5\" pipe\n",
            AUTO,
            ", \\\" utf-8 . @8 +1 id:int64,name:text",
        ),
        (
            "given none",
            b"a,\"b\"\n1,\"x\"\n",
            |csv| csv.quote = given("none"),
            ", none utf-8 . @6 +1 a:int64,\"b\":text",
        ),
        ("given apostrophe", b"a,b\n'x, y',1\n", |csv| csv.quote = given("'"), ", \\' utf-8 . @4 +1 a:text,b:int64"),
        (
            "escaped quotes",
            b"a,b\n\"x \\\", y\",1\n\"z\",2\n",
            |csv| csv.escape = Some("\\".to_owned()),
            ", \\\" utf-8 . @4 +1 a:text,b:int64",
        ),
        (
            "header's quote never closed",
            b"a,\"b\n1,2\n",
            |csv| csv.quote = given("\""),
            "refused: opened in the header at byte offset 0 is never closed",
        ),
    ]);
}

#[test]
fn inspect_finds_encodings() {
    check(&[
        ("BOM", b"\xef\xbb\xbfa,b\n1,2\n", AUTO, ", \\\" utf-8 . @7 +1 a:int64,b:int64"),
        ("BOM and a quoted header", b"\xef\xbb\xbf\"a\",b\n1,2\n", AUTO, ", \\\" utf-8 . @9 +1 a:int64,b:int64"),
        ("BOM and a stray byte", b"\xef\xbb\xbfa,b\n1,\xe9\n", AUTO, ", \\\" utf-8 . @7 +1 a:text,b:text"),
        ("UTF-8", "é,b\n1,ü\n".as_bytes(), AUTO, ", \\\" utf-8 . @5 +1 é:int64,b:text"),
        ("latin1 header", b"d\xe9p;b\n1;x\n", AUTO, "; \\\" windows-1252 . @6 +1 dép:int64,b:text"),
        ("cp1252 values", b"a;b\n1;\x80uro\n2;\xe9t\xe9\n", AUTO, "; \\\" windows-1252 . @4 +1 a:int64,b:text"),
        (
            "PPP FOIA: UTF-8 with a stray byte",
            b"a,b\n1,\xc3\xa9\xc3\xa8\n2,\xc3\xa9\n3,\xe9\n",
            AUTO,
            ", \\\" utf-8 . @4 +1 a:int64,b:text",
        ),
        (
            "given encoding",
            "é,b\n1,2\n".as_bytes(),
            |csv| csv.encoding = given("cp1252"),
            ", \\\" windows-1252 . @5 +1 Ã©:int64,b:int64",
        ),
        (
            "given UTF-8, header in latin1",
            b"ab;d\xe9p\n1;2\n",
            |csv| csv.encoding = given("utf-8"),
            "refused: not valid UTF-8 at byte offset 4",
        ),
    ]);
}

#[test]
fn inspect_finds_preambles() {
    check(&[
        (
            "HEXASMAL: a header that begins with #",
            b"#Code;Nom\n01001;A\n",
            AUTO,
            "; \\\" utf-8 . @10 +1 #Code:text,Nom:text",
        ),
        (
            "comments when given",
            b"# made by\n\na,b\n#x\n1,2\n",
            |csv| csv.comment = Some("#".to_owned()),
            ", \\\" utf-8 . @15 +3 a:int64,b:int64",
        ),
        ("blank first lines", b"\r\n\na,b\n1,2\n", AUTO, ", \\\" utf-8 . @7 +3 a:int64,b:int64"),
        (
            "skipped lines of three kinds, one with a quote",
            b"\xef\xbb\xbfTitle \"x\r\nsecond\rthird\na,b\n1,2\n",
            |csv| csv.skip_lines = 3,
            ", \\\" utf-8 . @30 +4 a:int64,b:int64",
        ),
        (
            "skipped lines without header",
            b"title\n1,x\n2,y\n",
            |csv| (csv.skip_lines, csv.header) = (1, false),
            ", \\\" utf-8 . @6 +1 column_1:int64,column_2:text",
        ),
        (
            "GHCN: no header",
            b"US1,19490101,5,,\nUS1,19490102,7,,\n",
            NO_HEADER,
            ", \\\" utf-8 . @0 +0 column_1:text,column_2:int64,column_3:int64,column_4:text,column_5:text",
        ),
        (
            "GeoNames: no header, lists with commas",
            b"1\tX\ta,b,c\t1.5\n2\tY\tp,q\t2.5\n3\tZ\t\t3\n",
            NO_HEADER,
            "\\t \\\" utf-8 . @0 +0 column_1:int64,column_2:text,column_3:text,column_4:float64",
        ),
        (
            "BOM without header, blank line first",
            b"\xef\xbb\xbf\n1;x\n",
            NO_HEADER,
            "; \\\" utf-8 . @3 +0 column_1:int64,column_2:text",
        ),
    ]);
}

#[test]
fn inspect_names_columns() {
    check(&[
        (
            "Companies House: spaces around names",
            b"CompanyName, Number , \"x\"\nA,1,2\nB,2,3\n",
            AUTO,
            ", \\\" utf-8 . @26 +1 CompanyName:text,Number:int64,\"x\":int64",
        ),
        ("an empty name", b"a,,c\n1,2,3\n", AUTO, ", \\\" utf-8 . @5 +1 a:int64,column_2:int64,c:int64"),
        (
            "trailing empty columns",
            b"a;b;;\n1;2;;\n3;4;;\n",
            AUTO,
            "; \\\" utf-8 . @6 +1 a:int64,b:int64,column_3:text,column_4:text",
        ),
        ("an empty name whose substitute is taken", b"a,,column_2\n1,2,3\n", AUTO, "refused: column 2 has no name"),
        ("duplicate names", b"a,b,a, a\n1,2,3,4\n", AUTO, "refused: \"a\" is given 3 times, to the columns 1, 3, 4"),
        ("names that differ in case", b"a,A\n1,2\n", AUTO, ", \\\" utf-8 . @4 +1 a:int64,A:int64"),
    ]);
}

#[test]
fn inspect_guesses_types_and_decimal_marks() {
    check(&[
        (
            "DVF: decimal commas",
            b"id|date|valeur|cp\n1|03/01/2020|123000,00|1000\n2|04/01/2020|8000,5|2000\n",
            AUTO,
            "| \\\" utf-8 , @18 +1 id:int64,date:text,valeur:float64,cp:int64",
        ),
        ("decimal points in a semicolon file", b"a;b\n1;2.5\n2;3\n", AUTO, "; \\\" utf-8 . @4 +1 a:int64,b:float64"),
        ("decimal commas in quotes", b"a,b\n1,\"2,5\"\n2,\"3,5\"\n", AUTO, ", \\\" utf-8 . @4 +1 a:int64,b:text"),
        (
            "decimal commas without header",
            b"1,5;2,5;3,5\n1,25;2,5;3,5\n1,5;2,5;3,125\n",
            NO_HEADER,
            "; \\\" utf-8 , @0 +0 column_1:float64,column_2:float64,column_3:float64",
        ),
        (
            "thousands separators stay text",
            b"a\tb\n1\t1,234\n2\t12,000\n",
            AUTO,
            "\\t \\\" utf-8 . @4 +1 a:int64,b:text",
        ),
        (
            "points outvote commas",
            b"lat;lon;prix\n48.5;2.25;3,5\n47.5;1.25;4,5\n",
            AUTO,
            "; \\\" utf-8 . @13 +1 lat:float64,lon:float64,prix:text",
        ),
        ("a column with both marks says nothing", b"a;b\n1;2.5\n2;3,5\n", AUTO, "; \\\" utf-8 . @4 +1 a:int64,b:text"),
        (
            "given decimal",
            b"a;b\n1;2\n2;3,125\n",
            |csv| csv.decimal = given(","),
            "; \\\" utf-8 , @4 +1 a:int64,b:float64",
        ),
        (
            "SIRENE: codes stay text, nulls and masks",
            b"siren,nic,date,masque,diffusible\n005520135,00038,2021-05-01,[ND],true\n5,00012,,x,false\n",
            AUTO,
            ", \\\" utf-8 . @33 +1 siren:text,nic:text,date:date,masque:text,diffusible:boolean",
        ),
        (
            "times",
            b"a,b,c\n2020-01-01 10:00:00,2020-01-01T10:00:00Z,25:10:00\n2020-01-02,2020-01-02T10:00:00Z,24:00:00\n",
            AUTO,
            ", \\\" utf-8 . @6 +1 a:timestamp,b:timestamptz,c:text",
        ),
        (
            "nulls of the spec, one not ASCII",
            b"a;b\n1;\xe9\n\\N;5\n2;6\n",
            |csv| csv.nulls = vec!["\\N".to_owned(), "é".to_owned()],
            "; \\\" windows-1252 . @4 +1 a:int64,b:int64",
        ),
        (
            "ragged and invalid records do not count",
            b"a,b\n1,2\nx\n3,4\ny,z,w\n5,6\n\xc3\xa9x,7\n8,9\n\xe9,u\n\xc3\xa9,1\n7,8\n",
            AUTO,
            ", \\\" utf-8 . @4 +1 a:text,b:int64",
        ),
    ]);
}

#[test]
fn inspect_refuses_with_words() {
    check(&[
        ("empty", b"", AUTO, "refused: the file is empty: it has 0 bytes"),
        ("BOM alone", b"\xef\xbb\xbf", AUTO, "refused: byte order mark and nothing else"),
        ("blank lines alone", b"\n\r\n\r", AUTO, "refused: only blank or comment lines"),
        ("comments alone", b"#a\n#b", |csv| csv.comment = Some("#".to_owned()), "refused: only blank or comment lines"),
        ("all skipped", b"a\nb\n", |csv| csv.skip_lines = 2, "refused: nothing is left after the 2 skipped lines"),
        ("more skipped than there are", b"a\nb", |csv| csv.skip_lines = 5, "refused: after the 5 skipped lines"),
        (
            "gzip",
            b"\x1f\x8b\x08\x00\x00",
            AUTO,
            "refused: compressed with gzip, which is not read: unpack it first: gzip -dc",
        ),
        ("zip", b"PK\x03\x04\x14\x00", AUTO, "refused: a zip archive, which is not read: unpack it first: unzip -p"),
        ("xlsx", b"PK\x03\x04\x14\x00..xl/workbook.xml", AUTO, "refused: an .xlsx workbook"),
        ("zstd", b"\x28\xb5\x2f\xfd\x04", AUTO, "refused: zstd -dc"),
        ("bzip2", b"BZh91AY&SY\x00", AUTO, "refused: bzip2 -dc"),
        ("a header that begins as bzip2 does", b"BZh9,b\n1,2\n", AUTO, ", \\\" utf-8 . @7 +1 BZh9:int64,b:int64"),
        ("xz", b"\xfd7zXZ\x00\x00", AUTO, "refused: xz -dc"),
        ("lz4", b"\x04\x22\x4d\x18\x64", AUTO, "refused: lz4 -dc"),
        ("UTF-16LE with mark", b"\xff\xfea\0,\0", AUTO, "refused: iconv -f UTF-16 -t UTF-8"),
        ("UTF-16BE with mark", b"\xfe\xff\0a\0,", AUTO, "refused: iconv -f UTF-16 -t UTF-8"),
        ("UTF-16LE by pattern", b"a\0,\0b\0\n\0x\0,\0y\0\n\0", AUTO, "refused: iconv -f UTF-16LE"),
        ("UTF-16BE by pattern", b"\0a\0,\0b\0\n", AUTO, "refused: iconv -f UTF-16BE"),
        ("Parquet", b"PAR1\x15\x04\x15", AUTO, "refused: a Parquet file, not delimited text"),
        ("a header PAR1", b"PAR1,b\n1,2\n", AUTO, ", \\\" utf-8 . @7 +1 PAR1:int64,b:int64"),
        ("SQLite", b"SQLite format 3\0\x10\0", AUTO, "refused: an SQLite database"),
        ("lzma", b"\x5d\x00\x00\x80\x00\xff\xff", AUTO, "refused: compressed with lzma, which is not read"),
        ("lzip", b"LZIP\x01\x0c", AUTO, "refused: lzip -dc FILE"),
        ("compress", b"\x1f\x9d\x90a", AUTO, "refused: compressed with compress"),
        ("rar", b"Rar!\x1a\x07\x01\x00", AUTO, "refused: a RAR archive"),
        (
            "bytes without pattern",
            &(0..=255u8).cycle().take(2_048).map(|byte| byte.wrapping_mul(167) | 1).collect::<Vec<u8>>(),
            AUTO,
            "refused: full of control characters",
        ),
        ("binary", b"ab\x07\0\0\0\x01\x02\x03cd\0\0\x09", AUTO, "refused: NUL bytes, the first at byte offset 3"),
    ]);
}

#[test]
fn inspect_refuses_what_two_readings_explain() {
    check(&[
        (
            "a tie",
            b"id;ville,pays\n1;Lyon,FR\n2;Nice,FR\n",
            AUTO,
            "refused: with --delimiter ',' the first record has 2 fields and 100 % of the others have 2; with --delimiter ';'",
        ),
        (
            "the tie, broken",
            b"id;a,b\n1;2,3\n",
            |csv| csv.delimiter = given(";"),
            "; \\\" utf-8 , @7 +1 id:int64,a,b:float64",
        ),
        (
            "header and records at odds",
            b"a,b\n1;2\n3;4\n5;6\n",
            AUTO,
            "refused: with --delimiter ';' the first record has 1 fields and 100 % of the others have 2): the first record and",
        ),
        (
            "a title before the header",
            b"Population 2020\na,b,c\n1,2,3\n4,5,6\n",
            AUTO,
            "refused: skip them with `--skip-lines N`",
        ),
        (
            "decimal mark is the delimiter",
            b"a,b\n1,2\n",
            |csv| (csv.delimiter, csv.decimal) = (given(","), given(",")),
            "refused: is the delimiter as well as the decimal mark",
        ),
    ]);
}

fn list(names: &[(&str, Option<ColumnType>)]) -> Columns {
    let column = |&(name, ctype): &(&str, Option<ColumnType>)| ColumnSpec {
        name: name.to_owned(),
        ctype: ctype.map(Into::into),
        nulls: None,
    };
    Columns::All(names.iter().map(column).collect())
}

#[test]
fn inspect_honours_declared_columns() {
    let file = b"siren,effectif,prix\n1,2,3\n4,x,6\n";
    let found = |columns: &Columns| run(file, &Csv::default(), columns);
    let shown = |columns: &Columns| found(columns).map(|found| show(&found)).map_err(|refusal| refusal.to_string());
    let want = |columns: &str| Ok(format!(", \\\" utf-8 . @20 +1 {columns}"));
    assert_eq!(shown(&Columns::AllText), want("siren:text,effectif:text,prix:text"));
    let some = Columns::Some(vec![
        ("siren".to_owned(), ColumnType::Text.into()),
        ("effectif".to_owned(), ColumnType::Int64.into()),
    ]);
    assert_eq!(shown(&some), want("siren:text,effectif:int64,prix:int64"));
    let declared: Vec<bool> = found(&some).expect("it is read").columns.iter().map(|column| column.declared).collect();
    assert_eq!(declared, [true, true, false]);
    let all = list(&[("prix", Some(ColumnType::Float64)), ("siren", None), ("effectif", Some(ColumnType::Text))]);
    assert_eq!(shown(&all), want("siren:int64,effectif:text,prix:float64"));
    let refused = |columns: &Columns, words: &str| {
        let refusal = found(columns).expect_err(words).to_string();
        assert!(refusal.contains(words), "{refusal}");
    };
    refused(
        &Columns::Some(vec![("Sirene".to_owned(), ColumnType::Text.into())]),
        "\"Sirene\", which is no column of the file: nearest are \"siren\", ",
    );
    refused(&list(&[("siren", None), ("prix", None)]), "column 2, \"effectif\", is not in the list");
}

#[test]
fn inspect_honours_declared_columns_without_header() {
    let csv = Csv { header: false, nulls: vec!["NA".to_owned()], ..Csv::default() };
    let Columns::All(mut columns) = list(&[("id", None), ("n", None)]) else { unreachable!() };
    columns[1].nulls = Some(vec!["-".to_owned()]);
    let found = run(b"NA,-\n1,2\n", &csv, &Columns::All(columns)).expect("it is read");
    assert_eq!(show(&found), ", \\\" utf-8 . @0 +0 id:int64,n:int64");
    assert_eq!(found.columns.iter().map(|c| c.nulls.concat()).collect::<Vec<_>>(), ["NA", "-"]);
    let refusal = run(b"1,2,3\n", &csv, &list(&[("id", None)])).expect_err("the counts differ").to_string();
    assert!(refusal.contains("names 1 columns, and the first record has 3 fields"), "{refusal}");
}

#[test]
fn inspect_takes_commas_of_a_declared_float_column_for_decimal_marks() {
    let columns = Columns::Some(vec![("prix".to_owned(), ColumnType::Float64.into())]);
    let found = run(b"id;prix\n1;2,5\n2;n/a\n", &Csv::default(), &columns).expect("it is read");
    assert_eq!(show(&found), "; \\\" utf-8 , @8 +1 id:int64,prix:float64");
}
