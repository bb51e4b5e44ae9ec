//! [`FilterRule`]: a rule for packets, encoded as expressions of nftables
//! (include/uapi/linux/netfilter/nf_tables.h), whose numbers are big-endian.

use std::net::SocketAddr;

use crate::Prefix;
use crate::netlink::Body;
use crate::prefix::{family, octets};

/// The point at which a rule sees packets (nft(8), hooks).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FilterHook {
    /// Packets to the kernel's own sockets.
    Input,
    /// Packets that are forwarded from one interface to another.
    Forward,
    /// Packets of the kernel's own sockets.
    Output,
    /// Received packets, before routing: [`FilterRule::redirect_to`].
    Prerouting,
    /// Packets that are about to be sent, after routing: [`FilterRule::masquerade`].
    Postrouting,
}

impl FilterHook {
    pub(super) const ALL: [FilterHook; 5] = [
        FilterHook::Input,
        FilterHook::Forward,
        FilterHook::Output,
        FilterHook::Prerouting,
        FilterHook::Postrouting,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            FilterHook::Input => "input",
            FilterHook::Forward => "forward",
            FilterHook::Output => "output",
            FilterHook::Prerouting => "prerouting",
            FilterHook::Postrouting => "postrouting",
        }
    }

    /// Its number (`NF_INET_*`), and the usual priority of its chains.
    pub(super) fn place(self) -> (u32, i32) {
        match self {
            FilterHook::Prerouting => (0, -100),
            FilterHook::Input => (1, 0),
            FilterHook::Forward => (2, 0),
            FilterHook::Output => (3, 0),
            FilterHook::Postrouting => (4, 100),
        }
    }

    /// Whether rules of this hook can translate addresses.
    pub(super) fn translates(self) -> bool {
        matches!(self, FilterHook::Prerouting | FilterHook::Postrouting)
    }
}

/// A rule of nftables: packets that match all its conditions are accepted, dropped,
/// rejected or translated. For [`Network::set_filter`](crate::Network::set_filter).
///
/// ```no_run
/// # use drupe_netadmin::{FilterHook, FilterRule, Network};
/// # fn f(network: &Network) -> drupe::Result<()> {
/// network.set_filter("router", &[
///     FilterRule::at(FilterHook::Input).established().accept(),
///     FilterRule::at(FilterHook::Input).from_interface("eth0").drop(),
///     FilterRule::at(FilterHook::Prerouting)
///         .tcp(80)
///         .redirect_to("10.0.0.2:8080".parse().unwrap()),
///     FilterRule::at(FilterHook::Postrouting).to_interface("eth0").masquerade(),
/// ])
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct FilterRule {
    hook: FilterHook,
    /// The conditions, tested in order.
    tests: Vec<Test>,
    verdict: Verdict,
}

#[derive(Debug, Clone)]
enum Test {
    /// `NFT_META_*` has this value.
    Meta(u32, Vec<u8>),
    /// The address at an offset in the IPv4 or IPv6 header is in a network.
    Network([u32; 2], Prefix),
    /// The port at an offset behind the IP header has this number.
    Port(u32, u16),
    /// The packet belongs, or is related, to an existing connection.
    Established,
}

#[derive(Debug, Clone)]
enum Verdict {
    Accept,
    Drop,
    Reject,
    Masquerade,
    Redirect(SocketAddr),
}

/// `NFT_META_*`.
const MARK: u32 = 3;
const INPUT_NAME: u32 = 6;
const OUTPUT_NAME: u32 = 7;
const FAMILY: u32 = 15;
const TRANSPORT: u32 = 16;
/// Registers: `NFT_REG_VERDICT`, `NFT_REG_1`, `NFT_REG_2`.
const VERDICT: u32 = 0;
const ONE: u32 = 1;
const TWO: u32 = 2;
/// `NFTA_DATA_VALUE`, `NFTA_DATA_VERDICT`.
const VALUE: u16 = 1;
const CODE: u16 = 2;
/// `NFT_PAYLOAD_NETWORK_HEADER`, `NFT_PAYLOAD_TRANSPORT_HEADER`.
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

impl FilterRule {
    /// A rule that accepts all packets at a hook. Other methods add conditions, or set
    /// another action.
    pub fn at(hook: FilterHook) -> FilterRule {
        FilterRule {
            hook,
            tests: Vec::new(),
            verdict: Verdict::Accept,
        }
    }

