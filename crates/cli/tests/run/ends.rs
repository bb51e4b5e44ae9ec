//! Ends of a program: exit codes, and that all its processes are killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Outcome, as_nobody, command_for_anyone};
use crate::ran::{output, prints, python};

#[test]
fn the_exit_code_is_the_programs() -> Outcome {
    for (script, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("kill -9 $$", 137),
        ("kill -15 $$", 143),
    ] {
        let output = output(&["sh", "-c", script])?;
        assert_eq!(output.status.code(), Some(code), "{script}");
        assert!(output.stderr.is_empty(), "{script}: {output:?}");
    }
    Ok(())
}

#[test]
fn what_was_written_is_delivered() -> Outcome {
    // The reader is a process that does not end with the program.
    python(
        "
listener = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
reader, writer = os.pipe()
if os.fork() == 0:
    client.close()
    got = 0
    while data := server.recv(65536):
        got += len(data)
    os.write(writer, b'%d' % got)
    os._exit(0)
server.close()
client.sendall(bytes(5000000))
client.close()
assert os.read(reader, 100) == b'5000000'
",
    )
    .map(drop)
}

#[test]
fn the_hosts_loopback_is_another() -> Outcome {
    let host = TcpListener::bind("127.0.0.1:0")?;
    let port = host.local_addr()?.port();
    python(&format!(
        "
try:
    socket.create_connection(('127.0.0.1', {port}))
    assert False
except ConnectionRefusedError:
    pass
socket.create_server(('127.0.0.1', {port}))
"
    ))?;
    host.set_nonblocking(true)?;
    assert!(host.accept().is_err(), "somebody came to the host");
    Ok(())
}

/// A program with others in the background, one of them in a session of its own;
/// each holds a name of ours that can be looked for. Killed when dropped.
struct Running {
    child: Child,
    mark: String,
}

impl Running {
    fn new() -> Outcome<Running> {
        let mark = format!("drupe-run-test-{}-{:?}", std::process::id(), Instant::now());
        let mark: String = mark.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
        // One write each, whatever PYTHONUNBUFFERED says: three of them do it at once.
        let wait = "import os, socket; l = socket.create_server((\"127.0.0.1\", 0)); \
                    os.write(1, b\"ready\\n\"); l.accept()";
        let one = format!("/usr/bin/python3 -c '{wait}' {mark}");
        let script = format!("{one} & setsid {one} & {one} & wait");
        let child = Command::new(env!("CARGO_BIN_EXE_drupe"))
            .args(["run", "--", "sh", "-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Those that are killed late complain.
            .stderr(Stdio::null())
            .spawn()?;
        let mut running = Running { child, mark };
        let mut lines = BufReader::new(running.child.stdout.take().ok_or("no output")?).lines();
        for _ in 0..3 {
            assert_eq!(lines.next().ok_or("too few are ready")??, "ready");
        }
        Ok(running)
    }

    fn pid(&self) -> Outcome<Pid> {
        Ok(Pid::from_raw(self.child.id().try_into()?).ok_or("no pid")?)
    }

    /// Processes with the mark among their arguments.
    fn left(&self) -> Outcome<Vec<i32>> {
        let mut left = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains(&self.mark) && pid != self.child.id() as i32
            {
                left.push(pid);
            }
        }
        Ok(left)
    }

    /// All of them end soon.
    fn nothing_is_left(&self) -> Outcome {
        let since = Instant::now();
        loop {
            let left = self.left()?;
            if left.is_empty() {
                return Ok(());
            }
            if since.elapsed() > Duration::from_secs(20) {
                return Err(format!("left: {left:?}").into());
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Running {
    /// Ends what a test that fails has left.
    fn drop(&mut self) {
        // First the supervisor, so that it starts nothing more; it may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in self.left().unwrap_or_default() {
            if let Some(pid) = Pid::from_raw(pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

#[test]
fn killed_with_all_that_comes_of_it() -> Outcome {
    // The supervisor.
    let mut running = Running::new()?;
    assert!(running.left()?.len() >= 4, "the test finds none");
    kill_process(running.pid()?, Signal::KILL)?;
    assert_eq!(running.child.wait()?.signal(), Some(9));
    running.nothing_is_left()?;

    // The process that keeps the program.
    let mut running = Running::new()?;
    let pid = running.child.id();
    let keeper = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let keeper = Pid::from_raw(keeper.trim().parse()?).ok_or("no keeper")?;
    kill_process(keeper, Signal::KILL)?;
    assert_eq!(running.child.wait()?.code(), Some(125));
    running.nothing_is_left()?;

    // The program, by way of the supervisor.
    let mut running = Running::new()?;
    kill_process(running.pid()?, Signal::TERM)?;
    assert_eq!(running.child.wait()?.code(), Some(143));
    running.nothing_is_left()
}

#[test]
fn the_keyboards_signals_are_the_programs() -> Outcome {
    // Its handler decides; the supervisor stays until it has ended.
    let script = "trap 'echo caught; exit 5' INT; kill -INT $(ps -o ppid= -p $PPID) $PPID; \
                  kill -INT $$; exit 6";
    let output = output(&["sh", "-c", script])?;
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "caught\n");
    Ok(())
}

#[test]
fn as_an_ordinary_user() -> Outcome {
    let drupe = command_for_anyone()?;
    let script = "import os, socket; assert os.getuid() == 65534
l = socket.create_server(('127.0.0.1', 80)); c = socket.create_connection(l.getsockname())
s, _ = l.accept(); c.sendall(b'hi'); assert s.recv(9) == b'hi'";
    let output = as_nobody()
        .arg(drupe.path())
        .args(["run", "/usr/bin/python3", "-c", script])
        .current_dir("/")
        .stdin(Stdio::null())
        .output()?;
    assert!(output.status.success(), "{output:?}");
    Ok(())
}

#[test]
fn its_standard_streams_are_ours() -> Outcome {
    let said = prints(&["sh", "-c", "echo out; echo err >&2"])?;
    assert_eq!(said, "out\n");
    Ok(())
}
