//! Entry points for the fuzz targets (`fuzz/`) only.

use crate::pcap;

/// Reads all frames of a recording.
pub fn pcap(file: &[u8]) {
    pcap::read_all(file);
}
