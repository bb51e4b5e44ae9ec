//! [`Served`]: a small registry with one image, which does what a test says.

use std::fs;
use std::path::PathBuf;

use drupe_testing::http::{Request, Response};
use drupe_testing::oci::Layout;
use serde_json::Value;
use tempfile::TempDir;

use super::{Outcome, layers};

/// An image, as a registry has it.
pub(crate) struct Served {
    dir: TempDir,
    manifest: Value,
}

const PREFIX: &str = "/v2/a/b/";

impl Served {
    pub(crate) fn new() -> Outcome<Served> {
        let dir = tempfile::tempdir()?;
        let layout = Layout::new(dir.path())?;
        let manifest = layout.image("amd64", &layers())?;
        Ok(Served { dir, manifest })
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.dir.path().join("blobs").join(digest.replace(':', "/"))
    }

    /// What a registry answers.
    pub(crate) fn answer(&self, request: &Request) -> Response {
        if request.path == "/v2/" {
            return Response::ok("{}");
        }
        let Some(rest) = request.path.strip_prefix(PREFIX) else {
            return Response::status(404);
        };
        let digest = self.manifest["digest"].as_str().unwrap_or_default();
        match rest.split_once('/') {
            Some(("manifests", version)) if version == "latest" || version == digest => {
                let kind = "application/vnd.oci.image.manifest.v1+json";
                Response::ok(fs::read(self.blob(digest)).unwrap_or_default())
                    .with("Content-Type", kind)
                    .with("Docker-Content-Digest", digest)
            }
            Some(("blobs", digest)) => match fs::read(self.blob(digest)) {
                Ok(blob) => part(request, blob),
                Err(_) => Response::status(404),
            },
            _ => Response::status(404),
        }
    }
}

/// Whether a layer is asked for that is large.
pub(crate) fn is_large(response: &Response) -> bool {
    response.body.len() > 100_000
}

/// The part of a blob that is asked for.
fn part(request: &Request, blob: Vec<u8>) -> Response {
    let range = request.header("range");
    let first = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    let Some(first) = first.and_then(|first| first.parse::<usize>().ok()) else {
        return Response::ok(blob);
    };
    let range = format!("bytes {first}-{}/{}", blob.len() - 1, blob.len());
    let mut response = Response::ok(&blob[first..]).with("Content-Range", range);
    response.status = 206;
    response
}
