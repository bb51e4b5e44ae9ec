//! Registries that behave, and some that do not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use drupe_oci::{Credentials, Error, Options};
use drupe_testing::http::{Request, Response, Server};

use super::served::{Served, is_large};
use super::{Outcome, error_of, layers, open, read};

/// A registry with an image, of whose answers `change` makes others.
fn serve(
    change: impl Fn(&Request, Response) -> Response + Send + Sync + 'static,
) -> Outcome<(Server, String)> {
    let served = Served::new()?;
    let server = Server::start(move |request| change(request, served.answer(request)))?;
    let reference = format!("docker://{}/a/b", server.address());
    Ok((server, reference))
}

/// Without the credentials of whoever runs the tests.
fn options() -> Options {
    let mut options = Options::default();
    options.credentials = Some(Credentials::new("user", "secret"));
    options
}

#[test]
fn without_tls_on_this_host() -> Outcome {
    let (_server, reference) = serve(|_, response| response)?;
    assert_eq!(read(&reference, &options()).as_ref(), Ok(&layers()));
    let image = open(&reference, &options())?;
    let digest = image.digest().ok_or("no digest")?;
    assert_eq!(
        read(&format!("{reference}@{digest}"), &options()).as_ref(),
        Ok(&layers())
    );
    let other = format!("sha256:{}", "0".repeat(64));
    let error = error_of(&format!("{reference}@{other}"), &options());
    assert!(error.contains("no such image"), "{error}");
    let error = error_of(&format!("{reference}:other"), &options());
    assert!(error.contains("no such image"), "{error}");
    Ok(())
}

/// Cut after a while, each time: what is left is asked for.
#[test]
fn cut_connections_go_on() -> Outcome {
    for knows_ranges in [true, false] {
        let cuts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&cuts);
        let served = Served::new()?;
        let server = Server::start(move |request| {
            let mut request = request.clone();
            if !knows_ranges {
                request.headers.retain(|(name, _)| name != "range");
            }
            let mut response = served.answer(&request);
            if is_large(&response) && counted.load(Ordering::SeqCst) < 3 {
                counted.fetch_add(1, Ordering::SeqCst);
                response.cut = Some(response.body.len() / 4);
            }
            response
        })?;
        let reference = format!("docker://{}/a/b", server.address());
        assert_eq!(read(&reference, &options()).as_ref(), Ok(&layers()));
        assert_eq!(cuts.load(Ordering::SeqCst), 3);
    }
    Ok(())
}

#[test]
fn a_connection_that_is_always_cut() -> Outcome {
    let (_server, reference) = serve(|_, mut response| {
        if is_large(&response) {
            response.cut = Some(0);
        }
        response
    })?;
    error_of(&reference, &options());
    Ok(())
}

/// A blob that is shorter than it is to be: there is no more of it.
#[test]
fn a_blob_that_was_cut() -> Outcome {
    let (_server, reference) = serve(|request, mut response| {
        if request.header("range").is_some() {
            return Response::status(416);
        }
        if is_large(&response) {
            response.body.pop();
        }
        response
    })?;
    let error = error_of(&reference, &options());
    assert!(error.contains("416"), "{error}");
    Ok(())
}

#[test]
fn a_server_that_is_busy() -> Outcome {
    let refused = AtomicUsize::new(0);
    let (_server, reference) = serve(move |_, response| {
        match is_large(&response) && refused.fetch_add(1, Ordering::SeqCst) < 2 {
            true => Response::status(503),
            false => response,
        }
    })?;
    assert_eq!(read(&reference, &options()).as_ref(), Ok(&layers()));
    Ok(())
}

#[test]
fn wrong_answers_are_found() -> Outcome {
    type Change = fn(Response) -> Response;
    let changes: [(Change, &str); 3] = [
        (
            |mut response| {
                let middle = response.body.len() / 2;
                response.body[middle] ^= 1;
                response
            },
            "damaged",
        ),
        (
            |mut response| {
                response.body.push(0);
                response
            },
            "longer",
        ),
        (|_| Response::status(500), "500"),
    ];
    for (change, problem) in changes {
        let (_server, reference) = serve(move |_, response| match is_large(&response) {
            true => change(response),
            false => response,
        })?;
        let error = error_of(&reference, &options());
        assert!(error.contains(problem), "{error}");
    }
    // A manifest that is not the one of its digest.
    let (_server, reference) = serve(|request, mut response| {
        if request.path.contains("/manifests/") {
            response.body.push(b' ');
        }
        response
    })?;
    let error = error_of(&reference, &options());
    assert!(error.contains("manifest is damaged"), "{error}");
    // And an endless one.
    let (_server, reference) = serve(|request, mut response| {
        if request.path.contains("/manifests/") {
            response.body.resize(5 << 20, b' ');
        }
        response
    })?;
    let error = error_of(&reference, &options());
    assert!(error.contains("may have"), "{error}");
    Ok(())
}

