//! Tests of links without a kernel: a [`drupe_links::Station`] takes its place.

mod frames;
mod packet_socket;
mod pair;
mod passt;
mod pcap;
mod switch;
mod tap;
mod threads;
