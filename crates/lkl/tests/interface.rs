//! What the library shows is what its headers say, and these are of any dialect.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use common::LIBRARY;
use drupe_testing::c::{Linked, ext4, run};

fn include() -> PathBuf {
    LIBRARY.prefix().join("include")
}

/// The functions that the headers declare, and do not define.
fn declared() -> BTreeSet<String> {
    let dir = tempfile::tempdir().expect("a directory");
    let source = dir.path().join("all.c");
    let text = "#include <lkl.h>\n#include <lkl_host.h>\n#include <lkl_config.h>\n";
    fs::write(&source, text).expect("a source");
    let output = run(Command::new("cc")
        .args(["-E", "-P", "-I"])
        .arg(include())
        .arg(&source));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let (mut depth, mut code) = (0, String::new());
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                // A body ends what it belongs to.
                code.push(';');
            }
            c if depth == 0 || (depth == 1 && code.ends_with("extern \"C\" ")) => code.push(c),
            _ => {}
        }
    }
    let statements = code.split(';').map(str::trim);
    let functions = statements.filter(|text| !text.contains("static") && !text.contains("typedef"));
    let names = functions.filter_map(|text| {
        let before = text.split_once('(')?.0.trim_end();
        let name = before
            .rsplit(|c: char| !c.is_alphanumeric() && c != '_')
            .next()?;
        name.starts_with("lkl_").then(|| name.to_owned())
    });
    names.collect()
}

#[test]
fn the_headers_declare_what_the_library_exports() {
    let mut declared = declared();
    assert!(declared.len() > 70, "{declared:?}");
    // These are data.
    for name in ["lkl_host_ops", "lkl_dev_blk_ops", "lkl_virtio_devs"] {
        declared.insert(name.to_owned());
    }
    let library = LIBRARY.prefix().join("lib/liblkl.so");
    let symbols = ["-D", "--defined-only", "-P"];
    let output = run(Command::new("nm").args(symbols).arg(library));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let exported: BTreeSet<String> = lines.map(str::to_owned).collect();
    let difference: Vec<_> = declared.symmetric_difference(&exported).collect();
    assert!(
        difference.is_empty(),
        "in one and not in the other: {difference:?}"
    );
}

/// The headers stand alone, in both orders, as C99 and newer and as C++, with those of the
/// system before and behind.
#[test]
fn headers_are_of_any_dialect() {
    let dir = tempfile::tempdir().expect("a directory");
    let system = "#include <stdio.h>\n#include <sys/stat.h>\n#include <sys/epoll.h>\n\
                  #include <fcntl.h>\n#include <net/if.h>\n#include <netinet/in.h>\n\
                  #include <poll.h>\n#include <time.h>\n#include <sys/mount.h>\n";
    let own = "#include <lkl.h>\n#include <lkl_host.h>\n#include <lkl_config.h>\n";
    let other_way = "#include <lkl_config.h>\n#include <lkl_host.h>\n#include <lkl.h>\n";
    let source = dir.path().join("header.c");
    let dialects: &[(&str, &[&str])] = &[
        ("cc", &["-std=gnu99", "-xc"]),
        ("cc", &["-std=gnu11", "-xc"]),
        ("cc", &["-std=c2x", "-xc"]),
        ("c++", &["-std=c++17", "-xc++"]),
    ];
    let include = include();
    let orders = [
        own.to_owned(),
        other_way.to_owned(),
        format!("{system}{own}"),
        format!("{own}{system}"),
    ];
    for text in orders {
        fs::write(&source, &text).expect("a source");
        for (compiler, dialect) in dialects {
            run(Command::new(compiler)
                .args(*dialect)
                .args(["-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"])
                .arg(&include)
                .arg(&source));
        }
    }
}

#[test]
fn structures_and_names_are_those_of_lkl() {
    LIBRARY.check("layout", Linked::Shared, &[""; 0]);
}

/// The kernel's headers can be included in any order, behind lkl.h.
#[test]
fn headers_of_the_kernel_in_both_orders() {
    let dir = tempfile::tempdir().expect("a directory");
    let source = dir.path().join("all.c");
    let include = include();
    let mut lines = BTreeSet::new();
    for sub in ["linux", "asm"] {
        for entry in fs::read_dir(include.join("lkl").join(sub)).expect("headers") {
            let name = entry.expect("a header").file_name();
            let name = name.to_str().expect("UTF-8");
            if name.ends_with(".h") {
                lines.insert(format!("#include <lkl/{sub}/{name}>\n"));
            }
        }
    }
    assert!(lines.len() > 80, "{lines:?}");
    let forwards: String = lines.iter().map(String::as_str).collect();
    let backwards: String = lines.iter().rev().map(String::as_str).collect();
    for text in [forwards, backwards] {
        fs::write(&source, format!("#include <lkl.h>\n{text}")).expect("a source");
        run(Command::new("cc")
            .args(["-std=gnu11", "-Wall", "-Werror", "-fsyntax-only", "-I"])
            .arg(&include)
            .arg(&source));
    }
}

/// Each compiles as the first of a program, but those of which docs/lkl.md says so.
#[test]
fn headers_of_the_kernel_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let source = dir.path().join("alone.c");
    let include = include();
    let mut directories = vec![include.join("lkl")];
    let (mut needy, mut count) = (BTreeSet::new(), 0);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("headers") {
            let path = entry.expect("a header").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let header = path.strip_prefix(&include).expect("a header").to_owned();
            let header = header.to_str().expect("UTF-8").to_owned();
            fs::write(&source, format!("#include <{header}>\n")).expect("a source");
            let output = Command::new("cc")
                .args(["-std=gnu11", "-fsyntax-only", "-I"])
                .args([&include, &source])
                .output()
                .expect("cc runs");
            count += 1;
            if !output.status.success() {
                needy.insert(header);
            }
        }
    }
    assert!(count > 80, "{count} headers");
    let text = fs::read_to_string(LIBRARY.own().join("../../docs/lkl.md"));
    let text = text.expect("the documentation");
    let point = text
        .lines()
        .find(|line| line.starts_with("- **`lkl.h` comes first.**"));
    let parts = point.expect("a point of the list").split('`');
    let listed = parts
        .filter(|part| part.starts_with("lkl/"))
        .map(str::to_owned);
    assert_eq!(needy, listed.collect());
}

/// The programs of docs/lkl.md do what they are there for.
#[test]
fn programs_of_the_documentation() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = fs::read_to_string(LIBRARY.own().join("../../docs/lkl.md"));
    let text = text.expect("the documentation");
    let blocks = text.split("```c\n").skip(1);
    let programs: Vec<&str> = blocks
        .filter_map(|block| block.split("```").next())
        .collect();
    let [files] = programs[..] else {
        panic!("{} programs: test them here", programs.len());
    };
    let image = dir.path().join("disk.img");
    ext4(&image, 16);
    let source = dir.path().join("files.c");
    fs::write(&source, files).expect("a source");
    let program = LIBRARY.compile(&source, Linked::Shared, &dir);
    let output = run(Command::new(program).arg(&image));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("motd\n"), "{text}");
}
