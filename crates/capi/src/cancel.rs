//! What ends a copy early: `drupe_cancel`.

use std::io::{self, PipeWriter, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use drupe_tree::Interrupt;

use crate::failure::Failure;

/// A request to end, and who may wait for it.
pub(crate) struct Cancel {
    pub(crate) interrupt: Interrupt,
    come: PipeWriter,
}

handles! {
    Cancel => drupe_cancel_free;
}

export! {
    fn drupe_cancel_new() -> handle<Cancel> {
        let (reader, writer) = io::pipe().map_err(|e| Failure::io("pipe", e))?;
        Ok(Cancel {
            interrupt: Interrupt::new(Arc::default(), reader),
            come: writer,
        })
    }

    fn drupe_cancel_set(cancel: &Cancel) -> status {
        // Once is enough: the pipe never fills.
        if !cancel.interrupt.flag().swap(true, Ordering::Relaxed) {
            let told = (&cancel.come).write_all(b"!");
            told.map_err(|e| Failure::io("write", e))?;
        }
        Ok(())
    }
}
