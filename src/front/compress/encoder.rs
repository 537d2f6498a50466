//! The three coders behind one: bytes in, compressed bytes out, a flush that leaves nothing behind.

use std::io::{self, Write};

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::write::GzEncoder;
use zstd::stream::write::Encoder as ZstdEncoder;

use crate::route::Coding;

/// Longest distance of a repetition, as a power of two: half a megabyte. What a reply repeats lies nearer, and each reply
/// on its way costs a small multiple of this.
const WINDOW: u32 = 19;
/// The smallest that all coders know.
const SMALLEST_WINDOW: u32 = 16;
/// Below this window the reference has tables of another kind, from level 5 on. The crate has not, and falls back to those of level
/// 9: 32 MB that are set to zero and searched, five times the CPU for a page.
const SMALLEST_BROTLI_WINDOW: u32 = 17;
/// What brotli gathers before it hands it on.
const BROTLI_BUFFER: usize = 4096;

/// A stream being compressed.
pub(super) enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(ZstdEncoder<'static, Vec<u8>>),
}

impl Encoder {
    /// `length` is what will be written, if that is known: the coder takes no more memory than that needs.
    pub(super) fn new(coding: Coding, level: u8, length: Option<u64>) -> io::Result<Self> {
        let window = window(length);
        Ok(match coding {
            Coding::Gzip => {
                Self::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(u32::from(level))))
            }
            Coding::Brotli => {
                let params = BrotliEncoderParams {
                    quality: i32::from(level),
                    lgwin: window.max(SMALLEST_BROTLI_WINDOW).cast_signed(),
                    size_hint: length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0),
                    ..BrotliEncoderParams::default()
                };
                Self::Brotli(Box::new(CompressorWriter::with_params(Vec::new(), BROTLI_BUFFER, &params)))
            }
            Coding::Zstd => {
                let mut encoder = ZstdEncoder::new(Vec::new(), i32::from(level))?;
                encoder.window_log(window)?;
                encoder.set_pledged_src_size(length)?;
                Self::Zstd(encoder)
            }
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(gzip) => gzip.write_all(bytes),
            Self::Brotli(brotli) => brotli.write_all(bytes),
            Self::Zstd(zstd) => zstd.write_all(bytes),
        }
    }

    /// Everything written so far can be read at the other end.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(gzip) => gzip.flush(),
            Self::Brotli(brotli) => brotli.flush(),
            Self::Zstd(zstd) => zstd.flush(),
        }
    }

    /// What is ready to be sent.
    pub(super) fn take(&mut self) -> Bytes {
        let ready = match self {
            Self::Gzip(gzip) => gzip.get_mut(),
            Self::Brotli(brotli) => brotli.get_mut(),
            Self::Zstd(zstd) => zstd.get_mut(),
        };
        std::mem::take(ready).into()
    }

    /// The last bytes.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Self::Gzip(gzip) => gzip.finish()?,
            Self::Brotli(brotli) => brotli.into_inner(),
            Self::Zstd(zstd) => zstd.finish()?,
        }
        .into())
    }
}

/// What a coder takes of the server's memory, in bytes: tables and window, by the sizes that their authors give.
pub(super) fn memory(coding: Coding, level: u8, length: Option<u64>) -> u64 {
    let window = 1 << window(length);
    match coding {
        Coding::Gzip => 384 * 1024,
        Coding::Brotli => brotli_tables(level, length) * 1024 * 1024 + 3 * window,
        Coding::Zstd => 3 * window,
    }
}

/// In MB. What is known to be long gets larger ones.
fn brotli_tables(level: u8, length: Option<u64>) -> u64 {
    let is_long = length.is_some_and(|length| length >= 1 << 20);
    match level {
        4 if is_long => 4,
        0..=4 => 1,
        5 => 1 + u64::from(is_long),
        6 => 2 + 2 * u64::from(is_long),
        7 => 8,
        8 => 16,
        9 => 32,
        _ => 8,
    }
}

fn window(length: Option<u64>) -> u32 {
    let bits = length.map_or(WINDOW, |length| u64::BITS - length.leading_zeros());
    bits.clamp(SMALLEST_WINDOW, WINDOW)
}

