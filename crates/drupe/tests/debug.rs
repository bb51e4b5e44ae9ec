//! `Debug` of handles: they show which one they are, and nothing of what is in them.

use std::error::Error;

use drupe::{Disk, Kernel, MemoryDisk};

#[test]
fn handles_say_which_they_are() -> Result<(), Box<dyn Error>> {
    let builder = Kernel::builder().memory(64 << 20);
    let shown = format!("{builder:?}");
    assert!(
        shown.starts_with("Builder { config: Config { memory: 67108864, "),
        "{shown}"
    );
    let kernel = builder.boot()?;
    let other = Kernel::boot()?;
    assert_eq!(format!("{kernel:?}"), format!("{:?}", kernel.clone()));
    assert_ne!(format!("{kernel:?}"), format!("{other:?}"));
    let disk = Disk::new(MemoryDisk::new(1 << 20));
    assert_eq!(
        format!("{disk:?}"),
        "Disk { format: None, size: 1048576, .. }"
    );
    let disk = kernel.add_disk(disk)?;
    assert_eq!(
        format!("{disk:?}"),
        r#"AttachedDisk { name: "vda", format: None, .. }"#
    );
    let whole = disk.whole();
    let shown = r#"Partition { name: "vda", start: 0, size: 1048576, .. }"#;
    assert_eq!(format!("{whole:?}"), shown);
    // Handles of a kernel that has ended are shown too.
    kernel.halt()?;
    assert_eq!(format!("{whole:?}"), shown);
    Ok(())
}

#[test]
fn memory_is_not_shown() -> Result<(), Box<dyn Error>> {
    let kernel = Kernel::boot()?;
    let mut buffer = kernel.buffer(4096)?;
    buffer.fill(7);
    assert_eq!(format!("{buffer:?}"), "Buffer { len: 4096 }");
    Ok(())
}
