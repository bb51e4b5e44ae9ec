//! `Socket`: a socket of a kernel's; `drupe.net.Socket` is the Python class over it.
//!
//! In its kernel it never blocks: what would is waited for here, until the timeout that
//! Python gives, and so that signals are seen.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStringExt;

use std::time::{Duration, Instant};

use drupe::Errno;
use drupe::net::{Domain, Protocol, SocketAddress, Type, UnixAddress};
use pyo3::exceptions::{PyOSError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::buffer::{Buffer, fill_bytes};
use crate::error::{Failure, value};
use crate::gate::call;
use crate::handle::{Handle, Held};
use crate::kernel::Kernel;

/// How long a wait is at most, before signals are looked for.
const SLICE: Duration = Duration::from_millis(150);

/// A socket of a kernel's.
#[pyclass(frozen, module = "drupe._drupe")]
pub(crate) struct Socket(Handle<drupe::net::Socket>);

/// An address, as the socket module of Python has it.
pub(crate) struct Address(SocketAddress);

fn ip(host: &str, v6: bool) -> PyResult<IpAddr> {
    match (host, v6) {
        ("", false) => Ok(Ipv4Addr::UNSPECIFIED.into()),
        ("", true) => Ok(Ipv6Addr::UNSPECIFIED.into()),
        ("localhost", false) => Ok(Ipv4Addr::LOCALHOST.into()),
        ("localhost", true) => Ok(Ipv6Addr::LOCALHOST.into()),
        _ => host.parse().map_err(|_| {
            value(format!(
                "{host:?} is no IP address; names are not looked up: socket.getaddrinfo() does"
            ))
        }),
    }
}

impl FromPyObject<'_, '_> for Address {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Address> {
        if let Ok(tuple) = object.cast::<PyTuple>() {
            let host: String = tuple.get_item(0)?.extract()?;
            let port: u16 = tuple.get_item(1)?.extract()?;
            let address = match ip(&host, tuple.len() == 4)? {
                IpAddr::V6(ip) if tuple.len() == 4 => {
                    let flow = tuple.get_item(2)?.extract()?;
                    SocketAddrV6::new(ip, port, flow, tuple.get_item(3)?.extract()?).into()
                }
                ip => SocketAddr::new(ip, port),
            };
            return Ok(Address(address.into()));
        }
        let bytes = match object.cast::<PyBytes>() {
            Ok(bytes) => bytes.as_bytes().to_vec(),
            Err(_) => match object.extract::<OsString>() {
                Ok(text) => text.into_vec(),
                Err(_) => {
                    let text = "an address is (HOST, PORT), or the path of a Unix socket";
                    return Err(PyTypeError::new_err(text));
                }
            },
        };
        Ok(Address(match bytes.strip_prefix(b"\0") {
            Some(name) => SocketAddress::abstract_name(name),
            None => SocketAddress::path(OsString::from_vec(bytes)),
        }))
    }
}

fn shown<'py>(py: Python<'py>, address: &SocketAddress) -> PyResult<Bound<'py, PyAny>> {
    Ok(match address {
        SocketAddress::Ip(SocketAddr::V4(address)) => {
            let pair = (address.ip().to_string(), address.port());
            pair.into_pyobject(py)?.into_any()
        }
        SocketAddress::Ip(SocketAddr::V6(address)) => {
            let (ip, port) = (address.ip().to_string(), address.port());
            let all = (ip, port, address.flowinfo(), address.scope_id());
            all.into_pyobject(py)?.into_any()
        }
        SocketAddress::Unix(UnixAddress::Path(path)) => {
            path.as_os_str().into_pyobject(py)?.into_any()
        }
        SocketAddress::Unix(UnixAddress::Abstract(name)) => {
            PyBytes::new(py, &[b"\0", &name[..]].concat()).into_any()
        }
        SocketAddress::Unix(UnixAddress::Unnamed) => "".into_pyobject(py)?.into_any(),
        other => PyBytes::new(py, &other.to_bytes().unwrap_or_default()).into_any(),
    })
}

