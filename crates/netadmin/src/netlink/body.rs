//! [`Body`]: builds the body of a netlink message; [`Attributes`]: reads one.

use drupe::Errno;

/// Builds the body of a netlink message: a header, and attributes
/// (`Documentation/userspace-api/netlink/intro.rst`), in the machine's byte order.
///
/// An invalid attribute (longer than 65,531 bytes, or a string with a NUL inside) makes
/// the request fail.
#[derive(Debug, Clone, Default)]
pub struct Body {
    bytes: Vec<u8>,
    /// The first error.
    wrong: Option<Errno>,
}

impl Body {
    /// A body that begins with the protocol's own header, padded to 4 bytes.
    pub fn new(header: &[u8]) -> Body {
        let mut body = Body {
            bytes: header.to_vec(),
            wrong: None,
        };
        body.align();
        body
    }

    /// The bytes so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, or the first error.
    pub(super) fn checked(&self) -> Result<&[u8], Errno> {
        self.wrong.map_or(Ok(&self.bytes), Err)
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn fail(&mut self, errno: Errno) -> &mut Body {
        self.wrong.get_or_insert(errno);
        self
    }

    /// Adds an attribute of bytes.
    pub fn put(&mut self, kind: u16, value: &[u8]) -> &mut Body {
        let Ok(len) = u16::try_from(value.len() + 4) else {
            return self.fail(Errno::MSGSIZE);
        };
        self.bytes.extend(len.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.align();
        self
    }

    /// Adds an attribute that is another body.
    pub fn put_body(&mut self, kind: u16, value: &Body) -> &mut Body {
        if let Some(errno) = value.wrong {
            self.fail(errno);
        }
        self.put(kind, &value.bytes)
    }

    /// Adds an attribute of one byte.
    pub fn put_u8(&mut self, kind: u16, value: u8) -> &mut Body {
        self.put(kind, &[value])
    }

    /// Adds an attribute of two bytes.
    pub fn put_u16(&mut self, kind: u16, value: u16) -> &mut Body {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Adds an attribute of four bytes.
    pub fn put_u32(&mut self, kind: u16, value: u32) -> &mut Body {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Adds an attribute of eight bytes.
    pub fn put_u64(&mut self, kind: u16, value: u64) -> &mut Body {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Adds an attribute that is a string, with its NUL.
    pub fn put_str(&mut self, kind: u16, value: &str) -> &mut Body {
        if value.contains('\0') {
            return self.fail(Errno::INVAL);
        }
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes)
    }

    /// Adds an attribute that contains the attributes that `f` adds (`NLA_F_NESTED`).
    pub fn nest(&mut self, kind: u16, f: impl FnOnce(&mut Body)) -> &mut Body {
        const NESTED: u16 = 1 << 15;
        let mut inner = Body::default();
        f(&mut inner);
        self.put_body(kind | NESTED, &inner)
    }
}

/// An attribute of a message: its type without flags, and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// `IFLA_*`, `RTA_*` and so on.
    pub kind: u16,
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The value as a number of up to eight bytes; 0 if it is longer.
    pub fn number(&self) -> u64 {
        let mut bytes = [0; 8];
        if let Some(room) = bytes.get_mut(..self.value.len()) {
            room.copy_from_slice(self.value);
        }
        u64::from_ne_bytes(bytes)
    }

    /// The value as a number of four bytes.
    pub fn u32(&self) -> u32 {
        self.number() as u32
    }

    /// The value as a string, up to its NUL.
    pub fn text(&self) -> String {
        let text = self.value.split(|&byte| byte == 0).next();
        String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
    }

    /// The attributes inside of it.
    pub fn nested(&self) -> Attributes<'a> {
        Attributes(self.value)
    }
}

/// Iterates over attributes, in order. Ends at the first malformed one.
#[derive(Debug, Clone)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// The attributes behind a header of `header` bytes.
    pub fn behind(header: usize, payload: &'a [u8]) -> Attributes<'a> {
        let header = header.next_multiple_of(4);
        Attributes(payload.get(header..).unwrap_or_default())
    }

    /// The first attribute of a type.
    pub fn find(mut self, kind: u16) -> Option<Attribute<'a>> {
        Iterator::find(&mut self, |attribute| attribute.kind == kind)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        /// `NLA_F_NESTED`, `NLA_F_NET_BYTEORDER`.
        const FLAGS: u16 = 3 << 14;
        let header = self.0.get(..4)?;
        let half = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        let (len, kind) = (usize::from(half(0)), half(2) & !FLAGS);
        let value = self.0.get(4..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_found() {
        let mut body = Body::new(&[1, 2, 3]);
        body.put_u8(1, 7).put_str(2, "eth0").nest(3, |inner| {
            inner.put_u32(4, 99).put_u64(5, 1 << 40);
        });
        assert_eq!(body.as_bytes().len() % 4, 0);
        let attributes = Attributes::behind(3, body.as_bytes());
        assert_eq!(attributes.clone().count(), 3);
        assert_eq!(attributes.clone().find(1).unwrap().number(), 7);
        assert_eq!(attributes.clone().find(2).unwrap().text(), "eth0");
        let inner = attributes.find(3).unwrap().nested();
        assert_eq!(inner.clone().find(4).unwrap().u32(), 99);
        assert_eq!(inner.find(5).unwrap().number(), 1 << 40);
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        let mut body = Body::default();
        assert!(body.put(1, &[0; 65_531]).checked().is_ok());
        let mut long = body.clone();
        assert_eq!(long.put(1, &[0; 65_532]).checked(), Err(Errno::MSGSIZE));
        body.nest(1, |inner| {
            inner.put_str(2, "a\0b");
        });
        assert_eq!(body.checked(), Err(Errno::INVAL));
    }

    #[test]
    fn damage_ends_it() {
        for bytes in [&[3, 0, 1, 0][..], &[9, 0, 1, 0, 5], &[4, 0, 1], &[]] {
            assert_eq!(Attributes::behind(0, bytes).count(), 0, "{bytes:?}");
        }
    }
}
