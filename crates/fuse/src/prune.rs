//! Asks the host to forget names of files that can only be known by staying open:
//! where the filesystem has no handles that last (vfat, exfat), what the host
//! remembers takes the drupe kernel's memory, and the host has more.
//!
//! The first to be named are the first to go, except for what is open: its name
//! would be shown as deleted. Directories go when there are no files left: one may
//! be some process's working directory, which nobody tells us.
//!
//! A thread of its own asks: the host takes the directory's lock for it, which
//! may be held by a request that waits for the thread that serves requests.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;

use crate::channel::Channel;
use crate::state::{Named, Shared};
use crate::table::{Table, Use};
use crate::wire::notice;

/// Files that stay open for the host's sake, before the first of them are to go:
/// with some 2 KiB each, an eighth of a kernel of 64 MiB.
const MOST: usize = 4096;

/// Takes in names until serving ends.
pub(crate) fn serve(names: &Receiver<Named>, channel: &Channel, shared: &Shared) {
    let mut known = Names::default();
    while let Ok(name) = names.recv() {
        known.add(name);
        names.try_iter().for_each(|name| known.add(name));
        let Ok(going) = shared.serve(|state| Ok(known.too_many(&state.table))) else {
            return;
        };
        for Named { parent, name, .. } in going {
            // It may have forgotten this one just now, or renamed it.
            channel.send(&notice::forget_name(parent, &name));
        }
    }
}

/// The names that the host may know.
#[derive(Default)]
struct Names {
    files: VecDeque<Named>,
    dirs: VecDeque<Named>,
}

impl Names {
    fn add(&mut self, name: Named) {
        match name.is_dir {
            true => self.dirs.push_back(name),
            false => self.files.push_back(name),
        }
    }

    /// Those that are to go now.
    fn too_many(&mut self, table: &Table) -> Vec<Named> {
        let known = table.len();
        let mut excess = known.saturating_sub(MOST);
        let mut going = Vec::new();
        for names in [&mut self.files, &mut self.dirs] {
            for _ in 0..names.len() {
                if excess == 0 {
                    break;
                }
                let Some(name) = names.pop_front() else {
                    break;
                };
                let usage = table.usage(name.number);
                if usage == Use::Known {
                    excess -= 1;
                    going.push(name.clone());
                }
                // It counts until the host says that it has forgotten it.
                if usage != Use::Forgotten {
                    names.push_back(name);
                }
            }
            // The host forgets some by itself.
            if names.len() > 2 * known + MOST {
                names.retain(|name| table.usage(name.number) != Use::Forgotten);
            }
        }
        going
    }
}