impl Socket {
    fn new(socket: drupe::net::Socket) -> Socket {
        Socket(Handle::new(socket))
    }

    pub(crate) fn get(&self, py: Python<'_>) -> PyResult<Held<drupe::net::Socket>> {
        let socket = self.0.get();
        socket.ok_or_else(|| Failure::errno(libc::EBADF).raise(py))
    }

    /// Does something as soon as it does not block, within so many seconds.
    fn when<T: Send>(
        &self,
        py: Python<'_>,
        events: i16,
        timeout: Option<f64>,
        mut f: impl FnMut(&drupe::net::Socket) -> drupe::Result<T> + Send,
    ) -> PyResult<T> {
        let socket = self.get(py)?;
        let until = timeout.map(|timeout| Instant::now() + seconds(timeout));
        loop {
            let done = call(py, || match f(&socket) {
                Ok(value) => Ok(Some(value)),
                Err(error) if error.errno() == Some(Errno::AGAIN) && timeout != Some(0.0) => {
                    Ok(None)
                }
                Err(error) => Err(error),
            })?;
            match done {
                Some(value) => return Ok(value),
                None => wait(py, &socket, events, until)?,
            }
        }
    }
}

/// A timeout that Python gives.
fn seconds(timeout: f64) -> Duration {
    // A year is for ever.
    const LONG: f64 = 365.0 * 86_400.0;
    Duration::try_from_secs_f64(timeout.clamp(0.0, LONG)).unwrap_or_default()
}

/// Waits until a socket is ready.
fn wait(
    py: Python<'_>,
    socket: &drupe::net::Socket,
    events: i16,
    until: Option<Instant>,
) -> PyResult<()> {
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let slice = left.map_or(SLICE, |left| left.min(SLICE));
        if call(py, || socket.wait(events, slice))? {
            return Ok(());
        }
        py.check_signals()?;
        if until.is_some_and(|until| Instant::now() >= until) {
            return Err(PyOSError::new_err((libc::ETIMEDOUT, "timed out")));
        }
    }
}

#[pymethods]
impl Socket {
    #[staticmethod]
    fn open(
        py: Python<'_>,
        kernel: &Kernel,
        family: i32,
        kind: i32,
        protocol: i32,
    ) -> PyResult<Socket> {
        let kernel = kernel.get()?;
        let socket = call(py, || {
            let kind = Type(kind).nonblocking();
            drupe::net::Socket::new(&kernel, Domain(family), kind, Some(Protocol(protocol)))
        })?;
        Ok(Socket::new(socket))
    }

    fn bind(&self, py: Python<'_>, address: Address) -> PyResult<()> {
        let socket = self.get(py)?;
        call(py, || socket.bind(address.0.clone()))
    }

    fn connect(&self, py: Python<'_>, address: Address, timeout: Option<f64>) -> PyResult<()> {
        let socket = self.get(py)?;
        let until = timeout.map(|timeout| Instant::now() + seconds(timeout));
        loop {
            let done = call(py, || match socket.connect(address.0.clone()) {
                Ok(()) => Ok(true),
                Err(error) => match error.errno() {
                    Some(Errno::ISCONN) => Ok(true),
                    Some(Errno::INPROGRESS | Errno::ALREADY) if timeout != Some(0.0) => Ok(false),
                    _ => Err(error),
                },
            })?;
            if done {
                return Ok(());
            }
            // Asked again when it has come to something: SO_ERROR would tell as much, and
            // leave the socket as one that cannot be connected any more.
            wait(py, &socket, libc::POLLOUT, until)?;
        }
    }

    fn listen(&self, py: Python<'_>, backlog: u32) -> PyResult<()> {
        let socket = self.get(py)?;
        call(py, || socket.listen(backlog))
    }

