//! WireGuard between two namespaces.

use std::net::SocketAddr;
use std::time::Duration;

use drupe::Errno;
use drupe::net::{Namespace, TcpStream};
use drupe_netadmin::{Interface, NetworkExt, NewLink, WireGuard, WireGuardKey, WireGuardPeer};

use crate::lab::{Outcome, join, kernel, transfer};

fn tunnel(namespace: &Namespace, address: &str) -> drupe::Result<Interface> {
    let wg = namespace.network()?.create("wg0", &NewLink::WireGuard)?;
    wg.add_address(address)?;
    wg.set_up()?;
    Ok(wg)
}

#[test]
fn a_tunnel_that_only_keys_open() -> Outcome {
    let kernel = kernel()?;
    let (one, other) = (Namespace::new(&kernel)?, Namespace::new(&kernel)?);
    let [wire, _] = join(&one, &other, "eth0", ["10.0.0.1/24", "10.0.0.2/24"])?;
    let (here, there) = (tunnel(&one, "10.7.0.1/24")?, tunnel(&other, "10.7.0.2/24")?);
    // The interfaces work out the public keys.
    here.set_wireguard(&WireGuard::new([1; 32]))?;
    there.set_wireguard(&WireGuard::new([2; 32]).listen_port(51820))?;
    let (here_key, there_key) = (here.wireguard()?.public_key, there.wireguard()?.public_key);
    let (here_key, there_key) = (here_key.ok_or("no key")?, there_key.ok_or("no key")?);
    assert_ne!(here_key, there_key);
    assert_eq!(there.wireguard()?.listen_port, 51820);

    let endpoint: SocketAddr = "10.0.0.2:51820".parse()?;
    let secret = WireGuardKey::new([3; 32]);
    // The one who listens first: the other one begins at once, and tries again
    // after five seconds only.
    let peer = WireGuardPeer::new(here_key.clone())
        .preshared_key(secret.clone())
        .allowed_ip("10.7.0.1/32".parse()?);
    there.set_wireguard(&WireGuard::new([2; 32]).listen_port(51820).peer(peer))?;
    let peer = WireGuardPeer::new(there_key.clone())
        .preshared_key(secret)
        .endpoint(endpoint)
        .keepalive(Duration::from_secs(25))
        .allowed_ip("10.7.0.2/32".parse()?)
        .allowed_ip("fd07::/64".parse()?);
    here.set_wireguard(&WireGuard::new([1; 32]).peer(peer))?;

    transfer(&one, &other, "10.7.0.2:80", 1 << 20)?;
    let info = here.wireguard()?;
    let peer = &info.peers[0];
    assert_eq!(peer.public_key, there_key);
    assert_eq!(peer.endpoint, Some(endpoint));
    assert!(peer.last_handshake.is_some());
    assert!(peer.tx_bytes >= 1 << 20 && peer.rx_bytes >= 1 << 20);
    let allowed: Vec<String> = peer.allowed_ips.iter().map(|p| p.to_string()).collect();
    assert_eq!(allowed, ["10.7.0.2/32", "fd07::/64"]);
    // Where it was heard from is known there.
    let peer = &there.wireguard()?.peers[0];
    assert_eq!(peer.endpoint.map(|e| e.ip()), Some([10, 0, 0, 1].into()));
    // It went over the wire, as something else.
    assert!(wire.info()?.tx_bytes >= 1 << 20);
    // Nobody has that address.
    let connect = || TcpStream::connect(&kernel, "10.7.0.3:80");
    let error = one.run(connect)?.unwrap_err();
    assert_eq!(error.errno(), Some(Errno::HOSTUNREACH));
    Ok(())
}

#[test]
fn many_peers_with_many_addresses() -> Outcome {
    let kernel = kernel()?;
    let wg = kernel.network()?.create("wg0", &NewLink::WireGuard)?;
    let mut config = WireGuard::new([1; 32]);
    for number in 0..100u8 {
        let mut key = [9; 32];
        key[0] = number;
        let mut peer = WireGuardPeer::new(key);
        for network in 0..50 {
            peer = peer.allowed_ip(format!("10.{number}.{network}.0/24").parse()?);
        }
        config = config.peer(peer);
    }
    wg.set_wireguard(&config)?;
    let info = wg.wireguard()?;
    assert_eq!(info.peers.len(), 100);
    assert!(info.peers.iter().all(|peer| peer.allowed_ips.len() == 50));
    // Those that are not named are gone.
    wg.set_wireguard(&WireGuard::new([1; 32]))?;
    assert!(wg.wireguard()?.peers.is_empty());
    let lo = kernel.network()?.link("lo")?;
    assert_eq!(lo.wireguard().unwrap_err().errno(), Some(Errno::OPNOTSUPP));
    Ok(())
}
