//! Serves getsockname(2) and getpeername(2).

use super::{Answer, Outcome, SocketCall};

impl SocketCall<'_> {
    pub(super) fn name(&mut self) -> Outcome {
        let name = self.entry.socket.name()?;
        self.put(&name)
    }

    pub(super) fn peer(&mut self) -> Outcome {
        let peer = self.entry.socket.peer()?;
        self.put(&peer)
    }

    fn put(&self, address: &crate::socket::Address) -> Outcome {
        let (at, len_at) = (self.call.arg(1), self.call.arg(2));
        self.call.put_address(address, at, len_at)?;
        Ok(Answer::Value(0))
    }
}
