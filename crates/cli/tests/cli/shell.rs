//! `shell` and `script`: many commands, one kernel.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use super::harness::{Outcome, Place, Run, check_ext4, command_in_shell, strings, tool};

fn place() -> Outcome<Place> {
    let place = Place::new()?;
    place.ext4("d.img", 16 << 20, &[])?;
    place.write("local/file", "contents")?;
    Ok(place)
}

fn with_input(place: &Place, args: &[&str], input: &str) -> Outcome<Run> {
    let mut child = place
        .command()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .ok_or("no input")?
        .write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    Ok(Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[test]
fn a_script_without_an_image() -> Outcome {
    let place = place()?;
    place.write(
        "script",
        "# a comment, and an empty line\n\n\
         mkdir -p d.img:/etc/'two words'\n\
         cp -r local d.img:/etc\n\
         cat d.img:/etc/local/file   # reads what was written\n\
         cp d.img:/etc/local/file out\n\
         cd d.img:/etc\n\
         mv local/file 'two words'\n\
         pwd\n\
         ls -R",
    )?;
    let text = place.ok(&strings(&["script", "script"]))?;
    assert_eq!(
        text,
        "contents/etc\n/etc:\nlocal\ntwo words\n\n/etc/local:\n\n/etc/two words:\nfile\n"
    );
    assert_eq!(place.read("out")?, "contents");
    check_ext4(&place.path("d.img"))
}

#[test]
fn the_first_error_stops() -> Outcome {
    let place = place()?;
    place.write(
        "script",
        "mkdir a\nrm none\nmkdir b\nfrob\ncat \"x\nls -c\n",
    )?;
    let line = place.fails(1, &strings(&["script", "-i", "d.img", "script"]))?;
    assert_eq!(
        line,
        "drupe: script:2: remove d.img:/none: No such file or directory (ENOENT)\n"
    );
    assert_eq!(place.ok(&strings(&["ls", "d.img"]))?, "a\nlost+found\n");
    let run = place.drupe(&strings(&["script", "-k", "-i", "d.img", "script"]))?;
    assert_eq!(run.code, Some(1), "{run:?}");
    let lines: Vec<&str> = run.stderr.lines().collect();
    let expected = [
        "drupe: script:1: create directory d.img:/a: File exists",
        "drupe: script:2: remove d.img:/none: No such file",
        "drupe: script:4: unrecognized subcommand 'frob'",
        "drupe: script:5: a quote or a backslash has no end",
        "drupe: script:6: unexpected argument '-c' found",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
    assert_eq!(place.ok(&strings(&["ls", "d.img"]))?, "a\nb\nlost+found\n");
    let line = place.fails(1, &strings(&["script", "none"]))?;
    assert!(line.contains("cannot open none"), "{line}");
    // What was done before the error is in a clean image.
    check_ext4(&place.path("d.img"))
}

#[test]
fn a_shell_that_is_no_terminal() -> Outcome {
    let place = place()?;
    fs::create_dir(place.path("elsewhere"))?;
    let run = with_input(
        &place,
        &["shell", "d.img"],
        "put -r local /srv\nput local/file\ncd /srv\nls\nget file got\nmkdir .. -p\n\
         lcd elsewhere\nput ../local/file here\nlpwd\ncd ..\npwd\n\
         cp -a srv host:copy\nmv file srv/moved\nchmod 600 srv/moved\nstat -c %a srv/moved\n\
         !echo from the host\ntar -f a.tgz srv\nrm -rf srv\nmkdir new\nuntar -f a.tgz new\nfind new -type f\n\
         exit\nfrobnicate\n",
    )?;
    let stderr = &run.stderr;
    assert_eq!((run.code, &stderr[..]), (Some(0), ""), "{run:?}");
    let elsewhere = fs::canonicalize(place.path("elsewhere"))?;
    assert_eq!(
        run.stdout,
        format!(
            "file\n{}\n/\n600\nfrom the host\n/new/file\n/new/here\n/new/moved\n",
            elsewhere.display()
        )
    );
    assert_eq!(place.read("got")?, "contents");
    assert_eq!(place.read("elsewhere/copy/here")?, "contents");
    check_ext4(&place.path("d.img"))
}

#[test]
fn what_a_shell_refuses() -> Outcome {
    let place = place()?;
    for (input, code, what) in [
        (
            "write x\n",
            2,
            "standard input is what the commands come from",
        ),
        (
            "untar /\n",
            2,
            "standard input is what the commands come from",
        ),
        ("cd none\n", 1, "canonicalize /none: No such file"),
        ("rm host:local\n", 2, "local is a path of the host\nhint: "),
        ("shell d.img\n", 2, "is a shell already"),
        ("!exit 3\n", 1, "command of the host failed: exit status: 3"),
        ("cat /lost+found/x\n", 1, "No such file"),
    ] {
        let run = with_input(&place, &["shell", "d.img"], input)?;
        assert_eq!(run.code, Some(code), "{input}: {run:?}");
        let expected = "drupe: standard input:1: ";
        assert!(
            run.stderr.starts_with(expected) && run.stderr.contains(what),
            "{input}: {run:?}"
        );
        let lines = what.lines().count();
        assert_eq!(run.stderr.lines().count(), lines, "{run:?}");
    }
    let run = with_input(&place, &["shell", "--read-only", "d.img"], "ls\nmkdir x\n")?;
    assert!(
        run.stderr.contains("--read-only") && run.stdout == "lost+found\n",
        "{run:?}"
    );
    let line = place.fails(3, &strings(&["shell", "none.img"]))?;
    assert!(line.contains("none.img: No such file"), "{line}");
    Ok(())
}

/// Reading alone does not write to an image, nor keep others from reading it.
#[test]
fn a_shell_that_only_reads() -> Outcome {
    let place = place()?;
    let before = fs::read(place.path("d.img"))?;
    let drupe = command_in_shell()?;
    let run = with_input(
        &place,
        &["shell", "d.img"],
        &format!("ls\n!{drupe} ls d.img\ndf\n"),
    )?;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(fs::read(place.path("d.img"))? == before);
    Ok(())
}

/// Reads until a text has come.
fn until(output: &mut impl Read, text: &str) -> Outcome<String> {
    let mut all = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&all).contains(text) {
        match output.read(&mut byte)? {
            0 => return Err(format!("{text:?} did not come: {all:?}").into()),
            _ => all.push(byte[0]),
        }
    }
    Ok(String::from_utf8_lossy(&all).into_owned())
}

/// On a terminal, with completion and a history.
#[test]
fn on_a_terminal() -> Outcome {
    let place = place()?;
    place.ok(&strings(&["mkdir", "d.img:/some where"]))?;
    place.ok(&strings(&["cp", "local/file", "d.img:/some where"]))?;
    let drupe = command_in_shell()?;
    let mut child = std::process::Command::new("timeout")
        .args([
            "20",
            "script",
            "-qec",
            &format!("{drupe} shell d.img"),
            "/dev/null",
        ])
        .current_dir(place.path(""))
        .env("XDG_STATE_HOME", place.path("state"))
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().ok_or("no input")?;
    let mut output = child.stdout.take().ok_or("no output")?;
    // What is typed before a prompt would be dropped.
    for (line, answer) in [
        (&b"ca\tso\tf\t\r"[..], "contents"),
        (b"rm none\r", "drupe: remove d.img:/none: No such file"),
        (b"pwd\r", "\n/\r\n"),
        (b"exit\r", ""),
    ] {
        let prompt = until(&mut output, "d.img:/> ")?;
        input.write_all(line)?;
        let text = until(&mut output, answer)?;
        assert!(text.contains(answer), "{prompt} {text}");
    }
    drop(input);
    assert!(child.wait()?.success());
    let history = place.read("state/drupe/history")?;
    assert!(history.contains("cat some"), "{history}");
    check_ext4(&place.path("d.img"))
}

#[test]
fn completions_and_pages() -> Outcome {
    let place = Place::new()?;
    for shell in ["bash", "zsh", "fish"] {
        let text = place.ok(&strings(&["completions", shell]))?;
        assert!(text.contains("untar"), "{shell}");
        place.write(shell, text)?;
    }
    tool("bash", |bash| bash.arg("-n").arg(place.path("bash")))?;
    place.ok(&strings(&["man", "--out", "man"]))?;
    assert!(place.ok(&strings(&["man"]))?.contains(".TH drupe 1"));
    assert!(
        place
            .ok(&strings(&["man", "cp"]))?
            .contains(".TH drupe-cp 1")
    );
    for page in [&["man"][..], &["man", "mount"]] {
        let text = place.ok(&strings(page))?;
        assert!(text.contains("\n.SH NOTES\n"), "{text}");
        assert!(!text.contains("EXTRA"), "{text}");
    }
    let line = place.fails(2, &strings(&["man", "pc"]))?;
    assert!(line.contains("there is no command \"pc\""), "{line}");
    let mut pages = 0;
    for page in fs::read_dir(place.path("man"))? {
        let page = page?.path();
        check_page(&page)?;
        pages += 1;
    }
    assert!(pages > 25, "{pages}");
    let text = tool("mandoc", |mandoc| {
        mandoc
            .args(["-T", "utf8"])
            .arg(place.path("man/drupe-cp.1"))
    })?;
    assert!(text.contains("Owners that an ordinary user"), "{text}");
    Ok(())
}

/// No warnings: a page that is one to mandoc is one to groff.
fn check_page(page: &Path) -> Outcome {
    let lint = tool("mandoc", |mandoc| {
        mandoc.args(["-T", "lint", "-W", "warning"]).arg(page)
    });
    lint.map(drop)
}

#[test]
fn names_are_those_that_were_given() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 16 << 20, &[])?;
    place.ok(&["mkdir", "-p", "d.img:/a/b/c"])?;
    let found = place.ok(&["find", "d.img:/a/."])?;
    assert_eq!(found, "/a/.\n/a/./b\n/a/./b/c\n");
    place.write("commands", "cd a\nfind\nls --json\n")?;
    let said = place.ok(&["script", "-i", "d.img", "commands"])?;
    assert!(said.starts_with("/a\n/a/b\n/a/b/c\n"), "{said}");
    assert!(said.contains(r#""path":"/a/b""#), "{said}");
    Ok(())
}
