//! `lkl_host_ops`: what LKL asks of its host. The kernel needs none of it but `print` and
//! `panic`; the others are there for programs that call them.

use std::ffi::{c_char, c_int, c_long, c_ulong, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use drupe::DeathReport;

use crate::border::complain;

/// `lkl_thread_t`.
type Thread = c_ulong;
type Function = unsafe extern "C" fn(*mut c_void);
/// An operation that the library has no use for, and does not have itself.
type Absent = Option<unsafe extern "C" fn()>;

/// `struct lkl_host_operations`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct HostOperations {
    virtio_devices: *const c_char,
    print: Option<unsafe extern "C" fn(*const c_char, c_int)>,
    panic: Option<unsafe extern "C" fn()>,
    sem_alloc: Option<unsafe extern "C" fn(c_int) -> *mut libc::sem_t>,
    sem_free: Option<unsafe extern "C" fn(*mut libc::sem_t)>,
    sem_up: Option<unsafe extern "C" fn(*mut libc::sem_t)>,
    sem_down: Option<unsafe extern "C" fn(*mut libc::sem_t)>,
    mutex_alloc: Option<unsafe extern "C" fn(c_int) -> *mut libc::pthread_mutex_t>,
    mutex_free: Option<unsafe extern "C" fn(*mut libc::pthread_mutex_t)>,
    mutex_lock: Option<unsafe extern "C" fn(*mut libc::pthread_mutex_t)>,
    mutex_unlock: Option<unsafe extern "C" fn(*mut libc::pthread_mutex_t)>,
    thread_create: Option<unsafe extern "C" fn(Option<Function>, *mut c_void) -> Thread>,
    thread_detach: Option<unsafe extern "C" fn()>,
    thread_exit: Option<unsafe extern "C" fn()>,
    thread_join: Option<unsafe extern "C" fn(Thread) -> c_int>,
    thread_self: Option<unsafe extern "C" fn() -> Thread>,
    thread_equal: Option<unsafe extern "C" fn(Thread, Thread) -> c_int>,
    thread_stack: Option<unsafe extern "C" fn(*mut c_ulong) -> *mut c_void>,
    tls_alloc: Option<unsafe extern "C" fn(Option<Function>) -> *mut libc::pthread_key_t>,
    tls_free: Option<unsafe extern "C" fn(*mut libc::pthread_key_t)>,
    tls_set: Option<unsafe extern "C" fn(*mut libc::pthread_key_t, *mut c_void) -> c_int>,
    tls_get: Option<unsafe extern "C" fn(*mut libc::pthread_key_t) -> *mut c_void>,
    mem_alloc: Option<unsafe extern "C" fn(c_ulong) -> *mut c_void>,
    mem_free: Option<unsafe extern "C" fn(*mut c_void)>,
    page_alloc: Option<unsafe extern "C" fn(c_ulong) -> *mut c_void>,
    page_free: Option<unsafe extern "C" fn(*mut c_void, c_ulong)>,
    time: Option<unsafe extern "C" fn() -> u64>,
    timer_alloc: Absent,
    timer_set_oneshot: Absent,
    timer_free: Absent,
    ioremap: Absent,
    iomem_access: Absent,
    gettid: Option<unsafe extern "C" fn() -> c_long>,
    jmp_buf_set: Absent,
    jmp_buf_longjmp: Absent,
    memcpy: Option<unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> *mut c_void>,
    memset: Option<unsafe extern "C" fn(*mut c_void, c_int, usize) -> *mut c_void>,
    memmove: Option<unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> *mut c_void>,
    mmap: Option<unsafe extern "C" fn(*mut c_void, c_ulong, c_int) -> *mut c_void>,
    munmap: Option<unsafe extern "C" fn(*mut c_void, c_ulong) -> c_int>,
    shmem_init: Absent,
    shmem_mmap: Absent,
    pci_ops: *mut c_void,
}

// 43 pointers, as the header has them.
const _: () = assert!(size_of::<HostOperations>() == 344);

// SAFETY: it is the program's, who sets it while no other thread uses it.
unsafe impl Sync for HostOperations {}

