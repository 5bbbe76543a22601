use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use anyhow::{Context as _, Result};

/// Does the jobs `0..count` on threads of their own, `threads.0` at once with `threads.1` compute threads
/// each, and gives their results in order. `done` hears of each job that has ended. The first error ends
/// the work.
///
/// Whole jobs side by side lose no time in waiting for one another, as the parts of one job do.
pub fn side_by_side<T: Send>(
    count: usize,
    threads: (usize, usize),
    job: impl Fn(usize) -> Result<T> + Sync,
    mut done: impl FnMut(usize),
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let (results, arrived) = mpsc::channel();
    std::thread::scope(|scope| {
        for worker in 0..threads.0.min(count) {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads.1)
                .thread_name(move |i| format!("worker-{worker}-{i}"))
                .build()
                .context("a worker's threads cannot start; give fewer --workers")?;
            let (results, next, job) = (results.clone(), &next, &job);
            std::thread::Builder::new()
                .name(format!("worker-{worker}"))
                .spawn_scoped(scope, move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= count {
                            break;
                        }
                        let result = pool.install(|| job(index));
                        if results.send((index, result)).is_err() {
                            break;
                        }
                    }
                })
                .context("a worker cannot start; give fewer --workers")?;
        }
        drop(results);
        let mut finished: Vec<Option<T>> = (0..count).map(|_| None).collect();
        for (index, result) in arrived {
            match result {
                Ok(value) => finished[index] = Some(value),
                Err(why) => {
                    // Nobody takes another job; those under way end first.
                    next.store(count, Ordering::Relaxed);
                    return Err(why);
                }
            }
            done(finished.iter().flatten().count());
        }
        finished
            .into_iter()
            .collect::<Option<Vec<T>>>()
            .context("a worker stopped without a word; please report this")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_errors_end_the_work() {
        let mut heard = 0;
        let squares = side_by_side(20, (3, 1), |i| Ok(i * i), |done| heard = done).unwrap();
        assert_eq!(squares, (0..20).map(|i| i * i).collect::<Vec<_>>());
        assert_eq!(heard, 20);
        let failed = side_by_side(
            1000,
            (2, 1),
            |i| {
                if i == 3 {
                    anyhow::bail!("three")
                } else {
                    Ok(i)
                }
            },
            |_| {},
        );
        assert_eq!(failed.unwrap_err().to_string(), "three");
    }
}
