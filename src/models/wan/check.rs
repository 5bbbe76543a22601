use std::path::Path;

use super::{TextEncoder, WanTransformer, WanVae, files};
use crate::models::{PartCheck, PartState};

/// What there is of a WAN model; see [`check`](crate::models::check).
pub(in crate::models) fn check(model: &Path) -> Vec<PartCheck> {
    let transformer = files::transformer(model).and_then(|(config, weights)| {
        PartState::of(
            weights,
            |_| false,
            |params| WanTransformer::new(&config, params).map(drop),
        )
    });
    let vae = files::vae(model).and_then(|(config, weights)| {
        PartState::of(
            weights,
            |_| false,
            |params| WanVae::new(&config, params).map(drop),
        )
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
