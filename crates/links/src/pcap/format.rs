//! The file format of libpcap (`pcap-savefile(5)`): a header, then records.

use std::io::{self, Read};
use std::time::Duration;

use crate::packet::MAX_FRAME;
use crate::{Error, Result};

/// The magic numbers of files with times in nanoseconds, and in microseconds.
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const MICROSECONDS: u32 = 0xa1b2_c3d4;

/// The first block of a pcapng file.
const PCAPNG: u32 = 0x0a0d_0d0a;

/// `LINKTYPE_ETHERNET`.
const ETHERNET: u32 = 1;

/// The longest frame of a written file.
const SNAPLEN: u32 = 1 << 18;

/// The longest frame of a file to be read: one with longer frames counts as damaged
/// (`MAXIMUM_SNAPLEN` of libpcap).
const MAX_LEN: u32 = 1 << 18;

/// The header of a file with times in nanoseconds, in the machine's byte order.
pub(super) fn file_header() -> [u8; 24] {
    let mut header = [0; 24];
    let words = [(0, NANOSECONDS), (16, SNAPLEN), (20, ETHERNET)];
    for (at, word) in words {
        header[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
    header[4..6].copy_from_slice(&2_u16.to_ne_bytes());
    header[6..8].copy_from_slice(&4_u16.to_ne_bytes());
    header
}

/// The header of a record with a frame of `len` bytes. `time`: since 1970.
pub(super) fn record_header(time: Duration, len: usize) -> [u8; 16] {
    let mut header = [0; 16];
    let words = [
        time.as_secs() as u32,
        time.subsec_nanos(),
        len as u32,
        len as u32,
    ];
    for (to, word) in header.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    header
}

/// Reads a file.
pub(super) struct Reader<R> {
    inner: R,
    /// The file was written by a machine of the other byte order.
    swapped: bool,
    /// Nanoseconds of a unit of time below a second.
    unit: u32,
    /// Number of the next record, from 1 on.
    number: u64,
}

fn damaged(what: String) -> Error {
    Error::Capture { what }
}

impl<R: Read> Reader<R> {
    pub(super) fn new(mut inner: R) -> Result<Reader<R>> {
        let mut header = [0; 24];
        if let Err(error) = inner.read_exact(&mut header) {
            return Err(match error.kind() {
                io::ErrorKind::UnexpectedEof => damaged("shorter than any pcap file".into()),
                _ => Error::host("the file", error),
            });
        }
        let magic = word(&header, 0, false);
        let (swapped, unit) = match (magic, magic.swap_bytes()) {
            (NANOSECONDS, _) => (false, 1),
            (_, NANOSECONDS) => (true, 1),
            (MICROSECONDS, _) => (false, 1000),
            (_, MICROSECONDS) => (true, 1000),
            // The same in both orders.
            (PCAPNG, _) => {
                let what = "a pcapng file; convert it: editcap -F pcap OLD NEW";
                return Err(damaged(what.into()));
            }
            _ => return Err(damaged("not a pcap file".into())),
        };
        // The upper bits may say that frames end with a check sequence.
        match word(&header, 20, swapped) & 0xffff {
            ETHERNET => {}
            other => {
                let what = format!("frames of link type {other}; only Ethernet (1) can be sent");
                return Err(damaged(what));
            }
        }
        Ok(Reader {
            inner,
            swapped,
            unit,
            number: 1,
        })
    }

    /// Reads the next frame into `frame`. Returns its time since 1970. `None`: there are
    /// no more. A frame that is too long for any link is skipped.
    pub(super) fn next(&mut self, frame: &mut Vec<u8>) -> Result<Option<Duration>> {
        loop {
            let mut header = [0; 16];
            let number = self.number;
            let cut = || damaged(format!("cut off within record {number}"));
            match fill(&mut self.inner, &mut header).map_err(|error| self.failed(error))? {
                0 => return Ok(None),
                16 => {}
                _ => return Err(cut()),
            }
            let field = |at| word(&header, at, self.swapped);
            let (seconds, fraction, len) = (field(0), field(4), field(8));
            if len > MAX_LEN {
                let what = format!("record {number} has {len} bytes; no frame is that long");
                return Err(damaged(what));
            }
            frame.resize(len as usize, 0);
            let got = fill(&mut self.inner, frame).map_err(|error| self.failed(error))?;
            if got < len as usize {
                return Err(cut());
            }
            self.number += 1;
            if frame.len() <= MAX_FRAME {
                let fraction = u64::from(fraction) * u64::from(self.unit);
                let time = Duration::from_secs(seconds.into()) + Duration::from_nanos(fraction);
                return Ok(Some(time));
            }
        }
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::host(format!("record {}", self.number), error)
    }
}

/// Reads all frames of a file. For fuzz targets.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_all(file: &[u8]) {
    let Ok(mut reader) = Reader::new(file) else {
        return;
    };
    let mut frame = Vec::new();
    while let Ok(Some(_)) = reader.next(&mut frame) {
        assert!(frame.len() <= MAX_FRAME);
    }
}

fn word(bytes: &[u8], at: usize, swapped: bool) -> u32 {
    let word = u32::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
    if swapped { word.swap_bytes() } else { word }
}

/// Reads as much as there is, up to all of `buffer`.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(frames: &[(Duration, &[u8])]) -> Vec<u8> {
        let mut file = file_header().to_vec();
        for (time, frame) in frames {
            file.extend(record_header(*time, frame.len()));
            file.extend(*frame);
        }
        file
    }

    fn frames(file: &[u8]) -> Result<Vec<(Duration, Vec<u8>)>> {
        let mut reader = Reader::new(file)?;
        let (mut frames, mut frame) = (Vec::new(), Vec::new());
        while let Some(time) = reader.next(&mut frame)? {
            frames.push((time, frame.clone()));
        }
        Ok(frames)
    }

    const TIME: Duration = Duration::new(1_700_000_000, 123_456_789);

    #[test]
    fn there_and_back() {
        let later = TIME + Duration::from_secs(1);
        let file = file(&[(TIME, &[1; 60]), (later, &[2; 65_550])]);
        let read = frames(&file).unwrap();
        assert_eq!(read, [(TIME, vec![1; 60]), (later, vec![2; 65_550])]);
    }

    #[test]
    fn other_orders_and_units() {
        // Big-endian, microseconds; as an old machine wrote it.
        let mut old = Vec::new();
        for word in [MICROSECONDS, 0x0002_0004, 0, 0, 65_535, ETHERNET] {
            old.extend(word.to_be_bytes());
        }
        for word in [1_700_000_000, 123_456, 14, 60_u32] {
            old.extend(word.to_be_bytes());
        }
        old.extend([9; 14]);
        let time = Duration::new(1_700_000_000, 123_456_000);
        assert_eq!(frames(&old).unwrap(), [(time, vec![9; 14])]);
    }

    #[test]
    fn damaged_files_say_where() {
        let whole = file(&[(TIME, &[1; 60]), (TIME, &[2; 60])]);
        let said = |file: &[u8]| frames(file).unwrap_err().to_string();
        assert!(said(&whole[..20]).contains("shorter than"));
        for len in [110, 150] {
            assert!(said(&whole[..len]).contains("within record 2"), "{len}");
        }
        let mut other = whole.clone();
        other[20] = 113;
        assert!(said(&other).contains("link type 113"));
        other[..4].copy_from_slice(&PCAPNG.to_ne_bytes());
        assert!(said(&other).contains("editcap"));
        other[0] = 0;
        assert!(said(&other).contains("not a pcap file"));
        let mut long = whole;
        long[24 + 8..24 + 12].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(said(&long).contains("record 1 has 4294967295 bytes"));
    }

    #[test]
    fn a_frame_that_is_too_long_is_skipped() {
        let file = file(&[(TIME, &[1; 65_551]), (TIME, &[2; 60])]);
        assert_eq!(frames(&file).unwrap(), [(TIME, vec![2; 60])]);
    }
}
