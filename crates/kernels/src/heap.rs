//! How the process's memory is managed.

/// Has all threads share one heap. The C library would give each its own, and what a job's thread has freed would stay with
/// it: with sixteen clients that is more than a small model's weights. Nothing is lost by it, as jobs compute in turns. To
/// be called before threads are started; does nothing where the C library is not GNU's.
pub fn share() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt may be called at any time; a setting it does not know is no error.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