    fn accept<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
    ) -> PyResult<(Socket, Bound<'py, PyAny>)> {
        let (connection, from) = self.when(py, libc::POLLIN, timeout, |socket| {
            let (connection, from) = socket.accept()?;
            connection.set_nonblocking(true)?;
            Ok((connection, from))
        })?;
        Ok((Socket::new(connection), shown(py, &from)?))
    }

    fn send(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        flags: i32,
        timeout: Option<f64>,
    ) -> PyResult<usize> {
        let buffer = Buffer::read(data)?;
        let bytes = buffer.bytes();
        self.when(py, libc::POLLOUT, timeout, |socket| {
            // SAFETY: `buffer` lives.
            let bytes = unsafe { bytes.get() };
            socket.send_with(bytes, flags)
        })
    }

    fn send_to(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        address: Address,
        timeout: Option<f64>,
    ) -> PyResult<usize> {
        let buffer = Buffer::read(data)?;
        let bytes = buffer.bytes();
        self.when(py, libc::POLLOUT, timeout, |socket| {
            // SAFETY: `buffer` lives.
            let bytes = unsafe { bytes.get() };
            socket.send_to(bytes, address.0.clone())
        })
    }

    fn recv<'py>(
        &self,
        py: Python<'py>,
        len: usize,
        flags: i32,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        fill_bytes(py, len, |room| {
            self.when(py, libc::POLLIN, timeout, |socket| {
                // SAFETY: `fill_bytes` holds it, and nobody else has it.
                let bytes = unsafe { room.get_mut() };
                socket.recv_with(bytes, flags)
            })
        })
    }

    fn recv_into(
        &self,
        py: Python<'_>,
        buffer: &Bound<'_, PyAny>,
        flags: i32,
        timeout: Option<f64>,
    ) -> PyResult<usize> {
        let buffer = Buffer::write(buffer)?;
        let bytes = buffer.bytes();
        self.when(py, libc::POLLIN, timeout, |socket| {
            // SAFETY: `buffer` lives, and was asked for to be written to.
            let bytes = unsafe { bytes.get_mut() };
            socket.recv_with(bytes, flags)
        })
    }

    fn recv_from<'py>(
        &self,
        py: Python<'py>,
        len: usize,
        flags: i32,
        timeout: Option<f64>,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyAny>)> {
        let mut from = SocketAddress::Unspecified;
        let bytes = fill_bytes(py, len, |room| {
            let (len, address) = self.when(py, libc::POLLIN, timeout, |socket| {
                // SAFETY: `fill_bytes` holds it, and nobody else has it.
                let bytes = unsafe { room.get_mut() };
                socket.recv_from_with(bytes, flags)
            })?;
            from = address;
            Ok(len)
        })?;
        Ok((bytes, shown(py, &from)?))
    }

    fn shutdown(&self, py: Python<'_>, how: i32) -> PyResult<()> {
        let socket = self.get(py)?;
        let how = match how {
            libc::SHUT_RD => Shutdown::Read,
            libc::SHUT_WR => Shutdown::Write,
            libc::SHUT_RDWR => Shutdown::Both,
            _ => return Err(value("how is SHUT_RD, SHUT_WR or SHUT_RDWR")),
        };
        call(py, || socket.shutdown(how))
    }

    fn getsockname<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let socket = self.get(py)?;
        shown(py, &call(py, || socket.local_address())?)
    }

    fn getpeername<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let socket = self.get(py)?;
        shown(py, &call(py, || socket.peer_address())?)
    }

    fn setsockopt(&self, py: Python<'_>, level: i32, name: i32, bytes: Vec<u8>) -> PyResult<()> {
        let socket = self.get(py)?;
        call(py, || socket.set_raw_option(level, name, &bytes))
    }

    fn getsockopt<'py>(
        &self,
        py: Python<'py>,
        level: i32,
        name: i32,
        len: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let socket = self.get(py)?;
        let mut bytes = vec![0; len];
        let len = call(py, || socket.raw_option(level, name, &mut bytes))?;
        bytes.truncate(len);
        Ok(PyBytes::new(py, &bytes))
    }

    fn kernel_fd(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(self.get(py)?.raw_fd())
    }

    fn close(&self) {
        drop(self.0.take());
    }
}
