//! [`Registry`]: Debian's `docker-registry`, on a port of the loopback address.

use std::fs;
use std::io::{self, BufRead, BufReader};
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
    /// Starts one. With a user and password, it lets in no one else.
    ///
    /// # Errors
    ///
    /// It does not start, or says nothing of its address.
    pub fn start(login: Option<(&str, &str)>) -> io::Result<Registry> {
        let dir = tempfile::tempdir()?;
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nlog: {{level: info, formatter: text}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '127.0.0.1:0'}}\n",
            path("storage")
        );
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
