use super::AxisSpan;
use crate::schedule::{SigmaGrid, TRAIN_TIMESTEPS};

/// What the ruler counts in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AxisUnit {
    /// Denoising steps, evenly spaced.
    #[default]
    Step,
    /// Percent of the steps, evenly spaced.
    Percent,
    /// Noise level, falling from left to right.
    Sigma,
    /// Timestep of training, falling from left to right.
    Timestep,
}

impl AxisUnit {
    /// Every unit, in the order of the switch.
    pub const ALL: [Self; 4] = [Self::Step, Self::Percent, Self::Sigma, Self::Timestep];

    /// The label of the switch.
    pub fn short(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Percent => "%",
            Self::Sigma => "σ",
            Self::Timestep => "t",
        }
    }

    /// What it means, for tooltips and accessible names.
    pub fn words(self) -> &'static str {
        match self {
            Self::Step => "Axis in steps",
            Self::Percent => "Axis in percent of the steps",
            Self::Sigma => "Axis in noise level sigma",
            Self::Timestep => "Axis in timesteps of training",
        }
    }

    /// What is typed in it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Step => "in steps",
            Self::Percent => "in percent of the steps",
            Self::Sigma => "as noise level sigma",
            Self::Timestep => "as timestep of training",
        }
    }

    fn follows_noise(self) -> bool {
        matches!(self, Self::Sigma | Self::Timestep)
    }
}

/// A labelled place on the ruler.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Where, in steps.
    pub position: f64,
    /// What is written there.
    pub label: String,
}

/// Maps positions in the schedule, counted in steps and between them, to x and back. All in f64.
#[derive(Clone, Debug)]
pub struct Axis<'a> {
    unit: AxisUnit,
    grid: &'a SigmaGrid,
    left_px: f64,
    width_px: f64,
    span: AxisSpan,
}

impl<'a> Axis<'a> {
    /// An axis that shows the whole schedule between two x.
    pub fn new(unit: AxisUnit, grid: &'a SigmaGrid, left_px: f64, right_px: f64) -> Self {
        Self {
            unit,
            grid,
            left_px,
            width_px: (right_px - left_px).max(1.0),
            span: AxisSpan::default(),
        }
    }

    /// The same axis with a part of the schedule on the same width.
    #[must_use]
    pub fn showing(self, span: AxisSpan) -> Self {
        Self { span, ..self }
    }

    /// What the ruler counts in.
    pub fn unit(&self) -> AxisUnit {
        self.unit
    }

    /// Noise levels of the schedule.
    pub fn grid(&self) -> &'a SigmaGrid {
        self.grid
    }

    /// Number of steps of the schedule.
    pub fn steps(&self) -> usize {
        self.grid.steps()
    }

    /// Where a position in steps is drawn.
    pub fn x(&self, position: f64) -> f64 {
        self.left_px
            + self.width_px * (self.share(position) - self.span.start()) / self.span.length()
    }

    /// Whether an x lies on the track, and not on a part of the schedule beside it.
    pub fn shows(&self, x_px: f64) -> bool {
        // Half a pixel: the ends themselves are shown.
        (self.left_px - 0.5..=self.left_px + self.width_px + 0.5).contains(&x_px)
    }

    /// The position in steps under an x, kept inside the schedule.
    pub fn position(&self, x_px: f64) -> f64 {
        let on_track = (x_px - self.left_px) / self.width_px;
        let share = (self.span.start() + on_track * self.span.length()).clamp(0.0, 1.0);
        if self.unit.follows_noise() {
            let top = self.grid.sigma(0);
            self.grid.position_of_sigma(top * (1.0 - share))
        } else {
            share * self.steps() as f64
        }
    }

    /// Steps that `px` pixels span around a position; how far a magnet reaches there.
    pub fn steps_in_px(&self, position: f64, px: f64) -> f64 {
        let x = self.x(position);
        (self.position(x + px) - self.position(x - px)).abs() / 2.0
    }

    /// Labelled ticks of what is shown, at least `spacing_px` apart.
    pub fn ticks(&self, spacing_px: f64) -> Vec<Tick> {
        // As many as fit on the whole axis at this zoom; those beside the track are dropped.
        let mut ticks = self.all_ticks((self.width_px * self.span.zoom() / spacing_px).max(1.0));
        ticks.retain(|tick| self.shows(self.x(tick.position)));
        ticks
    }

    fn all_ticks(&self, fitting: f64) -> Vec<Tick> {
        match self.unit {
            AxisUnit::Step => {
                let steps = self.steps();
                let stride = round_stride(steps as f64 / fitting);
                let mut ticks: Vec<_> = (0..=steps)
                    .step_by(stride)
                    .map(|i| Tick {
                        position: i as f64,
                        label: i.to_string(),
                    })
                    .collect();
                close_with(&mut ticks, stride, steps);
                ticks
            }
            AxisUnit::Percent => {
                let stride = [1, 2, 5, 10, 20, 25, 50]
                    .into_iter()
                    .find(|s| f64::from(*s) >= 100.0 / fitting)
                    .unwrap_or(100);
                (0..=100)
                    .step_by(stride as usize)
                    .map(|p| Tick {
                        position: f64::from(p) / 100.0 * self.steps() as f64,
                        label: format!("{p} %"),
                    })
                    .collect()
            }
            AxisUnit::Sigma | AxisUnit::Timestep => {
                let stride = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5]
                    .into_iter()
                    .find(|s| *s >= 1.0 / fitting)
                    .unwrap_or(1.0);
                let count = (1.0 / stride).round() as usize;
                (0..=count)
                    .map(|i| 1.0 - i as f64 * stride)
                    .filter(|sigma| *sigma <= self.grid.sigma(0) + 1e-9)
                    .map(|sigma| Tick {
                        position: self.grid.position_of_sigma(sigma),
                        label: match self.unit {
                            AxisUnit::Sigma if stride < 0.01 => format!("{:.3}", sigma.abs()),
                            AxisUnit::Sigma if stride < 0.1 || stride == 0.25 => {
                                format!("{:.2}", sigma.abs())
                            }
                            AxisUnit::Sigma => format!("{:.1}", sigma.abs()),
                            _ => format!("{:.0}", (sigma * TRAIN_TIMESTEPS).abs()),
                        },
                    })
                    .collect()
            }
        }
    }

    /// How far along the whole axis a position lies, 0..=1.
    pub fn share(&self, position: f64) -> f64 {
        if self.unit.follows_noise() {
            1.0 - self.grid.sigma_at(position) / self.grid.sigma(0)
        } else {
            position.clamp(0.0, self.steps() as f64) / self.steps().max(1) as f64
        }
    }
}

