//! [`Capabilities`]: those of a file (capabilities(7)): the bytes of `security.capability`
//! and the text of cap_from_text(3), as setcap(8) and getcap(8) have it.

use std::fmt;

use crate::{Error, Result};

/// The extended attribute.
pub const XATTR: &str = "security.capability";

/// The names, by their numbers (include/uapi/linux/capability.h).
const NAMES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];
const ALL: u64 = (1 << NAMES.len()) - 1;

/// `VFS_CAP_REVISION_2` and `_3`, the mask of revisions, and the flag of effective ones.
const REVISION_2: u32 = 0x0200_0000;
const REVISION_3: u32 = 0x0300_0000;
const REVISION: u32 = 0xff00_0000;
const EFFECTIVE: u32 = 1;

/// The capabilities of a file, a bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Those that the process gets.
    pub permitted: u64,
    /// Those that it gets of its own inheritable ones.
    pub inheritable: u64,
    /// Whether they are effective at once.
    pub effective: bool,
    /// The user that is root of the user namespace that they count in; `None`: anywhere.
    pub root: Option<u32>,
}

impl Capabilities {
    /// Parses clauses like `cap_net_raw,cap_net_admin=ep`, separated by spaces.
    ///
    /// # Errors
    ///
    /// A message that says what is wrong.
    pub fn parse(text: &str) -> Result<Capabilities, String> {
        // Effective, inheritable and permitted ones.
        let mut sets = [0u64; 3];
        let clauses: Vec<&str> = text.split_ascii_whitespace().collect();
        if clauses.is_empty() {
            return Err("give capabilities like cap_net_raw=ep".into());
        }
        for clause in clauses {
            let operators = ['=', '+', '-'];
            let at = clause.find(operators);
            let at = at.ok_or_else(|| format!("{clause:?} has no =, + or - and flags"))?;
            let (names, mut rest) = clause.split_at(at);
            let bits = match names {
                "" | "all" => ALL,
                names => names.split(',').try_fold(0, |all, name| {
                    let name = name.to_ascii_lowercase();
                    let index = NAMES.iter().position(|known| *known == name);
                    let index = index.ok_or_else(|| format!("there is no capability {name:?}"))?;
                    Ok::<u64, String>(all | 1 << index)
                })?,
            };
            if names.is_empty() && !rest.starts_with('=') {
                return Err(format!("{clause:?} names no capability"));
            }
            while let Some(operator) = rest.chars().next() {
                let flags = &rest[1..];
                let end = flags.find(operators).unwrap_or(flags.len());
                let (flags, after) = flags.split_at(end);
                if operator == '=' {
                    sets.iter_mut().for_each(|set| *set &= !bits);
                }
                for flag in flags.chars() {
                    let index = "eip".find(flag);
                    let index = index.ok_or_else(|| format!("{flag:?} is none of e, i and p"))?;
                    match operator {
                        '-' => sets[index] &= !bits,
                        _ => sets[index] |= bits,
                    }
                }
                rest = after;
            }
        }
        let [effective, inheritable, permitted] = sets;
        if effective != 0 && effective != permitted | inheritable {
            return Err("a file has all of its capabilities effective, or none".into());
        }
        Ok(Capabilities {
            permitted,
            inheritable,
            effective: effective != 0,
            root: None,
        })
    }

    /// Those of an extended attribute's bytes.
    ///
    /// # Errors
    ///
    /// They are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Capabilities> {
        let words: Vec<u32> = bytes
            .chunks_exact(4)
            .filter_map(|word| Some(u32::from_le_bytes(*word.first_chunk()?)))
            .collect();
        let (magic, root) = match words[..] {
            [magic, _, _, _, _] if magic & REVISION == REVISION_2 => (magic, None),
            [magic, _, _, _, _, root] if magic & REVISION == REVISION_3 => (magic, Some(root)),
            _ => {
                let cause = "its extended attribute is damaged or of an unknown version";
                return Err(Error::new("read capabilities", cause));
            }
        };
        let wide = |low: usize, high: usize| u64::from(words[low]) | u64::from(words[high]) << 32;
        Ok(Capabilities {
            permitted: wide(1, 3),
            inheritable: wide(2, 4),
            effective: magic & EFFECTIVE != 0,
            root,
        })
    }

    /// The bytes of the extended attribute.
    pub fn to_bytes(self) -> Vec<u8> {
        let revision = self.root.map_or(REVISION_2, |_| REVISION_3);
        let low_high = |set: u64| (set as u32, (set >> 32) as u32);
        let (permitted, inheritable) = (low_high(self.permitted), low_high(self.inheritable));
        let mut words = vec![revision | u32::from(self.effective)];
        words.extend([permitted.0, inheritable.0, permitted.1, inheritable.1]);
        words.extend(self.root);
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The flags of a capability: 1 effective, 2 permitted, 4 inheritable.
    fn flags(self, index: usize) -> usize {
        let bit = 1 << index;
        let (permitted, inheritable) = (self.permitted & bit != 0, self.inheritable & bit != 0);
        let effective = self.effective && (permitted || inheritable);
        usize::from(effective) | usize::from(permitted) << 1 | usize::from(inheritable) << 2
    }
}

/// As cap_to_text(3): what most have first, then the others.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = |flags: usize| -> String {
            let all = [(1, 'e'), (4, 'i'), (2, 'p')];
            let set = all.iter().filter(|(bit, _)| flags & bit != 0);
            set.map(|(_, letter)| letter).collect()
        };
        let count = |flags: usize| (0..NAMES.len()).filter(|&n| self.flags(n) == flags).count();
        // The first one of those that most have.
        let most = (0..8).rev().max_by_key(|&flags| count(flags)).unwrap_or(0);
        let mut clauses = Vec::new();
        if most != 0 {
            clauses.push(format!("={}", letters(most)));
        }
        for flags in (0..8).rev().filter(|&flags| flags != most) {
            let names = (0..NAMES.len()).filter(|&n| self.flags(n) == flags);
            let names: Vec<&str> = names.map(|n| NAMES[n]).collect();
            if names.is_empty() {
                continue;
            }
            let names = names.join(",");
            let (more, less) = (flags & !most, most & !flags);
            let mut clause = names;
            if more != 0 {
                let operator = if clauses.is_empty() { '=' } else { '+' };
                clause = format!("{clause}{operator}{}", letters(more));
            }
            if less != 0 {
                clause = format!("{clause}-{}", letters(less));
            }
            clauses.push(clause);
        }
        match clauses.is_empty() {
            true => f.write_str("="),
            false => f.write_str(&clauses.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for text in [
            "cap_net_raw=ep",
            "cap_net_admin,cap_net_raw=ep",
            "cap_chown=p",
            "cap_chown=eip",
            "=ep",
            "=",
            "=ep cap_sys_admin-ep",
            "cap_kill=i cap_chown+p",
        ] {
            let parsed = Capabilities::parse(text).unwrap();
            assert_eq!(parsed.to_string(), text);
            assert_eq!(
                Capabilities::from_bytes(&parsed.to_bytes()).unwrap(),
                parsed
            );
        }
        let same = |a: &str, b: &str| assert_eq!(Capabilities::parse(a), Capabilities::parse(b));
        same("cap_net_raw+ep", "CAP_NET_RAW=pe");
        same("all=ep", "=ep");
        for text in [
            "",
            "cap_net_raw",
            "cap_none=p",
            "cap_kill=e",
            "cap_kill=q",
            "+ep",
        ] {
            assert!(Capabilities::parse(text).is_err(), "{text}");
        }
        assert!(Capabilities::from_bytes(&[1, 2, 3]).is_err());
    }
}
