//! [`Platform`]: the system and processor that an image is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A system, processor and variant of it, as `linux/arm64/v8`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Platform {
    /// The system, as Go names it: `linux`.
    #[serde(default)]
    pub os: String,
    /// The processor, as Go names it: `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// The variant of the processor: `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Linux on the processor of this program.
    pub fn host() -> Platform {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        Platform {
            os: "linux".into(),
            architecture: architecture.into(),
            variant: variant.map(str::to_owned),
        }
    }

    /// How well an image for `offered` does for this one; `None`: not at all.
    pub(crate) fn fit(&self, offered: &Platform) -> Option<u8> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        match (&self.variant, &offered.variant) {
            (wanted, offered) if wanted == offered => Some(2),
            // arm64 is always v8, and nobody says so for sure.
            _ if self.architecture == "arm64" => Some(1),
            (_, None) | (None, _) => Some(1),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Platform, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let is_word = |part: &&str| {
            let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !part.is_empty() && part.bytes().all(valid)
        };
        match parts[..] {
            [os, architecture, ..] if parts.len() <= 3 && parts.iter().all(is_word) => {
                Ok(Platform {
                    os: os.into(),
                    architecture: architecture.into(),
                    variant: parts.get(2).map(|&variant| variant.into()),
                })
            }
            _ => Err("give OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, as linux/arm64".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_platform_does() {
        let platform = |text: &str| text.parse::<Platform>().expect("a platform");
        let fit = |wanted: &str, offered: &str| platform(wanted).fit(&platform(offered));
        assert_eq!(fit("linux/amd64", "linux/amd64"), Some(2));
        assert_eq!(fit("linux/arm64/v8", "linux/arm64"), Some(1));
        assert_eq!(fit("linux/arm", "linux/arm/v7"), Some(1));
        assert_eq!(fit("linux/arm/v6", "linux/arm/v7"), None);
        assert_eq!(fit("linux/amd64", "windows/amd64"), None);
        assert_eq!(platform("linux/arm/v7").to_string(), "linux/arm/v7");
        for text in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/a b"] {
            assert!(text.parse::<Platform>().is_err(), "{text:?}");
        }
    }
}
