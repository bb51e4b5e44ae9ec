//! [`LayerReader`]: a layer as the tar archive that it is, decompressed and checked.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::digest::{Digest, Hasher};
use crate::error::Error;
use crate::verify::{Stream, Verified};

/// Bytes read from a blob at once.
const CHUNK: usize = 256 << 10;

type Blob = BufReader<Verified<Stream>>;

enum Decoder {
    Plain(Blob),
    Gzip(Box<MultiGzDecoder<Blob>>),
    Zstd(zstd::Decoder<'static, Blob>),
}

impl Decoder {
    /// Goes by the first bytes: what a layer says of its compression is wrong at times.
    fn new(mut blob: Blob) -> io::Result<Decoder> {
        Ok(match blob.fill_buf()? {
            [0x1f, 0x8b, ..] => Decoder::Gzip(Box::new(MultiGzDecoder::new(blob))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Decoder::Zstd(zstd::Decoder::with_buffer(blob)?),
            _ => Decoder::Plain(blob),
        })
    }

    fn blob(&mut self) -> &mut Blob {
        match self {
            Decoder::Plain(blob) => blob,
            Decoder::Gzip(decoder) => decoder.get_mut(),
            Decoder::Zstd(decoder) => decoder.get_mut(),
        }
    }
}

impl Read for Decoder {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Decoder::Plain(blob) => blob.read(bytes),
            Decoder::Gzip(decoder) => decoder.read(bytes),
            Decoder::Zstd(decoder) => decoder.read(bytes),
        }
    }
}

/// A layer's tar archive. Its end is reported only after everything was found to be right:
/// the size and digest of the blob, and the digest of the archive.
///
/// Who does not read to the end does not know whether the layer is right.
pub struct LayerReader {
    decoder: Decoder,
    name: String,
    hasher: Option<Hasher>,
    diff_id: Digest,
    failed: bool,
}

impl fmt::Debug for LayerReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerReader")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl LayerReader {
    pub(crate) fn new(
        blob: Verified<Stream>,
        name: String,
        diff_id: Digest,
    ) -> io::Result<LayerReader> {
        Ok(LayerReader {
            decoder: Decoder::new(BufReader::with_capacity(CHUNK, blob))?,
            name,
            hasher: Some(Hasher::like(&diff_id)),
            diff_id,
            failed: false,
        })
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(hasher) = self.hasher.take() else {
            return Ok(());
        };
        // What is behind the compressed stream is part of the blob.
        self.decoder.blob().get_mut().finish()?;
        let found = hasher.finish();
        if found == self.diff_id {
            return Ok(());
        }
        let problem = format!(
            "the digest of its contents is {found}, and the image's configuration says {}",
            self.diff_id
        );
        Err(Error::invalid(self.name.clone(), problem).into_io())
    }
}

impl Read for LayerReader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.failed {
            return Err(Error::invalid(self.name.clone(), "it was damaged already").into_io());
        }
        let read = self.decoder.read(bytes).and_then(|count| {
            match (count, &mut self.hasher) {
                (0, _) => self.end()?,
                (_, Some(hasher)) => hasher.update(&bytes[..count]),
                (_, None) => {}
            }
            Ok(count)
        });
        match read {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.failed = true;
                match self.decoder.blob().get_ref().has_failed() || self.hasher.is_none() {
                    true => Err(error),
                    // What is compressed is damaged.
                    false => Err(Error::invalid(self.name.clone(), error.to_string()).into_io()),
                }
            }
            read => read,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn read(blob: Vec<u8>, digest: Digest, diff_id: Digest) -> Result<Vec<u8>, String> {
        let size = blob.len() as u64;
        let stream: Stream = Box::new(io::Cursor::new(blob));
        let blob = Verified::new(stream, "blob".into(), size, Some(digest));
        let text = |error: io::Error| error.to_string();
        let mut reader = LayerReader::new(blob, "layer".into(), diff_id).map_err(text)?;
        let mut bytes = Vec::new();
        let read = reader.read_to_end(&mut bytes);
        assert_eq!(read.is_ok(), matches!(reader.read(&mut [0]), Ok(0)));
        read.map(|_| bytes).map_err(text)
    }

    #[test]
    fn every_compression() {
        let contents = b"contents ".repeat(100_000);
        let diff_id = Digest::of(&contents);
        let members = [&contents[..1000], &contents[1000..]].map(gzip).concat();
        for blob in [
            contents.clone(),
            gzip(&contents),
            members,
            zstd::encode_all(&contents[..], 3).expect("memory"),
        ] {
            let digest = Digest::of(&blob);
            let back = read(blob, digest, diff_id.clone());
            assert_eq!(back.as_ref(), Ok(&contents));
        }
    }

    #[test]
    fn what_is_wrong_is_found() {
        let blob = gzip(b"contents");
        let (digest, diff_id) = (Digest::of(&blob), Digest::of(b"contents"));
        let error = read(blob.clone(), digest.clone(), Digest::of(b"")).unwrap_err();
        assert!(error.contains("configuration"), "{error}");
        let error = read(blob.clone(), diff_id.clone(), diff_id.clone()).unwrap_err();
        assert!(error.contains("damaged"), "{error}");
        // A right digest of a blob that was cut before it was named.
        let cut = blob[..blob.len() - 4].to_vec();
        let of_cut = Digest::of(&cut);
        assert!(read(cut, of_cut, diff_id).is_err());
    }
}
