//! [`Location`]: parses a path argument, which names a file of the host or of an image.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use drupe::Mount;
use drupe_tree::ImageLocation;

use crate::exit::Failure;

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    Host(PathBuf),
    Image(ImagePath),
}

/// A file in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImagePath {
    pub(crate) volume: Volume,
    /// Absolute.
    pub(crate) path: PathBuf,
}

/// What to put before paths that are shown: the image and a colon, if the paths are in
/// several images.
pub(crate) fn prefixes(paths: &[ImagePath]) -> Vec<String> {
    let several = paths
        .windows(2)
        .any(|pair| pair[0].volume != pair[1].volume);
    let prefix = |path: &ImagePath| match several {
        true => format!("{}:", path.volume.label()),
        false => String::new(),
    };
    paths.iter().map(prefix).collect()
}

/// What an argument means that is an image, all of it: `:/` behind it is its root.
pub(crate) fn image(argument: OsString) -> PathBuf {
    match ImagePath::parse(&argument) {
        ImagePath { volume, path }
            if volume.part.is_none() && volume.options.is_none() && path.parent().is_none() =>
        {
            volume.image
        }
        _ => argument.into(),
    }
}

/// An image, and which part of it: the number of a partition, or the name of a
/// volume as `drupe info` shows it. `None`: whichever has a filesystem; 0: all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) image: PathBuf,
    pub(crate) part: Option<String>,
    /// Mount options, as mount(8) takes them: what is behind the first comma of
    /// `IMAGE@PART,OPTIONS`.
    pub(crate) options: Option<String>,
}

impl Location {
    /// What an argument means, by the files there are:
    ///
    /// 1. It names an existing file: that file of the host.
    /// 2. It begins like the address of a network disk: a path in that, from the
    ///    first `:/` behind the `://` on, or else its root.
    /// 3. What is in front of a `:/` names an existing file, with or without
    ///    `@PART`: a path in that image. The last such `:/` counts.
    /// 4. It has a `:/`: a path in an image that will not be found.
    /// 5. Anything else is a file of the host, yet to be made.
    pub(crate) fn parse(argument: &OsStr) -> Location {
        Location::parse_with(argument, |path| path.symlink_metadata().is_ok())
    }

    fn parse_with(argument: &OsStr, exists: impl Fn(&Path) -> bool) -> Location {
        if exists(Path::new(argument)) {
            return Location::Host(argument.into());
        }
        if let Some(image) = ImagePath::parse_uri(argument) {
            return Location::Image(image);
        }
        let bytes = argument.as_bytes();
        let colons = bytes
            .windows(2)
            .enumerate()
            .filter(|(_, pair)| pair == b":/")
            .map(|(at, _)| at)
            // "IMAGE:" is short for "IMAGE:/".
            .chain(bytes.ends_with(b":").then(|| bytes.len() - 1));
        let mut fallback = None;
        let mut found = None;
        for at in colons {
            let volume = Volume::parse_with(OsStr::from_bytes(&bytes[..at]), &exists);
            let path = match &bytes[at + 1..] {
                b"" => "/".into(),
                path => OsStr::from_bytes(path).into(),
            };
            let known = exists(&volume.image);
            let image = ImagePath { volume, path };
            match known {
                true => found = Some(image),
                false => fallback = fallback.or((at + 1 < bytes.len()).then_some(image)),
            }
        }
        match found.or(fallback) {
            Some(image) => Location::Image(image),
            None => Location::Host(argument.into()),
        }
    }
}

/// What is meant by a path beneath an image, which has a slash in place of the colon:
/// `disk.img/etc`.
pub(crate) fn with_colon(argument: impl AsRef<Path>) -> Option<String> {
    let is_file = |path: &Path| {
        let image = Volume::parse(path.as_os_str()).image;
        image
            .metadata()
            .is_ok_and(|found| found.is_file() || found.file_type().is_block_device())
    };
    let argument = argument.as_ref();
    let image = argument.ancestors().skip(1).find(|above| is_file(above))?;
    let below = argument.strip_prefix(image).ok()?;
    Some(format!(
        "a path in an image is written {}:/{}",
        image.display(),
        below.display()
    ))
}

impl Volume {
    /// `IMAGE`, `IMAGE@PART` or `IMAGE@PART,OPTIONS`; the first if such a file exists.
    pub(crate) fn parse(argument: &OsStr) -> Volume {
        Volume::parse_with(argument, |path| path.symlink_metadata().is_ok())
    }

