//! The same definitions for drupe and for systemd-repart, compared by `sfdisk --dump`:
//! places, sizes, types, UUIDs, labels, flags.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use drupe_repart::{Disk, plan, read};
use uuid::Uuid;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const SEED: &str = "01234567-89ab-cdef-0123-456789abcdef";

fn run(command: &mut Command) -> Result<String, Box<dyn std::error::Error>> {
    let output = command.output()?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{command:?}: {told}").into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The table of a disk without its path.
fn dump(disk: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let text = run(Command::new("sfdisk").arg("--dump").arg(disk))?;
    Ok(text.replace(&disk.display().to_string(), "disk"))
}

fn drupe(disk: &Path, definitions: &Path, size: u64) -> Outcome {
    let seed = Uuid::parse_str(SEED)?;
    let definitions = read(&[definitions.into()])?;
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(disk)?;
    let before = file.metadata()?.len();
    let table = match before > 0 {
        true => Disk::read(&mut file)?,
        false => None,
    };
    file.set_len(size)?;
    let table = match table {
        Some(mut table) => {
            table.grow(size)?;
            table
        }
        None => Disk::new(&mut file, drupe_repart::identity::of_disk(seed))?,
    };
    let planned = plan(&definitions, &[], &table, seed)?;
    let partitions: Vec<_> = planned.into_iter().map(|one| one.partition).collect();
    table.write(&mut file, &partitions, || Ok(()))?;
    Ok(())
}

fn systemd(disk: &Path, definitions: &Path, size: u64) -> Outcome {
    let empty = if disk.exists() { "allow" } else { "create" };
    run(Command::new("systemd-repart")
        .arg(format!("--definitions={}", definitions.display()))
        .arg(format!("--empty={empty}"))
        .arg(format!("--size={size}"))
        .arg(format!("--seed={SEED}"))
        .args(["--dry-run=no", "--pretty=no", "--no-pager", "--discard=no"])
        .arg(disk))?;
    Ok(())
}

fn write(dir: &Path, definitions: &[&str]) -> Outcome {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir(dir)?;
    for (number, definition) in definitions.iter().enumerate() {
        let text = format!("[Partition]\n{}\n", definition.replace(' ', "\n"));
        fs::write(dir.join(format!("{number:02}.conf")), text)?;
    }
    Ok(())
}

/// Each of `steps` are definitions and a size, applied one after the other.
fn same(steps: &[(&[&str], u64)]) -> Outcome {
    if Command::new("systemd-repart")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("skipped: there is no systemd-repart (Debian: systemd)");
        return Ok(());
    }
    let place = tempfile::tempdir()?;
    let [ours, theirs, definitions] = ["ours", "theirs", "d"].map(|name| place.path().join(name));
    for &(step, size) in steps {
        write(&definitions, step)?;
        drupe(&ours, &definitions, size)?;
        systemd(&theirs, &definitions, size)?;
        assert_eq!(dump(&ours)?, dump(&theirs)?, "{step:?}, {size} bytes");
    }
    run(Command::new("sgdisk").arg("--verify").arg(&ours))?;
    Ok(())
}

const GIB: u64 = 1 << 30;

#[test]
fn weights_bounds_and_padding() -> Outcome {
    let all: &[&[&str]] = &[
        &[],
        &["Type=root"],
        &[
            "Type=esp SizeMinBytes=64M SizeMaxBytes=64M",
            "Type=root Weight=2000",
            "Type=home PaddingWeight=500",
            "Type=linux-generic SizeMinBytes=10M",
            "Type=linux-generic SizeMaxBytes=33333333",
        ],
        &["Type=root Weight=0", "Type=home Weight=1"],
        &[
            "Type=root SizeMinBytes=700M Weight=1",
            "Type=home",
            "Type=srv Weight=333",
        ],
        &["Type=root SizeMaxBytes=100M", "Type=home SizeMaxBytes=100M"],
        &[
            "Type=root SizeMaxBytes=100M PaddingMinBytes=50M PaddingMaxBytes=60M PaddingWeight=1",
            "Type=home PaddingMinBytes=77777 SizeMinBytes=33333333",
        ],
        &[
            "Type=root Weight=0 PaddingWeight=1000",
            "Type=home Weight=0",
        ],
        &[
            "Type=swap",
            "Type=swap",
            "Type=swap Label=swap-2",
            "Type=swap",
            "Type=swap UUID=11111111-2222-4333-8444-555555555555",
        ],
        &[
            "Type=4f68bce3-e8cd-4db1-96e7-fbcaf984b708",
            "Type=0fc63daf-8483-4772-8e79-3d69d8477de4",
        ],
    ];
    for definitions in all {
        same(&[(definitions, GIB)])?;
        // Sizes that are no multiples of anything.
        same(&[(definitions, 301_409 * 4096)])?;
    }
    Ok(())
}

#[test]
fn priorities() -> Outcome {
    same(&[(
        &[
            "Type=root SizeMinBytes=600M",
            "Type=home SizeMinBytes=300M Priority=1",
            "Type=srv SizeMinBytes=300M Priority=2",
            "Type=var SizeMinBytes=100M Priority=2",
            "Type=tmp SizeMinBytes=10M",
        ],
        GIB,
    )])
}

#[test]
fn flags_and_architectures() -> Outcome {
    same(&[(
        &[
            "Type=root ReadOnly=yes",
            "Type=usr-secondary NoAuto=yes",
            "Type=srv Flags=0x1000000000000000",
            "Type=root-verity",
            "Type=usr-riscv64-verity-sig",
            "Type=swap ReadOnly=yes GrowFileSystem=yes",
            "Type=esp NoAuto=yes",
            "Type=xbootldr",
        ],
        GIB,
    )])
}

/// What is there keeps its place, grows where it may, and new partitions come behind.
#[test]
fn a_disk_that_grows() -> Outcome {
    let first: &[&str] = &[
        "Type=esp SizeMaxBytes=100M",
        "Type=root SizeMaxBytes=200M",
        "Type=linux-generic SizeMaxBytes=50M PaddingMinBytes=30M",
    ];
    same(&[(first, GIB), (first, GIB)])?;
    same(&[(first, GIB), (&["Type=esp", "Type=root"], 2 * GIB)])?;
    same(&[(first, GIB), (&["Type=linux-generic"], 2 * GIB)])?;
    same(&[
        (first, GIB),
        (
            &[
                "Type=esp SizeMaxBytes=100M",
                "Type=home",
                "Type=linux-generic Weight=100 SizeMinBytes=60M",
                "Type=linux-generic",
            ],
            2 * GIB,
        ),
        (
            &["Type=linux-generic", "Type=linux-generic", "Type=srv"],
            3 * GIB,
        ),
    ])
}

#[test]
fn what_does_not_fit_is_an_error() -> Outcome {
    let place = tempfile::tempdir()?;
    let [disk, definitions] = ["disk", "d"].map(|name| place.path().join(name));
    write(
        &definitions,
        &["Type=root", "Type=home SizeMinBytes=2G Priority=-1"],
    )?;
    let told = drupe(&disk, &definitions, GIB).unwrap_err().to_string();
    assert!(
        told.starts_with("01.conf: ") && told.contains("2147483648 bytes"),
        "{told}"
    );
    for size in [0, 1, 511, 4096, (1 << 20) + 1] {
        fs::remove_file(&disk)?;
        assert!(drupe(&disk, &definitions, size).is_err(), "{size}");
    }
    Ok(())
}
