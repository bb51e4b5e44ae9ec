//! [`Login`]: the user and password for a registry, as given or found in the files that
//! Docker and podman keep them in.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::helper;
use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::manifest;
use crate::reference::RegistryName;
use crate::verify;

/// What is sent to a registry, or to its server of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Login {
    Password(Credentials),
    /// A token with which others are asked for.
    Refresh(String),
}

#[derive(Deserialize)]
struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    /// Programs that keep the passwords of some registries.
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    /// The program that keeps those of all others.
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

/// Docker Hub, as Docker's files and programs call it.
const HUB: &str = "https://index.docker.io/v1/";

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default, rename = "identitytoken")]
    identity_token: Option<String>,
}

/// The files, in the order in which they are looked at.
fn files() -> Vec<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    // Who names a file means that one.
    if let Some(file) = var("REGISTRY_AUTH_FILE") {
        return vec![file.into()];
    }
    let podman = var("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("containers/auth.json"));
    let home = || var("HOME").map(|home| PathBuf::from(home).join(".docker"));
    let docker = var("DOCKER_CONFIG").map(PathBuf::from).or_else(home);
    let docker = docker.map(|dir| dir.join("config.json"));
    podman.into_iter().chain(docker).collect()
}

/// What the user's files say of a registry.
pub(super) fn find(name: &RegistryName) -> Result<Option<Login>> {
    for path in files() {
        let shown = path.display().to_string();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::file(shown, error)),
        };
        let bytes = verify::limited(file, &shown)?;
        let found = find_in(&shown, &bytes, name)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn find_in(shown: &str, bytes: &[u8], name: &RegistryName) -> Result<Option<Login>> {
    // Its errors may have a part of the text in them.
    let file: AuthFile = manifest::parse(shown, bytes)
        .map_err(|_| Error::invalid(shown, "it is no file with credentials"))?;
    let keys = keys(name);
    let is_for = |known: &str, key: &str| known == key || host_of(known) == Some(key);
    let server = match name.is_hub() {
        true => HUB,
        false => &name.host,
    };
    if let Some(program) = file.helpers.get(&name.host).or(file.helpers.get(server)) {
        return helper::ask(program, server);
    }
    let entry = keys.iter().find_map(|key| {
        let found = file.auths.iter().find(|(known, _)| is_for(known, key));
        found.map(|(_, entry)| entry)
    });
    let store = || match file.store.as_ref().filter(|store| !store.is_empty()) {
        Some(program) => helper::ask(program, server),
        None => Ok(None),
    };
    let Some(entry) = entry else {
        return store();
    };
    if let Some(token) = entry.identity_token.as_ref().filter(|t| !t.is_empty()) {
        return Ok(Some(Login::Refresh(token.clone())));
    }
    let Some(auth) = entry.auth.as_ref().filter(|auth| !auth.is_empty()) else {
        return store();
    };
    let text = STANDARD.decode(auth.trim()).ok();
    let text = text.and_then(|text| String::from_utf8(text).ok());
    let pair = text.as_deref().and_then(|text| text.split_once(':'));
    match pair {
        Some((user, password)) => {
            let password = password.trim_end_matches('\0');
            Ok(Some(Login::Password(Credentials::new(user, password))))
        }
        None => {
            let problem = format!("what it has for {} is no user and password", name.host);
            Err(Error::invalid(shown, problem))
        }
    }
}

/// What a registry may be called in a file: the repository, what it is in, the host.
fn keys(name: &RegistryName) -> Vec<String> {
    let full = format!("{}/{}", name.host, name.repository);
    let ends = full.match_indices('/').map(|(at, _)| at);
    let mut ends: Vec<usize> = ends.chain([full.len()]).collect();
    ends.reverse();
    let mut keys: Vec<String> = ends.into_iter().map(|end| full[..end].to_owned()).collect();
    if name.is_hub() {
        keys.extend(["index.docker.io", "registry-1.docker.io"].map(str::to_owned));
    }
    keys
}

/// The host of an address, as older versions of Docker wrote them.
fn host_of(address: &str) -> Option<&str> {
    let rest = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))?;
    rest.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(file: &str, name: &str) -> Option<Login> {
        let name = match format!("docker://{name}").parse() {
            Ok(crate::Reference::Registry(name)) => name,
            other => panic!("{other:?}"),
        };
        find_in("file", file.as_bytes(), &name).expect("a valid file")
    }

    fn user(login: Option<Login>) -> Option<String> {
        match login {
            Some(Login::Password(Credentials { user, .. })) => Some(user),
            _ => None,
        }
    }

    #[test]
    fn the_most_particular_entry_counts() {
        let auth = |user: &str| STANDARD.encode(format!("{user}:secret:word"));
        let file = format!(
            r#"{{"auths": {{
                "q.io": {{"auth": "{}"}}, "q.io/a": {{"auth": "{}"}},
                "https://index.docker.io/v1/": {{"auth": "{}"}},
                "r.io": {{"identitytoken": "token"}}, "empty.io": {{}}
            }}}}"#,
            auth("all"),
            auth("a"),
            auth("hub")
        );
        assert_eq!(user(find(&file, "q.io/b/c")).as_deref(), Some("all"));
        assert_eq!(user(find(&file, "q.io/a/c")).as_deref(), Some("a"));
        assert_eq!(user(find(&file, "q.io/ab")).as_deref(), Some("all"));
        assert_eq!(user(find(&file, "debian")).as_deref(), Some("hub"));
        assert_eq!(find(&file, "r.io/x"), Some(Login::Refresh("token".into())));
        assert_eq!(find(&file, "empty.io/x"), None);
        assert_eq!(find(&file, "s.io/x"), None);
        let Some(Login::Password(found)) = find(&file, "q.io/b") else {
            panic!("no password");
        };
        assert_eq!(found.password, "secret:word");
        assert!(!format!("{found:?}").contains("secret"));
    }
}
