//! [`find`]: programs of the host that commands start.

use std::env;
use std::path::PathBuf;

/// Where a program is: on the `PATH`, or where Debian has those of the administrator.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .chain(more)
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
}
