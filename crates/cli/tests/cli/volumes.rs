//! Encrypted volumes, by passphrase and by name.

use std::fs::File;
use std::os::unix::fs::FileExt;

use serde_json::Value;

use super::harness::{Outcome, Place, check_ext4, strings, tool};

/// A LUKS volume on the second partition, with nothing inside.
fn encrypted(place: &Place) -> Outcome {
    let image = place.path("disk.img");
    File::create(&image)?.set_len(64 << 20)?;
    place.write(
        "table",
        "label: gpt\n1: start=2048, size=2048\n2: start=4096\n",
    )?;
    tool("sh", |sh| {
        let script = "/sbin/sfdisk -q disk.img < table";
        sh.arg("-c").arg(script).current_dir(place.path(""))
    })?;
    place.write("key", "correct horse")?;
    File::create(place.path("luks.img"))?.set_len(60 << 20)?;
    tool("cryptsetup", |cryptsetup| {
        let options = ["--type=luks2", "--sector-size=512", "--pbkdf=pbkdf2"];
        cryptsetup
            .args([
                "luksFormat",
                "--batch-mode",
                "--pbkdf-force-iterations=1000",
            ])
            .args(options)
            .arg(place.path("luks.img"))
            .arg(place.path("key"))
    })?;
    tool("dd", |dd| {
        dd.args([
            "if=luks.img",
            "of=disk.img",
            "bs=1M",
            "seek=2",
            "conv=notrunc",
        ])
        .current_dir(place.path(""))
    })?;
    Ok(())
}

#[test]
fn locked_and_unlocked() -> Outcome {
    let place = Place::new()?;
    encrypted(&place)?;
    let run = place.drupe(&strings(&["ls", "disk.img:/"]))?;
    assert_eq!(run.code, Some(3));
    assert_eq!(
        run.stderr,
        "drupe: disk.img: is encrypted\n\
         hint: give the passphrase with --key-file FILE or DRUPE_PASSPHRASE, or at a terminal\n"
    );
    let text = place.drupe(&strings(&["info", "--json", "disk.img"]))?;
    assert_eq!(text.code, Some(0));
    assert_eq!(
        text.stderr,
        "drupe: disk.img@2: is encrypted, and there is no passphrase for it\n"
    );
    place.write("wrong", "correct horse\n")?;
    let run = place.drupe(&strings(&["--key-file", "wrong", "ls", "disk.img:/"]))?;
    assert_eq!(run.code, Some(3));
    assert_eq!(
        run.stderr,
        "drupe: disk.img: the passphrase opens none of its key slots\n"
    );
    // What there is is shown all the same.
    let run = place.drupe(&strings(&["--key-file", "wrong", "info", "disk.img"]))?;
    assert_eq!(run.code, Some(3));
    assert_eq!(
        run.stderr,
        "drupe: disk.img@2: the passphrase opens none of its key slots\n\
         hint: check --key-file or DRUPE_PASSPHRASE\n"
    );
    assert!(run.stdout.contains("crypto_LUKS"), "{}", run.stdout);

    let text = place.ok(&strings(&[
        "--key-file",
        "key",
        "info",
        "--json",
        "disk.img",
    ]))?;
    let images: Vec<Value> = serde_json::from_str(&text)?;
    let volume = &images[0]["volumes"][0];
    assert_eq!(volume["name"], "2/luks");
    assert_eq!(volume["kind"], "luks");
    assert_eq!(volume["on"][0], "2");
    // Nothing has been made inside yet.
    assert_eq!(volume["filesystem"], Value::Null);
    let run = place.drupe(&strings(&["--key-file", "key", "ls", "disk.img@2/luks:/"]))?;
    assert_eq!(run.code, Some(3));
    assert_eq!(
        run.stderr,
        "drupe: disk.img: no volume holds a filesystem\nhint: `drupe info` shows what there is\n"
    );
    let mut command = place.command();
    let output = command
        .env("DRUPE_PASSPHRASE", "correct horse")
        .args(["ls", "disk.img@vg/none:/"])
        .output()?;
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "drupe: disk.img: has no partition or volume \"vg/none\"; there are: 0, 1, \
         2 (crypto_LUKS), 2/luks\n"
    );
    Ok(())
}

