//! `build`: the tree is as the manifest says, also when an ordinary user runs it.

use super::archive::make_tree;
use super::harness::{
    Outcome, Place, as_nobody, check_ext4, command_for_anyone, manifest, strings, succeeds, tool,
};

const CAPABILITY: &str =
    r"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";

/// Owners, devices, capabilities and labels, by somebody who may do none of it.
#[test]
fn by_an_ordinary_user() -> Outcome {
    let place = Place::for_anyone()?;
    let image = place.ext4("d.img", 16 << 20, &["-E", "root_owner=65534:65534"])?;
    place.write("objects/ab/cdef", "stored")?;
    place.write(
        "dump",
        format!(
            "/ 0 40755 3 0 0 0 1695372970.5 - - - security.selinux=system_u:object_r:root_t:s0\\x00\n\
             /a\\x20dir 0 42750 2 5 6 0 1.1 - - - user.a\\x3db=1\\n2\n\
             /a\\x20dir/ping 6 104755 2 0 0 0 5.0 ab/cdef - - security.capability={CAPABILITY} \
             security.selinux=system_u:object_r:bin_t:s0\\x00\n\
             /again 6 @104755 2 0 0 0 5.0 /a\\x20dir/ping - -\n\
             /null 0 20666 1 0 0 259 0.0 - - -\n\
             /fifo 0 10600 1 7 8 0 0.0 - - -\n\
             /link 0 120777 1 9 10 0 2.0 a\\x20dir - -\n\
             /inline 4 100600 1 4000000000 1 0 3.0 - \\x2d\\\\x\\n - trusted.t=x\n"
        ),
    )?;
    // What the umask may have kept to its owner.
    tool("chmod", |chmod| {
        chmod.args(["-R", "a+rwX"]).arg(place.path(""))
    })?;
    let drupe = command_for_anyone()?;
    succeeds(
        as_nobody()
            .arg(drupe.path())
            .args(["build", "-m", "dump", "-C", "objects", "d.img:/"])
            .current_dir(place.path("")),
    )?;
    check_ext4(&image)?;
    let stat = |format: &str, path: &str| {
        place.ok(&strings(&["stat", "-c", format, &format!("d.img:{path}")]))
    };
    for (path, expected) in [
        (
            "/",
            "755 0:0 1695372970 directory system_u:object_r:root_t:s0\n",
        ),
        ("/a dir", "2750 5:6 1 directory ?\n"),
        (
            "/a dir/ping",
            "4755 0:0 5 regular file system_u:object_r:bin_t:s0\n",
        ),
        ("/null", "666 0:0 0 character special file ?\n"),
        ("/fifo", "600 7:8 0 fifo ?\n"),
        ("/link", "777 9:10 2 symbolic link ?\n"),
        ("/inline", "600 4000000000:1 3 regular file ?\n"),
    ] {
        assert_eq!(stat("%a %u:%g %Y %F %C", path)?, expected, "{path}");
    }
    assert_eq!(stat("%h", "/again")?, "2\n");
    assert_eq!(stat("%t:%T", "/null")?, "1:3\n");
    assert_eq!(
        place.ok(&strings(&["cat", "d.img:/again", "d.img:/inline"]))?,
        "stored-\\x\n"
    );
    // And by somebody else's word.
    let debugfs = |request: &str| {
        tool("debugfs", |debugfs| {
            debugfs.args(["-R", request]).arg(&image)
        })
    };
    let xattrs = debugfs("ea_list \"/a dir/ping\"")?;
    assert!(
        xattrs.contains("security.capability (20) = 01 00 00 02 00 04"),
        "{xattrs}"
    );
    assert!(
        xattrs.contains("security.selinux (27) = \"system_u:object_r:bin_t:s0"),
        "{xattrs}"
    );
    assert!(debugfs("ea_list \"/a dir\"")?.contains("user.a=b"));
    let text = debugfs("stat \"/a dir/ping\"")?;
    assert!(
        text.contains("Mode:  04755") && text.contains("Links: 2"),
        "{text}"
    );
    assert!(debugfs("stat /null")?.contains("01:03"), "{text}");
    Ok(())
}

