//! Bytes that one side of a pair has given and the other not yet taken: [`Pending`].

/// What could not be delivered at once. Without memory while there is nothing.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    done: usize,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.done == self.bytes.len()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.done..]
    }

    /// There is nothing before this.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.clear();
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn consume(&mut self, len: usize) {
        self.done += len;
        if self.is_empty() {
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.done = 0;
        self.bytes.clear();
    }

    /// Gives the memory back.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            *self = Pending::default();
        }
    }
}
