//! [`PasstOptions`]: the options with which passt is started.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// The options with which passt is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasstOptions {
    /// The program. Default: `passt` in the search path.
    pub program: PathBuf,
    /// The kernel's address that DHCP offers, in a network of 24 bits. Default:
    /// 10.0.2.15, as with QEMU. `None`: the host's address.
    pub address: Option<Ipv4Addr>,
    /// The gateway that DHCP offers, at which the kernel reaches the host. Default:
    /// 10.0.2.2. `None`: the host's gateway.
    pub gateway: Option<Ipv4Addr>,
    /// TCP ports of the host that are forwarded to the kernel, as for `passt
    /// --tcp-ports`: `8080:80`, `127.0.0.1/2222:22`. Default: none.
    pub tcp_ports: Vec<String>,
    /// UDP ports of the host that are forwarded to the kernel, likewise.
    pub udp_ports: Vec<String>,
    /// Further arguments of passt.
    pub arguments: Vec<OsString>,
}

impl Default for PasstOptions {
    fn default() -> PasstOptions {
        PasstOptions {
            program: "passt".into(),
            address: Some(Ipv4Addr::new(10, 0, 2, 15)),
            gateway: Some(Ipv4Addr::new(10, 0, 2, 2)),
            tcp_ports: Vec::new(),
            udp_ports: Vec::new(),
            arguments: Vec::new(),
        }
    }
}

impl PasstOptions {
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut all: Vec<OsString> = Vec::new();
        let mut add = |option: &str, value: &str| all.extend([option.into(), value.into()]);
        if let Some(address) = self.address {
            add("--address", &address.to_string());
            add("--netmask", "24");
        }
        if let Some(gateway) = self.gateway {
            add("--gateway", &gateway.to_string());
        }
        self.tcp_ports
            .iter()
            .for_each(|ports| add("--tcp-ports", ports));
        self.udp_ports
            .iter()
            .for_each(|ports| add("--udp-ports", ports));
        all.extend(self.arguments.iter().cloned());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(options: &PasstOptions) -> OsString {
        options.arguments().join(std::ffi::OsStr::new(" "))
    }

    #[test]
    fn options_become_arguments() {
        let mut options = PasstOptions {
            tcp_ports: vec!["22".into(), "8080:80".into()],
            udp_ports: vec!["53".into()],
            arguments: vec!["--ipv4-only".into()],
            address: None,
            ..PasstOptions::default()
        };
        let expected = "--gateway 10.0.2.2 --tcp-ports 22 --tcp-ports 8080:80 --udp-ports 53 \
                        --ipv4-only";
        assert_eq!(joined(&options), expected);
        options.gateway = None;
        options.address = Some(Ipv4Addr::new(10, 1, 1, 2));
        assert!(
            joined(&options)
                .into_string()
                .unwrap()
                .starts_with("--address 10.1.1.2 --netmask 24 --tcp-ports 22")
        );
    }
}
