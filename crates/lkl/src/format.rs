//! Functions with as many arguments as printf(3). Rust cannot define such: a few
//! instructions collect the arguments as the C compiler's `va_start` does (System V ABI for
//! x86-64, 3.5.7), and hand them to a function of Rust's as a `va_list`.

use std::arch::naked_asm;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use crate::border::{Errno, Result, guard};
use crate::{host_ops, kernel};

unsafe extern "C" {
    fn vasprintf(text: *mut *mut c_char, format: *const c_char, arguments: *mut c_void) -> c_int;
}

/// Defines a function whose first argument is a format, and others follow.
macro_rules! variadic {
    ($name:ident => $target:path) => {
        /// # Safety
        /// As of printf(3): the arguments are those that the format asks for.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name() {
            // 0 to 24: the va_list. 32 to 208: the registers, which it points to. The
            // other arguments are behind the return address.
            naked_asm!(
                "sub rsp, 216",
                "mov [rsp + 40], rsi",
                "mov [rsp + 48], rdx",
                "mov [rsp + 56], rcx",
                "mov [rsp + 64], r8",
                "mov [rsp + 72], r9",
                "test al, al",
                "je 2f",
                "movaps [rsp + 80], xmm0",
                "movaps [rsp + 96], xmm1",
                "movaps [rsp + 112], xmm2",
                "movaps [rsp + 128], xmm3",
                "movaps [rsp + 144], xmm4",
                "movaps [rsp + 160], xmm5",
                "movaps [rsp + 176], xmm6",
                "movaps [rsp + 192], xmm7",
                "2:",
                "mov dword ptr [rsp], 8",
                "mov dword ptr [rsp + 4], 48",
                "lea rax, [rsp + 224]",
                "mov [rsp + 8], rax",
                "lea rax, [rsp + 32]",
                "mov [rsp + 16], rax",
                "mov rsi, rsp",
                "call {target}",
                "add rsp, 216",
                "ret",
                target = sym $target,
            )
        }
    };
}

variadic!(lkl_start_kernel => start_kernel);
variadic!(lkl_printf => printf);
variadic!(lkl_bug => bug);

/// A text from malloc(3).
struct Text(*mut c_char);

impl Text {
    /// # Safety
    /// As of vprintf(3).
    unsafe fn new(format: *const c_char, arguments: *mut c_void) -> Result<Text> {
        let mut text = ptr::null_mut();
        if format.is_null() {
            return Err(Errno::of(libc::EFAULT));
        }
        // SAFETY: the caller's.
        match unsafe { vasprintf(&mut text, format, arguments) } {
            len if len < 0 => Err(Errno::of(libc::ENOMEM)),
            _ => Ok(Text(text)),
        }
    }

    fn get(&self) -> &CStr {
        // SAFETY: vasprintf(3) has made it.
        unsafe { CStr::from_ptr(self.0) }
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        // SAFETY: it is from malloc(3), and nobody else has it.
        unsafe { libc::free(self.0.cast()) }
    }
}

unsafe extern "C" fn start_kernel(format: *const c_char, arguments: *mut c_void) -> c_int {
    guard("lkl_start_kernel", || {
        // SAFETY: the caller's.
        let text = unsafe { Text::new(format, arguments) }?;
        kernel::start(&text.get().to_string_lossy()).map(|()| 0)
    })
}

unsafe extern "C" fn printf(format: *const c_char, arguments: *mut c_void) -> c_int {
    guard("lkl_printf", || {
        // SAFETY: the caller's.
        let text = unsafe { Text::new(format, arguments) }?;
        let text = text.get().to_bytes();
        host_ops::print(text);
        Ok(c_int::try_from(text.len()).unwrap_or(c_int::MAX))
    })
}

unsafe extern "C" fn bug(format: *const c_char, arguments: *mut c_void) {
    guard("lkl_bug", || {
        // SAFETY: the caller's.
        let text = unsafe { Text::new(format, arguments) }?;
        host_ops::print(text.get().to_bytes());
        Ok(())
    });
    host_ops::call_panic();
}
