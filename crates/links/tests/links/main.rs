//! Links without a kernel: a [`drupe_links::Station`] plays it.

mod frames;
mod pair;
mod switch;
mod tap;
mod threads;
