/// Fixes the number of CPU threads of candle, gemm and our own kernels. Call it before anything
/// computes: the pool is made once.
pub fn set_threads(threads: usize) {
    // SAFETY: called from `main` before any other thread exists, so nobody reads the environment now.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", threads.to_string()) };
}

/// Has all threads take memory from one place, where the allocator is glibc's. By itself that gives each thread a place of its own, to
/// which alone goes back what was taken there: room that one thread's results leave then lies unused while the next results take
/// new room on another. Call it before any other thread exists.
pub fn share_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::ffi::c_int;
        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        /// From glibc's `malloc.h`.
        const M_ARENA_MAX: c_int = -8;
        // SAFETY: mallopt(3) looks at both numbers itself; one it refuses leaves things as they are.
        unsafe { mallopt(M_ARENA_MAX, 1) };
    }
}
