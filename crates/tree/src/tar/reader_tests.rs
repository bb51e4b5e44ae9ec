//! Tests of [`Reader`] with malformed and unusual archives.

use super::*;

#[test]
fn numbers() {
    for (field, value) in [
        (&b"0000644\0"[..], Some(0o644)),
        (b"  12 \0\0\0", Some(0o12)),
        (b"\0\0\0", Some(0)),
        (b"12345670", Some(0o12345670)),
        (b"9\0", None),
        (b"-1\0", None),
        (b"\x80\0\0\0\0\0\0\x05", Some(5)),
        (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
        (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
    ] {
        assert_eq!(number(field), value, "{field:?}");
    }
    // 2^56 in a field of twelve bytes.
    assert_eq!(number(b"\x80\0\0\0\x01\0\0\0\0\0\0\0"), Some(1 << 56));
}

/// A member of a type with contents, and one that they describe.
fn described(kind: EntryType, contents: &[u8]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (kind, contents) in [(kind, contents), (EntryType::Regular, b"")] {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(contents.len() as u64);
        header.set_cksum();
        archive.extend(header.as_bytes());
        archive.extend(contents);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive
}

/// As many attributes as fit into a header took minutes for each member.
#[test]
fn records_are_bounded() {
    let mut records = Vec::new();
    for n in 0..200_000 {
        let key = format!("SCHILY.xattr.user.{n}");
        pax::append(&mut records, key.as_bytes(), b"");
    }
    let read = |archive: &[u8]| Reader::new(archive).next().map_err(|e| e.to_string());
    let error = read(&described(EntryType::XHeader, &records)).unwrap_err();
    assert_eq!(
        error,
        "the names of a file's extended attributes have more than 65536 bytes"
    );
    let error = read(&described(EntryType::XGlobalHeader, &records)).unwrap_err();
    assert!(error.ends_with("bytes, of at most 65536"), "{error}");
    // The last one counts, however many there are.
    let mut records = Vec::new();
    for n in 0..200_000 {
        pax::append(
            &mut records,
            b"SCHILY.xattr.user.a",
            n.to_string().as_bytes(),
        );
    }
    let member = read(&described(EntryType::XHeader, &records)).unwrap();
    let xattrs = member.expect("a member").xattrs;
    assert_eq!(xattrs, [(b"user.a".to_vec(), b"199999".to_vec())]);
    // Global headers, all together.
    let mut records = Vec::new();
    pax::append(&mut records, b"comment", &[b'x'; 40_000]);
    let mut archive = described(EntryType::XGlobalHeader, &records);
    archive.truncate(archive.len() - 512);
    archive.extend(described(EntryType::XGlobalHeader, &records));
    let error = read(&archive).unwrap_err();
    assert_eq!(
        error,
        "the archive's global headers have more than 65536 bytes"
    );
}

#[test]
fn what_is_no_archive() {
    for bytes in [&b""[..], b"text", &[b'x'; 1024]] {
        assert!(Reader::new(bytes).next().is_err());
    }
    assert!(
        Reader::new(&[0; 1024][..])
            .next()
            .expect("an end")
            .is_none()
    );
}

/// As umoci ends its layers.
#[test]
fn an_end_without_padding() {
    let mut header = tar::Header::new_gnu();
    header.set_path("f").expect("a path");
    header.set_size(3);
    header.set_mode(0o644);
    header.set_cksum();
    let mut archive = header.as_bytes().to_vec();
    archive.extend(b"abc");
    let members = |archive: &[u8], unpadded| {
        let mut reader = Reader::new(archive).unpadded(unpadded);
        let mut count = 0;
        while reader.next().map_err(|error| error.to_string())?.is_some() {
            count += 1;
        }
        Ok::<_, String>(count)
    };
    let ends = "the archive ends in the middle of a file";
    assert_eq!(members(&archive, true), Ok(1));
    assert_eq!(members(&archive, false), Err(ends.into()));
    assert_eq!(members(&archive[..514], true), Err(ends.into()));
    archive.extend([0; 100]);
    assert_eq!(members(&archive, true), Err(ends.into()));
}
