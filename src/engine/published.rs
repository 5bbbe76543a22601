//! What is known of a public pair before any of its files is there.

use std::sync::Arc;

use super::event::{PairRules, PairSummary};
use super::memory::available_bytes;
use super::pair_pipeline::{EngineOptions, default_settings};
use super::rules::Rules;
use super::timings::PairTimings;
use crate::models::registry::Registry;
use crate::models::{ModelError, PairDefaults, PairSpec};
use crate::preview::RgbFactors;
use crate::project::PairRef;

/// The device that a pair without files runs on.
const NOWHERE: &str = "no device yet";

/// The pair from its manifest and the configurations that its authors published, where a manifest names them and
/// the models are not on disk; `None` for every other pair. Nothing of it was measured. The error is a sentence.
pub fn published_pair(
    pair: &PairRef,
    options: &EngineOptions,
) -> Result<Option<PairSummary>, String> {
    let PairRef::Named(name) = pair else {
        return Ok(None);
    };
    let registry = Registry::open();
    if !matches!(registry.find(name), Err(ModelError::NotFetched { .. })) {
        return Ok(None);
    }
    let (manifest, folder) = registry.manifest(name).map_err(|why| why.to_string())?;
    let Some(rules) = Rules::published(&manifest, options.weights()) else {
        return Ok(None);
    };
    let spec = PairSpec {
        name: manifest.name.clone(),
        large: folder.join("large"),
        small: folder.join("small"),
        distilled: None,
        licence: Some(manifest.licence),
        defaults: PairDefaults {
            distilled_sigmas: manifest.distilled_sigmas,
            ..PairDefaults::published(rules.family())
        },
    };
    let (parameters, channels) = (rules.parameters(), rules.channels());
    let rules: Arc<dyn PairRules> = Arc::new(rules);
    Ok(Some(PairSummary {
        pair: pair.clone(),
        parameters,
        rgb: RgbFactors::first_channels(channels),
        rules,
        timings: PairTimings::default(),
        known_boundaries: Vec::new(),
        known_plans: Vec::new(),
        profiles: Default::default(),
        weights: options.weights(),
        memory_bytes: options
            .memory_bytes
            .or_else(|| available_bytes().filter(|_| options.is_for_cpu())),
        device: NOWHERE.to_owned(),
        // Nothing can be run.
        source: String::new(),
        vocabulary: Vec::new(),
        presets: Vec::new(),
        defaults: default_settings(&spec, pair)?,
        name: spec.name,
    }))
}
