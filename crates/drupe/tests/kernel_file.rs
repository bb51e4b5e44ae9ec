//! Files of the kernel's own tree, and what is done before a kernel is anybody's.

use std::error::Error;
use std::io::{ErrorKind, Read};

use drupe::{Errno, Kernel};

type Outcome = Result<(), Box<dyn Error>>;

#[test]
fn the_kernels_own_files_are_read_and_written() -> Outcome {
    let kernel = Kernel::boot()?;
    let mut text = b"before".to_vec();
    let len = kernel
        .open("/proc/sys/kernel/ostype", libc::O_RDONLY)?
        .read_to_end(&mut text)?;
    assert_eq!((len, &text[..]), (6, &b"beforeLinux\n"[..]));
    let setting = "/proc/sys/kernel/domainname";
    kernel.open(setting, libc::O_WRONLY)?.write(b"example")?;
    let mut text = String::new();
    (&kernel.open(setting, libc::O_RDONLY)?).read_to_string(&mut text)?;
    assert_eq!(text, "example\n");
    assert!(kernel.open("/dev/null", libc::O_RDWR)?.write(b"x")? == 1);
    assert!(kernel.open("/sys/kernel", libc::O_RDONLY).is_ok());
    Ok(())
}

#[test]
fn errors_name_the_file() -> Outcome {
    let kernel = Kernel::boot()?;
    let open = |path: &str| kernel.open(path, libc::O_RDONLY).unwrap_err();
    let missing = open("/proc/none");
    assert_eq!(missing.errno(), Some(Errno::NOENT));
    assert!(missing.to_string().starts_with("open /proc/none: "));
    assert_eq!(open("/proc/a\0b").errno(), Some(Errno::INVAL));
    let read_only = kernel.open("/proc/sys/kernel/ostype", libc::O_RDONLY)?;
    assert_eq!(
        read_only.write(b"x").unwrap_err().errno(),
        Some(Errno::BADF)
    );
    // What has nothing to read yet.
    let log = kernel.open("/dev/kmsg", libc::O_RDONLY)?;
    log.set_nonblocking(true)?;
    let end = log.read_to_end(&mut Vec::new()).map(drop);
    assert_eq!(end.unwrap_err().kind(), ErrorKind::WouldBlock);
    Ok(())
}

#[test]
fn random_numbers_fill_all_of_it() -> Outcome {
    let kernel = Kernel::boot()?;
    let mut bytes = vec![0; 10_000];
    kernel.random(&mut bytes)?;
    let zeroes = bytes
        .chunks(100)
        .filter(|piece| piece.iter().all(|&byte| byte == 0));
    assert_eq!(zeroes.count(), 0);
    Ok(())
}

#[test]
fn what_comes_first_is_done_in_order_and_may_fail() -> Outcome {
    let set = |name: &'static str| {
        move |kernel: &Kernel| {
            let file = kernel.open("/proc/sys/kernel/domainname", libc::O_WRONLY)?;
            file.write(name.as_bytes()).map(drop)
        }
    };
    let kernel = Kernel::builder()
        .on_boot(set("one"))
        .on_boot(set("two"))
        .boot()?;
    let mut text = String::new();
    (&kernel.open("/proc/sys/kernel/domainname", libc::O_RDONLY)?).read_to_string(&mut text)?;
    assert_eq!(text, "two\n");
    let missing = |kernel: &Kernel| kernel.open("/none", libc::O_RDONLY).map(drop);
    let error = Kernel::builder().on_boot(missing).boot().err();
    assert_eq!(error.and_then(|error| error.errno()), Some(Errno::NOENT));
    Ok(())
}
