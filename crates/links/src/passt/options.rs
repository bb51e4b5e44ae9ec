//! [`PasstOptions`]: how passt is started.

use std::ffi::OsString;
use std::path::PathBuf;

/// How passt is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasstOptions {
    /// The program; `passt` of the search path unless set.
    pub program: PathBuf,
    /// TCP ports of the host that lead to the kernel, as `passt --tcp-ports`
    /// takes them: `8080:80`, `127.0.0.1/2222:22`. None unless set.
    pub tcp_ports: Vec<String>,
    /// The same for UDP.
    pub udp_ports: Vec<String>,
    /// Further arguments.
    pub arguments: Vec<OsString>,
}

impl Default for PasstOptions {
    fn default() -> PasstOptions {
        PasstOptions {
            program: "passt".into(),
            tcp_ports: Vec::new(),
            udp_ports: Vec::new(),
            arguments: Vec::new(),
        }
    }
}

impl PasstOptions {
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let ports = |option: &str, ports: &[String]| -> Vec<OsString> {
            let pairs = ports.iter().map(|spec| [option.into(), spec.into()]);
            pairs.flatten().collect()
        };
        let mut all = ports("--tcp-ports", &self.tcp_ports);
        all.extend(ports("--udp-ports", &self.udp_ports));
        all.extend(self.arguments.iter().cloned());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_become_arguments() {
        let options = PasstOptions {
            tcp_ports: vec!["22".into(), "8080:80".into()],
            udp_ports: vec!["53".into()],
            arguments: vec!["--ipv4-only".into()],
            ..PasstOptions::default()
        };
        let arguments = options.arguments().join(std::ffi::OsStr::new(" "));
        let expected = "--tcp-ports 22 --tcp-ports 8080:80 --udp-ports 53 --ipv4-only";
        assert_eq!(arguments, expected);
    }
}
