//! [`Socket`]: a non-blocking socket of the drupe kernel, with addresses as bytes.

use std::cell::RefCell;
use std::rc::Rc;

use drupe::net::{Domain, Events, Interest, Poll, Protocol, Token, Type};
use drupe::{Cause, Kernel, nr};
use rustix::io::Errno;

/// A `struct sockaddr`.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    bytes: [u8; 128],
    len: usize,
}

impl Address {
    pub(crate) const NONE: Address = Address {
        bytes: [0; 128],
        len: 0,
    };

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len.min(self.bytes.len())]
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Address, Errno> {
        let mut address = Address::NONE;
        let place = address.bytes.get_mut(..bytes.len()).ok_or(Errno::INVAL)?;
        place.copy_from_slice(bytes);
        address.len = bytes.len();
        Ok(address)
    }
}

/// The kernel, and the error by which it has ended, if it has.
pub(crate) struct Net {
    pub(crate) kernel: Kernel,
    poll: Poll,
    failure: RefCell<Option<drupe::Error>>,
}

impl Net {
    pub(crate) fn new(kernel: Kernel) -> drupe::Result<Net> {
        Ok(Net {
            poll: Poll::new(&kernel)?,
            kernel,
            failure: RefCell::default(),
        })
    }

    pub(crate) fn poll(&self) -> &Poll {
        &self.poll
    }

    /// Collects the events of sockets, without waiting.
    pub(crate) fn collect(&self, events: &mut Events) {
        let waited = self.poll.wait(events, Some(std::time::Duration::ZERO));
        if let Err(error) = waited {
            self.errno(error);
        }
    }

    /// Why the kernel has ended.
    pub(crate) fn failure(&self) -> Option<drupe::Error> {
        self.failure.borrow_mut().take()
    }

    /// The errno value for the program. An error that is not a system call's means that
    /// the kernel has ended, which is noted.
    fn errno(&self, error: drupe::Error) -> Errno {
        match error.cause() {
            Cause::Errno(errno) => Errno::from_raw_os_error(errno.raw_os_error()),
            _ => {
                self.failure.borrow_mut().get_or_insert(error);
                Errno::NETDOWN
            }
        }
    }

    /// # Safety
    /// As for [`Kernel::syscall`].
    unsafe fn call<const N: usize>(&self, nr: usize, args: [usize; N]) -> Result<usize, Errno> {
        let mut all = [0; 6];
        all[..N].copy_from_slice(&args);
        // SAFETY: the caller's.
        let result = unsafe { self.kernel.syscall(nr, all) };
        result.map_err(|error| self.errno(error))
    }
}

/// A received message with its sender and control messages.
#[derive(Default)]
pub(crate) struct Received {
    pub(crate) len: usize,
    pub(crate) control: usize,
    pub(crate) flags: i32,
}

/// A socket of the kernel. Closed when dropped.
pub(crate) struct Socket {
    net: Rc<Net>,
    inner: drupe::net::Socket,
}

impl Socket {
    pub(crate) fn open(
        net: &Rc<Net>,
        domain: i32,
        kind: i32,
        protocol: i32,
    ) -> Result<Socket, Errno> {
        let kind = Type(kind | libc::SOCK_NONBLOCK);
        let protocol = (protocol != 0).then_some(Protocol(protocol));
        let opened = drupe::net::Socket::new(&net.kernel, Domain(domain), kind, protocol);
        Ok(Socket {
            inner: opened.map_err(|error| net.errno(error))?,
            net: Rc::clone(net),
        })
    }

    fn fd(&self) -> usize {
        self.inner.raw_fd() as usize
    }

    /// Registers it for edge-triggered events with this token.
    pub(crate) fn watch(&self, token: u64) -> Result<(), Errno> {
        let interest = (Interest::READABLE | Interest::WRITABLE).edge();
        let added = self.net.poll.add(&self.inner, interest, Token(token));
        added.map_err(|error| self.net.errno(error))
    }

    pub(crate) fn bind(&self, address: &Address) -> Result<(), Errno> {
        self.with_address(nr::BIND, address)
    }

    pub(crate) fn connect(&self, address: &Address) -> Result<(), Errno> {
        self.with_address(nr::CONNECT, address)
    }

    fn with_address(&self, nr: usize, address: &Address) -> Result<(), Errno> {
        let args = [self.fd(), address.bytes.as_ptr() as usize, address.len];
        // SAFETY: reads the address, all of whose bytes are there.
        unsafe { self.net.call(nr, args) }.map(drop)
    }

    pub(crate) fn listen(&self, backlog: i32) -> Result<(), Errno> {
        // SAFETY: the arguments are numbers.
        unsafe { self.net.call(nr::LISTEN, [self.fd(), backlog as usize]) }.map(drop)
    }

