//! Socket options: each returns the value that was set.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use drupe::Errno;
use drupe::net::{Domain, Socket, Type};

use crate::lab::{Outcome, kernel};

/// Sets an option to each value, and reads it.
macro_rules! round_trip {
    ($socket:expr; $($get:ident $set:ident: $($value:expr),+;)*) => {$($(
        $socket.$set($value).map_err(|e| format!("{e}, {}", stringify!($set $value)))?;
        assert_eq!($socket.$get()?, $value, stringify!($get));
    )+)*};
}

#[test]
fn options_of_tcp() -> Outcome {
    let kernel = kernel()?;
    let socket = Socket::new(&kernel, Domain::IPV4, Type::STREAM, None)?;
    round_trip! { socket;
        nodelay set_nodelay: true, false;
        cork set_cork: true, false;
        quickack set_quickack: false, true;
        notsent_lowat set_notsent_lowat: 16_384;
        keepalive_retries set_keepalive_retries: 5;
        keepalive_time set_keepalive_time: Duration::from_secs(30);
        keepalive_interval set_keepalive_interval: Duration::from_secs(7);
        user_timeout set_user_timeout: Duration::from_millis(1234), Duration::ZERO;
        syn_count set_syn_count: 2;
        fastopen_connect set_fastopen_connect: true, false;
        window_clamp set_window_clamp: 65_536;
    }
    socket.set_mss(1200)?;
    // Reads give what is in use: the default until it is connected.
    assert_eq!(socket.mss()?, 1200);
    socket.bind("127.0.0.1:0".parse::<SocketAddr>()?)?;
    socket.listen(5)?;
    round_trip! { socket;
        fastopen set_fastopen: 16;
    }
    socket.set_defer_accept(3)?;
    assert!(socket.defer_accept()? >= 3);
    Ok(())
}

#[test]
fn options_of_all_sockets() -> Outcome {
    let kernel = kernel()?;
    let socket = Socket::new(&kernel, Domain::IPV4, Type::DGRAM, None)?;
    round_trip! { socket;
        reuse_address set_reuse_address: true, false;
        reuse_port set_reuse_port: true, false;
        broadcast set_broadcast: true, false;
        keepalive set_keepalive: true, false;
        mark set_mark: 0xdead_beef;
        priority set_priority: 6;
        dont_route set_dont_route: true, false;
        max_pacing_rate set_max_pacing_rate: 1_000_000, 10_000_000_000;
        receive_low_water set_receive_low_water: 100;
        timestamp_ns set_timestamp_ns: true, false;
        out_of_band_inline set_out_of_band_inline: true, false;
        linger set_linger: Some(Duration::from_secs(3)), None;
        read_timeout set_read_timeout: Some(Duration::from_millis(1500)), None;
        write_timeout set_write_timeout: Some(Duration::from_secs(2)), None;
        nonblocking set_nonblocking: true, false;
    }
    socket.bind_device(Some("lo"))?;
    assert_eq!(socket.device()?.as_deref(), Some("lo"));
    socket.bind_device(None)?;
    assert_eq!(socket.device()?, None);
    assert_eq!(
        socket.bind_device(Some("eth9")).unwrap_err().errno(),
        Some(Errno::NODEV)
    );
    // Buffers are doubled, and have a limit that root may pass.
    socket.set_receive_buffer_size(50_000)?;
    assert_eq!(socket.receive_buffer_size()?, 100_000);
    socket.force_receive_buffer_size(8 << 20)?;
    assert_eq!(socket.receive_buffer_size()?, 16 << 20);
    socket.set_send_buffer_size(50_000)?;
    assert_eq!(socket.send_buffer_size()?, 100_000);
    socket.force_send_buffer_size(8 << 20)?;
    assert_eq!(socket.send_buffer_size()?, 16 << 20);
    Ok(())
}

#[test]
fn options_of_ip() -> Outcome {
    let kernel = kernel()?;
    let socket = Socket::new(&kernel, Domain::IPV4, Type::DGRAM, None)?;
    round_trip! { socket;
        ttl_v4 set_ttl_v4: 1, 255;
        tos_v4 set_tos_v4: 0xb8;
        freebind_v4 set_freebind_v4: true, false;
        transparent_v4 set_transparent_v4: true, false;
        multicast_ttl_v4 set_multicast_ttl_v4: 7, 0;
        multicast_loop_v4 set_multicast_loop_v4: false, true;
        multicast_if_v4 set_multicast_if_v4: Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED;
        mtu_discover_v4 set_mtu_discover_v4: 2;
        packet_info_v4 set_packet_info_v4: true, false;
        udp_cork set_udp_cork: true, false;
        udp_segment set_udp_segment: 1400, 0;
        udp_gro set_udp_gro: true, false;
    }
    let socket = Socket::new(&kernel, Domain::IPV6, Type::DGRAM, None)?;
    round_trip! { socket;
        only_v6 set_only_v6: true, false;
        unicast_hops_v6 set_unicast_hops_v6: 1, 255;
        tclass_v6 set_tclass_v6: 0xb8;
        freebind_v6 set_freebind_v6: true, false;
        transparent_v6 set_transparent_v6: true, false;
        multicast_hops_v6 set_multicast_hops_v6: 7;
        multicast_loop_v6 set_multicast_loop_v6: false, true;
        multicast_if_v6 set_multicast_if_v6: 1, 0;
    }
    assert!(socket.set_unicast_hops_v6(256).is_err());
    Ok(())
}

#[test]
fn options_of_ones_own() -> Outcome {
    let kernel = kernel()?;
    let socket = Socket::new(&kernel, Domain::IPV4, Type::STREAM, None)?;
    socket.set_option(libc::IPPROTO_TCP, libc::TCP_NODELAY, true)?;
    assert!(socket.option::<bool>(libc::IPPROTO_TCP, libc::TCP_NODELAY)?);
    socket.set_raw_option(libc::IPPROTO_TCP, libc::TCP_CONGESTION, b"reno")?;
    let mut name = [1; 16];
    assert_eq!(
        socket.raw_option(libc::IPPROTO_TCP, libc::TCP_CONGESTION, &mut name)?,
        16
    );
    assert_eq!(&name[..5], b"reno\0");
    // A pointer could be to anywhere.
    let filter = socket.set_raw_option(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &[0; 16]);
    assert_eq!(filter.unwrap_err().errno(), Some(Errno::INVAL));
    // Its length would be instructions, of 8 bytes each.
    let filter = socket.raw_option(libc::SOL_SOCKET, libc::SO_GET_FILTER, &mut [0; 8]);
    assert_eq!(filter.unwrap_err().errno(), Some(Errno::INVAL));
    Ok(())
}

#[test]
fn bound_to_what_is_not_there() -> Outcome {
    let kernel = kernel()?;
    let socket = Socket::new(&kernel, Domain::IPV4, Type::DGRAM, None)?;
    let foreign: SocketAddr = "192.0.2.1:0".parse()?;
    let error = socket.bind(foreign).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ADDRNOTAVAIL));
    socket.set_freebind_v4(true)?;
    socket.bind(foreign)?;
    Ok(())
}
