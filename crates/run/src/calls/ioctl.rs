//! Serves ioctl(2): requests about interfaces, addresses and routes.

use rustix::io::Errno;

use super::{Answer, Outcome, SocketCall};
use crate::filter::SIOCOUTQ;
use crate::pair::outstanding;

/// Bytes of a buffer that is larger than the structure of any of these requests.
const WINDOW: usize = 256;
/// Limit in bytes of the data to which `SIOCETHTOOL` and the like point.
const BEHIND: usize = 4096;
/// Limit of a list of interfaces in bytes.
const LIST: usize = 1 << 16;

const SIOCADDRT: u32 = 0x890b;
const SIOCDELRT: u32 = 0x890c;
const SIOCGIFCONF: u32 = 0x8912;
const SIOCETHTOOL: u32 = 0x8946;
const SIOCGMIIPHY: u32 = 0x8947;
/// Requests about the receiver of signals, which are made at the program's end.
const OWNER: [u32; 4] = [0x8901, 0x8902, 0x8903, 0x8904];

/// Where `struct ifreq` has its data, and `struct rtentry` its device.
const IFREQ_DATA: usize = 16;
const RTENTRY_DEVICE: usize = 88;

impl SocketCall<'_> {
    pub(super) fn ioctl(&mut self) -> Outcome {
        let request = self.call.arg(1) as u32;
        match request {
            request if OWNER.contains(&request) => Ok(Answer::GoOn),
            SIOCOUTQ => self.unsent(),
            SIOCGIFCONF => self.list(),
            SIOCETHTOOL | SIOCGMIIPHY => self.with_pointer(IFREQ_DATA, BEHIND),
            SIOCADDRT | SIOCDELRT => self.with_pointer(RTENTRY_DEVICE, 16),
            // Others may have pointers, which would be taken for ours.
            request if !is_plain(request) => Err(Errno::OPNOTSUPP),
            _ => {
                let mut window = self.window()?;
                let before = window;
                // SAFETY: the window is larger than what these requests take, and
                // none of them has a pointer in it.
                let value = unsafe { self.entry.socket.ioctl(request, &mut window) }?;
                self.put_changes(self.call.arg(2), &before, &window)?;
                Ok(Answer::Value(value as i64))
            }
        }
    }

    /// Serves `SIOCOUTQ`: bytes that the peer has not acknowledged, those in the pair
    /// included.
    fn unsent(&mut self) -> Outcome {
        let mut window = [0; WINDOW];
        // SAFETY: writes an int.
        unsafe { self.entry.socket.ioctl(SIOCOUTQ, &mut window) }?;
        let kernel = i32::from_ne_bytes([window[0], window[1], window[2], window[3]]);
        let all = kernel + outstanding(self.theirs) as i32;
        let memory = self.call.memory();
        memory.write(self.call.arg(2), &all.to_ne_bytes())?;
        Ok(Answer::Value(0))
    }

    /// `SIOCGIFCONF`: `struct ifconf`, a length and a pointer.
    fn list(&mut self) -> Outcome {
        let (memory, at) = (self.call.memory(), self.call.arg(2));
        let mut ifconf = [0; 16];
        memory.read(at, &mut ifconf)?;
        let (len, buffer) = (word(&ifconf[..4]) as usize, word(&ifconf[8..]));
        let mut list = vec![0; if buffer == 0 { 0 } else { len.min(LIST) }];
        let mut own = [0; 16];
        if buffer != 0 {
            own[..4].copy_from_slice(&(list.len() as u32).to_ne_bytes());
            own[8..].copy_from_slice(&(list.as_mut_ptr() as u64).to_ne_bytes());
        }
        // SAFETY: the pointer is to the list, or null, with its length.
        unsafe { self.entry.socket.ioctl(SIOCGIFCONF, &mut own) }?;
        let len = word(&own[..4]) as usize;
        memory.write(buffer, &list[..len.min(list.len())])?;
        memory.write(at, &own[..4])?;
        Ok(Answer::Value(0))
    }

    /// Serves a request that has a pointer to at most `len` bytes at `offset`.
    fn with_pointer(&mut self, offset: usize, len: usize) -> Outcome {
        let (memory, request) = (self.call.memory(), self.call.arg(1) as u32);
        let mut window = self.window()?;
        let before = window;
        let theirs = word(&window[offset..offset + 8]);
        let mut behind = vec![0; len];
        if theirs != 0 {
            // IPv6's request of this number ends before, and has no pointer.
            let _ = memory.read_some(theirs, &mut behind);
            let own = (behind.as_mut_ptr() as u64).to_ne_bytes();
            window[offset..offset + 8].copy_from_slice(&own);
        }
        let behind_before = behind.clone();
        if request == SIOCETHTOOL && !is_small(&behind) {
            return Err(Errno::OPNOTSUPP);
        }
        // SAFETY: the window is larger than what these requests take, and the
        // pointer is to memory that nobody else uses, of the size that they want:
        // others are refused above.
        let value = unsafe { self.entry.socket.ioctl(request, &mut window) }?;
        window[offset..offset + 8].copy_from_slice(&before[offset..offset + 8]);
        self.put_changes(theirs, &behind_before, &behind)?;
        self.put_changes(self.call.arg(2), &before, &window)?;
        Ok(Answer::Value(value as i64))
    }

    fn window(&self) -> Result<[u8; WINDOW], Errno> {
        let mut window = [0; WINDOW];
        self.call
            .memory()
            .read_some(self.call.arg(2), &mut window)?;
        Ok(window)
    }

    /// Writes only the bytes that have changed.
    fn put_changes(&self, at: u64, before: &[u8], after: &[u8]) -> Result<(), Errno> {
        let changed = |i: &usize| before[*i] != after[*i];
        let first = (0..before.len()).find(changed);
        let last = (0..before.len()).rfind(changed);
        let (Some(first), Some(last)) = (first, last) else {
            return Ok(());
        };
        let memory = self.call.memory();
        memory.write(at + first as u64, &after[first..=last])
    }
}

/// Whether the structure of a request contains no pointers
/// (`include/uapi/linux/sockios.h`): interfaces, addresses, ARP, MII, queues, VLANs,
/// bonds and bridges by their names and numbers. Not those of old bridges, of a bond's
/// state, of time stamps, and of drivers' own.
fn is_plain(request: u32) -> bool {
    matches!(
        request,
        0x8905..=0x8907
            | 0x8910..=0x893f
            | 0x8942..=0x8943
            | 0x8948..=0x8949
            | 0x894b
            | 0x8953..=0x8955
            | 0x8970..=0x8971
            | 0x8982..=0x8983
            | 0x8990..=0x8992
            | 0x8995
            | 0x89a0..=0x89a3
    )
}

/// Whether a request of ethtool's has a fixed size that fits: driver, link,
/// features of old. What has strings and tables of any length comes over netlink.
fn is_small(request: &[u8]) -> bool {
    const SMALL: [u64; 13] = [
        0x01, 0x03, 0x05, 0x06, 0x07, 0x0a, 0x0e, 0x10, 0x12, 0x14, 0x16, 0x25, 0x41,
    ];
    SMALL.contains(&word(&request[..4]))
}

/// A number of up to 8 bytes.
fn word(bytes: &[u8]) -> u64 {
    let mut all = [0; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    u64::from_ne_bytes(all)
}
