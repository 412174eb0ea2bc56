//! How the program ends.

use std::fmt;
use std::io;
use std::process::ExitCode;

use mynah_core::ModelError;
use mynah_engine::Error;

/// What ended a command. Each kind has its exit code, which `mynah --help` lists.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something could not be done; the files that failed have been named already where there is no message.
    Failed(Option<String>),
    /// The command line contradicts itself.
    Usage(String),
    /// The model is unknown, cannot be fetched or cannot be loaded.
    ModelUnavailable(String),
    /// A signal asked to stop; its number.
    Interrupted(u8),
    /// Standard output was closed.
    BrokenPipe,
}

impl Failure {
    /// Prints the error and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Failure::Failed(message) => {
                if let Some(message) = message {
                    print_error(&message);
                }
                ExitCode::from(1)
            }
            Failure::Usage(message) => {
                print_error(&format!("{message}\nTry --help."));
                ExitCode::from(2)
            }
            Failure::ModelUnavailable(message) => {
                print_error(&message);
                ExitCode::from(3)
            }
            Failure::Interrupted(signal) => ExitCode::from(128 + signal),
            Failure::BrokenPipe => ExitCode::SUCCESS,
        }
    }
}

/// One message on standard error.
#[expect(clippy::print_stderr, reason = "errors are printed to the terminal")]
pub(crate) fn print_error(message: &str) {
    eprintln!("mynah: {message}");
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(Some(message)) | Self::Usage(message) | Self::ModelUnavailable(message) => {
                f.write_str(message)
            }
            Self::Failed(None) => f.write_str("something failed"),
            Self::Interrupted(signal) => write!(f, "interrupted by signal {signal}"),
            Self::BrokenPipe => f.write_str("standard output was closed"),
        }
    }
}

impl From<io::Error> for Failure {
    /// Of writing results.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => Failure::Failed(Some(format!("cannot write the result: {error}"))),
        }
    }
}

/// Whether the model is at fault, so that no other file would fare better.
pub(crate) fn is_model_fault(error: &Error) -> bool {
    matches!(
        error,
        Error::UnknownModel { .. }
            | Error::WrongTask { .. }
            | Error::NotOnDisk(_)
            | Error::Offline(_)
            | Error::NoNetwork { .. }
            | Error::Download { .. }
            | Error::NoSpace { .. }
            | Error::Model(ModelError::Weights(_))
    )
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Cancelled => Failure::Interrupted(2),
            error if is_model_fault(&error) => Failure::ModelUnavailable(error.to_string()),
            error => Failure::Failed(Some(error.to_string())),
        }
    }
}