    fn parse_with(argument: &OsStr, exists: impl Fn(&Path) -> bool) -> Volume {
        let whole = Volume {
            image: argument.into(),
            part: None,
            options: None,
        };
        if exists(&whole.image) {
            return whole;
        }
        let bytes = argument.as_bytes();
        // The last one behind an image that is there: options may have one too, and so
        // may the name of an image.
        let mut ats: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] == b'@').collect();
        ats.reverse();
        let split = |at: usize| {
            let image = PathBuf::from(OsStr::from_bytes(&bytes[..at]));
            let text = str::from_utf8(&bytes[at + 1..]).ok()?;
            let (part, options) = match text.split_once(',') {
                Some((part, options)) => (part, Some(options.to_owned())),
                None => (text, None),
            };
            if part.is_empty() && options.is_none() {
                return None;
            }
            Some(Volume {
                image,
                part: (!part.is_empty()).then(|| part.to_owned()),
                options,
            })
        };
        // That of an address, of which every beginning is one.
        let is_in_options = |at: usize| {
            let before = &bytes[..at];
            let outer = before.iter().rposition(|&byte| byte == b'@');
            outer.is_some_and(|outer| before[outer..].contains(&b','))
        };
        let is_address = argument.to_str().is_some_and(drupe::is_uri);
        let mut known = ats
            .iter()
            .filter(|&&at| !(is_address && is_in_options(at)))
            .filter_map(|&at| split(at));
        if let Some(found) = known.find(|volume| exists(&volume.image)) {
            return found;
        }
        // Of an image that is not there, only what can hardly be meant otherwise.
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let mut likely = ats.iter().filter_map(|&at| split(at));
        let likely = likely.find(|volume| volume.part.as_deref().is_some_and(is_number));
        likely.unwrap_or(whole)
    }

    /// The argument of a command that takes a whole filesystem: `:/` behind it is its
    /// root.
    pub(crate) fn of_whole(argument: &OsStr) -> Result<Volume, Failure> {
        let ImagePath { volume, path } = ImagePath::parse(argument);
        if path.parent().is_none() {
            return Ok(volume);
        }
        let (label, below) = (volume.label(), path.display());
        let message = format!("{label}:{below}: only a whole filesystem can be mounted");
        let hint = format!("mount {label} on a directory DIR, and use DIR{below}");
        Err(Failure::usage(message).with_hint(hint))
    }

    /// As it is written on the command line, byte by byte.
    pub(crate) fn name(&self) -> OsString {
        let mut name = self.image.clone().into_os_string();
        if let Some(part) = &self.part {
            name.push("@");
            name.push(part);
        }
        if let Some(options) = &self.options {
            name.push(if self.part.is_none() { "@," } else { "," });
            name.push(options);
        }
        name
    }

    /// As it is written on the command line, for messages.
    pub(crate) fn label(&self) -> String {
        self.name().to_string_lossy().into_owned()
    }
}

impl ImagePath {
    /// The same on `mount`, which is that of its volume, for the library.
    pub(crate) fn on(&self, mount: &Mount) -> ImageLocation {
        ImageLocation {
            mount: mount.clone(),
            label: self.volume.label(),
            path: self.path.clone(),
        }
    }

    /// A path on a network disk; `None`: it is none.
    fn parse_uri(argument: &OsStr) -> Option<ImagePath> {
        let text = argument.to_str().filter(|text| drupe::is_uri(text))?;
        let rest = text.find("://")? + 3;
        let colon = text[rest..].find(":/").map(|at| rest + at);
        let (volume, path) = match colon.or(text.ends_with(':').then(|| text.len() - 1)) {
            Some(colon) => (&text[..colon], &text[colon + 1..]),
            None => (text, ""),
        };
        Some(ImagePath {
            // With a part, the address is what is in front of it.
            volume: Volume::parse_with(volume.as_ref(), |path| path != Path::new(volume)),
            path: if path.is_empty() { "/" } else { path }.into(),
        })
    }

    /// The argument of a command that only takes paths in images: a host file is
    /// an image, and its root is meant.
    pub(crate) fn parse(argument: &OsStr) -> ImagePath {
        match Location::parse(argument) {
            Location::Image(image) => image,
            Location::Host(_) => ImagePath {
                volume: Volume::parse(argument),
                path: "/".into(),
            },
        }
    }

