//! `--sandbox`: which commands are confined, and that confined commands work.

use std::io::Write;
use std::process::{Command, Stdio};

use super::harness::{Outcome, Place, check_ext4, strings, succeeds};

/// What seccomp is doing to a process that waits for its standard input.
fn seccomp(mut command: Command) -> Outcome<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // It has read this, so it is past all preparations.
    let mut input = child.stdin.take().ok_or("no input")?;
    let block = vec![b'x'; 1 << 20];
    for _ in 0..4 {
        input.write_all(&block)?;
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    drop(input);
    assert!(child.wait()?.success());
    let line = status.lines().find(|line| line.starts_with("Seccomp:"));
    Ok(line
        .ok_or("no line")?
        .replace("Seccomp:", "")
        .trim()
        .to_owned())
}

#[test]
fn when_it_is_to_be() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("disk.img", 32 << 20, &[])?;
    let write = |sandbox: &[&str]| {
        let mut command = place.command();
        command.args(sandbox).args(["write", "disk.img:/file"]);
        command
    };
    assert_eq!(seccomp(write(&[]))?, "2");
    assert_eq!(seccomp(write(&["--sandbox=always"]))?, "2");
    assert_eq!(seccomp(write(&["--sandbox=never"]))?, "0");
    check_ext4(&image)
}

#[test]
fn what_is_confined_works() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("disk.img", 64 << 20, &[])?;
    for n in 0..50 {
        place.write(&format!("tree/directory-{}/{n}", n % 5), vec![n; 5000])?;
    }
    place.write("tree/large", vec![7; 3 << 20])?;
    let run = |words: &[&str]| {
        let mut all = strings(&["--sandbox", "always"]);
        all.extend(strings(words));
        place.ok(&all)
    };
    run(&["cp", "-a", "tree", "disk.img:/"])?;
    run(&["cp", "-a", "disk.img:/tree", "out"])?;
    run(&["tar", "-f", "new.tar.gz", "disk.img:/tree"])?;
    run(&["rm", "-r", "disk.img:/tree/directory-0"])?;
    let listed = run(&["ls", "-l", "disk.img:/tree"])?;
    assert!(
        !listed.contains("directory-0") && listed.contains("large"),
        "{listed}"
    );
    assert!(run(&["info", "disk.img"])?.contains("ext4"));
    // However an image is spelled.
    for command in ["ls", "tree", "du", "find", "df", "check-log", "fstrim"] {
        for image in [
            "disk.img",
            "disk.img:/",
            "disk.img@0",
            "disk.img@0:/",
            "./disk.img:",
        ] {
            run(&[command, image])?;
        }
    }
    run(&["find", "disk.img", "-newer", "disk.img"])?;
    run(&["find", "disk.img", "-newer", "disk.img:/tree"])?;
    // What has no name of its own.
    let script = "\"$DRUPE\" --sandbox=always tar -f /dev/stdout disk.img:/tree | cat > x.tar; \
                  cat x.tar | \"$DRUPE\" --sandbox=always untar -f /dev/stdin disk.img:/lost+found";
    let mut shell = Command::new("sh");
    shell
        .args(["-ec", script])
        .env("DRUPE", env!("CARGO_BIN_EXE_drupe"))
        .current_dir(place.path("."));
    succeeds(&mut shell)?;
    run(&["cat", "disk.img:/lost+found/large"])?;
    assert_eq!(std::fs::read(place.path("out/large"))?, vec![7; 3 << 20]);
    check_ext4(&image)
}

#[test]
fn a_shell_cannot_be() -> Outcome {
    let place = Place::new()?;
    let run = place.drupe(&strings(&["--sandbox=always", "shell", "disk.img"]))?;
    assert_eq!(run.code, Some(2));
    assert_eq!(
        run.stderr,
        "drupe: this command can't be confined: it may name any file, or start programs\n"
    );
    Ok(())
}
