//! The mynah program.

use std::process::ExitCode;

/// musl's own allocator returns every large block to the system at once, so that each reuse costs page faults.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mynah_kernels::malloc::tune();
    mynah_cli::run(std::env::args_os(), mynah_models::registry())
}
