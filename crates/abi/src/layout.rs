//! Assertions of the types' sizes and offsets. `kernel/arch/drupe/kernel/host.c` has the
//! same.

use crate::{
    Boot, CpuState, ExtableEntry, Fault, Frame, HostOps, Image, Io, IoVec, Posted, Request,
};
use std::mem::{offset_of, size_of};

const _: () = {
    assert!(size_of::<Request>() == 80);
    assert!(offset_of!(Request, task) == 56);
    assert!(offset_of!(Request, ret) == 64);
    assert!(offset_of!(Request, next) == 72);
    assert!(size_of::<CpuState>() == 192);
    assert!(offset_of!(Posted, inbox) == 8);
    assert!(offset_of!(CpuState, request) == 64);
    assert!(offset_of!(CpuState, host_sp) == 80);
    assert!(offset_of!(CpuState, leave) == 112);
    assert!(offset_of!(CpuState, stop_message) == 128);
    assert!(size_of::<IoVec>() == 16);
    assert!(size_of::<Io>() == 48);
    assert!(offset_of!(Io, iov) == 32);
    assert!(size_of::<Frame>() == 24);
    assert!(offset_of!(Frame, iov) == 16);
    assert!(size_of::<HostOps>() == 112);
    assert!(size_of::<Boot>() == 88);
    assert!(offset_of!(Boot, seed) == 48);
    assert!(size_of::<ExtableEntry>() == 8);
    assert!(size_of::<Fault>() == 32);
    assert!(size_of::<Image>() == 96);
    assert!(offset_of!(Image, abandon) == 64);
};
