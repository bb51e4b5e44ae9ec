//! [`assert_auto_traits!`](crate::assert_auto_traits): asserts which types are `Send`,
//! `Sync` and `Unpin`, when the test is compiled.
//!
//! Each auto trait has a wrapper type with an inherent constant `YES = true`, which
//! exists only if the inner type has the auto trait. Otherwise the name means the
//! constant of [`No`], which is false.

use std::marker::PhantomData;

/// The answer for a type without the auto trait.
pub trait No {
    /// Whether the type has it.
    const YES: bool = false;
}

macro_rules! questions {
    ($($(#[$doc:meta])* $name:ident: $auto:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<T: ?Sized>(PhantomData<T>);

        impl<T: ?Sized> No for $name<T> {}

        impl<T: ?Sized + $auto> $name<T> {
            /// Whether the type has it.
            pub const YES: bool = true;
        }
    )*};
}

questions! {
    /// Whether a type is `Send`.
    IsSend: Send;
    /// Whether a type is `Sync`.
    IsSync: Sync;
    /// Whether a type is `Unpin`.
    IsUnpin: Unpin;
}

/// Asserts for each type which of the three it has: `File: Send, Sync, Unpin;`, with
/// `!Send` and so on for those that it has not.
#[macro_export]
macro_rules! assert_auto_traits {
    ($($type:ty: $($(!$absent:ident)? $($present:ident)?),+;)*) => {$(
        const _: () = {
            #[allow(unused_imports, reason = "for what a type is not")]
            use $crate::auto_traits::{IsSend, IsSync, IsUnpin, No};
            $(
                $(assert!(
                    $crate::assert_auto_traits!(@ $present $type),
                    concat!(stringify!($type), " is not ", stringify!($present)),
                );)?
                $(assert!(
                    !$crate::assert_auto_traits!(@ $absent $type),
                    concat!(stringify!($type), " is ", stringify!($absent)),
                );)?
            )+
        };
    )*};
    (@ Send $type:ty) => { IsSend::<$type>::YES };
    (@ Sync $type:ty) => { IsSync::<$type>::YES };
    (@ Unpin $type:ty) => { IsUnpin::<$type>::YES };
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::marker::PhantomPinned;
    use std::rc::Rc;

    assert_auto_traits! {
        u8: Send, Sync, Unpin;
        Cell<u8>: Send, !Sync, Unpin;
        Rc<u8>: !Send, !Sync, Unpin;
        PhantomPinned: Send, Sync, !Unpin;
        dyn Fn(): !Send, !Sync, !Unpin;
    }
}
