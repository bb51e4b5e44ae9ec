//! [`Client`]: HTTP requests whose waiting the program can end.
//!
//! A thread makes each request and reads its reply, so that a program that is told to end
//! does not wait for a server that says nothing. A thread whose reply nobody wants any more
//! ends with the next piece of it, or after the time that a server may say nothing.

use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use crate::error::{Error, Result};
use crate::options::{Options, Transport};

/// How often to look whether the program is to end.
const LOOK: Duration = Duration::from_millis(100);
/// How long a server may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(20);
/// Bytes of a piece of a reply, and how many pieces wait to be used.
const PIECE: usize = 128 << 10;
const PIECES: usize = 8;

/// Makes requests.
pub(crate) struct Client {
    pub(crate) options: Options,
    /// For addresses with `https`, and those with `http`.
    agents: [OnceLock<Agent>; 2],
}

/// A server's reply.
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: ureq::http::HeaderMap,
    pub(crate) body: Body,
}

impl Reply {
    /// A header; of several with this name, the first.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All headers with a name.
    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let all = self.headers.get_all(name).into_iter();
        all.filter_map(|value| value.to_str().ok())
    }
}

/// The contents of a reply.
pub(crate) struct Body {
    pieces: Receiver<io::Result<Vec<u8>>>,
    options: Options,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Client {
    pub(crate) fn new(options: &Options) -> Client {
        Client {
            options: options.clone(),
            agents: Default::default(),
        }
    }

    /// Whether a server may be talked to without TLS.
    pub(crate) fn is_plain(&self, server: &str) -> bool {
        self.options.transport != Transport::Secure || is_loopback(server)
    }

    /// GET, with these headers.
    pub(crate) fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Reply> {
        self.request(url, headers, None)
    }

    /// POST, of a form.
    pub(crate) fn post(&self, url: &str, form: &[(&str, &str)]) -> Result<Reply> {
        let form = form
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        self.request(url, &[], Some(form))
    }

    fn agent(&self, url: &str) -> Result<Agent> {
        let secure = url.starts_with("https:");
        let agent = &self.agents[usize::from(!secure)];
        if let Some(agent) = agent.get() {
            return Ok(agent.clone());
        }
        let made = agent_for(url, secure, &self.options)?;
        Ok(agent.get_or_init(|| made).clone())
    }

    fn request(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        form: Option<Vec<(String, String)>>,
    ) -> Result<Reply> {
        let failed = |problem: String| Error::Registry {
            name: url.to_owned(),
            problem,
            status: None,
        };
        let agent = self.agent(url)?;
        let headers: Vec<(String, String)> = headers
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let (tell, replies) = sync_channel(1);
        let (send, pieces) = sync_channel(PIECES);
        let address = url.to_owned();
        let work = move || {
            let called = match form {
                None => {
                    let mut request = agent.get(&address);
                    for (name, value) in &headers {
                        request = request.header(name, value);
                    }
                    request.call()
                }
                Some(form) => agent.post(&address).send_form(form),
            };
            let (parts, body) = match called {
                Ok(reply) => reply.into_parts(),
                Err(error) => {
                    // Nobody may wait for it any more.
                    let _ = tell.send(Err(error));
                    return;
                }
            };
            if tell.send(Ok(parts)).is_ok() {
                pass_on(body.into_reader(), &send);
            }
        };
        let thread = std::thread::Builder::new().name("drupe-oci-http".into());
        let thread = thread.spawn(work);
        thread.map_err(|error| failed(format!("no thread could be started: {error}")))?;
        let parts = match wait(&replies, &self.options) {
            Waited::Came(Ok(parts)) => parts,
            Waited::Came(Err(error)) => return Err(failed(error.to_string())),
            Waited::Stopped => return Err(Error::Interrupted),
            Waited::Gone => return Err(failed("the request ended without an answer".into())),
        };
        Ok(Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: Body {
                pieces,
                options: self.options.clone(),
                piece: Vec::new(),
                at: 0,
                ended: false,
            },
        })
    }
}

