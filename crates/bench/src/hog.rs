//! Rows `hog`: null calls of one thread while long calls of another keep the kernel busy.

use crate::copies::{MEMORY, scratch, time};
use crate::measure::{clock, null_calls, sure};
use crate::system::{Host, System};
use crate::table::{Row, Spread, Table};
use anyhow::{Result, ensure};
use drupe_host::disk::FileDisk;
use drupe_machine::{Config, Machine};
use std::ffi::{CStr, CString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// How long the long calls run at least, alone and with the null calls.
const TIME: Duration = Duration::from_secs(1);

/// Sizes of the jobs, in bytes.
const RANDOM: usize = 64 << 20;
const FILE: usize = 16 << 20;

pub(crate) fn run(table: &mut Table) -> Result<()> {
    let note = format!(
        "null calls beside a thread that reads 64 MiB, or writes 16 MiB, in one call, over and \
         over; times include reading the clock ({:.0} ns); hog_slowdown: time of a hog's pass to \
         that without null calls; the host has {} CPUs for the two threads, a kernel here has one",
        clock(),
        thread::available_parallelism()?
    );
    let machine = Machine::boot(Config {
        memory: 128 << 20,
        ..crate::config()
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
    let dir = scratch()?;
    let file = c_path(&dir.path().join("file"))?;
    table.push(match dir.path().starts_with(MEMORY) {
        true => row.host(writes(&Host, &file, false)?).note(note.clone()),
        false => row.note(note.clone()),
    });

    let what = "beside ext4 writes and fsync";
    let image = dir.path().join("image");
    table.push(match ext4(&machine, &image) {
        Ok(spread) => {
            let row = Row::new(what, spread);
            match host_ext4(&image, &dir.path().join("mnt")) {
                Ok(theirs) => row.host(theirs).note(note),
                Err(error) => row.note(format!("no loop mount here: {error:#}; {note}")),
            }
        }
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

fn c_path(path: &Path) -> Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// On a filesystem in a new image of 256 MiB.
fn ext4(machine: &Machine, image: &Path) -> Result<Spread> {
    let mut mkfs = Command::new("mkfs.ext4");
    time(mkfs.args(["-q", "-F"]).arg(image).arg("256M"))?;
    let disk = machine.add_disk(Arc::new(FileDisk::open(image, false)?))?;
    machine.mount(c"devtmpfs", c"/devices", c"devtmpfs")?;
    let device = CString::new(format!("/devices/{}", disk.name()))?;
    machine.mount(&device, c"/mnt", c"ext4")?;
    let spread = writes(machine, c"/mnt/file", true)?;
    machine.umount(c"/mnt")?;
    machine.remove_disk(disk)?;
    Ok(spread)
}

/// The same filesystem, mounted by the host.
fn host_ext4(image: &Path, at: &Path) -> Result<Spread> {
    fs::create_dir(at)?;
    time(Command::new("mount").args(["-o", "loop"]).args([image, at]))?;
    let spread = writes(&Host, &c_path(&at.join("file"))?, true);
    time(Command::new("umount").arg(at))?;
    spread
}

/// Measures null calls while another thread runs `pass` repeatedly.
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
