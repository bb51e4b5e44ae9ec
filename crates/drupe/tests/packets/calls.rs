//! Makes the system calls that a script requests, and sends the results.
//!
//! A request is a number of its own, how many frames the script has sent before
//! it, the number of the system call, and its arguments: each an integer (`i` and
//! eight bytes), bytes that the call reads (`b`, length, bytes) or room for bytes
//! that it writes (`o`, length). The answer is the request's number, the result,
//! and the rooms, each behind its length. All numbers are big endian.

use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::thread::Scope;
use std::time::{Duration, Instant};

use drupe::{Cause, Kernel, ManualClock, nr, with_deadline};

use crate::wire::{Message, Wire, read_message};

/// Longer than any call blocks in a test that passes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Not a system call: the clock is to go on by so many nanoseconds.
const ADVANCE: u32 = u32::MAX;

/// Results that are no kernel's errno: it ended, or the call took too long.
const NO_KERNEL: i64 = -10_000;
const TOO_LONG: i64 = -10_001;

struct Request {
    id: u32,
    frames: u32,
    nr: u32,
    args: Vec<Arg>,
}

enum Arg {
    Integer(i64),
    Buffer { bytes: Vec<u8>, written: bool },
}

/// Makes the calls that a script asks for, until it asks for no more. Each has a
/// thread, because it may block.
pub(crate) fn serve<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    mut stream: UnixStream,
    kernel: &'env Kernel,
    wire: &Wire,
    clock: &ManualClock,
    outbox: &Sender<Message>,
) {
    while let Some(bytes) = read_message(&mut stream).expect("requests") {
        let mut request = parse(&bytes).expect("scripts know the format");
        wire.wait_for(request.frames);
        if let (ADVANCE, [Arg::Integer(ns)]) = (request.nr, &request.args[..]) {
            settle(kernel);
            clock.advance(Duration::from_nanos(*ns as u64));
            settle(kernel);
            let _ = outbox.send(Message::Result(answer(&request, 0)));
            continue;
        }
        let outbox = outbox.clone();
        scope.spawn(move || {
            let result = request.make(kernel);
            // The script may have ended.
            let _ = outbox.send(Message::Result(answer(&request, result)));
        });
    }
}

/// Has the kernel do what it has been told of: frames that have come, timers that
/// are due. It takes its interrupts before a call.
fn settle(kernel: &Kernel) {
    // SAFETY: getpid() has no arguments.
    let _ = unsafe { kernel.syscall(nr::GETPID, [0; 6]) };
}

impl Request {
    fn make(&mut self, kernel: &Kernel) -> i64 {
        let mut six = [0; 6];
        for (place, arg) in six.iter_mut().zip(&mut self.args) {
            *place = match arg {
                Arg::Integer(value) => *value as usize,
                Arg::Buffer { bytes, .. } => bytes.as_mut_ptr() as usize,
            };
        }
        // SAFETY: pointers are to buffers of the request; scripts name no length
        // that is more than theirs, and nobody else has descriptors here.
        let call = || unsafe { kernel.syscall(self.nr as usize, six) };
        match with_deadline(Instant::now() + PATIENCE, call) {
            Ok(value) => value as i64,
            Err(error) => match error.cause() {
                Cause::Errno(errno) => -i64::from(errno.raw_os_error()),
                Cause::TimedOut => TOO_LONG,
                _ => NO_KERNEL,
            },
        }
    }
}

fn answer(request: &Request, result: i64) -> Vec<u8> {
    let mut answer = request.id.to_be_bytes().to_vec();
    answer.extend(result.to_be_bytes());
    for arg in &request.args {
        if let Arg::Buffer {
            bytes,
            written: true,
        } = arg
        {
            answer.extend((bytes.len() as u32).to_be_bytes());
            answer.extend(bytes);
        }
    }
    answer
}

fn parse(mut rest: &[u8]) -> Option<Request> {
    let mut number = || take(&mut rest).map(u32::from_be_bytes);
    let (id, frames, nr) = (number()?, number()?, number()?);
    let mut args = Vec::new();
    while let Some([kind]) = take(&mut rest) {
        args.push(match kind {
            b'i' => Arg::Integer(i64::from_be_bytes(take(&mut rest)?)),
            _ => {
                let len = u32::from_be_bytes(take(&mut rest)?) as usize;
                let written = kind == b'o';
                let bytes = if written {
                    vec![0; len]
                } else {
                    rest.split_off(..len)?.to_vec()
                };
                Arg::Buffer { bytes, written }
            }
        });
    }
    Some(Request {
        id,
        frames,
        nr,
        args,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, more) = rest.split_first_chunk::<N>()?;
    *rest = more;
    Some(*first)
}