/// `lkl_host_ops`. The program's linker may make a copy of it, which is the one that the
/// program passes to `lkl_init`.
#[unsafe(export_name = "lkl_host_ops")]
static mut OWN: HostOperations = HostOperations {
    virtio_devices: (&raw const DEVICES).cast(),
    print: Some(print_to_stdout),
    panic: Some(abort),
    sem_alloc: Some(sem_alloc),
    sem_free: Some(sem_free),
    sem_up: Some(sem_up),
    sem_down: Some(sem_down),
    mutex_alloc: Some(mutex_alloc),
    mutex_free: Some(mutex_free),
    mutex_lock: Some(mutex_lock),
    mutex_unlock: Some(mutex_unlock),
    thread_create: Some(thread_create),
    thread_detach: Some(thread_detach),
    thread_exit: Some(thread_exit),
    thread_join: Some(thread_join),
    thread_self: Some(libc::pthread_self),
    thread_equal: Some(thread_equal),
    thread_stack: Some(thread_stack),
    tls_alloc: Some(tls_alloc),
    tls_free: Some(tls_free),
    tls_set: Some(tls_set),
    tls_get: Some(tls_get),
    mem_alloc: Some(mem_alloc),
    mem_free: Some(libc::free),
    page_alloc: Some(page_alloc),
    page_free: Some(page_free),
    time: Some(time),
    timer_alloc: None,
    timer_set_oneshot: None,
    timer_free: None,
    ioremap: None,
    iomem_access: None,
    gettid: Some(gettid),
    jmp_buf_set: None,
    jmp_buf_longjmp: None,
    memcpy: Some(libc::memcpy),
    memset: Some(libc::memset),
    memmove: Some(libc::memmove),
    mmap: Some(mmap),
    munmap: Some(munmap),
    shmem_init: None,
    shmem_mmap: None,
    pci_ops: ptr::null_mut(),
};

/// `lkl_virtio_devs`: an empty text.
#[unsafe(export_name = "lkl_virtio_devs")]
static mut DEVICES: [u8; 4096] = [0; 4096];

/// What `lkl_init` was given; NULL: nothing.
static GIVEN: AtomicPtr<HostOperations> = AtomicPtr::new(ptr::null_mut());

/// Takes the program's operations, or lets go of them.
pub(crate) fn set(operations: *mut HostOperations) {
    GIVEN.store(operations, Ordering::Release);
}

/// The operations as they are now: the program may have changed them.
fn operations() -> HostOperations {
    let given = GIVEN.load(Ordering::Acquire);
    let operations = match given.is_null() {
        true => &raw mut OWN,
        false => given,
    };
    // SAFETY: the program's, which leaves them there, or the library's own.
    unsafe { operations.read_volatile() }
}

/// The program wants no texts any more.
pub(crate) fn silence() {
    let given = GIVEN.load(Ordering::Acquire);
    let operations = match given.is_null() {
        true => &raw mut OWN,
        false => given,
    };
    // SAFETY: the program's, which has asked for this, or the library's own.
    unsafe { (&raw mut (*operations).print).write_volatile(None) };
}

/// Hands a text to the program.
pub(crate) fn print(text: &[u8]) {
    if let Some(print) = operations().print {
        let len = c_int::try_from(text.len()).unwrap_or(c_int::MAX);
        // SAFETY: the program's function, with a text of this length.
        unsafe { print(text.as_ptr().cast(), len) };
    }
}

/// The kernel has died: the program is told once.
pub(crate) fn panic(report: &Arc<DeathReport>) {
    /// The death that the program was told of.
    static TOLD: AtomicPtr<DeathReport> = AtomicPtr::new(ptr::null_mut());
    let this = Arc::as_ptr(report).cast_mut();
    if TOLD.swap(this, Ordering::Relaxed) != this {
        complain(&format!("the kernel has died: {}", report.message));
        call_panic();
    }
}

pub(crate) fn call_panic() {
    if let Some(panic) = operations().panic {
        // SAFETY: the program's function.
        unsafe { panic() }
    }
}

unsafe extern "C" fn print_to_stdout(text: *const c_char, len: c_int) {
    let len = usize::try_from(len).unwrap_or(0);
    // SAFETY: a text of this length. That nobody reads it is no error.
    unsafe { libc::write(1, text.cast(), len) };
}

