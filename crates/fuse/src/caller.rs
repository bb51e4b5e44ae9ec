//! The [`Credentials`] with which a request is served.

use drupe::{Credentials, capability};

use crate::wire::Request;

/// Capabilities that an ordinary user's request lacks: using space that is reserved for
/// root, and `trusted.*` attributes.
const ORDINARY: u64 = capability::SYS_RESOURCE | capability::SYS_ADMIN;

/// The credentials of a request, without a umask. FUSE sends user and group; root is
/// taken to have all capabilities, other users none.
pub(crate) fn caller(request: &Request) -> Credentials {
    Credentials {
        uid: request.uid,
        gid: request.gid,
        umask: 0,
        without: match request.uid {
            0 => 0,
            _ => ORDINARY,
        },
    }
}

/// The credentials of a request that clears set-user-ID and set-group-ID bits unless root
/// makes it: writing and truncating.
pub(crate) fn killing(request: &Request) -> Credentials {
    match request.uid {
        0 => caller(request),
        _ => without_fsetid(caller(request)),
    }
}

/// The credentials without the capability to keep set-user-ID and set-group-ID bits.
pub(crate) fn without_fsetid(mut credentials: Credentials) -> Credentials {
    credentials.without |= capability::FSETID;
    credentials
}

/// Whether the thread that makes a request is in a group, read from the host's `/proc`,
/// since FUSE does not send it. `false` if it cannot be read.
pub(crate) fn is_in_group(request: &Request, gid: u32) -> bool {
    request.gid == gid
        || std::fs::read_to_string(format!("/proc/{}/status", request.pid))
            .is_ok_and(|status| groups(&status).any(|group| group == gid))
}

/// The supplementary groups of a `/proc/PID/status`.
fn groups(status: &str) -> impl Iterator<Item = u32> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Groups:"))
        .unwrap_or_default();
    line.split_whitespace()
        .filter_map(|group| group.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_groups() {
        let status = "Name:\tGroups:\nGid:\t1\t1\t1\t1\nGroups:\t4 24 1000 \nNStgid:\t7\n";
        assert_eq!(groups(status).collect::<Vec<_>>(), [4, 24, 1000]);
        assert_eq!(groups("Groups:\t\n").count(), 0);
        assert_eq!(groups("").count(), 0);
    }
}
