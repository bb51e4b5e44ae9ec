//! vmdk: images of qemu-img are read, and flat extents are written.

use std::fs;
use std::os::unix::fs::symlink;

use drupe_formats::{Format, Options, open};

use crate::lab::{Lab, Outcome, assert_same, content, read_all, scribble};

/// What is said to be a vmdk: its extents may be files beside it.
fn as_vmdk(read_only: bool) -> Options {
    Options {
        read_only,
        format: Some(Format::Vmdk),
        ..Options::default()
    }
}

fn make(lab: &Lab, subformat: &str) -> Outcome {
    lab.qemu_img(&format!(
        "convert -O vmdk -o subformat={subformat} raw disk.vmdk"
    ))?;
    Ok(())
}

#[test]
fn reads_all_subformats() -> Outcome {
    for subformat in [
        "monolithicSparse",
        "streamOptimized",
        "twoGbMaxExtentSparse",
        "monolithicFlat",
        "twoGbMaxExtentFlat",
    ] {
        let lab = Lab::new()?;
        make(&lab, subformat)?;
        let opened = open(&lab.path("disk.vmdk"), &as_vmdk(true))?;
        assert_eq!(opened.format, Format::Vmdk);
        assert_same(&read_all(&*opened.disk)?, &content());
    }
    Ok(())
}

/// As what writes a stream has it: the directory is known at the end only, and
/// the footer says where it is.
#[test]
fn reads_what_was_written_as_a_stream() -> Outcome {
    let lab = Lab::new()?;
    make(&lab, "streamOptimized")?;
    let mut bytes = fs::read(lab.path("disk.vmdk"))?;
    let footer = bytes[..512].to_vec();
    bytes[56..64].fill(0xff);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes.extend_from_slice(&[0; 512]);
    bytes.extend_from_slice(&footer);
    bytes.extend_from_slice(&[0; 512]);
    fs::write(lab.path("disk.vmdk"), &bytes)?;
    assert_same(
        &read_all(&*lab.open("disk.vmdk", &as_vmdk(true))?)?,
        &content(),
    );
    fs::write(lab.path("disk.vmdk"), &bytes[..bytes.len() / 2])?;
    let said = lab.refused("disk.vmdk", &as_vmdk(true))?;
    assert!(
        said.contains("its end, where its tables are, is missing"),
        "{said}"
    );
    Ok(())
}

/// More than one extent: the second begins at 2 GiB.
#[test]
fn reads_across_extents() -> Outcome {
    for subformat in ["twoGbMaxExtentSparse", "twoGbMaxExtentFlat"] {
        let lab = Lab::new()?;
        lab.qemu_img("create -q -f raw large 2049M")?;
        lab.qemu_img(&format!(
            "convert -O vmdk -o subformat={subformat} large disk.vmdk"
        ))?;
        lab.qemu_img("dd -f raw -O raw if=raw of=part bs=1M count=2")?;
        // Through QEMU's own writer: two mebibytes around the border.
        let command = "write -q -s part 2047M 2M";
        crate::lab::run(
            std::process::Command::new("qemu-io")
                .args(["-f", "vmdk", "-c", command, "disk.vmdk"])
                .current_dir(lab.path("")),
        )?;
        let disk = lab.open("disk.vmdk", &as_vmdk(true))?;
        assert_eq!(disk.geometry().size, 2049 << 20);
        let mut bytes = vec![0xee; 2 << 20];
        disk.read_at(&mut [std::io::IoSliceMut::new(&mut bytes)], 2047 << 20)?;
        assert_same(&bytes, &content()[..2 << 20]);
    }
    Ok(())
}

#[test]
fn only_flat_extents_are_written() -> Outcome {
    let lab = Lab::new()?;
    for subformat in [
        "monolithicSparse",
        "streamOptimized",
        "twoGbMaxExtentSparse",
    ] {
        make(&lab, subformat)?;
        let said = lab.refused("disk.vmdk", &as_vmdk(false))?;
        assert!(said.contains("read-only format"), "{said}");
    }
    let mut bytes = content();
    make(&lab, "monolithicFlat")?;
    let disk = lab.open("disk.vmdk", &as_vmdk(false))?;
    scribble(&*disk, &mut bytes, 6, 60)?;
    disk.flush()?;
    assert_same(&read_all(&*disk)?, &bytes);
    let said = lab.refused("disk-flat.vmdk", &as_vmdk(true))?;
    assert!(said.contains("in use by this process"), "{said}");
    drop(disk);
    assert_same(&lab.converted("disk.vmdk")?, &bytes);
    Ok(())
}

