//! Copies the data of a large file in pieces, and leaves its holes holes.

use std::ops::Range;

use drupe::{Buffer, Errno};

use super::problem::Result;
use super::side::{SourceFile, TargetFile};

/// Offsets and lengths of direct I/O are multiples of this: no filesystem here
/// has larger sectors under it.
const ALIGN: u64 = 4096;

/// How a copy of data ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    /// `proceed` said no.
    Stopped,
}

/// Which side a failure is of.
#[derive(Debug)]
pub(super) enum Side<E> {
    Source(E),
    Target(E),
}

type Outcome<T> = std::result::Result<T, Side<super::problem::Failed>>;

fn of_source<T>(result: Result<T>) -> Outcome<T> {
    result.map_err(Side::Source)
}

fn of_target<T>(result: Result<T>) -> Outcome<T> {
    result.map_err(Side::Target)
}

/// Copies `size` bytes through `buffer`, a multiple of [`ALIGN`] long. `proceed`
/// hears of each piece and says whether to go on.
pub(super) fn copy(
    source: &impl SourceFile,
    target: &impl TargetFile,
    size: u64,
    sparse: bool,
    buffer: &mut Buffer,
    mut proceed: impl FnMut(u64) -> bool,
) -> Outcome<End> {
    let mut pieces = Pieces {
        source,
        target,
        buffer,
        direct_in: of_source(source.set_direct(true))?,
        direct_out: of_target(target.set_direct(true))?,
    };
    let mut done = 0;
    while done < size {
        let data = match sparse {
            true => of_source(source.next_data(done, size))?,
            false => Some(done..size),
        };
        let Some(data) = data.filter(|data| data.start < size) else {
            break;
        };
        // A block that begins with the end of a hole is copied whole.
        let mut at = (data.start / ALIGN * ALIGN).max(done);
        let end = data.end.min(size);
        while at < end {
            let len = pieces.copy(at..end)?;
            at += len;
            if !proceed(len) {
                return Ok(End::Stopped);
            }
            if len == 0 {
                // It has shrunk.
                return Ok(End::Complete);
            }
        }
        done = at;
    }
    if done < size {
        // It ends with a hole.
        of_target(target.set_len(size))?;
    }
    Ok(End::Complete)
}

struct Pieces<'a, S, T> {
    source: &'a S,
    target: &'a T,
    buffer: &'a mut Buffer,
    direct_in: bool,
    direct_out: bool,
}

impl<S: SourceFile, T: TargetFile> Pieces<'_, S, T> {
    /// Copies the beginning of `range`; how much is returned, 0 at the end.
    fn copy(&mut self, range: Range<u64>) -> Outcome<u64> {
        let at = range.start;
        let want = (range.end - at).min(self.buffer.len() as u64);
        let got = self.read(at, want)?.min(want);
        // The last bytes of a file that is not a whole number of blocks.
        let whole = match self.direct_out {
            true => got / ALIGN * ALIGN,
            false => got,
        };
        self.write(0..whole, at)?;
        if whole < got {
            self.buffered()?;
            self.write(whole..got, at)?;
        }
        Ok(got)
    }

    /// Reads at least `want` bytes, unless the file ends.
    fn read(&mut self, at: u64, want: u64) -> Outcome<u64> {
        if self.direct_in {
            let room = 0..want.next_multiple_of(ALIGN) as usize;
            match self.source.read_at(self.buffer, room, at) {
                Err(failed) if failed.errno() == Some(Errno::INVAL) => {
                    self.direct_in = false;
                    of_source(self.source.set_direct(false))?;
                }
                result => return of_source(result).map(|len| len as u64),
            }
        }
        let room = 0..want as usize;
        of_source(self.source.read_at(self.buffer, room, at)).map(|len| len as u64)
    }

    /// Writes a part of the buffer, whose beginning belongs at `at`.
    fn write(&mut self, part: Range<u64>, at: u64) -> Outcome<()> {
        let offset = at + part.start;
        let part = part.start as usize..part.end as usize;
        if part.is_empty() {
            return Ok(());
        }
        match self.target.write_at(self.buffer, part.clone(), offset) {
            Err(failed) if self.direct_out && failed.errno() == Some(Errno::INVAL) => {
                self.buffered()?;
                of_target(self.target.write_at(self.buffer, part, offset))
            }
            result => of_target(result),
        }
    }

    fn buffered(&mut self) -> Outcome<()> {
        self.direct_out = false;
        of_target(self.target.set_direct(false)).map(drop)
    }
}
