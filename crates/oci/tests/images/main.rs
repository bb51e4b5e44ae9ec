//! Images of every source: what is right is read, what is wrong is found. And those that
//! other tools make.
//!
//! Needs docker-registry, htpasswd, skopeo and umoci; tests that miss one are skipped.

mod archives;
mod layouts;
mod registries;
mod served;
mod tools;
mod written;

use std::error::Error;
use std::io::Read;

use drupe_oci::{Image, Options, Reference};
use drupe_testing::oci::LayerTar;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Three layers, the second of which is large.
pub(crate) fn layers() -> Vec<Vec<u8>> {
    let large: String = (0..200_000).map(|n| format!("{n:x}")).collect();
    vec![
        LayerTar::default().dir("a").file("a/b", "x").finish(),
        LayerTar::default().file("large", &large).finish(),
        LayerTar::default().file("a/.wh.b", "").finish(),
    ]
}

pub(crate) fn open(reference: &str, options: &Options) -> drupe_oci::Result<Image> {
    Image::open(&reference.parse::<Reference>()?, options)
}

/// All layers of an image, to their ends.
pub(crate) fn contents(image: &Image) -> Result<Vec<Vec<u8>>, String> {
    let layers = image.layers().iter().map(|layer| {
        let mut reader = image.open_layer(layer).map_err(|e| e.to_string())?;
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        Ok(bytes)
    });
    layers.collect()
}

/// Opens and reads an image.
pub(crate) fn read(reference: &str, options: &Options) -> Result<Vec<Vec<u8>>, String> {
    contents(&open(reference, options).map_err(|error| error.to_string())?)
}

/// The error of opening or reading an image.
pub(crate) fn error_of(reference: &str, options: &Options) -> String {
    match read(reference, options) {
        Ok(layers) => panic!("{reference} has {} layers", layers.len()),
        Err(error) => error,
    }
}
