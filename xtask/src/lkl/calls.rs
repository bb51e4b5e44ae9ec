//! The system calls as C functions: `asm/syscall_defs.h`, from the kernel's table and its
//! prototypes. Names are the kernel's own; the prefix comes later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::words::{Piece, pieces};

/// Words that make up types of C's own.
const BASIC: [&str; 8] = [
    "char", "int", "long", "short", "signed", "unsigned", "void", "bool",
];
/// Words that C++ has for itself.
const RESERVED: [&str; 4] = ["class", "delete", "new", "this"];

/// An argument of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Argument {
    /// "const char *".
    kind: String,
    name: String,
    /// Tag of the structure or union that it points to.
    tag: Option<(String, String)>,
}

/// The file, and the tags of the structures that it names.
pub(crate) struct Calls {
    pub(crate) text: String,
    pub(crate) tags: BTreeSet<String>,
}

/// `numbers`: the header with `__NR_`; `table`: `scripts/syscall.tbl`; `prototypes`:
/// `include/linux/syscalls.h`.
pub(crate) fn calls(numbers: &str, table: &str, prototypes: &str) -> Calls {
    let prototypes = parse(prototypes);
    let functions = functions(table);
    let names = numbers.lines().filter_map(|line| {
        let rest = line.trim().strip_prefix("#define __NR_")?;
        rest.split_whitespace().next()
    });
    let mut body = String::new();
    let mut tags = BTreeSet::new();
    for name in names {
        let Some(&function) = functions.get(name) else {
            continue;
        };
        let Some(arguments) = prototypes.get(function) else {
            continue;
        };
        tags.extend(arguments.iter().filter_map(|argument| argument.tag.clone()));
        wrapper(&mut body, name, name, arguments);
        if name != function {
            let _ = writeln!(body, "#ifndef __NR_{function}");
            let _ = writeln!(body, "#define __NR_{function} __NR_{name}");
            wrapper(&mut body, function, name, arguments);
            let _ = writeln!(body, "#endif");
        }
    }
    let mut text = String::from("#ifndef _ASM_SYSCALL_DEFS_H\n#define _ASM_SYSCALL_DEFS_H\n\n");
    for (kind, tag) in &tags {
        let _ = writeln!(text, "{kind} {tag};");
    }
    let _ = write!(text, "\n{body}\n#endif\n");
    Calls {
        text,
        tags: tags.into_iter().map(|(_, tag)| tag).collect(),
    }
}

fn wrapper(text: &mut String, function: &str, name: &str, arguments: &[Argument]) {
    let parameters: Vec<String> = arguments
        .iter()
        .map(|argument| format!("{}{}", argument.kind, argument.name))
        .collect();
    let parameters = match parameters.is_empty() {
        true => "void".to_owned(),
        false => parameters.join(", "),
    };
    let words: Vec<String> = arguments
        .iter()
        .map(|argument| format!("(long){}", argument.name))
        .collect();
    let words = match words.is_empty() {
        true => "0".to_owned(),
        false => words.join(", "),
    };
    let _ = writeln!(
        text,
        "static inline long lkl_sys_{function}({parameters})\n{{\n\
         \tlong lkl_params[6] = {{ {words} }};\n\n\
         \treturn lkl_syscall(__NR_{name}, lkl_params);\n}}"
    );
}

/// The function that serves each call of a 64-bit machine.
fn functions(table: &str) -> BTreeMap<&str, &str> {
    let mut functions = BTreeMap::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [_, abi, name, entry, ..] = columns[..] else {
            continue;
        };
        if abi != "32" && abi != "time32" {
            let function = entry.strip_prefix("sys_").unwrap_or(entry);
            functions.entry(name).or_insert(function);
        }
    }
    functions
}

