//! OCI layouts, in directories and archives.

use std::fs;
use std::path::Path;
use std::process::Command;

use drupe_oci::Options;
use drupe_testing::oci::{Layout, digest};
use serde_json::{Value, json};

use super::{Outcome, error_of, layers, open, read};

fn make(dir: &Path) -> Outcome<(Layout, Value)> {
    let mut layout = Layout::new(dir)?;
    let image = layout.image("amd64", &layers())?;
    layout.tag(image.clone(), "one")?;
    Ok((layout, image))
}

fn pack(dir: &Path, archive: &Path) -> Outcome {
    let status = Command::new("tar")
        .arg("-cf")
        .arg(archive)
        .args(["-C", &dir.display().to_string(), "."])
        .status()?;
    assert!(status.success());
    Ok(())
}

#[test]
fn a_directory_and_an_archive() -> Outcome {
    let place = tempfile::tempdir()?;
    let dir = place.path().join("layout");
    make(&dir)?;
    let archive = place.path().join("layout.tar");
    pack(&dir, &archive)?;
    let options = Options::default();
    for reference in [
        format!("oci:{}", dir.display()),
        format!("oci:{}:one", dir.display()),
        format!("oci-archive:{}", archive.display()),
        format!("oci-archive:{}:one", archive.display()),
    ] {
        assert_eq!(
            read(&reference, &options).as_ref(),
            Ok(&layers()),
            "{reference}"
        );
    }
    let error = error_of(&format!("oci:{}:two", dir.display()), &options);
    assert!(error.contains("it has one"), "{error}");
    let error = error_of(&format!("docker-archive:{}", archive.display()), &options);
    assert!(error.contains("write oci-archive:"), "{error}");
    let error = error_of(&format!("oci:{}", place.path().display()), &options);
    assert!(error.contains("no OCI layout"), "{error}");
    let status = Command::new("gzip").arg("-k").arg(&archive).status()?;
    assert!(status.success());
    let error = error_of(&format!("oci-archive:{}.gz", archive.display()), &options);
    assert!(error.contains("gunzip"), "{error}");
    Ok(())
}

#[test]
fn damage_is_found() -> Outcome {
    let place = tempfile::tempdir()?;
    let (layout, image) = make(place.path())?;
    let reference = format!("oci:{}", place.path().display());
    let manifest = layout.blob(image["digest"].as_str().ok_or("no digest")?);
    let parsed: Value = serde_json::from_slice(&fs::read(&manifest)?)?;
    let path = |blob: &Value| layout.blob(blob["digest"].as_str().unwrap_or_default());
    let blobs = [
        manifest,
        path(&parsed["config"]),
        path(&parsed["layers"][0]),
        path(&parsed["layers"][1]),
    ];
    let options = Options::default();
    for blob in blobs {
        let right = fs::read(&blob)?;
        let last = right.len() - 1;
        let mut flipped = right.clone();
        flipped[last / 2] ^= 1;
        let longer = [&right[..], b"x"].concat();
        for wrong in [&flipped[..], &right[..last], &longer, b""] {
            fs::write(&blob, wrong)?;
            let error = error_of(&reference, &options);
            let name = blob.file_name().ok_or("no name")?.to_string_lossy();
            assert!(error.contains(&*name), "{error}");
        }
        fs::remove_file(&blob)?;
        error_of(&reference, &options);
        // Nothing waits for a writer.
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &blob,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )?;
        error_of(&reference, &options);
        fs::remove_file(&blob)?;
        fs::write(&blob, right)?;
    }
    assert!(read(&reference, &options).is_ok());
    Ok(())
}

