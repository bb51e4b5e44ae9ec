//! Ways in for the fuzz targets (`fuzz/`). Not for anything else.

pub use crate::dhcp::parse_packet as dhcp;
