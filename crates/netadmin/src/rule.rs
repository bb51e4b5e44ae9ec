//! [`Rule`]: a routing policy rule, which selects the routing table for packets.

use drupe::Result;

use crate::netlink::{Attributes, Body, CREATE, EXCLUSIVE};
use crate::prefix::{address, octets};
use crate::{Network, Prefix};

/// A rule of the routing policy, as in ip-rule(8): packets that match all conditions are
/// routed by its table. Rules are applied in the order of their priorities, the lowest
/// number first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct Rule {
    /// Whether the rule is for IPv6, not IPv4.
    pub v6: bool,
    /// Its priority. `None`: the kernel chooses a lower number than those of all rules
    /// but the first.
    pub priority: Option<u32>,
    /// The packets' source address.
    pub from: Option<Prefix>,
    /// The packets' destination address.
    pub to: Option<Prefix>,
    /// Name of the interface that received the packets; "lo": the kernel's own packets.
    pub input: Option<String>,
    /// Name of the interface to which the packets' socket is bound.
    pub output: Option<String>,
    /// The packets' mark, and the mask of the bits to compare.
    pub mark: Option<(u32, u32)>,
    /// The table; 0 if the rule has another action.
    pub table: u32,
}

/// `FRA_*`, include/uapi/linux/fib_rules.h.
const DST: u16 = 1;
const SRC: u16 = 2;
const IIFNAME: u16 = 3;
const PRIORITY: u16 = 6;
const FWMARK: u16 = 10;
const TABLE: u16 = 15;
const FWMASK: u16 = 16;
const OIFNAME: u16 = 17;
/// `FR_ACT_TO_TBL`.
const TO_TABLE: u8 = 1;

impl Rule {
    /// A rule that routes all IPv4 packets by this table.
    pub fn table(table: u32) -> Rule {
        Rule {
            v6: false,
            priority: None,
            from: None,
            to: None,
            input: None,
            output: None,
            mark: None,
            table,
        }
    }

    /// Makes it a rule for IPv6. An IPv6 address in it does so too.
    pub fn v6(mut self) -> Rule {
        self.v6 = true;
        self
    }

    /// Sets its priority.
    pub fn priority(mut self, priority: u32) -> Rule {
        self.priority = Some(priority);
        self
    }

    /// Matches packets from this network.
    pub fn from(mut self, from: Prefix) -> Rule {
        self.v6 = from.address.is_ipv6();
        self.from = Some(from);
        self
    }

    /// Matches packets to this network.
    pub fn to(mut self, to: Prefix) -> Rule {
        self.v6 = to.address.is_ipv6();
        self.to = Some(to);
        self
    }

    /// Matches packets that were received on this interface.
    pub fn input(mut self, interface: &str) -> Rule {
        self.input = Some(interface.to_owned());
        self
    }

    /// Matches packets of sockets that are bound to this interface.
    pub fn output(mut self, interface: &str) -> Rule {
        self.output = Some(interface.to_owned());
        self
    }

    /// Matches packets with this mark
    /// ([`Socket::set_mark`](drupe::net::Socket::set_mark)).
    pub fn mark(mut self, mark: u32) -> Rule {
        self.mark = Some((mark, u32::MAX));
        self
    }

    fn body(&self) -> Body {
        let family = if self.v6 {
            libc::AF_INET6
        } else {
            libc::AF_INET
        };
        let len = |prefix: Option<Prefix>| prefix.map_or(0, |prefix| prefix.len);
        let small = u8::try_from(self.table).unwrap_or(0);
        // struct fib_rule_hdr: family, lengths, service, table, two reserved,
        // action, flags.
        let mut header = [0; 12];
        header[..3].copy_from_slice(&[family as u8, len(self.to), len(self.from)]);
        (header[4], header[7]) = (small, TO_TABLE);
        let mut body = Body::new(&header);
        body.put_u32(TABLE, self.table);
        if let Some(to) = self.to {
            body.put(DST, &octets(to.address));
        }
        if let Some(from) = self.from {
            body.put(SRC, &octets(from.address));
        }
        if let Some(input) = &self.input {
            body.put_str(IIFNAME, input);
        }
        if let Some(output) = &self.output {
            body.put_str(OIFNAME, output);
        }
        if let Some(priority) = self.priority {
            body.put_u32(PRIORITY, priority);
        }
        if let Some((mark, mask)) = self.mark {
            body.put_u32(FWMARK, mark).put_u32(FWMASK, mask);
        }
        body
    }

    fn parse(payload: &[u8]) -> Option<Rule> {
        let header: &[u8; 12] = payload.first_chunk()?;
        let attributes = Attributes::behind(12, payload);
        let find = |kind| attributes.clone().find(kind);
        let prefix = |kind, len| {
            let address = address(find(kind)?.value)?;
            Some(Prefix { address, len })
        };
        Some(Rule {
            v6: i32::from(header[0]) == libc::AF_INET6,
            // The kernel does not mention 0.
            priority: Some(find(PRIORITY).map_or(0, |priority| priority.u32())),
            from: prefix(SRC, header[2]),
            to: prefix(DST, header[1]),
            input: find(IIFNAME).map(|name| name.text()),
            output: find(OIFNAME).map(|name| name.text()),
            mark: find(FWMARK).map(|mark| {
                let mask = find(FWMASK).map_or(u32::MAX, |mask| mask.u32());
                (mark.u32(), mask)
            }),
            table: find(TABLE).map_or(header[4].into(), |table| table.u32()),
        })
    }
}

impl Network {
    /// Adds a rule; EEXIST if it exists.
    pub fn add_rule(&self, rule: &Rule) -> Result<()> {
        let flags = CREATE | EXCLUSIVE;
        self.change("add rule", libc::RTM_NEWRULE, flags, &rule.body())
    }

    /// Removes a rule; ENOENT if it does not exist.
    pub fn remove_rule(&self, rule: &Rule) -> Result<()> {
        self.change("remove rule", libc::RTM_DELRULE, 0, &rule.body())
    }

    /// The rules of IPv4 and IPv6.
    pub fn rules(&self) -> Result<Vec<Rule>> {
        let mut rules = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let mut header = [0; 12];
            header[0] = family as u8;
            let all = self.all("rules", libc::RTM_GETRULE, &Body::new(&header))?;
            let parsed = all
                .iter()
                .filter_map(|message| Rule::parse(&message.payload));
            rules.extend(parsed);
        }
        Ok(rules)
    }
}
