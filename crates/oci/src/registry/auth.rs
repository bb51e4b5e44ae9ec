//! [`Auth`]: answers a registry that asks who is there.

use std::io::Read as _;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::challenge::Challenge;
use super::http::{Client, Reply};
use super::login::{self, Login};
use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::manifest::LIMIT;
use crate::options::Options;
use crate::reference::RegistryName;

/// What a registry is told of who is there.
pub(super) struct Auth {
    name: RegistryName,
    given: Option<Credentials>,
    /// The header `Authorization`, when it was asked for.
    header: Mutex<Option<String>>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

impl Auth {
    pub(super) fn new(name: &RegistryName, options: &Options) -> Auth {
        Auth {
            name: name.clone(),
            given: options.credentials.clone(),
            header: Mutex::default(),
        }
    }

    /// The header to send.
    pub(super) fn header(&self) -> Option<String> {
        let header = self.header.lock().unwrap_or_else(PoisonError::into_inner);
        header.clone()
    }

    /// Who is there, for messages.
    pub(super) fn user(&self) -> String {
        match self.login() {
            Ok(Some(Login::Password(credentials))) => {
                format!("the user {}", credentials.user.escape_debug())
            }
            Ok(Some(Login::Refresh(_))) => "you".to_owned(),
            _ => "someone without a name".to_owned(),
        }
    }

    fn login(&self) -> Result<Option<Login>> {
        match &self.given {
            Some(given) => Ok(Some(Login::Password(given.clone()))),
            None => login::find(&self.name),
        }
    }

    /// Does what the reply asks for: from now on there is a header.
    pub(super) fn answer(&self, client: &Client, reply: &Reply) -> Result<()> {
        let shown = format!("docker://{}", self.name);
        let failed = |problem: String| Error::Registry {
            name: shown.clone(),
            problem,
            status: Some(reply.status),
        };
        let challenges: Vec<Challenge> = reply
            .headers("WWW-Authenticate")
            .flat_map(Challenge::parse)
            .collect();
        let with = |scheme: &str| challenges.iter().find(|one| one.scheme == scheme);
        let login = self.login()?;
        let header = match (with("bearer"), with("basic"), login) {
            (Some(bearer), _, login) => {
                let token = self.token(client, bearer, login, &failed)?;
                format!("Bearer {token}")
            }
            (None, Some(_), Some(Login::Password(credentials))) => basic(&credentials),
            (None, Some(_), _) => {
                let problem = "the registry asks for a user and a password, and there are none \
                               for it";
                return Err(failed(problem.into()));
            }
            (None, None, _) => {
                let asked: Vec<_> = challenges.iter().map(|one| one.scheme.as_str()).collect();
                let problem = format!("the registry asks for what is not supported: {asked:?}");
                return Err(failed(problem));
            }
        };
        *self.header.lock().unwrap_or_else(PoisonError::into_inner) = Some(header);
        Ok(())
    }

    /// Asks a server of tokens.
    fn token(
        &self,
        client: &Client,
        bearer: &Challenge,
        login: Option<Login>,
        failed: &dyn Fn(String) -> Error,
    ) -> Result<String> {
        let realm = bearer.get("realm").unwrap_or_default();
        let secure = realm.starts_with("https://");
        // What is sent there in the clear could have been sent to the registry so.
        let may_be_plain = client.is_plain(self.name.server());
        let plain = may_be_plain && realm.starts_with("http://");
        if !secure && !plain {
            let problem = format!(
                "its server of tokens is {:?}, which is no safe place",
                realm
            );
            return Err(failed(problem));
        }
        let pull = format!("repository:{}:pull", self.name.repository);
        let scope = bearer.get("scope").unwrap_or(&pull);
        let service = bearer.get("service").unwrap_or_default();
        let reply = match login {
            Some(Login::Refresh(token)) => client.post(
                realm,
                &[
                    ("grant_type", "refresh_token"),
                    ("service", service),
                    ("scope", scope),
                    ("client_id", "drupe"),
                    ("refresh_token", &token),
                ],
            )?,
            login => {
                let mut url = realm.to_owned();
                let mut separator = if realm.contains('?') { '&' } else { '?' };
                for (name, value) in [("service", service), ("scope", scope)] {
                    if !value.is_empty() {
                        url.push(separator);
                        url.push_str(name);
                        url.push('=');
                        url.push_str(&escape(value));
                        separator = '&';
                    }
                }
                let basic = match &login {
                    Some(Login::Password(credentials)) => Some(basic(credentials)),
                    _ => None,
                };
                let headers: Vec<(&str, &str)> = basic
                    .iter()
                    .map(|basic| ("Authorization", basic.as_str()))
                    .collect();
                client.get(&url, &headers)?
            }
        };
        match reply.status {
            200 => {}
            401 | 403 => {
                let problem = format!("its server of tokens gives none to {}", self.user());
                return Err(failed(problem));
            }
            status => {
                let problem = format!("its server of tokens answered with {status}");
                return Err(failed(problem));
            }
        }
        let mut bytes = Vec::new();
        let read = reply.body.take(LIMIT).read_to_end(&mut bytes);
        read.map_err(|error| failed(error.to_string()))?;
        let token = serde_json::from_slice(&bytes).ok();
        let token = token.and_then(|token: Token| token.token.or(token.access_token));
        token
            .filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()))
            .ok_or_else(|| failed("its server of tokens has answered without one".into()))
    }
}

fn basic(credentials: &Credentials) -> String {
    let Credentials { user, password } = credentials;
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A value of a query.
fn escape(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        assert_eq!(escape("repository:a/b:pull"), "repository:a/b:pull");
        assert_eq!(escape("a b&c=\u{e4}"), "a%20b%26c%3D%C3%A4");
    }
}
