//! Layouts that this crate writes.

use std::fs;
use std::io::Write;
use std::path::Path;

use drupe_oci::{Compression, LayoutWriter, NewConfig, Options, Platform};

use super::{Outcome, layers, open, read};

fn write(dir: &Path, compression: Compression, tag: Option<&str>) -> Outcome<String> {
    let writer = LayoutWriter::open(dir)?;
    let mut done = Vec::new();
    for layer in layers() {
        let mut layer_writer = writer.layer(compression)?;
        layer_writer.write_all(&layer)?;
        done.push(layer_writer.finish()?);
    }
    let mut config = NewConfig::default();
    config.entrypoint = vec!["/bin/sh".into(), "-c".into()];
    config.ports = vec!["80/tcp".into()];
    let platform: Platform = "linux/arm/v7".parse()?;
    Ok(writer.commit(&platform, &config, &done, tag)?.to_string())
}

#[test]
fn there_and_back() -> Outcome {
    let place = tempfile::tempdir()?;
    let dir = place.path().join("layout");
    let reference = format!("oci:{}", dir.display());
    let options = Options::default();
    let mut digests = Vec::new();
    for (compression, tag) in [
        (Compression::None, "none"),
        (Compression::Gzip, "gzip"),
        (Compression::Zstd, "zstd"),
    ] {
        let digest = write(&dir, compression, Some(tag))?;
        assert_eq!(
            write(&dir, compression, Some(tag))?,
            digest,
            "the same twice"
        );
        digests.push(digest);
    }
    for (tag, digest) in ["none", "gzip", "zstd"].iter().zip(&digests) {
        let image = open(&format!("{reference}:{tag}"), &options)?;
        assert_eq!(
            image.digest().map(ToString::to_string).as_ref(),
            Some(digest)
        );
        assert_eq!(image.platform().to_string(), "linux/arm/v7");
        let config = image.config();
        assert_eq!(config["config"]["Entrypoint"][1], "-c");
        assert!(config["config"]["ExposedPorts"]["80/tcp"].is_object());
        assert!(config["config"].get("Cmd").is_none());
        assert_eq!(super::contents(&image)?, layers());
    }
    // A tag is one image's, and so is the lack of one.
    write(&dir, Compression::None, Some("gzip"))?;
    let image = open(&format!("{reference}:gzip"), &options)?;
    assert_eq!(
        image.digest().map(ToString::to_string),
        Some(digests[0].clone())
    );
    let index = fs::read_to_string(dir.join("index.json"))?;
    assert_eq!(index.matches("ref.name").count(), 3, "{index}");
    let alone = place.path().join("alone");
    write(&alone, Compression::Gzip, None)?;
    write(&alone, Compression::Zstd, None)?;
    let found = read(&format!("oci:{}", alone.display()), &options)?;
    assert_eq!(found, layers());
    Ok(())
}

#[test]
fn what_is_not_finished_leaves_nothing() -> Outcome {
    let place = tempfile::tempdir()?;
    let dir = place.path().join("layout");
    let writer = LayoutWriter::open(&dir)?;
    let mut layer = writer.layer(Compression::Gzip)?;
    layer.write_all(b"half of it")?;
    drop(layer);
    drop(writer);
    assert!(!dir.exists());
    write(&dir, Compression::Gzip, Some("t"))?;
    let entries = || -> Outcome<usize> { Ok(fs::read_dir(dir.join("blobs/sha256"))?.count()) };
    let before = entries()?;
    let writer = LayoutWriter::open(&dir)?;
    drop(writer.layer(Compression::Zstd)?);
    drop(writer);
    assert_eq!(entries()?, before);
    assert!(read(&format!("oci:{}", dir.display()), &Options::default()).is_ok());
    // What is no layout is not made one.
    fs::write(place.path().join("file"), "")?;
    assert!(LayoutWriter::open(place.path()).is_err());
    Ok(())
}