#[test]
fn mtree() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 16 << 20, &[])?;
    place.write("etc/passwd", "www:x:80:80::/:\n")?;
    place.ok(&strings(&["cp", "-r", "etc", "d.img:/"]))?;
    place.write("src/one", "one")?;
    place.write("src/sub/two three", "two")?;
    place.write("src/other", "other")?;
    place.write(
        "m",
        "#mtree v2.0\n/set type=file uid=0 gid=0 mode=0644\n\
         # a tree by directories\n. type=dir mode=1777\n    one time=5.000000007 uname=www\n\
         /unset uid\nnamed uname=www contents=one\n/set uid=3\n\
         sub type=dir mode=02755\n\
           two\\040three mode=u=rw,go= \\\n   gid=12 size=3\n  deep type=dir\n  ..\n..\n\
         dev type=block device=linux,8,17 mode=660\nln type=link link=a\\sb\n\
         ./full/path/file contents=./other optional nochange \
         sha256digest=d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa\n",
    )?;
    place.ok(&strings(&["mkdir", "d.img:/new"]))?;
    place.ok(&strings(&["build", "-m", "m", "-C", "src", "d.img:/new"]))?;
    let list = place.ok(&strings(&["find", "d.img:/new"]))?;
    let paths = [
        "",
        "/dev",
        "/full",
        "/full/path",
        "/full/path/file",
        "/ln",
        "/named",
        "/one",
        "/sub",
        "/sub/deep",
        "/sub/two three",
    ];
    assert_eq!(list, paths.map(|path| format!("/new{path}\n")).concat());
    for (path, expected) in [
        ("", "1777 0:0 0"),
        ("/one", "644 0:0 3"),
        ("/named", "644 80:0 3"),
        ("/sub", "2755 3:0 0"),
        ("/sub/two three", "600 3:12 3"),
        ("/dev", "660 3:0 0"),
        ("/full/path", "755 0:0 0"),
        ("/full/path/file", "644 3:0 5"),
    ] {
        let is_dir = expected.ends_with(" 0");
        let format = if is_dir { "%a %u:%g 0" } else { "%a %u:%g %s" };
        let found = place.ok(&strings(&[
            "stat",
            "-c",
            format,
            &format!("d.img:/new{path}"),
        ]))?;
        assert_eq!(found.trim_end(), expected, "{path}");
    }
    assert_eq!(
        place.ok(&strings(&["stat", "-c", "%N %t %T", "d.img:/new/ln"]))?,
        "/new/ln -> a b 0 0\n"
    );
    check_ext4(&place.path("d.img"))
}

#[test]
fn mtree_of_libarchive() -> Outcome {
    let place = Place::new()?;
    make_tree(&place)?;
    // What mtree has nothing for.
    let script = "set -e; setfacl -R -b tree; setfattr -h -x trusted.link tree/dangling
        setfattr -x user.colour tree/file; setfattr -x user.dir tree/sub/dir; rm tree/link2 'tree/sub/second name'
        bsdtar -cf m --format=mtree --options='!all,type,mode,uid,gid,time,link,device,size' -C tree .";
    tool("sh", |sh| {
        sh.arg("-c").arg(script).current_dir(place.path(""))
    })?;
    let image = place.ext4("d.img", 64 << 20, &[])?;
    place.ok(&strings(&["mkdir", "d.img:/t"]))?;
    place.ok(&strings(&["build", "-m", "m", "-C", "tree", "d.img:/t"]))?;
    check_ext4(&image)?;
    place.ok(&strings(&["cp", "-a", "d.img:/t", "back"]))?;
    assert_eq!(
        manifest(&place.path("tree"))?,
        manifest(&place.path("back"))?
    );
    Ok(())
}

