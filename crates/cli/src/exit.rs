//! [`ExitCode`]: the command's exit codes; [`Failure`]: an error with an exit code.

/// The exit codes, as `drupe --help` documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// All was done.
    Success = 0,
    /// Some file could not be read, written or found.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// An image, a partition or its filesystem can't be used.
    Image = 3,
    /// SIGINT or SIGTERM; images are consistent, as far as they were written.
    Interrupted = 130,
}

impl ExitCode {
    /// What another run of this command meant.
    pub(crate) fn from_code(code: i32) -> Option<ExitCode> {
        use ExitCode::{Failed, Image, Interrupted, Success, Usage};
        let all = [Success, Failed, Usage, Image, Interrupted];
        all.into_iter().find(|&known| known as i32 == code)
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> std::process::ExitCode {
        (code as u8).into()
    }
}

/// What ends a command early: the command's own error, of which there is one type.
///
/// `error` is as a rule that of the library, with operation, path and cause
/// ([`drupe_tree::Error`]), or one of the host's with the file as its context. Single
/// files that could not be done end no command: the library tells and counts them
/// ([`drupe_tree::Outcome`]), and so does [`Report`](crate::output::Report).
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: ExitCode,
    pub(crate) error: anyhow::Error,
    /// What the user can do about it.
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: ExitCode, error: impl Into<anyhow::Error>) -> Failure {
        Failure {
            code,
            error: error.into(),
            hint: None,
        }
    }

    /// The same, with what the user can do about it.
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Failure {
        Failure {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// The same, to be told another time.
    pub(crate) fn again(&self) -> Failure {
        Failure {
            code: self.code,
            error: anyhow::Error::msg(format!("{:#}", self.error)),
            hint: self.hint.clone(),
        }
    }

    /// A signal has come.
    pub(crate) fn interrupted() -> Failure {
        Failure::new(ExitCode::Interrupted, anyhow::Error::msg("interrupted"))
    }

    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::new(ExitCode::Usage, anyhow::Error::msg(message.into()))
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        let error = error.into();
        match error.downcast_ref::<drupe_tree::Error>() {
            Some(work) if work.is_interrupted() => Failure::interrupted(),
            _ => Failure::new(ExitCode::Failed, error),
        }
    }
}

/// What ends a visit of a file of an image, or all of them.
pub(crate) type Stop = drupe_tree::Stop<Failure>;
