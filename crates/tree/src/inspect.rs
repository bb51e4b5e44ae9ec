//! [`inspect`]: which operating system is on a filesystem, by the files of its own. No file
//! is believed: what is too large, or of another form, counts as not there.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use drupe::{Mount, OpenOptions};

use crate::{Interrupt, Result};

/// Bytes of the largest text that is read: a package database of 100,000 packages.
const LARGEST: u64 = 128 << 20;

/// What is known of an operating system. Empty: the image does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct System {
    /// `ID=` of os-release(5): "debian".
    pub id: String,
    /// `PRETTY_NAME=`, or `NAME=`.
    pub name: String,
    /// `VERSION_ID=`.
    pub version: String,
    /// Of a program of the image: "x86_64".
    pub architecture: String,
    /// Its name in `/etc/hostname` and the like.
    pub hostname: String,
    /// Versions of kernels that are installed.
    pub kernels: Vec<String>,
    /// The lines of `/etc/passwd`.
    pub users: Vec<User>,
    /// The lines of `/etc/fstab`.
    pub fstab: Vec<Fstab>,
    /// "dpkg", "apk" or "rpm".
    pub package_format: String,
    /// What is installed; `None`: the database is in a form that is not read.
    pub packages: Option<Vec<Package>>,
}

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// Number of the user.
    pub uid: u32,
    /// Number of the login group.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// A line of `/etc/fstab`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fstab {
    /// "UUID=…", "/dev/sda1" and the like.
    pub device: String,
    /// Where it is mounted.
    pub path: String,
    /// The type of filesystem.
    pub kind: String,
    /// Mount options.
    pub options: String,
}

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The name.
    pub name: String,
    /// The version, with release.
    pub version: String,
    /// The architecture that it is for.
    pub architecture: String,
}

/// What is on a filesystem, if it is the root of an operating system: it has an
/// os-release(5).
///
/// # Errors
///
/// Those of reading; `interrupt`.
pub fn inspect(mount: &Mount, interrupt: &Interrupt) -> Result<Option<System>> {
    let image = Image { mount, interrupt };
    let Some(release) = image.first(&["/etc/os-release", "/usr/lib/os-release"])? else {
        return Ok(None);
    };
    let mut system = System {
        id: value(&release, "ID"),
        version: value(&release, "VERSION_ID"),
        name: match value(&release, "PRETTY_NAME") {
            name if name.is_empty() => value(&release, "NAME"),
            name => name,
        },
        architecture: image.architecture()?,
        hostname: image.hostname()?,
        kernels: image.kernels()?,
        ..System::default()
    };
    let passwd = image.first(&["/etc/passwd"])?.unwrap_or_default();
    system.users = passwd.lines().filter_map(user).collect();
    let fstab = image.first(&["/etc/fstab"])?.unwrap_or_default();
    system.fstab = fstab.lines().filter_map(fstab_line).collect();
    image.packages(&mut system)?;
    Ok(Some(system))
}

/// The lines of `/etc/fstab`; none if there is no such file.
///
/// # Errors
///
/// Those of reading.
pub fn fstab(mount: &Mount) -> Result<Vec<Fstab>> {
    let interrupt = &Interrupt::default();
    let text = Image { mount, interrupt }.first(&["/etc/fstab"])?;
    let text = text.unwrap_or_default();
    Ok(text.lines().filter_map(fstab_line).collect())
}

/// A value of a file of shell assignments.
fn value(text: &str, name: &str) -> String {
    let mut lines = text.lines().filter_map(|line| line.trim().split_once('='));
    // The last one counts, as in a shell.
    let found = lines.rfind(|(key, _)| *key == name);
    let found = found.map(|(_, value)| value.trim()).unwrap_or_default();
    let bare = ['"', '\'']
        .iter()
        .find_map(|quote| found.strip_prefix(*quote)?.strip_suffix(*quote));
    let mut text = String::new();
    let mut chars = bare.unwrap_or(found).chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    text
}

fn user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields[..] else {
        return None;
    };
    Some(User {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.to_owned(),
        shell: shell.to_owned(),
    })
}