    pub(super) fn hook(&self) -> FilterHook {
        self.hook
    }

    fn when(mut self, test: Test) -> FilterRule {
        self.tests.push(test);
        self
    }

    /// Matches packets that were received on this interface.
    pub fn from_interface(self, name: &str) -> FilterRule {
        self.when(Test::Meta(INPUT_NAME, padded(name)))
    }

    /// Matches packets that are sent on this interface.
    pub fn to_interface(self, name: &str) -> FilterRule {
        self.when(Test::Meta(OUTPUT_NAME, padded(name)))
    }

    /// Matches packets from this network.
    pub fn from(self, network: Prefix) -> FilterRule {
        self.when(Test::Network([12, 8], network))
    }

    /// Matches packets to this network.
    pub fn to(self, network: Prefix) -> FilterRule {
        self.when(Test::Network([16, 24], network))
    }

    /// Matches packets to this TCP port.
    pub fn tcp(self, port: u16) -> FilterRule {
        self.transport(libc::IPPROTO_TCP).when(Test::Port(2, port))
    }

    /// Matches packets to this UDP port.
    pub fn udp(self, port: u16) -> FilterRule {
        self.transport(libc::IPPROTO_UDP).when(Test::Port(2, port))
    }

    /// Matches packets of this protocol over IP (`IPPROTO_*`).
    pub fn transport(self, protocol: i32) -> FilterRule {
        self.when(Test::Meta(TRANSPORT, vec![protocol as u8]))
    }

    /// Matches packets with this mark
    /// ([`Socket::set_mark`](drupe::net::Socket::set_mark)).
    pub fn mark(self, mark: u32) -> FilterRule {
        self.when(Test::Meta(MARK, mark.to_ne_bytes().to_vec()))
    }

    /// Matches packets of existing connections, and related ones such as ICMP errors.
    pub fn established(self) -> FilterRule {
        self.when(Test::Established)
    }

    /// Accepts the packets.
    pub fn accept(mut self) -> FilterRule {
        self.verdict = Verdict::Accept;
        self
    }

    /// Drops the packets silently.
    pub fn drop(mut self) -> FilterRule {
        self.verdict = Verdict::Drop;
        self
    }

    /// Rejects the packets with ICMP "port unreachable".
    pub fn reject(mut self) -> FilterRule {
        self.verdict = Verdict::Reject;
        self
    }

    /// Replaces the source address by that of the sending interface; answers are
    /// translated back. Only at [`FilterHook::Postrouting`].
    pub fn masquerade(mut self) -> FilterRule {
        self.verdict = Verdict::Masquerade;
        self
    }

    /// Redirects TCP or UDP packets of the same address family to this address and port.
    /// Only at [`FilterHook::Prerouting`].
    pub fn redirect_to(mut self, address: SocketAddr) -> FilterRule {
        self.verdict = Verdict::Redirect(address);
        self
    }

    /// Adds its expressions.
    pub(super) fn put(&self, body: &mut Body) {
        /// `NFTA_RULE_EXPRESSIONS`.
        const EXPRESSIONS: u16 = 4;
        body.nest(EXPRESSIONS, |list| {
            if let Verdict::Redirect(to) = self.verdict {
                Test::Meta(FAMILY, vec![family(to.ip())]).put(list);
            }
            for test in &self.tests {
                test.put(list);
            }
            self.verdict.put(list);
        });
    }
}

/// An interface's name, padded as the kernel compares it. Empty if it is too long.
fn padded(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(bytes.len().max(16), 0);
    bytes
}

/// One expression: its name, and attributes.
fn expression(list: &mut Body, name: &str, put: impl FnOnce(&mut Body)) {
    list.nest(1, |element| {
        element.put_str(1, name);
        element.nest(2, put);
    });
}

fn word(body: &mut Body, kind: u16, word: u32) {
    body.put(kind, &word.to_be_bytes());
}

fn value(body: &mut Body, kind: u16, value: &[u8]) {
    body.nest(kind, |data| {
        data.put(VALUE, value);
    });
}

/// Compares the first register with a value: equal or not equal.
fn compare(list: &mut Body, equal: bool, with: &[u8]) {
    expression(list, "cmp", |compare| {
        word(compare, 1, ONE);
        word(compare, 2, (!equal).into());
        value(compare, 3, with);
    });
}

