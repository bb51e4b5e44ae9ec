//! `drupe oci` with registries: TLS, passwords, and Ctrl-C. What registries do wrong is
//! tested with the library.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use drupe_testing::has;
use drupe_testing::http::{Response, Server};
use drupe_testing::oci::{Layout, digest, gzip};
use drupe_testing::registry::Registry;

use super::harness::{Outcome, Place, check_ext4, manifest, noise, succeeds, tool};
use super::oci::{MIB, layers, umoci};

/// From a registry with TLS and a password, where skopeo has put what buildah has made.
#[test]
fn from_buildah_by_a_registry() -> Outcome {
    let tools = [
        "buildah",
        "docker-registry",
        "htpasswd",
        "openssl",
        "skopeo",
        "umoci",
    ];
    if !has(&tools) {
        return Ok(());
    }
    let place = Place::new()?;
    place.write("tree/sub/file", noise(100_000))?;
    place.write("tree/other", "other\n")?;
    let script = "
        set -e
        export BUILDAH_ISOLATION=chroot
        b() { buildah --root $PWD/storage --runroot $PWD/run --storage-driver vfs \"$@\"; }
        c=$(b from scratch)
        b copy --chown 5:6 $c tree /dir
        b config --entrypoint '[\"/dir/other\"]' $c
        b commit --format docker $c oci:$PWD/image:t
        b rm $c";
    tool("sh", |sh| {
        sh.args(["-c", script]).current_dir(place.path("."))
    })?;
    let registry = Registry::start(Some(("user", "secret")), Some(&place.path(".")))?;
    let name = format!("docker://{}/some/image", registry.address());
    tool("skopeo", |skopeo| {
        skopeo
            .args(["--insecure-policy", "copy", "--dest-tls-verify=false"])
            .args(["--dest-creds=user:secret", "oci:image:t", &name])
            .current_dir(place.path("."))
    })?;
    // user:secret
    place.write(
        "auth.json",
        format!(
            r#"{{"auths":{{"{}":{{"auth":"dXNlcjpzZWNyZXQ="}}}}}}"#,
            registry.address()
        ),
    )?;
    let disk = place.ext4("disk.img", 64 * MIB, &[])?;
    place.ok(&["mkdir", "disk.img:/root"])?;
    let drupe = |arguments: &[&str], files: &[(&str, &str)]| {
        let mut command = place.command();
        command.args(["oci", "unpack"]).args(arguments);
        command.args([&*name, "disk.img:/root"]);
        command
            .env("HOME", place.path("."))
            .env_remove("XDG_RUNTIME_DIR");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", place.path("bin").display()));
        for (variable, file) in files {
            command.env(variable, place.path(file));
        }
        succeeds(&mut command)
    };
    let (trusted, file) = (
        ("SSL_CERT_FILE", "cert.pem"),
        ("REGISTRY_AUTH_FILE", "auth.json"),
    );
    drupe(&[], &[trusted, file])?;
    drupe(&["--creds", "user:secret"], &[trusted])?;
    drupe(&["--tls-verify=false"], &[file])?;
    // A program that keeps passwords, and knows one server.
    let answer = r#"{"ServerURL":"x","Username":"user","Secret":"secret"}"#;
    let address = registry.address();
    let helper = format!(
        "#!/bin/sh\nread server\nif [ $1 = get ] && [ \"$server\" = {address} ]; then\n\
         echo '{answer}'; else echo credentials not found; exit 1; fi\n"
    );
    place.write("bin/docker-credential-kept", helper)?;
    let script = place.path("bin/docker-credential-kept");
    fs::set_permissions(script, PermissionsExt::from_mode(0o755))?;
    place.write("kept.json", r#"{"auths":{},"credsStore":"kept"}"#)?;
    drupe(&[], &[trusted, ("REGISTRY_AUTH_FILE", "kept.json")])?;
    for (arguments, files, problem) in [
        // The host does not trust the certificate.
        (&["--creds=user:secret"][..], &[][..], "certificate"),
        (
            &["--creds=user:wrong"],
            &[trusted],
            "does not let the user user have it",
        ),
        (&[], &[trusted], "asks for a user and a password"),
    ] {
        let error = match drupe(arguments, files) {
            Ok(_) => return Err(format!("{arguments:?} {files:?} is let in").into()),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(problem), "{error}");
        assert!(!error.contains("wrong have"), "{error}");
    }
    check_ext4(&disk)?;
    place.ok(&["cp", "-a", "disk.img:/root", "out"])?;
    let (mut one, mut other) = (
        manifest(&umoci(&place, "image:t")?)?,
        manifest(&place.path("out"))?,
    );
    // The image says nothing of its root: umoci makes it one of 1970.
    one.remove(&b""[..]);
    other.remove(&b""[..]);
    assert_eq!(one, other);
    Ok(())
}

#[test]
fn ctrl_c_ends_waiting_for_a_registry() -> Outcome {
    let place = Place::new()?;
    let disk = place.ext4("disk.img", 64 * MIB, &[])?;
    let layout = Layout::new(&place.path("image"))?;
    let image = layout.image("amd64", &layers())?;
    let (dir, of) = (place.path("image/blobs"), image["digest"].clone());
    let of = of.as_str().ok_or("no digest")?.to_owned();
    let last = digest(&gzip(&layers()[2]));
    let (asked, wait) = channel();
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let server = Server::start(move |request| {
        let name = request.path.rsplit('/').next().unwrap_or_default();
        let name = name.replace("latest", &of);
        if name == last {
            // The test may be over.
            let _ = asked.send(());
            if let Ok(released) = released.lock() {
                let _ = released.recv();
            }
        }
        match fs::read(dir.join(name.replace(':', "/"))) {
            Ok(blob) => Response::ok(blob),
            Err(_) => Response::ok("{}"),
        }
    })?;
    let name = format!("docker://{}/a", server.address());
    let mut command = place.command();
    command.args([
        "oci",
        "unpack",
        "--plain-http",
        "--creds=a:b",
        &name,
        "disk.img:/",
    ]);
    let child = command.stderr(Stdio::piped()).spawn()?;
    wait.recv()?;
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    let output = child.wait_with_output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    drop(release);
    check_ext4(&disk)
}
