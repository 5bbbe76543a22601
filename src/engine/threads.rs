/// Fixes the number of CPU threads of candle, gemm and our own kernels. Call it before anything
/// computes: the pool is made once.
pub fn set_threads(threads: usize) {
    // SAFETY: called from `main` before any other thread exists, so nobody reads the environment now.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", threads.to_string()) };
}
