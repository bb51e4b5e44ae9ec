//! The layouts, as numbers that `kernel/arch/drupe/kernel/host.c` asserts too.

use crate::{Boot, Cpu, ExtableEntry, Fault, Frame, HostOps, Image, Io, IoVec, Request};
use std::mem::{offset_of, size_of};

const _: () = {
    assert!(size_of::<Request>() == 72);
    assert!(offset_of!(Request, task) == 56);
    assert!(offset_of!(Request, ret) == 64);
    assert!(size_of::<Cpu>() == 80);
    assert!(offset_of!(Cpu, host_sp) == 24);
    assert!(offset_of!(Cpu, leave) == 56);
    assert!(offset_of!(Cpu, stop_message) == 72);
    assert!(size_of::<IoVec>() == 16);
    assert!(size_of::<Io>() == 48);
    assert!(offset_of!(Io, iov) == 32);
    assert!(size_of::<Frame>() == 24);
    assert!(offset_of!(Frame, iov) == 16);
    assert!(size_of::<HostOps>() == 96);
    assert!(size_of::<Boot>() == 80);
    assert!(offset_of!(Boot, seed) == 48);
    assert!(size_of::<ExtableEntry>() == 8);
    assert!(size_of::<Fault>() == 32);
    assert!(size_of::<Image>() == 72);
    assert!(offset_of!(Image, abandon) == 64);
};
