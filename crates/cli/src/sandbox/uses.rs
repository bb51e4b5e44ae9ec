//! [`Uses`]: the files and network of the host that a command needs, by its parsed
//! arguments.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::args::{Command, Global, OciCommand, SubvolumeAction};
use crate::location::{ImagePath, Location};
use drupe_oci::Reference;
use drupe_tree::paths;

/// What a command does besides reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    /// Nothing: it reads images.
    Read,
    /// It writes to an image.
    WriteImage,
    /// It serves a mount on the host, which a process that is not confined has made; it
    /// may write to the image.
    Serve,
    /// It makes files on the host.
    WriteHost {
        /// With owners, devices and attributes of symbolic links, which are set by path.
        archive: bool,
    },
}

/// The files and the network that a command needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Uses {
    pub(super) profile: Profile,
    /// All attributes of files of the host are read: root's `trusted.` ones too.
    pub(super) trusted: bool,
    /// Devices may be made on the host: without -r and -a, what is in them is copied.
    pub(super) devices: bool,
    /// Images that are read, and those that are written, without what they refer to.
    pub(super) read_images: Vec<PathBuf>,
    pub(super) write_images: Vec<PathBuf>,
    /// Addresses of network disks, and whether they are written.
    pub(super) network: Vec<(String, bool)>,
    /// Files and directories of the host, with all that is in them.
    pub(super) read: Vec<PathBuf>,
    /// Directories whose entries, and those below, are listed, not read.
    pub(super) list: Vec<PathBuf>,
    /// Directories and files in which all is allowed.
    pub(super) write: Vec<PathBuf>,
    /// A file that is written from its beginning to its end, as
    /// [`OutputFile`](drupe_tree::OutputFile) does: it is opened before.
    pub(super) output: Option<PathBuf>,
}

