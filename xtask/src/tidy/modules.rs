//! Finds circles among the modules that a crate's root declares, by paths that begin with
//! `crate::`, or with `super::`s that lead to the root.
//!
//! A re-export of the root counts as a use of the module that has it. Tests may use any
//! module.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::run::root;

/// Which module uses which, and in which file.
type Uses = BTreeMap<String, BTreeMap<String, PathBuf>>;

/// A complaint for each circle of a crate whose root is `root`: the modules in
/// it, each with a file that uses the next one.
///
/// The modules `allowed` may use each other as they like, and count as one to the
/// others. One of them that is in no circle with the rest is a complaint too.
pub(super) fn circles(root: &Path, allowed: &[&str]) -> Result<Vec<String>> {
    let names = Names::of(&tokens(root)?);
    let directory = root.parent().context("a root without a directory")?;
    let mut uses = Uses::new();
    for module in &names.modules {
        for (file, depth) in files(directory, module)? {
            for used in names.used(&tokens(&file)?, depth) {
                if used != *module {
                    let uses = uses.entry(module.clone()).or_default();
                    uses.entry(used).or_insert_with(|| file.clone());
                }
            }
        }
    }
    let mut complaints = unneeded(&uses, allowed);
    complaints.extend(describe(&as_one(uses, allowed)));
    Ok(complaints)
}

/// Those of `allowed` that need not be.
fn unneeded(uses: &Uses, allowed: &[&str]) -> Vec<String> {
    let mut among = uses.clone();
    among.retain(|module, _| allowed.contains(&module.as_str()));
    for used in among.values_mut() {
        used.retain(|module, _| allowed.contains(&module.as_str()));
    }
    let unneeded = allowed
        .iter()
        .filter(|module| shortest_way(&among, module).is_none());
    let tell = |module| format!("{module}: is in no circle; take it from CIRCLES_ALLOWED");
    unneeded.map(tell).collect()
}

/// The same with one module for all that are `allowed`.
fn as_one(uses: Uses, allowed: &[&str]) -> Uses {
    let name = |module: String| match allowed.contains(&module.as_str()) {
        true => allowed.join(" and "),
        false => module,
    };
    let mut merged = Uses::new();
    for (module, used) in uses {
        let module = name(module);
        for (used, file) in used {
            let used = name(used);
            if used != module {
                let uses = merged.entry(module.clone()).or_default();
                uses.entry(used).or_insert(file);
            }
        }
    }
    merged
}

fn tokens(file: &Path) -> Result<Vec<TokenTree>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let stream: TokenStream = text
        .parse()
        .map_err(|error| anyhow!("{}: {error}", file.display()))?;
    Ok(without_tests(stream))
}

