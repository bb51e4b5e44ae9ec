//! [`Ram`]: the kinds of memory that a kernel's RAM can be.

/// The kind of memory that a kernel's RAM is: a choice between speed and size.
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
    /// A memory file in pages of 4 KiB: no page is ever moved, and the process, or
    /// the container that it is in, accounts it as shared memory. Touching a page
    /// for the first time takes a bit longer. An idle kernel takes about 4.5 MiB.
    SharedFile,
}