unsafe extern "C" fn abort() {
    // SAFETY: it takes nothing.
    unsafe { libc::abort() }
}

/// A value in memory of malloc(3), where C frees it; NULL without memory.
fn allocate<T>(value: T) -> *mut T {
    // SAFETY: it takes any size.
    let memory: *mut T = unsafe { libc::malloc(size_of::<T>()) }.cast();
    if !memory.is_null() {
        // SAFETY: memory for one; malloc(3) aligns it for all of these types.
        unsafe { memory.write(value) };
    }
    memory
}

unsafe extern "C" fn sem_alloc(count: c_int) -> *mut libc::sem_t {
    // SAFETY: zeroes are a semaphore that is about to be initialised.
    let semaphore = allocate(unsafe { std::mem::zeroed::<libc::sem_t>() });
    if !semaphore.is_null() {
        // SAFETY: memory for one.
        unsafe { libc::sem_init(semaphore, 0, count.unsigned_abs()) };
    }
    semaphore
}

unsafe extern "C" fn sem_free(semaphore: *mut libc::sem_t) {
    // SAFETY: one of `sem_alloc`'s, that nobody uses any more.
    unsafe {
        libc::sem_destroy(semaphore);
        libc::free(semaphore.cast());
    }
}

unsafe extern "C" fn sem_up(semaphore: *mut libc::sem_t) {
    // SAFETY: one of `sem_alloc`'s.
    unsafe { libc::sem_post(semaphore) };
}

unsafe extern "C" fn sem_down(semaphore: *mut libc::sem_t) {
    // SAFETY: one of `sem_alloc`'s. A signal is the one reason to return early.
    while unsafe { libc::sem_wait(semaphore) } != 0 {}
}

unsafe extern "C" fn mutex_alloc(recursive: c_int) -> *mut libc::pthread_mutex_t {
    let mutex = allocate(libc::PTHREAD_MUTEX_INITIALIZER);
    if !mutex.is_null() && recursive != 0 {
        // SAFETY: zeroes are attributes that are about to be initialised; the mutex is
        // nobody's yet.
        unsafe {
            let mut attributes: libc::pthread_mutexattr_t = std::mem::zeroed();
            libc::pthread_mutexattr_init(&mut attributes);
            libc::pthread_mutexattr_settype(&mut attributes, libc::PTHREAD_MUTEX_RECURSIVE);
            libc::pthread_mutex_init(mutex, &attributes);
            libc::pthread_mutexattr_destroy(&mut attributes);
        }
    }
    mutex
}

unsafe extern "C" fn mutex_free(mutex: *mut libc::pthread_mutex_t) {
    // SAFETY: one of `mutex_alloc`'s, that nobody uses any more.
    unsafe {
        libc::pthread_mutex_destroy(mutex);
        libc::free(mutex.cast());
    }
}

unsafe extern "C" fn mutex_lock(mutex: *mut libc::pthread_mutex_t) {
    // SAFETY: one of `mutex_alloc`'s.
    unsafe { libc::pthread_mutex_lock(mutex) };
}

unsafe extern "C" fn mutex_unlock(mutex: *mut libc::pthread_mutex_t) {
    // SAFETY: one of `mutex_alloc`'s.
    unsafe { libc::pthread_mutex_unlock(mutex) };
}

/// What a thread begins with.
struct Begin {
    function: Function,
    argument: *mut c_void,
}

extern "C" fn run(begin: *mut c_void) -> *mut c_void {
    // SAFETY: `thread_create`'s, for this thread alone.
    let begin = unsafe { Box::from_raw(begin.cast::<Begin>()) };
    // SAFETY: the program's function, with what it is for.
    unsafe { (begin.function)(begin.argument) };
    ptr::null_mut()
}

unsafe extern "C" fn thread_create(function: Option<Function>, argument: *mut c_void) -> Thread {
    let Some(function) = function else {
        return 0;
    };
    let begin = Box::into_raw(Box::new(Begin { function, argument }));
    let mut thread = 0;
    // SAFETY: `run` takes what it is handed.
    match unsafe { libc::pthread_create(&mut thread, ptr::null(), run, begin.cast()) } {
        0 => thread,
        _ => {
            // SAFETY: no thread has it.
            drop(unsafe { Box::from_raw(begin) });
            0
        }
    }
}

