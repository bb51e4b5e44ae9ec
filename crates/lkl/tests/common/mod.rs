//! liblkl as the tests of it have it.

use drupe_testing::c::Library;

pub(crate) const LIBRARY: Library = Library {
    name: "lkl",
    task: "lkl",
    own: env!("CARGO_MANIFEST_DIR"),
    tmp: env!("CARGO_TARGET_TMPDIR"),
};
