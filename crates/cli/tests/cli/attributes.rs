//! Extended attributes, ACLs, flags and capabilities, beside the host's own tools.

use std::path::Path;

use super::harness::{Outcome, Place, check_ext4, succeeds, tool};

/// What a tool prints of a file of the host, as root of the tree that the image has.
fn host(place: &Place, words: &[&str]) -> Outcome<String> {
    succeeds(place.command_of(words[0]).args(&words[1..]))
}

/// A tree on the host that has all kinds, and the same in an image.
fn both(place: &Place) -> Outcome {
    place.write("tree/f", "x")?;
    place.write("tree/dir/g", "y")?;
    place.ext4("d.img", 32 << 20, &["-O", "project,quota"])?;
    place.ok(&["cp", "-a", "tree", "d.img:/"])?;
    place.ok(&["mkdir", "d.img:/etc"])?;
    place.write("passwd", "root:x:0:0::/:\nann:x:1000:100::/:\n")?;
    place.write("group", "root:x:0:\nstaff:x:50:\n")?;
    place.ok(&["cp", "passwd", "group", "d.img:/etc/"])?;
    Ok(())
}

#[test]
fn extended_attributes() -> Outcome {
    let place = Place::new()?;
    both(&place)?;
    let values = [
        ("user.text", "some text"),
        ("user.odd", "\"a\\012\\\"\\\\b\""),
        ("user.bytes", "0x00ff0102030405"),
        ("user.base", "0sAAEC/w=="),
        ("user.empty", ""),
    ];
    for (name, value) in values {
        host(&place, &["setfattr", "-n", name, "-v", value, "tree/f"])?;
        place.ok(&["setfattr", "-n", name, "-v", value, "d.img:/tree/f"])?;
    }
    let options: [&[&str]; 9] = [
        &[],
        &["-d"],
        &["-d", "-e", "hex"],
        &["-d", "-e", "base64"],
        &["-d", "-e", "text"],
        &["-n", "user.odd"],
        &["-d", "-m", "^user\\.(t|b)"],
        &["-n", "user.bytes", "--only-values"],
        &["-R", "-d"],
    ];
    for options in options {
        let there = host(&place, &[&["getfattr"], options, &["tree/f"]].concat())?;
        let here = place.ok(&[&["getfattr"], options, &["d.img:/tree/f"]].concat())?;
        assert_eq!(here, there, "{options:?}");
    }
    place.ok(&["setfattr", "-x", "user.odd", "d.img:/tree/f"])?;
    let line = place.fails(1, &["getfattr", "-n", "user.odd", "d.img:/tree/f"])?;
    assert!(line.contains("no attribute user.odd"), "{line}");
    let line = place.fails(
        2,
        &["setfattr", "-n", "user.a", "-v", "0x1", "d.img:/tree/f"],
    )?;
    assert!(line.contains("hexadecimal"), "{line}");
    let line = place.fails(2, &["getfattr", "-m", "(", "d.img:/tree/f"])?;
    assert!(line.contains("regular expression"), "{line}");
    Ok(())
}

#[test]
fn access_control_lists() -> Outcome {
    let place = Place::new()?;
    both(&place)?;
    let steps: [&[&str]; 12] = [
        &["-m", "u:1000:rw,g:50:rx"],
        &["-m", "u:1001:rwx,m::r"],
        &["-n", "-m", "u:1002:rwx"],
        &["-x", "u:1001"],
        &["-m", "d:u:1000:rwX"],
        &["-d", "-m", "g:50:7"],
        &["-x", "d:u:1000"],
        &["-m", "g::rwx,o::-"],
        &["-R", "-m", "u:1003:rX,d:u:1003:rX"],
        &["-k"],
        &["-m", "d:o::x"],
        &["-b"],
    ];
    let show = |place: &Place, step: &[&str]| -> Outcome {
        for options in [
            &["-n"][..],
            &["-n", "-R", "-s"],
            &["-n", "-c", "-a"],
            &["-n", "-d"],
        ] {
            let there = host(place, &[&["getfacl"], options, &["tree"]].concat())?;
            let here = place.ok(&[&["getfacl"], options, &["d.img:/tree"]].concat())?;
            assert_eq!(here, there, "{options:?} behind {step:?}");
        }
        Ok(())
    };
    for step in steps {
        host(&place, &[&["setfacl"], step, &["tree"]].concat())?;
        place.ok(&[&["setfacl"], step, &["d.img:/tree"]].concat())?;
        show(&place, step)?;
        // On a file too.
        if step[0] != "-R" && !step.concat().contains('d') && step[0] != "-k" {
            host(&place, &[&["setfacl"], step, &["tree/f"]].concat())?;
            place.ok(&[&["setfacl"], step, &["d.img:/tree/f"]].concat())?;
        }
    }
    // Names are those of the image.
    place.ok(&["setfacl", "-m", "u:ann:r,g:staff:w", "d.img:/tree/f"])?;
    let text = place.ok(&["getfacl", "-c", "d.img:/tree/f"])?;
    assert!(text.contains("user:ann:r--\n"), "{text}");
    assert!(text.contains("group:staff:-w-\n"), "{text}");
    let line = place.fails(1, &["setfacl", "-m", "u:bob:r", "d.img:/tree/f"])?;
    assert!(line.contains("no user \"bob\" in the image"), "{line}");
    Ok(())
}

