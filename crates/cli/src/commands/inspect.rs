//! `drupe inspect`: which operating systems are in an image, and what is installed.

use std::io::Write;

use drupe_tree::inspect::{System, inspect};
use serde::Serialize;

use crate::args::Inspect;
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::json_list::{JsonList, bytes_of, text_of};
use crate::location::Volume;
use crate::output::{Report, Stdout, warning};

/// An operating system; the JSON output is an array of these.
#[derive(Serialize)]
struct Json {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_bytes: Option<Vec<u8>>,
    id: String,
    name: String,
    version: String,
    architecture: String,
    hostname: String,
    kernels: Vec<String>,
    users: Vec<User>,
    fstab: Vec<Fstab>,
    package_format: String,
    packages: Option<Vec<Package>>,
}

#[derive(Serialize)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
    shell: String,
}

#[derive(Serialize)]
struct Fstab {
    device: String,
    path: String,
    #[serde(rename = "type")]
    kind: String,
    options: String,
}

#[derive(Serialize)]
struct Package {
    name: String,
    version: String,
    architecture: String,
}

pub(crate) fn run(context: &mut Context<'_>, command: &Inspect) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let mut out = Stdout::buffered();
    let mut json = JsonList::new(&context.options);
    for argument in &command.images {
        let volume = context.path(argument)?.volume;
        let found = systems(context, &volume);
        let Some(found) = report.settle(found)? else {
            continue;
        };
        if found.is_empty() {
            report.error(&format!(
                "{}: no operating system was found",
                volume.label()
            ));
        }
        for (volume, system) in found {
            if system.package_format == "rpm" {
                let text = "the packages of rpm are not listed: its database is not read";
                warning(&context.options, &format!("{}: {text}", volume.label()));
            }
            match &mut json {
                Some(json) => json.push(&mut out, &object(&volume, system))?,
                None => print(&mut out, &volume, &system, command.packages)?,
            }
        }
    }
    if let Some(json) = json {
        json.finish(&mut out)?;
    }
    out.flush()?;
    Ok(report.code())
}

/// The operating systems of an image or a part of it, and where they are.
fn systems(context: &mut Context<'_>, wanted: &Volume) -> Result<Vec<(Volume, System)>, Failure> {
    let mut places = vec![wanted.clone()];
    if wanted.part.is_none() && wanted.options.is_none() {
        let volumes = context.session.volumes(&wanted.image, true)?;
        let mountable = volumes
            .iter()
            .filter(|volume| volume.disk() == 0)
            .filter(|volume| volume.found().is_some_and(|found| found.driver.is_some()));
        places = mountable
            .map(|volume| Volume {
                part: Some(volume.id().to_owned()),
                ..wanted.clone()
            })
            .collect();
    }
    let alone = places.len() == 1;
    let mut found = Vec::new();
    for place in places {
        context.check()?;
        let mount = match context.session.mount(&place) {
            // Another one may be what is looked for.
            Err(failure) if !alone && failure.code == ExitCode::Image => {
                crate::output::failure(&failure);
                continue;
            }
            mount => mount?,
        };
        if let Some(system) = inspect(&mount, context.signals.interrupt())? {
            found.push((place, system));
            continue;
        }
        // Of a btrfs, it may be in a subvolume.
        for subvolume in mount.subvolumes().unwrap_or_default() {
            let Some(path) = subvolume.path.to_str() else {
                continue;
            };
            // What options cannot name; and snapshots of the system would be many.
            if place.options.is_some() || path.contains(',') || subvolume.read_only {
                continue;
            }
            let inner = Volume {
                options: Some(format!("subvol=/{path}")),
                ..place.clone()
            };
            let mount = context.session.mount(&inner)?;
            if let Some(system) = inspect(&mount, context.signals.interrupt())? {
                found.push((inner, system));
            }
        }
    }
    Ok(found)
}

fn object(volume: &Volume, system: System) -> Json {
    let name = volume.name();
    Json {
        image: text_of(&name),
        image_bytes: bytes_of(&name),
        id: system.id,
        name: system.name,
        version: system.version,
        architecture: system.architecture,
        hostname: system.hostname,
        kernels: system.kernels,
        users: (system.users.into_iter())
            .map(|user| User {
                name: user.name,
                uid: user.uid,
                gid: user.gid,
                home: user.home,
                shell: user.shell,
            })
            .collect(),
        fstab: (system.fstab.into_iter())
            .map(|line| Fstab {
                device: line.device,
                path: line.path,
                kind: line.kind,
                options: line.options,
            })
            .collect(),
        package_format: system.package_format,
        packages: system.packages.map(|packages| {
            let packages = packages.into_iter().map(|package| Package {
                name: package.name,
                version: package.version,
                architecture: package.architecture,
            });
            packages.collect()
        }),
    }
}

/// Escaped: all of it comes from the image.
fn safe(text: &str) -> String {
    match text.contains(char::is_control) {
        true => text.escape_debug().to_string(),
        false => text.to_owned(),
    }
}

fn print(
    out: &mut impl Write,
    volume: &Volume,
    system: &System,
    all_packages: bool,
) -> std::io::Result<()> {
    writeln!(out, "{}: {}", volume.label(), safe(&system.name))?;
    let facts = [
        ("id", &system.id),
        ("version", &system.version),
        ("architecture", &system.architecture),
        ("hostname", &system.hostname),
    ];
    for (what, fact) in facts.into_iter().filter(|(_, fact)| !fact.is_empty()) {
        writeln!(out, "  {what}: {}", safe(fact))?;
    }
    for kernel in &system.kernels {
        writeln!(out, "  kernel: {}", safe(kernel))?;
    }
    // Those that people log in as.
    let people = system
        .users
        .iter()
        .filter(|user| user.uid == 0 || (1000..65534).contains(&user.uid));
    for user in people {
        writeln!(out, "  user: {} {}", user.uid, safe(&user.name))?;
    }
    for line in &system.fstab {
        let (device, path, kind, options) = (&line.device, &line.path, &line.kind, &line.options);
        let line = format!("{device} {path} {kind} {options}");
        writeln!(out, "  fstab: {}", safe(line.trim_end()))?;
    }
    match (&system.packages, &*system.package_format) {
        (_, "") => {}
        (None, format) => writeln!(out, "  packages: {format}")?,
        (Some(packages), format) => {
            writeln!(out, "  packages: {format}, {} installed", packages.len())?;
            for package in packages.iter().filter(|_| all_packages) {
                let (name, version) = (&package.name, &package.version);
                let line = format!("{name} {version} {}", package.architecture);
                writeln!(out, "    {}", safe(line.trim_end()))?;
            }
        }
    }
    Ok(())
}
