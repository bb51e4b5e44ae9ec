//! [`Pending`]: bytes that were read from one side and not yet taken by the other.

/// Bytes that could not be delivered at once. Takes no memory while it is empty.
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

    /// Stores bytes. It must be empty before.
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

    /// Frees the memory.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            *self = Pending::default();
        }
    }
}
