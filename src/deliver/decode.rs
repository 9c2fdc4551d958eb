//! A compressed body, as far as somebody has to read it: the answer to an attempt, and what came in from
//! outside, for its event id. Nobody asked for compression; the bounds are those of a stranger's bytes.

use std::io::Read;

use brotli_decompressor::{BrotliDecompressStream, BrotliState, StandardAlloc};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// Decoded bytes for each compressed one, at most: what is denser is made to fill memory.
const RATIO_MAX: usize = 100;
/// Log2 of the bytes that a decoder may look back on: 8 MiB, as RFC 9659 bounds it for HTTP.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The codings that are taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// The one coding of a body; `None` where there is none, more than one, or another.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(CONTENT_ENCODING).iter();
        let name = all.next()?.as_bytes().trim_ascii();
        if all.next().is_some() {
            return None;
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match () {
            () if is("gzip") || is("x-gzip") => Some(Self::Gzip),
            () if is("deflate") => Some(Self::Deflate),
            () if is("br") => Some(Self::Brotli),
            () if is("zstd") => Some(Self::Zstd),
            () => None,
        }
    }

    /// What `bytes` say, at most `bytes_max` and `RATIO_MAX` times as many as they are. They may end
    /// in the middle or turn wrong: what came before counts. `None` if that is nothing.
    pub(crate) fn decode(self, bytes: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
        let max = bytes_max.min(bytes.len().saturating_mul(RATIO_MAX));
        let decoded = match self {
            Self::Gzip => read(flate2::bufread::MultiGzDecoder::new(bytes), max),
            Self::Deflate => read(flate2::bufread::ZlibDecoder::new(bytes), max),
            Self::Brotli => brotli(bytes, max),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).ok()?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).ok()?;
                read(decoder, max)
            }
        };
        (!decoded.is_empty()).then_some(decoded)
    }
}

/// Reads up to `max` bytes, or to the first error.
fn read(from: impl Read, max: usize) -> Vec<u8> {
    let mut decoded = Vec::new();
    // An error leaves what was read before it.
    let _ = from.take(max as u64).read_to_end(&mut decoded);
    decoded
}

/// Strictly as RFC 7932 has it: its largest window is 16 MiB, while "large windows" go to 1 GiB.
fn brotli(bytes: &[u8], max: usize) -> Vec<u8> {
    let memory = StandardAlloc::default;
    let mut state = BrotliState::new_strict(memory(), memory(), memory());
    let mut decoded = vec![0; max];
    let (mut bytes_left, mut read, mut room, mut written, mut total) = (bytes.len(), 0, max, 0, 0);
    // However it ends, what is written is right as far as it goes.
    let _ = BrotliDecompressStream(
        &mut bytes_left,
        &mut read,
        bytes,
        &mut room,
        &mut written,
        &mut decoded,
        &mut total,
        &mut state,
    );
    decoded.truncate(written);
    decoded
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use http::HeaderValue;

    use super::*;

    const MAX: usize = 64 * 1024;
    /// 100 MiB of `x` in brotli.
    const BROTLI_BOMB: &str = "cbffff3f0024f0e2b14072effff8ffff078004401c1680eefd1fffffff00900088c302d0bdffe3ffff1f0012\
        00715800baf77ffcffff034002200e0b40f7fe8fffff7f004800c46101e8defff1ffff0f000980382c00ddfb3ffeffff012001108705a0\
        7bffc7ffff3f002400e2b00074effff8ffff078004401c1680eefd1fffffff00900088c302d0bdffe3ffff1f001200715800baf77ff9ff\
        ff034002200e0b40f7fe07";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(bytes, 3).expect("memory")
    }

    fn brotli_bomb() -> Vec<u8> {
        let digits = BROTLI_BOMB.as_bytes().chunks(2);
        digits.map(|two| u8::from_str_radix(str::from_utf8(two).expect("text"), 16).expect("hex")).collect()
    }

    /// Text that hardly repeats.
    fn text(lines: u64) -> Vec<u8> {
        let line = |n: u64| format!("{:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (1..=lines).flat_map(|n| line(n).into_bytes()).collect()
    }

    #[test]
    fn what_was_compressed_is_read() {
        // "sure" in brotli, as its own encoder writes it.
        let brotli = [0x8b, 0x01, 0x80, b's', b'u', b'r', b'e', 0x03];
        assert_eq!(Coding::Brotli.decode(&brotli, MAX).as_deref(), Some(&b"sure"[..]));
        let text = text(1_000);
        for (coding, bytes) in
            [(Coding::Gzip, gzip(&text)), (Coding::Deflate, deflate(&text)), (Coding::Zstd, zstd(&text))]
        {
            assert_eq!(coding.decode(&bytes, MAX).as_deref(), Some(&text[..]), "{coding:?}");
            let cut = coding.decode(&bytes, 10).expect("decoded");
            assert_eq!(cut, text[..10], "{coding:?}");
        }
    }

    #[test]
    fn what_ends_in_the_middle_counts_as_far_as_it_came() {
        let text = text(20_000);
        for (coding, bytes) in [(Coding::Gzip, gzip(&text)), (Coding::Zstd, zstd(&text))] {
            let half = coding.decode(&bytes[..bytes.len() / 2], 1 << 20).expect("decoded");
            assert!(half.len() > text.len() / 4 && text.starts_with(&half), "{coding:?}: {}", half.len());
        }
    }

    #[test]
    fn a_bomb_gives_no_more_than_its_bounds() {
        let zeros = vec![b'x'; 100 << 20];
        for (coding, bytes) in
            [(Coding::Gzip, gzip(&zeros)), (Coding::Zstd, zstd(&zeros)), (Coding::Brotli, brotli_bomb())]
        {
            let decoded = coding.decode(&bytes, MAX).expect("decoded");
            assert_eq!(decoded.len(), MAX.min(bytes.len() * RATIO_MAX), "{coding:?}");
            assert!(decoded.iter().all(|byte| *byte == b'x'), "{coding:?}");
        }
    }

    #[test]
    fn a_window_that_is_too_large_is_refused() {
        // A frame with a window of 2 GiB, and a block of one repeated byte.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x23, 0x03, 0x00, b'x'];
        assert_eq!(Coding::Zstd.decode(&frame, MAX), None);
        // The same with 8 MiB.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3, 0x23, 0x03, 0x00, b'x'];
        assert_eq!(Coding::Zstd.decode(&frame, MAX).map(|bytes| bytes.len()), Some(100));
    }

    #[test]
    fn noise_is_nothing() {
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
            for noise in [&b""[..], b"\x1f\x8b\x08\xff", b"plain text, said to be compressed", &[0xff; 300]] {
                let decoded = coding.decode(noise, MAX);
                assert!(decoded.is_none_or(|bytes| bytes.len() <= noise.len() * RATIO_MAX), "{coding:?}");
            }
        }
    }

    #[test]
    fn one_known_coding_is_taken_off() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            Coding::of(&headers)
        };
        assert_eq!(of(&[" GZip "]), Some(Coding::Gzip));
        assert_eq!(of(&["br"]), Some(Coding::Brotli));
        for none in [&[][..], &["identity"], &["gzip, gzip"], &["gzip", "gzip"], &["compress"], &[""]] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}