#[test]
fn extents_elsewhere_must_be_allowed() -> Outcome {
    let lab = Lab::new()?;
    make(&lab, "monolithicFlat")?;
    let descriptor = fs::read_to_string(lab.path("disk.vmdk"))?;
    let allowed = Options {
        backing: true,
        ..as_vmdk(true)
    };
    fs::create_dir(lab.path("other"))?;
    fs::rename(lab.path("disk-flat.vmdk"), lab.path("other/flat"))?;
    for name in ["other/flat", "../flat", "/etc/passwd"] {
        fs::write(
            lab.path("disk.vmdk"),
            descriptor.replace("disk-flat.vmdk", name),
        )?;
        let said = lab.refused("disk.vmdk", &as_vmdk(true))?;
        assert!(
            said.contains(name) && said.contains("opened only if that is allowed"),
            "{said}"
        );
    }
    fs::write(
        lab.path("disk.vmdk"),
        descriptor.replace("disk-flat.vmdk", "other/flat"),
    )?;
    assert_same(&read_all(&*lab.open("disk.vmdk", &allowed)?)?, &content());
    // A link beside the descriptor leads elsewhere.
    fs::write(lab.path("disk.vmdk"), descriptor)?;
    symlink("other/flat", lab.path("disk-flat.vmdk"))?;
    let said = lab.refused("disk.vmdk", &as_vmdk(true))?;
    assert!(said.contains("its extent \"disk-flat.vmdk\""), "{said}");
    assert_same(&read_all(&*lab.open("disk.vmdk", &allowed)?)?, &content());
    Ok(())
}

#[test]
fn what_is_missing_is_told() -> Outcome {
    let lab = Lab::new()?;
    make(&lab, "monolithicFlat")?;
    let flat = fs::File::options()
        .write(true)
        .open(lab.path("disk-flat.vmdk"))?;
    flat.set_len(4096)?;
    let said = lab.refused("disk.vmdk", &as_vmdk(true))?;
    assert!(said.contains("shorter than the descriptor says"), "{said}");
    make(&lab, "streamOptimized")?;
    let bytes = fs::read(lab.path("disk.vmdk"))?;
    fs::write(lab.path("disk.vmdk"), &bytes[..bytes.len() / 2])?;
    let disk = lab.open("disk.vmdk", &as_vmdk(true))?;
    assert!(read_all(&*disk).is_err());
    lab.qemu_img("create -q -f vmdk base.vmdk 1M")?;
    lab.qemu_img("create -q -f vmdk -b base.vmdk -F vmdk snapshot.vmdk")?;
    let said = lab.refused("snapshot.vmdk", &as_vmdk(true))?;
    assert!(said.contains("needs its parent"), "{said}");
    Ok(())
}

/// A guest can write the text of a descriptor to its raw disk.
#[test]
fn a_vmdk_that_nobody_named_opens_no_other_file() -> Outcome {
    let lab = Lab::new()?;
    make(&lab, "monolithicFlat")?;
    let detected = Options {
        read_only: true,
        ..Options::default()
    };
    let said = lab.refused("disk.vmdk", &detected)?;
    assert!(said.contains("disk-flat.vmdk"), "{said}");
    let allowed = Options {
        backing: true,
        ..detected
    };
    assert_same(&read_all(&*lab.open("disk.vmdk", &allowed)?)?, &content());
    Ok(())
}

#[test]
fn other_containers_are_named() -> Outcome {
    let lab = Lab::new()?;
    for (format, name) in [("qed", "QED"), ("parallels", "Parallels")] {
        lab.qemu_img(&format!("convert -O {format} raw other"))?;
        let said = lab.refused("other", &Options::default())?;
        assert!(said.contains(name) && said.contains("qemu-img"), "{said}");
    }
    Ok(())
}
