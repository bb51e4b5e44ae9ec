//! [`System`]: system calls of a drupe kernel or of the host, so that each job is written
//! once and runs on both.

use drupe_machine::{Error, Machine};
use std::ffi::{CStr, c_long};
use std::io;
use std::sync::atomic::AtomicU32;

/// A system call's number here (`include/uapi/asm-generic/unistd.h`) and on
/// the host.
#[derive(Clone, Copy)]
pub(crate) struct Nr {
    drupe: usize,
    host: c_long,
}

const fn nr(drupe: usize, host: c_long) -> Nr {
    Nr { drupe, host }
}

const MKNODAT: Nr = nr(33, libc::SYS_mknodat);
const MKDIRAT: Nr = nr(34, libc::SYS_mkdirat);
const UMOUNT2: Nr = nr(39, libc::SYS_umount2);
const MOUNT: Nr = nr(40, libc::SYS_mount);
const OPENAT: Nr = nr(56, libc::SYS_openat);
const CLOSE: Nr = nr(57, libc::SYS_close);
const PIPE2: Nr = nr(59, libc::SYS_pipe2);
const READ: Nr = nr(63, libc::SYS_read);
const WRITE: Nr = nr(64, libc::SYS_write);
const WRITEV: Nr = nr(66, libc::SYS_writev);
const PWRITE64: Nr = nr(68, libc::SYS_pwrite64);
const FSYNC: Nr = nr(82, libc::SYS_fsync);
const FUTEX: Nr = nr(98, libc::SYS_futex);
const NANOSLEEP: Nr = nr(101, libc::SYS_nanosleep);
const GETPPID: Nr = nr(173, libc::SYS_getppid);
const IOCTL: Nr = nr(29, libc::SYS_ioctl);
const SOCKET: Nr = nr(198, libc::SYS_socket);
const BIND: Nr = nr(200, libc::SYS_bind);
const LISTEN: Nr = nr(201, libc::SYS_listen);
const ACCEPT: Nr = nr(202, libc::SYS_accept);
const CONNECT: Nr = nr(203, libc::SYS_connect);
const GETSOCKNAME: Nr = nr(204, libc::SYS_getsockname);
const SETSOCKOPT: Nr = nr(208, libc::SYS_setsockopt);

/// An open file's number.
pub(crate) type Fd = usize;

/// `struct sockaddr_in`.
pub(crate) type Address = [u8; 16];