/// Two images of one group, `a.img` and `b.img`, whose volume has the file `f`.
pub(crate) fn group_of_two(place: &Place) -> Outcome {
    place.ext4("content", 16 << 20, &[])?;
    place.write("f", "contents\n")?;
    place.ok(&strings(&["cp", "f", "content:/f"]))?;
    for name in ["a.img", "b.img"] {
        File::create(place.path(name))?.set_len(24 << 20)?;
    }
    tool("python3", |python| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/book/make-lvm.py");
        python
            .arg(script)
            .args(["a.img", "content", "b.img"])
            .current_dir(place.path(""))
    })?;
    Ok(())
}

/// The kernel has one device of each volume, whichever image it is named by.
#[test]
fn a_volume_of_two_images_is_one() -> Outcome {
    let place = Place::new()?;
    group_of_two(&place)?;
    let with = ["--with", "a.img", "--with", "b.img"];
    let all = |args: &[&'static str]| strings(&[&with[..], args].concat());
    for (source, dest) in [
        ("a.img@vg0/root:/f", "b.img@vg0/root:/f"),
        ("b.img:/f", "a.img:/f"),
        ("a.img@vg0/root:/f", "content@vg0/root:/f"),
    ] {
        let error = place.fails(1, &all(&["cp", source, dest]))?;
        assert!(error.contains("onto or into itself"), "{error}");
    }
    place.ok(&all(&["cp", "b.img:/f", "a.img:/g"]))?;
    // The first image is opened anew when it is written to, the second one in between.
    place.write(
        "script",
        "cp f a.img:/1\ncp f content:/1\ncp f b.img:/2\ncp f a.img:/3\n",
    )?;
    place.ok(&all(&["script", "script"]))?;
    assert_eq!(
        place.ok(&all(&["ls", "b.img:/"]))?,
        "1\n2\n3\nf\ng\nlost+found\n"
    );
    // On the image, the volume begins after the metadata.
    tool("sh", |sh| {
        let script = "dd if=a.img of=volume bs=1M skip=1 count=16 status=none";
        sh.arg("-c").arg(script).current_dir(place.path(""))
    })?;
    check_ext4(&place.path("volume"))
}

/// What is recognised and cannot be used is told, and so does the exit code.
#[test]
fn info_fails_where_headers_are_damaged() -> Outcome {
    let place = Place::new()?;
    group_of_two(&place)?;
    encrypted(&place)?;
    // The checksums of a header of LUKS, of its copy, and of a label of LVM.
    for (name, offsets) in [
        ("luks.img", &[512, 16384 + 512][..]),
        ("a.img", &[512 + 16]),
        // A locked volume is as it should be, and so is part of a group.
        ("disk.img", &[]),
        ("b.img", &[]),
    ] {
        let file = File::options().write(true).open(place.path(name))?;
        for &at in offsets {
            file.write_all_at(b"xyz", at)?;
        }
        let run = place.drupe(&strings(&["info", name]))?;
        let code = if offsets.is_empty() { 0 } else { 3 };
        assert_eq!(run.code, Some(code), "{run:?}");
        assert!(run.stdout.starts_with(&format!("{name}: ")), "{run:?}");
        assert!(run.stdout.contains("crypto_LUKS") || run.stdout.contains("LVM2_member"));
        let told = format!("drupe: {name}@");
        assert!(run.stderr.starts_with(&told), "{run:?}");
        assert_eq!(run.stderr.contains(": damaged "), code != 0, "{run:?}");
    }
    Ok(())
}
