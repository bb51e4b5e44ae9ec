//! [`LinkSpec`]: a link's name on a command line, parsed; [`Opener`] opens it.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use drupe_host::link::Link;

use crate::{
    Error, Pace, PacketSocket, Passt, PasstOptions, Pcap, PortOptions, Replay, Result, Switch, Tap,
    sys,
};

const KINDS: &str = "tap[:NAME], passt[:SOCKET], packet:INTERFACE, fd:NUMBER, pcap:FILE, \
                     switch[:NAME], and +pcap=FILE behind any of them";

/// The name of a link on a command line.
///
/// | Text | Link |
/// | --- | --- |
/// | `tap`, `tap:NAME` | [`Tap::open`] |
/// | `passt`, `passt:SOCKET` | [`Passt::spawn`], [`Passt::connect`] |
/// | `packet:INTERFACE` | [`PacketSocket::open`] |
/// | `fd:NUMBER` | a descriptor of a tap, or of a stream socket to passt |
/// | `pcap:FILE` | [`Replay`], as fast as the kernel takes it |
/// | `switch`, `switch:NAME` | a port of the switch of that name in this process |
///
/// `+pcap=FILE` behind it records its frames ([`Pcap`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSpec {
    kind: Kind,
    record: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Tap(Option<String>),
    Passt(Option<PathBuf>),
    Packet(String),
    Descriptor(i32),
    Replay(PathBuf),
    Switch(String),
}

impl FromStr for LinkSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<LinkSpec> {
        let wrong = |why: &str| Error::Spec {
            text: text.to_owned(),
            why: why.to_owned(),
        };
        let (link, record) = match text.split_once("+pcap=") {
            Some((_, "")) => return Err(wrong("a file is missing: +pcap=FILE")),
            Some((link, file)) => (link, Some(file.into())),
            None => (text, None),
        };
        let (kind, argument) = match link.split_once(':') {
            Some((_, "")) => return Err(wrong("there is nothing behind the colon")),
            Some((kind, argument)) => (kind, Some(argument)),
            None => (link, None),
        };
        let kind = match (kind, argument) {
            ("tap", name) => Kind::Tap(name.map(String::from)),
            ("passt", socket) => Kind::Passt(socket.map(PathBuf::from)),
            ("packet", Some(interface)) => Kind::Packet(interface.into()),
            ("packet", None) => return Err(wrong("say which: packet:INTERFACE")),
            ("fd", Some(number)) => match number.parse() {
                Ok(number @ 0..) => Kind::Descriptor(number),
                _ => return Err(wrong("a descriptor is a number: fd:3")),
            },
            ("fd", None) => return Err(wrong("say which: fd:3")),
            ("pcap", Some(file)) => Kind::Replay(file.into()),
            ("pcap", None) => return Err(wrong("say which: pcap:FILE")),
            ("switch", name) => Kind::Switch(name.unwrap_or_default().into()),
            _ => return Err(wrong(&format!("no such kind; there are {KINDS}"))),
        };
        Ok(LinkSpec { kind, record })
    }
}

/// Opens links by their [`LinkSpec`]. It keeps the switches by name: links to the same
/// name are joined.
#[derive(Debug, Default)]
pub struct Opener {
    /// How passt is started.
    pub passt: PasstOptions,
    switches: HashMap<String, Switch>,
}

impl Opener {
    /// An opener without switches.
    pub fn new() -> Opener {
        Opener::default()
    }

    /// Opens the link.
    ///
    /// # Errors
    ///
    /// Those of its kind; [`Error::Host`] for a file that cannot be opened.
    pub fn open(&mut self, spec: &LinkSpec) -> Result<Arc<dyn Link>> {
        let link: Arc<dyn Link> = match &spec.kind {
            Kind::Tap(name) => Arc::new(Tap::open(name.as_deref())?),
            Kind::Passt(None) => Arc::new(Passt::spawn(&self.passt)?),
            Kind::Passt(Some(socket)) => Arc::new(Passt::connect(socket)?),
            Kind::Packet(interface) => Arc::new(PacketSocket::open(interface)?),
            Kind::Descriptor(number) => descriptor(*number)?,
            Kind::Replay(path) => {
                let file = File::open(path)
                    .map_err(|error| Error::host(path.display().to_string(), error))?;
                Arc::new(Replay::new(file, Pace::Fast)?)
            }
            Kind::Switch(name) => {
                let switch = self.switches.entry(name.clone()).or_default();
                Arc::new(switch.port(PortOptions::default()))
            }
        };
        let Some(path) = &spec.record else {
            return Ok(link);
        };
        let file = File::create(path);
        let file = file.map_err(|error| Error::host(path.display().to_string(), error))?;
        Ok(Arc::new(Pcap::record(link, file)?))
    }
}

