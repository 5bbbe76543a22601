use serde::Deserialize;

/// A prompt and the seed that goes with it: together they show a pair at its best.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// What a menu calls it.
    pub name: String,
    /// What the clip shows.
    pub prompt: String,
    /// Seed of the initial noise.
    pub seed: u64,
}
