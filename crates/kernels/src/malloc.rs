//! Settings of the C library's memory allocator.

/// Larger blocks go back to the system when they are freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES: i32 = 32 << 20;

/// Makes all threads share one heap. By default the GNU C library gives each its own, and memory that a job's thread frees
/// stays there: with sixteen clients that is more than a small model's weights. Sharing costs no speed, as one job computes at a
/// time. Also keeps the memory that one window frees for the next one; otherwise it goes back to the system, which maps it again
/// page by page.
///
/// Call this before any thread is started. Does nothing with other C libraries.
pub fn tune() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt may be called at any time; an unknown setting is ignored.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * KEPT_BYTES);
    }
}
