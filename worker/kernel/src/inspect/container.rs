//! What is not delimited text: compressed files, archives, UTF-16, and binary formats, told by their bytes.
//!
//! Invariant: looks at the head alone and refuses on positive evidence only; a stray NUL byte does not make a text binary.

use std::fmt;

use batteuse_shared::spec::Csv;

use super::refusal::Refusal;

/// How far into the head NUL bytes are counted: a page of a binary format.
const NUL_WINDOW_BYTES: usize = 4096;
/// One NUL byte in so many makes the head binary: dumps have a few strays, binary formats have one in ten.
const NUL_ONE_IN: usize = 64;

/// One control character in so many makes the head binary: bytes without pattern, such as compressed ones, have one in nine,
/// texts a stray one.
const CONTROL_ONE_IN: usize = 20;
/// Fewer bytes than this are too few to judge by their control characters.
const CONTROL_WINDOW_BYTES_MIN: usize = 256;

/// A compressed file or an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// gzip.
    Gzip,
    /// A zip archive.
    Zip,
    /// A zip archive that is an Office workbook.
    Workbook,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
    /// An LZ4 frame.
    Lz4,
    /// A 7z archive.
    SevenZip,
    /// A tar archive.
    Tar,
    /// LZMA.
    Lzma,
    /// lzip.
    Lzip,
    /// Unix compress.
    Compress,
    /// A RAR archive.
    Rar,
}

impl Container {
    /// The command that unpacks it.
    #[must_use]
    pub fn command(self) -> &'static str {
        match self {
            Self::Gzip => "gzip -dc FILE > FILE.csv",
            Self::Zip => "unzip -p FILE MEMBER.csv > FILE.csv (unzip -l FILE lists the members)",
            Self::Workbook => "save the sheet as CSV (UTF-8) in a spreadsheet program",
            Self::Zstd => "zstd -dc FILE > FILE.csv",
            Self::Bzip2 => "bzip2 -dc FILE > FILE.csv",
            Self::Xz => "xz -dc FILE > FILE.csv",
            Self::Lz4 => "lz4 -dc FILE > FILE.csv",
            Self::SevenZip => "7z e -so FILE > FILE.csv",
            Self::Lzma => "xz --format=lzma -dc FILE > FILE.csv",
            Self::Lzip => "lzip -dc FILE > FILE.csv",
            Self::Compress => "gzip -dc FILE > FILE.csv",
            Self::Rar => "unrar p -inul FILE MEMBER.csv > FILE.csv (unrar l FILE lists the members)",
            Self::Tar => "tar -xOf FILE MEMBER.csv > FILE.csv (tar -tf FILE lists the members)",
        }
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "compressed with gzip",
            Self::Zip => "a zip archive",
            Self::Workbook => "an .xlsx workbook",
            Self::Zstd => "compressed with zstd",
            Self::Bzip2 => "compressed with bzip2",
            Self::Xz => "compressed with xz",
            Self::Lz4 => "compressed with lz4",
            Self::SevenZip => "a 7z archive",
            Self::Tar => "a tar archive",
            Self::Lzma => "compressed with lzma",
            Self::Lzip => "compressed with lzip",
            Self::Compress => "compressed with compress",
            Self::Rar => "a RAR archive",
        })
    }
}

/// Refuses a head that is not delimited text in an encoding whose line ends are single bytes.
pub(super) fn refuse(head: &[u8], csv: &Csv) -> Result<(), Refusal> {
    if let Some(container) = container(head) {
        return Err(Refusal::Compressed(container));
    }
    if let Some(looks_like) = format(head) {
        return Err(Refusal::Binary { looks_like });
    }
    if let Some(encoding) = wide(head) {
        return Err(Refusal::WideEncoding { encoding });
    }
    let window = &head[..head.len().min(NUL_WINDOW_BYTES)];
    let nuls = window.iter().filter(|&&byte| byte == 0).count();
    match window.iter().position(|&byte| byte == 0) {
        Some(offset) if nuls * NUL_ONE_IN > window.len() => return Err(Refusal::NulBytes { offset: offset as u64 }),
        _ => {}
    }
    // A delimiter such as 0x01 or 0x1f is no stray byte in a file that is said to have it.
    let given = csv.given_delimiter().unwrap_or_default();
    let controls = window.iter().filter(|&&byte| is_control(byte) && !given.contains(&byte)).count();
    if window.len() >= CONTROL_WINDOW_BYTES_MIN && controls * CONTROL_ONE_IN > window.len() {
        return Err(Refusal::Binary { looks_like: "full of control characters, so compressed, encrypted or binary" });
    }
    Ok(())
}