/// The tokens of all items but those for tests only.
fn without_tests(stream: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut skipping = false;
    for token in stream {
        if skipping {
            // An item ends with its body, or with a semicolon.
            let body =
                matches!(&token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
            skipping = !body && !is(&token, ';');
            continue;
        }
        let attribute = token.to_string().replace(' ', "");
        if attribute == "[cfg(test)]" && kept.last().is_some_and(|last| is(last, '#')) {
            kept.pop();
            skipping = true;
            continue;
        }
        kept.push(token);
    }
    kept
}

fn is(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn ident(token: Option<&TokenTree>) -> Option<String> {
    match token {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    }
}

/// The files of a module, and how deep in the tree of modules each is.
fn files(directory: &Path, module: &str) -> Result<Vec<(PathBuf, usize)>> {
    let mut found = Vec::new();
    let own = directory.join(format!("{module}.rs"));
    if own.exists() {
        found.push((own, 1));
    }
    let mut directories = vec![(directory.join(module), 1)];
    while let Some((directory, depth)) = directories.pop() {
        if !directory.exists() {
            continue;
        }
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            match path.extension() {
                _ if stem == "tests" || stem.ends_with("_tests") => {}
                None => directories.push((path, depth + 1)),
                Some(_) if stem == "mod" => found.push((path, depth)),
                Some(_) => found.push((path, depth + 1)),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What names at the root of a crate stand for.
#[derive(Debug, Default)]
struct Names {
    modules: BTreeSet<String>,
    /// The module that has what is re-exported under a name.
    exported: BTreeMap<String, String>,
}

impl Names {
    fn of(root: &[TokenTree]) -> Names {
        let mut names = Names::default();
        for (n, token) in root.iter().enumerate() {
            match ident(Some(token)).as_deref() {
                Some("mod") => names.modules.extend(ident(root.get(n + 1))),
                Some("use") => {
                    let end = root[n..].iter().position(|token| is(token, ';'));
                    let path = &root[n + 1..n + end.unwrap_or(1)];
                    if let Some(module) = ident(path.first()) {
                        let mut exported = Vec::new();
                        last_names(path, &mut exported);
                        let pairs = exported.into_iter().map(|name| (name, module.clone()));
                        names.exported.extend(pairs);
                    }
                }
                _ => {}
            }
        }
        names
    }

    /// The module that a name at the root is, or is from.
    fn module(&self, name: String) -> Option<String> {
        if self.modules.contains(&name) {
            return Some(name);
        }
        let from = self.exported.get(&name)?;
        self.modules.contains(from).then(|| from.clone())
    }

    /// Modules that tokens name, in a file that is `depth` modules deep.
    fn used(&self, tokens: &[TokenTree], depth: usize) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        self.collect(tokens, depth, &mut used);
        used
    }

    fn collect(&self, tokens: &[TokenTree], depth: usize, used: &mut BTreeSet<String>) {
        let mut n = 0;
        while n < tokens.len() {
            if let TokenTree::Group(group) = &tokens[n] {
                let inner = without_tests(group.stream());
                // A module within the file.
                let is_module = n >= 2 && ident(tokens.get(n - 2)).as_deref() == Some("mod");
                self.collect(&inner, depth + usize::from(is_module), used);
            }
            let mut ups = 0;
            let mut at = n;
            let mut rooted = false;
            while let Some(word) = ident(tokens.get(at)) {
                match word.as_str() {
                    "crate" => rooted = true,
                    "super" => ups += 1,
                    _ => break,
                }
                if !(tokens.get(at + 1).is_some_and(|token| is(token, ':'))) {
                    break;
                }
                at += 3;
            }
            if (rooted || ups >= depth) && at > n {
                let names = match tokens.get(at) {
                    Some(TokenTree::Group(group)) => first_names(group.stream()),
                    token => ident(token).into_iter().collect(),
                };
                used.extend(names.into_iter().filter_map(|name| self.module(name)));
            }
            n = at.max(n + 1);
            // The group behind the path is looked into as well.
            if at > n && matches!(tokens.get(at), Some(TokenTree::Group(_))) {
                n = at;
            }
        }
    }
}

/// The first name of each path in a list.
fn first_names(list: TokenStream) -> Vec<String> {
    let tokens: Vec<TokenTree> = list.into_iter().collect();
    let paths = tokens.split(|token| is(token, ','));
    paths.filter_map(|path| ident(path.first())).collect()
}

/// The names under which a path, or a list of them, is known.
fn last_names(path: &[TokenTree], names: &mut Vec<String>) {
    match path.last() {
        Some(TokenTree::Group(group)) => {
            let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
            for path in tokens.split(|token| is(token, ',')) {
                last_names(path, names);
            }
        }
        last => names.extend(ident(last)),
    }
}

/// Each circle, as a shortest way around it.
fn describe(uses: &Uses) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut told = BTreeSet::new();
    for module in uses.keys() {
        if told.contains(module) {
            continue;
        }
        if let Some(circle) = shortest_way(uses, module) {
            told.extend(circle.iter().cloned());
            let steps = circle.iter().zip(circle.iter().cycle().skip(1));
            let file = |from: &str, to: &str| {
                let file = &uses[from][to];
                file.strip_prefix(root())
                    .unwrap_or(file)
                    .display()
                    .to_string()
            };
            let steps = steps.map(|(from, to)| format!("{} uses {to}", file(from, to)));
            let steps: Vec<String> = steps.collect();
            complaints.push(format!("a circle of modules: {}", steps.join(", ")));
        }
    }
    complaints
}

/// The shortest way from a module to itself.
fn shortest_way(uses: &Uses, start: &str) -> Option<Vec<String>> {
    let mut ways = std::collections::VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let last = way.last()?;
        for next in uses.get(last).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                let mut longer = way.clone();
                longer.push(next.clone());
                ways.push_back(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_of(files: &[(&str, &str)]) -> Result<Vec<String>> {
        crate_with(&[], files)
    }

    fn crate_with(allowed: &[&str], files: &[(&str, &str)]) -> Result<Vec<String>> {
        let dir = tempfile::tempdir()?;
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().context("a directory")?)?;
            fs::write(path, text)?;
        }
        let circles = circles(&dir.path().join("lib.rs"), allowed)?;
        let prefix = format!("{}/", dir.path().display());
        let circles = circles.iter().map(|text| text.replace(&prefix, ""));
        Ok(circles.collect())
    }

    #[test]
    fn a_circle_is_told() -> Result<()> {
        let root = (
            "lib.rs",
            "mod a; mod b; mod c; pub use c::{C, inner::D as E};",
        );
        let found = crate_of(&[
            root,
            ("a.rs", "use crate::{E, b::B};"),
            ("b.rs", "fn f() { g(crate::c::h()) }"),
            ("c/mod.rs", "mod deep;"),
            ("c/deep.rs", "use super::super::a::A;"),
        ])?;
        // From a to c it is one step, and another way leads over b.
        assert_eq!(
            found,
            [
                "a circle of modules: a.rs uses c, c/deep.rs uses a",
                "a circle of modules: b.rs uses c, c/deep.rs uses a, a.rs uses b"
            ]
        );
        let found = crate_of(&[
            root,
            ("a.rs", "use super::b::{B, deep::D};"),
            ("b.rs", "use crate::C; mod deep { use super::super::E; }"),
            ("c/mod.rs", "mod deep; use self::deep::D; use drupe::a::A;"),
            (
                "c/deep.rs",
                "use super::a; // crate::b\nconst TEXT: &str = \"crate::a\";",
            ),
        ])?;
        assert_eq!(found, [""; 0]);
        Ok(())
    }

    #[test]
    fn a_circle_that_is_allowed() -> Result<()> {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b;"),
            ("b.rs", "use crate::a; use crate::c;"),
            ("c.rs", ""),
        ];
        assert_eq!(crate_with(&["a", "b"], &files)?, [""; 0]);
        assert_eq!(
            crate_with(&["a", "b", "c"], &files)?,
            ["c: is in no circle; take it from CIRCLES_ALLOWED"]
        );
        // From b to c, and back to a.
        let mut files = files;
        files[3].1 = "use crate::a;";
        assert_eq!(
            crate_with(&["a", "b"], &files)?,
            ["a circle of modules: b.rs uses c, c.rs uses a and b"]
        );
        Ok(())
    }

    #[test]
    fn tests_may_use_anything() -> Result<()> {
        let found = crate_of(&[
            ("lib.rs", "mod a; #[cfg(test)] mod b; mod c;"),
            (
                "a.rs",
                "#[cfg(test)] use crate::c; #[cfg(test)] mod tests { use crate::c; }",
            ),
            ("c.rs", "use crate::a;"),
            ("a/tests.rs", "use crate::c;"),
        ])?;
        assert_eq!(found, [""; 0]);
        Ok(())
    }
}
