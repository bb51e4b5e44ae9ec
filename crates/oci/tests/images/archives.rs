//! Archives of `docker save`, in the form since Docker 25 and the one before.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use drupe_oci::Options;
use drupe_testing::oci::{Layout, digest, gzip};
use serde_json::json;

use super::{Outcome, error_of, layers, read};

fn pack(dir: &Path, archive: &Path) -> Outcome {
    let status = Command::new("tar")
        .arg("-cf")
        .arg(archive)
        .args(["-C", &dir.display().to_string(), "."])
        .status()?;
    assert!(status.success());
    Ok(())
}

fn config() -> String {
    let diff_ids: Vec<String> = layers().iter().map(|layer| digest(layer)).collect();
    let config = json!({ "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    config.to_string()
}

/// As Docker 20 saves it: each layer in a directory, one of them a link to a layer
/// elsewhere.
fn old(dir: &Path) -> Outcome {
    let config = config();
    let hex = digest(config.as_bytes()).replace("sha256:", "");
    fs::create_dir_all(dir)?;
    fs::write(dir.join(format!("{hex}.json")), config)?;
    let mut names = Vec::new();
    for (number, layer) in layers().iter().enumerate() {
        let id = format!("layer{number}");
        fs::create_dir(dir.join(&id))?;
        fs::write(dir.join(&id).join("VERSION"), "1.0")?;
        let file = dir.join(&id).join("layer.tar");
        if number == 1 {
            fs::create_dir(dir.join("other"))?;
            fs::write(dir.join("other/layer.tar"), layer)?;
            symlink("../other/layer.tar", file)?;
        } else {
            fs::write(file, layer)?;
        }
        names.push(format!("{id}/layer.tar"));
    }
    let manifest = json!([{ "Config": format!("{hex}.json"),
        "RepoTags": ["name:1", "host.example/other:2"], "Layers": names }]);
    fs::write(dir.join("manifest.json"), manifest.to_string())?;
    fs::write(dir.join("repositories"), r#"{"name":{"1":"layer2"}}"#)?;
    Ok(())
}

/// As Docker 25 saves it: an OCI layout with a manifest.json.
fn new(dir: &Path) -> Outcome {
    let mut layout = Layout::new(dir)?;
    let image = layout.image("amd64", &layers())?;
    layout.tag(image, "1")?;
    let blob = |digest: String| format!("blobs/{}", digest.replace(':', "/"));
    fs::write(dir.join(blob(digest(config().as_bytes()))), config())?;
    let names: Vec<String> = layers()
        .iter()
        .enumerate()
        .map(|(number, layer)| match number % 2 {
            0 => blob(digest(&gzip(layer))),
            _ => blob(digest(layer)),
        })
        .collect();
    let manifest = json!([{ "Config": blob(digest(config().as_bytes())), "RepoTags": null,
        "Layers": names }]);
    fs::write(dir.join("manifest.json"), manifest.to_string())?;
    Ok(())
}

#[test]
fn both_forms() -> Outcome {
    let place = tempfile::tempdir()?;
    let path = |name: &str| place.path().join(name);
    old(&path("old"))?;
    pack(&path("old"), &path("old.tar"))?;
    new(&path("new"))?;
    pack(&path("new"), &path("new.tar"))?;
    let options = Options::default();
    let archive = |name: &str| format!("docker-archive:{}/{name}", place.path().display());
    for name in [
        "old.tar",
        "old.tar:name:1",
        "old.tar:host.example/other:2",
        "new.tar",
    ] {
        assert_eq!(
            read(&archive(name), &options).as_ref(),
            Ok(&layers()),
            "{name}"
        );
    }
    let layout = format!("oci-archive:{}/new.tar", place.path().display());
    assert_eq!(read(&layout, &options).as_ref(), Ok(&layers()));
    let error = error_of(&archive("old.tar:name:3"), &options);
    assert!(
        error.contains("it has name:1, host.example/other:2"),
        "{error}"
    );
    let error = error_of(&archive("absent.tar"), &options);
    assert!(error.contains("absent.tar"), "{error}");
    Ok(())
}

#[test]
fn damage_is_found() -> Outcome {
    let place = tempfile::tempdir()?;
    let (dir, archive) = (place.path().join("old"), place.path().join("old.tar"));
    old(&dir)?;
    let reference = format!("docker-archive:{}", archive.display());
    let options = Options::default();
    // A layer that is not the one of the configuration.
    fs::write(dir.join("other/layer.tar"), &layers()[0])?;
    pack(&dir, &archive)?;
    let error = error_of(&reference, &options);
    assert!(error.contains("configuration says"), "{error}");
    // A configuration that is not the one of its name.
    let hex = digest(config().as_bytes()).replace("sha256:", "");
    fs::write(
        dir.join(format!("{hex}.json")),
        config().replace("amd64", "arm64"),
    )?;
    pack(&dir, &archive)?;
    let error = error_of(&reference, &options);
    assert!(
        error.contains("damaged") || error.contains("ends after"),
        "{error}"
    );
    // Links in a circle, and out of the archive.
    for target in ["layer.tar", "../../../../../../etc/passwd"] {
        fs::remove_file(dir.join("layer1/layer.tar"))?;
        symlink(target, dir.join("layer1/layer.tar"))?;
        fs::write(dir.join(format!("{hex}.json")), config())?;
        pack(&dir, &archive)?;
        let error = error_of(&reference, &options);
        assert!(error.contains("layer1/layer.tar"), "{error}");
    }
    fs::remove_file(dir.join("manifest.json"))?;
    pack(&dir, &archive)?;
    let error = error_of(&reference, &options);
    assert!(error.contains("before version 1.10"), "{error}");
    // Cut anywhere.
    let whole = fs::read(&archive)?;
    for len in [0, 1, 511, 512, 700, whole.len() / 2] {
        fs::write(&archive, &whole[..len])?;
        error_of(&reference, &options);
    }
    Ok(())
}