/// The smallest of 1, 2, 5, 10, 20, 50… that is at least `wanted`.
fn round_stride(wanted: f64) -> usize {
    let mut decade = 1;
    loop {
        for factor in [1, 2, 5] {
            if (factor * decade) as f64 >= wanted {
                return factor * decade;
            }
        }
        decade *= 10;
    }
}

/// Ends the ruler with the last step, in place of a tick that would collide with it.
fn close_with(ticks: &mut Vec<Tick>, stride: usize, steps: usize) {
    let last = ticks.last().map_or(0.0, |t| t.position);
    let gap = steps as f64 - last;
    if gap == 0.0 {
        return;
    }
    if gap < 0.8 * stride as f64 && ticks.len() > 1 {
        ticks.pop();
    }
    ticks.push(Tick {
        position: steps as f64,
        label: steps.to_string(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_unit() -> impl Strategy<Value = AxisUnit> {
        (0usize..4).prop_map(|i| AxisUnit::ALL[i])
    }

    fn any_span() -> impl Strategy<Value = AxisSpan> {
        (0.0f64..=1.0, 1.0f64..20.0).prop_map(|(at, factor)| {
            let mut span = AxisSpan::default();
            span.zoom_at(at, factor);
            span
        })
    }

    proptest! {
        #[test]
        fn x_and_position_are_inverse_at_any_zoom(
            unit in any_unit(), steps in 1usize..120, shift in 0.5f64..10.0, part in 0.0f64..=1.0,
            span in any_span(),
        ) {
            let grid = SigmaGrid::flow_euler(steps, shift);
            let axis = Axis::new(unit, &grid, 37.0, 811.5).showing(span);
            let position = part * steps as f64;
            prop_assert!((axis.position(axis.x(position)) - position).abs() < 1e-6);
        }

        #[test]
        fn x_rises_with_the_position(unit in any_unit(), steps in 1usize..120, shift in 0.5f64..10.0) {
            let grid = SigmaGrid::flow_euler(steps, shift);
            let axis = Axis::new(unit, &grid, 0.0, 800.0);
            let xs: Vec<f64> = (0..=steps).map(|i| axis.x(i as f64)).collect();
            prop_assert!(xs.windows(2).all(|w| w[0] < w[1]));
            prop_assert!(xs[0].abs() < 1e-9 && (xs[steps] - 800.0).abs() < 1e-9);
        }

        #[test]
        fn the_shown_part_fills_the_track(
            unit in any_unit(), steps in 1usize..120, shift in 0.5f64..10.0, span in any_span(),
        ) {
            let grid = SigmaGrid::flow_euler(steps, shift);
            let axis = Axis::new(unit, &grid, 20.0, 820.0).showing(span);
            let (left, right) = (axis.position(20.0), axis.position(820.0));
            prop_assert!((axis.share(left) - span.start()).abs() < 1e-9);
            prop_assert!((axis.share(right) - span.start() - span.length()).abs() < 1e-9);
        }

        #[test]
        fn ticks_keep_their_distance(
            unit in any_unit(), steps in 1usize..200, width in 120.0f64..1600.0, span in any_span(),
        ) {
            let grid = SigmaGrid::flow_euler(steps, 3.0);
            let axis = Axis::new(unit, &grid, 0.0, width).showing(span);
            let ticks = axis.ticks(56.0);
            prop_assert!(!ticks.is_empty() || !span.is_whole());
            prop_assert!(ticks.iter().all(|t| axis.shows(axis.x(t.position))));
            prop_assert!(ticks.windows(2).all(|w| axis.x(w[1].position) - axis.x(w[0].position) > 0.75 * 56.0));
        }
    }

    #[test]
    fn an_x_outside_is_kept_inside() {
        let grid = SigmaGrid::flow_euler(30, 3.0);
        for unit in AxisUnit::ALL {
            let axis = Axis::new(unit, &grid, 100.0, 200.0);
            assert_eq!(axis.position(-5000.0), 0.0);
            assert_eq!(axis.position(5000.0), 30.0);
        }
    }

    #[test]
    fn steps_end_with_the_last_one() {
        let grid = SigmaGrid::flow_euler(32, 3.0);
        let labels: Vec<_> = Axis::new(AxisUnit::Step, &grid, 0.0, 500.0)
            .ticks(56.0)
            .into_iter()
            .map(|t| t.label)
            .collect();
        assert_eq!(labels, ["0", "5", "10", "15", "20", "25", "32"]);
    }
}
