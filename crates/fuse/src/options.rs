//! [`Options`]: the options of a mount on the host.

use drupe::AccessTimes;

/// Options of a mount on the host.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The source, as mount(8) shows it: the image.
    pub source: String,
    /// Whether it is read-only.
    pub read_only: bool,
    /// When reading updates times of access.
    pub access_times: AccessTimes,
    /// Whether other users may use it, as far as permissions allow. Always on when root
    /// mounts; other users need `user_allow_other` in `/etc/fuse.conf`.
    pub allow_other: bool,
    /// Whether the host's page cache gathers writes before they are sent. Many small
    /// writes are faster then; times of modification are the host's.
    pub writeback: bool,
    /// The number of threads for requests that take long, besides the serving thread. At
    /// least 1; they are started when needed.
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
