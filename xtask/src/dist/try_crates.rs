//! Tries the packaged crates: an empty project runs `cargo add drupe`, with cargo, rustc
//! and a linker, but without network, kernel source and C compiler. Another one adds
//! `drupe-tree`, whose compression libraries need the compiler.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Dist, begin};
use crate::demo::{compare, quietly, tool, tree};
use crate::run::output;

/// The program: boots a kernel, and writes into an image that another program made.
const PROGRAM: &str = r#"use drupe::{Disk, Kernel, MountOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let image = std::env::args_os().nth(1).ok_or("usage: first IMAGE")?;
    let kernel = Kernel::boot()?;
    let memory = kernel.mount_virtual("tmpfs", MountOptions::new())?;
    memory.write("/greeting", "hello")?;
    let disk = kernel.add_disk(Disk::open(image)?)?;
    let root = disk.whole().mount(MountOptions::new())?;
    root.write("/greeting", memory.read("/greeting")?)?;
    println!("Linux {} wrote {:?}", drupe::LINUX_VERSION, root.read_to_string("/greeting")?);
    root.umount()?;
    Ok(())
}
"#;

/// The program that copies a tree into an image and out again.
const TREE_PROGRAM: &str = include_str!("../../../crates/tree/examples/there_and_back.rs");

/// A linker: the C compiler's driver, which compiles nothing.
const LINKER: &str = r#"#!/bin/sh
for argument do
    case $argument in
    -c|-S|-E|*.c|*.cc|*.cpp|*.S)
        echo "there is a linker here, and no compiler: $argument" >&2
        exit 1
    esac
done
PATH=/usr/bin:/bin exec CC "$@"
"#;

/// Makes the project, adds `drupe`, and runs its program.
pub(super) fn run(dist: &Dist) -> Result<()> {
    let mut steps = begin("cargo add drupe, in an empty project");
    let place = tempfile::Builder::new().prefix("drupe-dist-").tempdir()?;
    let place = place.path();
    let machine = Machine::new(place, &dist.out.join("registry"))?;
    let project = place.join("first");
    steps.run(
        machine
            .cargo(place)
            .args(["new", "--quiet", "--vcs", "none", "first"]),
    )?;
    steps.run(machine.cargo(&project).args(["add", "--quiet", "drupe"]))?;
    fs::write(project.join("src/main.rs"), PROGRAM)?;
    steps.run(machine.cargo(&project).args(["build", "--quiet"]))?;
    let image = place.join("disk.img");
    fs::File::create(&image)?.set_len(64 << 20)?;
    quietly(tool("mkfs.ext4").arg("-q").arg(&image))?;
    let program = project.join("target/debug/first");
    let said = steps.output(Command::new(program).arg(&image).env_clear())?;
    steps.note(said.trim());
    if !said.contains(r#"wrote "hello""#) {
        bail!("the program said {said:?}");
    }
    steps.run(tool("e2fsck").arg("-fn").arg(&image))?;
    copy_tree(&machine, place)
}

/// Makes the project that adds `drupe-tree`, and runs its program.
fn copy_tree(machine: &Machine, place: &Path) -> Result<()> {
    let mut steps = begin("cargo add drupe-tree, in an empty project");
    let project = place.join("tree-program");
    steps.run(
        machine
            .cargo(place)
            .args(["new", "--quiet", "--vcs", "none", "tree-program"]),
    )?;
    let add = ["add", "--quiet", "drupe", "drupe-tree"];
    steps.run(machine.cargo(&project).args(add))?;
    fs::write(project.join("src/main.rs"), TREE_PROGRAM)?;
    steps.run(machine.with_compiler(&project)?.args(["build", "--quiet"]))?;
    let [image, tree, out] = ["tree.img", "tree", "out"].map(|name| place.join(name));
    tree::make(&tree)?;
    fs::File::create(&image)?.set_len(1 << 30)?;
    quietly(tool("mkfs.ext4").arg("-q").arg(&image))?;
    let program = project.join("target/debug/tree-program");
    steps.time("a tree into an ext4 image and out, compared", || {
        quietly(
            Command::new(&program)
                .args([&image, &tree, &out])
                .env_clear(),
        )?;
        compare::compare(&tree, &out)
    })?;
    steps.run(tool("e2fsck").arg("-fn").arg(&image))
}

/// A machine that has as little as can be.
struct Machine {
    programs: PathBuf,
    home: PathBuf,
}

impl Machine {
    fn new(place: &Path, registry: &Path) -> Result<Machine> {
        let (programs, home) = (place.join("bin"), place.join("home"));
        fs::create_dir(&programs)?;
        fs::create_dir_all(home.join(".cargo"))?;
        // Not rustup's, which would look for toolchains at HOME.
        let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
        for name in ["cargo", "rustc"] {
            let program = Path::new(sysroot.trim()).join("bin").join(name);
            symlink(&program, programs.join(name))?;
        }
        symlink(find("ld")?, programs.join("ld"))?;
        let linker = programs.join("cc");
        let driver = find("cc")?.display().to_string();
        fs::write(&linker, LINKER.replace("CC", &driver))?;
        fs::set_permissions(&linker, Permissions::from_mode(0o755))?;
        let config = format!(
            "[source.crates-io]\nreplace-with = \"drupe\"\n\n[source.drupe]\n\
             directory = {:?}\n\n[net]\noffline = true\n",
            registry
        );
        fs::write(home.join(".cargo/config.toml"), config)?;
        Ok(Machine { programs, home })
    }

    /// cargo, with that machine's environment.
    fn cargo(&self, directory: &Path) -> Command {
        let mut command = Command::new(self.programs.join("cargo"));
        command.current_dir(directory).env_clear();
        command.env("PATH", &self.programs).env("HOME", &self.home);
        command
    }

    /// The same, with the C compiler of this machine.
    fn with_compiler(&self, directory: &Path) -> Result<Command> {
        let mut command = self.cargo(directory);
        // The compiler starts an assembler, and build scripts may start tools.
        let mut path = self.programs.clone().into_os_string();
        path.push(":/usr/bin:/bin");
        command.env("PATH", path);
        command.env("CC", find("cc")?).env("AR", find("ar")?);
        Ok(command)
    }
}

/// Where a program is, by this machine's `PATH`.
fn find(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut found = env::split_paths(&path).map(|directory| directory.join(name));
    found
        .find(|program| program.is_file())
        .with_context(|| format!("no {name} in PATH"))
}
