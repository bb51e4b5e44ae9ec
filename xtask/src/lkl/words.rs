//! C text as words: what the headers of the kernel define, and the same text with a
//! prefix before each of these names.

use std::collections::BTreeSet;

/// A piece of C text. All pieces together are the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Piece<'a> {
    /// An identifier or keyword.
    Word(&'a str),
    /// One character that has a meaning of its own.
    Mark(char),
    /// Blanks, comments, literals and numbers.
    Other(&'a str),
    /// A line that includes a header, up to its end.
    Include(&'a str),
}

/// Cuts C text into pieces.
pub(crate) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = length(rest, first);
        let (piece, after) = rest.split_at(len);
        pieces.push(match first {
            '#' if len > 1 => Piece::Include(piece),
            'a'..='z' | 'A'..='Z' | '_' => Piece::Word(piece),
            _ if is_other(piece, first) => Piece::Other(piece),
            mark => Piece::Mark(mark),
        });
        rest = after;
    }
    pieces
}

fn is_other(piece: &str, first: char) -> bool {
    piece.len() > first.len_utf8()
        || first.is_whitespace()
        || first.is_ascii_digit()
        || matches!(first, '"' | '\'')
}

/// Bytes of the piece that `rest` begins with.
fn length(rest: &str, first: char) -> usize {
    let end = |found: Option<usize>| found.unwrap_or(rest.len());
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match first {
        '/' if rest.starts_with("/*") => end(rest.find("*/").map(|at| at + 2)),
        '/' if rest.starts_with("//") => end(rest.find('\n')),
        '#' => {
            let directive = rest[1..].trim_start_matches([' ', '\t']);
            match directive.starts_with("include") {
                true => end(rest.find('\n')),
                false => 1,
            }
        }
        '"' | '\'' => literal(rest, first),
        c if is_part(c) => end(rest.find(|c| !is_part(c))),
        c if c.is_whitespace() => end(rest.find(|c: char| !c.is_whitespace())),
        c => c.len_utf8(),
    }
}

fn literal(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '\\' if !escaped => escaped = true,
            // An apostrophe in prose, such as the text of an #error.
            '\n' if !escaped => return 1,
            c if c == quote && !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    1
}

/// The words and marks.
fn significant(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = pieces(text);
    pieces.retain(|piece| matches!(piece, Piece::Word(_) | Piece::Mark(_)));
    pieces
}

/// C text without the lines that are for the preprocessor.
fn without_directives(text: &str) -> String {
    let mut code = String::new();
    let mut directive = false;
    for line in text.lines() {
        directive |= line.trim_start().starts_with('#');
        if !directive {
            code.push_str(line);
            code.push('\n');
        }
        directive &= line.ends_with('\\');
    }
    code
}

/// The path that a line includes.
pub(crate) fn included(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once('<')?;
    Some(rest.split_once('>')?.0)
}

/// The names that headers define.
#[derive(Default, Debug)]
pub(crate) struct Names {
    /// Macros, types, functions and constants: they are meant wherever the word is.
    words: BTreeSet<String>,
    /// Tags of structures and unions: they are meant behind `struct` and `union`.
    tags: BTreeSet<String>,
}

impl Names {
    /// Adds a structure or union that the headers name without defining it.
    pub(crate) fn add_tag(&mut self, tag: &str) {
        insert(&mut self.tags, tag);
    }

