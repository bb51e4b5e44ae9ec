//! Helpers of the tests: a directory for images, and comparing disks with bytes.

use std::error::Error;
use std::fs;
use std::io::{IoSlice, IoSliceMut};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;

use drupe_formats::{Options, open};
use drupe_host::disk::Disk;
use fastrand::Rng;
use tempfile::TempDir;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Bytes of the disks here.
pub(crate) const SIZE: usize = 6 << 20;

pub(crate) struct Lab {
    dir: TempDir,
}

impl Lab {
    /// An empty directory with "raw", which holds [`content`].
    pub(crate) fn new() -> Outcome<Lab> {
        let dir = tempfile::tempdir()?;
        let lab = Lab { dir };
        fs::write(lab.path("raw"), content())?;
        Ok(lab)
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs qemu-img in the directory; arguments are separated by spaces.
    pub(crate) fn qemu_img(&self, arguments: &str) -> Outcome<String> {
        let mut command = Command::new("qemu-img");
        command
            .args(arguments.split(' '))
            .current_dir(self.dir.path());
        run(&mut command)
    }

    /// Starts a server on a Unix socket in the directory.
    pub(crate) fn serve_unix(&self, command: &str) -> Outcome<Server> {
        let path = self.path("socket");
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        let uri = format!("nbd+unix:///?socket={}", path.display());
        self.serve(listener.into(), uri, command)
    }

    /// Starts a server on a TCP port of its own.
    pub(crate) fn serve_tcp(&self, command: &str) -> Outcome<Server> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let uri = format!("nbd://{}", listener.local_addr()?);
        self.serve(listener.into(), uri, command)
    }

    /// The socket is there before the server is, as systemd has it
    /// (sd_listen_fds(3)): who connects need not wait for it.
    fn serve(&self, socket: OwnedFd, uri: String, command: &str) -> Outcome<Server> {
        let script = format!("LISTEN_PID=$$ LISTEN_FDS=1 exec {command} 3<&0 </dev/null");
        let child = Command::new("sh")
            .args(["-c", &script])
            .current_dir(self.dir.path())
            .stdin(socket)
            .spawn()?;
        Ok(Server { child, uri })
    }

    /// The disk in the image `name`, as qemu-img reads it.
    pub(crate) fn converted(&self, name: &str) -> Outcome<Vec<u8>> {
        self.qemu_img(&format!("convert -O raw {name} converted"))?;
        Ok(fs::read(self.path("converted"))?)
    }

    /// Opens an image.
    pub(crate) fn open(&self, name: &str, options: &Options) -> Outcome<Arc<dyn Disk>> {
        Ok(open(&self.path(name), options)?.disk)
    }

    /// Opens an image that can't be; returns what is said about it.
    pub(crate) fn refused(&self, name: &str, options: &Options) -> Outcome<String> {
        match open(&self.path(name), options) {
            Ok(_) => Err(format!("{name} was opened").into()),
            Err(error) => {
                let text = error.to_string();
                assert!(!text.contains('\n'), "{text:?}");
                Ok(text)
            }
        }
    }
}

/// A server, which is killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Its address, with the default export.
    pub(crate) uri: String,
}

impl Server {
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn read_only() -> Options {
    Options {
        read_only: true,
        ..Options::default()
    }
}

/// Runs a tool; its output is in the error.
pub(crate) fn run(command: &mut Command) -> Outcome<String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}; is it installed?"))?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    match output.status.success() {
        true => Ok(stdout),
        false => Err(format!("{command:?}: {}\n{stdout}{stderr}", output.status).into()),
    }
}

/// What the disks hold: noise, text that compresses, and holes, by turns.
pub(crate) fn content() -> Vec<u8> {
    let mut rng = Rng::with_seed(1);
    let mut bytes = vec![0; SIZE];
    for (n, part) in bytes.chunks_mut(50_000).enumerate() {
        match n % 3 {
            0 => rng.fill(part),
            1 => part
                .iter_mut()
                .enumerate()
                .for_each(|(at, byte)| *byte = b"a line of text, "[at % 16] + (n % 7) as u8),
            _ => {}
        }
    }
    bytes
}

/// All of a disk, read in pieces that begin and end anywhere.
pub(crate) fn read_all(disk: &dyn Disk) -> Outcome<Vec<u8>> {
    let mut rng = Rng::with_seed(2);
    let mut bytes = vec![0xee; disk.geometry().size as usize];
    let mut at = 0;
    while at < bytes.len() {
        let len = (512 * rng.usize(1..800)).min(bytes.len() - at);
        let (one, two) = bytes[at..at + len].split_at_mut(len / 3);
        disk.read_at(&mut [IoSliceMut::new(one), IoSliceMut::new(two)], at as u64)?;
        at += len;
    }
    Ok(bytes)
}

/// Compares without printing megabytes.
pub(crate) fn assert_same(found: &[u8], expected: &[u8]) {
    assert_eq!(found.len(), expected.len());
    let differs = found.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!(differs, None, "the first byte that differs");
}

/// Writes, discards and zeroes at random, on the disk and in `bytes` alike;
/// what is discarded is written again.
pub(crate) fn scribble(disk: &dyn Disk, bytes: &mut [u8], seed: u64, times: usize) -> Outcome {
    let mut rng = Rng::with_seed(seed);
    for _ in 0..times {
        let len = 512 * rng.usize(1..300);
        let at = 512 * rng.usize(0..(bytes.len() - len) / 512);
        let part = &mut bytes[at..at + len];
        match rng.u8(0..6) {
            0 if disk.geometry().discard => {
                part.fill(0);
                disk.write_zeroes(at as u64, len as u64)?;
            }
            1 => {
                if disk.geometry().discard {
                    disk.discard(at as u64, len as u64)?;
                }
                part.fill(rng.u8(..));
                disk.write_at(&[IoSlice::new(part)], at as u64, false)?;
            }
            kind => {
                rng.fill(part);
                let (one, two) = part.split_at(len / 2);
                let slices = [IoSlice::new(one), IoSlice::new(two)];
                disk.write_at(&slices, at as u64, kind == 2)?;
            }
        }
    }
    Ok(())
}
