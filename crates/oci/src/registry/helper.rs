//! [`ask`]: asks one of Docker's programs that keep passwords (`docker-credential-NAME`).

use std::io::Write;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::login::Login;
use crate::credentials::Credentials;
use crate::error::{Error, Result};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// What a program has for a server; `None`: nothing.
pub(super) fn ask(name: &str, server: &str) -> Result<Option<Login>> {
    let program = format!("docker-credential-{name}");
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !name.bytes().all(valid) {
        return Err(Error::invalid(program, "this is no name of a program"));
    }
    let failed = |error| Error::file(program.clone(), error);
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not read it says why.
        let _ = writeln!(input, "{server}");
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        // Docker's own words for it, which all of them use.
        let text = String::from_utf8_lossy(&output.stdout);
        if text.contains("credentials not found") {
            return Ok(None);
        }
        let text: String = text.trim().chars().take(200).collect();
        let problem = format!("it failed ({}): {}", output.status, text.escape_debug());
        return Err(Error::invalid(program, problem));
    }
    let answer: Answer = serde_json::from_slice(&output.stdout)
        // The error might have a part of the secret in it.
        .map_err(|_| Error::invalid(program, "its answer is no user and password"))?;
    Ok(Some(match answer.username.as_str() {
        "<token>" => Login::Refresh(answer.secret),
        user => Login::Password(Credentials::new(user, answer.secret)),
    }))
}
