use std::path::Path;

use super::{LtxTransformer, LtxVae, TextEncoder, files};
use crate::models::check::{PartCheck, PartState};

/// What there is of an LTX-Video model; see [`check`](crate::models::check).
pub(in crate::models) fn check(model: &Path) -> Vec<PartCheck> {
    let none = |_: &str| false;
    let transformer = files::transformer(model).and_then(|(config, weights)| {
        PartState::of(weights, none, |params| {
            LtxTransformer::new(&config, params).map(drop)
        })
    });
    let vae = files::vae(model).and_then(|(config, weights)| {
        if let Ok(transformer) = files::transformer_config(model) {
            files::check_vae_age(model, &transformer)?;
        }
        PartState::of(weights, none, |params| {
            LtxVae::new(&config, params).map(drop)
        })
    });
    let text = files::text(model).and_then(|(config, weights)| {
        let construct = |params| TextEncoder::construct(&config, params);
        PartState::of(weights, TextEncoder::is_spare, construct)
    });
    let tokenizer = TextEncoder::check_tokenizer(model).map(PartState::file);
    [
        ("transformer", transformer),
        ("vae", vae),
        ("text_encoder", text),
        ("tokenizer", tokenizer),
    ]
    .map(|(part, outcome)| PartCheck { part, outcome })
    .into()
}
