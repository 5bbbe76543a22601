use serde::{Deserialize, Serialize};

/// How guidance is used beyond its scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Guidance {
    /// The noise levels, the lower one first, between which there is guidance; elsewhere a step takes one pass. `None` has it
    /// everywhere (Kynkäänniemi et al. 2024, arXiv 2404.07724).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// How far, from 0 to 1, the guided velocity is scaled back to the standard deviation of the one that the prompt
    /// gives (Lin et al. 2023, arXiv 2305.08891, section 3.4).
    pub rescale: f64,
}

/// Why guidance cannot be used. Each is a whole sentence for the user.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GuidanceError {
    /// Not two noise levels, or the higher one first.
    #[error(
        "guidance between the noise levels {low} and {high} cannot be; give two from 0 to 1, the lower one first"
    )]
    Interval {
        /// The one given first.
        low: f64,
        /// The one given next.
        high: f64,
    },
    /// Not a share.
    #[error("a CFG rescale of {0} cannot be used; give a number from 0 to 1, 0 leaves it out")]
    Rescale(f64),
}

impl Guidance {
    /// Whether it is nothing but its scale.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The scale of a step that begins at `sigma` in a stage of scale `cfg`.
    pub fn cfg_at(&self, cfg: f64, sigma: f64) -> f64 {
        match self.interval {
            Some([low, high]) if !(low..=high).contains(&sigma) => 1.0,
            _ => cfg,
        }
    }

    /// Refuses what is no interval and no share.
    ///
    /// # Errors
    /// Says which.
    pub fn check(&self) -> Result<(), GuidanceError> {
        if let Some([low, high]) = self.interval
            && !(0.0 <= low && low <= high && high <= 1.0)
        {
            return Err(GuidanceError::Interval { low, high });
        }
        match (0.0..=1.0).contains(&self.rescale) {
            true => Ok(()),
            false => Err(GuidanceError::Rescale(self.rescale)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guidance_counts_within_its_interval_alone() {
        let within = Guidance {
            interval: Some([0.3, 0.8]),
            rescale: 0.0,
        };
        for (sigma, cfg) in [(1.0, 1.0), (0.8, 4.0), (0.5, 4.0), (0.3, 4.0), (0.29, 1.0)] {
            assert_eq!(within.cfg_at(4.0, sigma), cfg);
        }
        assert_eq!(Guidance::default().cfg_at(4.0, 1.0), 4.0);
    }

    #[test]
    fn what_is_no_interval_or_share_is_refused() {
        let of = |interval, rescale| Guidance { interval, rescale }.check();
        assert_eq!(of(Some([0.0, 1.0]), 1.0), Ok(()));
        for (low, high) in [(0.8, 0.3), (-0.1, 0.5), (0.5, 1.1), (f64::NAN, 0.5)] {
            assert!(matches!(
                of(Some([low, high]), 0.0),
                Err(GuidanceError::Interval { .. })
            ));
        }
        for rescale in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(of(None, rescale), Err(GuidanceError::Rescale(_))));
        }
    }
}