/// An address of the Internet.
pub(crate) fn address(host: [u8; 4], port: u16) -> Address {
    let mut address = Address::default();
    address[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[4..8].copy_from_slice(&host);
    address
}

/// The host's kernel.
pub(crate) struct Host;

/// A kernel that serves system calls. Errors are those of the call; a drupe kernel that
/// has died returns one without a number.
pub(crate) trait System: Sync {
    /// # Safety
    ///
    /// What the call reads or writes through its arguments, until it returns,
    /// must be the caller's.
    unsafe fn call(&self, nr: Nr, args: [usize; 6]) -> io::Result<usize>;

    /// The cheapest system call.
    #[inline]
    fn getppid(&self) -> io::Result<usize> {
        // SAFETY: no arguments.
        unsafe { self.call(GETPPID, [0; 6]) }
    }

    /// A pipe: the end to read from, the end to write to.
    fn pipe(&self) -> io::Result<[Fd; 2]> {
        let mut ends = [0i32; 2];
        // SAFETY: room for two descriptors, which is what the call writes.
        unsafe { self.call(PIPE2, [ends.as_mut_ptr() as usize, 0, 0, 0, 0, 0])? };
        Ok(ends.map(|end| end as Fd))
    }

    #[inline]
    fn read(&self, fd: Fd, data: &mut [u8]) -> io::Result<usize> {
        let args = [fd, data.as_mut_ptr() as usize, data.len(), 0, 0, 0];
        // SAFETY: the slice is borrowed for the call.
        unsafe { self.call(READ, args) }
    }

    #[inline]
    fn write(&self, fd: Fd, data: &[u8]) -> io::Result<usize> {
        let args = [fd, data.as_ptr() as usize, data.len(), 0, 0, 0];
        // SAFETY: the slice is borrowed for the call, which only reads it.
        unsafe { self.call(WRITE, args) }
    }

    /// Writes `data`, `times` (at most 1024) times over, in one call.
    fn write_repeated(&self, fd: Fd, data: &[u8], times: usize) -> io::Result<usize> {
        let slices = vec![io::IoSlice::new(data); times];
        let args = [fd, slices.as_ptr() as usize, slices.len(), 0, 0, 0];
        // SAFETY: slices have the layout of `struct iovec`, and are borrowed.
        unsafe { self.call(WRITEV, args) }
    }

    /// Writes at the beginning of a file.
    fn write_first(&self, fd: Fd, data: &[u8]) -> io::Result<usize> {
        let args = [fd, data.as_ptr() as usize, data.len(), 0, 0, 0];
        // SAFETY: the slice is borrowed for the call, which only reads it.
        unsafe { self.call(PWRITE64, args) }
    }

    fn fsync(&self, fd: Fd) -> io::Result<usize> {
        // SAFETY: the arguments are numbers.
        unsafe { self.call(FSYNC, [fd, 0, 0, 0, 0, 0]) }
    }

    /// Opens `path`, absolute, with the `O_` flags of the host, which are the
    /// kernel's.
    fn open(&self, path: &CStr, flags: i32) -> io::Result<Fd> {
        let args = [0, path.as_ptr() as usize, flags as usize, 0o600, 0, 0];
        // SAFETY: a string that ends.
        unsafe { self.call(OPENAT, args) }
    }

    fn close(&self, fd: Fd) -> io::Result<usize> {
        // SAFETY: the arguments are numbers.
        unsafe { self.call(CLOSE, [fd, 0, 0, 0, 0, 0]) }
    }

    /// Sleeps while `word` is `value`, until woken.
    fn futex_wait(&self, word: &AtomicU32, value: u32) -> io::Result<()> {
        let op = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        let args = [word.as_ptr() as usize, op as usize, value as usize, 0, 0, 0];
        // SAFETY: the word is borrowed, and atomic; no timeout is given.
        match unsafe { self.call(FUTEX, args) } {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Wakes one thread that sleeps on `word`; returns how many there were.
    fn futex_wake(&self, word: &AtomicU32) -> io::Result<usize> {
        let op = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        let args = [word.as_ptr() as usize, op as usize, 1, 0, 0, 0];
        // SAFETY: the word is borrowed, and only its address is used.
        unsafe { self.call(FUTEX, args) }
    }

    /// Sleeps for less than a second.
    fn nanosleep(&self, ns: i64) -> io::Result<usize> {
        let time = libc::timespec {
            tv_sec: 0,
            tv_nsec: ns,
        };
        let args = [&raw const time as usize, 0, 0, 0, 0, 0];
        // SAFETY: the time outlives the call.
        unsafe { self.call(NANOSLEEP, args) }
    }

    /// A character device.
    fn mknod(&self, path: &CStr, major: u32, minor: u32) -> io::Result<usize> {
        let mode = (libc::S_IFCHR | 0o600) as usize;
        let device = libc::makedev(major, minor) as usize;
        let args = [0, path.as_ptr() as usize, mode, device, 0, 0];
        // SAFETY: a string that ends.
        unsafe { self.call(MKNODAT, args) }
    }

    /// Makes the directory `at` and mounts `source` there.
    fn mount(&self, source: &CStr, at: &CStr, filesystem: &CStr) -> io::Result<usize> {
        let args = [0, at.as_ptr() as usize, 0o700, 0, 0, 0];
        // SAFETY: a string that ends.
        unsafe { self.call(MKDIRAT, args)? };
        let [source, at, filesystem] = [source, at, filesystem].map(|s| s.as_ptr() as usize);
        // SAFETY: strings that end; no options.
        unsafe { self.call(MOUNT, [source, at, filesystem, 0, 0, 0]) }
    }

    /// A socket of the Internet: `SOCK_STREAM` or `SOCK_DGRAM`.
    fn socket(&self, kind: i32) -> io::Result<Fd> {
        // SAFETY: the arguments are numbers.
        unsafe { self.call(SOCKET, [libc::AF_INET as usize, kind as usize, 0, 0, 0, 0]) }
    }

    fn bind(&self, fd: Fd, address: &Address) -> io::Result<usize> {
        // SAFETY: the address is borrowed, and has the length given.
        unsafe {
            self.call(
                BIND,
                [fd, address.as_ptr() as usize, address.len(), 0, 0, 0],
            )
        }
    }

    fn connect(&self, fd: Fd, address: &Address) -> io::Result<usize> {
        // SAFETY: as above.
        unsafe {
            self.call(
                CONNECT,
                [fd, address.as_ptr() as usize, address.len(), 0, 0, 0],
            )
        }
    }

    /// The address that a socket was bound to.
    fn name(&self, fd: Fd) -> io::Result<Address> {
        let mut address = Address::default();
        let mut len = address.len() as u32;
        let args = [
            fd,
            address.as_mut_ptr() as usize,
            &raw mut len as usize,
            0,
            0,
            0,
        ];
        // SAFETY: room for an address, and its length.
        unsafe { self.call(GETSOCKNAME, args)? };
        Ok(address)
    }

    /// Listens at `address`. Returns the socket and its actual address.
    fn listener(&self, address: &Address) -> io::Result<(Fd, Address)> {
        let fd = self.socket(libc::SOCK_STREAM)?;
        self.bind(fd, address)?;
        // SAFETY: the arguments are numbers.
        unsafe { self.call(LISTEN, [fd, 128, 0, 0, 0, 0])? };
        Ok((fd, self.name(fd)?))
    }

    fn accept(&self, fd: Fd) -> io::Result<Fd> {
        // SAFETY: no address is asked for.
        unsafe { self.call(ACCEPT, [fd, 0, 0, 0, 0, 0]) }
    }

    fn set_option(&self, fd: Fd, level: i32, name: i32, value: &[u32]) -> io::Result<usize> {
        let (value, len) = (value.as_ptr() as usize, size_of_val(value));
        // SAFETY: the value is borrowed, and has the length given.
        unsafe {
            self.call(
                SETSOCKOPT,
                [fd, level as usize, name as usize, value, len, 0],
            )
        }
    }

    /// Chooses the congestion control of a TCP socket, by its name.
    fn set_congestion(&self, fd: Fd, name: &str) -> io::Result<usize> {
        let (level, option) = (libc::IPPROTO_TCP, libc::TCP_CONGESTION);
        let args = [
            fd,
            level as usize,
            option as usize,
            name.as_ptr() as usize,
            name.len(),
            0,
        ];
        // SAFETY: the name is borrowed, and has the length given.
        unsafe { self.call(SETSOCKOPT, args) }
    }

    /// An `ioctl(2)` on a network interface, such as `eth0`: with what follows
    /// its name in `struct ifreq`.
    fn interface(&self, name: &str, request: u64, value: &[u8]) -> io::Result<usize> {
        let fd = self.socket(libc::SOCK_DGRAM)?;
        let mut ifreq = [0u8; 40];
        ifreq[..name.len()].copy_from_slice(name.as_bytes());
        ifreq[16..16 + value.len()].copy_from_slice(value);
        let args = [fd, request as usize, ifreq.as_mut_ptr() as usize, 0, 0, 0];
        // SAFETY: a `struct ifreq`.
        let result = unsafe { self.call(IOCTL, args) };
        self.close(fd)?;
        result
    }

    fn umount(&self, at: &CStr) -> io::Result<usize> {
        // SAFETY: a string that ends.
        unsafe { self.call(UMOUNT2, [at.as_ptr() as usize, 0, 0, 0, 0, 0]) }
    }
}

impl System for Machine {
    #[inline]
    unsafe fn call(&self, nr: Nr, args: [usize; 6]) -> io::Result<usize> {
        // SAFETY: passed on.
        unsafe { self.syscall(nr.drupe, args) }.map_err(failure)
    }
}

impl System for Host {
    #[inline]
    unsafe fn call(&self, nr: Nr, [a, b, c, d, e, f]: [usize; 6]) -> io::Result<usize> {
        // SAFETY: passed on.
        match unsafe { libc::syscall(nr.host, a, b, c, d, e, f) } {
            -1 => Err(io::Error::last_os_error()),
            result => Ok(result as usize),
        }
    }
}

#[cold]
fn failure(error: Error) -> io::Error {
    match error {
        Error::Errno(errno) => io::Error::from_raw_os_error(errno.raw_os_error()),
        error => io::Error::other(error),
    }
}
