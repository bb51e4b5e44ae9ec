//! Runs the programs of the C toolchain, and asks their versions.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, IoContext, Result};

/// Removes all environment variables of `command` that a compiler does not need: `make`
/// would take them for its own, and cargo sets HOST, TARGET, DEBUG and others. …
pub(crate) fn clean_environment(command: &mut Command) {
    command.env_clear().env("LC_ALL", "C");
    for name in ["PATH", "HOME", "TMPDIR"] {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
}

/// The version lines of compiler and linker. They are part of an image's key, since
/// another compiler makes another image.
pub(crate) fn version() -> Result<String> {
    let mut versions = String::new();
    for program in ["gcc", "ld"] {
        let output = run(program, &["--version".as_ref()], "asking for its version")?;
        versions.extend(output.lines().next().map(|line| format!("{line}\n")));
    }
    Ok(versions)
}

/// Copies an executable without its symbols.
pub(crate) fn strip(from: &Path, to: &Path) -> Result<()> {
    run(
        "objcopy",
        &["--strip-all".as_ref(), from, to],
        "stripping the kernel",
    )
    .map(drop)
}

fn run(program: &str, arguments: &[&Path], purpose: &str) -> Result<String> {
    let mut command = Command::new(program);
    clean_environment(&mut command);
    let output = command
        .args(arguments)
        .output()
        .on("run", Path::new(program))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Program {
            program: format!("{program}, {purpose},"),
            status: output.status.to_string(),
            message: stderr
                .lines()
                .next_back()
                .unwrap_or("it said nothing")
                .to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_names_compiler_and_linker() {
        let version = version().unwrap();
        assert_eq!(version.lines().count(), 2);
        assert!(version.starts_with("gcc"), "{version}");
    }

    #[test]
    fn a_failed_program_is_quoted() {
        let error = strip(Path::new("/no/such/file"), Path::new("/no/such/copy")).unwrap_err();
        assert!(error.to_string().contains("/no/such/file"), "{error}");
    }
}