/// All `asmlinkage long sys_NAME(…);`, by name.
fn parse(text: &str) -> BTreeMap<&str, Vec<Argument>> {
    let pieces: Vec<Piece<'_>> = pieces(text)
        .into_iter()
        .filter(|piece| !matches!(piece, Piece::Other(_)))
        .collect();
    let mut prototypes = BTreeMap::new();
    for (at, window) in pieces.windows(4).enumerate() {
        let [
            Piece::Word("asmlinkage"),
            Piece::Word("long"),
            Piece::Word(name),
            Piece::Mark('('),
        ] = *window
        else {
            continue;
        };
        let rest = &pieces[at + 4..];
        let end = rest.iter().position(|piece| *piece == Piece::Mark(';'));
        let end = end.unwrap_or(rest.len()).saturating_sub(1);
        let arguments = rest[..end].split(|piece| *piece == Piece::Mark(','));
        let arguments: Option<Vec<Argument>> = arguments
            .enumerate()
            .filter(|(_, pieces)| !matches!(pieces, [] | [Piece::Word("void")]))
            .map(|(index, pieces)| argument(pieces, index))
            .collect();
        if let (Some(name), Some(arguments)) = (name.strip_prefix("sys_"), arguments) {
            prototypes.entry(name).or_insert(arguments);
        }
    }
    prototypes
}

/// One argument; `None` if it is something else than a type with or without a name.
fn argument(pieces: &[Piece<'_>], index: usize) -> Option<Argument> {
    let mut kind: Vec<&str> = Vec::new();
    let mut tag = None;
    let mut name = None;
    let (mut pointers, mut complete) = (0, false);
    let mut pieces = pieces.iter().peekable();
    while let Some(piece) = pieces.next() {
        match *piece {
            Piece::Word("__user") => {}
            Piece::Word("const") if pointers == 0 => kind.push("const"),
            Piece::Word("const") => {}
            Piece::Word(word @ ("struct" | "union" | "enum")) => {
                let Piece::Word(of) = *pieces.next()? else {
                    return None;
                };
                kind.extend([word, of]);
                tag = (word != "enum").then(|| (word.to_owned(), of.to_owned()));
                complete = true;
            }
            Piece::Word(word) if BASIC.contains(&word) => {
                kind.push(word);
                complete = true;
            }
            Piece::Word(word) if !complete => {
                kind.push(word);
                complete = true;
            }
            Piece::Word(word) => name = Some(word),
            Piece::Mark('*') => pointers += 1,
            Piece::Mark('[') => pointers += 1,
            Piece::Mark(']') => {}
            _ => return None,
        }
    }
    let name = match name {
        Some(name) if RESERVED.contains(&name) => format!("{name}_"),
        Some(name) => name.to_owned(),
        None => format!("a{index}"),
    };
    Some(Argument {
        kind: format!("{} {}", kind.join(" "), "*".repeat(pointers)),
        name,
        tag: tag.filter(|_| pointers > 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_becomes_a_function_of_each_of_its_names() {
        let numbers = "#define __NR_umount2 39\n#define __NR_nothing 1\n#define __NR_sync 81\n";
        let table = "39\tcommon\tumount2\tsys_umount\n81\ttime32\tsync\tsys_wrong\n\
                     81\tcommon\tsync\tsys_sync\n";
        let prototypes = "asmlinkage long sys_umount(char __user *name, int);\n\
                          #if 1\nasmlinkage long sys_sync(void);\n#endif\n";
        let calls = calls(numbers, table, prototypes);
        let wanted = "static inline long lkl_sys_umount(char *name, int a1)\n{\n\
                      \tlong lkl_params[6] = { (long)name, (long)a1 };\n\n\
                      \treturn lkl_syscall(__NR_umount2, lkl_params);\n}\n";
        assert!(calls.text.contains(wanted), "{}", calls.text);
        assert!(
            calls
                .text
                .contains("long lkl_sys_umount2(char *name, int a1)")
        );
        assert!(calls.text.contains("long lkl_sys_sync(void)"));
        assert!(!calls.text.contains("nothing"));
    }

    #[test]
    fn arguments_have_types_and_names() {
        let text = "asmlinkage long sys_x(const struct a __user *b, unsigned, u32 *const new,\n\
                    struct t __user * __user *, int v[2], enum e f);";
        let prototypes = parse(text);
        let shown: Vec<String> = prototypes["x"]
            .iter()
            .map(|argument| format!("{}{}", argument.kind, argument.name))
            .collect();
        assert_eq!(
            shown,
            [
                "const struct a *b",
                "unsigned a1",
                "u32 *new_",
                "struct t **a3",
                "int *v",
                "enum e f"
            ]
        );
        assert_eq!(prototypes["x"][0].tag, Some(("struct".into(), "a".into())));
    }
}