    pub(crate) fn label(&self) -> String {
        format!("{}:{}", self.volume.label(), self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &[&str] = &[
        "disk.img",
        "dir/disk.img",
        "odd@7",
        "odd:/name",
        "a:b",
        "./a:b",
    ];

    fn parse(argument: &str) -> Location {
        Location::parse_with(argument.as_ref(), |path| {
            FILES.iter().any(|file| path == Path::new(file))
        })
    }

    fn image(image: &str, part: Option<&str>, path: &str) -> Location {
        Location::Image(ImagePath {
            volume: Volume {
                image: image.into(),
                part: part.map(String::from),
                options: None,
            },
            path: path.into(),
        })
    }

    #[test]
    fn paths_in_images() {
        assert_eq!(parse("disk.img:/"), image("disk.img", None, "/"));
        assert_eq!(parse("disk.img:"), image("disk.img", None, "/"));
        assert_eq!(
            parse("dir/disk.img@2:/etc/a:b"),
            image("dir/disk.img", Some("2"), "/etc/a:b")
        );
        assert_eq!(parse("odd@7:/x"), image("odd@7", None, "/x"));
        assert_eq!(parse("odd@7@1:/x"), image("odd@7", Some("1"), "/x"));
        assert_eq!(parse("odd:/name:/x"), image("odd:/name", None, "/x"));
        assert_eq!(
            parse("disk.img@vg/root:/x"),
            image("disk.img", Some("vg/root"), "/x")
        );
        assert_eq!(parse("missing@x:/"), image("missing@x", None, "/"));
        assert_eq!(parse("disk.img@:/"), image("disk.img@", None, "/"));
        assert_eq!(parse("missing.img:/x"), image("missing.img", None, "/x"));
        assert_eq!(
            parse("missing.img@3:/x"),
            image("missing.img", Some("3"), "/x")
        );
    }

    #[test]
    fn mount_options() {
        let with = |name: &str, part: Option<&str>, options: &str, path: &str| {
            let Location::Image(mut found) = image(name, part, path) else {
                unreachable!("it is made as one")
            };
            found.volume.options = Some(options.to_owned());
            let written = found.label();
            assert_eq!(parse(&written), Location::Image(found), "{written}");
        };
        with("disk.img", Some("1"), "subvol=home", "/a");
        with("disk.img", Some("1"), "subvol=@home", "/a");
        with("disk.img", None, "subvol=/@/home,ro", "/a,b");
        with("odd@7", Some("vg/lv"), "noatime", "/");
        with("missing.img", Some("3"), "ro", "/");
        with("nbd://h/e", Some("1"), "subvol=@", "/a");
        with("nbd://h/e", None, "subvol=@", "/a");
        // A comma of a name is no option.
        assert_eq!(
            parse("missing.img,ro:/x"),
            image("missing.img,ro", None, "/x")
        );
    }

    #[test]
    fn paths_on_network_disks() {
        let uri = "nbd://127.0.0.1:10809/export";
        let of = |text: &str| parse(&format!("{uri}{text}"));
        assert_eq!(of("@1:/etc:/a"), image(uri, Some("1"), "/etc:/a"));
        for root in ["", ":", ":/"] {
            assert_eq!(of(root), image(uri, None, "/"), "{root}");
        }
        let uri = "nbd+unix:///e?socket=/run/s";
        assert_eq!(parse(&format!("{uri}@0:/a")), image(uri, Some("0"), "/a"));
        assert_eq!(
            parse("nbd://h/e@vg/lv:/a"),
            image("nbd://h/e", Some("vg/lv"), "/a")
        );
        let uri = "nbd://[::1]/e";
        assert_eq!(parse(&format!("{uri}:/a")), image(uri, None, "/a"));
        // Refused later, with a better reason than that it is no file.
        assert_eq!(parse("nbds://h/e:/a"), image("nbds://h/e", None, "/a"));
    }

    #[test]
    fn files_of_the_host() {
        for path in [
            "disk.img",
            "odd:/name",
            "a:b",
            "./a:b",
            "new:file",
            "new",
            "new:",
        ] {
            assert_eq!(parse(path), Location::Host(path.into()), "{path}");
        }
    }
}
