//! Converts ACLs between text, as in `SCHILY.acl.access`, and the extended attribute
//! `system.posix_acl_access` (include/uapi/linux/posix_acl_xattr.h).

use crate::users::Names;

const VERSION: u32 = 2;
/// The ID of entries without a user or group.
const NO_ID: u32 = u32::MAX;

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// The attribute of a text such as `user::rw-,user:ann:r--:1000,group::r--`. A name
/// without a number in the text is looked up in `users` or `groups`, or is a number
/// itself.
pub(super) fn from_text(text: &[u8], users: &Names, groups: &Names) -> Option<Vec<u8>> {
    let text = str::from_utf8(text).ok()?;
    let mut entries = Vec::new();
    let lines = text
        .split([',', '\n'])
        .map(|line| line.split('#').next().unwrap_or(""));
    for entry in lines.map(str::trim).filter(|line| !line.is_empty()) {
        let mut fields = entry.split(':').map(str::trim);
        let (kind, mut who, mut perm) = (fields.next()?, fields.next()?, fields.next());
        // "mask:rwx" and "other:r--" are known too.
        if perm.is_none() {
            (who, perm) = ("", Some(who));
        }
        let given = fields.next().and_then(|id| id.parse().ok());
        let id = |names: &Names| {
            let known = || names.numbers.get(who.as_bytes()).copied();
            given.or_else(known).or_else(|| who.parse().ok())
        };
        let (tag, id) = match (kind, who) {
            ("user" | "u", "") => (USER_OBJ, NO_ID),
            ("user" | "u", _) => (USER, id(users)?),
            ("group" | "g", "") => (GROUP_OBJ, NO_ID),
            ("group" | "g", _) => (GROUP, id(groups)?),
            ("mask" | "m", "") => (MASK, NO_ID),
            ("other" | "o", "") => (OTHER, NO_ID),
            _ => return None,
        };
        let mut bits = 0_u16;
        for letter in perm?.chars() {
            bits |= match letter {
                'r' => 4,
                'w' => 2,
                'x' => 1,
                '-' => 0,
                _ => return None,
            };
        }
        entries.push((tag, id, bits));
    }
    // As the kernel wants them.
    entries.sort_unstable();
    let mut value = VERSION.to_le_bytes().to_vec();
    for (tag, id, bits) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(bits.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    Some(value)
}

/// The text of an attribute, with numbers.
pub(super) fn to_text(value: &[u8]) -> Option<String> {
    let (version, entries) = value.split_at_checked(4)?;
    if version != VERSION.to_le_bytes() || entries.len() % 8 != 0 {
        return None;
    }
    let mut parts = Vec::new();
    for entry in entries.chunks_exact(8) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let bits = u16::from_le_bytes([entry[2], entry[3]]);
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        let who = match tag {
            USER_OBJ => "user:".to_owned(),
            USER => format!("user:{id}"),
            GROUP_OBJ => "group:".to_owned(),
            GROUP => format!("group:{id}"),
            MASK => "mask:".to_owned(),
            OTHER => "other:".to_owned(),
            _ => return None,
        };
        let letter = |bit, letter| if bits & bit != 0 { letter } else { '-' };
        parts.push(format!(
            "{who}:{}{}{}",
            letter(4, 'r'),
            letter(2, 'w'),
            letter(1, 'x')
        ));
    }
    Some(parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let text = "user::rw-,user:5:r--,user:1000:rwx,group::r--,group:6:---,mask::rwx,other::r--";
        let none = Names::default();
        let value = from_text(text.as_bytes(), &none, &none).expect("an ACL");
        assert_eq!(value.len(), 4 + 7 * 8);
        assert_eq!(to_text(&value).as_deref(), Some(text));
        let star = b"user::rw-,user:ann:r--:5,user:bob:rwx:1000,group::r--,group:x:---:6,mask::rwx,other::r--";
        assert_eq!(from_text(star, &none, &none), Some(value));
        for wrong in [
            "user:ann:r--",
            "user::rq-",
            "who::r--",
            "user",
            "mask:5:r--",
        ] {
            assert_eq!(from_text(wrong.as_bytes(), &none, &none), None, "{wrong}");
        }
        assert_eq!(to_text(b"\x01\0\0\0"), None);
    }
}
