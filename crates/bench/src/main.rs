//! What drupe costs: `cargo xtask bench`.
//!
//! Every row is measured beside the host doing the same, in the same run, and
//! printed as a ratio: other machines have other times, and similar ratios.
//! A row that we lose stays.
//!
//! - `calls`: boot, and single system calls, in this process.
//! - `copies`: whole processes that copy files into and out of an ext4 image.
//! - `table`: how rows are printed.

mod calls;
mod copies;
mod table;

use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use table::Table;

fn main() -> Result<()> {
    let mut json = false;
    let mut command = None;
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--json") => json = true,
            Some("--command") => command = arguments.next().map(PathBuf::from),
            _ => bail!(
                "unknown argument {argument:?}; usage: drupe-bench [--json] --command PATH-OF-DRUPE"
            ),
        }
    }
    let command = command.context("--command PATH-OF-DRUPE is needed, for the copies")?;
    let mut table = Table::default();
    calls::run(&mut table)?;
    copies::run(&mut table, &command)?;
    if json {
        println!("{:#}", table.json());
    } else {
        print!("{table}");
    }
    Ok(())
}
