//! The drupe command.
fn main() {}
