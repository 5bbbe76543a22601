use std::path::Path;
use std::sync::Arc;

use candle_core::DType;

use super::{TextEncoder, WanTransformer, WanVae, files};
use crate::models::weights::{Params, Weights};
use crate::models::{ModelError, PartCheck, PartState};

/// What there is of a WAN model; see [`check`](crate::models::check).
pub(in crate::models) fn check(model: &Path) -> Vec<PartCheck> {
    let transformer = files::transformer(model).and_then(|(config, weights)| {
        state(
            weights,
            |_| false,
            |params| WanTransformer::new(&config, params).map(drop),
        )
    });
    let vae = files::vae(model).and_then(|(config, weights)| {
        state(
            weights,
            |_| false,
            |params| WanVae::new(&config, params).map(drop),
        )
    });
    let text = files::text(model).and_then(|(config, weights)| {
        let construct = |params| TextEncoder::construct(&config, params);
        state(weights, TextEncoder::is_spare, construct)
    });
    let tokenizer = TextEncoder::check_tokenizer(model).map(|path| PartState {
        path,
        tensors: 0,
        parameters: 0,
        faults: Vec::new(),
    });
    [
        ("transformer", transformer),
        ("vae", vae),
        ("text_encoder", text),
        ("tokenizer", tokenizer),
    ]
    .map(|(part, outcome)| PartCheck { part, outcome })
    .into()
}

fn state(
    weights: Weights,
    spare: impl Fn(&str) -> bool,
    construct: impl Fn(Params) -> candle_core::Result<()>,
) -> Result<PartState, ModelError> {
    let weights = Arc::new(weights);
    Ok(PartState {
        path: weights.path().to_owned(),
        tensors: weights.names().count(),
        parameters: weights.parameters(),
        faults: weights.faults(DType::F32, spare, construct)?,
    })
}
