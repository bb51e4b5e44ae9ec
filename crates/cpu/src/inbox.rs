//! Requests that threads post to a kernel without holding its CPU.
//!
//! # States
//!
//! The head is the address of the newest request, or 0; each request has a link
//! to the next older one.
//!
//! # Who may touch what
//!
//! A request belongs to its poster until [`post`] has put it into the list. The holder of
//! the CPU takes the whole list at once ([`take`]; in a kernel, the image does the same),
//! and then owns all requests and their links. Single requests are never taken, so there
//! is no ABA problem.
//!
//! # Memory orders
//!
//! The compare-exchange of `post` is a Release that pairs with the Acquire of `take`: the
//! taker of a request sees what its poster wrote into it, including the link. This holds
//! for older requests of the list too: later compare-exchanges belong to the release
//! sequence of earlier ones.
//!
//! # Races considered
//!
//! A poster puts its request into the list *before* it posts the interrupt that tells of
//! it ([`Baton::post_irq`](crate::Baton::post_irq)), and the kernel takes the interrupt
//! before the list. So the handler of that interrupt finds the request, unless an earlier
//! one has taken it.
//!
//! # Shutdown
//!
//! A kernel that has ended takes nothing more. Its remaining requests are not handled
//! here: each poster abandons its own (`completion.rs`).

use crate::sync::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// A request that can be put into an inbox.
pub trait Post {
    /// The request's address, or in models another unique number. Never 0.
    fn address(&self) -> u64;
    /// The link: the address of the next older request, or 0. It belongs to the list
    /// while the request is in it.
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

/// Takes all requests out of the inbox `head`. Returns the address of the newest, or 0.
pub fn take(head: &AtomicU64) -> u64 {
    head.swap(0, Acquire)
}
