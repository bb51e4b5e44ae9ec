//! [`Compression`]: decompresses archives by their first bytes, and compresses by a
//! chosen format.

use std::ffi::OsStr;
use std::io::{self, BufReader, Chain, Cursor, Read, Write};
use std::os::unix::ffi::OsStrExt;

/// Bytes read from the stream at once.
const CHUNK: usize = 256 << 10;

/// The compression of an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// No compression.
    #[default]
    None,
    /// gzip(1).
    Gzip,
    /// zstd(1).
    Zstd,
    /// xz(1).
    Xz,
}

/// Suffixes of compressed files; `None`: the compression is not supported.
const SUFFIXES: &[(&str, Option<Compression>)] = &[
    (".gz", Some(Compression::Gzip)),
    (".tgz", Some(Compression::Gzip)),
    (".taz", Some(Compression::Gzip)),
    (".zst", Some(Compression::Zstd)),
    (".tzst", Some(Compression::Zstd)),
    (".xz", Some(Compression::Xz)),
    (".txz", Some(Compression::Xz)),
    (".bz2", None),
    (".tbz", None),
    (".tbz2", None),
    (".tz2", None),
    (".lz", None),
    (".lz4", None),
    (".lzma", None),
    (".tlz", None),
    (".lzo", None),
    (".Z", None),
    (".taZ", None),
    (".br", None),
    (".7z", None),
    (".zip", None),
];

impl Compression {
    /// The compression for the suffix of a file's name.
    ///
    /// # Errors
    ///
    /// The suffix, if its compression is not supported.
    pub fn of_name(name: &OsStr) -> Result<Compression, &'static str> {
        let found = SUFFIXES
            .iter()
            .find(|(suffix, _)| name.as_bytes().ends_with(suffix.as_bytes()));
        match found {
            Some((_, Some(compression))) => Ok(*compression),
            Some((suffix, None)) => Err(suffix),
            None => Ok(Compression::None),
        }
    }
}

/// A reader of the decompressed stream, whose compression is detected by its first bytes.
pub(super) fn reader<'a>(mut stream: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut magic = Vec::new();
    stream.by_ref().take(6).read_to_end(&mut magic)?;
    let known = magic.clone();
    let all: BufReader<Chain<Cursor<Vec<u8>>, _>> =
        BufReader::with_capacity(CHUNK, Cursor::new(magic).chain(stream));
    Ok(match &known[..] {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(all)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(all)?),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(all))
        }
        [b'B', b'Z', b'h', ..] => {
            let message = "it is compressed with bzip2, which drupe does not know";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        _ => Box::new(all),
    })
}

/// A stream that compresses. Call [`Compressor::finish`] at the end.
pub(super) enum Compressor<W: Write> {
    None(W),
    Gzip(flate2::write::GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
    Xz(liblzma::write::XzEncoder<W>),
}

impl<W: Write> Compressor<W> {
    pub(super) fn new(compression: Compression, stream: W) -> io::Result<Compressor<W>> {
        Ok(match compression {
            Compression::None => Compressor::None(stream),
            Compression::Gzip => {
                // No name and no time: the same contents make the same file.
                Compressor::Gzip(
                    flate2::GzBuilder::new().write(stream, flate2::Compression::new(6)),
                )
            }
            Compression::Zstd => Compressor::Zstd(zstd::Encoder::new(stream, 3)?),
            Compression::Xz => Compressor::Xz(liblzma::write::XzEncoder::new(stream, 6)),
        })
    }

    /// Writes the end of the compressed stream.
    pub(super) fn finish(self) -> io::Result<()> {
        let mut stream = match self {
            Compressor::None(stream) => stream,
            Compressor::Gzip(encoder) => encoder.finish()?,
            Compressor::Zstd(encoder) => encoder.finish()?,
            Compressor::Xz(encoder) => encoder.finish()?,
        };
        stream.flush()
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Compressor::None(stream) => stream.write(bytes),
            Compressor::Gzip(encoder) => encoder.write(bytes),
            Compressor::Zstd(encoder) => encoder.write(bytes),
            Compressor::Xz(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Compressor::None(stream) => stream.flush(),
            Compressor::Gzip(encoder) => encoder.flush(),
            Compressor::Zstd(encoder) => encoder.flush(),
            Compressor::Xz(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (name, compression) in [
            ("a.tar", Compression::None),
            ("a.tgz", Compression::Gzip),
            ("a.tar.zst", Compression::Zstd),
            ("a.tar.xz", Compression::Xz),
        ] {
            assert_eq!(Compression::of_name(OsStr::new(name)), Ok(compression));
            let mut bytes = Vec::new();
            let mut out = Compressor::new(compression, &mut bytes).expect("a compressor");
            out.write_all(b"contents").expect("memory");
            out.finish().expect("memory");
            let mut back = Vec::new();
            let mut reader = reader(&bytes[..]).expect("a stream");
            reader.read_to_end(&mut back).expect("the contents");
            assert_eq!(back, b"contents", "{name}");
        }
        assert_eq!(Compression::of_name(OsStr::new("a.tar.bz2")), Err(".bz2"));
        assert!(reader(&b"BZh91"[..]).is_err());
        assert!(reader(&b""[..]).is_ok());
    }
}