unsafe extern "C" fn thread_detach() {
    // SAFETY: the calling thread.
    unsafe { libc::pthread_detach(libc::pthread_self()) };
}

unsafe extern "C" fn thread_exit() {
    // SAFETY: no frame of Rust's is on the stack that has anything to drop.
    unsafe { libc::pthread_exit(ptr::null_mut()) }
}

unsafe extern "C" fn thread_join(thread: Thread) -> c_int {
    // SAFETY: a thread that was not joined before.
    match unsafe { libc::pthread_join(thread, ptr::null_mut()) } {
        0 => 0,
        _ => -1,
    }
}

unsafe extern "C" fn thread_equal(one: Thread, other: Thread) -> c_int {
    (one == other).into()
}

unsafe extern "C" fn thread_stack(size: *mut c_ulong) -> *mut c_void {
    let (mut start, mut len) = (ptr::null_mut(), 0);
    // SAFETY: zeroes are attributes that are about to be initialised; the calling thread
    // has a stack.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &mut attributes) == 0 {
            libc::pthread_attr_getstack(&attributes, &mut start, &mut len);
            libc::pthread_attr_destroy(&mut attributes);
        }
        if !size.is_null() {
            size.write(len as c_ulong);
        }
    }
    start
}

unsafe extern "C" fn tls_alloc(destructor: Option<Function>) -> *mut libc::pthread_key_t {
    let key = allocate::<libc::pthread_key_t>(0);
    // SAFETY: memory for a key, if there is some.
    if !key.is_null() && unsafe { libc::pthread_key_create(key, destructor) } != 0 {
        // SAFETY: nobody else has it.
        unsafe { libc::free(key.cast()) };
        return ptr::null_mut();
    }
    key
}

unsafe extern "C" fn tls_free(key: *mut libc::pthread_key_t) {
    // SAFETY: one of `tls_alloc`'s, that nobody uses any more.
    unsafe {
        libc::pthread_key_delete(*key);
        libc::free(key.cast());
    }
}

unsafe extern "C" fn tls_set(key: *mut libc::pthread_key_t, data: *mut c_void) -> c_int {
    // SAFETY: one of `tls_alloc`'s.
    match unsafe { libc::pthread_setspecific(*key, data) } {
        0 => 0,
        _ => -1,
    }
}

unsafe extern "C" fn tls_get(key: *mut libc::pthread_key_t) -> *mut c_void {
    // SAFETY: one of `tls_alloc`'s.
    unsafe { libc::pthread_getspecific(*key) }
}

unsafe extern "C" fn mem_alloc(size: c_ulong) -> *mut c_void {
    // SAFETY: it takes any size.
    unsafe { libc::malloc(size as usize) }
}

unsafe extern "C" fn page_alloc(size: c_ulong) -> *mut c_void {
    // SAFETY: new memory.
    match unsafe { mmap(ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE) } {
        libc::MAP_FAILED => ptr::null_mut(),
        pages => pages,
    }
}

unsafe extern "C" fn page_free(pages: *mut c_void, size: c_ulong) {
    // SAFETY: of `page_alloc`'s, and nobody uses them any more.
    unsafe { libc::munmap(pages, size as usize) };
}

unsafe extern "C" fn time() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: room for a time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

unsafe extern "C" fn gettid() -> c_long {
    // SAFETY: it takes nothing.
    unsafe { libc::gettid() }.into()
}

unsafe extern "C" fn mmap(address: *mut c_void, size: c_ulong, protection: c_int) -> *mut c_void {
    let fixed = if address.is_null() {
        0
    } else {
        libc::MAP_FIXED
    };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | fixed;
    // SAFETY: memory at an address that the program has chosen is the program's.
    unsafe { libc::mmap(address, size as usize, protection, flags, -1, 0) }
}

unsafe extern "C" fn munmap(address: *mut c_void, size: c_ulong) -> c_int {
    // SAFETY: as of `mmap`.
    unsafe { libc::munmap(address, size as usize) }
}
