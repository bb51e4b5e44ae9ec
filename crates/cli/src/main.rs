//! `drupe`, the command: looks into disk images and copies files in and out.
//!
//! [`args`] defines what may be said, [`location`] what an argument means,
//! [`session`] boots the kernel and mounts what is named; [`commands`] has a
//! module for each command. What works on trees of files is the library `drupe_tree`.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod context;
mod dates;
mod describe;
mod epoch;
mod exit;
mod interrupt;
mod json_list;
mod location;
mod output;
mod passphrase;
mod programs;
mod progress;
mod sandbox;
mod session;
mod sums;
mod syslog;

use clap::FromArgMatches;

use args::{Args, Command};
use context::Context;
use exit::{ExitCode, Failure};

fn main() -> std::process::ExitCode {
    interrupt::look_at_signals();
    if let Err(error) = interrupt::outlive_file_limit() {
        output::error(&format!("cannot handle signals: {error}"));
        return ExitCode::Failed.into();
    }
    // Not Args::parse(): the order of some options matters, and matches know it.
    let matches = match args::definition().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return help(&error).into(),
    };
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if let Command::Run(command) = &args.command {
        return commands::run::run(&args.global, command, &matches);
    }
    let outcome = match &args.command {
        Command::Completions(command) => commands::generate::completions(command),
        Command::Man(command) => commands::generate::man(command),
        Command::Mount(command) => commands::mount::run(&args.global, command),
        Command::Umount(command) => commands::umount::run(command),
        command => sandbox::confine(&args.global, command)
            .and_then(|prepared| Context::new(&args.global, prepared))
            .and_then(|mut context| {
                let outcome = execute(&mut context, command);
                context.finish(outcome)
            }),
    };
    let outcome = outcome.and_then(|code| {
        output::close_stdout()?;
        Ok(code)
    });
    match outcome {
        Ok(code) => code.into(),
        Err(failure) => {
            // Whoever closed our output has seen enough.
            if output::is_broken_pipe(&failure.error) {
                return ExitCode::Success.into();
            }
            output::failure(&failure);
            failure.code.into()
        }
    }
}

/// Prints help, the version, or what is wrong with the command line.
fn help(error: &clap::Error) -> ExitCode {
    let printed = error.print().map_err(output::of_stdout);
    let printed = printed.and_then(|()| output::close_stdout());
    match printed {
        Err(printed) if printed.kind() != std::io::ErrorKind::BrokenPipe => {
            output::error(&printed.to_string());
            ExitCode::Failed
        }
        _ if error.use_stderr() => {
            if let Some(hint) = args::mistakes::hint(error) {
                output::hint(hint);
            }
            ExitCode::Usage
        }
        _ => ExitCode::Success,
    }
}

/// Runs a command; a shell runs many in one context.
fn execute(context: &mut Context<'_>, command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Info(command) => commands::info::run(context, command),
        Command::Ls(command) => commands::ls::run(context, command),
        Command::Cat(command) => commands::cat::run(context, command),
        Command::Cp(command) => commands::cp::run(context, command),
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
        Command::Tar(command) => commands::tar::create(context, command),
        Command::Untar(command) => commands::tar::extract(context, command),
        Command::Build(command) => commands::build::run(context, command),
        Command::Repart(command) => commands::repart::run(context, command),
        Command::Oci(command) => commands::oci::run(context, command),
        Command::Create(command) => commands::repart::create(context, command),
        Command::Mkfs(command) => commands::repart::make_filesystem(context, command),
        Command::Part(command) => commands::repart::part(context, command),
        Command::Df(command) => commands::df::run(context, command),
        Command::Du(command) => commands::du::run(context, command),
        Command::Find(command) => commands::find::run(context, command),
        Command::Fstrim(command) => commands::fstrim::run(context, command),
        Command::CheckLog(command) => commands::check_log::run(context, command),
        Command::Subvolume(command) => commands::subvolume::run(context, command),
        Command::Snapshot(command) => commands::subvolume::snapshot(context, command),
        Command::Label(command) => commands::label::label(context, command),
        Command::Uuid(command) => commands::label::uuid(context, command),
        Command::Scrub(command) => commands::scrub::run(context, command),
        Command::Getfattr(command) => commands::fattr::get(context, command),
        Command::Setfattr(command) => commands::fattr::set(context, command),
        Command::Getfacl(command) => commands::facl::get(context, command),
        Command::Setfacl(command) => commands::facl::set(context, command),
        Command::Lsattr(command) => commands::flags::list(context, command),
        Command::Chattr(command) => commands::flags::change(context, command),
        Command::Getcap(command) => commands::capabilities::get(context, command),
        Command::Setcap(command) => commands::capabilities::set(context, command),
        Command::Checksum(command) => commands::checksum::run(context, command),
        Command::Diff(command) => commands::diff::run(context, command),
        Command::Edit(command) => commands::edit::run(context, command),
        Command::Inspect(command) => commands::inspect::run(context, command),
        Command::Resize(command) => commands::resize::run(context, command),
        Command::Sparsify(command) => commands::sparsify::run(context, command),
        Command::Fsck(command) => commands::fsck::run(context, command),
        Command::Shell(command) => commands::shell::shell(context, command),
        Command::Script(command) => commands::shell::script(context, command),
        Command::Completions(command) => commands::generate::completions(command),
        Command::Man(command) => commands::generate::man(command),
        Command::Mount(_) => Err(Failure::usage(
            "mount needs a kernel of its own: not in a shell or script",
        )),
        Command::Umount(command) => commands::umount::run(command),
        Command::Run(_) => Err(Failure::usage(
            "run needs a kernel of its own: not in a shell or script",
        )),
    }
}
