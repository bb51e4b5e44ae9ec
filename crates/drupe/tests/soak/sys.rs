//! System calls that the library does not wrap yet. They are tried again when
//! they are interrupted or late: somebody does both to all workers.

use drupe::nr::{
    ACCEPT, BIND, CLOCK_GETTIME, CLOSE, CONNECT, GETSOCKNAME, IOCTL, LISTEN, NANOSLEEP, PIPE2,
    READ, SOCKET, SOCKETPAIR, WRITE,
};
use drupe::{Cause, Errno, Kernel, Result, with_deadline};
use std::time::{Duration, Instant};

/// A descriptor inside a kernel; closed when dropped.
pub(crate) struct Fd<'a> {
    kernel: &'a Kernel,
    pub(crate) number: usize,
}

impl Drop for Fd<'_> {
    fn drop(&mut self) {
        // Once: an interrupted close has closed.
        // SAFETY: the descriptor is this value's own.
        let _ = unsafe { self.kernel.syscall(CLOSE, [self.number, 0, 0, 0, 0, 0]) };
    }
}

/// One call, whose pointers are to what the caller has. Every other attempt has
/// a deadline that may come at any moment of it.
fn call(kernel: &Kernel, nr: usize, args: &[usize]) -> Result<usize> {
    let mut six = [0; 6];
    six[..args.len()].copy_from_slice(args);
    for attempt in 0.. {
        // SAFETY: as said above.
        let make = || unsafe { kernel.syscall(nr, six) };
        let result = if attempt % 2 == 0 {
            let deadline = Instant::now() + Duration::from_micros(fastrand::u64(0..5000));
            with_deadline(deadline, make)
        } else {
            make()
        };
        match result {
            Err(error) if matches!(error.cause(), Cause::TimedOut) => {}
            Err(error) if error.errno() == Some(Errno::INTR) => {}
            result => return result,
        }
    }
    unreachable!("it goes on for ever")
}

fn pair<'a>(kernel: &'a Kernel, nr: usize, before: &[usize]) -> Result<(Fd<'a>, Fd<'a>)> {
    let mut ends = [0i32; 2];
    let place = ends.as_mut_ptr() as usize;
    call(kernel, nr, &[before, &[place]].concat())?;
    let fd = |number: i32| Fd {
        kernel,
        number: number as usize,
    };
    Ok((fd(ends[0]), fd(ends[1])))
}

pub(crate) fn pipe(kernel: &Kernel) -> Result<(Fd<'_>, Fd<'_>)> {
    pair(kernel, PIPE2, &[])
}

pub(crate) fn socketpair(kernel: &Kernel) -> Result<(Fd<'_>, Fd<'_>)> {
    pair(kernel, SOCKETPAIR, &[1, 1, 0])
}

fn socket(kernel: &Kernel) -> Result<Fd<'_>> {
    let number = call(kernel, SOCKET, &[2, 1, 0])?;
    Ok(Fd { kernel, number })
}

/// Brings the loopback interface up.
pub(crate) fn loopback(kernel: &Kernel) -> Result<()> {
    const SIOCSIFFLAGS: usize = 0x8914;
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16] = 1;
    let socket = socket(kernel)?;
    let args = [socket.number, SIOCSIFFLAGS, request.as_ptr() as usize];
    call(kernel, IOCTL, &args)?;
    Ok(())
}

/// The two ends of a TCP connection over the loopback interface.
pub(crate) fn connection(kernel: &Kernel) -> Result<(Fd<'_>, Fd<'_>)> {
    // `struct sockaddr_in`: 127.0.0.1, any port.
    let mut address = [2u8, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut len = 16u32;
    let place = address.as_mut_ptr() as usize;
    let listener = socket(kernel)?;
    call(kernel, BIND, &[listener.number, place, 16])?;
    call(kernel, LISTEN, &[listener.number, 1])?;
    let args = [listener.number, place, &raw mut len as usize];
    call(kernel, GETSOCKNAME, &args)?;
    let client = socket(kernel)?;
    match call(kernel, CONNECT, &[client.number, place, 16]) {
        // The first attempt was interrupted, and has connected.
        Err(error) if error.errno() == Some(Errno::ISCONN) => {}
        result => drop(result?),
    }
    let number = call(kernel, ACCEPT, &[listener.number, 0, 0])?;
    Ok((client, Fd { kernel, number }))
}

pub(crate) fn read(fd: &Fd<'_>, data: &mut [u8]) -> Result<usize> {
    let args = [fd.number, data.as_mut_ptr() as usize, data.len()];
    call(fd.kernel, READ, &args)
}

/// All of it, however often it is interrupted.
pub(crate) fn write(fd: &Fd<'_>, mut data: &[u8]) -> Result<()> {
    while !data.is_empty() {
        let args = [fd.number, data.as_ptr() as usize, data.len()];
        data = &data[call(fd.kernel, WRITE, &args)?..];
    }
    Ok(())
}

pub(crate) fn open(kernel: &Kernel, path: &std::ffi::CStr) -> Result<usize> {
    const OPENAT: usize = 56;
    call(kernel, OPENAT, &[0, path.as_ptr() as usize, 0])
}

pub(crate) fn fd(kernel: &Kernel, number: usize) -> Fd<'_> {
    Fd { kernel, number }
}

/// Sleeps once; returns whether it was for all of the time.
pub(crate) fn sleep(kernel: &Kernel, time: Duration) -> Result<bool> {
    let request = [time.as_secs(), u64::from(time.subsec_nanos())];
    let args = [request.as_ptr() as usize, 0, 0, 0, 0, 0];
    // SAFETY: the request is in place until the call returns.
    match unsafe { kernel.syscall(NANOSLEEP, args) } {
        Ok(_) => Ok(true),
        Err(error) if error.errno() == Some(Errno::INTR) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The kernel's `CLOCK_MONOTONIC`.
pub(crate) fn now(kernel: &Kernel) -> Result<Duration> {
    let mut time = [0u64; 2];
    call(kernel, CLOCK_GETTIME, &[1, time.as_mut_ptr() as usize])?;
    Ok(Duration::new(time[0], time[1] as u32))
}
