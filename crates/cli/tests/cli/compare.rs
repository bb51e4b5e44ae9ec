//! `checksum`, `edit` and `diff`.

use std::fs;

use super::harness::{Outcome, Place, noise, succeeds};

#[test]
fn checksums_are_those_of_coreutils() -> Outcome {
    let place = Place::new()?;
    place.write("tree/a", "one")?;
    place.write("tree/dir/b", vec![7; 300_000])?;
    place.write("tree/odd\nname\\", "two")?;
    place.ext4("d.img", 16 << 20, &[])?;
    place.ok(&["cp", "-r", "tree", "d.img:/"])?;
    for (algorithm, program) in [
        ("md5", "md5sum"),
        ("sha1", "sha1sum"),
        ("sha256", "sha256sum"),
        ("sha512", "sha512sum"),
        ("blake2b", "b2sum"),
    ] {
        let files = ["tree/a", "tree/dir/b", "tree/odd\nname\\"];
        let there = succeeds(place.command_of(program).args(files))?;
        let here = place.ok(&["checksum", "-r", "-a", algorithm, "d.img:/tree"])?;
        assert_eq!(here, there.replace("tree/", "d.img:/tree/"), "{algorithm}");
        fs::write(place.path("sums"), &here)?;
        let said = place.ok(&["checksum", "-a", algorithm, "-c", "sums"])?;
        assert_eq!(said.matches(": OK\n").count(), 3, "{said}");
    }
    // The lengths say which, and the files are found by the sandbox.
    let sums = place.ok(&["checksum", "d.img:/tree/a", "d.img:/tree/dir/b"])?;
    fs::write(place.path("sums"), format!("{sums}what\n"))?;
    place.write("new", "other")?;
    place.ok(&["cp", "new", "d.img:/tree/a"])?;
    let run = place.drupe(&["checksum", "--sandbox=always", "-c", "sums"])?;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(run.stdout, "d.img:/tree/a: FAILED\nd.img:/tree/dir/b: OK\n");
    assert!(run.stderr.contains("1 of 2 sums did not match"), "{run:?}");
    assert!(run.stderr.contains("1 lines are no sum"), "{run:?}");
    let line = place.fails(1, &["checksum", "d.img:/tree"])?;
    assert!(line.contains("give -r"), "{line}");
    Ok(())
}

#[test]
fn an_edited_file_keeps_its_attributes() -> Outcome {
    let place = Place::new()?;
    place.write("hosts", "127.0.0.1 localhost\n")?;
    place.ext4("d.img", 16 << 20, &[])?;
    place.ok(&["cp", "hosts", "d.img:/hosts"])?;
    place.ok(&["ln", "-s", "hosts", "d.img:/link"])?;
    place.ok(&["chmod", "640", "d.img:/hosts"])?;
    place.ok(&["chown", "12:34", "d.img:/hosts"])?;
    place.ok(&["setfattr", "-n", "user.a", "-v", "b", "d.img:/hosts"])?;
    place.ok(&["setfacl", "-m", "u:7:r", "d.img:/hosts"])?;
    let acl = place.ok(&["getfacl", "d.img:/hosts"])?;
    let edit = |editor: &str, file: &str| {
        place
            .command()
            .env_remove("VISUAL")
            .env("EDITOR", editor)
            .args(["edit", file])
            .output()
    };
    let done = edit("sed -i s/localhost/here/", "d.img:/link")?;
    assert!(done.status.success(), "{done:?}");
    assert_eq!(place.ok(&["cat", "d.img:/hosts"])?, "127.0.0.1 here\n");
    assert_eq!(place.ok(&["getfacl", "d.img:/hosts"])?, acl);
    assert_eq!(
        place.ok(&["stat", "-c", "%a %u:%g", "d.img:/hosts"])?,
        "640 12:34\n"
    );
    assert_eq!(
        place.ok(&["stat", "-c", "%F", "d.img:/link"])?,
        "symbolic link\n"
    );
    let attributes = place.ok(&["getfattr", "-d", "d.img:/hosts"])?;
    assert!(attributes.contains("user.a=\"b\""), "{attributes}");
    // An editor that fails changes nothing, and nothing stays on the host.
    let done = edit("sh -c 'echo x > $0; exit 3'", "d.img:/hosts")?;
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert_eq!(place.ok(&["cat", "d.img:/hosts"])?, "127.0.0.1 here\n");
    fs::create_dir(place.path("tmp"))?;
    let done = place
        .command()
        .env("TMPDIR", place.path("tmp"))
        .env("VISUAL", "true")
        .args(["edit", "d.img:/hosts"])
        .output()?;
    assert!(done.status.success(), "{done:?}");
    assert_eq!(fs::read_dir(place.path("tmp"))?.count(), 0);
    // What does not fit into the image is not lost.
    fs::write(place.path("noise"), noise(20 << 20))?;
    let done = place
        .command()
        .env("TMPDIR", place.path("tmp"))
        .env("VISUAL", "cp noise")
        .args(["edit", "d.img:/hosts"])
        .output()?;
    assert!(!done.status.success(), "{done:?}");
    let told = String::from_utf8(done.stderr)?;
    assert!(told.contains("hint: what was edited is kept in"), "{told}");
    let kept = fs::read_dir(place.path("tmp"))?
        .next()
        .ok_or("nothing kept")??;
    assert!(fs::read(kept.path().join("hosts"))? == noise(20 << 20));
    assert_eq!(place.ok(&["cat", "d.img:/hosts"])?, "127.0.0.1 here\n");
    Ok(())
}

