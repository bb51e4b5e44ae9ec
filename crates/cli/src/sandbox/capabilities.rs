//! The rights of root that stay, of capabilities(7).

use anyhow::{Context, Result};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use super::uses::{Profile, Uses};

/// Gives up all capabilities but those that the command needs. Whoever has none loses
/// none.
pub(super) fn confine(uses: &Uses) -> Result<()> {
    let has = capabilities(None).context("capabilities")?;
    let mut kept = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    if uses.trusted {
        kept |= CapabilitySet::SYS_ADMIN;
    }
    match uses.profile {
        Profile::Read | Profile::WriteImage | Profile::Serve => {}
        // Owners, permissions, devices, capabilities of files, and the room that a
        // filesystem reserves for root.
        Profile::WriteHost { .. } => {
            kept |= CapabilitySet::CHOWN
                | CapabilitySet::FOWNER
                | CapabilitySet::FSETID
                | CapabilitySet::MKNOD
                | CapabilitySet::SETFCAP
                | CapabilitySet::SYS_RESOURCE;
        }
    }
    let kept = CapabilitySets {
        effective: has.effective & kept,
        permitted: has.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, kept).context("capabilities")
}
