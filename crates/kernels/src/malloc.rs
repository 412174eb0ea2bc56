//! How the process's memory is managed.

/// Larger pieces of memory are the system's again once they are freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES: i32 = 32 << 20;

/// Has all threads share one heap. The C library would give each its own, and what a job's thread has freed would stay with
/// it: with sixteen clients that is more than a small model's weights. Nothing is lost by it, as jobs compute in turns. To
/// be called before threads are started; does nothing where the C library is not GNU's.
///
/// And keep what windows free for the next ones: it would go back to the system, which hands it out page by page again.
pub fn tune() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt may be called at any time; a setting it does not know is no error.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * KEPT_BYTES);
    }
}