#[test]
fn differences() -> Outcome {
    let place = Place::new()?;
    for file in [
        "same", "gone", "mode", "owner", "text", "longer", "kind", "dir/f", "xattr",
    ] {
        place.write(&format!("tree/{file}"), "12345")?;
    }
    std::os::unix::fs::symlink("a", place.path("tree/link"))?;
    place.ext4("a.img", 16 << 20, &[])?;
    place.ok(&["cp", "-a", "tree", "a.img:/"])?;
    assert_eq!(place.ok(&["diff", "tree", "a.img:/tree"])?, "");
    assert_eq!(place.ok(&["diff", "a.img:/tree", "tree"])?, "");
    fs::copy(place.path("a.img"), place.path("b.img"))?;
    assert_eq!(place.ok(&["diff", "a.img", "b.img"])?, "");
    fs::write(
        place.path("script"),
        "rm /tree/gone\nchmod 600 /tree/mode\nchown 5:6 /tree/owner\n\
        rm /tree/kind\nmkdir /tree/kind\nln -sf b /tree/link\nmkdir /tree/new\n\
        truncate -s 9 /tree/longer\nmkdir /tree/new/below\nsetfattr -n user.x -v 1 /tree/xattr\n\
        touch -d @1 /tree/same\n",
    )?;
    place.ok(&["script", "-i", "b.img", "script"])?;
    place.write("text", "12346")?;
    place.ok(&["cp", "text", "b.img:/tree/text"])?;
    let run = place.drupe(&["diff", "--ignore-times", "a.img:/tree", "b.img:/tree"])?;
    assert_eq!(run.code, Some(1), "{run:?}");
    let wanted = "- /gone\n\
                  = /kind: type file -> directory, mode 0644 -> 0755\n\
                  = /link: target a -> b\n\
                  = /longer: size 5 -> 9, content\n\
                  = /mode: mode 0644 -> 0600\n\
                  + /new\n\
                  + /new/below\n\
                  = /owner: uid 0 -> 5, gid 0 -> 6\n\
                  = /text: content\n\
                  = /xattr: xattr user.x added 31\n";
    assert_eq!(run.stdout, wanted);
    let run = place.drupe(&["diff", "b.img:/tree", "a.img:/tree"])?;
    assert!(
        run.stdout.contains("= /same: mtime 1.000000000 -> "),
        "{run:?}"
    );
    assert!(run.stdout.contains("- /new/below\n"), "{run:?}");
    let run = place.drupe(&[
        "diff",
        "--json",
        "--ignore-owners",
        "--ignore-xattrs",
        "--ignore-times",
        "a.img:/tree",
        "b.img:/tree",
    ])?;
    let found: serde_json::Value = serde_json::from_str(&run.stdout)?;
    assert_eq!(found.as_array().map(Vec::len), Some(8), "{found}");
    assert_eq!(
        found[0],
        serde_json::json!({"path": "/gone", "change": "removed", "fields": []})
    );
    place.fails(1, &["diff", "a.img:/none", "b.img"])?;
    Ok(())
}
