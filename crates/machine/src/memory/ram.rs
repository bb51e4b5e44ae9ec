//! What a kernel's RAM is made of.

/// What a kernel's RAM is made of: a choice between speed and memory.
///
/// Where a kernel maps memory a second time (`vmap()`, as XFS does for its
/// buffers), both addresses show pages of a memory file. With the first two
/// variants, pages are moved there when they are first mapped a second time, 64 KiB
/// or more at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ram {
    /// Private memory in huge pages of 2 MiB, where the host has them
    /// (`/sys/kernel/mm/transparent_hugepage/enabled` is not `never`), in pages of
    /// 4 KiB elsewhere. Far fewer page faults: for one kernel that is to be fast,
    /// or that works with much data. An idle kernel takes about 11 MiB.
    #[default]
    HugePages,
    /// Private memory in pages of 4 KiB. An idle kernel takes about 4 MiB: for
    /// hundreds of kernels.
    SmallPages,
    /// A memory file in pages of 4 KiB. As little memory as `SmallPages`, and no
    /// page is ever moved; each is a bit slower to touch for the first time. Counts
    /// as shared memory of the process, and against the limits of `/dev/shm`'s kind
    /// that a container may have.
    SharedFile,
}
