//! [`Registry`]: Debian's `docker-registry`, on a port of the loopback address.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use tempfile::TempDir;

/// A registry, until it is dropped.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    address: String,
    log: Option<JoinHandle<()>>,
    _dir: TempDir,
}

impl Registry {
    /// Starts one. With a user and password, it lets in no one else. With a directory, it
    /// uses TLS, with the certificate `cert.pem` that is made there.
    ///
    /// # Errors
    ///
    /// It does not start, or says nothing of its address.
    pub fn start(login: Option<(&str, &str)>, tls: Option<&Path>) -> io::Result<Registry> {
        let dir = tempfile::tempdir()?;
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nlog: {{level: info, formatter: text}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http:\n  addr: '127.0.0.1:0'\n",
            path("storage")
        );
        if let Some(tls) = tls {
            let (cert, key) = certificate(tls)?;
            config += &format!("  tls: {{certificate: {cert}, key: {key}}}\n");
        }
        if let Some((user, password)) = login {
            let made = Command::new("htpasswd")
                .args(["-Bbn", user, password])
                .output()?;
            fs::write(path("htpasswd"), made.stdout)?;
            config += &format!(
                "auth: {{htpasswd: {{realm: r, path: {}}}}}\n",
                path("htpasswd")
            );
        }
        fs::write(path("config.yml"), config)?;
        let mut process = Command::new("docker-registry")
            .args(["serve", &path("config.yml")])
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut log = BufReader::new(process.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?);
        let mut told = String::new();
        let address = loop {
            let mut line = String::new();
            if log.read_line(&mut line)? == 0 {
                // It has ended.
                let _ = process.wait();
                return Err(io::Error::other(told));
            }
            if let Some((_, rest)) = line.split_once("listening on ") {
                let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'));
                break rest[..end.unwrap_or(rest.len())].to_owned();
            }
            told += &line;
        };
        // A full pipe would stop it.
        let log = thread::spawn(move || drop(io::copy(&mut log, &mut io::sink())));
        Ok(Registry {
            process,
            address,
            log: Some(log),
            _dir: dir,
        })
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Makes a certificate for the loopback address; the files of it and its key.
fn certificate(dir: &Path) -> io::Result<(String, String)> {
    let file = |name: &str| dir.join(name).display().to_string();
    let (cert, key) = (file("cert.pem"), file("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args([
            "-nodes",
            "-subj",
            "/CN=test",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ])
        .args([
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-days",
            "2",
        ])
        .args(["-out", &cert, "-keyout", &key])
        .output()?;
    match made.status.success() {
        true => Ok((cert, key)),
        false => Err(io::Error::other(String::from_utf8_lossy(&made.stderr))),
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(log) = self.log.take() {
            let _ = log.join();
        }
    }
}
