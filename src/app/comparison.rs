use std::sync::Arc;

use super::{Gallery, GalleryRun};
use crate::analysis::mismatch;
use crate::engine::RunId;
use crate::media::Clip;
use crate::project::RunSettings;
use crate::schedule::shared_steps;

/// How far a difference may be enlarged.
pub const GAINS: std::ops::RangeInclusive<f32> = 1.0..=32.0;

/// How two clips are held against one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompareMode {
    /// One left of a divider, the other right of it.
    #[default]
    Wipe,
    /// Both whole.
    SideBySide,
    /// How far each pixel is apart, as colours.
    Difference,
}

impl CompareMode {
    /// Every mode, in the order of the bar.
    pub const ALL: [Self; 3] = [Self::Wipe, Self::SideBySide, Self::Difference];

    /// The words on its switch.
    pub fn words(self) -> &'static str {
        match self {
            Self::Wipe => "Wipe",
            Self::SideBySide => "Side by side",
            Self::Difference => "Difference",
        }
    }

    /// What it shows, for its tooltip.
    pub fn tooltip(self) -> &'static str {
        match self {
            Self::Wipe => "A left of a divider that you drag, B right of it",
            Self::SideBySide => "A and B beside one another, zoomed and moved in step",
            Self::Difference => "How far each pixel of A and B is apart, as colours",
        }
    }
}

/// What the panels of a comparison ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CompareRequest {
    /// Hold the shown clip against this run's.
    With(RunId),
    /// Show the two in another way.
    Mode(CompareMode),
    /// Put the divider at this share of the picture.
    Wipe(f32),
    /// Enlarge the difference this many times.
    Gain(f32),
    /// Show the other clip, and compare it with this one.
    Swap,
    /// Compare with what the large model alone makes of the shown run's settings.
    Reference,
}

/// The two runs that are compared.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// A: the run whose clip is shown.
    pub shown: &'a GalleryRun,
    /// B: the run it is held against.
    pub other: &'a GalleryRun,
    /// The clips of both.
    pub clips: [&'a Arc<Clip>; 2],
}

impl Sides<'_> {
    /// Why there is no difference to show, as a sentence; `None` when there is one.
    pub fn mismatch(&self) -> Option<String> {
        let what = mismatch(self.clips[0], self.clips[1], ["A", "B"])?;
        Some(format!(
            "{what}, so that there is no difference to measure; render both alike, or choose another run."
        ))
    }
}

/// Which run the shown one is compared with, and how.
#[derive(Clone, Debug)]
pub struct Comparison {
    is_on: bool,
    other: Option<RunId>,
    /// The shown run when the comparison was left.
    left_at: Option<RunId>,
    /// The reference that is being rendered.
    rendering: Option<RunId>,
    mode: CompareMode,
    wipe: f32,
    gain: f32,
}

impl Default for Comparison {
    fn default() -> Self {
        Self {
            is_on: false,
            other: None,
            left_at: None,
            rendering: None,
            mode: CompareMode::default(),
            wipe: 0.5,
            gain: 4.0,
        }
    }
}

impl Comparison {
    /// Whether the preview compares.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// How the two are shown.
    pub fn mode(&self) -> CompareMode {
        self.mode
    }

    /// Where the divider stands, as a share of the picture.
    pub fn wipe(&self) -> f32 {
        self.wipe
    }

    /// What the difference is multiplied by.
    pub fn gain(&self) -> f32 {
        self.gain
    }

    /// Whether this run is the reference that was asked for.
    pub fn is_rendering(&self, run: RunId) -> bool {
        self.rendering == Some(run)
    }

