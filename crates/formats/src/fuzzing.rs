//! Entry points for the fuzz targets (`fuzz/`) only.

use crate::nbd;

/// Connects to a server that sends the bytes `server` regardless of requests, and if the
/// handshake succeeds, reads and writes a little.
pub fn nbd(server: &[u8]) {
    nbd::talk(server);
}
