//! SQLite against power cuts: a program as it is, on a disk in memory that remembers all
//! that is done to it. Needs `/dev/fuse`, and Python for its SQLite.
//!
//! ```text
//! cargo run --package drupe-fuse --example sqlite
//! ```

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;

use drupe::{Disk, Kernel, Loss, MemoryDisk, MountOptions, RecordingDisk};
use drupe_fuse::{Event, Options, Server};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

// ANCHOR: programs
/// Writes rows, each in a transaction of its own, and says so after each.
const WRITER: &str = r#"
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA synchronous = " + sys.argv[2])
database.execute("CREATE TABLE numbers (number)")
for number in range(1, 6):
    database.execute("INSERT INTO numbers VALUES (?)", (number,))
    print(number, flush=True)
    input()
"#;

/// Opens a database, which makes SQLite recover it, and says how many rows are in it.
const READER: &str = r#"
import sqlite3
while True:
    try:
        database = sqlite3.connect(input())
        [[state]] = database.execute("PRAGMA integrity_check")
        [[rows]] = database.execute("SELECT count(*) FROM numbers")
        print(rows if state == "ok" else "damaged", flush=True)
    except sqlite3.Error as error:
        print(error, flush=True)
    except EOFError:
        break
"#;
// ANCHOR_END: programs

// ANCHOR: record
/// Runs the writer on a mounted ext4. How many writes and flushes the disk had seen when
/// it said that a row was there: in the order of the rows.
fn record(kernel: &Kernel, synchronous: &str) -> Result<(Arc<RecordingDisk>, Vec<usize>)> {
    let disk = Arc::new(RecordingDisk::from_image(&empty_ext4()?));
    let attached = kernel.add_disk(Disk::new(Arc::clone(&disk)))?;
    let root = attached.whole().mount(MountOptions::new())?;
    let dir = tempfile::tempdir()?;
    let server = Server::new(root, dir.path(), &Options::default())?;
    let stop = server.sender();
    let serving = thread::spawn(move || server.run(|_| ()));
    let moments = write(&disk, &dir.path().join("database"), synchronous);
    // It is unmounted, whatever happened.
    let _ = stop.send(Event::Stop);
    serving.join().expect("it does not panic")?;
    Ok((disk, moments?))
}

fn write(disk: &RecordingDisk, database: &Path, synchronous: &str) -> Result<Vec<usize>> {
    let mut python = python(WRITER);
    let mut writer = Talk::to(python.arg(database).arg(synchronous))?;
    let mut moments = Vec::new();
    while let Some(_row) = writer.hear()? {
        moments.push(disk.moment());
        writer.say("")?;
    }
    Ok(moments)
}
// ANCHOR_END: record

// ANCHOR: cut
/// Cuts the power at each moment; what is lost first.
fn first_loss(synchronous: &str) -> Result<Option<String>> {
    let kernel = Kernel::boot()?;
    let (disk, moments) = record(&kernel, synchronous)?;
    let mut reader = Talk::to(&mut python(READER))?;
    for cut in 0..=disk.moment() {
        for loss in [Loss::Everything, Loss::Some(1)] {
            let dir = tempfile::tempdir()?;
            copy_out(&kernel, disk.after_power_cut(cut, loss), dir.path())?;
            reader.say(
                dir.path()
                    .join("database")
                    .to_str()
                    .ok_or("a strange name")?,
            )?;
            let found = reader.hear()?.ok_or("the reader has ended")?;
            let rows = match found.as_str() {
                "no such table: numbers" => Some(0),
                found => found.parse().ok(),
            };
            let promised = moments.iter().filter(|moment| **moment <= cut).count();
            if rows.is_none_or(|rows| rows < promised) {
                return Ok(Some(format!("{promised} rows promised, found: {found}")));
            }
        }
    }
    Ok(None)
}

/// What is on a disk after a power cut.
fn copy_out(kernel: &Kernel, disk: MemoryDisk, to: &Path) -> Result<()> {
    let attached = kernel.add_disk(Disk::new(disk))?;
    let root = attached.whole().mount(MountOptions::new())?;
    for entry in root.read_dir("/")? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::write(to.join(entry.file_name()), root.read(entry.path())?)?;
        }
    }
    Ok(root.umount()?)
}

fn main() -> Result<()> {
    for synchronous in ["OFF", "NORMAL", "FULL", "EXTRA"] {
        match first_loss(synchronous)? {
            Some(loss) => println!("synchronous = {synchronous}: {loss}"),
            None => println!("synchronous = {synchronous}: nothing is ever lost"),
        }
    }
    Ok(())
}
// ANCHOR_END: cut

#[test]
fn what_sqlite_promises_is_so() -> Result<()> {
    if std::env::var_os("DRUPE_TEST_NO_FUSE").is_some() {
        drupe_testing::skipped("DRUPE_TEST_NO_FUSE is set");
        return Ok(());
    }
    // The last commit: the journal's removal may be lost, and then SQLite rolls it back.
    let loss = first_loss("FULL")?;
    assert_eq!(loss.as_deref(), Some("1 rows promised, found: 0"));
    assert_eq!(first_loss("EXTRA")?, None);
    Ok(())
}

fn empty_ext4() -> Result<Vec<u8>> {
    let image = tempfile::NamedTempFile::new()?;
    image.as_file().set_len(16 << 20)?;
    let mut mke2fs = Command::new("/sbin/mke2fs");
    // Its owner is who runs this.
    mke2fs.args(["-q", "-t", "ext4", "-E", "root_owner"]);
    match mke2fs.arg(image.path()).status()?.success() {
        true => Ok(fs::read(image.path())?),
        false => Err("mke2fs failed".into()),
    }
}

fn python(program: &str) -> Command {
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", program]);
    python
}

/// A program that is talked to in lines; killed with the last of its handles.
struct Talk {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Talk {
    fn to(command: &mut Command) -> Result<Talk> {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn()?;
        let input = child.stdin.take().ok_or("no standard input")?;
        let output = child.stdout.take().ok_or("no standard output")?;
        Ok(Talk {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    fn say(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.input, "{line}")?)
    }

    fn hear(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Ok(None),
            _ => Ok(Some(line.trim_end().to_owned())),
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