/// debugfs' word for the flags of a file.
fn flags(image: &Path, path: &str) -> Outcome<String> {
    let text = tool("debugfs", |debugfs| {
        debugfs.arg("-R").arg(format!("stat {path}")).arg(image)
    })?;
    let flags = text.split("Flags: ").nth(1).ok_or("it has flags")?;
    Ok(flags.lines().next().unwrap_or_default().to_owned())
}

#[test]
fn inode_flags() -> Outcome {
    let place = Place::new()?;
    both(&place)?;
    let image = place.path("d.img");
    place.ok(&["chattr", "+i", "d.img:/tree/f"])?;
    assert_eq!(flags(&image, "/tree/f")?, "0x80010");
    let listed = place.ok(&["lsattr", "d.img:/tree/f"])?;
    assert_eq!(listed, "----i---------e------- /tree/f\n");
    let line = place.fails(1, &["write", "d.img:/tree/f"])?;
    assert!(line.contains("EPERM"), "{line}");
    place.ok(&["chattr", "-i+A", "d.img:/tree/f"])?;
    place.ok(&["chattr", "-R", "+d", "d.img:/tree"])?;
    assert_eq!(flags(&image, "/tree/dir/g")?, "0x80040");
    let listed = place.ok(&["lsattr", "-R", "d.img:/tree"])?;
    let wanted = "------d-------e------- /tree/dir\n\
                  ------d-------e------- /tree/dir/g\n\
                  ------dA------e------- /tree/f\n";
    assert_eq!(listed, wanted);
    assert!(
        place
            .ok(&["lsattr", "-l", "d.img:/tree/f"])?
            .ends_with(" No_Dump, No_Atime, Extents\n")
    );
    place.ok(&["chattr", "-p", "42", "+P", "d.img:/tree/dir"])?;
    let listed = place.ok(&["lsattr", "-dp", "d.img:/tree/dir"])?;
    assert_eq!(listed, "   42 ------d-------e----P-- /tree/dir\n");
    check_ext4(&image)?;
    let line = place.fails(2, &["chattr", "+q", "d.img:/tree/f"])?;
    assert!(line.contains("no flag 'q'"), "{line}");
    place.fails(2, &["chattr", "d.img:/tree/f"])?;
    place.fails(2, &["chattr", "+i"])?;
    Ok(())
}

#[test]
fn capabilities() -> Outcome {
    let place = Place::new()?;
    both(&place)?;
    for text in [
        "cap_net_raw=ep",
        "cap_net_raw,cap_net_admin=eip",
        "cap_chown=p cap_kill+i",
        "=ep",
        "cap_bpf+ep",
    ] {
        host(&place, &["setcap", text, "tree/f"])?;
        place.ok(&["setcap", text, "d.img:/tree/f"])?;
        let there = host(&place, &["getcap", "tree/f"])?;
        let here = place.ok(&["getcap", "d.img:/tree/f"])?;
        assert_eq!(here, format!("/{there}"), "{text}");
    }
    place.ok(&["setcap", "-n", "1000", "cap_kill=p", "d.img:/tree/dir/g"])?;
    let listed = place.ok(&["getcap", "-rn", "d.img:/"])?;
    assert_eq!(
        listed,
        "/tree/dir/g cap_kill=p [rootid=1000]\n/tree/f cap_bpf=ep\n"
    );
    place.ok(&["setcap", "-r", "d.img:/tree/f", "d.img:/tree/dir/g"])?;
    assert_eq!(place.ok(&["getcap", "-r", "d.img:/"])?, "");
    let line = place.fails(2, &["setcap", "cap_none=p", "d.img:/tree/f"])?;
    assert!(line.contains("no capability \"cap_none\""), "{line}");
    place.fails(2, &["setcap", "d.img:/tree/f"])?;
    let line = place.fails(1, &["setcap", "=p", "d.img:/tree"])?;
    assert!(line.contains("only regular files"), "{line}");
    Ok(())
}
