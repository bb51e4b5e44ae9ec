//! Which public types are `Send`, `Sync` and `Unpin`: all of them, a line each. A
//! type that ceases to be is a change that breaks programs.

use drupe_testing::assert_auto_traits;

assert_auto_traits! {
    drupe::AttachedDisk: Send, Sync, Unpin;
    drupe::AttachedLink: Send, Sync, Unpin;
    drupe::Buffer: Send, Sync, Unpin;
    drupe::Builder: Send, Sync, Unpin;
    drupe::Cause: Send, Sync, Unpin;
    drupe::Credentials: Send, Sync, Unpin;
    drupe::CutShort: Send, Sync, Unpin;
    drupe::DeathReport: Send, Sync, Unpin;
    drupe::Dir: Send, Sync, Unpin;
    drupe::DirEntry: Send, Sync, Unpin;
    drupe::DirStream: Send, Sync, Unpin;
    drupe::Disk: Send, Sync, Unpin;
    drupe::DiskOp: Send, Sync, Unpin;
    drupe::DiskOptions: Send, Sync, Unpin;
    drupe::Errno: Send, Sync, Unpin;
    drupe::Error: Send, Sync, Unpin;
    drupe::Fault: Send, Sync, Unpin;
    drupe::Faults: Send, Sync, Unpin;
    drupe::File: Send, Sync, Unpin;
    drupe::FileTimes: Send, Sync, Unpin;
    drupe::FileType: Send, Sync, Unpin;
    drupe::Format: Send, Sync, Unpin;
    drupe::Frame<'static>: Send, Sync, Unpin;
    drupe::FrameHeader: Send, Sync, Unpin;
    drupe::Geometry: Send, Sync, Unpin;
    drupe::Handle: Send, Sync, Unpin;
    drupe::ImageError: Send, Sync, Unpin;
    drupe::Interrupter: Send, Sync, Unpin;
    drupe::Kernel: Send, Sync, Unpin;
    drupe::KernelFile: Send, Sync, Unpin;
    drupe::LinkInfo: Send, Sync, Unpin;
    drupe::LinkWaker: Send, Sync, Unpin;
    drupe::Loss: Send, Sync, Unpin;
    drupe::Harm: Send, Sync, Unpin;
    drupe::ManualClock: Send, Sync, Unpin;
    drupe::MemoryDisk: Send, Sync, Unpin;
    drupe::Metadata: Send, Sync, Unpin;
    drupe::Mount: Send, Sync, Unpin;
    drupe::MountOptions: Send, Sync, Unpin;
    drupe::Node: Send, Sync, Unpin;
    drupe::Offloads: Send, Sync, Unpin;
    drupe::OpenOptions: Send, Sync, Unpin;
    drupe::Partition: Send, Sync, Unpin;
    drupe::PartitionInfo: Send, Sync, Unpin;
    drupe::Ram: Send, Sync, Unpin;
    drupe::ReadDir: Send, Sync, Unpin;
    drupe::Record: Send, Sync, Unpin;
    drupe::RecordingDisk: Send, Sync, Unpin;
    drupe::Scrub: Send, Sync, Unpin;
    drupe::StatFs: Send, Sync, Unpin;
    drupe::Subvolume: Send, Sync, Unpin;
    drupe::StreamEntry<'static>: Send, Sync, Unpin;
    drupe::SystemHost: Send, Sync, Unpin;
    drupe::TableDamage: Send, Sync, Unpin;
    drupe::TableFlaw: Send, Sync, Unpin;
    drupe::TimerWaker: Send, Sync, Unpin;
    drupe::Volume: Send, Sync, Unpin;
    drupe::VolumeError: Send, Sync, Unpin;
    drupe::VolumeKind: Send, Sync, Unpin;
    drupe::Volumes: Send, Sync, Unpin;
    drupe::FaultyDisk<drupe::MemoryDisk>: Send, Sync, Unpin;
    drupe::probe::NoDriver: Send, Sync, Unpin;
    drupe::probe::Probe: Send, Sync, Unpin;
}

#[cfg(feature = "net")]
assert_auto_traits! {
    drupe::net::Control: Send, Sync, Unpin;
    drupe::net::Descriptor<'static>: Send, Sync, Unpin;
    drupe::net::Domain: Send, Sync, Unpin;
    drupe::net::Event: Send, Sync, Unpin;
    drupe::net::Events: Send, Sync, Unpin;
    drupe::net::Incoming<'static>: Send, Sync, Unpin;
    drupe::net::Interest: Send, Sync, Unpin;
    drupe::net::Namespace: Send, Sync, Unpin;
    drupe::net::PacketAddress: Send, Sync, Unpin;
    drupe::net::Poll: Send, Sync, Unpin;
    drupe::net::Protocol: Send, Sync, Unpin;
    drupe::net::Received: Send, Sync, Unpin;
    drupe::net::Socket: Send, Sync, Unpin;
    drupe::net::SocketAddress: Send, Sync, Unpin;
    drupe::net::TcpInfo: Send, Sync, Unpin;
    drupe::net::TcpListener: Send, Sync, Unpin;
    drupe::net::TcpState: Send, Sync, Unpin;
    drupe::net::TcpStream: Send, Sync, Unpin;
    drupe::net::Token: Send, Sync, Unpin;
    drupe::net::Type: Send, Sync, Unpin;
    drupe::net::UdpSocket: Send, Sync, Unpin;
    drupe::net::UnixAddress: Send, Sync, Unpin;
}

#[cfg(feature = "tokio")]
assert_auto_traits! {
    drupe::net::tokio::OwnedReadHalf: Send, Sync, Unpin;
    drupe::net::tokio::OwnedWriteHalf: Send, Sync, Unpin;
    drupe::net::tokio::ReuniteError: Send, Sync, Unpin;
    drupe::net::tokio::TcpListener: Send, Sync, Unpin;
    drupe::net::tokio::TcpStream: Send, Sync, Unpin;
    drupe::net::tokio::UdpSocket: Send, Sync, Unpin;
}
