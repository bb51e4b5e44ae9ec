//! Ways in for the fuzz targets (`fuzz/`). Not for anything else.

use crate::nbd;

/// Talks with a server that says `server`, whatever it is asked, and reads and
/// writes a little if that gets so far.
pub fn nbd(server: &[u8]) {
    nbd::talk(server);
}
