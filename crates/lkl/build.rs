//! What the shared library says of itself.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The interface is not stable before 1.0: each minor version has a name of its own.
    let [major, minor] = ["CARGO_PKG_VERSION_MAJOR", "CARGO_PKG_VERSION_MINOR"]
        .map(|name| std::env::var(name).unwrap_or_default());
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,liblkl.so.{major}.{minor}");
    // Kernels leave threads, signal handlers and destructors of threads behind: once it
    // is loaded, it stays (dlclose(3) does nothing).
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
