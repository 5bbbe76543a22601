//! What brings weights into memory: transformers for the steps, the VAE for the clip.

use std::time::Instant;

use candle_core::Tensor;

use super::Job;
use crate::engine::event::Phase;
use crate::engine::pipeline::{Progress, RunError};
use crate::engine::residency::Residency;
use crate::media::Clip;
use crate::schedule::ModelRole;

/// What loading cost so far.
#[derive(Default)]
pub(super) struct Loads {
    pub(super) secs: f64,
    pub(super) bytes: u64,
}

impl Loads {
    /// Loads a part, tells how far it is, and counts what it cost.
    fn time(
        &mut self,
        progress: &mut dyn FnMut(Progress),
        load: impl FnOnce(&mut dyn FnMut(u64, u64)) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let started = Instant::now();
        let mut bytes = 0;
        let outcome = load(&mut |done, total| {
            bytes = done;
            progress(Progress::Loaded { done, total });
        });
        self.secs += started.elapsed().as_secs_f64();
        self.bytes += bytes;
        outcome
    }
}

impl Job<'_> {
    /// Has the transformers of `roles` in memory, and the VAE where there is room for it.
    pub(super) fn load(
        &mut self,
        roles: &[ModelRole],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RunError> {
        let is_swapped = self.fit.residency == Residency::Swapped;
        let is_new = |role: &&ModelRole| !self.loaded.resident().contains(role);
        if roles.iter().any(|role| is_new(&role)) {
            progress(Progress::Phase(Phase::Loading));
        }
        if is_swapped {
            self.loaded.keep_transformers(roles);
            self.loaded.drop_vae();
        }
        let cancel = self.cancel;
        let loaded = &mut *self.loaded;
        for role in roles {
            self.loads.time(progress, |tell| {
                loaded.load_transformer(*role, cancel, tell)
            })?;
        }
        loaded.set_clip(self.request.settings.fps, self.request.settings.seed)?;
        if !is_swapped {
            // Before the long work: a spoilt file is better known now.
            self.loads
                .time(progress, |tell| loaded.load_vae(cancel, tell))?;
        }
        Ok(())
    }

    /// The clip that latents become, and the seconds that took.
    pub(super) fn decode(
        &mut self,
        latents: &Tensor,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Clip, f64), RunError> {
        if self.fit.residency == Residency::Swapped {
            self.loaded.keep_transformers(&[]);
        }
        let (cancel, loaded) = (self.cancel, &mut *self.loaded);
        self.loads
            .time(progress, |tell| loaded.load_vae(cancel, tell))?;
        loaded.set_clip(self.request.settings.fps, self.request.settings.seed)?;
        progress(Progress::Phase(Phase::Decoding));
        let started = Instant::now();
        let is_watched = self.request.preview_every > 0;
        let clip = loaded.decode(
            latents,
            self.request.settings.fps,
            self.fit.in_tiles,
            cancel,
            &mut |done, total, frames| {
                let frames = match is_watched {
                    true => frames.to_vec(),
                    false => Vec::new(),
                };
                progress(Progress::Decoded {
                    done,
                    total,
                    frames,
                });
            },
        )?;
        Ok((clip, started.elapsed().as_secs_f64()))
    }
}
