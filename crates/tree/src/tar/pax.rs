//! Reads and writes PAX records: "LENGTH KEY=VALUE\n", where a value may have any bytes.

/// Parses records, and skips malformed ones. `None`: there are no records.
pub(super) fn parse(mut bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().take(21).position(|&byte| byte == b' ')?;
        let len: usize = str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
        let record = bytes.get(space + 1..len)?;
        let record = record.strip_suffix(b"\n")?;
        let equals = record.iter().position(|&byte| byte == b'=')?;
        records.push((&record[..equals], &record[equals + 1..]));
        bytes = &bytes[len..];
    }
    Some(records)
}

/// Appends a record.
pub(super) fn append(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // A space, "=" and a newline; the length counts its own digits.
    let rest = key.len() + value.len() + 3;
    let digits = |number: usize| number.to_string().len();
    let mut len = rest + digits(rest);
    len = rest + digits(len);
    records.extend(len.to_string().bytes());
    records.push(b' ');
    records.extend(key);
    records.push(b'=');
    records.extend(value);
    records.push(b'\n');
}

/// The key of an extended attribute: GNU tar writes "=" as "%3D".
pub(super) fn xattr_key(name: &[u8]) -> Vec<u8> {
    let mut key = b"SCHILY.xattr.".to_vec();
    for &byte in name {
        match byte {
            b'=' => key.extend(b"%3D"),
            b'%' => key.extend(b"%25"),
            byte => key.push(byte),
        }
    }
    key
}

/// The extended attribute of a key; `None`: the key is of something else.
pub(super) fn xattr_name(key: &[u8]) -> Option<Vec<u8>> {
    let coded = key.strip_prefix(b"SCHILY.xattr.")?;
    let mut name = Vec::with_capacity(coded.len());
    let mut rest = coded;
    loop {
        rest = match rest {
            [] => return Some(name),
            [b'%', b'3', b'D' | b'd', rest @ ..] => {
                name.push(b'=');
                rest
            }
            [b'%', b'2', b'5', rest @ ..] => {
                name.push(b'%');
                rest
            }
            [byte, rest @ ..] => {
                name.push(*byte);
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let mut bytes = Vec::new();
        // Around where the length gets another digit.
        let values: Vec<Vec<u8>> = (85..105).map(|len| vec![b'\n'; len]).collect();
        for value in &values {
            append(&mut bytes, b"key", value);
        }
        let records = parse(&bytes).expect("records");
        assert!(
            records
                .iter()
                .map(|(_, value)| *value)
                .eq(values.iter().map(|v| &v[..]))
        );
        for wrong in [
            &b"5 a=b\n"[..],
            b"7 a=b\n",
            b"x a=b\n",
            b"6 abc\n",
            b"99999999999999999999 a=\n",
            b"6 a=bc",
            b"0 a=b\n",
            b"1 a",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
        assert_eq!(parse(b"6 a=b\n"), Some(vec![(&b"a"[..], &b"b"[..])]));
    }

    #[test]
    fn names_of_attributes() {
        for name in ["user.a", "user.a=b%c", "user.%3D"] {
            let key = xattr_key(name.as_bytes());
            assert_eq!(xattr_name(&key).as_deref(), Some(name.as_bytes()));
        }
        assert_eq!(xattr_name(b"path"), None);
    }
}
