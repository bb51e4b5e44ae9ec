//! [`Lab`]: the kernel, link and script of a scenario.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use drupe::{Kernel, ManualClock, Offloads};

use crate::calls;
use crate::wire::{Message, Wire, write_message};

/// Debian's own Python: another one that `PATH` may have first lacks its scapy.
const PYTHON: &str = "/usr/bin/python3";

/// What the kernel says when it has found a mistake of its own.
const ALARMS: &[&str] = &["BUG", "WARNING", "Call Trace", "Oops", "stall", "lockup"];

/// What a scenario runs in.
#[derive(Clone, Copy)]
pub(crate) struct Lab {
    offloads: Offloads,
    /// The clock goes on only when the script says so.
    still: bool,
}

/// Frames are finished, and the clock stands still.
pub(crate) const FINISHED: Lab = Lab {
    offloads: Offloads {
        checksum: false,
        tso: false,
        uso: false,
    },
    still: true,
};

/// Checksums and segmentation are left to the script.
pub(crate) const UNFINISHED: Lab = Lab {
    offloads: Offloads {
        checksum: true,
        tso: true,
        uso: true,
    },
    still: true,
};

/// The clock is the host's.
pub(crate) const RUNNING: Lab = Lab {
    still: false,
    ..FINISHED
};

fn python() -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packets/scripts");
    let mut command = Command::new(PYTHON);
    // Without compiled files in the checkout, and nothing of the user's.
    command.args(["-B", "-s"]).arg(scripts.join("run.py"));
    command
}

/// The scenarios that the scripts have, one a line, sorted.
pub(crate) fn scenarios() -> String {
    let output = python().arg("--list").output().expect("python3 runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("names")
}

impl Lab {
    /// Runs a scenario.
    ///
    /// # Panics
    ///
    /// When the script fails, with what it says; when the kernel has died, or
    /// has complained about itself.
    pub(crate) fn run(self, module: &str, name: &str) {
        let clock = ManualClock::new(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let builder = Kernel::builder().memory(64 << 20);
        let builder = if self.still {
            builder.host(clock.clone())
        } else {
            builder
        };
        let kernel = builder.boot().expect("a kernel");
        let script = self.script(module, name);
        let booted = kernel.log();
        let (said, log, halted) = self.attend(script, &kernel, &clock);
        let alarmed = ALARMS.iter().any(|alarm| log.contains(alarm));
        if said.is_some() || alarmed || halted.is_err() {
            let said = said.unwrap_or_default();
            let log = log.strip_prefix(&booted).unwrap_or(&log);
            panic!("{said}\n{halted:?}; the kernel's log:\n{log}");
        }
    }

    /// Starts a script, whose standard input is a socket for frames, and whose
    /// standard output is one for requests.
    fn script(self, module: &str, name: &str) -> Script {
        let [(frames, script_frames), (requests, script_requests)] =
            [(); 2].map(|()| UnixStream::pair().expect("two sockets"));
        let offloads = if self.offloads == Offloads::default() {
            "finished"
        } else {
            "unfinished"
        };
        let child = python()
            .args([offloads, module, name])
            .stdin(OwnedFd::from(script_frames))
            .stdout(OwnedFd::from(script_requests))
            .stderr(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        Script {
            child,
            frames,
            requests,
        }
    }

    /// Does what the script wants until it has ended, and halts the kernel.
    /// Returns what the script complained of, what the kernel has logged, and
    /// how it ended.
    fn attend(
        self,
        script: Script,
        kernel: &Kernel,
        clock: &ManualClock,
    ) -> (Option<String>, String, drupe::Result<()>) {
        let Script {
            mut child,
            frames,
            requests,
        } = script;
        let (outbox, messages) = mpsc::channel();
        let wire = Arc::new(Wire::new(self.offloads, outbox.clone()));
        kernel.add_link(Arc::clone(&wire)).expect("a link");
        let streams = [&frames, &requests].map(|stream| stream.try_clone().expect("a socket"));
        thread::scope(|scope| {
            scope.spawn(move || deliver(messages, streams));
            scope.spawn(|| wire.carry(frames).expect("frames"));
            scope.spawn(|| calls::serve(scope, requests, kernel, &wire, clock, &outbox));
            let mut said = String::new();
            let mut stderr = child.stderr.take().expect("piped");
            stderr.read_to_string(&mut said).expect("text");
            let status = child.wait().expect("a script");
            let said = (!status.success()).then(|| format!("{said}({status})"));
            let log = kernel.log();
            // Calls that are still blocked end with this.
            let halted = kernel.halt();
            let _ = outbox.send(Message::End);
            (said, log, halted)
        })
    }
}

/// A script that runs, and our ends of its sockets.
struct Script {
    child: Child,
    frames: UnixStream,
    requests: UnixStream,
}

/// Delivers messages to a script, in the order in which they were made: the
/// frames that a call has sent are there before its result is.
fn deliver(messages: Receiver<Message>, [mut frames, mut requests]: [UnixStream; 2]) {
    for message in messages {
        // A script that has ended misses nothing.
        let _ = match message {
            Message::Frame(frame) => write_message(&mut frames, &frame),
            Message::Result(result) => write_message(&mut requests, &result),
            Message::End => return,
        };
    }
}
