//! Codes as pages have them, read back as the format says.

use super::*;

/// What a page's codes are, by the format's own words.
fn read(page: &[u8], count: usize) -> Vec<u32> {
    let bits = u32::from(page[0]);
    let (mut at, mut codes) = (1, Vec::new());
    while codes.len() < count {
        let (mut header, mut shift) = (0_u64, 0);
        loop {
            header |= u64::from(page[at] & 0x7f) << shift;
            (at, shift) = (at + 1, shift + 7);
            if page[at - 1] < 0x80 {
                break;
            }
        }
        if header & 1 == 0 {
            let bytes = bits.div_ceil(8) as usize;
            let code = page[at..at + bytes].iter().rev().fold(0, |code, &byte| code << 8 | u32::from(byte));
            codes.extend(std::iter::repeat_n(code, (header >> 1) as usize));
            at += bytes;
        } else {
            let bit = |i: usize| u32::from(page[at + i / 8] >> (i % 8) & 1);
            let values = (header >> 1) as usize * 8;
            codes.extend(
                (0..values).map(|i| (0..bits).fold(0, |code, b| code | bit(i * bits as usize + b as usize) << b)),
            );
            at += (header >> 1) as usize * bits as usize;
        }
    }
    assert_eq!(at, page.len(), "nothing is left over");
    codes.truncate(count);
    codes
}

#[test]
fn codes_are_packed_and_run_as_the_format_has_it() {
    let mut seed = 1_u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for count in [1, 2, 3, 4, 5, 17, 200, 256, 257, 4_096, 65_537, 262_144] {
        for length in [1, 7, 8, 9, 15, 16, 100, 20_000] {
            let mut codes: Vec<u32> = Vec::new();
            while codes.len() < length {
                let run = if next(3) == 0 { next(40) as usize + 1 } else { 1 };
                let code = next(count) as u32;
                codes.extend(std::iter::repeat_n(code, run.min(length - codes.len())));
            }
            let mut page = Vec::new();
            indices(&codes, count as usize, &mut page);
            assert!(read(&page, length) == codes, "{length} of {count}");
        }
    }
}

/// What a codec of the crate reads in a frame.
fn decompressed(frame: &[u8], bytes: usize) -> Vec<u8> {
    let zstd = Compression::ZSTD(parquet::basic::ZstdLevel::try_new(3).unwrap());
    let mut codec = create_codec(zstd, &CodecOptions::default()).unwrap().unwrap();
    let mut out = Vec::new();
    codec.decompress(frame, &mut out, Some(bytes)).unwrap();
    out
}

#[test]
fn what_is_stored_is_a_frame_of_zstandard() {
    for bytes in [1, 9, 255, 70_000, ZSTD_BLOCK_BYTES, ZSTD_BLOCK_BYTES + 1, 5 * ZSTD_BLOCK_BYTES] {
        let body: Vec<u8> = (0..bytes).map(|i| ((i * i) >> 3) as u8).collect();
        let frame = stored(&body);
        assert!(decompressed(&frame, bytes) == body, "{bytes}");
        assert_eq!(zstd_content_bytes(&frame), bytes as u32);
    }
}

fn zstd_content_bytes(frame: &[u8]) -> u32 {
    u32::from_le_bytes(*frame[5..].first_chunk().unwrap())
}

#[test]
fn pages_that_hardly_shrink_are_followed_by_some_that_are_stored() {
    let zstd = Compression::ZSTD(parquet::basic::ZstdLevel::try_new(3).unwrap());
    let (mut compressor, mut stored_next) = (Compressor::new(zstd).unwrap(), 0);
    let mut seed = 1_u64;
    let mut noise = || {
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 56) as u8
        };
        (0..30_000).map(|_| next()).collect::<Vec<_>>()
    };
    let mut stored_pages = 0;
    for page in 0..20 {
        let body = if page < 10 { noise() } else { vec![7; 30_000] };
        let compressed = compressor.compress_page(&body, &mut stored_next).unwrap();
        assert!(decompressed(&compressed, body.len()) == body, "{page}");
        stored_pages += usize::from(compressed[..] == stored(&body));
        assert!(page > 0 || stored_next == PAGES_STORED);
    }
    // Pages 1 to 7, and after page 8 the next seven, of which the last shrink but nobody looked.
    assert_eq!(stored_pages, 2 * PAGES_STORED);
    let (mut plain, mut never) = (Compressor::new(Compression::SNAPPY).unwrap(), 0);
    (0..3).for_each(|_| drop(plain.compress_page(&noise(), &mut never).unwrap()));
    assert_eq!(never, 0, "only frames of Zstandard have such a form");
}
