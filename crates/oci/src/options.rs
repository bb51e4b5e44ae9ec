//! [`Options`]: how an image is found and read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::credentials::Credentials;
use crate::platform::Platform;

/// How an image is found and read.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// The platform; `None`: that of this program, if there is a choice.
    pub platform: Option<Platform>,
    /// The user of a registry; `None`: what `$REGISTRY_AUTH_FILE`, podman's `auth.json` or
    /// Docker's `config.json` has for it.
    pub credentials: Option<Credentials>,
    /// How a registry is talked to.
    pub transport: Transport,
    /// Waiting for the network ends soon after this is true.
    pub stop: Arc<AtomicBool>,
}

/// How a registry is talked to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// With TLS, and a certificate that the host trusts. A registry on this host may also
    /// do without TLS.
    #[default]
    Secure,
    /// With TLS and any certificate, or without TLS.
    Unverified,
    /// Without TLS.
    Plain,
}

impl Options {
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
