//! [`Neighbour`]: an entry of the neighbour table, the hardware address of an IP address.

use std::net::IpAddr;

use drupe::Result;

use crate::Network;
use crate::netlink::{Attributes, Body, CREATE, REPLACE};
use crate::prefix::{address_of, family, octets};

/// An entry of the neighbour table, as ip-neighbour(8) has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the interface.
    pub interface: u32,
    /// The IP address.
    pub address: IpAddr,
    /// The hardware address, if it is known.
    pub mac: Option<Vec<u8>>,
    /// `NUD_*`. `libc::NUD_PERMANENT`: the entry stays, without ARP or neighbour
    /// discovery.
    pub state: u16,
}

impl Neighbour {
    /// A permanent entry.
    pub fn permanent(interface: u32, address: impl Into<IpAddr>, mac: [u8; 6]) -> Neighbour {
        Neighbour {
            interface,
            address: address.into(),
            mac: Some(mac.to_vec()),
            state: libc::NUD_PERMANENT,
        }
    }

    fn body(&self) -> Body {
        // struct ndmsg: family, padding, index, state, flags, type.
        let mut header = [0; 12];
        header[0] = family(self.address);
        header[4..8].copy_from_slice(&self.interface.to_ne_bytes());
        header[8..10].copy_from_slice(&self.state.to_ne_bytes());
        let mut body = Body::new(&header);
        body.put(libc::NDA_DST, &octets(self.address));
        if let Some(mac) = &self.mac {
            body.put(libc::NDA_LLADDR, mac);
        }
        body
    }

    fn parse(payload: &[u8]) -> Option<Neighbour> {
        let header: &[u8; 12] = payload.first_chunk()?;
        let attributes = Attributes::behind(12, payload);
        let mac = attributes.clone().find(libc::NDA_LLADDR);
        Some(Neighbour {
            interface: u32::from_ne_bytes(header[4..8].try_into().ok()?),
            address: address_of(&attributes, libc::NDA_DST)?,
            mac: mac.map(|mac| mac.value.to_vec()),
            state: u16::from_ne_bytes([header[8], header[9]]),
        })
    }
}

impl Network {
    /// All entries of the neighbour tables.
    pub fn neighbours(&self) -> Result<Vec<Neighbour>> {
        let all = self.all("neighbours", libc::RTM_GETNEIGH, &Body::new(&[0; 12]))?;
        Ok(all
            .iter()
            .filter_map(|message| Neighbour::parse(&message.payload))
            .collect())
    }

    /// Adds or changes an entry.
    pub fn set_neighbour(&self, neighbour: &Neighbour) -> Result<()> {
        let flags = CREATE | REPLACE;
        let body = neighbour.body();
        self.change("set neighbour", libc::RTM_NEWNEIGH, flags, &body)
    }

    /// Removes an entry; ENOENT if there is none.
    pub fn remove_neighbour(&self, neighbour: &Neighbour) -> Result<()> {
        let body = neighbour.body();
        self.change("remove neighbour", libc::RTM_DELNEIGH, 0, &body)
    }
}
