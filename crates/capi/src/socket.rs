//! Sockets.

use std::ffi::{c_int, c_void};
use std::net::Shutdown;

use drupe::Kernel;
use drupe::net::{Domain, Protocol, Socket, SocketAddress, Type};

use crate::border::{Out, bytes, bytes_mut};
use crate::failure::{Failure, Result};

handles! {
    Socket => drupe_socket_close;
}

/// A `struct sockaddr` of the caller's.
///
/// # Safety
/// `address` is NULL, or there are `len` bytes.
unsafe fn address(address: *const c_void, len: u32) -> Result<SocketAddress> {
    // As the kernel has it. (It would not be asked: no bytes are an address of Rust's.)
    if len == 0 || len as usize > size_of::<libc::sockaddr_storage>() {
        return Err(Failure::errno(libc::EINVAL, "read socket address"));
    }
    // SAFETY: the caller's.
    let bytes = unsafe { bytes(address, len as usize, "address") }?;
    Ok(SocketAddress::from_bytes(bytes))
}

/// Where a `struct sockaddr` goes: as much as there is room for; its whole length is told.
/// NULL: nowhere.
struct AddressOut {
    start: *mut c_void,
    len: Option<Out<u32>>,
    room: usize,
}

impl AddressOut {
    /// # Safety
    /// `start` is NULL, or `len` points to how many bytes there is room for.
    unsafe fn new(start: *mut c_void, len: *mut c_void) -> Result<AddressOut> {
        let len: *mut u32 = len.cast();
        if start.is_null() {
            let (len, room) = (None, 0);
            return Ok(AddressOut { start, len, room });
        }
        if len.is_null() {
            return Err(Failure::null("address_len"));
        }
        // SAFETY: the caller's.
        let room = unsafe { len.read() } as usize;
        // SAFETY: the caller's.
        let len = unsafe { <Option<Out<u32>> as crate::border::Argument>::from_c(len, "") }?;
        Ok(AddressOut { start, len, room })
    }

    fn put(self, address: &SocketAddress) -> Result<()> {
        let Some(len) = self.len else { return Ok(()) };
        let bytes = address.to_bytes()?;
        // SAFETY: there is so much room.
        let room = unsafe { bytes_mut(self.start, self.room.min(bytes.len()), "address") }?;
        room.copy_from_slice(&bytes[..room.len()]);
        len.put(bytes.len() as u32);
        Ok(())
    }
}

export! {
    fn drupe_socket_open(
        kernel: &Kernel,
        domain: c_int,
        kind: c_int,
        protocol: c_int,
    ) -> handle<Socket> {
        let protocol = (protocol != 0).then_some(Protocol(protocol));
        Ok(Socket::new(kernel, Domain(domain), Type(kind), protocol)?)
    }

    fn drupe_socket_bind(socket: &Socket, to: *const c_void, len: u32) -> status {
        // SAFETY: so many bytes, as the header says.
        Ok(socket.bind(unsafe { address(to, len) }?)?)
    }

    fn drupe_socket_connect(socket: &Socket, to: *const c_void, len: u32) -> status {
        // SAFETY: so many bytes, as the header says.
        Ok(socket.connect(unsafe { address(to, len) }?)?)
    }

    fn drupe_socket_listen(socket: &Socket, backlog: u32) -> status {
        Ok(socket.listen(backlog)?)
    }

    fn drupe_socket_accept(
        socket: &Socket,
        from: *mut c_void,
        from_len: *mut c_void,
    ) -> handle<Socket> {
        // SAFETY: as the header says.
        let out = unsafe { AddressOut::new(from, from_len) }?;
        let (connection, from) = socket.accept()?;
        out.put(&from)?;
        Ok(connection)
    }

    fn drupe_socket_send(
        socket: &Socket,
        buffer: *const c_void,
        len: usize,
        flags: c_int,
        done: Out<usize>,
    ) -> status {
        // SAFETY: so many bytes, as the header says.
        let buffer = unsafe { bytes(buffer, len, "buffer") }?;
        done.put(socket.send_with(buffer, flags)?);
        Ok(())
    }

    fn drupe_socket_receive(
        socket: &Socket,
        buffer: *mut c_void,
        len: usize,
        flags: c_int,
        done: Out<usize>,
    ) -> status {
        // SAFETY: so much room, as the header says.
        let buffer = unsafe { bytes_mut(buffer, len, "buffer") }?;
        done.put(socket.recv_with(buffer, flags)?);
        Ok(())
    }

    fn drupe_socket_send_to(
        socket: &Socket,
        buffer: *const c_void,
        len: usize,
        to: *const c_void,
        to_len: u32,
        done: Out<usize>,
    ) -> status {
        // SAFETY: so many bytes, as the header says.
        let (buffer, to) = unsafe { (bytes(buffer, len, "buffer")?, address(to, to_len)?) };
        done.put(socket.send_to(buffer, to)?);
        Ok(())
    }

    fn drupe_socket_receive_from(
        socket: &Socket,
        buffer: *mut c_void,
        len: usize,
        flags: c_int,
        from: *mut c_void,
        from_len: *mut c_void,
        done: Out<usize>,
    ) -> status {
        // SAFETY: as the header says.
        let out = unsafe { AddressOut::new(from, from_len) }?;
        // SAFETY: so much room, as the header says.
        let buffer = unsafe { bytes_mut(buffer, len, "buffer") }?;
        let (len, from) = socket.recv_from_with(buffer, flags)?;
        out.put(&from)?;
        done.put(len);
        Ok(())
    }

    fn drupe_socket_shutdown(socket: &Socket, how: c_int) -> status {
        let how = match how {
            libc::SHUT_RD => Shutdown::Read,
            libc::SHUT_WR => Shutdown::Write,
            libc::SHUT_RDWR => Shutdown::Both,
            _ => return Err(Failure::argument("`how` is not SHUT_RD, SHUT_WR or SHUT_RDWR")),
        };
        Ok(socket.shutdown(how)?)
    }

    fn drupe_socket_local_address(
        socket: &Socket,
        to: *mut c_void,
        to_len: *mut c_void,
    ) -> status {
        // SAFETY: as the header says.
        let out = unsafe { AddressOut::new(to, to_len) }?;
        out.put(&socket.local_address()?)
    }

    fn drupe_socket_peer_address(
        socket: &Socket,
        to: *mut c_void,
        to_len: *mut c_void,
    ) -> status {
        // SAFETY: as the header says.
        let out = unsafe { AddressOut::new(to, to_len) }?;
        out.put(&socket.peer_address()?)
    }

    fn drupe_socket_set_option(
        socket: &Socket,
        level: c_int,
        name: c_int,
        value: *const c_void,
        len: u32,
    ) -> status {
        // SAFETY: so many bytes, as the header says.
        let value = unsafe { bytes(value, len as usize, "value") }?;
        Ok(socket.set_raw_option(level, name, value)?)
    }

    fn drupe_socket_get_option(
        socket: &Socket,
        level: c_int,
        name: c_int,
        value: *mut c_void,
        capacity: u32,
        len: Out<u32>,
    ) -> status {
        // SAFETY: so much room, as the header says.
        let value = unsafe { bytes_mut(value, capacity as usize, "value") }?;
        len.put(socket.raw_option(level, name, value)? as u32);
        Ok(())
    }

    fn drupe_socket_set_nonblocking(socket: &Socket, yes: c_int) -> status {
        Ok(socket.set_nonblocking(yes != 0)?)
    }

    fn drupe_socket_descriptor(socket: &Socket, number: Out<c_int>) -> status {
        number.put(socket.raw_fd());
        Ok(())
    }
}
