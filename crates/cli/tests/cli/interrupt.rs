//! SIGINT in the middle of a copy.
//!
//! The copy reads a pipe that the test fills: once more has gone in than a pipe
//! holds, the copy is known to be under way.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Stdio};

use super::harness::{Outcome, Place, check_ext4, strings, tool};

/// More than the largest pipe (1 MiB) holds.
const UNDER_WAY: usize = 2 << 20;

/// A copy of a file and then of the pipe, which is under way.
fn start(place: &Place) -> Outcome<(Child, File)> {
    place.ext4("d.img", 64 << 20, &[])?;
    place.write("first", "complete")?;
    tool("mkfifo", |mkfifo| mkfifo.arg(place.path("pipe")))?;
    let child = place
        .command()
        .args(["cp", "first", "pipe", "d.img:/"])
        .stderr(Stdio::piped())
        .spawn()?;
    // Waits for the other side to open it.
    let mut pipe = File::options().write(true).open(place.path("pipe"))?;
    pipe.write_all(&vec![1; UNDER_WAY])?;
    Ok((child, pipe))
}

fn interrupt(child: &Child) -> Outcome {
    Ok(kill_process(Pid::from_child(child), Signal::INT)?)
}

fn preen(image: &Path) -> Outcome {
    tool("e2fsck", |fsck| fsck.arg("-p").arg(image)).map(drop)
}

#[test]
fn once_stops_cleanly() -> Outcome {
    let place = Place::new()?;
    let (child, mut pipe) = start(&place)?;
    interrupt(&child)?;
    // It goes on reading until it sees the signal, then nobody reads.
    while pipe.write_all(&[2; 65536]).is_ok() {}
    let output = child.wait_with_output()?;
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "drupe: interrupted\n"
    );
    check_ext4(&place.path("d.img"))?;
    assert_eq!(
        place.ok(&strings(&["ls", "d.img:/"]))?,
        "first\nlost+found\n"
    );
    assert_eq!(place.ok(&strings(&["cat", "d.img:/first"]))?, "complete");
    Ok(())
}

#[test]
fn twice_stops_at_once() -> Outcome {
    let place = Place::new()?;
    let (mut child, pipe) = start(&place)?;
    // The second one may arrive before the first was handled; a third will not.
    while child.try_wait()?.is_none() {
        // It may be gone just now.
        let _ = interrupt(&child);
    }
    drop(pipe);
    assert_eq!(child.wait()?.code(), Some(130));
    preen(&place.path("d.img"))
}

/// Promise 4: a signal ends what waits for others, at once.
#[test]
fn what_waits_is_ended() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 64 << 20, &[])?;
    for name in ["pipe", "other"] {
        tool("mkfifo", |mkfifo| mkfifo.arg(place.path(name)))?;
    }
    place.write("f", vec![1; UNDER_WAY])?;
    place.ok(&strings(&["cp", "f", "d.img:/f"]))?;
    for command in [
        // Nobody ever writes to the one, or reads from the other.
        &["cp", "pipe", "d.img:/x"][..],
        &["cp", "d.img:/f", "other"],
        &["write", "d.img:/x"],
        &["untar", "d.img:/"],
        &["script", "-i", "d.img"],
    ] {
        let mut child = place
            .command()
            .args(command)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        wait_for_handler(&child)?;
        // A terminal that is closed.
        let signal = match command[0] {
            "write" => Signal::HUP,
            _ => Signal::INT,
        };
        kill_process(Pid::from_child(&child), signal)?;
        let output = child.wait_with_output()?;
        drop(stdin);
        assert_eq!(output.status.code(), Some(130), "{command:?}: {output:?}");
        assert_eq!(place.ok(&strings(&["ls", "d.img:/"]))?, "f\nlost+found\n");
    }
    check_ext4(&place.path("d.img"))
}

/// Promise 4: a pipe that somebody has open and never reads.
#[test]
fn a_full_pipe_is_not_waited_for() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 64 << 20, &[])?;
    place.write("f", vec![1; UNDER_WAY])?;
    place.ok(&strings(&["cp", "f", "d.img:/f"]))?;
    for command in [
        &["cp", "d.img:/f", "pipe"][..],
        &["tar", "-f", "pipe", "d.img:/"],
    ] {
        tool("mkfifo", |mkfifo| mkfifo.arg(place.path("pipe")))?;
        let child = place
            .command()
            .args(command)
            .stderr(Stdio::piped())
            .spawn()?;
        // Opens when the command has it open too, and is then full soon.
        let pipe = File::open(place.path("pipe"))?;
        let mut waiting = vec![PollFd::new(&pipe, PollFlags::IN)];
        poll(&mut waiting, None)?;
        interrupt(&child)?;
        let output = child.wait_with_output()?;
        assert_eq!(output.status.code(), Some(130), "{command:?}: {output:?}");
        std::fs::remove_file(place.path("pipe"))?;
    }
    check_ext4(&place.path("d.img"))
}

