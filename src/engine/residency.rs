use crate::schedule::{ModelRole, StepPlan};

/// What the parts of a run hold in memory at one size, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryNeed {
    /// The program itself.
    pub base: u64,
    /// The text encoder.
    pub text: u64,
    /// The large, the small and the distilled transformer; 0 where there is none.
    pub transformers: [u64; 3],
    /// What a transformer computes with beside its weights.
    pub denoise: u64,
    /// The VAE.
    pub vae: u64,
    /// What the VAE computes with beside its weights, and the clip.
    pub decode: u64,
    /// The same where it decodes in tiles.
    pub decode_in_tiles: u64,
}

/// Which models lie in memory side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residency {
    /// All that a run needs, from one run to the next.
    Together,
    /// One transformer at a time, and neither while the VAE decodes. Costs a load at every change of
    /// model.
    Swapped,
}

/// How a run goes into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Which models lie there side by side.
    pub residency: Residency,
    /// Whether the VAE decodes in tiles, which takes longer and differs a little where they meet.
    pub in_tiles: bool,
}

impl Fit {
    /// The most roomy first, then by what it costs: some decoding twice costs less than reading
    /// models again.
    const ALL: [Self; 4] = [
        Self::new(Residency::Together, false),
        Self::new(Residency::Together, true),
        Self::new(Residency::Swapped, false),
        Self::new(Residency::Swapped, true),
    ];
    /// Everything at once.
    pub const ROOMY: Self = Self::ALL[0];
    /// The least memory that a run can do with.
    pub const TIGHT: Self = Self::ALL[3];

    const fn new(residency: Residency, in_tiles: bool) -> Self {
        Self {
            residency,
            in_tiles,
        }
    }
}

impl MemoryNeed {
    fn transformer(&self, role: ModelRole) -> u64 {
        self.transformers[role.index()]
    }

    /// The weights of the transformers of `roles`.
    pub fn of_transformers(&self, roles: &[ModelRole]) -> u64 {
        let used = ModelRole::ALL.into_iter().filter(|r| roles.contains(r));
        used.map(|role| self.transformer(role)).sum()
    }

    /// The most that a run of these models holds at once.
    pub fn peak(&self, roles: &[ModelRole], fit: Fit) -> u64 {
        let decode = if fit.in_tiles {
            self.decode_in_tiles
        } else {
            self.decode
        };
        let during = match fit.residency {
            Residency::Together => {
                self.of_transformers(roles) + self.vae + self.denoise.max(decode)
            }
            Residency::Swapped => {
                let largest = roles.iter().map(|role| self.transformer(*role)).max();
                (largest.unwrap_or(0) + self.denoise).max(self.vae + decode)
            }
        };
        self.base + during.max(self.text)
    }

    /// How a run of these models goes into `available` bytes; `None` where it does not, and where
    /// nobody knows how many there are, all is kept.
    pub fn fit(&self, roles: &[ModelRole], available: Option<u64>) -> Option<Fit> {
        let Some(available) = available else {
            return Some(Fit::ROOMY);
        };
        let mut fits = Fit::ALL.into_iter();
        fits.find(|fit| self.peak(roles, *fit) <= available)
    }
}

/// The stretches of a plan that one load of models serves: the end of each and its models.
pub fn stretches(plans: &[StepPlan], residency: Residency) -> Vec<(usize, Vec<ModelRole>)> {
    let mut stretches: Vec<(usize, Vec<ModelRole>)> = Vec::new();
    for (i, step) in plans.iter().enumerate() {
        match stretches.last_mut() {
            Some((end, roles)) if residency == Residency::Together || roles[..] == [step.model] => {
                *end = i + 1;
                if !roles.contains(&step.model) {
                    roles.push(step.model);
                }
            }
            _ => stretches.push((i + 1, vec![step.model])),
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Plan;

    const NEED: MemoryNeed = MemoryNeed {
        base: 1,
        text: 11,
        transformers: [28, 3, 2],
        denoise: 5,
        vae: 1,
        decode: 40,
        decode_in_tiles: 6,
    };
    const BOTH: [ModelRole; 2] = [ModelRole::Large, ModelRole::Small];

    #[test]
    fn models_are_swapped_and_tiles_made_only_where_they_must() {
        use Residency::{Swapped, Together};
        let [roomy, tiled, swapped, tight] = Fit::ALL;
        assert_eq!(NEED.peak(&BOTH, roomy), 1 + 28 + 3 + 1 + 40);
        assert_eq!(NEED.peak(&BOTH, tiled), 1 + 28 + 3 + 1 + 6);
        assert_eq!(NEED.peak(&BOTH, swapped), 1 + 1 + 40);
        assert_eq!(NEED.peak(&BOTH, tight), 1 + 28 + 5);
        for (available, fit) in [
            (None, Some(Fit::new(Together, false))),
            (Some(73), Some(Fit::new(Together, false))),
            (Some(72), Some(Fit::new(Together, true))),
            (Some(39), Some(Fit::new(Together, true))),
            (Some(38), Some(Fit::new(Swapped, true))),
            (Some(34), Some(Fit::new(Swapped, true))),
            (Some(33), None),
        ] {
            assert_eq!(NEED.fit(&BOTH, available), fit);
        }
        // Where tiles would not help enough to keep both models, the decode stays whole.
        let large = MemoryNeed {
            transformers: [40, 20, 20],
            ..NEED
        };
        assert_eq!(large.fit(&BOTH, Some(46)), Some(Fit::new(Swapped, false)));
        // A small model alone is held against the text encoder.
        assert_eq!(NEED.peak(&[ModelRole::Small], tight), 1 + 11);
    }

    #[test]
    fn stretches_end_where_a_model_has_to_be_loaded() {
        use ModelRole::{Distilled, Large, Small};
        let plans = Plan::parse("LSL", &[0.4, 0.8]).unwrap().steps(10, 3.0);
        assert_eq!(
            stretches(&plans, Residency::Together),
            [(10, vec![Large, Small])]
        );
        assert_eq!(
            stretches(&plans, Residency::Swapped),
            [(4, vec![Large]), (8, vec![Small]), (10, vec![Large])]
        );
        assert_eq!(stretches(&[], Residency::Swapped), []);
        let plans = Plan::parse("LDL", &[0.4, 0.8]).unwrap().steps(10, 3.0);
        assert_eq!(
            stretches(&plans, Residency::Swapped)[1],
            (8, vec![Distilled])
        );
        let roles = [Large, Small, Distilled];
        assert_eq!(NEED.of_transformers(&roles), 28 + 3 + 2);
    }
}