#[test]
fn what_makes_no_sense() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("d.img", 16 << 20, &[])?;
    place.write("one", "one")?;
    for (text, what) in [
        ("a type=frob\n", "m:1: type=frob is invalid"),
        ("\na/../b type=dir\n", "m:2: a/../b has .. in it"),
        ("a contents=../x\n", "contents="),
        ("a uname=nobody-here\n", "no such name"),
        ("..\n", "m:1: there is nothing above"),
        ("a type=link\n", "no link="),
        ("a type=char\n", "device="),
        (
            "a type=dir\n..\na type=link link=x\n",
            "both a directory and something else",
        ),
        ("/ 0 40755\n", "m:1: there is no number of links"),
        ("/a 1 100644 1 0 0 0 0.0 - xy - \n", "not of this size"),
        ("/a 1 100644 1 0 0 0 0.0 ../x - -\n", "m:1: "),
        ("/a 0 @100644 1 0 0 0 0.0 /b - -\n", "has not come"),
        ("/a 0 100644 1 0 0 0 0.9999999999 - - -\n", "the time"),
        (
            "/a 0 100644 1 0 0 0 0.0 - - - novalue\n",
            "extended attribute",
        ),
        ("/../a 0 100644 1 0 0 0 0.0 - - -\n", "the path"),
        ("one size=4\n", "size that the manifest says"),
        ("none\n", "No such file"),
        (
            "one sha224digest=0\n",
            "m:1: sha224digest: drupe cannot check",
        ),
        (
            "one b2=0123456789abcdef0123456789abcdef\n",
            "m:1: b2: drupe cannot check",
        ),
    ] {
        place.write("m", text)?;
        let line = place.fails(1, &strings(&["build", "-m", "m", "d.img:/"]))?;
        assert!(line.contains(what), "{text}: {line}");
        assert_eq!(
            place.ok(&strings(&["ls", "d.img:/"]))?,
            "lost+found\n",
            "{text}"
        );
    }
    check_ext4(&image)
}

/// Promise 5: contents are found beneath the directory that was given, and are files.
#[test]
fn nothing_leads_out_of_the_directory_of_contents() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 64 << 20, &[])?;
    place.write("out/f", "fine")?;
    place.write("secret/s", "secret")?;
    std::os::unix::fs::symlink("../secret/s", place.path("out/link"))?;
    std::os::unix::fs::symlink("../secret", place.path("out/dir"))?;
    std::os::unix::fs::symlink("f", place.path("out/within"))?;
    tool("mkfifo", |mkfifo| mkfifo.arg(place.path("out/fifo")))?;
    let absolute = place.path("secret/s");
    let manifest = format!(
        "#mtree\n/set type=file uid=0 gid=0 mode=0644\n. type=dir\n    link\n    within\n    fifo\n    \
         x contents=dir/s\n    z contents={}\n",
        absolute.display()
    );
    place.write("m", manifest)?;
    let run = place.drupe(&strings(&["build", "-m", "m", "-C", "out", "d.img:/"]))?;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(run.stderr.lines().count(), 4, "{run:?}");
    let names = place.ok(&strings(&["ls", "d.img:/"]))?;
    assert_eq!(names, "lost+found\nwithin\n");
    assert_eq!(place.ok(&strings(&["cat", "d.img:/within"]))?, "fine");
    check_ext4(&place.path("d.img"))
}

