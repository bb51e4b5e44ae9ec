//! Asks the host to forget names, on filesystems without lasting handles (vfat, exfat):
//! there each file that the host remembers stays open, and takes memory of the drupe
//! kernel.
//!
//! The oldest names are forgotten first, except those of open files, which would be shown
//! as deleted. Directories are forgotten when no files are left, since one may be the
//! working directory of a process, which FUSE does not tell.
//!
//! A separate thread asks the host: the host takes the directory's lock for it, which a
//! request may hold that waits for the serving thread.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;

use crate::channel::Channel;
use crate::state::{KnownName, Shared};
use crate::table::{Table, Usage};
use crate::wire::notice;

/// How many files may stay open before the first are forgotten. At some 2 KiB each, they
/// take an eighth of a kernel of 64 MiB.
const MOST: usize = 4096;

/// The thread's main function: receives names until serving ends.
pub(crate) fn serve(names: &Receiver<KnownName>, channel: &Channel, shared: &Shared) {
    let mut known = Names::default();
    while let Ok(name) = names.recv() {
        known.add(name);
        names.try_iter().for_each(|name| known.add(name));
        let Ok(going) = shared.serve(|state| Ok(known.too_many(&state.table))) else {
            return;
        };
        for KnownName { parent, name, .. } in going {
            // It may have forgotten this one just now, or renamed it.
            channel.send(&notice::forget_name(parent, &name));
        }
    }
}

/// The names that the host may know.
#[derive(Default)]
struct Names {
    files: VecDeque<KnownName>,
    dirs: VecDeque<KnownName>,
}

impl Names {
    fn add(&mut self, name: KnownName) {
        match name.is_dir {
            true => self.dirs.push_back(name),
            false => self.files.push_back(name),
        }
    }

    /// The names that are to be forgotten now.
    fn too_many(&mut self, table: &Table) -> Vec<KnownName> {
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
                if usage == Usage::Known {
                    excess -= 1;
                    going.push(name.clone());
                }
                // It counts until the host says that it has forgotten it.
                if usage != Usage::Forgotten {
                    names.push_back(name);
                }
            }
            // The host forgets some by itself.
            if names.len() > 2 * known + MOST {
                names.retain(|name| table.usage(name.number) != Usage::Forgotten);
            }
        }
        going
    }
}
