//! Makes the snapshot, by booting kernels in this process, and writes it to `OUT_DIR` for
//! `src/lib.rs`. If that fails, the file is empty, a warning says why, and kernels boot
//! without a snapshot.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use sha2::{Digest, Sha256};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    let snapshot = drupe_machine::make_snapshot().unwrap_or_else(|reason| {
        println!("cargo::warning=no snapshot of a kernel: each kernel is going to boot");
        for line in reason.lines() {
            println!("cargo::warning={line}");
        }
        Vec::new()
    });
    match write(&snapshot) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error=cannot write the snapshot: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(snapshot: &[u8]) -> std::io::Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("snapshot"), snapshot)?;
    fs::write(out.join("snapshot.id"), Sha256::digest(snapshot))
}
