//! [`Reference`]: where an image is, as skopeo spells it (containers-transports(5)).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::digest::Digest;
use crate::error::Error;

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reference {
    /// `oci:DIR[:TAG]`: a directory with an OCI layout.
    Layout {
        /// The directory.
        dir: PathBuf,
        /// The tag; `None`: the only image.
        tag: Option<String>,
    },
    /// `oci-archive:FILE[:TAG]`: an OCI layout in a tar archive.
    LayoutArchive {
        /// The archive.
        file: PathBuf,
        /// The tag; `None`: the only image.
        tag: Option<String>,
    },
    /// `docker-archive:FILE[:NAME:TAG]`: an archive of `docker save`.
    DockerArchive {
        /// The archive.
        file: PathBuf,
        /// The name with its tag; `None`: the only image.
        name: Option<String>,
    },
    /// `docker://[HOST[:PORT]/]NAME[:TAG|@DIGEST]`: an image in a registry.
    Registry(RegistryName),
}

/// The name of an image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryName {
    /// Host, with a port if it was given: `docker.io`, `localhost:5000`.
    pub host: String,
    /// The repository: `library/debian`.
    pub repository: String,
    /// The tag; `None` with a digest only.
    pub tag: Option<String>,
    /// The digest of the manifest.
    pub digest: Option<Digest>,
}

/// Docker Hub, and the names that mean it.
const HUB: &str = "docker.io";
const HUB_ALIASES: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Reference, Error> {
        Reference::parse(text).map_err(|problem| Error::Reference {
            reference: text.to_owned(),
            problem,
        })
    }
}

impl Reference {
    fn parse(text: &str) -> Result<Reference, String> {
        const KINDS: &str = "oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG] or \
             docker://NAME[:TAG]";
        let Some((transport, rest)) = text.split_once(':') else {
            return Err(format!("it is no reference to an image; write {KINDS}"));
        };
        // As in skopeo, paths have no colons.
        let file = || {
            let (file, tag) = match rest.split_once(':') {
                Some((file, tag)) => (file, Some(tag)),
                None => (rest, None),
            };
            match (file, tag) {
                ("", _) => Err("it has no path".to_owned()),
                (_, Some("")) => Err("there is no tag behind the colon".to_owned()),
                (file, tag) => Ok((PathBuf::from(file), tag.map(str::to_owned))),
            }
        };
        match transport {
            "oci" => file().map(|(dir, tag)| Reference::Layout { dir, tag }),
            "oci-archive" => file().map(|(file, tag)| Reference::LayoutArchive { file, tag }),
            "docker-archive" => {
                let (file, name) = file()?;
                if name.as_ref().is_some_and(|name| name.starts_with('@')) {
                    return Err("images of an archive are named, not numbered".to_owned());
                }
                let name = name.map(|name| RegistryName::parse(&name)).transpose()?;
                let name = name.map(|name| name.to_string());
                Ok(Reference::DockerArchive { file, name })
            }
            "docker" => match rest.strip_prefix("//") {
                Some(name) => RegistryName::parse(name).map(Reference::Registry),
                None => Err("write docker://NAME".to_owned()),
            },
            other => Err(format!("{other:?} is no place for images; write {KINDS}")),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, path, tag) = match self {
            Reference::Layout { dir, tag } => ("oci", dir, tag),
            Reference::LayoutArchive { file, tag } => ("oci-archive", file, tag),
            Reference::DockerArchive { file, name } => ("docker-archive", file, name),
            Reference::Registry(name) => return write!(f, "docker://{name}"),
        };
        write!(f, "{transport}:{}", path.display())?;
        match tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

impl RegistryName {
    /// Parses a name by the rules of Docker: what is in front of the first slash is a host
    /// if it has a dot or a colon or is `localhost`, and Docker Hub's otherwise.
    fn parse(text: &str) -> Result<RegistryName, String> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let (host, rest) = match rest.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
            _ => (HUB, rest),
        };
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (rest, None),
        };
        if !is_host(host) {
            return Err(format!("{host:?} is no name of a host"));
        }
        let (host, repository) = match HUB_ALIASES.contains(&host) {
            true if !repository.contains('/') => (HUB, format!("library/{repository}")),
            true => (HUB, repository.to_owned()),
            false => (host, repository.to_owned()),
        };
        if repository.len() > 255 || !repository.split('/').all(is_component) {
            return Err(format!(
                "{rest:?} is no name of an image: lower-case letters and digits, with ., _ or - \
                 between them"
            ));
        }
        if let Some(tag) = &tag
            && !is_tag(tag)
        {
            return Err(format!("{tag:?} is no tag"));
        }
        let tag = match &digest {
            Some(_) => tag,
            None => Some(tag.unwrap_or_else(|| "latest".to_owned())),
        };
        Ok(RegistryName {
            host: host.to_owned(),
            repository,
            tag,
            digest,
        })
    }

    /// The host that serves it.
    pub(crate) fn server(&self) -> &str {
        match self.host.as_str() {
            HUB => "registry-1.docker.io",
            host => host,
        }
    }

    /// Whether it is on Docker Hub.
    pub(crate) fn is_hub(&self) -> bool {
        self.host == HUB
    }

    /// What the registry is asked for: the digest, or else the tag.
    pub(crate) fn version(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }
}

