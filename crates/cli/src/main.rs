//! `drupe`, the command: looks into disk images and copies files in and out.
//!
//! [`args`] defines what may be said, [`location`] what an argument means,
//! [`session`] boots the kernel and mounts what is named; then one module for
//! each command: [`info`], [`ls`], [`cat`], [`copy`].
#![forbid(unsafe_code)]

mod args;
mod cat;
mod copy;
mod exit;
mod info;
mod interrupt;
mod location;
mod ls;
mod output;
mod passphrase;
mod session;

use clap::Parser;

use args::{Args, Command};
use exit::{ExitCode, Failure};

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    let outcome = match &args.command {
        Command::Info(command) => info::run(&args.global, command),
        Command::Ls(command) => ls::run(&args.global, command),
        Command::Cat(command) => cat::run(&args.global, command),
        Command::Cp(command) => copy::run(&args.global, command),
    };
    match outcome {
        Ok(code) => code.into(),
        Err(Failure { code, error }) => {
            // Whoever closed our output has seen enough.
            if output::is_broken_pipe(&error) {
                return ExitCode::Success.into();
            }
            eprintln!("drupe: {error:#}");
            code.into()
        }
    }
}
