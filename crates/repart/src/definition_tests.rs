//! Tests of `definition.rs`.

use std::fs;

use super::*;

fn parse(text: &str) -> Result<Definition> {
    Definition::parse(Path::new("/d/10-x.conf"), text)
}

#[test]
fn all_settings() {
    let definition = parse(
        "[Partition]\nType=root\nLabel=100%%\nUUID=null\nPriority=-3\nWeight=5\nPaddingWeight=7\n\
         SizeMinBytes=1G\nSizeMaxBytes=2G\nPaddingMinBytes=1M\nPaddingMaxBytes=2M\nFormat=btrfs\n\
         CopyFiles=/a:/b\nCopyFiles=/usr/\nExcludeFiles=/x\nExcludeFiles=\nExcludeFiles=/a/c/\nMakeDirectories=/x /y//z\n\
         MakeSymlinks=/bin:usr/bin\nSubvolumes=/home /root:ro\nDefaultSubvolume=/root\nEncrypt=key-file\n\
         Flags=0x1\nFactoryReset=yes\nSplitName=-\n",
    )
    .unwrap();
    assert_eq!(definition.label.as_deref(), Some("100%"));
    assert_eq!(definition.uuid, Some(Uuid::nil()));
    assert_eq!(
        (
            definition.priority,
            definition.weight,
            definition.padding_weight
        ),
        (-3, 5, 7)
    );
    assert_eq!(
        definition.size,
        Bounds {
            min: Some(1 << 30),
            max: Some(2 << 30)
        }
    );
    assert_eq!(
        definition.padding,
        Bounds {
            min: Some(1 << 20),
            max: Some(2 << 20)
        }
    );
    assert_eq!(definition.copy_files[0].target, "/b");
    assert_eq!(definition.copy_files[1].target, "/usr");
    assert_eq!(definition.make_directories, ["/x", "/y/z"]);
    assert_eq!(
        definition.make_symlinks,
        [("/bin".to_owned(), "usr/bin".to_owned())]
    );
    let subvolumes = definition.subvolumes.iter();
    let subvolumes: Vec<_> = subvolumes.map(|one| (&*one.path, one.read_only)).collect();
    assert_eq!(subvolumes, [("/home", false), ("/root", true)]);
    let excluded = Excluded {
        path: "/a/c".to_owned(),
        contents_only: true,
    };
    assert_eq!(definition.exclude_files, [excluded]);
    assert!(definition.encrypt && definition.factory_reset);
    assert_eq!(definition.flags, 1 | 1 << 59);
}

/// As systemd-repart has them.
#[test]
fn flags() {
    for (text, flags) in [
        ("Type=root", 1 << 59),
        ("Type=esp", 0),
        ("Type=root-verity", 1 << 60),
        ("Type=usr\nReadOnly=yes", 1 << 60),
        ("Type=usr\nGrowFileSystem=no\nNoAuto=yes", 1 << 63),
        ("Type=usr\nFlags=0x8800000000000000\nNoAuto=no", 1 << 59),
    ] {
        let definition = parse(&format!("[Partition]\n{text}")).unwrap();
        assert_eq!(definition.flags, flags, "{text}");
    }
}

/// Data without hashes, and two of one kind, are mistakes.
#[test]
fn verity_pairs() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, role: &str| {
        let text = format!("[Partition]\nVerity={role}\nVerityMatchKey=k\n");
        fs::write(dir.path().join(name), text).unwrap();
    };
    let read = || crate::read(&[dir.path().into()]);
    write("10.conf", "data");
    let told = read().unwrap_err().to_string();
    assert!(told.contains("VerityMatchKey=k: 0 definitions"), "{told}");
    write("20.conf", "hash");
    let definitions = read().unwrap();
    assert_eq!(crate::hashes_of(&definitions, 0), Some(1));
    assert_eq!(crate::hashes_of(&definitions, 1), None);
    write("30.conf", "hash");
    assert!(read().unwrap_err().to_string().contains("2 definitions"));
}

