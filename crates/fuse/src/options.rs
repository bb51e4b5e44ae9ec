//! [`Options`]: how to mount on the host.

use drupe::AccessTimes;

/// How to mount on the host.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// What mount(8) shows as the source: the image.
    pub source: String,
    /// Nothing can be changed.
    pub read_only: bool,
    /// When the mount renews times of access.
    pub access_times: AccessTimes,
    /// Other users may use it too, as far as its permissions let them. Always so
    /// when root mounts; else `/etc/fuse.conf` has to allow it.
    pub allow_other: bool,
    /// The host gathers what is written in its page cache before it sends it.
    /// Many small writes are faster then; times of modification are the host's.
    pub writeback: bool,
    /// Threads for requests that take long, beside the one that reads requests;
    /// at least 1, and started when needed.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            source: "drupe".into(),
            read_only: false,
            access_times: AccessTimes::default(),
            allow_other: false,
            writeback: false,
            threads: 16,
        }
    }
}
