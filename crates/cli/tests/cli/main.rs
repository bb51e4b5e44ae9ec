//! The command as its users run it: processes, images, exit codes.
//!
//! Needs the tools that make and check filesystems (e2fsprogs, fdisk,
//! dosfstools, acl, attr, qemu-utils); a missing one fails a test, it does not skip it.

mod archive;
mod assembled;
mod attributes;
mod build;
mod commands;
mod compare;
mod damaged_tables;
mod descriptors;
mod disks;
mod errors;
mod formats;
mod harness;
mod host_files;
mod info;
mod interrupt;
mod json;
mod listing;
mod mount_options;
mod oci;
mod oci_registries;
mod promises;
mod repart;
mod repart_contents;
mod reproducible;
mod sandbox;
mod semantics;
mod several;
mod shell;
mod systems;
mod tar;
mod volumes;
mod whole;
