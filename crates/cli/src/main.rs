//! The mynah program.

use std::process::ExitCode;

/// musl's own allocator gives every large block back to the system at once, and each use of it anew costs page faults.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mynah_kernels::malloc::tune();
    mynah_cli::run(std::env::args_os(), mynah_models::registry())
}
