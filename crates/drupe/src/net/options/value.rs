//! Socket options of any level and name, as values and as bytes.

use std::net::Ipv4Addr;

use crate::error::Result;
use crate::net::{Socket, named};

/// The type of a socket option: a number, a `bool` or an address.
pub trait OptionValue: Copy + sealed::Sealed {
    #[doc(hidden)]
    type Bytes: AsRef<[u8]> + AsMut<[u8]> + Default;
    #[doc(hidden)]
    fn to_bytes(self) -> Self::Bytes;
    #[doc(hidden)]
    fn from_bytes(bytes: Self::Bytes) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl sealed::Sealed for $number {}
        impl OptionValue for $number {
            type Bytes = [u8; size_of::<$number>()];
            fn to_bytes(self) -> Self::Bytes {
                self.to_ne_bytes()
            }
            fn from_bytes(bytes: Self::Bytes) -> Self {
                <$number>::from_ne_bytes(bytes)
            }
        }
    )*};
}

numbers!(i32 u32 u64);

impl sealed::Sealed for bool {}
impl OptionValue for bool {
    type Bytes = [u8; 4];
    fn to_bytes(self) -> [u8; 4] {
        i32::from(self).to_ne_bytes()
    }
    fn from_bytes(bytes: [u8; 4]) -> bool {
        i32::from_ne_bytes(bytes) != 0
    }
}

impl sealed::Sealed for Ipv4Addr {}
impl OptionValue for Ipv4Addr {
    type Bytes = [u8; 4];
    fn to_bytes(self) -> [u8; 4] {
        self.octets()
    }
    fn from_bytes(bytes: [u8; 4]) -> Ipv4Addr {
        bytes.into()
    }
}

impl Socket {
    /// getsockopt(2) of any option that is a `T`.
    pub fn option<T: OptionValue>(&self, level: i32, name: i32) -> Result<T> {
        self.get("get option", level, name)
    }

    /// setsockopt(2) of any option that is a `T`.
    pub fn set_option<T: OptionValue>(&self, level: i32, name: i32, value: T) -> Result<()> {
        self.set("set option", level, name, value)
    }

    /// getsockopt(2) into `value`, which is zeroed first. Returns how many bytes the
    /// kernel has written.
    pub fn raw_option(&self, level: i32, name: i32, value: &mut [u8]) -> Result<usize> {
        let got = self.sys().getsockopt(self.fd.raw(), level, name, value);
        named("get option", got)
    }

    /// setsockopt(2) of bytes. Options whose value has pointers in it
    /// (`SO_ATTACH_FILTER`, `SO_ATTACH_REUSEPORT_CBPF`) are EINVAL.
    pub fn set_raw_option(&self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let set = self.sys().setsockopt(self.fd.raw(), level, name, value);
        named("set option", set)
    }

    pub(super) fn get<T: OptionValue>(
        &self,
        operation: &'static str,
        level: i32,
        name: i32,
    ) -> Result<T> {
        let mut bytes = T::Bytes::default();
        let got = self
            .sys()
            .getsockopt(self.fd.raw(), level, name, bytes.as_mut());
        named(operation, got)?;
        Ok(T::from_bytes(bytes))
    }

    pub(super) fn set<T: OptionValue>(
        &self,
        operation: &'static str,
        level: i32,
        name: i32,
        value: T,
    ) -> Result<()> {
        let value = value.to_bytes();
        let set = self
            .sys()
            .setsockopt(self.fd.raw(), level, name, value.as_ref());
        named(operation, set)
    }

    /// An option that is a string.
    pub(super) fn text_option(
        &self,
        operation: &'static str,
        level: i32,
        name: i32,
    ) -> Result<String> {
        let mut value = [0; 64];
        let got = self
            .sys()
            .getsockopt(self.fd.raw(), level, name, &mut value);
        let len = named(operation, got)?;
        let text = value[..len].split(|&byte| byte == 0).next();
        Ok(String::from_utf8_lossy(text.unwrap_or_default()).into_owned())
    }

    pub(super) fn set_text_option(
        &self,
        operation: &'static str,
        level: i32,
        name: i32,
        value: &str,
    ) -> Result<()> {
        let set = self
            .sys()
            .setsockopt(self.fd.raw(), level, name, value.as_bytes());
        named(operation, set)
    }
}

/// Options as pairs of methods: the getter's name, the setter's, the type, the
/// level, the name in the kernel's headers.
macro_rules! options {
    ($($(#[$doc:meta])* $get:ident, $set:ident: $type:ty = $level:ident, $name:ident;)*) => {
        impl $crate::net::Socket {$(
            #[doc = concat!("What [`Socket::", stringify!($set), "`] is about (`",
                stringify!($name), "`).")]
            pub fn $get(&self) -> $crate::Result<$type> {
                self.get(stringify!($get), libc::$level, libc::$name)
            }

            $(#[$doc])*
            #[doc = concat!("\n\n`", stringify!($name), "`.")]
            pub fn $set(&self, value: $type) -> $crate::Result<()> {
                self.set(stringify!($set), libc::$level, libc::$name, value)
            }
        )*}
    };
}

pub(super) use options;
