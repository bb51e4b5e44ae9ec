//! Ways in for the fuzz targets (`fuzz/`). Not for anything else.

use crate::pcap;

/// Reads all frames of a recording.
pub fn pcap(file: &[u8]) {
    pcap::read_all(file);
}
