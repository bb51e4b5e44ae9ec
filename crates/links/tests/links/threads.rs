//! The threads of links: found by their names, and ended with their link.

use std::time::{Duration, Instant};

/// How many threads of links this process has. Tests run beside each other, so
/// only [`all_end`] tells something.
fn count() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs");
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.ok()?.path().join("comm")).ok()
    };
    tasks
        .filter_map(name)
        .filter(|name| name == "drupe-link\n")
        .count()
}

/// Waits until no link of any test has a thread.
pub(crate) fn all_end() {
    let deadline = Instant::now() + Duration::from_secs(60);
    while count() > 0 {
        assert!(Instant::now() < deadline, "{} threads are left", count());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The thread of this one ends; the others' do when their tests do.
#[test]
fn they_end() {
    use crate::frames::{frame, mac, next};
    use drupe_links::{PortOptions, Station, Switch};

    let switch = Switch::new();
    let options = PortOptions {
        delay: Duration::from_millis(1),
        ..PortOptions::default()
    };
    let [a, b] = [1, 2].map(|_| Station::new(switch.port(options.clone())));
    assert!(a.send(&frame(mac(2), mac(1), b"late")));
    next(&b);
    assert!(count() > 0);
    drop((a, b, switch));
    all_end();
}