impl fmt::Display for RegistryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// `name`, `name:port`, `[::1]:port`
fn is_host(host: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        let is_address = address.parse::<std::net::Ipv6Addr>().is_ok();
        return is_address && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = match host.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let is_label = |label: &str| {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(valid) && !label.starts_with('-')
    };
    name.split('.').all(is_label) && port.is_none_or(is_port)
}

/// Lower-case words, with one `.`, one or two `_`, or any `-` between them.
fn is_component(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    let separators = part.split(|c: char| is_word(c as u8) && c.is_ascii());
    ends.iter().all(|end| end.is_some_and(|&end| is_word(end)))
        && separators
            .filter(|separator| !separator.is_empty())
            .all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|byte| byte == b'-'))
}

/// Whether a word is a tag: at most 128 letters, digits, `_`, `.` and `-`, the last two not
/// at its beginning.
pub fn is_tag(tag: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !tag.is_empty() && tag.len() <= 128 && tag.bytes().all(valid) && !tag.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(text: &str) -> String {
        match text.parse() {
            Ok(Reference::Registry(name)) => name.to_string(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn names_in_registries() {
        for (text, name) in [
            ("debian", "docker.io/library/debian:latest"),
            ("debian:12", "docker.io/library/debian:12"),
            ("docker.io/debian", "docker.io/library/debian:latest"),
            ("u/x__y.z-0", "docker.io/u/x__y.z-0:latest"),
            ("localhost/x", "localhost/x:latest"),
            ("localhost:5000/x/y:t", "localhost:5000/x/y:t"),
            ("[::1]:5000/x", "[::1]:5000/x:latest"),
            ("quay.io/a/b/c", "quay.io/a/b/c:latest"),
        ] {
            assert_eq!(registry(&format!("docker://{text}")), name);
        }
        let digest = format!("sha256:{}", "0".repeat(64));
        let with = registry(&format!("docker://q.io/x@{digest}"));
        assert_eq!(with, format!("q.io/x@{digest}"));
        let with = registry(&format!("docker://q.io/x:t@{digest}"));
        assert_eq!(with, format!("q.io/x:t@{digest}"));
    }

    #[test]
    fn places_on_the_host() {
        let parse = |text: &str| text.parse::<Reference>().expect("a reference");
        let layout = Reference::Layout {
            dir: "a/b".into(),
            tag: None,
        };
        assert_eq!(parse("oci:a/b"), layout);
        for text in ["oci:a/b:t", "oci-archive:/x.tar:v1", "docker-archive:x.tar"] {
            assert_eq!(parse(text).to_string(), text);
        }
        let named = parse("docker-archive:x.tar:a/b:c");
        assert_eq!(named.to_string(), "docker-archive:x.tar:docker.io/a/b:c");
    }

    #[test]
    fn what_is_no_reference() {
        for text in [
            "",
            "debian",
            "oci:",
            "oci::tag",
            "oci:dir:",
            "docker:debian",
            "docker://",
            "docker:///x",
            "docker://Debian",
            "docker://x/../y",
            "docker://x//y",
            "docker://x___y",
            "docker://-x",
            "docker://x:",
            "docker://x:a b",
            "docker://x@sha256:00",
            "docker://host.:0/x",
            "docker://a.b:65536/x",
            "docker://a?b.c/x",
            "docker://ä/x",
            "docker-archive:x:@0",
            "dir:x",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }
}
