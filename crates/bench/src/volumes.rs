//! Rows `volumes`: reading and writing an encrypted volume, past the kernel's page cache,
//! beside what one thread of OpenSSL encrypts. The image is in memory.

use std::ffi::CString;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use drupe::{Buffer, Disk, Kernel, nr};

use crate::copies::{is_there, scratch};
use crate::table::{Row, Table};

/// Bytes of one call.
const PIECE: usize = 1 << 20;
/// Pieces that are read and written.
const PIECES: usize = 256;
/// The best of these counts.
const ROUNDS: usize = 5;
/// Room for the header of the volume.
const HEADER: u64 = 32 << 20;
/// The block for which OpenSSL is asked: its fastest.
const BLOCK: &str = "16384";

/// Makes a volume with sectors of so many bytes.
fn format(image: &Path, key: &Path, sector: u32) -> Result<()> {
    File::create(image)?.set_len(HEADER + (PIECE * PIECES) as u64)?;
    let status = Command::new("cryptsetup")
        .args([
            "luksFormat",
            "--batch-mode",
            "--type=luks2",
            "--pbkdf=pbkdf2",
        ])
        .args(["--pbkdf-force-iterations=1000", "--key-size=512"])
        .arg(format!("--sector-size={sector}"))
        .args([image, key])
        .status()
        .context("cannot run cryptsetup")?;
    ensure!(status.success(), "cryptsetup failed");
    Ok(())
}

/// How long OpenSSL takes for all pieces, as it says itself.
fn openssl() -> Result<Duration> {
    let output = Command::new("openssl")
        .args([
            "speed",
            "-mr",
            "-seconds=1",
            "-bytes",
            BLOCK,
            "-evp",
            "aes-256-xts",
        ])
        .output()
        .context("cannot run openssl")?;
    // "+F:22:AES-256-XTS:8624620350.00"
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.starts_with("+F:"));
    let speed = line.and_then(|line| line.rsplit(':').next()?.trim().parse::<f64>().ok());
    let speed = speed.with_context(|| format!("what openssl said: {text}"))?;
    Ok(Duration::from_secs_f64((PIECE * PIECES) as f64 / speed))
}

/// The times of reading and of writing all pieces of the device `name`.
fn device(kernel: &Kernel, name: &str) -> Result<[Duration; 2]> {
    let path = CString::new(format!("/dev/{name}"))?;
    let flags = (libc::O_RDWR | libc::O_DIRECT) as usize;
    let at = libc::AT_FDCWD as isize as usize;
    let open = [at, path.as_ptr() as usize, flags, 0, 0, 0];
    // SAFETY: reads a string.
    let fd = unsafe { kernel.syscall(nr::OPENAT, open) }?;
    let mut buffer: Buffer = kernel.buffer(PIECE)?;
    buffer.fill(0x5a);
    let mut all = |number: usize| -> Result<Duration> {
        let start = Instant::now();
        for piece in 0..PIECES {
            let args = [fd, buffer.as_mut_ptr() as usize, PIECE, piece * PIECE, 0, 0];
            // SAFETY: reads or writes the buffer, which is as long.
            let done = unsafe { kernel.syscall(number, args) }?;
            ensure!(done == PIECE, "only {done} bytes");
        }
        Ok(start.elapsed())
    };
    let mut best = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (number, best) in [nr::PWRITE64, nr::PREAD64].into_iter().zip(&mut best) {
            *best = all(number)?.min(*best);
        }
    }
    // SAFETY: no pointers, and the descriptor is ours.
    unsafe { kernel.syscall(nr::CLOSE, [fd, 0, 0, 0, 0, 0]) }?;
    let [write, read] = best;
    Ok([read, write])
}

fn volume(dir: &Path, sector: u32) -> Result<[Duration; 2]> {
    let (image, key) = (dir.join("luks.img"), dir.join("key"));
    std::fs::write(&key, "key")?;
    format(&image, &key, sector)?;
    let kernel = Kernel::builder().memory(128 << 20).boot()?;
    let disk = kernel.add_disk(Disk::open(&image)?)?;
    let mut passphrase = |_: &_, _| Some(b"key".to_vec().into());
    let found = kernel.volumes(&[disk], &mut passphrase)?;
    let Some(volume) = found.get(1) else {
        bail!("nothing was unlocked");
    };
    let times = device(&kernel, volume.partition().name())?;
    drop(found);
    kernel.halt()?;
    Ok(times)
}

/// Measures.
pub(crate) fn run(table: &mut Table) -> Result<()> {
    let sectors = [4096, 512];
    let names = |sector| {
        ["read", "write"].map(|what| format!("LUKS2, {sector}-byte sectors: {what} 1 MiB"))
    };
    if !is_there("cryptsetup") || !is_there("openssl") {
        for what in sectors.into_iter().flat_map(names) {
            table.push(Row::missing(
                what,
                "there is no cryptsetup or no openssl here",
            ));
        }
        return Ok(());
    }
    let dir = scratch()?;
    for sector in sectors {
        let peer = openssl()?;
        for (what, time) in names(sector).into_iter().zip(volume(dir.path(), sector)?) {
            table.push(Row::new(what, time).peer("openssl speed aes-256-xts", peer));
        }
    }
    Ok(())
}