/// Whether a byte is a control character that texts do not hold; tab, line ends, form feed and the old end of file they do.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r' | b'\x0c' | b'\x1a')
}

fn container(head: &[u8]) -> Option<Container> {
    const MAGIC: [(&[u8], Container); 12] = [
        (b"\x1f\x8b", Container::Gzip),
        (b"\x1f\x9d", Container::Compress),
        (b"\x5d\x00\x00", Container::Lzma),
        (b"LZIP\x01", Container::Lzip),
        (b"Rar!\x1a\x07", Container::Rar),
        (b"PK\x03\x04", Container::Zip),
        (b"PK\x05\x06", Container::Zip),
        (b"\x28\xb5\x2f\xfd", Container::Zstd),
        (b"\xfd7zXZ\x00", Container::Xz),
        (b"\x04\x22\x4d\x18", Container::Lz4),
        (b"7z\xbc\xaf\x27\x1c", Container::SevenZip),
        (b"BZh", Container::Bzip2),
    ];
    let found = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)).map(|&(_, container)| container);
    match found {
        // A header may begin with these letters; the block's magic after the level is what no text has.
        Some(Container::Bzip2) if head.get(4..10) != Some(b"1AY&SY") => None,
        Some(Container::Zip) if memchr::memmem::find(&head[..head.len().min(4096)], b"xl/").is_some() => {
            Some(Container::Workbook)
        }
        None if head.get(257..262) == Some(b"ustar") && head[..257].contains(&0) => Some(Container::Tar),
        found => found,
    }
}

fn format(head: &[u8]) -> Option<&'static str> {
    // A header may begin with `PAR1` or `ARROW1`; the byte that follows the mark in those formats is in no text.
    const MAGIC: [(&[u8], &str); 7] = [
        (b"PAR1\x15", "a Parquet file"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"ARROW1\0", "an Arrow file"),
        (b"Obj\x01", "an Avro file"),
        (b"%PDF-", "a PDF document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document such as .xls"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    ];
    MAGIC.iter().find(|(magic, _)| head.starts_with(magic)).map(|&(_, name)| name)
}

/// UTF-16 or UTF-32, by its byte order mark, or UTF-16 by its pattern: ASCII text has NUL in every other byte.
fn wide(head: &[u8]) -> Option<&'static str> {
    // The longer marks first: UTF-32LE's begins with UTF-16LE's.
    const MARKS: [(&[u8], &str); 4] = [
        (b"\xff\xfe\x00\x00", "UTF-32"),
        (b"\x00\x00\xfe\xff", "UTF-32"),
        (b"\xff\xfe", "UTF-16"),
        (b"\xfe\xff", "UTF-16"),
    ];
    if let Some((_, name)) = MARKS.iter().find(|(mark, _)| head.starts_with(mark)) {
        return Some(name);
    }
    let window = &head[..head.len().min(NUL_WINDOW_BYTES)];
    let pairs = window.len() / 2;
    let nuls = |odd: usize| window.chunks_exact(2).filter(|pair| pair[odd] == 0).count();
    let pattern = |many: usize, few: usize| many * 10 >= pairs * 4 && few * 10 <= pairs && many > 0;
    match (nuls(0), nuls(1)) {
        (even, odd) if pattern(odd, even) => Some("UTF-16LE"),
        (even, odd) if pattern(even, odd) => Some("UTF-16BE"),
        _ => None,
    }
}