    /// Adds all that a header defines.
    pub(crate) fn collect(&mut self, text: &str) {
        for window in significant(text).windows(3) {
            if let [Piece::Mark('#'), Piece::Word("define"), Piece::Word(name)] = *window {
                self.add(name);
            }
        }
        let code = without_directives(text);
        let pieces = significant(&code);
        for (at, window) in pieces.windows(3).enumerate() {
            match *window {
                [
                    Piece::Word("struct" | "union"),
                    Piece::Word(tag),
                    Piece::Mark('{'),
                ] => {
                    insert(&mut self.tags, tag);
                }
                [Piece::Word("enum"), Piece::Word(tag), Piece::Mark('{')] => {
                    self.add(tag);
                    self.constants(&pieces[at + 3..]);
                }
                [Piece::Word("enum"), Piece::Mark('{'), _] => self.constants(&pieces[at + 2..]),
                [Piece::Word("typedef"), ..] => self.typedef(&pieces[at + 1..]),
                [Piece::Word("static"), Piece::Word(inline), _] if inline.contains("inline") => {
                    self.function(&pieces[at + 2..]);
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, word: &str) {
        insert(&mut self.words, word);
    }

    /// The constants of an enumeration, whose text begins behind the brace.
    fn constants(&mut self, pieces: &[Piece<'_>]) {
        let (mut depth, mut first) = (0, true);
        for piece in pieces {
            match *piece {
                Piece::Word(name) if first => {
                    self.add(name);
                    first = false;
                }
                Piece::Mark('(') => depth += 1,
                Piece::Mark(')') => depth -= 1,
                Piece::Mark(',') if depth == 0 => first = true,
                Piece::Mark('}') => return,
                _ => {}
            }
        }
    }

    /// The name of a typedef: the last word of it, or the one in `(*name)`.
    fn typedef(&mut self, pieces: &[Piece<'_>]) {
        let mut depth = 0;
        let mut last = None;
        for (at, piece) in pieces.iter().enumerate() {
            match *piece {
                Piece::Mark('(') if depth == 0 => {
                    if let Some([Piece::Mark('*'), Piece::Word(name)]) = pieces.get(at + 1..at + 3)
                    {
                        last = Some(*name);
                    }
                    break;
                }
                Piece::Mark('{' | '[') => depth += 1,
                Piece::Mark('}' | ']') => depth -= 1,
                Piece::Mark(';') if depth == 0 => break,
                Piece::Word("__attribute__") if depth == 0 => break,
                Piece::Word(name) if depth == 0 => last = Some(name),
                _ => {}
            }
        }
        if let Some(name) = last {
            self.add(name);
        }
    }

    /// The name of a function: the word before its first parenthesis.
    fn function(&mut self, pieces: &[Piece<'_>]) {
        let parenthesis = pieces
            .iter()
            .position(|piece| matches!(piece, Piece::Mark('(' | ';' | '{')));
        let before = parenthesis.and_then(|at| pieces[..at].last());
        if let Some(Piece::Word(name)) = before {
            self.add(name);
        }
    }

    /// The text with the prefix before each name. Paths that `header` knows are those of
    /// the headers beside it.
    pub(crate) fn prefixed(&self, text: &str, header: impl Fn(&str) -> bool) -> String {
        let mut result = String::with_capacity(text.len() * 5 / 4);
        let mut tag = false;
        for piece in pieces(text) {
            match piece {
                Piece::Word(word) => {
                    match self.words.contains(word) || (tag && self.tags.contains(word)) {
                        true => result.push_str(&prefix(word)),
                        false => result.push_str(word),
                    }
                    tag = matches!(word, "struct" | "union");
                }
                Piece::Mark(mark) => {
                    result.push(mark);
                    tag = false;
                }
                Piece::Other(text) => result.push_str(text),
                Piece::Include(line) => match included(line).filter(|path| header(path)) {
                    Some(path) => {
                        let line = line.replace(&format!("<{path}>"), &format!("<lkl/{path}>"));
                        result.push_str(&line);
                    }
                    None => result.push_str(line),
                },
            }
        }
        result
    }
}

fn insert(names: &mut BTreeSet<String>, name: &str) {
    let bare = name.trim_start_matches('_');
    if !bare.starts_with("lkl") && !bare.starts_with("LKL") {
        names.insert(name.to_owned());
    }
}

/// `O_RDONLY`: `LKL_O_RDONLY`; `stat`: `lkl_stat`; `__u32`: `__lkl__u32`.
pub(crate) fn prefix(name: &str) -> String {
    let underscores = match name {
        name if name.starts_with("__") => "__",
        name if name.starts_with('_') => "_",
        _ => "",
    };
    let upper = name.contains(|c: char| c.is_ascii_uppercase())
        && !name.contains(|c: char| c.is_ascii_lowercase());
    let lkl = if upper { "LKL" } else { "lkl" };
    let between = if underscores.is_empty() { "_" } else { "" };
    format!("{underscores}{lkl}{between}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_those_of_lkl() {
        for (name, wanted) in [
            ("O_RDONLY", "LKL_O_RDONLY"),
            ("stat", "lkl_stat"),
            ("__u32", "__lkl__u32"),
            ("_NSIG", "_LKL_NSIG"),
            ("__NR_read", "__lkl__NR_read"),
            ("__BITS_PER_LONG", "__LKL__BITS_PER_LONG"),
            ("AF_DECnet", "lkl_AF_DECnet"),
        ] {
            assert_eq!(prefix(name), wanted);
        }
    }

    #[test]
    fn pieces_are_the_text() {
        let text = "#include <a.h>\n/* don't */ x = 'a' + \"b\\\"c\"; // it's\n#error it's\ny(1u)";
        let together: String = pieces(text)
            .iter()
            .map(|piece| match piece {
                Piece::Word(text) | Piece::Other(text) | Piece::Include(text) => text.to_string(),
                Piece::Mark(mark) => mark.to_string(),
            })
            .collect();
        assert_eq!(together, text);
    }

    #[test]
    fn what_a_header_defines_gets_a_prefix_and_nothing_else() {
        let header = "#include <linux/b.h>\n#include <stdio.h>\n#define LIMIT 3 /* LIMIT */\n\
                      typedef struct { int a[2]; } pair_t;\ntypedef void (*call_t)(int);\n\
                      enum kind { ONE = (1 << 0), TWO,\n#define TWO TWO\n THREE };\n\
                      struct stat { int stat; struct other *next; pair_t p; };\n\
                      static __inline__ int twice(int a) { return a * LIMIT; }\n";
        let mut names = Names::default();
        names.collect(header);
        let wanted = "#include <lkl/linux/b.h>\n#include <stdio.h>\n#define LKL_LIMIT 3 /* LIMIT */\n\
                      typedef struct { int a[2]; } lkl_pair_t;\ntypedef void (*lkl_call_t)(int);\n\
                      enum lkl_kind { LKL_ONE = (1 << 0), LKL_TWO,\n#define LKL_TWO LKL_TWO\n LKL_THREE };\n\
                      struct lkl_stat { int stat; struct other *next; lkl_pair_t p; };\n\
                      static __inline__ int lkl_twice(int a) { return a * LKL_LIMIT; }\n";
        assert_eq!(names.prefixed(header, |path| path == "linux/b.h"), wanted);
    }
}
