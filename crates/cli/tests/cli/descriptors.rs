//! Paths that name an open descriptor: `/dev/stdout` and the like.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use super::harness::{Outcome, Place, command_in_shell, noise, strings, succeeds, tool};

fn place() -> Outcome<Place> {
    let place = Place::new()?;
    place.ext4("d.img", 32 << 20, &[])?;
    place.write("f", "contents\n")?;
    fs::write(place.path("large"), noise(5 << 20))?;
    place.ok(&strings(&["cp", "f", "large", "d.img:/"]))?;
    Ok(place)
}

/// Promise 1: the file behind a descriptor is written into, where the descriptor is, and
/// not replaced.
#[test]
fn a_descriptor_is_written_into() -> Outcome {
    let place = place()?;
    for (number, target) in [
        (1, "/dev/stdout"),
        (1, "/dev/fd/1"),
        (1, "/proc/self/fd/1"),
        (2, "/dev/stderr"),
        (3, "/dev/fd/3"),
    ] {
        for command in ["cp d.img:/f", "-q tar -f", "cp d.img:/large"] {
            let what = format!("{command} {target}");
            place.write("out", "before\n")?;
            let inode = place.path("out").metadata()?.ino();
            let arguments = match command.contains("tar") {
                true => format!("{command} {target} d.img:/f"),
                false => format!("{command} {target}"),
            };
            let script = format!("{} {arguments} {number}>> out", command_in_shell()?);
            tool("sh", |sh| {
                sh.arg("-c").arg(script).current_dir(place.path("."))
            })?;
            let written = fs::read(place.path("out"))?;
            let rest = written.strip_prefix(b"before\n");
            let rest = rest.ok_or_else(|| format!("{what}: the file has lost what it had"))?;
            assert_eq!(place.path("out").metadata()?.ino(), inode, "{what}");
            match command {
                "cp d.img:/f" => assert_eq!(rest, b"contents\n", "{what}"),
                "cp d.img:/large" => assert!(rest == noise(5 << 20), "{what}"),
                _ => assert!(rest.windows(9).any(|part| part == b"contents\n"), "{what}"),
            }
        }
    }
    Ok(())
}

#[test]
fn a_descriptor_for_reading_is_an_error() -> Outcome {
    let place = place()?;
    let mut command = place.command();
    command.args(["cp", "d.img:/f", "/dev/stdin"]);
    let output = command.stdin(File::open(place.path("f"))?).output()?;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stderr)?;
    assert!(
        told.contains("/dev/stdin: ") && told.contains("EBADF"),
        "{told}"
    );
    let line = place.fails(1, &strings(&["cp", "d.img:/f", "/dev/fd/77"]))?;
    assert!(line.contains("/dev/fd/77"), "{line}");
    Ok(())
}

/// From where it is, and whatever it is.
#[test]
fn a_descriptor_is_read() -> Outcome {
    let place = place()?;
    let script = format!(
        "{{ read line; {} cp /dev/stdin d.img:/g; }} < lines",
        command_in_shell()?
    );
    place.write("lines", "first\nsecond\n")?;
    // dash reads no more than the line.
    tool("sh", |sh| {
        sh.arg("-c").arg(script).current_dir(place.path("."))
    })?;
    assert_eq!(place.ok(&strings(&["cat", "d.img:/g"]))?, "second\n");
    let script = format!(
        "{{ read line; {} script /dev/stdin; }} < lines",
        command_in_shell()?
    );
    place.write("lines", "what makes no sense\ncat d.img:/f\n")?;
    let printed = tool("sh", |sh| {
        sh.arg("-c").arg(script).current_dir(place.path("."))
    })?;
    assert_eq!(printed, "contents\n");

    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let mut command = place.command();
    command.args(["cp", "/dev/stdin", "d.img:/socket"]);
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)));
    let child = command.stdout(Stdio::piped()).spawn()?;
    drop(command);
    ours.write_all(b"through a socket")?;
    drop(ours);
    let output = child.wait_with_output()?;
    assert!(output.status.success(), "{output:?}");
    let read = place.ok(&strings(&["cat", "d.img:/socket"]))?;
    assert_eq!(read, "through a socket");

    let archive = place
        .command()
        .args(["tar", "-f", "-", "d.img:/f"])
        .output()?;
    place.ok(&strings(&["mkdir", "d.img:/out"]))?;
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let mut command = place.command();
    command.args(["untar", "-f", "/dev/stdin", "d.img:/out"]);
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)));
    let child = command.stderr(Stdio::piped()).spawn()?;
    drop(command);
    ours.write_all(&archive.stdout)?;
    drop(ours);
    let output = child.wait_with_output()?;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(place.ok(&strings(&["ls", "d.img:/out"]))?, "f\n");

    // One that is so large that it is not read as a whole.
    let large = OpenOptions::new().read(true).open(place.path("large"))?;
    let mut command = place.command();
    command.args(["cp", "/dev/stdin", "d.img:/again"]);
    succeeds(command.stdin(large))?;
    let output = place.command().args(["cat", "d.img:/again"]).output()?;
    assert!(output.stdout == noise(5 << 20));
    Ok(())
}

/// Promise 1: an image that is read is not written into, by whatever descriptor; an
/// existing FIFO is left alone like a file.
#[test]
fn the_image_itself_is_no_destination() -> Outcome {
    let place = place()?;
    let before = fs::read(place.path("d.img"))?;
    for script in [
        "cp d.img:/large /dev/stdout 1<> d.img",
        "cp d.img:/large /dev/fd/7 7<> d.img",
        "cat d.img:/large 1<> d.img",
        "tar d.img:/ 1<> d.img",
        "ls d.img:/ >> d.img",
    ] {
        let told = place.in_shell(&format!("! {} {script}", command_in_shell()?))?;
        assert!(told.contains("is the image itself"), "{script}: {told}");
        assert!(fs::read(place.path("d.img"))? == before, "{script}");
    }
    tool("mkfifo", |mkfifo| mkfifo.arg(place.path("fifo")))?;
    // It would wait for a reader.
    place.ok(&strings(&["cp", "-n", "d.img:/f", "fifo"]))?;
    Ok(())
}
