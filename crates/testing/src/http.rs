//! [`Server`]: a small HTTP server, which does what a test says.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// What a client asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET` and the like.
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What it gets.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Headers, besides the length.
    pub headers: Vec<(String, String)>,
    /// The contents.
    pub body: Vec<u8>,
    /// The connection is cut after so many bytes of the contents.
    pub cut: Option<usize>,
}

impl Response {
    /// Contents.
    pub fn ok(body: impl Into<Vec<u8>>) -> Response {
        Response {
            status: 200,
            body: body.into(),
            ..Response::default()
        }
    }

    /// A status without contents.
    pub fn status(status: u16) -> Response {
        Response {
            status,
            ..Response::default()
        }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Response {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// A server on a port of the loopback address, until it is dropped.
pub struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Starts one, which answers each request, on a connection of its own, with what
    /// `answer` makes of it.
    ///
    /// # Errors
    ///
    /// There is no port.
    pub fn start(
        answer: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(answer);
        let ended = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut threads = Vec::new();
            for connection in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let answer = Arc::clone(&answer);
                threads.push(thread::spawn(move || {
                    // A client may go at any moment.
                    let _ = connection.and_then(|connection| serve(&connection, &*answer));
                }));
            }
            for thread in threads {
                // Its panic was printed.
                let _ = thread.join();
            }
        });
        Ok(Server {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // So that it looks.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            // Its panic was printed.
            let _ = thread.join();
        }
    }
}

fn serve(connection: &TcpStream, answer: &dyn Fn(&Request) -> Response) -> io::Result<()> {
    let mut lines = BufReader::new(connection);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, path) = (word(), word());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    let response = answer(&Request {
        method,
        path,
        headers,
    });
    let mut out = connection;
    write!(out, "HTTP/1.1 {} Status\r\n", response.status)?;
    for (name, value) in &response.headers {
        write!(out, "{name}: {value}\r\n")?;
    }
    let len = response.body.len();
    write!(out, "Content-Length: {len}\r\nConnection: close\r\n\r\n")?;
    out.write_all(&response.body[..response.cut.unwrap_or(len)])
}