#[test]
fn a_format_is_implied() {
    let format = |text: &str| parse(&format!("[Partition]\n{text}")).unwrap().format;
    assert_eq!(format("MakeDirectories=/a").as_deref(), Some("ext4"));
    assert_eq!(format("Type=esp\nCopyFiles=/a").as_deref(), Some("vfat"));
    assert_eq!(format("Encrypt=yes").as_deref(), Some("ext4"));
    assert_eq!(format("Type=root"), None);
}

/// An error has file, line, what is wrong, and what to do.
#[test]
fn mistakes() {
    for (text, line, word) in [
        ("[Partition]\nTyp=root", 2, "Typ"),
        ("[Partition]\nType=rot", 2, "rot"),
        ("Type=root", 1, "[Partition]"),
        ("[Party]\nType=root", 2, "[Party]"),
        ("[Partition]\n\nSizeMinBytes=1MB", 3, "1MB"),
        ("[Partition]\nWeight=1000001", 2, "1000000"),
        (
            "[Partition]\nLabel=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            2,
            "36",
        ),
        ("[Partition]\nUUID=x", 2, "UUID"),
        ("[Partition]\nCopyFiles=a:/b", 2, "begin with"),
        ("[Partition]\nCopyFiles=/a:/b/../c", 2, ".."),
        ("[Partition]\nMakeSymlinks=/a", 2, "PATH:TARGET"),
        ("[Partition]\nEncrypt=tpm2", 2, "TPM"),
        ("[Partition]\nVerity=data", 0, "VerityMatchKey"),
        ("[Partition]\nVerity=signature", 2, "yet"),
        ("[Partition]\nVerityMatchKey=x", 0, "Verity=data"),
        (
            "[Partition]\nVerity=hash\nVerityMatchKey=x\nFormat=ext4",
            0,
            "Format=",
        ),
        (
            "[Partition]\nVerity=data\nVerityMatchKey=x\nEncrypt=key-file",
            0,
            "Encrypt=",
        ),
        ("[Partition]\nVerityDataBlockSizeBytes=8K", 2, "4096"),
        ("[Partition]\nMinimize=best", 0, "Format="),
        ("[Partition]\nMinimize=some", 2, "guess"),
        ("[Partition]\nLabel=%m", 2, "%m"),
        (
            "[Partition]\nSizeMinBytes=2M\nSizeMaxBytes=1M",
            0,
            "SizeMinBytes",
        ),
        ("[Partition]\nCopyBlocks=/a\nFormat=ext4", 0, "CopyBlocks"),
        ("[Partition]\nFormat=swap\nCopyFiles=/a", 0, "swap"),
        ("[Partition]\nFormat=ext4\nSubvolumes=/a", 0, "btrfs"),
        ("[Partition]\nSubvolumes=/a:rw", 2, "/a:rw"),
        ("[Partition]\nExcludeFiles=a", 2, "begin with"),
        (
            "[Partition]\nFormat=btrfs\nSubvolumes=/a\nDefaultSubvolume=/b",
            0,
            "/b",
        ),
    ] {
        let told = parse(text).unwrap_err().to_string();
        let place = format!("/d/10-x.conf:{line}: ");
        assert!(
            told.starts_with(&place) && told.contains(word),
            "{text}: {told}"
        );
    }
}

#[test]
fn files_hide_others_of_the_same_name() {
    let [a, b] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let write = |dir: &tempfile::TempDir, name: &str, text: &str| {
        fs::write(dir.path().join(name), text).unwrap();
    };
    write(&a, "20.conf", "[Partition]\nType=home\n");
    write(&a, "30.conf", "");
    write(&b, "10.conf", "[Partition]\nType=esp\n");
    write(&b, "20.conf", "[Partition]\nType=srv\n");
    write(&b, "30.conf", "[Partition]\nType=var\n");
    write(&b, "notes", "nothing");
    let read = crate::read(&[a.path().into(), b.path().into()]).unwrap();
    let names: Vec<_> = read.iter().map(|one| one.default_label()).collect();
    assert_eq!(names, ["esp", "home"]);
    let missing = a.path().join("none");
    assert!(
        crate::read(&[missing])
            .unwrap_err()
            .to_string()
            .contains("none")
    );
}
