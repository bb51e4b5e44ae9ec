//! The text that describes an LVM2 group, and the tables of its volumes.
#![no_main]

use drupe_ondisk::lvm::Group;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(group) = Group::parse(text) else {
        return;
    };
    let _ = group.physical_volumes().count();
    for volume in group.logical_volumes().unwrap_or_default() {
        for writable in [false, true] {
            let _ = group.table(&volume.name, writable, |_| Ok("8:1".into()));
        }
        let _ = group.store_table(&volume.name, |_| Ok("8:1".into()));
    }
});
