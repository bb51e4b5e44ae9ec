//! [`Replay`]: a link that receives the frames of a recording.

use std::io::{self, IoSliceMut, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use drupe_host::link::{Frame, FrameHeader, Link, LinkInfo, LinkWaker, Offloads};
use drupe_host::threads::{self, JoinHandle};

use super::format::Reader;
use crate::packet::{MAX_FRAME, scatter};
use crate::{Error, Result};

/// The pace at which the frames of a recording are received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the kernel takes them.
    Fast,
    /// At the intervals of the recording.
    Recorded,
}

/// A link on which the kernel receives the frames of a recording. Frames that the kernel
/// sends are dropped.
///
/// The replay begins when the kernel receives for the first time, which is when its
/// interface is set up. A socket that is bound later misses earlier frames;
/// [`Replay::held`] lets the program start the replay itself.
///
/// The thread that runs the kernel reads the file: a pipe without data would stop the
/// kernel.
pub struct Replay {
    play: Mutex<Play>,
    pace: Pace,
    /// Tells the kernel that frames have come.
    waker: Mutex<Option<LinkWaker>>,
    alarm: Arc<Alarm>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Play {
    /// Whether frames wait for [`Replay::start`].
    held: bool,
    file: Reader<Box<dyn Read + Send>>,
    frame: Vec<u8>,
    /// When the frame in `frame` is due; `None`: there is none.
    next: Option<Instant>,
    /// The recorded time of the first frame, and when it was received here.
    begun: Option<(Duration, Instant)>,
    /// The error that ended the replay before the end of the file.
    error: Option<Error>,
    ended: bool,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

impl Replay {
    /// A link on which the kernel receives the frames of a pcap file.
    ///
    /// # Errors
    ///
    /// [`Error::Capture`]: it is not a pcap file of Ethernet frames.
    pub fn new(file: impl Read + Send + 'static, pace: Pace) -> Result<Replay> {
        let file: Box<dyn Read + Send> = Box::new(io::BufReader::with_capacity(1 << 17, file));
        Ok(Replay {
            play: Mutex::new(Play {
                held: false,
                file: Reader::new(file)?,
                frame: Vec::new(),
                next: None,
                begun: None,
                error: None,
                ended: false,
            }),
            pace,
            waker: Mutex::new(None),
            alarm: Arc::default(),
            thread: Mutex::new(None),
        })
    }

    /// Holds back all frames until [`Replay::start`]. Give the kernel an [`Arc`] of the
    /// link, set up the interface, make the sockets, and start.
    #[must_use]
    pub fn held(mut self) -> Replay {
        let play = self.play.get_mut();
        play.unwrap_or_else(PoisonError::into_inner).held = true;
        self
    }

    /// Starts a replay of [`Replay::held`]. The first frame is due now.
    pub fn start(&self) {
        self.play().held = false;
        // A clone: the kernel may let go of the link while it is woken.
        let waker = self.waker().clone();
        if let Some(waker) = waker {
            // If it is gone already, there is nobody for the frames.
            let _ = waker.wake();
        }
    }

    fn waker(&self) -> MutexGuard<'_, Option<LinkWaker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all frames were received.
    pub fn is_finished(&self) -> bool {
        self.play().ended
    }

    /// The error that ended the replay, if the file is damaged behind its header.
    /// Returned once.
    pub fn take_error(&self) -> Option<Error> {
        self.play().error.take()
    }

    fn play(&self) -> MutexGuard<'_, Play> {
        self.play.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Play {
    /// Loads the next frame if there is none. Returns when it is due.
    fn load(&mut self, pace: Pace) -> Option<Instant> {
        if self.next.is_none() && !self.ended {
            match self.file.next(&mut self.frame) {
                Ok(Some(time)) => {
                    let (first, start) = *self.begun.get_or_insert((time, Instant::now()));
                    self.next = Some(match pace {
                        Pace::Fast => start,
                        // One that is out of order comes at once.
                        Pace::Recorded => start + time.saturating_sub(first),
                    });
                }
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.error = Some(error);
                    self.ended = true;
                }
            }
        }
        self.next
    }
}

impl Link for Replay {
    fn info(&self) -> LinkInfo {
        LinkInfo {
            mac: None,
            mtu: MAX_FRAME as u32 - 14 - 15,
            offloads: Offloads::default(),
        }
    }

    fn attach(&self, waker: LinkWaker) {
        *self.waker() = Some(waker.clone());
        if self.pace == Pace::Recorded {
            let alarm = Arc::clone(&self.alarm);
            // Without a thread, frames come when the kernel looks for some.
            let started = threads::spawn("drupe-link", move || alarm.run(&waker)).ok();
            *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = started;
        }
    }

    fn send(&self, frames: &[Frame<'_>]) -> usize {
        frames.len()
    }

    fn receive(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Option<(usize, FrameHeader)>> {
        let mut play = self.play();
        if play.held {
            return Ok(None);
        }
        let Some(due) = play.load(self.pace) else {
            return Ok(None);
        };
        if due > Instant::now() {
            drop(play);
            self.alarm.set(due);
            return Ok(None);
        }
        play.next = None;
        let len = scatter(&play.frame, buffers);
        Ok(Some((len, FrameHeader::default())))
    }

    fn detach(&self) {
        *self.waker() = None;
        self.alarm.end();
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.alarm.end();
        let thread = self.thread.get_mut();
        if let Some(thread) = thread.unwrap_or_else(PoisonError::into_inner).take()
            && !thread.is_current()
        {
            // It does not panic; if it did, it has ended too.
            let _ = thread.join();
        }
    }
}

/// Wakes the kernel at a given time, once for each time that is set.
#[derive(Debug, Default)]
struct Alarm {
    state: Mutex<AlarmState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct AlarmState {
    due: Option<Instant>,
    ended: bool,
}

impl Alarm {
    fn state(&self) -> MutexGuard<'_, AlarmState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, due: Instant) {
        self.state().due = Some(due);
        self.changed.notify_one();
    }

    fn end(&self) {
        self.state().ended = true;
        self.changed.notify_one();
    }

    fn run(&self, waker: &LinkWaker) {
        let mut state = self.state();
        while !state.ended {
            let now = Instant::now();
            match state.due {
                Some(due) if due <= now => {
                    state.due = None;
                    drop(state);
                    if !waker.wake() {
                        return;
                    }
                    state = self.state();
                }
                Some(due) => {
                    let waited = self.changed.wait_timeout(state, due - now);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => {
                    let waited = self.changed.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}