#[test]
fn platforms() -> Outcome {
    let place = tempfile::tempdir()?;
    let mut layout = Layout::new(place.path())?;
    let mut images = Vec::new();
    for (architecture, variant, layer) in [
        ("arm", Some("v6"), 0),
        ("arm", Some("v7"), 1),
        ("s390x", None, 2),
    ] {
        let mut image = layout.image(architecture, &layers()[layer..=layer])?;
        image["platform"] = json!({ "os": "linux", "architecture": architecture });
        if let Some(variant) = variant {
            image["platform"]["variant"] = json!(variant);
        }
        images.push(image);
    }
    let index = json!({ "schemaVersion": 2, "manifests": images });
    let kind = "application/vnd.oci.image.index.v1+json";
    let mut index = layout.add(kind, index.to_string().as_bytes())?;
    // As buildx does it: indexes in indexes.
    for _ in 0..2 {
        let outer = json!({ "schemaVersion": 2, "manifests": [index] });
        index = layout.add(kind, outer.to_string().as_bytes())?;
    }
    layout.tag(index.clone(), "t")?;
    let reference = format!("oci:{}", place.path().display());
    let mut options = Options::default();
    for (platform, layer) in [("linux/arm/v6", 0), ("linux/arm/v7", 1), ("linux/s390x", 2)] {
        options.platform = Some(platform.parse()?);
        let found = read(&reference, &options)?;
        assert_eq!(found, layers()[layer..=layer], "{platform}");
    }
    options.platform = Some("linux/riscv64".parse()?);
    let error = error_of(&reference, &options);
    assert!(
        error.contains("linux/arm/v6, linux/arm/v7, linux/s390x"),
        "{error}"
    );
    for _ in 0..8 {
        let outer = json!({ "schemaVersion": 2, "manifests": [index] });
        index = layout.add(kind, outer.to_string().as_bytes())?;
    }
    layout.tag(index, "deep")?;
    let error = error_of(&format!("{reference}:deep"), &options);
    assert!(error.contains("indexes of indexes"), "{error}");
    // The only image: what it is for is in its configuration.
    let mut layout = Layout::new(&place.path().join("one"))?;
    let image = layout.image("s390x", &layers())?;
    layout.tag(image, "t")?;
    let error = error_of(&format!("{reference}/one"), &options);
    assert!(error.contains("it is for linux/s390x"), "{error}");
    Ok(())
}

#[test]
fn what_a_manifest_says_is_compared() -> Outcome {
    let place = tempfile::tempdir()?;
    let layout = Layout::new(place.path())?;
    let all = layers();
    let config = |diff_ids: &[String]| {
        let config = json!({ "architecture": "amd64", "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        layout.add(
            "application/vnd.oci.image.config.v1+json",
            config.to_string().as_bytes(),
        )
    };
    let layer = layout.add("application/vnd.oci.image.layer.v1.tar", &all[0])?;
    let options = Options::default();
    let error = |config: Value, layer: &Value| -> Outcome<String> {
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let image = layout.add(kind, manifest.to_string().as_bytes())?;
        Layout::new(place.path())?.tag(image, "t")?;
        Ok(error_of(
            &format!("oci:{}", place.path().display()),
            &options,
        ))
    };
    let right = digest(&all[0]);
    let told = error(config(&[digest(b"")])?, &layer)?;
    assert!(told.contains("configuration says"), "{told}");
    let told = error(config(&[right.clone(), right.clone()])?, &layer)?;
    assert!(told.contains("1 layers, and its configuration 2"), "{told}");
    let mut foreign = layer.clone();
    foreign["mediaType"] = json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
    let told = error(config(std::slice::from_ref(&right))?, &foreign)?;
    assert!(told.contains("foreign") && told.contains(&right), "{told}");
    let mut large = config(std::slice::from_ref(&right))?;
    large["size"] = json!(u64::MAX);
    let told = error(large, &layer)?;
    assert!(told.contains("most for a document"), "{told}");
    let mut path = config(std::slice::from_ref(&right))?;
    path["digest"] = json!("sha256:../../../../etc/passwd");
    let told = error(path, &layer)?;
    assert!(told.contains("is no digest"), "{told}");
    assert!(open(&format!("oci:{}:u", place.path().display()), &options).is_err());
    Ok(())
}
