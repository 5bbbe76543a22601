//! Boundaries that nobody has to choose: found before the run, or decided on in it.

use super::{App, Notice};
use crate::engine::{OnlineRule, Probe, ProbeRequest, RunId, RunRequest};
use crate::project::RunSettings;
use crate::schedule::{ModelRole, Plan};

/// What the window waits for to take a plan from.
#[derive(Debug, Default)]
pub(super) struct Auto {
    /// A measurement that was asked for its boundaries, and for which settings.
    probe: Option<(RunId, RunSettings)>,
    /// A run that decides on its plan.
    run: Option<RunId>,
}

impl Auto {
    /// Whether a run is to give its plan to the document.
    pub(super) fn takes(&mut self, run: RunId) -> bool {
        self.run.take_if(|awaited| *awaited == run).is_some()
    }
}

impl App {
    /// Puts the boundaries where they are remembered to do well, or else has the divergence measured in a few
    /// steps and puts them there.
    pub(super) fn find_boundaries(&mut self, now_secs: f64) {
        self.document.end_burst();
        let settings = self.document.settings().clone();
        let known = self
            .pair
            .as_ref()
            .and_then(|pair| pair.remembered_boundaries(&settings));
        if let Some(known) = known {
            let found = format!(
                "Boundaries remembered, found by {}.",
                known.found_by.words()
            );
            self.take_plan(Ok(Plan::blend(known.found, &settings.grid())), now_secs);
            self.notice = Some(match known.warning {
                Some(warning) => Notice::error(&warning),
                None => Notice::done(&found),
            });
            return;
        }
        if let Some(why) = self.scene().measure_blocked() {
            self.notice = Some(Notice::error(&why));
            return;
        }
        let request = ProbeRequest::for_boundaries(settings.clone());
        let reference = request.reference();
        match self.engine.probe(request) {
            Ok(id) => {
                self.notice = None;
                self.auto.probe = Some((id, settings));
                self.session.probe_started(id, reference);
            }
            Err(why) => self.notice = Some(Notice::error(&why)),
        }
    }

    /// A measurement ended: where it was asked for its boundaries, the plan takes them.
    pub(super) fn probed(&mut self, id: RunId, probe: Probe, now_secs: f64) {
        let awaited = self.auto.probe.take_if(|(awaited, _)| *awaited == id);
        if let Some((_, settings)) = awaited
            && settings.differs_only_in_plan(self.document.settings())
        {
            self.notice = Some(match probe.boundaries_for(&settings) {
                Some(found) => {
                    self.take_plan(Ok(Plan::blend(found, &settings.grid())), now_secs);
                    Notice::done("The boundaries are where the models begin and cease to agree.")
                }
                None => Notice::error(
                    "the two models' divergence has no valley along this run, so it names no \
                     boundaries; drag them by hand, or try another seed",
                ),
            });
        }
        self.probes.add(probe);
    }

    /// Renders the document with a plan that is decided on in the run.
    pub(super) fn render_online(&mut self, rule: OnlineRule, now_secs: f64) {
        if let Some(why) = self.scene().measure_blocked() {
            self.notice = Some(Notice::error(&why));
            return;
        }
        let settings = self.settings_to_run(now_secs);
        self.start_online(settings, rule);
    }

    /// Hands a run to the engine whose plan `rule` decides on.
    pub(super) fn start_online(
        &mut self,
        settings: RunSettings,
        rule: OnlineRule,
    ) -> Option<RunId> {
        let request = RunRequest {
            online: Some(rule),
            ..self.request_for(settings)
        };
        self.auto.run = self.start_request(request);
        self.auto.run
    }

    /// A run that decided on its plan is over: the document takes the plan, unless it moved on.
    pub(super) fn take_online_plan(&mut self, settings: &RunSettings, now_secs: f64) {
        if !settings.differs_only_in_plan(self.document.settings()) {
            return;
        }
        let steps = settings.step_plans();
        let large = steps.iter().filter(|step| step.model == ModelRole::Large);
        self.notice = Some(Notice::done(&format!(
            "The run decided on {}: {} of {} steps by the large model.",
            settings.plan.words(),
            large.count(),
            steps.len()
        )));
        self.take_plan(Ok(settings.plan.clone()), now_secs);
    }
}
