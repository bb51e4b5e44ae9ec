//! Requests that threads post to a kernel without holding its CPU.
//!
//! # States
//!
//! The head is the address of the newest request, or 0; each request has a link
//! to the next older one.
//!
//! # Who may touch what
//!
//! A poster owns its request until [`post`] has put it into the list, then the
//! list does. The holder of the CPU takes the whole list at once ([`take`]; in a
//! kernel, the image does the same), and with it all requests and their links.
//! Nobody takes a single one, so the list knows no ABA problem.
//!
//! # Memory orders
//!
//! The compare-exchange of `post` is a Release that pairs with the Acquire of
//! `take`: whoever takes a request sees what its poster wrote into it, link
//! included. Requests further down were released by earlier posters, whose
//! stores the later ones continue (a release sequence).
//!
//! # Races considered
//!
//! A poster puts its request into the list *before* it posts the interrupt that
//! tells of it ([`Baton::post_irq`](crate::Baton::post_irq)), and the kernel takes
//! the interrupt before the list. So the interrupt that follows a request finds
//! it, unless an earlier one has.
//!
//! # Shutdown
//!
//! A kernel that has ended takes nothing. What was posted to it is abandoned by
//! the poster's own bookkeeping, not here.

use crate::sync::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// Something that can be in an inbox.
pub trait Post {
    /// Its address, or another number that is not 0 and tells it from all others.
    fn address(&self) -> u64;
    /// The number of the next one, or 0; the list's while this is in it.
    fn next(&self) -> &AtomicU64;
}

/// Puts `request` into the inbox `head`. Lock-free.
pub fn post(head: &AtomicU64, request: &impl Post) {
    let mut newest = head.load(Relaxed);
    loop {
        request.next().store(newest, Relaxed);
        match head.compare_exchange_weak(newest, request.address(), Release, Relaxed) {
            Ok(_) => return,
            Err(now) => newest = now,
        }
    }
}

/// Takes all that is in the inbox `head`: the newest one's number, or 0.
pub fn take(head: &AtomicU64) -> u64 {
    head.swap(0, Acquire)
}
