//! The capabilities that a confined process keeps (capabilities(7)).

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
        Profile::WriteHost { archive } => {
            // The names of others' files in a directory like /tmp, and the room that a
            // filesystem reserves for root.
            kept |= CapabilitySet::FOWNER | CapabilitySet::SYS_RESOURCE;
            if uses.output.is_none() {
                // A file has the owners and permissions of the one that it replaces.
                kept |= CapabilitySet::CHOWN | CapabilitySet::FSETID;
            }
            if archive {
                kept |= CapabilitySet::SETFCAP;
            }
            if uses.devices {
                kept |= CapabilitySet::MKNOD;
            }
        }
    }
    let kept = CapabilitySets {
        effective: has.effective & kept,
        permitted: has.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, kept).context("capabilities")
}
