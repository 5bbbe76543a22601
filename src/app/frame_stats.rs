use std::time::Duration;

/// Frames remembered; at 60 a second that is the last half minute.
const WINDOW: usize = 2048;

/// How long the window's own work of a frame takes: draining events, laying out and describing what
/// to paint. Kept apart for frames drawn while a run is going, which is what the promise is about.
#[derive(Clone, Debug, Default)]
pub struct FrameStats {
    idle_secs: Ring,
    busy_secs: Ring,
}

#[derive(Clone, Debug, Default)]
struct Ring {
    values: Vec<f32>,
    next: usize,
}

impl Ring {
    fn push(&mut self, value: f32) {
        if self.values.len() < WINDOW {
            self.values.push(value);
        } else {
            self.values[self.next] = value;
        }
        self.next = (self.next + 1) % WINDOW;
    }

    /// The value that `share` of all are at or below.
    fn quantile(&self, share: f64) -> Option<f64> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f32::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        Some(f64::from(sorted[(last as f64 * share).round() as usize]))
    }
}

/// Frame times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameTimes {
    /// Frames measured.
    pub frames: usize,
    /// Half of the frames took no longer.
    pub median_ms: f64,
    /// 95 of 100 took no longer.
    pub p95_ms: f64,
}

impl FrameStats {
    /// Notes one frame.
    pub fn add(&mut self, took: Duration, run_going: bool) {
        let ring = if run_going {
            &mut self.busy_secs
        } else {
            &mut self.idle_secs
        };
        ring.push(took.as_secs_f32());
    }

    /// Frames drawn while a run was going; `None` before the first.
    pub fn during_runs(&self) -> Option<FrameTimes> {
        Self::times(&self.busy_secs)
    }

    /// All other frames; `None` before the first.
    pub fn idle(&self) -> Option<FrameTimes> {
        Self::times(&self.idle_secs)
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let part = |name: &str, times: Option<FrameTimes>| match times {
            Some(t) => format!(
                "{name}: {} frames, median {:.2} ms, p95 {:.2} ms",
                t.frames, t.median_ms, t.p95_ms
            ),
            None => format!("{name}: no frames"),
        };
        format!(
            "window frame times; {}; {}",
            part("while a run is going", self.during_runs()),
            part("otherwise", self.idle())
        )
    }

    fn times(ring: &Ring) -> Option<FrameTimes> {
        Some(FrameTimes {
            frames: ring.values.len(),
            median_ms: ring.quantile(0.5)? * 1e3,
            p95_ms: ring.quantile(0.95)? * 1e3,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_p95_of_known_times() {
        let mut stats = FrameStats::default();
        assert_eq!(stats.during_runs(), None);
        for ms in 1..=101 {
            stats.add(Duration::from_millis(ms), true);
        }
        let times = stats.during_runs().unwrap();
        assert_eq!(times.frames, 101);
        assert!((times.median_ms - 51.0).abs() < 1e-3);
        assert!((times.p95_ms - 96.0).abs() < 1e-3);
        assert_eq!(stats.idle(), None);
    }

    #[test]
    fn old_frames_are_forgotten() {
        let mut stats = FrameStats::default();
        stats.add(Duration::from_secs(9), false);
        for _ in 0..WINDOW {
            stats.add(Duration::from_millis(1), false);
        }
        assert_eq!(stats.idle().unwrap().frames, WINDOW);
        assert!((stats.idle().unwrap().p95_ms - 1.0).abs() < 1e-3);
    }
}
