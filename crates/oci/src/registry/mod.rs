//! [`Registry`]: an image's repository in a registry (the distribution specification).
//!
//! - [`http`] makes requests whose waiting can be ended.
//! - [`challenge`] reads what a registry asks for, [`login`] finds users and passwords, of
//!   which [`helper`] asks programs that keep them, and [`auth`] makes what is sent of both.
//! - [`blob`] reads a blob, and goes on where a connection was cut.

mod auth;
mod blob;
mod challenge;
mod helper;
pub(crate) mod http;
mod login;

use std::io::Read;
use std::sync::Arc;

use serde::Deserialize;

use self::auth::Auth;
use self::blob::Resuming;
use self::http::{Client, Reply};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::manifest::{Descriptor, media};
use crate::options::{Options, Transport};
use crate::reference::RegistryName;
use crate::source::{Blob, Source};
use crate::verify::{self, Stream};

/// The types of manifests that are asked for.
const ACCEPT: [&str; 4] = [
    media::MANIFEST,
    media::INDEX,
    media::DOCKER_MANIFEST,
    media::DOCKER_INDEX,
];

/// A repository, and how it is talked to.
#[derive(Clone)]
pub(crate) struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    name: RegistryName,
    client: Client,
    auth: Auth,
    /// `https://host/v2`
    base: String,
}

impl Registry {
    /// Finds out how the registry is talked to, and logs in if it asks for that.
    pub(crate) fn open(name: &RegistryName, options: &Options) -> Result<Registry> {
        let client = Client::new(options);
        let server = name.server();
        let schemes: &[&str] = match options.transport {
            Transport::Plain => &["http"],
            Transport::Unverified => &["https", "http"],
            Transport::Secure if http::is_loopback(server) => &["https", "http"],
            Transport::Secure => &["https"],
        };
        let mut failed = None;
        for scheme in schemes {
            let base = format!("{scheme}://{server}/v2");
            let reply = match client.get(&format!("{base}/"), &[]) {
                // What a server with TLS says to who does without.
                Ok(reply) if reply.status == 400 && failed.is_some() => continue,
                Ok(reply) => reply,
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                // That of the first is the one to tell.
                Err(error) => {
                    failed.get_or_insert(error);
                    continue;
                }
            };
            let registry = Registry {
                shared: Arc::new(Shared {
                    auth: Auth::new(name, options),
                    name: name.clone(),
                    client,
                    base,
                }),
            };
            if reply.status == 401 {
                let shared = &registry.shared;
                shared.auth.answer(&shared.client, &reply)?;
            }
            return Ok(registry);
        }
        Err(failed.unwrap_or(Error::Interrupted))
    }

    /// The manifest or index that the name means, as its descriptor and bytes.
    pub(crate) fn manifest(&self) -> Result<(Descriptor, Vec<u8>)> {
        let shared = &self.shared;
        let wanted = shared.name.digest.as_ref();
        self.fetch_manifest(&shared.name.version(), wanted)
    }

    fn fetch_manifest(
        &self,
        version: &str,
        wanted: Option<&Digest>,
    ) -> Result<(Descriptor, Vec<u8>)> {
        let shared = &self.shared;
        let shown = format!("docker://{}", shared.name);
        let accept = ACCEPT.join(", ");
        let headers = [("Accept", accept.as_str())];
        let reply = self.get(&format!("manifests/{version}"), &headers)?;
        if reply.status != 200 {
            return Err(self.refused(&shown, reply));
        }
        let told = reply.header("Docker-Content-Digest");
        let told: Option<Digest> = told.and_then(|digest| digest.parse().ok());
        let media_type = reply.header("Content-Type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        // Some say text/plain or the like.
        let known = ACCEPT.iter().find(|known| **known == media_type);
        let media_type = known.map_or("", |known| known);
        let bytes = verify::limited(reply.body, &shown)?;
        for expected in [wanted, told.as_ref()].into_iter().flatten() {
            let mut hasher = Hasher::like(expected);
            hasher.update(&bytes);
            let found = hasher.finish();
            if found != *expected {
                let problem =
                    format!("its manifest is damaged: the digest is {found}, not {expected}");
                return Err(Error::invalid(shown, problem));
            }
        }
        let of = match wanted {
            Some(digest) => Descriptor::new(media_type, digest.clone(), bytes.len() as u64),
            None => Descriptor::of(media_type, &bytes),
        };
        Ok((of, bytes))
    }

    /// Asks for something of the repository, and logs in if the registry asks for that.
    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Reply> {
        let shared = &self.shared;
        let url = format!("{}/{}/{path}", shared.base, shared.name.repository);
        let ask = || {
            let authorization = shared.auth.header();
            let mut headers = headers.to_vec();
            if let Some(authorization) = &authorization {
                headers.push(("Authorization", authorization));
            }
            shared.client.get(&url, &headers)
        };
        let reply = ask()?;
        if reply.status != 401 {
            return Ok(reply);
        }
        // It wants more than it said, or a token has become too old.
        shared.auth.answer(&shared.client, &reply)?;
        ask()
    }

    /// The error of a reply that is none.
    fn refused(&self, name: &str, reply: Reply) -> Error {
        let status = reply.status;
        let told = told(reply);
        let problem = match status {
            401 | 403 => format!(
                "the registry does not let {} have it{told}",
                self.shared.auth.user()
            ),
            404 => format!("the registry has no such image{told}"),
            429 => format!("the registry has had too many requests{told}"),
            _ => format!("the registry answered with {status}{told}"),
        };
        Error::Registry {
            name: name.to_owned(),
            problem,
            status: Some(status),
        }
    }
}

impl Source for Registry {
    fn open(&self, blob: &Blob) -> Result<Stream> {
        match blob {
            Blob::Digest(blob) => {
                let resuming = Resuming::new(self.clone(), blob.clone())?;
                Ok(Box::new(resuming))
            }
            Blob::Member { name, .. } => Err(Error::not_found(name, "it is in no registry")),
        }
    }

    fn open_manifest(&self, of: &Descriptor) -> Result<Stream> {
        let (_, bytes) = self.fetch_manifest(&of.digest.to_string(), Some(&of.digest))?;
        Ok(Box::new(std::io::Cursor::new(bytes)))
    }

    fn shown(&self, blob: &Blob) -> String {
        let name = &self.shared.name;
        match blob {
            Blob::Digest(blob) => format!("{}/{}@{}", name.host, name.repository, blob.digest),
            Blob::Member { name, .. } => name.clone(),
        }
    }
}

#[derive(Deserialize)]
struct Problems {
    #[serde(default)]
    errors: Vec<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What a registry says of its reason, to be put behind a message.
fn told(reply: Reply) -> String {
    let mut bytes = Vec::new();
    // What it says may be anything, and need not be said.
    let _ = reply.body.take(16 << 10).read_to_end(&mut bytes);
    let problems: Problems = match serde_json::from_slice(&bytes) {
        Ok(problems) => problems,
        Err(_) => return String::new(),
    };
    match problems.errors.first() {
        Some(problem) => {
            let text = format!("{}: {}", problem.code, problem.message);
            let text: String = text.chars().take(300).collect();
            format!(" ({})", text.escape_debug())
        }
        None => String::new(),
    }
}

/// Parses what a registry may ask for.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(header: &str) {
    challenge::Challenge::parse(header);
}