    /// Accepts a connection, which is non-blocking too.
    pub(crate) fn accept(&self) -> Result<Socket, Errno> {
        let accept = || {
            let (socket, _) = self.inner.accept()?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        Ok(Socket {
            inner: accept().map_err(|error| self.net.errno(error))?,
            net: Rc::clone(&self.net),
        })
    }

    pub(crate) fn name(&self) -> Result<Address, Errno> {
        self.ask_name(nr::GETSOCKNAME)
    }

    pub(crate) fn peer(&self) -> Result<Address, Errno> {
        self.ask_name(nr::GETPEERNAME)
    }

    fn ask_name(&self, nr: usize) -> Result<Address, Errno> {
        let mut address = Address::NONE;
        let mut len = address.bytes.len() as u32;
        let bytes = address.bytes.as_mut_ptr() as usize;
        // SAFETY: writes the address and its length.
        unsafe { self.net.call(nr, [self.fd(), bytes, &raw mut len as usize]) }?;
        address.len = len as usize;
        Ok(address)
    }

    /// Ends `SHUT_RD`, `SHUT_WR` or both.
    pub(crate) fn shutdown(&self, how: i32) -> Result<(), Errno> {
        // SAFETY: the arguments are numbers.
        unsafe { self.net.call(nr::SHUTDOWN, [self.fd(), how as usize]) }.map(drop)
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let args = [self.fd(), bytes.as_ptr() as usize, bytes.len(), 0, 0, 0];
        // SAFETY: reads `bytes`.
        unsafe { self.net.call(nr::SENDTO, args) }
    }

    pub(crate) fn receive(&self, bytes: &mut [u8], flags: i32) -> Result<usize, Errno> {
        let (to, len) = (bytes.as_mut_ptr() as usize, bytes.len());
        let args = [self.fd(), to, len, flags as usize, 0, 0];
        // SAFETY: writes into `bytes`.
        unsafe { self.net.call(nr::RECVFROM, args) }
    }

    pub(crate) fn send_message(
        &self,
        bytes: &[u8],
        to: &Address,
        control: &[u8],
        flags: i32,
    ) -> Result<usize, Errno> {
        let piece = crate::target::vector(bytes.as_ptr() as u64, bytes.len() as u64);
        let header = header(
            &piece,
            to.bytes.as_ptr(),
            to.len,
            control.as_ptr(),
            control.len(),
        );
        let args = [self.fd(), &raw const header as usize, flags as usize];
        // SAFETY: reads the header and what it points to, all of which is there.
        unsafe { self.net.call(nr::SENDMSG, args) }
    }

    pub(crate) fn receive_message(
        &self,
        bytes: &mut [u8],
        from: &mut Address,
        control: &mut [u8],
        flags: i32,
    ) -> Result<Received, Errno> {
        let piece = crate::target::vector(bytes.as_mut_ptr() as u64, bytes.len() as u64);
        let mut header = header(
            &piece,
            from.bytes.as_mut_ptr(),
            from.bytes.len(),
            control.as_mut_ptr(),
            control.len(),
        );
        let args = [self.fd(), &raw mut header as usize, flags as usize];
        // SAFETY: reads the header, writes it and into what it points to.
        let len = unsafe { self.net.call(nr::RECVMSG, args) }?;
        from.len = header.msg_namelen as usize;
        Ok(Received {
            len,
            control: header.msg_controllen,
            flags: header.msg_flags,
        })
    }

    pub(crate) fn option(&self, level: i32, name: i32, value: &mut [u8]) -> Result<usize, Errno> {
        let mut len = value.len() as u32;
        let args = [
            self.fd(),
            level as usize,
            name as usize,
            value.as_mut_ptr() as usize,
            &raw mut len as usize,
        ];
        // SAFETY: writes up to `len` bytes into `value`, and the length.
        unsafe { self.net.call(nr::GETSOCKOPT, args) }?;
        Ok(len as usize)
    }

    pub(crate) fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        let (from, len) = (value.as_ptr() as usize, value.len());
        let args = [self.fd(), level as usize, name as usize, from, len];
        // SAFETY: reads `value`. What that points to, if anything, is in this
        // process: callers translate it.
        unsafe { self.net.call(nr::SETSOCKOPT, args) }.map(drop)
    }

    /// # Safety
    /// `argument` is large enough for the request, and pointers in it are to
    /// memory of this process that the request may use.
    pub(crate) unsafe fn ioctl(&self, request: u32, argument: &mut [u8]) -> Result<usize, Errno> {
        let args = [self.fd(), request as usize, argument.as_mut_ptr() as usize];
        // SAFETY: the caller's.
        unsafe { self.net.call(nr::IOCTL, args) }
    }
}

fn header(
    piece: &libc::iovec,
    name: *const u8,
    name_len: usize,
    control: *const u8,
    control_len: usize,
) -> libc::msghdr {
    // SAFETY: numbers and pointers: all zeroes are fine.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    if name_len > 0 {
        header.msg_name = name.cast_mut().cast();
        header.msg_namelen = name_len as u32;
    }
    header.msg_iov = std::ptr::from_ref(piece).cast_mut();
    header.msg_iovlen = 1;
    if control_len > 0 {
        header.msg_control = control.cast_mut().cast();
        header.msg_controllen = control_len;
    }
    header
}