/// The registry sends us to a server of tokens, and that wants a password. Where blobs are
/// redirected to, neither is sent.
#[test]
fn tokens() -> Outcome {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let elsewhere = Served::new()?;
    let told = Arc::clone(&seen);
    let other = Server::start(move |request| {
        let authorization = request.header("authorization").map(str::to_owned);
        if let Ok(mut seen) = told.lock() {
            seen.push(authorization);
        }
        elsewhere.answer(request)
    })?;
    let there = other.address();
    // The number of the token that counts.
    let valid = Arc::new(AtomicUsize::new(0));
    let given = Arc::clone(&valid);
    let tokens = Server::start(move |request| {
        // user:secret
        let basic = request.header("authorization") == Some("Basic dXNlcjpzZWNyZXQ=");
        let query = "/token?service=the%20service&scope=repository:a/b:pull";
        match basic && request.path == query {
            true => {
                let token = given.load(Ordering::SeqCst);
                Response::ok(format!(r#"{{"access_token":"t.{token}","expires_in":60}}"#))
            }
            false => Response::status(401),
        }
    })?;
    let realm = format!("http://{}/token", tokens.address());
    let (_server, reference) = serve(move |request, response| {
        let is_layer = is_large(&response);
        if is_layer {
            // The first token becomes too old.
            let _ = valid.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst);
        }
        let valid = format!("Bearer t.{}", valid.load(Ordering::SeqCst));
        if request.header("authorization") != Some(&*valid) {
            let asks = format!(
                "Bearer realm=\"{realm}\",service=\"the service\",scope=\"repository:a/b:pull\""
            );
            return Response::status(401).with("WWW-Authenticate", asks);
        }
        match is_layer {
            true => {
                Response::status(307).with("Location", format!("http://{there}{}", request.path))
            }
            false => response,
        }
    })?;
    assert_eq!(read(&reference, &options()).as_ref(), Ok(&layers()));
    let seen = seen.lock().map_err(|_| "poisoned")?.clone();
    assert_eq!(seen, [None]);
    let mut wrong = options();
    wrong.credentials = Some(Credentials::new("user", "wrong"));
    let error = error_of(&reference, &wrong);
    assert!(error.contains("gives none to the user user"), "{error}");
    assert!(!error.contains("wrong"), "{error}");
    Ok(())
}

#[test]
fn what_is_asked_for_and_not_supported() -> Outcome {
    let (_server, reference) =
        serve(|_, _| Response::status(401).with("WWW-Authenticate", "Negotiate"))?;
    let error = error_of(&reference, &options());
    assert!(error.contains("negotiate"), "{error}");
    let (_server, reference) = serve(|_, _| {
        let asks = r#"Bearer realm="file:///etc/passwd""#;
        Response::status(401).with("WWW-Authenticate", asks)
    })?;
    let error = error_of(&reference, &options());
    assert!(error.contains("no safe place"), "{error}");
    Ok(())
}

/// A server that says nothing, and a program that is told to end.
#[test]
fn waiting_ends() -> Outcome {
    let (asked, wait) = channel();
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let (_server, reference) = serve(move |request, response| {
        if request.path.contains("/blobs/") && is_large(&response) {
            // Whoever waits may be gone.
            let _ = asked.send(());
            if let Ok(released) = released.lock() {
                let _ = released.recv();
            }
        }
        response
    })?;
    let options = options();
    let stop = Arc::clone(&options.stop);
    let stopping = std::thread::spawn(move || {
        let asked = wait.recv();
        stop.store(true, Ordering::SeqCst);
        asked
    });
    let error = error_of(&reference, &options);
    assert_eq!(error, Error::Interrupted.to_string());
    stopping.join().map_err(|_| "panicked")??;
    drop(release);
    Ok(())
}

#[test]
fn nobody_is_there() -> Outcome {
    let (server, reference) = serve(|_, response| response)?;
    drop(server);
    let error = error_of(&reference, &options());
    assert!(error.contains("127.0.0.1"), "{error}");
    Ok(())
}
