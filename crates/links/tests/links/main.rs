//! Links without a kernel: a [`drupe_links::Station`] plays it.

mod frames;
mod packet_socket;
mod pair;
mod passt;
mod pcap;
mod switch;
mod tap;
mod threads;
