//! `drupe`, the command: looks into disk images and copies files in and out.
//!
//! [`args`] defines what may be said, [`location`] what an argument means,
//! [`session`] boots the kernel and mounts what is named; then one module for
//! each command: [`info`], [`ls`], [`cat`], [`copy`], [`mount`],
//! [`run`].
#![forbid(unsafe_code)]

mod args;
mod cat;
mod commands;
mod context;
mod copy;
mod dates;
mod describe;
mod disk_image;
mod epoch;
mod exit;
mod generate;
mod host_output;
mod info;
mod interrupt;
mod location;
mod ls;
mod manifest;
mod mode;
mod mount;
mod output;
mod passphrase;
mod paths;
mod problem;
mod run;
mod sandbox;
mod session;
mod shell;
mod syslog;
mod tar;
mod time;
mod umask;
mod umount;
mod users;
mod visit;

use clap::{CommandFactory, FromArgMatches};

use args::{Args, Command};
use context::Context;
use exit::{ExitCode, Failure};

fn main() -> std::process::ExitCode {
    // Not Args::parse(): the order of some options matters, and matches know it.
    let matches = Args::command().get_matches();
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if let Command::Run(command) = &args.command {
        return run::run(&args.global, command, &matches);
    }
    let outcome = match &args.command {
        Command::Completions(command) => generate::completions(command),
        Command::Man(command) => generate::man(command),
        Command::Mount(command) => sandbox::confine(&args.global, &args.command)
            .and_then(|()| mount::run(&args.global, command)),
        Command::Umount(command) => umount::run(command),
        command => sandbox::confine(&args.global, command)
            .and_then(|()| Context::new(&args.global))
            .and_then(|mut context| {
                let outcome = execute(&mut context, command);
                context.finish(outcome)
            }),
    };
    match outcome {
        Ok(code) => code.into(),
        Err(Failure { code, error }) => {
            // Whoever closed our output has seen enough.
            if output::is_broken_pipe(&error) {
                return ExitCode::Success.into();
            }
            output::error(&format!("{error:#}"));
            code.into()
        }
    }
}

/// Runs a command; a shell runs many in one context.
fn execute(context: &mut Context<'_>, command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Info(command) => info::run(context, command),
        Command::Ls(command) => ls::run(context, command),
        Command::Cat(command) => cat::run(context, command),
        Command::Cp(command) => copy::run(context, command),
        Command::Tree(command) => commands::tree::run(context, command),
        Command::Stat(command) => commands::stat::run(context, command),
        Command::Mv(command) => commands::mv::run(context, command),
        Command::Rm(command) => commands::rm::run(context, command),
        Command::Mkdir(command) => commands::dirs::mkdir(context, command),
        Command::Rmdir(command) => commands::dirs::rmdir(context, command),
        Command::Ln(command) => commands::ln::run(context, command),
        Command::Chmod(command) => commands::attributes::chmod(context, command),
        Command::Chown(command) => commands::attributes::chown(context, command),
        Command::Touch(command) => commands::touch::run(context, command),
        Command::Truncate(command) => commands::contents::truncate(context, command),
        Command::Write(command) => commands::contents::write(context, command),
        Command::Tar(command) => tar::create::run(context, command),
        Command::Untar(command) => tar::extract::run(context, command),
        Command::Build(command) => manifest::run(context, command),
        Command::Df(command) => commands::df::run(context, command),
        Command::Du(command) => commands::du::run(context, command),
        Command::Find(command) => commands::find::run(context, command),
        Command::Fstrim(command) => commands::fstrim::run(context, command),
        Command::CheckLog(command) => commands::check_log::run(context, command),
        Command::Shell(command) => shell::shell(context, command),
        Command::Script(command) => shell::script(context, command),
        Command::Completions(command) => generate::completions(command),
        Command::Man(command) => generate::man(command),
        Command::Mount(_) => Err(Failure::usage(
            "mount needs a kernel of its own: not in a shell or script",
        )),
        Command::Umount(command) => umount::run(command),
        Command::Run(_) => Err(Failure::usage(
            "run needs a kernel of its own: not in a shell or script",
        )),
    }
}