fn fstab_line(line: &str) -> Option<Fstab> {
    let mut fields = line.split_ascii_whitespace();
    let device = fields.next().filter(|device| !device.starts_with('#'))?;
    let mut field = || fields.next().map(unescaped);
    Some(Fstab {
        device: unescaped(device),
        path: field()?,
        kind: field()?,
        options: field().unwrap_or_default(),
    })
}

/// Without the octal escapes of fstab(5), of which blanks have one.
fn unescaped(text: &str) -> String {
    let escapes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    let mut rest = text;
    let mut plain = String::new();
    while let Some(c) = rest.chars().next() {
        match escapes.iter().find(|(escape, _)| rest.starts_with(escape)) {
            Some((escape, meant)) => {
                plain.push_str(meant);
                rest = &rest[escape.len()..];
            }
            None => {
                plain.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    plain
}

/// The architecture of an ELF file.
fn architecture(header: &[u8]) -> Option<&'static str> {
    let header = header
        .get(..20)
        .filter(|header| header.starts_with(b"\x7fELF"))?;
    let (wide, big) = (header[4] == 2, header[5] == 2);
    let machine = match big {
        true => u16::from_be_bytes([header[18], header[19]]),
        false => u16::from_le_bytes([header[18], header[19]]),
    };
    Some(match (machine, wide, big) {
        (3, ..) => "i386",
        (8, _, true) => "mips",
        (8, false, _) => "mipsel",
        (8, true, _) => "mips64el",
        (20, ..) => "ppc",
        (21, _, true) => "ppc64",
        (21, _, false) => "ppc64le",
        (22, true, _) => "s390x",
        (40, ..) => "arm",
        (62, true, _) => "x86_64",
        (62, false, _) => "x32",
        (183, ..) => "aarch64",
        (243, true, _) => "riscv64",
        (243, false, _) => "riscv32",
        (258, ..) => "loongarch64",
        _ => return None,
    })
}

/// Stanzas of `Key: value` lines, as dpkg has them.
fn dpkg(text: &str) -> Vec<Package> {
    let stanzas = text.split("\n\n").filter_map(|stanza| {
        let field = |name: &str| {
            let mut lines = stanza.lines().filter_map(|line| line.split_once(':'));
            let found = lines.find(|(key, _)| *key == name);
            found.map(|(_, value)| value.trim().to_owned())
        };
        // Those of distroless images have no status.
        let status = field("Status");
        if status.is_some_and(|status| !status.ends_with(" installed")) {
            return None;
        }
        Some(Package {
            name: field("Package")?,
            version: field("Version")?,
            architecture: field("Architecture").unwrap_or_default(),
        })
    });
    stanzas.collect()
}

/// Stanzas of `K:value` lines, as apk has them.
fn apk(text: &str) -> Vec<Package> {
    let stanzas = text.split("\n\n").filter_map(|stanza| {
        let field = |name: &str| {
            let found = stanza.lines().find_map(|line| line.strip_prefix(name));
            found.map(|value| value.trim().to_owned())
        };
        Some(Package {
            name: field("P:")?,
            version: field("V:")?,
            architecture: field("A:").unwrap_or_default(),
        })
    });
    stanzas.collect()
}

struct Image<'a> {
    mount: &'a Mount,
    interrupt: &'a Interrupt,
}

impl Image<'_> {
    /// At most `most` bytes from the beginning of a regular file; `None`: there is none.
    fn read(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>> {
        self.interrupt.check("read")?;
        let Ok(metadata) = self.mount.metadata(path) else {
            return Ok(None);
        };
        if !metadata.is_file() {
            return Ok(None);
        }
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = self.mount.open_with(path, &options)?;
        let len = metadata.len().min(most) as usize;
        let mut bytes = vec![0; len];
        let mut at = 0;
        while at < len {
            match file.read_at(&mut bytes[at..], at as u64)? {
                0 => break,
                read => at += read,
            }
        }
        bytes.truncate(at);
        Ok(Some(bytes))
    }

    /// The text of the first of these files that is there.
    fn first(&self, paths: &[&str]) -> Result<Option<String>> {
        for path in paths {
            if let Some(bytes) = self.read(path, LARGEST)? {
                return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
        Ok(None)
    }

    /// Names in a directory, in order.
    fn names(&self, path: &str) -> BTreeSet<String> {
        let entries = self.mount.read_dir(path).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.collect()
    }

    fn architecture(&self) -> Result<String> {
        let programs = [
            "/bin/sh",
            "/usr/bin/env",
            "/bin/bash",
            "/bin/busybox",
            "/sbin/init",
            "/bin/ls",
            "/usr/bin/coreutils",
            "/usr/lib/systemd/systemd",
        ];
        for program in programs {
            let header = self.read(program, 20)?.unwrap_or_default();
            if let Some(found) = architecture(&header) {
                return Ok(found.to_owned());
            }
        }
        Ok(String::new())
    }

    fn hostname(&self) -> Result<String> {
        if let Some(text) = self.first(&["/etc/hostname", "/etc/HOSTNAME"])? {
            let mut lines = text.lines().map(str::trim);
            let name = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
            return Ok(name.unwrap_or_default().to_owned());
        }
        let text = self.first(&["/etc/sysconfig/network"])?.unwrap_or_default();
        Ok(value(&text, "HOSTNAME"))
    }

    /// By the names in /boot, and by the modules: /boot may be a filesystem of its own.
    fn kernels(&self) -> Result<Vec<String>> {
        let mut all = BTreeSet::new();
        for name in self.names("/boot") {
            let prefixes = ["vmlinuz-", "vmlinux-", "kernel-", "Image-"];
            let version = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix));
            all.extend(version.map(String::from));
        }
        for dir in ["/lib/modules", "/usr/lib/modules"] {
            for name in self.names(dir) {
                let list = Path::new(dir).join(&name).join("modules.order");
                if self.mount.metadata(list).is_ok() {
                    all.insert(name);
                }
            }
        }
        Ok(all.into_iter().collect())
    }

    fn packages(&self, system: &mut System) -> Result<()> {
        let status = self.first(&["/var/lib/dpkg/status"])?;
        let apart = self.names("/var/lib/dpkg/status.d");
        if status.is_some() || !apart.is_empty() {
            let mut packages = dpkg(&status.unwrap_or_default());
            // One file for each package, in distroless images.
            for name in apart.iter().filter(|name| !name.ends_with(".md5sums")) {
                let path = format!("/var/lib/dpkg/status.d/{name}");
                packages.extend(dpkg(&self.first(&[&path])?.unwrap_or_default()));
            }
            system.package_format = "dpkg".to_owned();
            system.packages = Some(packages);
            return Ok(());
        }
        let databases = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];
        if let Some(text) = self.first(&databases)? {
            system.package_format = "apk".to_owned();
            system.packages = Some(apk(&text));
            return Ok(());
        }
        for dir in ["/var/lib/rpm", "/usr/lib/sysimage/rpm"] {
            let is_there = |name: &str| {
                self.mount
                    .metadata(Path::new(dir).join(OsStr::new(name)))
                    .is_ok()
            };
            if ["rpmdb.sqlite", "Packages", "Packages.db"]
                .into_iter()
                .any(is_there)
            {
                system.package_format = "rpm".to_owned();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let text = "NAME=x\nID=\"a b\"\n# ID=no\nQ='it'\nE=\"a\\\"b\"\nID=last\nN=\n";
        assert_eq!(value(text, "ID"), "last");
        assert_eq!(value(text, "Q"), "it");
        assert_eq!(value(text, "E"), "a\"b");
        assert_eq!(value(text, "N"), "");
        assert_eq!(value(text, "NONE"), "");
        assert_eq!(value("A=\"", "A"), "\"");
    }

    #[test]
    fn lines() {
        let line = fstab_line("UUID=1 /my\\040dir ext4 defaults 0 1").unwrap();
        assert_eq!((&*line.device, &*line.path), ("UUID=1", "/my dir"));
        assert_eq!(fstab_line("/dev/sda1 / ext4").unwrap().options, "");
        for none in ["", "# UUID=1 / ext4", "/dev/sda1 /"] {
            assert_eq!(fstab_line(none), None, "{none}");
        }
        assert!(user("root:x:0:0:root:/root:/bin/sh").is_some());
        assert_eq!(user("root:x:0"), None);
        assert_eq!(
            architecture(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0"),
            Some("x86_64")
        );
        assert_eq!(architecture(b"\x7fELF"), None);
    }
}
