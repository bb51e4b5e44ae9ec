//! Network tools (ip, tc, wg and so on), which configure the program's network; sshd,
//! which changes its user.

use drupe_testing::skipped;

use crate::harness::{Outcome, Place, tool};
use crate::ran::prints;

fn shell(script: &str) -> Outcome<String> {
    prints(&["sh", "-ec", script])
}

/// The same in the directory of a place, whose name may have spaces in it.
fn within(place: &Place, script: &str) -> Outcome<String> {
    let dir = place.path("");
    let script = format!("cd \"$0\"\n{script}");
    prints(&["sh", "-ec", &script, &dir.to_string_lossy()])
}

#[test]
fn nft_drops() -> Outcome {
    let said = shell(
        "nft add table inet t
         nft add chain inet t in '{ type filter hook input priority 0; }'
         nft add rule inet t in tcp dport 99 counter drop
         curl -m 1 -s http://127.0.0.1:98/ || echo $?
         curl -m 1 -s http://127.0.0.1:99/ || echo $?
         nft list ruleset",
    )?;
    // Refused, and no answer.
    assert!(said.starts_with("7\n28\n"), "{said}");
    assert!(!said.contains("packets 0"), "{said}");
    Ok(())
}

#[test]
fn wg_and_tc_configure() -> Outcome {
    let place = Place::new()?;
    let said = within(
        &place,
        "ip link add wg0 type wireguard; umask 077; wg genkey > key
         wg set wg0 private-key key listen-port 51820; wg show wg0
         tc qdisc add dev lo root netem delay 15ms; tc qdisc show dev lo
         ping -c 2 127.0.0.1",
    )?;
    assert!(said.contains("listening port: 51820"), "{said}");
    assert!(said.contains("delay 15ms"), "{said}");
    // There and back.
    let times = said.lines().filter_map(|line| line.split_once(" time="));
    let times: Vec<f64> = times
        .map(|(_, time)| time.trim_end_matches(" ms").parse())
        .collect::<Result<_, _>>()?;
    assert_eq!(times.len(), 2, "{said}");
    // By ping's own clock, which is not the kernel's.
    assert!(times.iter().all(|&time| time > 25.0), "{said}");
    Ok(())
}

/// As root: sshd wants to become somebody else.
#[test]
fn ssh() -> Outcome {
    if !rustix::process::geteuid().is_root() {
        skipped("sshd needs root");
        return Ok(());
    }
    let place = Place::new()?;
    let dir = place.path("").display().to_string();
    let dir = dir.trim_end_matches('/');
    for name in ["host", "user"] {
        tool("ssh-keygen", |keygen| {
            keygen
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(place.path(name))
        })?;
    }
    place.write(
        "config",
        format!(
            "Port 2222\nListenAddress 127.0.0.1\nHostKey \"{dir}/host\"\nUsePAM no\n\
             AuthorizedKeysFile \"{dir}/user.pub\"\nPidFile \"{dir}/pid\"\nStrictModes no\n"
        ),
    )?;
    let said = within(
        &place,
        "mkdir -p /run/sshd
         /usr/sbin/sshd -f \"$PWD/config\"
         until ssh -F none -p 2222 -i user -o StrictHostKeyChecking=no \
             -o UserKnownHostsFile=known 127.0.0.1 'echo over ssh; echo $SSH_CONNECTION'
         do :; done",
    )?;
    assert!(said.starts_with("over ssh\n127.0.0.1 "), "{said}");
    assert!(said.ends_with(" 2222\n"), "{said}");
    Ok(())
}
