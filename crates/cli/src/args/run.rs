//! Options of `run`.

use std::ffi::OsString;
use std::net::IpAddr;

use clap::Args as ClapArgs;
use drupe_links::LinkSpec;

pub(crate) const RUN: &str = "\
Run a program whose network is a kernel's in this process

The program is run as it is. Its network sockets are those of a Linux kernel of \
its own, with the interfaces that are named here and no others; its files are the \
host's. No root is needed.";

pub(crate) const RUN_NOTES: &str = "\
Without --link there is the loopback interface alone. Programs that the program
starts share the network; all of them are killed when it ends. What was written
to a connection before is delivered first. The exit code is the program's,
128 + N if signal N has killed it, 127 if there is no such program, 126 if it
cannot be run, and 125 if its network cannot be set up. `drupe run ip addr` shows
the interfaces; ss, nft, tc and sysctls with --sysctl arrange the rest.

What does not work:
  set-user-ID programs run without those rights (no_new_privs): sudo, and ping
    if it is one of them
  32-bit programs and io_uring find that the host's kernel lacks the calls
  /proc/net, /proc/sys/net and /sys/class/net are the host's; Unix sockets too
  packet sockets have no rings (tcpdump of libpcap 1.10 wants one); no
    MSG_ZEROCOPY, no TCP Fast Open of the client, no urgent data, no BPF programs
    on sockets but classic filters
  drupe run within drupe run, and other programs that take over system calls of
    their own with seccomp's listener
  the sockets of a program that its user may run and not read fail

Names are resolved as /etc/resolv.conf says, over this network.";

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// Add a network interface, eth0 and so on, that LINK connects (can be repeated)
    ///
    /// LINK is tap[:NAME], passt[:SOCKET], packet:INTERFACE, fd:NUMBER, switch[:NAME]
    /// or pcap:FILE. With +pcap=FILE behind it, all that goes over the link is
    /// recorded.
    #[arg(long, value_name = "LINK")]
    pub(crate) link: Vec<LinkSpec>,

    /// Give the preceding link ADDRESS (can be repeated)
    ///
    /// ADDRESS/LENGTH, or `dhcp`, which also sets the gateway.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) ip: Vec<String>,

    /// Send packets for other networks to ADDRESS
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) gateway: Vec<IpAddr>,

    /// Set a sysctl of the kernel, such as net.ipv4.tcp_congestion_control=bbr
    #[arg(long, value_name = "KEY=VALUE", value_parser = sysctl)]
    pub(crate) sysctl: Vec<(String, String)>,

    /// Program to run, and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "PROGRAM"
    )]
    pub(crate) program: Vec<OsString>,
}

/// In the place of an address.
pub(crate) const DHCP: &str = "dhcp";

/// Parses "10.0.0.2/24", or "dhcp".
fn address(text: &str) -> Result<String, String> {
    if text == DHCP {
        return Ok(text.to_owned());
    }
    let wrong = "is not an address with its length: 10.0.0.2/24, fd00::2/64; nor dhcp";
    let (address, len) = text.split_once('/').ok_or(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong)?;
    let len: u8 = len.parse().map_err(|_| wrong)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    match len <= most {
        true => Ok(text.to_owned()),
        false => Err(format!("the length is at most {most}")),
    }
}

/// Parses "key=value".
fn sysctl(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("is not KEY=VALUE: net.ipv4.ip_forward=1".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_length() {
        for right in ["dhcp", "10.0.0.2/24", "fd00::2/64", "0.0.0.0/0"] {
            assert_eq!(address(right).as_deref(), Ok(right));
        }
        for wrong in ["", "10.0.0.2", "10.0.0/24", "10.0.0.2/33", "::/129", "a/1"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn settings_have_a_value() {
        let set = ("a.b".to_owned(), "1 2=3".to_owned());
        assert_eq!(sysctl("a.b=1 2=3"), Ok(set));
        assert!(sysctl("a.b").is_err());
        assert!(sysctl("=1").is_err());
    }
}