/// Sends a reply's pieces to whoever reads it, until nobody does.
fn pass_on(mut body: impl Read, send: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; PIECE];
        let read = match body.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read,
        };
        let last = !matches!(read, Ok(1..));
        let read = read.map(|count| {
            piece.truncate(count);
            piece
        });
        // An empty piece is the end: without one, the thread has died.
        if send.send(read).is_err() || last {
            return;
        }
    }
}

enum Waited<T> {
    Came(T),
    Stopped,
    Gone,
}

fn wait<T>(from: &Receiver<T>, options: &Options) -> Waited<T> {
    loop {
        if options.stopped() {
            return Waited::Stopped;
        }
        match from.recv_timeout(LOOK) {
            Ok(came) => return Waited::Came(came),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Waited::Gone,
        }
    }
}

impl Read for Body {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            if self.ended || bytes.is_empty() {
                return Ok(0);
            }
            match wait(&self.pieces, &self.options) {
                Waited::Came(Ok(piece)) => {
                    self.ended = piece.is_empty();
                    (self.piece, self.at) = (piece, 0);
                }
                Waited::Came(Err(error)) => return Err(error),
                Waited::Stopped => return Err(Error::Interrupted.into_io()),
                Waited::Gone => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        let count = bytes.len().min(self.piece.len() - self.at);
        bytes[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Waits a little, unless the program is to end.
pub(crate) fn pause(time: Duration, options: &Options) -> Result<()> {
    let mut left = time;
    while !options.stopped() {
        let step = left.min(LOOK);
        if step.is_zero() {
            return Ok(());
        }
        std::thread::sleep(step);
        left -= step;
    }
    Err(Error::Interrupted)
}

/// Whether a host, with or without a port, is this one.
pub(crate) fn is_loopback(server: &str) -> bool {
    let host = match server.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => server.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

fn agent_for(url: &str, secure: bool, options: &Options) -> Result<Agent> {
    let supported = has_instructions();
    if secure && !supported {
        let problem = "TLS needs a processor with AES, AVX2, BMI and ADX (of about 2015), or \
                       with AES and SHA-2 on arm64; fetch the image with skopeo";
        return Err(Error::unsupported(url, problem));
    }
    let server = url.split("://").nth(1).unwrap_or_default();
    let server = server.split('/').next().unwrap_or_default();
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        // What is sent to a registry is not for whoever it sends us to.
        .redirect_auth_headers(ureq::config::RedirectAuthHeaders::Never)
        .https_only(secure)
        .user_agent(concat!("drupe/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE));
    if is_loopback(server) {
        config = config.proxy(None);
    }
    if supported {
        config = config.tls_config(tls(options));
    } else {
        // There is no TLS to be sent to.
        config = config.max_redirects(0);
    }
    Ok(config.build().new_agent())
}

fn tls(options: &Options) -> TlsConfig {
    // Those that cannot be read are missed when they are needed, and named by the error.
    let roots = match options.transport {
        Transport::Secure => rustls_native_certs::load_native_certs().certs,
        Transport::Unverified | Transport::Plain => Vec::new(),
    };
    let roots = roots
        .iter()
        .map(|root| Certificate::from_der(root).to_owned());
    TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls_graviola::default_provider()))
        .root_certs(RootCerts::from(roots))
        .disable_verification(options.transport != Transport::Secure)
        .build()
}

/// Whether the processor has the instructions without which graviola panics.
fn has_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes")
        && std::arch::is_x86_feature_detected!("pclmulqdq")
        && std::arch::is_x86_feature_detected!("bmi1")
        && std::arch::is_x86_feature_detected!("adx")
        && std::arch::is_x86_feature_detected!("avx")
        && std::arch::is_x86_feature_detected!("avx2");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("neon")
        && std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("pmull")
        && std::arch::is_aarch64_feature_detected!("sha2");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_hosts_are_this_one() {
        for host in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:1",
            "[::1]:5000",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "localhost.example.com",
            "10.0.0.1",
            "[::2]:5000",
            "127.example.com",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
