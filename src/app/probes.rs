//! How far the two models differ, for the runs that were measured since the start.

use std::sync::Arc;

use super::{App, Notice};
use crate::analysis::{Divergence, DivergenceCurve};
use crate::engine::{Probe, ProbeRequest};
use crate::project::RunSettings;

/// Probes that are remembered; the oldest go first.
const MOST: usize = 32;

/// The probes of this start, the newest last.
#[derive(Default)]
pub struct Probes(Vec<Arc<Probe>>);

impl Probes {
    pub(super) fn add(&mut self, probe: Probe) {
        self.0.retain(|other| !other.is_of(&probe.settings));
        self.0.push(Arc::new(probe));
        if self.0.len() > MOST {
            self.0.remove(0);
        }
    }

    /// What was measured of runs that differ from this one in the plan only.
    pub fn of(&self, settings: &RunSettings) -> Option<&Arc<Probe>> {
        self.0.iter().find(|probe| probe.is_of(settings))
    }
}

/// The curve of what is known so far of a measurement that is going.
pub fn curve_so_far(found: &[Divergence]) -> DivergenceCurve {
    let mut curve = DivergenceCurve::default();
    curve.add(found.to_vec());
    curve
}

impl App {
    /// Measures how far the models differ along the document's run.
    pub(super) fn probe(&mut self) {
        if let Some(why) = self.scene().measure_blocked() {
            self.notice = Some(Notice::error(&why));
            return;
        }
        self.document.end_burst();
        let request = ProbeRequest::of(self.document.settings().clone());
        let settings = request.reference();
        match self.engine.probe(request) {
            Ok(id) => {
                self.notice = None;
                self.session.probe_started(id, settings);
            }
            Err(why) => self.notice = Some(Notice::error(&why)),
        }
    }
}
