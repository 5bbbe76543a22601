//! What the player plays.

use eframe::egui::Context;

use super::{App, Source, duration};

impl App {
    /// Gives the player what the preview shows: an estimate, else the clip.
    fn follow_source(&mut self) {
        let scene = self.scene();
        let (source, frames, fps, stride) = match (scene.estimate(), scene.gallery.shown()) {
            (Some(estimate), _) => {
                let stride = match estimate.clip {
                    Some(_) => 1,
                    None => estimate.stride(),
                };
                let fps = estimate.settings.fps;
                (estimate.source, estimate.frames(), fps, stride)
            }
            (None, Some(run)) => {
                // What is on show has its clip in memory.
                let clip = run.clip();
                let (frames, fps) = clip.map_or((0, 1.0), |clip| (clip.frames.len(), clip.fps));
                (Source::Clip(run.id), frames, fps, 1)
            }
            (None, None) => (Source::Nothing, 0, 1.0, 1),
        };
        if source != self.source {
            let begins = matches!(source, Source::Decoding(_)) && self.player.is_playing();
            self.source = source;
            self.player.set_latent_source(frames, fps, stride);
            if begins {
                // Frames play as they come, the first one first.
                self.player.home();
            }
        }
    }

    /// Lets time go by.
    pub(super) fn advance_player(&mut self, ctx: &Context, now_secs: f64) {
        let passed = now_secs - self.last_secs.replace(now_secs).unwrap_or(now_secs);
        self.follow_comparison();
        self.follow_source();
        self.player.advance(passed.clamp(0.0, 1.0));
        if let Some(secs) = self.player.secs_to_next_frame() {
            ctx.request_repaint_after(duration(secs));
        }
    }
}
