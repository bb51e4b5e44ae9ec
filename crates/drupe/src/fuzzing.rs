//! Ways in for the fuzz targets (`fuzz/`). Not for anything else.

use crate::net;

/// Parses a packet that may be a DHCP server's answer to a client with the
/// address `02:00:00:00:00:01` and the transaction 1.
pub fn dhcp(packet: &[u8]) {
    net::parse_dhcp(packet);
}
