//! `setup`: installs the Debian packages that building and testing need.

use std::io;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use drupe_kbuild::requirements::{self, Requirement};
use drupe_kbuild::{Image, Source};

use crate::run::run as run_command;

/// Requirements of the tests and the demo, besides those of the kernel build: the
/// filesystems' own tools make and check images.
const TESTS: &[Requirement] = &[
    Requirement::program("mkfs.ext4", "e2fsprogs"),
    Requirement::program("mkfs.xfs", "xfsprogs"),
    Requirement::program("mkfs.btrfs", "btrfs-progs"),
    Requirement::program("mkfs.f2fs", "f2fs-tools"),
    Requirement::program("mkfs.vfat", "dosfstools"),
    Requirement::program("mkfs.exfat", "exfatprogs"),
    Requirement::program("mkfs.ntfs", "ntfs-3g"),
    Requirement::program("mksquashfs", "squashfs-tools"),
    Requirement::program("mkfs.erofs", "erofs-utils"),
    Requirement::program("xorriso", "xorriso"),
    Requirement::program("mkudffs", "udftools"),
    Requirement::program("sfdisk", "fdisk"),
    Requirement::program("sgdisk", "gdisk"),
    Requirement::program("cryptsetup", "cryptsetup-bin"),
    Requirement::program("mdadm", "mdadm"),
    Requirement::program("thin_restore", "thin-provisioning-tools"),
    Requirement::program("qemu-img", "qemu-utils"),
    Requirement::program("nbdkit", "nbdkit"),
    Requirement::program("getfacl", "acl"),
    Requirement::program("getfattr", "attr"),
    // Network links.
    Requirement::program("passt", "passt"),
    Requirement::program("ip", "iproute2"),
    Requirement::program("tcpdump", "tcpdump"),
    // Programs that are run on a drupe kernel's network.
    Requirement::program("python3", "python3"),
    Requirement::program("curl", "curl"),
    Requirement::program("go", "golang-go"),
    Requirement::program("nginx", "nginx"),
    Requirement::program("wrk", "wrk"),
    Requirement::program("redis-benchmark", "redis-tools"),
    Requirement::program("redis-server", "redis-server"),
    Requirement::program("iperf3", "iperf3"),
    Requirement::program("nft", "nftables"),
    Requirement::program("wg", "wireguard-tools"),
    Requirement::program("ping", "iputils-ping"),
    Requirement::program("sshd", "openssh-server"),
    Requirement::program("ssh", "openssh-client"),
    Requirement::program("ps", "procps"),
    Requirement::program("setsid", "util-linux"),
    // Archives, terminals and manual pages of the command.
    Requirement::program("tar", "tar"),
    Requirement::program("xz", "xz-utils"),
    Requirement::program("zstd", "zstd"),
    Requirement::program("bsdtar", "libarchive-tools"),
    Requirement::program("script", "bsdutils"),
    Requirement::program("setpriv", "util-linux"),
    Requirement::program("mandoc", "mandoc"),
    Requirement::program("fusermount3", "fuse3"),
    // Container images, made by others.
    Requirement::program("skopeo", "skopeo"),
    Requirement::program("umoci", "umoci"),
    Requirement::program("buildah", "buildah"),
    Requirement::program("docker-registry", "docker-registry"),
    Requirement::program("htpasswd", "apache2-utils"),
    Requirement::program("openssl", "openssl"),
    // Programs with libdrupe.
    Requirement::program("cc", "gcc"),
    Requirement::program("c++", "g++"),
    Requirement::program("pkg-config", "pkg-config"),
    Requirement::program("nm", "binutils"),
    // The other end of a link. Another Python that PATH may have lacks scapy.
    Requirement::file("Debian's Python", "python3", "/usr/bin/python3"),
    Requirement::file(
        "scapy",
        "python3-scapy",
        "/usr/lib/python3/dist-packages/scapy/__init__.py",
    ),
    // Wheels are built and tried in virtual environments.
    Requirement::file(
        "virtual environments",
        "python3-venv",
        "/var/lib/dpkg/info/python3-venv.list",
    ),
    // checkpatch.pl wants modules that perl-base lacks.
    Requirement::program("prove", "perl"),
];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    crate::no_arguments(arguments)?;
    install(&everything()?)
}

/// Requirements of building the kernel.
pub(crate) fn kernel() -> Result<Vec<Requirement>> {
    if Image::from_env()?.is_some() {
        return Ok(Vec::new());
    }
    Ok(requirements::all(&Source::from_env()?))
}

/// Requirements of all tasks.
pub(crate) fn everything() -> Result<Vec<Requirement>> {
    let mut all = kernel()?;
    all.extend(TESTS);
    Ok(all)
}

/// Installs missing packages of `wanted`, and prints their names.
pub(crate) fn install(wanted: &[Requirement]) -> Result<()> {
    let missing = requirements::missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let arguments = requirements::apt_get_arguments(&missing);
    let names: Vec<_> = missing.iter().map(|requirement| requirement.name).collect();
    eprintln!("installing what is missing: {}", names.join(", "));
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "this is no Debian system; install yourself: {} (Debian: {})",
            names.join(", "),
            arguments[3..].join(" ")
        );
    }
    // Standard output is for what the task itself prints.
    run_command(apt_get().arg("update").arg("--quiet").stdout(io::stderr()))?;
    run_command(apt_get().args(&arguments).stdout(io::stderr()))?;
    let still = requirements::missing(wanted);
    if !still.is_empty() {
        let names: Vec<_> = still.iter().map(|requirement| requirement.name).collect();
        bail!(
            "apt-get succeeded, but these are still missing: {}",
            names.join(", ")
        );
    }
    Ok(())
}

/// A shell script that runs apt-get without starting services: it adds a policy that
/// forbids that (`invoke-rc.d(8)`), unless the machine has one, and removes it at the
/// end.
const APT_GET: &str = "\
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\\nexit 101\\n' > $policy && chmod 755 $policy
fi
DEBIAN_FRONTEND=noninteractive apt-get \"$@\"";

/// apt-get, as root, asking nothing.
fn apt_get() -> Command {
    // Its owner is who runs this process.
    let root = std::fs::metadata("/proc/self")
        .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let mut command = Command::new(if root { "sh" } else { "sudo" });
    if !root {
        command.arg("sh");
    }
    command.args(["-c", APT_GET, "apt-get"]);
    command
}