impl Uses {
    /// `None`: what it uses cannot be told beforehand, or it opens no image.
    pub(super) fn of(options: &Global, command: &Command) -> Option<Uses> {
        let mut uses = Uses {
            profile: Profile::Read,
            trusted: false,
            devices: false,
            read_images: Vec::new(),
            write_images: Vec::new(),
            network: Vec::new(),
            read: Vec::new(),
            list: Vec::new(),
            write: Vec::new(),
            output: None,
        };
        match command {
            Command::Info(command) => uses.files(&command.images, false),
            Command::Ls(command) => uses.paths(&command.paths, false),
            Command::Cat(command) => uses.paths(&command.paths, false),
            Command::Tree(command) => uses.paths(&command.paths, false),
            Command::Stat(command) => uses.paths(&command.paths, false),
            Command::Df(command) => uses.paths(&command.images, false),
            Command::Du(command) => uses.paths(&command.paths, false),
            Command::CheckLog(command) => uses.paths(&command.images, false),
            Command::Find(command) => {
                let (paths, expression) = command.split();
                uses.paths(paths, command.deletes());
                for pair in expression.windows(2) {
                    if pair[0] == "-newer" {
                        uses.paths(&pair[1..], false);
                    }
                }
            }
            Command::Tar(command) => {
                uses.paths(std::slice::from_ref(&command.path), false);
                uses.output = command.file.clone().filter(|file| file != Path::new("-"));
            }
            Command::Cp(command) => {
                let (to, from) = command.paths.split_last()?;
                uses.trusted = command.archive;
                for path in from {
                    uses.source(path);
                }
                match Location::parse(to) {
                    Location::Image(path) => uses.image(&path.volume.image, true),
                    Location::Host(path) => {
                        uses.destination(&path);
                        uses.devices = command.recursive || command.archive;
                        uses.profile = Profile::WriteHost {
                            archive: command.archive,
                        };
                    }
                }
            }
            Command::Mv(command) => uses.paths(&command.paths, true),
            Command::Rm(command) => uses.paths(&command.paths, true),
            Command::Mkdir(command) => uses.paths(&command.paths, true),
            Command::Rmdir(command) => uses.paths(&command.paths, true),
            Command::Ln(command) => uses.paths(&command.paths, true),
            Command::Chmod(command) => uses.paths(&command.paths, true),
            Command::Chown(command) => uses.paths(&command.paths, true),
            Command::Touch(command) => {
                uses.paths(command.reference.as_slice(), false);
                uses.paths(&command.paths, true);
            }
            Command::Truncate(command) => uses.paths(&command.paths, true),
            Command::Write(command) => uses.paths(std::slice::from_ref(&command.path), true),
            Command::Fstrim(command) => uses.paths(&command.images, true),
            Command::Untar(command) => {
                uses.paths(std::slice::from_ref(&command.path), true);
                uses.read.extend(command.file.clone());
            }
            Command::Build(command) => {
                uses.paths(std::slice::from_ref(&command.path), true);
                uses.read.push(command.manifest.clone());
                uses.read.push(command.source.clone());
            }
            Command::Oci(command) => match &command.command {
                OciCommand::Unpack(command) => {
                    uses.paths(std::slice::from_ref(&command.path), true);
                    uses.container(&command.source)?;
                }
                OciCommand::Inspect(command) => uses.container(&command.source)?,
                OciCommand::Pack(command) => {
                    uses.paths(std::slice::from_ref(&command.path), false);
                    if let Reference::Layout { dir, .. } = &command.dest {
                        uses.destination(dir);
                    }
                    uses.profile = Profile::WriteHost { archive: false };
                }
            },
            Command::Subvolume(command) => {
                uses.paths(&command.paths, command.action != SubvolumeAction::List);
            }
            Command::Snapshot(command) => {
                uses.paths(std::slice::from_ref(&command.source), true);
                uses.paths(std::slice::from_ref(&command.dest), true);
            }
            Command::Label(command) => {
                uses.paths(
                    std::slice::from_ref(&command.image),
                    command.label.is_some(),
                );
            }
            Command::Uuid(command) => {
                uses.paths(std::slice::from_ref(&command.image), command.uuid.is_some());
            }
            Command::Scrub(command) => uses.paths(&command.images, command.repair),
            Command::Getfattr(command) => uses.paths(&command.paths, false),
            Command::Setfattr(command) => uses.paths(&command.paths, true),
            Command::Getfacl(command) => uses.paths(&command.paths, false),
            Command::Setfacl(command) => uses.paths(&command.paths, true),
            Command::Lsattr(command) => uses.paths(&command.paths, false),
            Command::Chattr(command) => uses.paths(command.split().1, true),
            Command::Getcap(command) => uses.paths(&command.paths, false),
            Command::Setcap(command) => command
                .paths()
                .for_each(|path| uses.image(&ImagePath::parse(path).volume.image, true)),
            Command::Checksum(command) => {
                uses.paths(&command.paths, false);
                if let Some(file) = &command.check {
                    uses.read.push(file.clone());
                    uses.paths(&crate::sums::names(file), false);
                }
            }
            Command::Diff(command) => {
                uses.compared(&command.before);
                uses.compared(&command.after);
            }
            // They start an editor, and a tool that checks.
            Command::Edit(_) | Command::Fsck(_) => return None,
            Command::Inspect(command) => uses.paths(&command.images, false),
            Command::Resize(command) => uses.paths(std::slice::from_ref(&command.image), true),
            Command::Sparsify(command) => uses.files(&command.images, true),
            // They may name any file later, and start programs of the host.
            Command::Shell(_) | Command::Script(_) => return None,
            // It starts the tools that make filesystems, and mounts only those.
            Command::Repart(_) | Command::Mkfs(_) => return None,
            // What they write has no name at first.
            Command::Create(_) | Command::Part(_) => return None,
            Command::Mount(command) => {
                uses.paths(std::slice::from_ref(&command.image), !options.read_only);
                uses.profile = Profile::Serve;
            }
            Command::Umount(_) | Command::Run(_) | Command::Completions(_) | Command::Man(_) => {
                return None;
            }
        }
        let writes = uses.writes_image();
        for image in &options.with {
            uses.image(image, writes);
        }
        uses.read.extend(options.key_file.clone());
        if uses.output.is_some() {
            uses.profile = Profile::WriteHost { archive: false };
        } else if uses.profile == Profile::Read && writes {
            uses.profile = Profile::WriteImage;
        }
        Some(uses)
    }

    /// Images that are written.
    pub(super) fn written_images(&self) -> impl Iterator<Item = &Path> {
        self.write_images.iter().map(PathBuf::as_path)
    }

    /// All images that are files.
    pub(super) fn images(&self) -> impl Iterator<Item = &Path> {
        let images = self.read_images.iter().chain(&self.write_images);
        images.map(PathBuf::as_path)
    }

    fn writes_image(&self) -> bool {
        !self.write_images.is_empty() || self.network.iter().any(|&(_, write)| write)
    }

    fn image(&mut self, image: &Path, write: bool) {
        if let Some(uri) = image.to_str().filter(|text| drupe::is_uri(text)) {
            match self.network.iter_mut().find(|(known, _)| known == uri) {
                Some((_, known)) => *known |= write,
                None => self.network.push((uri.to_owned(), write)),
            }
            return;
        }
        match write {
            true => self.write_images.push(image.to_owned()),
            false => self.read_images.push(image.to_owned()),
        }
    }

    fn files(&mut self, images: &[PathBuf], write: bool) {
        for image in images {
            self.image(image, write);
        }
    }

    /// Arguments that are `IMAGE[@PART][:/PATH]`.
    fn paths(&mut self, arguments: &[OsString], write: bool) {
        for argument in arguments {
            self.image(&ImagePath::parse(argument).volume.image, write);
        }
    }

