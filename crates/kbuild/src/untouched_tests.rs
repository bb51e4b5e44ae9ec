//! Tests of `untouched.rs`: it must notice every kind of change.

use super::*;
use std::fs;

/// A tarball and the tree that it was made of.
fn published() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("linux-6.12");
    fs::create_dir_all(tree.join("fs")).unwrap();
    fs::write(tree.join("fs/open.c"), "int open;\n").unwrap();
    fs::write(tree.join("Makefile"), "VERSION = 6\n").unwrap();
    let archive = directory.path().join("linux.tar");
    let tar = Command::new("tar")
        .arg("--create")
        .arg("--directory")
        .arg(directory.path())
        .arg("--file")
        .args([archive.as_path(), Path::new("linux-6.12")])
        .status();
    assert!(tar.unwrap().success());
    (directory, archive, tree)
}

fn differences(change: impl FnOnce(&Path)) -> Vec<String> {
    let (_directory, archive, tree) = published();
    change(&tree);
    compare_with_tarball(&archive, &tree).unwrap().1
}

#[test]
fn an_untouched_tree_passes() {
    let (_directory, archive, tree) = published();
    assert_eq!(compare_with_tarball(&archive, &tree).unwrap(), (2, vec![]));
}

#[test]
fn a_changed_byte_is_seen_even_with_the_old_size_and_time() {
    let found = differences(|tree| {
        let file = tree.join("fs/open.c");
        let time = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(&file, "int Open;\n").unwrap();
        fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_modified(time)
            .unwrap();
    });
    assert!(
        found
            .iter()
            .any(|line| line.contains("fs/open.c: Contents differ")),
        "{found:?}"
    );
}

#[test]
fn a_removed_file_is_seen() {
    let found = differences(|tree| fs::remove_file(tree.join("fs/open.c")).unwrap());
    assert!(
        found.iter().any(|line| line.contains("fs/open.c")),
        "{found:?}"
    );
}

#[test]
fn an_added_file_is_seen() {
    let found = differences(|tree| fs::write(tree.join("fs/new.c"), "").unwrap());
    assert!(
        found
            .iter()
            .any(|line| line.starts_with("fs/new.c: not in")),
        "{found:?}"
    );
}

#[test]
fn a_changed_tree_of_the_users_is_seen() {
    let (_directory, _, tree) = published();
    let identity = tree::content(&tree, &tree::walk(&tree).unwrap()).unwrap();
    assert_eq!(
        compare_with_identity(&tree, &identity).unwrap(),
        (2, vec![])
    );
    fs::write(tree.join("Makefile"), "VERSION = 7\n").unwrap();
    assert_eq!(compare_with_identity(&tree, &identity).unwrap().1.len(), 1);
}
