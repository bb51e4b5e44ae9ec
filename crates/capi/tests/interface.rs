//! What the library shows is what `drupe.h` says, no more and no less.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use common::{Linked, check, compile, ext4, own, prefix, run};

fn header(name: &str) -> String {
    fs::read_to_string(own().join("include").join(name)).expect("a header")
}

/// C without comments.
fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").expect("a comment ends").1;
    }
    code + rest
}

/// The functions that a header declares.
fn declared(header: &str) -> BTreeSet<String> {
    let code = without_comments(header);
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let code: String = lines.flat_map(|line| [line, "\n"]).collect();
    let statements = code.split([';', '{', '}']).map(str::trim);
    let functions = statements.filter(|text| !text.starts_with("typedef"));
    let names = functions.filter_map(|text| {
        let before = text.split_once('(')?.0;
        let name = before
            .rsplit(|c: char| !c.is_alphanumeric() && c != '_')
            .next()?;
        name.starts_with("drupe_").then(|| name.to_owned())
    });
    names.collect()
}

/// The symbols that the library exports.
fn exported() -> BTreeSet<String> {
    let library = prefix().join("lib/libdrupe.so");
    let output = run(Command::new("nm")
        .args(["-D", "--defined-only", "-P"])
        .arg(library));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let names = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_header_declares_what_the_library_exports() {
    let (declared, exported) = (declared(&header("drupe.h")), exported());
    assert!(declared.len() > 100, "{declared:?}");
    let difference: Vec<_> = declared.symmetric_difference(&exported).collect();
    assert!(
        difference.is_empty(),
        "in one and not in the other: {difference:?}"
    );
}

/// Names and numbers of constants.
fn constants(text: &str, prefix: &str, separator: &str) -> BTreeMap<String, u32> {
    let lines = text.lines().filter_map(|line| {
        let (name, rest) = line.trim().strip_prefix(prefix)?.split_once(separator)?;
        let digits: String = rest
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == '_')
            .filter(|c| *c != '_')
            .collect();
        let upper = name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        Some((name.to_owned(), digits.parse().ok()?)).filter(|_| upper)
    });
    lines.collect()
}

#[test]
fn numbers_of_errors_are_the_codes() {
    let declared = constants(&header("drupe.h"), "DRUPE_ERROR_", " = ");
    let code = fs::read_to_string(own().join("src/failure.rs")).expect("the code");
    assert!(declared.len() > 20);
    assert_eq!(declared, constants(&code, "", " = "));
}

/// Flags are what the code takes them for: each constant there says which it is.
#[test]
fn numbers_of_flags_are_the_codes() {
    let header = header("drupe.h");
    let mut found = 0;
    for entry in fs::read_dir(own().join("src")).expect("the code") {
        let code = fs::read_to_string(entry.expect("a file").path()).expect("the code");
        for constant in code.split("/// `DRUPE_").skip(1) {
            let (name, rest) = constant.split_once("`.\n").expect("a name");
            let number = rest
                .split(" = ")
                .nth(1)
                .and_then(|rest| rest.split(';').next());
            let number = number.expect("a number");
            let forms = [
                format!("#define DRUPE_{name} {number}u"),
                format!("#define DRUPE_{name} {number}\n"),
            ];
            let is_there = forms.iter().any(|form| header.contains(form));
            assert!(is_there, "DRUPE_{name} is {number} in the code");
            found += 1;
        }
    }
    // Those of time are utimensat's own.
    assert!(header.contains(&format!("DRUPE_TIME_NOW {:#x}u", libc::UTIME_NOW)));
    assert!(header.contains(&format!("DRUPE_TIME_OMIT {:#x}u", libc::UTIME_OMIT)));
    let defined = header.lines().filter(|line| {
        let value = line
            .strip_prefix("#define DRUPE_")
            .and_then(|rest| rest.split(' ').nth(1));
        value.is_some_and(|value| value.starts_with(|c: char| c.is_ascii_digit()))
    });
    assert_eq!(found + 2, defined.count());
}

#[test]
fn numbers_of_system_calls_are_the_kernels() {
    let code = fs::read_to_string(own().join("../drupe/src/sys/nr.rs")).expect("the code");
    let wanted = constants(&code, "pub const ", ": usize = ");
    let declared = header("drupe_nr.h").to_uppercase();
    let declared = constants(&declared, "#DEFINE DRUPE_NR_", " ");
    assert!(declared.len() > 300);
    assert_eq!(declared, wanted);
}

#[test]
fn structures_are_the_same() {
    check("layout", Linked::Shared, &[""; 0]);
}

/// The headers stand alone, in the order of the alphabet and the other, as old C and as C++.
#[test]
fn headers_are_of_any_dialect() {
    let dir = tempfile::tempdir().expect("a directory");
    let include = prefix().join("include");
    let dialects: &[(&str, &[&str])] = &[
        ("cc", &["-std=c90", "-xc"]),
        ("cc", &["-std=c2x", "-xc"]),
        ("c++", &["-std=c++11", "-xc++"]),
    ];
    for headers in [["drupe.h", "drupe_nr.h"], ["drupe_nr.h", "drupe.h"]] {
        let [first, second] = headers;
        let text = format!(
            "#include <{first}>\n#include <{second}>\n#include <{first}>\n\
             void f(struct drupe_mount_options *options);\n\
             void f(struct drupe_mount_options *options) {{ DRUPE_INIT(options); }}\n"
        );
        let source = dir.path().join("header.c");
        fs::write(&source, text).expect("a source");
        for (compiler, dialect) in dialects {
            run(Command::new(compiler)
                .args(*dialect)
                .args([
                    "-Wall",
                    "-Wextra",
                    "-Wpedantic",
                    "-Werror",
                    "-fsyntax-only",
                    "-I",
                ])
                .arg(&include)
                .arg(&source));
        }
    }
}

/// The programs of docs/c.md do what they are there for.
#[test]
fn programs_of_the_documentation() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = fs::read_to_string(own().join("../../docs/c.md")).expect("the documentation");
    let blocks = text.split("```c\n").skip(1);
    let programs: Vec<&str> = blocks
        .filter_map(|block| block.split("```").next())
        .collect();
    let [files, sockets] = programs[..] else {
        panic!("{} programs: test them here", programs.len());
    };
    let image = dir.path().join("disk.img");
    ext4(&image, 16);
    for (name, program, argument, shown) in [
        ("files", files, Some(&image), "motd\n"),
        ("sockets", sockets, None, "hello\n"),
    ] {
        let source = dir.path().join(format!("{name}.c"));
        fs::write(&source, program).expect("a source");
        let program = compile(&source, Linked::Shared, &dir);
        let output = run(Command::new(program).args(argument));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(text.contains(shown), "{text}");
    }
}
