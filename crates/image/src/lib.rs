//! The kernel image, embedded, and its loader.
//!
//! [`embed`] holds the image and knows the file that it can be mapped from.
pub mod embed;
