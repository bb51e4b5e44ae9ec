//! Sets and removes nftables tables of [`FilterRule`]s, which accept, drop or translate
//! packets. `rule.rs` encodes a rule.

mod rule;

pub use rule::{FilterHook, FilterRule};

use drupe::{Error, Result};

use crate::Network;
use crate::netlink::{APPEND, Body, CREATE, Netlink};

/// `NFNL_SUBSYS_NFTABLES`, include/uapi/linux/netfilter/nfnetlink.h.
const NFTABLES: u16 = 10;
/// `NFT_MSG_*`, include/uapi/linux/netfilter/nf_tables.h.
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
/// `NFPROTO_INET`: IPv4 and IPv6.
const INET: u8 = 1;

impl Network {
    /// Makes an nftables table for IPv4 and IPv6 with these rules, or replaces the table
    /// of that name, atomically. At each hook, the first matching rule decides; packets
    /// that match none are accepted.
    ///
    /// Other tables decide too: a packet passes if all accept it.
    pub fn set_filter(&self, table: &str, rules: &[FilterRule]) -> Result<()> {
        let mut batch = vec![
            // So that there is one to delete.
            message(NEW_TABLE, CREATE, named(table)),
            message(DELETE_TABLE, 0, named(table)),
            message(NEW_TABLE, CREATE, named(table)),
        ];
        for hook in FilterHook::ALL {
            if rules.iter().any(|rule| rule.hook() == hook) {
                batch.push(message(NEW_CHAIN, CREATE, chain(table, hook)));
            }
        }
        for rule in rules {
            let mut body = body();
            body.put_str(1, table).put_str(2, rule.hook().name());
            rule.put(&mut body);
            let flags = CREATE | APPEND;
            batch.push(message(NEW_RULE, flags, body));
        }
        self.filter("set filter", table, &batch)
    }

    /// Removes a table; ENOENT if it does not exist.
    pub fn remove_filter(&self, table: &str) -> Result<()> {
        let batch = [message(DELETE_TABLE, 0, named(table))];
        self.filter("remove filter", table, &batch)
    }

    fn filter(
        &self,
        operation: &'static str,
        table: &str,
        batch: &[(u16, u16, Body)],
    ) -> Result<()> {
        let kernel = self.namespace().kernel();
        let open = || Netlink::new(&kernel, libc::NETLINK_NETFILTER);
        let done = self.namespace().run(open)?;
        done.and_then(|netlink| netlink.batch(NFTABLES, batch))
            .map_err(|e: Error| e.with_operation(operation).with_path(table))
    }
}

fn message(kind: u16, flags: u16, body: Body) -> (u16, u16, Body) {
    (NFTABLES << 8 | kind, flags, body)
}

/// `struct nfgenmsg`.
fn body() -> Body {
    Body::new(&[INET, 0, 0, 0])
}

/// A table by its name.
fn named(table: &str) -> Body {
    let mut body = body();
    body.put_str(1, table);
    body
}

/// A chain at a hook, which accepts packets that match no rule.
fn chain(table: &str, hook: FilterHook) -> Body {
    /// `NFTA_CHAIN_*`, `NFTA_HOOK_*`.
    const TABLE: u16 = 1;
    const NAME: u16 = 3;
    const HOOK: u16 = 4;
    const KIND: u16 = 7;
    let (number, priority) = hook.place();
    let mut body = body();
    body.put_str(TABLE, table).put_str(NAME, hook.name());
    body.nest(HOOK, |place| {
        place.put(1, &number.to_be_bytes());
        place.put(2, &priority.to_be_bytes());
    });
    body.put_str(KIND, if hook.translates() { "nat" } else { "filter" });
    body
}
