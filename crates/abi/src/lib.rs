//! The boundary between the kernel image and its host.
pub use errno::Errno;
mod errno { 
/// An errno value as the kernel returns it (positive).
pub use rustix::io::Errno; }
