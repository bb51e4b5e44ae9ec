//! Tests of the shadow, on a tree of a few files.

use super::*;
use tempfile::TempDir;

struct Fixture {
    _directory: TempDir,
    linux: PathBuf,
    overlay: PathBuf,
    shadow: PathBuf,
}

impl Fixture {
    fn new() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let [linux, overlay, shadow] =
            ["linux", "overlay", "shadow"].map(|name| directory.path().join(name));
        for (root, file) in [
            (&linux, "Makefile"),
            (&linux, "fs/open.c"),
            (&linux, "arch/Kconfig"),
            (&linux, "arch/x86/Makefile"),
            (&linux, ".git/HEAD"),
            (&overlay, "arch/drupe/Makefile"),
            (&overlay, "arch/drupe/kernel/setup.c"),
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        Fixture {
            _directory: directory,
            linux,
            overlay,
            shadow,
        }
    }

    fn lay(&self) {
        let overlay = Overlay::at(&self.overlay).unwrap();
        lay(&self.shadow, &self.linux, &overlay).unwrap();
        assert_eq!(
            differences(&self.shadow, &self.linux, &overlay).unwrap(),
            [""; 0]
        );
    }

    fn differences(&self) -> Vec<String> {
        differences(
            &self.shadow,
            &self.linux,
            &Overlay::at(&self.overlay).unwrap(),
        )
        .unwrap()
    }
}

#[test]
fn shows_the_tree_and_the_overlay() {
    let fixture = Fixture::new();
    fixture.lay();
    for file in [
        "Makefile",
        "fs/open.c",
        "arch/x86/Makefile",
        "arch/drupe/kernel/setup.c",
    ] {
        assert_eq!(fs::read_to_string(fixture.shadow.join(file)).unwrap(), file);
    }
    assert!(!fixture.shadow.join(".git").exists());
    assert!(!fixture.linux.join(ARCH).exists());
}

#[test]
fn writes_what_changed_and_removes_what_went() {
    let fixture = Fixture::new();
    fixture.lay();
    let time = |file: &str| {
        fs::metadata(fixture.shadow.join(file))
            .unwrap()
            .modified()
            .unwrap()
    };
    let (makefile, setup) = ("arch/drupe/Makefile", "arch/drupe/kernel/setup.c");
    let before = time(makefile);
    fs::write(fixture.overlay.join(setup), "changed").unwrap();
    fs::remove_file(fixture.linux.join("fs/open.c")).unwrap();
    fs::remove_dir(fixture.linux.join("fs")).unwrap();
    fixture.lay();
    assert_eq!(time(makefile), before);
    assert_eq!(
        fs::read_to_string(fixture.shadow.join(setup)).unwrap(),
        "changed"
    );
    assert!(!fixture.shadow.join("fs").is_symlink());

    fs::remove_file(fixture.overlay.join(setup)).unwrap();
    fixture.lay();
    assert!(!fixture.shadow.join(setup).exists());
}

#[test]
fn a_foreign_file_is_reported_and_replaced() {
    let fixture = Fixture::new();
    fixture.lay();
    fs::remove_file(fixture.shadow.join("Makefile")).unwrap();
    fs::write(fixture.shadow.join("Makefile"), "patched").unwrap();
    fs::write(fixture.shadow.join("arch/drupe/patched.c"), "").unwrap();
    assert_eq!(
        fixture.differences(),
        [
            "Makefile is not a link to the source",
            "arch/drupe/patched.c is not the overlay's"
        ]
    );
    fixture.lay();
}

#[test]
fn a_tree_that_has_the_directory_already_is_refused() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.linux.join(ARCH)).unwrap();
    let overlay = Overlay::at(&fixture.overlay).unwrap();
    let message = lay(&fixture.shadow, &fixture.linux, &overlay)
        .unwrap_err()
        .to_string();
    assert!(message.contains("already has arch/drupe"), "{message}");
}

#[test]
fn an_overlay_that_changes_under_our_hands_is_refused() {
    let fixture = Fixture::new();
    let overlay = Overlay::at(&fixture.overlay).unwrap();
    fs::write(fixture.overlay.join("arch/drupe/Makefile"), "edited").unwrap();
    let message = lay(&fixture.shadow, &fixture.linux, &overlay)
        .unwrap_err()
        .to_string();
    assert!(message.contains("was edited"), "{message}");
}

#[test]
fn a_mode_that_changed_is_taken_over() {
    let fixture = Fixture::new();
    fixture.lay();
    let script = "arch/drupe/Makefile";
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(fixture.overlay.join(script), mode).unwrap();
    fixture.lay();
    let copy = fs::metadata(fixture.shadow.join(script)).unwrap();
    assert_eq!(copy.permissions().mode() & 0o777, 0o755);
}