#[cfg(test)]
pub(super) mod testing {
    use std::io::Read;

    use super::*;

    /// As far as `packed` can be read; not all of it need be there.
    pub(crate) fn readable(coding: Coding, packed: &[u8]) -> Vec<u8> {
        let mut reader: Box<dyn Read + '_> = match coding {
            Coding::Gzip => Box::new(flate2::read::GzDecoder::new(packed)),
            Coding::Brotli => Box::new(brotli::Decompressor::new(packed, 4096)),
            Coding::Zstd => Box::new(zstd::stream::read::Decoder::new(packed).unwrap()),
        };
        let (mut all, mut piece) = (Vec::new(), [0; 512]);
        while let Ok(read) = reader.read(&mut piece)
            && read > 0
        {
            all.extend_from_slice(&piece[..read]);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::readable;
    use super::*;

    #[test]
    fn what_is_flushed_can_be_read_before_more_is_written() {
        for coding in Coding::ALL {
            let mut encoder = Encoder::new(coding, 4, None).unwrap();
            let (mut written, mut sent) = (Vec::new(), Vec::new());
            for number in 0..20 {
                let event = format!("data: {number}\n\n");
                encoder.write(event.as_bytes()).unwrap();
                encoder.flush().unwrap();
                written.extend_from_slice(event.as_bytes());
                sent.extend_from_slice(&encoder.take());
                assert_eq!(readable(coding, &sent), written, "{coding:?}");
            }
        }
    }

    #[test]
    fn a_short_reply_takes_little_memory_and_none_takes_much() {
        for coding in Coding::ALL {
            assert!(memory(coding, 5, None) < 3 << 20, "{coding:?}");
            assert!(memory(coding, 5, Some(40_000)) <= memory(coding, 5, None), "{coding:?}");
        }
        assert_eq!(memory(Coding::Zstd, 3, Some(40_000)), 3 * 64 * 1024);
    }

    #[test]
    fn a_length_that_is_known_takes_no_larger_tables() {
        let words = |number: u64| (number.wrapping_mul(6_364_136_223_846_793_005) >> 33) & 0xffff;
        let page: String = (0..6_000).map(|number| format!("{:x} ", words(number * number))).collect();
        let packed = |length| {
            let mut encoder = Encoder::new(Coding::Brotli, 5, length).unwrap();
            encoder.write(page.as_bytes()).unwrap();
            encoder.finish().unwrap().len()
        };
        // What searches as level 9 does finds more.
        let (known, unknown) = (packed(Some(page.len() as u64)), packed(None));
        assert!(known.abs_diff(unknown) * 100 < unknown, "{known} bytes, and {unknown} of an unknown length");
    }

    #[test]
    fn a_length_that_was_promised_and_not_kept_is_an_error_and_no_panic() {
        let mut encoder = Encoder::new(Coding::Zstd, 3, Some(100)).unwrap();
        encoder.write(b"abc").unwrap();
        assert!(encoder.finish().is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn every_cut_of_every_content_comes_out_as_it_went_in(
            seed in any::<u64>(),
            cuts in prop::collection::vec((0_usize..9_000, any::<bool>()), 0..12),
            level in 1_u8..7,
            known in any::<bool>(),
        ) {
            let length: usize = cuts.iter().map(|(size, _)| size).sum();
            // Words and noise: what compresses and what does not.
            let content: Vec<u8> = (0..length).map(|at| {
                let number = seed.wrapping_mul((at as u64 / 7) | 1).rotate_left(17);
                if at % 3_000 < 2_000 { b'a' + (number % 5) as u8 } else { (number >> (at % 50)) as u8 }
            }).collect();
            for coding in Coding::ALL {
                let mut encoder = Encoder::new(coding, level, known.then_some(length as u64)).unwrap();
                let (mut sent, mut at) = (Vec::new(), 0);
                for &(size, flush) in &cuts {
                    encoder.write(&content[at..at + size]).unwrap();
                    at += size;
                    if flush {
                        encoder.flush().unwrap();
                    }
                    sent.extend_from_slice(&encoder.take());
                }
                sent.extend_from_slice(&encoder.finish().unwrap());
                prop_assert!(readable(coding, &sent) == content, "{coding:?}");
            }
        }
    }
}
