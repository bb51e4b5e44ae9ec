//! Which public types are `Send`, `Sync` and `Unpin`, a line each. A type that ceases to
//! be is a change that breaks programs.

use drupe_testing::assert_auto_traits;

assert_auto_traits! {
    drupe_oci::Compression: Send, Sync, Unpin;
    drupe_oci::Credentials: Send, Sync, Unpin;
    drupe_oci::Digest: Send, Sync, Unpin;
    drupe_oci::Error: Send, Sync, Unpin;
    drupe_oci::Image: Send, Sync, Unpin;
    drupe_oci::Layer: Send, Sync, Unpin;
    // One thread reads or writes a layer.
    drupe_oci::LayerReader: Send, Unpin;
    drupe_oci::LayerWriter: Send, Sync, Unpin;
    drupe_oci::LayoutWriter: Send, Sync, Unpin;
    drupe_oci::NewConfig: Send, Sync, Unpin;
    drupe_oci::NewLayer: Send, Sync, Unpin;
    drupe_oci::Options: Send, Sync, Unpin;
    drupe_oci::Platform: Send, Sync, Unpin;
    drupe_oci::Reference: Send, Sync, Unpin;
    drupe_oci::RegistryName: Send, Sync, Unpin;
    drupe_oci::Transport: Send, Sync, Unpin;
}
