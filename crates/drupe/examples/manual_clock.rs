//! Sleeps an hour in a millisecond: a kernel whose clock is the program's.
//!
//! ```text
//! cargo run --example manual_clock
//! ```

use std::time::{Duration, Instant, UNIX_EPOCH};

use drupe::{Kernel, ManualClock, MountOptions, nr};

const HOUR: Duration = Duration::from_secs(3600);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // It is 2001-09-09 01:46:40 UTC, until the program says otherwise.
    let clock = ManualClock::new(UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let kernel = Kernel::builder().host(clock.clone()).boot()?;
    let files = kernel.mount_virtual("tmpfs", MountOptions::new())?;
    files.write("before", "")?;

    let start = Instant::now();
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| sleep(&kernel, HOUR));
        // An hour from whenever the other thread began to sleep; maybe more.
        while !sleeper.is_finished() {
            clock.advance(HOUR / 60);
            std::thread::yield_now();
        }
        sleeper.join().expect("it does not panic")
    })?;
    println!("slept an hour in {:?}", start.elapsed());

    files.write("after", "")?;
    for name in ["before", "after"] {
        let modified = files.metadata(name)?.modified()?;
        println!("{name}: {:?}", modified.duration_since(UNIX_EPOCH)?);
    }
    Ok(())
}

/// `nanosleep(2)` of the kernel.
fn sleep(kernel: &Kernel, time: Duration) -> drupe::Result<()> {
    let time = [time.as_secs(), time.subsec_nanos().into()];
    // SAFETY: the call reads a time from the first argument, nothing else.
    unsafe { kernel.syscall(nr::NANOSLEEP, [time.as_ptr() as usize, 0, 0, 0, 0, 0])? };
    Ok(())
}

#[test]
fn runs_to_its_end() -> Result<(), Box<dyn std::error::Error>> {
    main()
}
