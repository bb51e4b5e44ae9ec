//! The kernel's configuration: merges its fragments, runs Kconfig, and checks the result.
//!
//! Options that no fragment sets are off (`make allnoconfig` with the fragments as its
//! list of exceptions). Kconfig silently drops requests that it cannot honour;
//! [`configure`] compares, and names them in an error.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext, Result};
use crate::flavour::Flavour;
use crate::overlay::{ARCH, Overlay};
use crate::prepared::Prepared;
use crate::progress::Report;

/// The value that a fragment sets for one symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    /// `y`, `n`, a number or a quoted string.
    value: String,
    /// The fragment, relative to the overlay.
    file: PathBuf,
}

/// Requests by symbol, `CONFIG_` included.
type Requests = BTreeMap<String, Request>;

/// The fragments of `flavour` as one text, sorted and without comments.
pub(crate) fn merged(overlay: &Overlay, flavour: &Flavour) -> Result<String> {
    let requests = requests(overlay, flavour)?;
    Ok(requests
        .iter()
        .map(|(symbol, request)| format!("{symbol}={}\n", request.value))
        .collect())
}

/// Configures the build directory of `prepared`.
pub(crate) fn configure(
    prepared: &Prepared,
    overlay: &Overlay,
    flavour: &Flavour,
    report: Report<'_>,
) -> Result<()> {
    let list = prepared.build().join("drupe.config");
    fs::write(&list, merged(overlay, flavour)?).on("write", &list)?;
    let list = format!("KCONFIG_ALLCONFIG={}", list.display());
    // Kconfig warns of names it does not know only when it is asked to.
    let arguments = ["allnoconfig", &list, "KCONFIG_WARN_UNKNOWN_SYMBOLS=1"];
    let output = prepared.make("config.log", &arguments, report)?;
    let unknown = output.lines.iter().filter_map(|line| unknown_symbol(line));
    let config = prepared.build().join(".config");
    let config = fs::read_to_string(&config).on("read", &config)?;
    forget_vanished(prepared.build(), &config)?;
    let requests = requests(overlay, flavour)?;
    let lost = lost(&requests, &config, &unknown.collect::<Vec<_>>());
    if lost.is_empty() {
        return Ok(());
    }
    Err(Error::ConfigLost {
        flavour: flavour.name().to_owned(),
        lost: lost.join(", "),
    })
}

/// Makes `make` compile the users of symbols that are not set any more, by touching
/// `include/config/SYMBOL`. Kconfig does that itself, except for a symbol that is still
/// mentioned but no longer defined, as with an older overlay (`conf_touch_deps()`,
/// scripts/kconfig/confdata.c).
fn forget_vanished(build: &Path, config: &str) -> Result<()> {
    let compiled_with = build.join("include/config/auto.conf");
    let Ok(old) = fs::read_to_string(&compiled_with) else {
        return Ok(()); // Nothing was compiled yet.
    };
    for symbol in vanished(&old, config) {
        let name = symbol.trim_start_matches("CONFIG_");
        let stamp = build.join("include/config").join(name);
        fs::write(&stamp, "").on("write", &stamp)?;
    }
    Ok(())
}

/// The symbols that `old` sets and `new` does not.
fn vanished<'a>(old: &'a str, new: &str) -> Vec<&'a str> {
    let new: BTreeMap<&str, &str> = new.lines().filter_map(parse_line).collect();
    let symbols = old.lines().filter_map(parse_line).map(|(symbol, _)| symbol);
    symbols.filter(|symbol| !new.contains_key(symbol)).collect()
}

fn requests(overlay: &Overlay, flavour: &Flavour) -> Result<Requests> {
    let mut all = Requests::new();
    for name in flavour.fragments() {
        let relative = Path::new(ARCH)
            .join("configs")
            .join(format!("{name}.config"));
        let path = overlay.configs().join(format!("{name}.config"));
        let text = fs::read_to_string(&path).on("read", &path)?;
        parse(&text, &relative, &mut all)?;
    }
    Ok(all)
}

/// Adds the lines of a fragment to `all`.
fn parse(text: &str, file: &Path, all: &mut Requests) -> Result<()> {
    for (index, line) in text.lines().enumerate() {
        let Some((symbol, value)) = parse_line(line) else {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (file, text) = (file.to_owned(), line.to_owned());
            return Err(Error::FragmentSyntax {
                file,
                line: index + 1,
                text,
            });
        };
        let request = Request {
            value: value.to_owned(),
            file: file.to_owned(),
        };
        match all.get(symbol) {
            Some(first) if first.value != request.value => {
                return Err(Error::FragmentConflict {
                    symbol: symbol.to_owned(),
                    first: first.value.clone(),
                    first_file: first.file.clone(),
                    second: request.value,
                    second_file: request.file,
                });
            }
            _ => drop(all.insert(symbol.to_owned(), request)),
        }
    }
    Ok(())
}

/// Parses the two forms of a configuration line: `CONFIG_X=value`, `# CONFIG_X is not
/// set`.
fn parse_line(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_end();
    if let Some(symbol) = line
        .strip_prefix("# ")
        .and_then(|line| line.strip_suffix(" is not set"))
    {
        return symbol.starts_with("CONFIG_").then_some((symbol, "n"));
    }
    line.split_once('=').filter(|(symbol, _)| {
        symbol.starts_with("CONFIG_")
            && symbol
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// The symbol X in Kconfig's warning `file:1:warning: unknown symbol: X`.
fn unknown_symbol(line: &str) -> Option<String> {
    let (_, symbol) = line.split_once("warning: unknown symbol: ")?;
    Some(format!("CONFIG_{}", symbol.trim()))
}

/// The requests that `config` does not honour. Those for names that Kconfig does not know
/// count too, or a misspelt symbol that is to be off would pass.
fn lost(requests: &Requests, config: &str, unknown: &[String]) -> Vec<String> {
    let actual: BTreeMap<&str, &str> = config.lines().filter_map(parse_line).collect();
    let honoured = |(symbol, request): &(&String, &Request)| {
        actual.get(symbol.as_str()).copied().unwrap_or("n") == request.value
            && !unknown.contains(symbol)
    };
    let lost = requests.iter().filter(|request| !honoured(request));
    lost.map(|(symbol, request)| format!("{symbol}={} ({})", request.value, request.file.display()))
        .collect()
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
