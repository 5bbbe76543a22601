use std::time::Duration;

/// Frames remembered; at 60 a second that is the last half minute.
const WINDOW: usize = 2048;

/// How long the window's own work of a frame takes: draining events, laying out and describing what
/// to paint. Kept apart by what goes on, which is what the promise is about.
#[derive(Clone, Debug, Default)]
pub struct FrameStats {
    idle_secs: Ring,
    busy_secs: Ring,
    drag_secs: Ring,
}

/// What goes on while a frame is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Nothing.
    Idle,
    /// A run is going.
    Run,
    /// A boundary or a number is being dragged, whether a run is going or not.
    Drag,
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
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
}

impl FrameStats {
    /// Notes one frame.
    pub fn add(&mut self, took: Duration, doing: Doing) {
        let ring = match doing {
            Doing::Idle => &mut self.idle_secs,
            Doing::Run => &mut self.busy_secs,
            Doing::Drag => &mut self.drag_secs,
        };
        ring.push(took.as_secs_f32());
    }

    /// Frames drawn meanwhile; `None` before the first.
    pub fn during(&self, doing: Doing) -> Option<FrameTimes> {
        let ring = match doing {
            Doing::Idle => &self.idle_secs,
            Doing::Run => &self.busy_secs,
            Doing::Drag => &self.drag_secs,
        };
        Some(FrameTimes {
            frames: ring.values.len(),
            median_ms: ring.quantile(0.5)? * 1e3,
            p99_ms: ring.quantile(0.99)? * 1e3,
        })
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let part = |name: &str, doing: Doing| match self.during(doing) {
            Some(t) => format!(
                "{name}: {} frames, median {:.2} ms, p99 {:.2} ms",
                t.frames, t.median_ms, t.p99_ms
            ),
            None => format!("{name}: no frames"),
        };
        format!(
            "window frame times; {}; {}; {}",
            part("while a run is going", Doing::Run),
            part("during a drag", Doing::Drag),
            part("otherwise", Doing::Idle)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_p99_of_known_times() {
        let mut stats = FrameStats::default();
        assert_eq!(stats.during(Doing::Run), None);
        for ms in 1..=101 {
            stats.add(Duration::from_millis(ms), Doing::Run);
        }
        stats.add(Duration::from_millis(7), Doing::Drag);
        let times = stats.during(Doing::Run).unwrap();
        assert_eq!(times.frames, 101);
        assert!((times.median_ms - 51.0).abs() < 1e-3);
        assert!((times.p99_ms - 100.0).abs() < 1e-3);
        assert_eq!(stats.during(Doing::Drag).unwrap().frames, 1);
        assert_eq!(stats.during(Doing::Idle), None);
    }

    #[test]
    fn old_frames_are_forgotten() {
        let mut stats = FrameStats::default();
        stats.add(Duration::from_secs(9), Doing::Idle);
        for _ in 0..WINDOW {
            stats.add(Duration::from_millis(1), Doing::Idle);
        }
        let times = stats.during(Doing::Idle).unwrap();
        assert_eq!(times.frames, WINDOW);
        assert!((times.p99_ms - 1.0).abs() < 1e-3);
    }
}
