//! Images that skopeo pushes to Debian's registry, and archives that it writes.

use std::process::Command;

use drupe_oci::{Credentials, Options};
use drupe_testing::has;
use drupe_testing::oci::Layout;
use drupe_testing::registry::Registry;

use super::{Outcome, error_of, layers, read};

fn skopeo(arguments: &[&str]) -> Outcome {
    let output = Command::new("skopeo")
        .arg("--insecure-policy")
        .args(arguments)
        .output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into()),
    }
}

#[test]
fn a_registry() -> Outcome {
    if !has(&["docker-registry", "htpasswd", "skopeo"]) {
        return Ok(());
    }
    let place = tempfile::tempdir()?;
    let mut layout = Layout::new(place.path())?;
    let image = layout.image("amd64", &layers())?;
    layout.tag(image, "t")?;
    let source = format!("oci:{}:t", place.path().display());
    for login in [None, Some(("user", "secret"))] {
        let registry = Registry::start(login, None)?;
        let mut options = Options::default();
        options.credentials = login.map(|(user, password)| Credentials::new(user, password));
        for (name, format) in [("oci", "oci"), ("docker", "v2s2")] {
            let target = format!("docker://{}/some/{name}:v1", registry.address());
            let creds = login.map(|(user, password)| format!("--dest-creds={user}:{password}"));
            let mut arguments = vec!["copy", "--dest-tls-verify=false", "--format", format];
            arguments.extend(creds.as_deref());
            arguments.extend([source.as_str(), &target]);
            skopeo(&arguments)?;
            assert_eq!(read(&target, &options).as_ref(), Ok(&layers()), "{target}");
            let mut wrong = Options::default();
            wrong.credentials = Some(Credentials::new("user", "wrong"));
            if login.is_some() {
                let error = error_of(&target, &wrong);
                assert!(error.contains("does not let the user user"), "{error}");
            }
        }
    }
    Ok(())
}

#[test]
fn archives() -> Outcome {
    if !has(&["skopeo"]) {
        return Ok(());
    }
    let place = tempfile::tempdir()?;
    let mut layout = Layout::new(&place.path().join("layout"))?;
    let image = layout.image("amd64", &layers())?;
    layout.tag(image, "t")?;
    let source = format!("oci:{}/layout:t", place.path().display());
    for target in ["docker-archive", "oci-archive"] {
        let target = format!("{target}:{}/{target}.tar:name:tag", place.path().display());
        skopeo(&["copy", &source, &target])?;
        assert_eq!(
            read(&target, &Options::default()).as_ref(),
            Ok(&layers()),
            "{target}"
        );
    }
    Ok(())
}
