//! [`definition`]: the command line as its help shows it.

use clap::CommandFactory;
use clap::builder::Resettable;

use super::{Args, IMAGES, OUTPUT};

/// Where the options of images are explained.
pub(super) const MORE: &str = "`drupe --help` says more about image options.";

/// The command line. A command's help has its own options first, and those of all
/// commands that have an effect on it behind them, with a line each.
pub(crate) fn definition() -> clap::Command {
    let mut command = Args::command();
    // Only now do the commands have the options of all.
    command.build();
    let names = command.get_subcommands().map(|command| command.get_name());
    for name in names.map(String::from).collect::<Vec<_>>() {
        command = command.mut_subcommand(&name, |command| of_command(command, &name));
    }
    command
}

fn of_command(command: clap::Command, name: &str) -> clap::Command {
    let mut has_more = false;
    let command = command.mut_args(|option| {
        let heading = option.get_help_heading();
        if heading != Some(IMAGES) && heading != Some(OUTPUT) {
            return option;
        }
        if !has_effect(name, option.get_id().as_str(), heading == Some(IMAGES)) {
            return option.hide(true);
        }
        has_more |= heading == Some(IMAGES);
        // Those of the values, too.
        option
            .long_help(Resettable::Reset)
            .hide_possible_values(true)
    });
    let notes = command.get_after_long_help().map(ToString::to_string);
    match (has_more, notes) {
        (false, _) => command,
        (true, None) => command.after_help(MORE),
        (true, Some(notes)) => {
            let notes = format!("{MORE}\n\n{}", notes.trim_end());
            command.after_help(MORE).after_long_help(notes)
        }
    }
}

/// Whether an option of all commands, or of all that take images, changes anything in a
/// command. Others are accepted, and not shown.
fn has_effect(command: &str, option: &str, is_of_images: bool) -> bool {
    match (command, option) {
        ("run" | "repart", "memory" | "kernel_log") | ("repart", "key_file" | "image_format") => {
            true
        }
        ("completions" | "man" | "umount" | "run" | "repart" | "help", _) if is_of_images => false,
        ("create" | "mkfs" | "part", _) if is_of_images => false,
        // Where there is a choice of reading and writing.
        (_, "read_only") => {
            matches!(
                command,
                "cp" | "find"
                    | "label"
                    | "mount"
                    | "scrub"
                    | "script"
                    | "shell"
                    | "subvolume"
                    | "uuid"
            )
        }
        (_, "replay") => !matches!(
            command,
            "mv" | "rm"
                | "mkdir"
                | "rmdir"
                | "ln"
                | "chmod"
                | "chown"
                | "touch"
                | "truncate"
                | "write"
                | "untar"
                | "build"
                | "fstrim"
                | "fsck"
                | "sparsify"
                | "resize"
                | "edit"
                | "setcap"
                | "chattr"
                | "setfacl"
                | "setfattr"
                | "snapshot"
        ),
        (_, "json" | "json_lines") => matches!(
            command,
            "info"
                | "ls"
                | "tree"
                | "stat"
                | "df"
                | "du"
                | "find"
                | "check-log"
                | "repart"
                | "part"
                | "inspect"
                | "diff"
                | "subvolume"
                | "scrub"
                | "shell"
                | "script"
        ),
        _ => true,
    }
}
