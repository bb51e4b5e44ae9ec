//! Serves requests: [`Served::serve`] decodes one and calls the function for it.
//!
//! A request is served with its caller's credentials where they matter: when a file is
//! made, space is used, or capabilities decide. Others, such as lookups, use the thread's
//! previous credentials, since none restricts lookups.
//!
//! One thread serves all requests except those for [`Workers`], which change no names. So
//! names do not change between two system calls of a request.

mod attributes;
mod data;
mod dirs;
mod ioctl;
mod names;
mod xattrs;

use std::cell::RefCell;
use std::sync::Arc;

use drupe::Errno;

use crate::channel::Channel;
use crate::state::Shared;
use crate::wire::{Answer, Arguments, Request, opcode};
use crate::workers::Workers;

/// Limit of one read or write in bytes.
pub(crate) const LARGEST: u32 = 1 << 20;

/// The state and the workers that serve requests.
pub(crate) struct Served {
    pub(crate) shared: Arc<Shared>,
    pub(crate) workers: Arc<Workers>,
    pub(crate) channel: Arc<Channel>,
}

/// The outcome of a request.
pub(crate) enum Outcome {
    /// It was served, and the answer must be sent.
    Done(Result<(), Errno>),
    /// A worker will send the answer.
    Later,
    /// It needs no answer.
    Silent,
}

impl From<Result<(), Errno>> for Outcome {
    fn from(result: Result<(), Errno>) -> Outcome {
        Outcome::Done(result)
    }
}

/// One request as it is served.
pub(crate) struct Call<'a> {
    pub(crate) request: Request,
    pub(crate) arguments: Arguments<'a>,
    pub(crate) answer: &'a mut Answer,
}

impl Served {
    /// Serves one message. `false`: it was the last one of the mount.
    pub(crate) fn serve(&self, message: &[u8], answer: &mut Answer) -> bool {
        let Some((request, arguments)) = Request::parse(message) else {
            // Nobody can be told: there is no number to answer to.
            return true;
        };
        answer.clear();
        let mut call = Call {
            request,
            arguments,
            answer,
        };
        let outcome = self
            .dispatch(&mut call)
            .unwrap_or_else(|errno| Outcome::Done(Err(errno)));
        if let Outcome::Done(result) = outcome {
            self.channel.send(answer.finish(request.unique, result));
        }
        request.opcode != opcode::DESTROY
    }

    fn dispatch(&self, call: &mut Call<'_>) -> Result<Outcome, Errno> {
        let result = match call.request.opcode {
            opcode::FORGET | opcode::BATCH_FORGET => return self.forget(call),
            opcode::READ => return self.read(call),
            opcode::WRITE => return self.write(call),
            opcode::FSYNC => return self.fsync(call),
            opcode::FSYNCDIR => return self.fsyncdir(call),
            opcode::SYNCFS => return self.syncfs(call),
            opcode::FALLOCATE => return self.fallocate(call),
            opcode::COPY_FILE_RANGE => return self.copy_file_range(call),
            opcode::IOCTL => return self.ioctl(call),
            opcode::LOOKUP => self.lookup(call),
            opcode::GETATTR => self.getattr(call),
            opcode::STATX => self.statx(call),
            opcode::SETATTR => self.setattr(call),
            opcode::READLINK => self.readlink(call),
            opcode::MKNOD => self.mknod(call),
            opcode::MKDIR => self.mkdir(call),
            opcode::SYMLINK => self.symlink(call),
            opcode::LINK => self.link(call),
            opcode::UNLINK => self.unlink(call),
            opcode::RMDIR => self.rmdir(call),
            opcode::RENAME => self.rename(call, 0),
            opcode::RENAME2 => self.rename2(call),
            opcode::CREATE => self.create(call),
            opcode::TMPFILE => self.tmpfile(call),
            opcode::OPEN => self.open(call),
            opcode::RELEASE => self.release(call),
            opcode::LSEEK => self.lseek(call),
            opcode::OPENDIR => self.opendir(call),
            opcode::READDIR => self.readdir(call),
            opcode::READDIRPLUS => self.readdirplus(call),
            opcode::RELEASEDIR => self.releasedir(call),
            opcode::STATFS => self.statfs(call),
            opcode::SETXATTR => self.setxattr(call),
            opcode::GETXATTR => self.getxattr(call),
            opcode::LISTXATTR => self.listxattr(call),
            opcode::REMOVEXATTR => self.removexattr(call),
            opcode::DESTROY => Ok(()),
            // The host does without them from then on. FLUSH: local filesystems do
            // nothing when a file is closed. INTERRUPT: nothing here waits for long
            // without being of use. Locks and access are the host's business.
            _ => Err(Errno::NOSYS),
        };
        Ok(result.into())
    }

    /// Lets a worker serve it.
    fn offload(
        &self,
        request: Request,
        work: impl FnOnce(&Shared, &mut Answer) -> Result<(), Errno> + Send + 'static,
    ) -> Result<Outcome, Errno> {
        thread_local! {
            static ANSWER: RefCell<Answer> = RefCell::default();
        }
        let (shared, channel) = (Arc::clone(&self.shared), Arc::clone(&self.channel));
        self.workers.run(move || {
            ANSWER.with_borrow_mut(|answer| {
                answer.clear();
                let result = work(&shared, answer);
                channel.send(answer.finish(request.unique, result));
            });
        });
        Ok(Outcome::Later)
    }
}