    /// The two runs, while there are two to compare.
    pub fn sides<'a>(&self, gallery: &'a Gallery) -> Option<Sides<'a>> {
        let shown = gallery.shown()?;
        let other = gallery.get(self.other?)?;
        let clips = [shown.clip()?, other.clip()?];
        (self.is_on && shown.id != other.id).then_some(Sides {
            shown,
            other,
            clips,
        })
    }

    /// The run whose clip has to be read before the two can be compared.
    pub(super) fn missing_clip(&self, gallery: &Gallery) -> Option<RunId> {
        let other = gallery.get(self.other.filter(|_| self.is_on)?)?;
        other.clip().is_none().then_some(other.id)
    }

    /// Starts comparing, with the run that was last compared with if the same clip is shown still.
    pub(super) fn enter(&mut self, gallery: &Gallery) {
        if gallery.shown().map(|run| run.id) != self.left_at {
            self.other = None;
        }
        self.is_on = true;
        self.follow(gallery);
    }

    /// Ends comparing.
    pub(super) fn leave(&mut self, gallery: &Gallery) {
        self.left_at = gallery.shown().map(|run| run.id);
        self.is_on = false;
    }

    /// Compares with this run.
    pub(super) fn compare_with(&mut self, other: RunId) {
        self.is_on = true;
        self.other = Some(other);
    }

    /// Another mode.
    pub(super) fn set_mode(&mut self, mode: CompareMode) {
        self.mode = mode;
    }

    /// Another place for the divider.
    pub(super) fn set_wipe(&mut self, share: f32) {
        self.wipe = share.clamp(0.0, 1.0);
    }

    /// Another gain.
    pub(super) fn set_gain(&mut self, gain: f32) {
        self.gain = gain.clamp(*GAINS.start(), *GAINS.end());
    }

    /// The reference is on its way as this run.
    pub(super) fn renders(&mut self, run: RunId) {
        self.rendering = Some(run);
    }

    /// A run is finished. Whether it was the reference, which is compared with from now on.
    pub(super) fn takes(&mut self, run: RunId) -> bool {
        let is_ours = self.rendering == Some(run);
        if is_ours {
            self.rendering = None;
            self.other = Some(run);
        }
        is_ours
    }

    /// Keeps two different runs compared, whatever happened to the gallery.
    pub(super) fn follow(&mut self, gallery: &Gallery) {
        let Some(shown) = gallery.shown() else {
            self.is_on = false;
            return;
        };
        if !self.is_on
            || self.sides(gallery).is_some()
            || (self.missing_clip(gallery).is_some() && self.other != Some(shown.id))
        {
            return;
        }
        let before = gallery.shown_before().map(|run| run.id);
        let reference = reference(gallery, shown).map(|run| run.id);
        // The other side was clicked and is shown itself: what was shown is the other side now.
        self.other = if self.other == Some(shown.id) {
            before.or(reference)
        } else {
            reference.or(before)
        };
    }
}

/// The settings of a run's reference: the large model throughout, all else the same.
pub(super) fn reference_settings(of: &RunSettings) -> RunSettings {
    of.reference()
}

/// Whether a run with these settings is the reference of one with those.
pub(super) fn is_reference(settings: &RunSettings, of: &RunSettings) -> bool {
    let (steps, wanted) = (settings.step_plans(), of.reference().step_plans());
    settings.differs_only_in_plan(of)
        && steps.len() == wanted.len()
        && shared_steps(&steps, &wanted) == steps.len()
}

