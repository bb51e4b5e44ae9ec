//! Null calls of one thread while another one's long calls keep the kernel
//! busy.

use crate::copies;
use crate::measure::{clock, null_calls, sure};
use crate::system::{Host, System};
use crate::table::{Row, Spread, Table};
use anyhow::{Context, Result, ensure};
use drupe_host::disk::FileDisk;
use drupe_machine::{Config, Machine};
use std::ffi::{CStr, CString};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// A hog runs at least this long, alone and beside the null calls.
const TIME: Duration = Duration::from_secs(1);

/// Sizes of the jobs, in bytes.
const RANDOM: usize = 64 << 20;
const FILE: usize = 16 << 20;

pub(crate) fn run(table: &mut Table) -> Result<()> {
    let note = format!(
        "null calls beside a thread that reads 64 MiB, or writes 16 MiB, in one call, over and \
         over; times include reading the clock ({:.0} ns); hog_slowdown: time of a hog's pass to \
         that without null calls; the host has {} CPUs for the two threads, a kernel here has one; \
         a host's ext4 would need root for a loop mount",
        clock(),
        thread::available_parallelism()?
    );
    let machine = Machine::boot(Config {
        memory: 128 << 20,
        ..Config::default()
    })?;
    machine.mknod(c"/urandom", 1, 9)?;
    table.push(
        Row::new("beside reads of urandom", random(&*machine, c"/urandom")?)
            .host(random(&Host, c"/dev/urandom")?)
            .note(note.clone()),
    );

    let row = Row::new(
        "beside writes to tmpfs",
        writes(&*machine, c"/file", false)?,
    );
    let dir = copies::scratch()?;
    let file = CString::new(
        dir.path()
            .join("file")
            .into_os_string()
            .into_encoded_bytes(),
    )?;
    table.push(match dir.path().starts_with(copies::MEMORY) {
        true => row.host(writes(&Host, &file, false)?).note(note.clone()),
        false => row.note(note.clone()),
    });

    let what = "beside ext4 writes and fsync";
    table.push(match ext4(&machine, &dir.path().join("image")) {
        Ok(spread) => Row::new(what, spread).note(note),
        Err(error) => Row::missing(what, format!("{error:#}")),
    });
    machine.halt()?;
    Ok(())
}

fn random<S: System>(system: &S, path: &CStr) -> Result<Spread> {
    let fd = system.open(path, libc::O_RDONLY)?;
    let mut data = vec![1; RANDOM];
    let spread = beside(system, || {
        let mut len = 0;
        while len < data.len() {
            len += sure(system.read(fd, &mut data[len..]));
        }
    });
    system.close(fd)?;
    Ok(spread)
}

fn writes<S: System>(system: &S, path: &CStr, sync: bool) -> Result<Spread> {
    let fd = system.open(path, libc::O_CREAT | libc::O_WRONLY)?;
    let data = vec![7; FILE];
    ensure!(system.write_first(fd, &data)? == FILE, "no room for a file");
    let spread = beside(system, || {
        sure(system.write_first(fd, &data));
        if sync {
            sure(system.fsync(fd));
        }
    });
    system.close(fd)?;
    Ok(spread)
}

/// On a filesystem in a new image, the fourth of a GiB.
fn ext4(machine: &Machine, image: &Path) -> Result<Spread> {
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-F"])
        .arg(image)
        .arg("256M")
        .output()
        .context("cannot run mkfs.ext4")?;
    ensure!(
        made.status.success(),
        "mkfs.ext4: {}",
        String::from_utf8_lossy(&made.stderr).trim()
    );
    let disk = machine.add_disk(Arc::new(FileDisk::open(image, false)?))?;
    machine.mount(c"devtmpfs", c"/dev2", c"devtmpfs")?;
    let device = CString::new(format!("/dev2/{}", disk.name()))?;
    machine.mount(&device, c"/mnt", c"ext4")?;
    let spread = writes(machine, c"/mnt/file", true)?;
    machine.umount(c"/mnt")?;
    machine.remove_disk(disk)?;
    Ok(spread)
}

/// Null calls beside `pass`, which is run over and over.
fn beside<S: System>(system: &S, mut pass: impl FnMut() + Send) -> Spread {
    let alone = passes(&mut pass);
    let (ready, stop) = (Barrier::new(2), AtomicBool::new(false));
    let (times, took, together) = thread::scope(|scope| {
        let hog = scope.spawn(|| {
            // A thread's first call makes its task.
            sure(system.getppid());
            ready.wait();
            let time = passes(&mut pass);
            stop.store(true, Relaxed);
            time
        });
        ready.wait();
        let start = Instant::now();
        let times = null_calls(system, &stop);
        let took = start.elapsed();
        (times, took, hog.join().expect("no panic"))
    });
    let rate = times.samples() as f64 / took.as_secs_f64();
    Spread::new(times)
        .with("calls_per_s", rate)
        .with("hog_slowdown", together / alone)
}

/// Runs a job for [`TIME`] or a little longer; the seconds that it takes, on
/// average.
fn passes(pass: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut count = 0;
    loop {
        pass();
        count += 1;
        let time = start.elapsed();
        if time >= TIME {
            return time.as_secs_f64() / f64::from(count);
        }
    }
}
