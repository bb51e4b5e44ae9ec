//! [`Namespace`]: a network namespace of a kernel (network_namespaces(7)).

use std::fmt;
use std::sync::Arc;

use drupe_machine::without_deadline;

use super::named;
use crate::Kernel;
use crate::error::Result;
use crate::kernel::{KernelInner, Pseudo};
use crate::sys::{self, OwnedFd};

/// A network namespace of a kernel, with its own interfaces, addresses, routes, rules,
/// sysctls of `net` and abstract Unix names. A socket belongs to the namespace in which
/// it was made.
///
/// Clones are handles to the same namespace. It ends when no handle, socket or thread is
/// left in it. Then virtual interfaces are removed, and others move to the first
/// namespace.
#[derive(Clone)]
pub struct Namespace {
    fd: Arc<OwnedFd>,
    kernel: Arc<KernelInner>,
}

impl Namespace {
    /// Makes a namespace, with the interface `lo`, which is down. The calling thread does
    /// not move there.
    pub fn new(kernel: &Kernel) -> Result<Namespace> {
        let here = Namespace::here(&kernel.inner);
        let make = |here: &Namespace| {
            kernel.inner.sys.unshare_network()?;
            let _back = ReturnGuard(here);
            Namespace::here(&kernel.inner)
        };
        named("new namespace", here.and_then(|here| make(&here)))
    }

    /// The calling thread's namespace: the kernel's first one, outside of
    /// [`Namespace::run`].
    pub fn current(kernel: &Kernel) -> Result<Namespace> {
        named("namespace", Namespace::here(&kernel.inner))
    }

    fn here(kernel: &Arc<KernelInner>) -> sys::Result<Namespace> {
        kernel.need(Pseudo::Proc)?;
        Ok(Namespace {
            fd: Arc::new(kernel.sys.network_namespace()?),
            kernel: Arc::clone(kernel),
        })
    }

    /// Runs `f`; this thread's calls into the kernel are made in this namespace
    /// meanwhile. Sockets that `f` makes stay in the namespace.
    ///
    /// Calls can be nested. Fails if the namespace cannot be entered.
    pub fn run<T>(&self, f: impl FnOnce() -> T) -> Result<T> {
        named("enter namespace", self.enter(f))
    }

    fn enter<T>(&self, f: impl FnOnce() -> T) -> sys::Result<T> {
        let before = Namespace::here(&self.kernel)?;
        self.kernel.sys.enter_network(self.fd.raw())?;
        let _back = ReturnGuard(&before);
        Ok(f())
    }

    /// Its descriptor in the kernel, for [`Kernel::syscall`] and netlink.
    pub fn raw_fd(&self) -> i32 {
        self.fd.raw()
    }

    /// The kernel that has the namespace.
    pub fn kernel(&self) -> Kernel {
        Kernel {
            inner: Arc::clone(&self.kernel),
        }
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespace({:?})", self.fd)
    }
}

/// Returns the calling thread to its namespace when dropped.
struct ReturnGuard<'a>(&'a Namespace);

impl Drop for ReturnGuard<'_> {
    fn drop(&mut self) {
        let Namespace { fd, kernel } = self.0;
        // It cannot fail for a descriptor of a namespace, but in a kernel that
        // has ended.
        let _ = without_deadline(|| kernel.sys.enter_network(fd.raw()));
    }
}
