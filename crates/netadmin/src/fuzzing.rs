//! Entry points for the fuzz targets (`fuzz/`) only.

pub use crate::dhcp::parse_packet as dhcp;
