//! What each request of a comparison does.

use super::comparison::{reference, reference_settings};
use super::{App, CompareRequest, Notice, ReferenceState};

impl App {
    pub(super) fn toggle_compare(&mut self) {
        if self.comparison.is_on() {
            self.comparison.leave(&self.gallery);
        } else if self.gallery.shown().is_some() {
            self.comparison.enter(&self.gallery);
        } else {
            self.notice = Some(Notice::error(
                "there is no clip to compare yet; generate one first",
            ));
        }
    }

    pub(super) fn compare(&mut self, request: CompareRequest) {
        match request {
            CompareRequest::With(run) => self.comparison.compare_with(run),
            CompareRequest::Mode(mode) => self.comparison.set_mode(mode),
            CompareRequest::Wipe(share) => self.comparison.set_wipe(share),
            CompareRequest::Gain(gain) => self.comparison.set_gain(gain),
            CompareRequest::Swap => {
                let sides = self.comparison.sides(&self.gallery);
                if let Some([shown, other]) = sides.map(|s| [s.shown.id, s.other.id]) {
                    self.gallery.show(other);
                    self.comparison.compare_with(shown);
                }
            }
            CompareRequest::Reference => self.compare_with_reference(),
        }
    }

    /// Compares with the reference that is there, else renders it. The document stays as it is.
    fn compare_with_reference(&mut self) {
        let state = self.scene().reference_state();
        let Some(shown) = self.gallery.shown() else {
            return;
        };
        match state {
            ReferenceState::Blocked(why) => self.notice = Some(Notice::error(&why)),
            ReferenceState::Kept => {
                if let Some(run) = reference(&self.gallery, shown) {
                    self.comparison.compare_with(run.id);
                }
            }
            ReferenceState::Missing => {
                let settings = reference_settings(shown.settings());
                if let Some(id) = self.start(settings) {
                    self.comparison.renders(id);
                    self.notice = None;
                }
            }
        }
    }

    /// Keeps the comparison in step with the gallery, and has what it shows measured.
    pub(super) fn follow_comparison(&mut self) {
        self.comparison.follow(&self.gallery);
        let missing = self.comparison.missing_clip(&self.gallery);
        if let (Some(name), Some(keeper)) = (
            missing.and_then(|id| self.gallery.ask_for_clip(id)),
            &self.keeper,
        ) {
            keeper.fetch(name);
        }
        if let Some(sides) = self.comparison.sides(&self.gallery)
            && sides.mismatch().is_none()
        {
            self.likenesses.want(sides.shown, sides.other, &self.wake);
        }
    }
}
