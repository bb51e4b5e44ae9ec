//! Copies the data of a large file in pieces, and keeps its holes.
//!
//! A [`Reader`] fills buffers of the drupe kernel's memory, a [`Writer`] writes them. For
//! files of more than a few pieces each has a thread, so that their waiting overlaps.

use std::ops::Range;
use std::sync::mpsc;
use std::thread::Builder;

use drupe::{Buffer, Errno};

use super::traits::{SourceFile, TargetFile};
use crate::error::{Error, Result};

/// Alignment of direct I/O in bytes; no disk here has larger sectors.
const ALIGN: u64 = 4096;

/// How a copy of data ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    /// `proceed` returned false.
    Stopped,
}

/// An error, and its side.
#[derive(Debug)]
pub(super) enum DataError {
    Source(Error),
    Target(Error),
}

type Outcome<T> = std::result::Result<T, DataError>;

/// The part of a file to copy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) size: u64,
    /// Whether the file has holes.
    pub(super) sparse: bool,
}

/// Copies a file through `buffers`, whose lengths are multiples of [`ALIGN`]. `proceed`
/// is called with the length of each piece, and returns whether to go on.
pub(super) fn copy(
    source: &impl SourceFile,
    target: &impl TargetFile,
    extent: Extent,
    buffers: &mut Vec<Buffer>,
    proceed: impl FnMut(u64) -> bool,
) -> Outcome<End> {
    let mut reader = Reader::new(source, extent).map_err(DataError::Source)?;
    let mut writer = Writer::new(target, proceed).map_err(DataError::Target)?;
    let end = match &mut buffers[..] {
        [buffer] => one_by_one(&mut reader, &mut writer, buffer)?,
        _ => overlapped(&mut reader, &mut writer, buffers)?,
    };
    // It ends with a hole, or has shrunk while it was read.
    if end == End::Complete && writer.end < reader.size {
        target.set_len(reader.size).map_err(DataError::Target)?;
    }
    Ok(end)
}

fn one_by_one<S: SourceFile, T: TargetFile, P: FnMut(u64) -> bool>(
    reader: &mut Reader<'_, S>,
    writer: &mut Writer<'_, T, P>,
    buffer: &mut Buffer,
) -> Outcome<End> {
    while let Some(piece) = reader.next(buffer).map_err(DataError::Source)? {
        if writer.write(buffer, piece).map_err(DataError::Target)? == End::Stopped {
            return Ok(End::Stopped);
        }
    }
    Ok(End::Complete)
}