    /// A container image that is read; `None`: it is in a registry, and more connections
    /// are made the further it is read.
    fn container(&mut self, source: &Reference) -> Option<()> {
        match source {
            Reference::Layout { dir: path, .. }
            | Reference::LayoutArchive { file: path, .. }
            | Reference::DockerArchive { file: path, .. } => self.read.push(path.clone()),
            _ => return None,
        }
        Some(())
    }

    /// What `diff` compares: a directory of the host, or an image.
    fn compared(&mut self, argument: &OsStr) {
        match Location::parse(argument) {
            Location::Host(path) if path.is_dir() => {
                // Devices and links are not opened: what is beneath is enough.
                self.trusted = true;
                self.read.push(path);
            }
            _ => self.image(&ImagePath::parse(argument).volume.image, false),
        }
    }

    /// What `cp` copies.
    fn source(&mut self, argument: &OsStr) {
        match Location::parse(argument) {
            Location::Image(path) => self.image(&path.volume.image, false),
            Location::Host(path) => {
                // It is opened by its name in there.
                self.list.push(paths::parent(&path).to_owned());
                self.read.push(path);
            }
        }
    }

    /// Where `cp` puts what it makes on the host: a file is made beside what it replaces.
    fn destination(&mut self, path: &Path) {
        // Written into, and beside it nothing is made.
        if drupe_tree::is_descriptor(path) {
            self.write.push(path.to_owned());
            return;
        }
        if path.is_dir() {
            self.write.push(path.to_owned());
            return;
        }
        self.write.push(paths::parent(path).to_owned());
        // It is made where a symbolic link leads.
        if path.is_symlink()
            && let Ok(real) = path.canonicalize()
        {
            self.write.push(paths::parent(&real).to_owned());
        }
        // A device, which is written into.
        self.write.push(path.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Args;

    fn uses(words: &[&str]) -> Option<Uses> {
        let args = Args::try_parse_from(std::iter::once("drupe").chain(words.iter().copied()));
        let args = args.unwrap();
        Uses::of(&args.global, &args.command)
    }

    #[test]
    fn what_is_said_of_an_image_is_not_a_file() {
        let place = tempfile::tempdir().unwrap();
        let name = |name: &str| place.path().join(name).display().to_string();
        for file in ["d.img", "source", "e.img", "key"] {
            std::fs::write(name(file), [0; 512]).unwrap();
        }
        let (image, source, key) = (name("d.img"), name("source"), name("key"));
        let target = format!("{image}:/");

        let copy = uses(&["--key-file", &key, "cp", "-a", &source, &target]).unwrap();
        assert_eq!(copy.profile, Profile::WriteImage);
        assert_eq!(copy.write_images, [PathBuf::from(&image)]);
        assert_eq!(copy.read_images, [] as [PathBuf; 0]);
        assert_eq!(copy.read, [PathBuf::from(&source), key.into()]);
        assert_eq!(copy.list, [place.path()]);

        // What is searched for has the name of a file.
        let found = uses(&["find", &image, "-name", &source]).unwrap();
        assert_eq!(found.profile, Profile::Read);
        assert_eq!(found.read_images, [PathBuf::from(&image)]);
        assert_eq!(found.read, [] as [PathBuf; 0]);
        let found = uses(&["find", &image, "-delete"]).unwrap();
        assert_eq!(found.profile, Profile::WriteImage);

        let other = name("e.img");
        let listed = uses(&["--with", &other, "ls", &image]).unwrap();
        assert_eq!(listed.read_images, [&image, &other].map(PathBuf::from));
        let removed = uses(&["--with", &other, "rm", &format!("{image}:/x")]).unwrap();
        assert_eq!(removed.write_images, [&image, &other].map(PathBuf::from));
    }

    #[test]
    fn what_is_made_on_the_host() {
        let place = tempfile::tempdir().unwrap();
        let new = place.path().join("new").display().to_string();
        let out = uses(&["cp", "-a", "d.img:/f", &new]).unwrap();
        assert_eq!(out.profile, Profile::WriteHost { archive: true });
        assert_eq!(out.write, [place.path(), Path::new(&new)]);
        let devices = |words: &[&str]| uses(words).unwrap().devices;
        assert!(out.devices && devices(&["cp", "-r", "d.img:/f", &new]));
        assert!(!devices(&["cp", "d.img:/f", &new]) && !devices(&["tar", "-f", &new, "d.img:/"]));
        let archive = uses(&["tar", "-f", &new, "d.img:/"]).unwrap();
        assert_eq!(archive.profile, Profile::WriteHost { archive: false });
        assert_eq!(archive.output, Some(PathBuf::from(&new)));
        assert_eq!(archive.write, [] as [PathBuf; 0]);
    }

    #[test]
    fn the_network() {
        let disk = uses(&["ls", "nbd://host/a:/x"]).unwrap();
        assert_eq!(disk.network, [("nbd://host/a".to_owned(), false)]);
        assert!(uses(&["shell", "d.img"]).is_none());
    }
}
