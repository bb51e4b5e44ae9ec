//! Kernels on links: what goes over a switch, a tap and passt arrives as it was
//! sent.

mod kernel;
mod passt;
mod recordings;
mod switch;
mod tap;