/// The link of an inherited descriptor, which stays open.
fn descriptor(number: i32) -> Result<Arc<dyn Link>> {
    let wrong = |error: std::io::Error| Error::Descriptor {
        fd: number,
        why: format!("{error}; open it in the program that starts this one"),
    };
    let fd = sys::duplicate(number).map_err(wrong)?;
    let socket = rustix::net::sockopt::socket_type(&fd);
    match socket {
        Ok(rustix::net::SocketType::STREAM) => Ok(Arc::new(Passt::from_socket(fd)?)),
        Ok(_) => Err(Error::Descriptor {
            fd: number,
            why: "not a stream socket; passt's protocol needs one".into(),
        }),
        Err(_) => Ok(Arc::new(Tap::from_fd(fd)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> LinkSpec {
        text.parse().unwrap()
    }

    #[test]
    fn links_by_their_names() {
        for (text, kind) in [
            ("tap", Kind::Tap(None)),
            ("tap:tap7", Kind::Tap(Some("tap7".into()))),
            ("passt", Kind::Passt(None)),
            ("passt:/a:b", Kind::Passt(Some("/a:b".into()))),
            ("packet:eth0", Kind::Packet("eth0".into())),
            ("fd:3", Kind::Descriptor(3)),
            ("pcap:a.pcap", Kind::Replay("a.pcap".into())),
            ("switch", Kind::Switch(String::new())),
            ("switch:lan", Kind::Switch("lan".into())),
        ] {
            let record = None;
            assert_eq!(parse(text), LinkSpec { kind, record }, "{text}");
        }
        let recorded = LinkSpec {
            kind: Kind::Tap(Some("t+0".into())),
            record: Some("x+y.pcap".into()),
        };
        assert_eq!(parse("tap:t+0+pcap=x+y.pcap"), recorded);
    }

    #[test]
    fn wrong_names_say_why() {
        for (text, why) in [
            ("", "no such kind"),
            ("veth:a", "there are tap[:NAME], passt"),
            ("tap:", "behind the colon"),
            ("packet", "packet:INTERFACE"),
            ("fd", "fd:3"),
            ("fd:x", "a number"),
            ("fd:-1", "a number"),
            ("pcap", "pcap:FILE"),
            ("tap+pcap=", "a file is missing"),
        ] {
            let said = LinkSpec::from_str(text).unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
            assert!(said.starts_with(&format!("link {text:?}: ")), "{said}");
        }
    }

    #[test]
    fn what_cannot_be_opened_says_why() {
        let mut opener = Opener::new();
        opener.passt.program = "/no/such/passt".into();
        for (text, why) in [
            ("fd:999", "descriptor 999: Bad file descriptor"),
            ("pcap:/no/such", "/no/such: No such file"),
            ("passt:/no/such", "passt socket /no/such: "),
            ("passt", "/no/such/passt (Debian: package passt): "),
            ("packet:nosuch0", "interface \"nosuch0\": "),
            ("switch+pcap=/no/such", "/no/such: No such file"),
        ] {
            let said = opener.open(&parse(text)).err().unwrap().to_string();
            assert!(said.starts_with(why), "{text}: {said}");
        }
    }

    #[test]
    fn a_switch_is_one_by_its_name() {
        use crate::Station;
        use std::time::Duration;

        let mut opener = Opener::new();
        let mut open = |text| Station::new(opener.open(&parse(text)).unwrap());
        let [a, b, c] = ["switch:x", "switch:x", "switch:y"].map(&mut open);
        assert!(a.send(&[0xff; 60]));
        assert!(b.receive(Duration::from_secs(9)).unwrap().is_some());
        assert!(c.try_receive().unwrap().is_none());
    }

    #[test]
    fn descriptors_of_sockets() {
        use std::os::fd::AsRawFd;
        use std::os::unix::net::{UnixDatagram, UnixStream};

        let (stream, _other) = UnixStream::pair().unwrap();
        let link = descriptor(stream.as_raw_fd()).unwrap();
        assert_eq!(link.info().mtu, 65_520);
        let datagrams = UnixDatagram::unbound().unwrap();
        let said = descriptor(datagrams.as_raw_fd()).err().unwrap();
        assert!(said.to_string().contains("not a stream socket"), "{said}");
    }
}
