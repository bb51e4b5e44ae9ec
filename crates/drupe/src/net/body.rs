//! The bodies of netlink messages: a fixed header and attributes.

/// The body of a netlink message in the making: a header, and attributes
/// (`Documentation/userspace-api/netlink/intro.rst`), in the machine's byte
/// order.
#[derive(Debug, Clone, Default)]
pub struct Body(Vec<u8>);

impl Body {
    /// One that begins with a header of the protocol's own, padded to 4 bytes.
    pub fn new(header: &[u8]) -> Body {
        let mut body = Body(header.to_vec());
        body.align();
        body
    }

    /// What it is so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn align(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// Adds an attribute of bytes.
    ///
    /// # Panics
    /// If the value has more than 65,531 bytes.
    pub fn put(&mut self, kind: u16, value: &[u8]) -> &mut Body {
        let len = u16::try_from(value.len() + 4).expect("an attribute fits into 64 KiB");
        self.0.extend(len.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.align();
        self
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
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes)
    }

    /// Adds an attribute that holds those that `f` adds (`NLA_F_NESTED`).
    ///
    /// # Panics
    /// If they are more than 65,531 bytes.
    pub fn nest(&mut self, kind: u16, f: impl FnOnce(&mut Body)) -> &mut Body {
        const NESTED: u16 = 1 << 15;
        let mut inner = Body::default();
        f(&mut inner);
        self.put(kind | NESTED, &inner.0)
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

/// The attributes in some bytes, in order. It ends where they are malformed.
#[derive(Debug, Clone)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Those behind a header of `header` bytes.
    pub fn behind(header: usize, payload: &'a [u8]) -> Attributes<'a> {
        let header = header.next_multiple_of(4);
        Attributes(payload.get(header..).unwrap_or_default())
    }

    /// The first one of a type.
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
    fn damage_ends_it() {
        for bytes in [&[3, 0, 1, 0][..], &[9, 0, 1, 0, 5], &[4, 0, 1], &[]] {
            assert_eq!(Attributes::behind(0, bytes).count(), 0, "{bytes:?}");
        }
    }
}