/// Promise 5: what the manifest says of contents is checked.
#[test]
fn digests_are_checked() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("d.img", 16 << 20, &[])?;
    place.write("out/good", "good")?;
    place.write("out/other", "bad!")?;
    let sum = tool("sha256sum", |sum| sum.arg(place.path("out/good")))?;
    let sum = sum.split(' ').next().ok_or("no digest")?;
    let mtree = format!(
        "#mtree\n./good type=file sha256digest={sum}\n./other type=file sha256digest={sum}\n"
    );
    place.write("tree.mtree", mtree)?;
    let build = strings(&["build", "-m", "tree.mtree", "-C", "out", "d.img:/"]);
    let line = place.fails(1, &build)?;
    assert!(line.contains("other") && line.contains(sum), "{line}");
    assert!(!line.contains("good:"), "{line}");
    let names = place.ok(&strings(&["ls", "d.img:/"]))?;
    assert_eq!(names, "good\nlost+found\n");
    // fs-verity's, of "good", by `fsverity digest`.
    let dump = |digest: &str| {
        format!("/ 0 40755 2 0 0 0 1.0 - - -\n/f 4 100644 1 0 0 0 1.0 good - {digest}\n")
    };
    let digest = "5337cd1b35cd4120048bc82ef3847a9ab898a0cfb02ce8bf6112b1fed6be0277";
    place.write("good.dump", dump(digest))?;
    place.ok(&strings(&[
        "build",
        "-m",
        "good.dump",
        "-C",
        "out",
        "d.img:/",
    ]))?;
    place.write("bad.dump", dump(&digest.replace('0', "1")))?;
    let line = place.fails(
        1,
        &strings(&["build", "-m", "bad.dump", "-C", "out", "d.img:/"]),
    )?;
    assert!(
        line.contains("fs-verity") && line.contains(digest),
        "{line}"
    );
    assert_eq!(place.ok(&strings(&["cat", "d.img:/f"]))?, "good");
    check_ext4(&image)
}

/// `optional`: a file whose contents are not there is left out.
#[test]
fn what_is_optional_may_be_missing() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("d.img", 16 << 20, &[])?;
    place.write("src/here", "x")?;
    let lines =
        "    none optional\n    here optional\n    sub type=dir\n        deep optional\n    ..\n";
    for root in [". type=dir mode=0755\n", ""] {
        place.write("m", format!("#mtree\n{root}{lines}"))?;
        place.ok(&strings(&["build", "-m", "m", "-C", "src", "d.img:/"]))?;
        let names = place.ok(&strings(&[
            "find",
            "d.img:/",
            "-newer",
            "d.img:/lost+found",
            "-o",
            "-name",
            "[a-k]*",
        ]))?;
        assert_eq!(
            names
                .lines()
                .filter(|name| *name != "/")
                .collect::<Vec<_>>(),
            ["/here"]
        );
        place.ok(&strings(&["rm", "-r", "d.img:/here", "d.img:/sub"]))?;
    }
    place.write("m", "#mtree\nnone\nalso optional contents=../out\n")?;
    place.fails(1, &strings(&["build", "-m", "m", "-C", "src", "d.img:/"]))?;
    check_ext4(&image)
}

/// FreeBSD's own end with a `..` that closes the root.
#[test]
fn an_mtree_that_closes_its_root() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 16 << 20, &[])?;
    place.write(
        "m",
        "#mtree\n/set type=dir mode=0755\n.\n    bin\n    ..\n..\n",
    )?;
    place.ok(&strings(&["build", "-m", "m", "d.img:/"]))?;
    let names = place.ok(&strings(&["ls", "d.img:/"]))?;
    assert_eq!(names, "bin\nlost+found\n");
    Ok(())
}

/// Device numbers are not cut: one that Linux cannot have is an error of that entry.
#[test]
fn device_numbers() -> Outcome {
    let place = Place::new()?;
    place.ext4("e.img", 16 << 20, &[])?;
    for (device, fits) in [
        ("native,4095,1048575", true),
        ("native,4096,0", false),
        ("native,0,1048576", false),
    ] {
        let manifest = format!("#mtree\n./d type=char mode=0600 device={device}\n");
        place.write("m", manifest)?;
        let all = ["build", "-m", "m", "e.img:/"];
        if fits {
            place.ok(&all)?;
            assert_eq!(
                place.ok(&["stat", "-c", "%t %T", "e.img:/d"])?,
                "fff fffff\n"
            );
        } else {
            let told = place.fails(1, &all)?;
            assert!(told.contains("/d") && told.contains("EOVERFLOW"), "{told}");
        }
        place.ok(&["rm", "-f", "e.img:/d"])?;
    }
    Ok(())
}