/// Copies with two threads, or with one if there can be no second. Buffers circulate: empty ones to the reader, full ones to the
/// writer.
fn overlapped<S: SourceFile, T: TargetFile, P: FnMut(u64) -> bool>(
    reader: &mut Reader<'_, S>,
    writer: &mut Writer<'_, T, P>,
    buffers: &mut Vec<Buffer>,
) -> Outcome<End> {
    let (to_reader, empty) = mpsc::channel::<Buffer>();
    let (to_writer, full) = mpsc::channel();
    let copied = std::thread::scope(|scope| {
        let source = &mut *reader;
        let read = move || {
            let mut spare = Vec::new();
            let mut result = Ok(());
            // A writer that has stopped takes its end of the channels along.
            while let Ok(mut buffer) = empty.recv() {
                match source.next(&mut buffer) {
                    Ok(Some(piece)) => match to_writer.send((buffer, piece)) {
                        Ok(()) => continue,
                        Err(mpsc::SendError((buffer, _))) => spare.push(buffer),
                    },
                    Ok(None) => spare.push(buffer),
                    Err(failed) => {
                        spare.push(buffer);
                        result = Err(DataError::Source(failed));
                    }
                }
                break;
            }
            drop(to_writer);
            spare.extend(empty);
            (spare, result)
        };
        let reading = Builder::new().spawn_scoped(scope, read).ok()?;
        for buffer in buffers.drain(..) {
            // A reader that has failed says so below.
            let _ = to_reader.send(buffer);
        }
        let mut spare = Vec::new();
        let mut result = Ok(End::Complete);
        for (buffer, piece) in full {
            match writer.write(&buffer, piece) {
                Ok(End::Complete) => {
                    if let Err(mpsc::SendError(buffer)) = to_reader.send(buffer) {
                        spare.push(buffer);
                    }
                    continue;
                }
                Ok(End::Stopped) => result = Ok(End::Stopped),
                Err(failed) => result = Err(DataError::Target(failed)),
            }
            spare.push(buffer);
            break;
        }
        drop(to_reader);
        buffers.extend(spare);
        match reading.join() {
            Ok((spare, read)) => {
                buffers.extend(spare);
                // A source that fails ends the pieces, which looks complete here.
                Some(result.and_then(|end| read.map(|()| end)))
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    match (copied, &mut buffers[..]) {
        (Some(copied), _) => copied,
        // The buffers were not touched.
        (None, [buffer, ..]) => one_by_one(reader, writer, buffer),
        (None, []) => {
            let cause = "there is no buffer";
            Err(DataError::Source(Error::new("read", cause)))
        }
    }
}

/// A part of a file, in a buffer.
#[derive(Debug, Clone, Copy)]
struct Piece {
    at: u64,
    len: u64,
}

struct Reader<'a, S> {
    source: &'a S,
    direct: bool,
    sparse: bool,
    /// The file's size; reduced if the file turns out to be shorter.
    size: u64,
    /// The range of data that is still to be read.
    data: Range<u64>,
}

impl<'a, S: SourceFile> Reader<'a, S> {
    fn new(source: &'a S, extent: Extent) -> Result<Self> {
        Ok(Reader {
            source,
            direct: source.set_direct(true)?,
            sparse: extent.sparse,
            size: extent.size,
            data: match extent.sparse {
                true => 0..0,
                false => 0..extent.size,
            },
        })
    }

    /// Fills the buffer with the next piece; `None` at the end.
    fn next(&mut self, buffer: &mut Buffer) -> Result<Option<Piece>> {
        if self.data.is_empty() {
            let at = self.data.end;
            let next = match self.sparse && at < self.size {
                true => self.source.next_data(at, self.size)?,
                false => None,
            };
            let Some(next) = next.filter(|next| next.start < self.size) else {
                return Ok(None);
            };
            // A block that begins with the end of a hole is copied whole.
            let start = (next.start / ALIGN * ALIGN).max(at);
            self.data = start..next.end.min(self.size);
        }
        let at = self.data.start;
        let want = (self.data.end - at).min(buffer.len() as u64);
        let len = self.read(buffer, at, want)?.min(want);
        if len == 0 {
            self.size = self.size.min(at);
            return Ok(None);
        }
        self.data.start += len;
        Ok(Some(Piece { at, len }))
    }

    /// Reads at least `want` bytes, unless the file ends.
    fn read(&mut self, buffer: &mut Buffer, at: u64, want: u64) -> Result<u64> {
        if self.direct {
            let room = 0..want.next_multiple_of(ALIGN) as usize;
            match self.source.read_at(buffer, room, at) {
                Err(failed) if failed.errno() == Some(Errno::INVAL) => {
                    self.direct = false;
                    self.source.set_direct(false)?;
                }
                result => return result.map(|len| len as u64),
            }
        }
        let len = self.source.read_at(buffer, 0..want as usize, at)?;
        Ok(len as u64)
    }
}

struct Writer<'a, T, P> {
    target: &'a T,
    direct: bool,
    /// The end of the written data.
    end: u64,
    proceed: P,
}

impl<'a, T: TargetFile, P: FnMut(u64) -> bool> Writer<'a, T, P> {
    fn new(target: &'a T, proceed: P) -> Result<Self> {
        Ok(Writer {
            target,
            direct: target.set_direct(true)?,
            end: 0,
            proceed,
        })
    }

    fn write(&mut self, buffer: &Buffer, piece: Piece) -> Result<End> {
        // The last bytes of a file that is not a whole number of blocks can't go
        // directly.
        let whole = match self.direct {
            true => piece.len / ALIGN * ALIGN,
            false => piece.len,
        };
        self.part(buffer, 0..whole, piece.at)?;
        if whole < piece.len {
            self.buffered()?;
            self.part(buffer, whole..piece.len, piece.at)?;
        }
        self.end = piece.at + piece.len;
        Ok(match (self.proceed)(piece.len) {
            true => End::Complete,
            false => End::Stopped,
        })
    }

    /// Writes a part of the buffer. `at` is the file's offset of the buffer's beginning.
    fn part(&mut self, buffer: &Buffer, part: Range<u64>, at: u64) -> Result<()> {
        let offset = at + part.start;
        let part = part.start as usize..part.end as usize;
        if part.is_empty() {
            return Ok(());
        }
        match self.target.write_at(buffer, part.clone(), offset) {
            Err(failed) if self.direct && failed.errno() == Some(Errno::INVAL) => {
                self.buffered()?;
                self.target.write_at(buffer, part, offset)
            }
            result => result,
        }
    }

    fn buffered(&mut self) -> Result<()> {
        self.direct = false;
        self.target.set_direct(false).map(drop)
    }
}