/// The reference of a run, if the gallery has it and it is not the run itself.
pub(super) fn reference<'a>(gallery: &'a Gallery, of: &GalleryRun) -> Option<&'a GalleryRun> {
    let is_it = |run: &&GalleryRun| is_reference(run.settings(), of.settings());
    gallery
        .runs()
        .iter()
        .filter(|run| run.id != of.id)
        .find(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::gallery::test_run;
    use crate::schedule::Plan;

    /// A gallery in which the runs were shown one after the other.
    fn gallery(runs: &[(u64, &str)]) -> Gallery {
        let mut gallery = Gallery::default();
        for &(id, plan) in runs {
            gallery.insert(test_run(id, plan, 0), true);
        }
        gallery
    }

    fn compared(comparison: &Comparison, gallery: &Gallery) -> Option<[u64; 2]> {
        let sides = comparison.sides(gallery)?;
        Some([sides.shown.id.0, sides.other.id.0])
    }

    #[test]
    fn the_reference_is_compared_with_if_there_is_one_else_what_was_shown_before() {
        for (runs, other) in [
            (&[(1, "SSS"), (2, "LSL")][..], Some(1)),
            (&[(1, "LLL"), (2, "SSS"), (3, "LSL")][..], Some(1)),
            // A plan of one stage is the same as one of three.
            (&[(1, "L"), (2, "SSS"), (3, "LSL")][..], Some(1)),
            (&[(1, "LSL")][..], None),
        ] {
            let gallery = gallery(runs);
            let mut comparison = Comparison::default();
            comparison.enter(&gallery);
            assert!(comparison.is_on());
            let found = compared(&comparison, &gallery).map(|sides| sides[1]);
            assert_eq!(found, other, "{runs:?}");
        }
    }

    #[test]
    fn only_the_same_settings_make_a_reference() {
        let of = test_run(1, "LSL", 0).record.settings;
        let reference = reference_settings(&of);
        assert!(is_reference(&reference, &of));
        let changed = [
            RunSettings {
                seed: of.seed + 1,
                ..reference.clone()
            },
            RunSettings {
                cfg: of.cfg + 1.0,
                ..reference.clone()
            },
            RunSettings {
                plan: Plan::parse("LSL", &[0.4, 0.8]).unwrap(),
                ..reference.clone()
            },
        ];
        for settings in changed {
            assert!(!is_reference(&settings, &of), "{settings:?}");
        }
    }

    #[test]
    fn showing_the_other_side_swaps_the_two() {
        let mut gallery = gallery(&[(1, "SSS"), (2, "LSL"), (3, "LSS")]);
        let mut comparison = Comparison::default();
        comparison.enter(&gallery);
        comparison.compare_with(RunId(1));
        assert_eq!(compared(&comparison, &gallery), Some([3, 1]));
        gallery.show(RunId(1));
        comparison.follow(&gallery);
        assert_eq!(compared(&comparison, &gallery), Some([1, 3]));
        gallery.show(RunId(2));
        comparison.follow(&gallery);
        assert_eq!(compared(&comparison, &gallery), Some([2, 3]));
    }

    #[test]
    fn a_choice_is_kept_while_the_same_clip_is_shown() {
        let mut gallery = gallery(&[(1, "SSS"), (2, "LSL"), (3, "LSS")]);
        let mut comparison = Comparison::default();
        comparison.compare_with(RunId(1));
        comparison.leave(&gallery);
        assert_eq!(compared(&comparison, &gallery), None);
        comparison.enter(&gallery);
        assert_eq!(compared(&comparison, &gallery), Some([3, 1]));
        comparison.leave(&gallery);
        gallery.insert(test_run(4, "LLS", 0), true);
        comparison.enter(&gallery);
        assert_eq!(compared(&comparison, &gallery), Some([4, 3]));
    }

    #[test]
    fn the_reference_comes_beside_the_shown_clip() {
        let mut gallery = gallery(&[(1, "LSL")]);
        let mut comparison = Comparison::default();
        comparison.enter(&gallery);
        comparison.renders(RunId(2));
        assert!(comparison.is_rendering(RunId(2)) && !comparison.takes(RunId(3)));
        assert!(comparison.takes(RunId(2)));
        gallery.insert(test_run(2, "L", 0), false);
        assert_eq!(compared(&comparison, &gallery), Some([1, 2]));
        assert!(!comparison.is_rendering(RunId(2)));
    }

    #[test]
    fn dividers_and_gains_stay_in_range() {
        let mut comparison = Comparison::default();
        comparison.set_wipe(1.4);
        comparison.set_gain(900.0);
        assert_eq!((comparison.wipe(), comparison.gain()), (1.0, 32.0));
    }
}
