//! `Buffer`: kernel memory that the program uses.

mod common;

use common::{call, disk, errno, machine, nr, pipe, read};
use drupe_host::disk::Disk;
use std::sync::Arc;

/// Numbers of `include/uapi/asm-generic/unistd.h`.
const PREAD64: usize = 67;
const PWRITE64: usize = 68;
const VMSPLICE: usize = 75;

#[test]
fn a_buffer_is_read_and_written_as_the_file_allows() {
    let machine = machine();
    let path = c"/file".as_ptr() as usize;
    let open = |flags: i32| {
        let flags = (flags | libc::O_CREAT) as usize;
        call(&machine, nr::OPENAT, &[0, path, flags, 0o600]).unwrap() as i32
    };
    let mut buffer = machine.buffer(4096).unwrap();
    buffer.fill(7);
    let (to, from) = (open(libc::O_WRONLY), open(libc::O_RDONLY));
    let mark = machine.logged();
    assert_eq!(machine.pwrite(to, &buffer, 0..4096, 0).unwrap(), 4096);
    assert_eq!(errno(machine.pread(to, &mut buffer, 0..1, 0)), libc::EBADF);
    assert_eq!(errno(machine.pwrite(from, &buffer, 0..1, 0)), libc::EBADF);
    buffer.fill(0);
    assert_eq!(machine.pread(from, &mut buffer, 0..4096, 0).unwrap(), 4096);
    assert!(buffer.iter().all(|&byte| byte == 7));
    let (reader, writer) = pipe(&machine);
    let (reader, writer) = (reader as i32, writer as i32);
    assert_eq!(
        errno(machine.pwrite(writer, &buffer, 0..1, 0)),
        libc::ESPIPE
    );
    assert_eq!(
        errno(machine.pread(reader, &mut buffer, 0..1, 0)),
        libc::ESPIPE
    );
    assert_eq!(
        errno(machine.pread(from, &mut buffer, 0..1, u64::MAX)),
        libc::EINVAL
    );
    assert_eq!(machine.log_since(mark), "", "nothing is worth a warning");
    machine.halt().unwrap();
}

/// System calls that pin pages take a buffer as it is, where there are page
/// tables, and refuse the program's own memory.
#[test]
fn system_calls_pin_a_buffer() {
    let machine = machine();
    let (name, dev) = (c"devtmpfs".as_ptr() as usize, c"/dev".as_ptr() as usize);
    call(&machine, nr::MOUNT, &[name, dev, name, 0, 0]).unwrap();
    let disk = disk(&vec![5; 1 << 20]);
    machine
        .add_disk(Arc::clone(&disk) as Arc<dyn Disk>)
        .unwrap();
    let path = c"/dev/vda".as_ptr() as usize;
    let flags = (libc::O_RDWR | libc::O_DIRECT) as usize;
    let fd = call(&machine, nr::OPENAT, &[0, path, flags]).unwrap();
    let own = vec![0u8; 8192];
    let aligned = (own.as_ptr() as usize).next_multiple_of(4096);
    assert_eq!(
        errno(call(&machine, PREAD64, &[fd, aligned, 4096, 0])),
        libc::EFAULT
    );
    let mut buffer = machine.buffer(65536).unwrap();
    let address = buffer.as_mut_ptr() as usize;
    match call(&machine, PREAD64, &[fd, address, 65536, 0]) {
        Ok(65536) => {}
        // No page tables: for these, there are `pread` and `pwrite`.
        result => {
            assert_eq!(errno(result), libc::EFAULT);
            assert_eq!(
                machine.pread(fd as i32, &mut buffer, 0..4096, 0).unwrap(),
                4096
            );
            return;
        }
    }
    assert!(buffer.iter().all(|&byte| byte == 5));
    buffer.fill(6);
    let args = [fd, address + 512, 512, 1024];
    assert_eq!(call(&machine, PWRITE64, &args).unwrap(), 512);
    assert_eq!(common::content(&disk, 1023..1537)[..2], [5, 6]);
    // Memory of the kernel's that is no buffer, on either side of it.
    for address in [address - (1 << 20), address + (1 << 20)] {
        let result = call(&machine, PREAD64, &[fd, address, 512, 0]);
        assert_eq!(errno(result), libc::EFAULT);
    }
    // A page in a pipe outlives its buffer.
    let (reader, writer) = pipe(&machine);
    let vector = [address, 4096];
    let args = [writer, vector.as_ptr() as usize, 1, 0];
    assert_eq!(call(&machine, VMSPLICE, &args).unwrap(), 4096);
    drop(buffer);
    let others: Vec<_> = (0..64).map(|_| machine.buffer(4096).unwrap()).collect();
    let mut back = [0; 4096];
    assert_eq!(read(&machine, reader, &mut back).unwrap(), 4096);
    assert!(back.iter().all(|&byte| byte == 6));
    drop(others);
    machine.halt().unwrap();
}

/// Each is mapped when it is used, and unmapped when it is freed.
#[test]
fn buffers_come_and_go() {
    let machine = machine();
    let (reader, writer) = pipe(&machine);
    for round in 0..3000u32 {
        let mut buffer = machine.buffer(32 << 10).unwrap();
        buffer.fill(round as u8);
        let vector = [buffer.as_ptr() as usize, buffer.len()];
        let args = [writer, vector.as_ptr() as usize, 1, 0];
        if let Ok(len) = call(&machine, VMSPLICE, &args) {
            assert_eq!(len, 32 << 10);
            let mut back = [0; 32 << 10];
            assert_eq!(read(&machine, reader, &mut back).unwrap(), len);
            assert!(back == *buffer);
        }
    }
    machine.halt().unwrap();
}
