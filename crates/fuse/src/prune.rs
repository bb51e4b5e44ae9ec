//! Asks the host to forget names of files that can only be known by staying open:
//! where the filesystem has no handles that last (vfat, exfat), what the host
//! remembers takes the drupe kernel's memory, and the host has more.
//!
//! A thread of its own asks: the host takes the directory's lock for it, which
//! may be held by a request that waits for the thread that serves requests.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::sync::mpsc::Receiver;

use fuser::{INodeNo, Notifier};

use crate::state::Shared;

/// Files that stay open for the host's sake, before the first of them are to go:
/// with some 2 KiB each, an eighth of a kernel of 64 MiB.
const MOST: usize = 4096;

/// The name under which a file was made known: a directory's number, an entry.
pub(crate) type Name = (u64, OsString);

/// Takes in names, the oldest first to go, until serving ends.
pub(crate) fn serve(names: &Receiver<Name>, notifier: &Notifier, shared: &Shared) {
    let mut known = VecDeque::new();
    while let Ok(name) = names.recv() {
        known.push_back(name);
        known.extend(names.try_iter());
        while known.len() > MOST {
            let Ok(count) = shared.serve(|state| Ok(state.table.len())) else {
                return;
            };
            if count <= MOST {
                // The host has forgotten some by itself: whichever they were.
                known.drain(..known.len() - MOST);
                break;
            }
            let Some((parent, name)) = known.pop_front() else {
                break;
            };
            // It may have forgotten this one, or renamed it; one that is in use
            // stays.
            let _ = notifier.inval_entry(INodeNo(parent), &name);
        }
    }
}