/// Promise 4: a header that asks for as many rounds as are allowed, about a minute.
#[test]
fn the_derivation_of_a_key_is_not_waited_for() -> Outcome {
    let place = Place::new()?;
    let image = place.path("luks.img");
    File::create(&image)?.set_len(16 << 20)?;
    place.write("key", "secret")?;
    tool("cryptsetup", |cryptsetup| {
        let options = ["--type=luks1", "--pbkdf-force-iterations=1000"];
        cryptsetup
            .args(["luksFormat", "--batch-mode"])
            .args(options)
            .arg(&image)
            .arg(place.path("key"))
    })?;
    // The rounds of the first key slot; a header of LUKS1 has no checksum.
    let file = File::options().write(true).open(&image)?;
    file.write_all_at(&90_000_000_u32.to_be_bytes(), 208 + 4)?;
    place.ext4("d.img", 16 << 20, &[])?;
    let child = place
        .command()
        .args(["cp", "--key-file", "key", "luks.img:/f", "d.img:/f"])
        .stderr(Stdio::piped())
        .spawn()?;
    wait_for_thread(&child, "drupe-key")?;
    interrupt(&child)?;
    let output = child.wait_with_output()?;
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "drupe: interrupted\n"
    );
    check_ext4(&place.path("d.img"))
}

/// What a command shows at a terminal, where `keys` are typed once it has shown `when`.
fn at_a_terminal(place: &Place, when: &str, keys: &str, words: &[&str]) -> Outcome<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/prompt.py");
    tool("python3", |python| {
        python
            .args([script, when, keys, env!("CARGO_BIN_EXE_drupe")])
            .args(words)
            .env_remove("DRUPE_PASSPHRASE")
            .current_dir(place.path("."))
    })
}

/// Promise 4: also at the question for a passphrase; and the terminal is as before.
#[test]
fn a_question_at_the_terminal_is_ended() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 16 << 20, &[])?;
    place.write("f", "text")?;
    place.ok(&strings(&["cp", "f", "d.img:/f"]))?;
    let image = place.path("luks.img");
    File::create(&image)?.set_len(32 << 20)?;
    place.write("key", "secret")?;
    tool("cryptsetup", |cryptsetup| {
        let options = [
            "--type=luks2",
            "--pbkdf=pbkdf2",
            "--pbkdf-force-iterations=1000",
        ];
        cryptsetup
            .args(["luksFormat", "--batch-mode"])
            .args(options)
            .args([&image, &place.path("key")])
    })?;
    for words in [
        &["ls", "luks.img:/"][..],
        &["cp", "f", "luks.img:/"],
        &["cp", "luks.img:/f", "g"],
    ] {
        let shown = at_a_terminal(&place, "Passphrase", "\\x03", words)?;
        assert!(
            shown.ends_with("drupe: interrupted\necho on\n130\n"),
            "{words:?}: {shown}"
        );
        assert!(!place.path("g").exists());
    }
    let shown = at_a_terminal(&place, "Passphrase", "secret\\n", &["ls", "luks.img:/"])?;
    assert!(!shown.contains("secret"), "{shown}");
    // It is unlocked, and there is nothing in it.
    assert!(
        shown.contains("holds a filesystem") && shown.ends_with("echo on\n3\n"),
        "{shown}"
    );

    place.write("other", "other")?;
    let words = ["cp", "-i", "other", "d.img:/f"];
    let shown = at_a_terminal(&place, "overwrite", "\\x03", &words)?;
    assert!(
        shown.ends_with("drupe: interrupted\necho on\n130\n"),
        "{shown}"
    );
    assert_eq!(place.ok(&strings(&["cat", "d.img:/f"]))?, "text");
    let shown = at_a_terminal(&place, "overwrite", "y\\n", &words)?;
    assert!(
        shown.ends_with("echo on\n0\n") && !shown.contains(" B of "),
        "{shown}"
    );
    assert_eq!(place.ok(&strings(&["cat", "d.img:/f"]))?, "other");
    Ok(())
}

/// Waits until the process has a thread of this name.
fn wait_for_thread(child: &Child, name: &str) -> Outcome {
    let tasks = format!("/proc/{}/task", child.id());
    loop {
        let mut tasks = std::fs::read_dir(&tasks)?.peekable();
        if tasks.peek().is_none() {
            return Err("it has ended".into());
        }
        for task in tasks {
            // It may be gone just now.
            let found = std::fs::read_to_string(task?.path().join("comm"));
            match found {
                Ok(found) if found.trim_end() == name => return Ok(()),
                _ => std::thread::yield_now(),
            }
        }
    }
}

/// Waits until SIGINT has a handler: before, it ends the process.
fn wait_for_handler(child: &Child) -> Outcome {
    let path = format!("/proc/{}/status", child.id());
    loop {
        let status = std::fs::read_to_string(&path)?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.ok_or("no signals")?.trim(), 16)?;
        if caught & 1 << (Signal::INT.as_raw() - 1) != 0 {
            return Ok(());
        }
        std::thread::yield_now();
    }
}
