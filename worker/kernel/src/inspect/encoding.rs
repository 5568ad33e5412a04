//! UTF-8 or Windows-1252, from the evidence of all samples.
//!
//! Invariant: a function of the counted sequences alone. Other encodings are refused elsewhere or converted by the user.

use batteuse_shared::spec::Encoding;

use super::Region;

/// Most bytes of a UTF-8 sequence after its first one.
const CONTINUATIONS_MAX: usize = 3;

/// Sequences seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    /// Valid sequences of two bytes or more.
    multibyte: u64,
    /// Bytes, or truncated sequences, that are not UTF-8.
    invalid: u64,
}

/// The encoding of the regions. A byte order mark says UTF-8, stray bytes or not.
///
/// Bytes of Windows-1252 text form a valid UTF-8 sequence by chance less than once in a hundred, so where valid ones
/// outnumber the invalid the file is UTF-8 with strays (or a mix): its bad records are rejected, loudly, where
/// Windows-1252 would turn every good accent into two wrong characters, silently.
pub(super) fn detect(regions: &[Region<'_>], bom: bool) -> Encoding {
    let mut seen = Seen::default();
    for region in regions {
        look(region, &mut seen);
    }
    if bom || seen.invalid == 0 || seen.multibyte > seen.invalid { Encoding::Utf8 } else { Encoding::Windows1252 }
}

/// Counts the sequences of a region, but not one that its ends cut.
fn look(region: &Region<'_>, seen: &mut Seen) {
    let mut bytes = region.bytes;
    if !region.head {
        let cut = bytes.iter().take(CONTINUATIONS_MAX).take_while(|&&byte| byte & 0xC0 == 0x80).count();
        bytes = &bytes[cut..];
    }
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        seen.multibyte += chunk.valid().bytes().filter(|&byte| byte >= 0xC0).count() as u64;
        let cut = chunks.peek().is_none() && !region.last && incomplete(chunk.invalid());
        if !chunk.invalid().is_empty() && !cut {
            seen.invalid += 1;
        }
    }
}

/// Whether `bytes` is the beginning of a sequence that more bytes could complete.
fn incomplete(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}
