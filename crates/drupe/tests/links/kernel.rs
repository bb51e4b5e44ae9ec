//! A kernel on a link, and its sockets by their bare system calls.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use drupe::{Kernel, nr};
use drupe_host::link::Link;

/// How long nothing may come, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A kernel with a network.
#[derive(Clone)]
pub(crate) struct Net(Arc<Kernel>);

/// A socket of it, closed when dropped.
pub(crate) struct Socket {
    net: Net,
    fd: usize,
}

/// 10.1.1.`host`, a port of it.
pub(crate) fn at(host: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 1, 1, host), port)
}

/// `struct sockaddr_in`.
fn raw(address: SocketAddrV4) -> [u8; 16] {
    let mut raw = [0; 16];
    raw[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    raw[2..4].copy_from_slice(&address.port().to_be_bytes());
    raw[4..8].copy_from_slice(&address.ip().octets());
    raw
}

impl Net {
    /// A kernel on `link`, as 10.1.1.`host`.
    pub(crate) fn new(link: impl Link + 'static, host: u8) -> Net {
        let kernel = Kernel::builder().memory(128 << 20).boot().unwrap();
        kernel.add_link(link).unwrap();
        let net = Net(Arc::new(kernel));
        net.configure(host).unwrap();
        net
    }

    pub(crate) fn halt(&self) {
        self.0.halt().unwrap();
    }

    fn call(&self, number: usize, args: &[usize]) -> io::Result<usize> {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        // SAFETY: all callers pass numbers, and pointers to what they have
        // borrowed, with its length.
        let result = unsafe { self.0.syscall(number, all) };
        result.map_err(io::Error::from)
    }

    fn configure(&self, host: u8) -> io::Result<()> {
        let socket = self.socket(libc::SOCK_DGRAM)?;
        let mut request = [0_u8; 40];
        request[..4].copy_from_slice(b"eth0");
        let mut ioctl = |number: u64, value: &[u8]| {
            request[16..16 + value.len()].copy_from_slice(value);
            let args = [socket.fd, number as usize, request.as_mut_ptr() as usize];
            self.call(nr::IOCTL, &args)
        };
        ioctl(libc::SIOCSIFADDR, &raw(at(host, 0)))?;
        let mask = SocketAddrV4::new(Ipv4Addr::new(255, 255, 255, 0), 0);
        ioctl(libc::SIOCSIFNETMASK, &raw(mask))?;
        ioctl(libc::SIOCSIFFLAGS, &(libc::IFF_UP as u16).to_ne_bytes())?;
        Ok(())
    }

    /// A socket of the Internet.
    pub(crate) fn socket(&self, kind: i32) -> io::Result<Socket> {
        let fd = self.call(nr::SOCKET, &[libc::AF_INET as usize, kind as usize, 0])?;
        let net = self.clone();
        let socket = Socket { net, fd };
        // Those that it accepts have it too.
        socket.patience(PATIENCE)?;
        Ok(socket)
    }

    pub(crate) fn bind(&self, kind: i32, address: SocketAddrV4) -> io::Result<Socket> {
        let socket = self.socket(kind)?;
        socket.option(libc::SOL_SOCKET, libc::SO_REUSEADDR, &1_i32.to_ne_bytes())?;
        let address = raw(address);
        let args = [socket.fd, address.as_ptr() as usize, address.len()];
        self.call(nr::BIND, &args)?;
        Ok(socket)
    }

    pub(crate) fn listen(&self, address: SocketAddrV4) -> io::Result<Socket> {
        let socket = self.bind(libc::SOCK_STREAM, address)?;
        self.call(nr::LISTEN, &[socket.fd, 16])?;
        Ok(socket)
    }

    pub(crate) fn connect(&self, address: SocketAddrV4) -> io::Result<Socket> {
        let socket = self.socket(libc::SOCK_STREAM)?;
        socket.connect(address)?;
        Ok(socket)
    }
}

impl Socket {
    pub(crate) fn accept(&self) -> io::Result<Socket> {
        let fd = self.net.call(nr::ACCEPT, &[self.fd, 0, 0])?;
        let net = self.net.clone();
        Ok(Socket { net, fd })
    }

    pub(crate) fn connect(&self, address: SocketAddrV4) -> io::Result<()> {
        let address = raw(address);
        let args = [self.fd, address.as_ptr() as usize, address.len()];
        self.net.call(nr::CONNECT, &args).map(drop)
    }

    pub(crate) fn option(&self, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
        let value = [value.as_ptr() as usize, value.len()];
        let args = [self.fd, level as usize, name as usize, value[0], value[1]];
        self.net.call(nr::SETSOCKOPT, &args).map(drop)
    }

    /// How long a read, or an accept, waits.
    fn patience(&self, patience: Duration) -> io::Result<()> {
        let words = [patience.as_secs(), u64::from(patience.subsec_micros())];
        let words = words.map(u64::to_ne_bytes).concat();
        self.option(libc::SOL_SOCKET, libc::SO_RCVTIMEO, &words)
    }

    pub(crate) fn send_to(&self, bytes: &[u8], address: SocketAddrV4) -> io::Result<usize> {
        let (address, data) = (raw(address), bytes.as_ptr() as usize);
        let to = [address.as_ptr() as usize, address.len()];
        let args = [self.fd, data, bytes.len(), 0, to[0], to[1]];
        self.net.call(nr::SENDTO, &args)
    }

    /// One datagram, at most of 64 KiB.
    pub(crate) fn receive(&self) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; 1 << 16];
        let len = (&mut &*self).read(&mut buffer)?;
        buffer.truncate(len);
        Ok(buffer)
    }

    pub(crate) fn end(&self) -> io::Result<()> {
        let how = libc::SHUT_WR as usize;
        self.net.call(nr::SHUTDOWN, &[self.fd, how]).map(drop)
    }
}

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let args = [self.fd, buffer.as_mut_ptr() as usize, buffer.len()];
        self.net.call(nr::READ, &args)
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let args = [self.fd, bytes.as_ptr() as usize, bytes.len()];
        self.net.call(nr::WRITE, &args)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The kernel may have ended.
        let _ = self.net.call(nr::CLOSE, &[self.fd]);
    }
}

/// Bytes that are all different for a while, as words that count.
fn pattern(from: u64, buffer: &mut [u8]) {
    for (word, number) in buffer.chunks_exact_mut(8).zip(from / 8..) {
        let word: &mut [u8] = word;
        word.copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_ne_bytes());
    }
}

/// Bytes that are sent and checked at once; a multiple of 8.
const PIECE: usize = 1 << 17;

/// Sends `len` bytes one way, and checks each one on the other side.
pub(crate) fn transfer(mut from: impl Write + Send, mut to: impl Read, len: u64) {
    assert_eq!(len % 8, 0);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut buffer = vec![0; PIECE];
            let mut sent = 0;
            while sent < len {
                let piece = &mut buffer[..(len - sent).min(PIECE as u64) as usize];
                pattern(sent, piece);
                from.write_all(piece).expect("sent");
                sent += piece.len() as u64;
            }
        });
        let (mut got, mut expected) = (vec![0; PIECE], vec![0; PIECE]);
        let mut received = 0;
        while received < len {
            let piece = (len - received).min(PIECE as u64) as usize;
            to.read_exact(&mut got[..piece]).expect("received");
            pattern(received, &mut expected[..piece]);
            assert!(got[..piece] == expected[..piece], "wrong after {received}");
            received += piece as u64;
        }
    });
}