/// Loads bytes of a header into the first register.
fn payload(list: &mut Body, base: u32, offset: u32, len: u32) {
    expression(list, "payload", |payload| {
        word(payload, 1, ONE);
        word(payload, 2, base);
        word(payload, 3, offset);
        word(payload, 4, len);
    });
}

/// Masks the first register with these bits.
fn mask(list: &mut Body, bits: &[u8]) {
    expression(list, "bitwise", |bitwise| {
        word(bitwise, 1, ONE);
        word(bitwise, 2, ONE);
        word(bitwise, 3, bits.len() as u32);
        value(bitwise, 4, bits);
        value(bitwise, 5, &vec![0; bits.len()]);
    });
}

impl Test {
    fn put(&self, list: &mut Body) {
        match self {
            Test::Meta(key, with) => {
                expression(list, "meta", |meta| {
                    word(meta, 1, ONE);
                    word(meta, 2, *key);
                });
                compare(list, true, with);
            }
            Test::Network([v4, v6], network) => {
                let protocol = family(network.address);
                Test::Meta(FAMILY, vec![protocol]).put(list);
                let bytes = octets(network.address);
                let bits = bits(network.len, bytes.len());
                let offset = if network.address.is_ipv4() { v4 } else { v6 };
                payload(list, NETWORK_HEADER, *offset, bytes.len() as u32);
                mask(list, &bits);
                let own = bytes.iter().zip(&bits).map(|(byte, bit)| byte & bit);
                compare(list, true, &own.collect::<Vec<u8>>());
            }
            Test::Port(offset, port) => {
                payload(list, TRANSPORT_HEADER, *offset, 2);
                compare(list, true, &port.to_be_bytes());
            }
            Test::Established => {
                /// `NF_CT_STATE_BIT` of `IP_CT_ESTABLISHED` and `IP_CT_RELATED`.
                const STATES: u32 = 2 | 4;
                // NFTA_CT_DREG, NFTA_CT_KEY: NFT_CT_STATE.
                expression(list, "ct", |state| {
                    word(state, 1, ONE);
                    word(state, 2, 0);
                });
                mask(list, &STATES.to_ne_bytes());
                compare(list, false, &[0; 4]);
            }
        }
    }
}

/// A mask whose first `len` bits are set.
fn bits(len: u8, bytes: usize) -> Vec<u8> {
    let bits = (0..bytes).map(|byte| {
        let left = usize::from(len).saturating_sub(byte * 8).min(8);
        !(0xff_u16 >> left) as u8
    });
    bits.collect()
}

impl Verdict {
    fn put(&self, list: &mut Body) {
        match self {
            Verdict::Drop => verdict(list, 0),
            Verdict::Accept => verdict(list, 1),
            // NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_PORT_UNREACH.
            Verdict::Reject => expression(list, "reject", |reject| {
                word(reject, 1, 2);
                reject.put_u8(2, 1);
            }),
            Verdict::Masquerade => expression(list, "masq", |_| {}),
            Verdict::Redirect(to) => {
                immediate(list, ONE, &octets(to.ip()));
                immediate(list, TWO, &to.port().to_be_bytes());
                // NFT_NAT_DNAT, the family, registers.
                expression(list, "nat", |nat| {
                    word(nat, 1, 1);
                    word(nat, 2, family(to.ip()).into());
                    word(nat, 3, ONE);
                    word(nat, 5, TWO);
                });
            }
        }
    }
}

/// `NF_DROP` or `NF_ACCEPT`.
fn verdict(list: &mut Body, code: u32) {
    expression(list, "immediate", |immediate| {
        word(immediate, 1, VERDICT);
        immediate.nest(2, |data| {
            data.nest(CODE, |verdict| word(verdict, 1, code));
        });
    });
}

fn immediate(list: &mut Body, register: u32, with: &[u8]) {
    expression(list, "immediate", |immediate| {
        word(immediate, 1, register);
        value(immediate, 2, with);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_as_many_bits() {
        assert_eq!(bits(0, 4), [0; 4]);
        assert_eq!(bits(20, 4), [255, 255, 0xf0, 0]);
        assert_eq!(bits(32, 4), [255; 4]);
    }
}
