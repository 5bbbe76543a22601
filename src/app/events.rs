//! What the engine says, and what follows from it.

use eframe::egui;
use std::sync::Arc;
use std::time::{Duration, Instant};

use egui::Context;

use super::{App, DocCommand, Document, Forecast, Notice, Outcome};
use crate::engine::{PairSummary, StepReport};
use crate::library::{Keeper, Told};
use crate::project::RunSettings;
use crate::ui::dialogs::Dialog;

impl App {
    pub(super) fn drain_engine(&mut self, ctx: &Context) {
        while let Some(event) = self.engine.poll() {
            self.note_event(&event);
            let is_online = self.session.active().is_some_and(|active| active.is_online);
            match self.session.take(event) {
                None | Some(Outcome::Progress) => {}
                Some(Outcome::Pair(pair)) if self.wanted.as_ref() == Some(&pair.pair) => {
                    self.change_pair(pair, ctx.input(|i| i.time));
                }
                Some(Outcome::Pair(pair)) => self.pair_arrived(pair, ctx.input(|i| i.time)),
                Some(Outcome::PairFailed(pair, why)) if self.wanted == Some(pair.clone()) => {
                    // The document keeps the pair it has.
                    self.wanted = None;
                    self.notice = Some(Notice::error(&why));
                }
                Some(Outcome::PairFailed(pair, why)) => {
                    if pair == self.asked {
                        // It may have been known on another device.
                        self.pair = None;
                    }
                    self.notice = Some(Notice::error(&why));
                    self.pair_error = Some(super::sentence(&why));
                }
                Some(Outcome::Finished(id, run)) => {
                    if let Some(keeper) = &self.keeper {
                        keeper.keep(id, (*run).clone());
                    }
                    let is_reference = self.comparison.takes(id);
                    self.paused.ended(&run.settings, is_online);
                    self.paused.hide();
                    if self.auto.takes(id) {
                        self.take_online_plan(&run.settings, ctx.input(|i| i.time));
                    }
                    if let Some(why) = run.report.steps.iter().find_map(StepReport::why_given_up) {
                        self.notice = Some(Notice::error(&why));
                    }
                    self.gallery.add(ctx, id, *run, !is_reference);
                    if !is_reference {
                        self.player.play();
                    }
                }
                Some(Outcome::StepsKept(kept)) => {
                    self.kept = kept;
                    self.refresh_forecast();
                }
                Some(Outcome::SweepRow(row)) => self.analysis.add(*row),
                Some(Outcome::Swept) => {}
                Some(Outcome::Probed(id, probe)) => {
                    self.probed(id, *probe, ctx.input(|i| i.time));
                }
                Some(Outcome::Cancelled(settings)) => self.paused.ended(&settings, is_online),
                Some(Outcome::Paused(id, run)) => self.run_paused(id, *run),
                Some(Outcome::LeftPaused(run)) => self.found_paused(*run),
                Some(Outcome::Failed(why)) => self.notice = Some(Notice::error(&why)),
            }
        }
        if let Some((run, frames)) = self.engine.take_preview() {
            self.session.take_preview(run, frames);
        }
        if self.dialog == Some(Dialog::CancelRun) && self.session.active().is_none() {
            // The run ended while the question was on the screen.
            self.dialog = None;
        }
    }

    /// What the shelf of finished runs says. No more of it than a frame has time for; by a count of runs, a start with many would
    /// take as many frames as that makes, which are slow where no GPU draws them.
    pub(super) fn drain_keeper(&mut self, ctx: &Context) {
        const A_FRAME: Duration = Duration::from_millis(4);
        let begun = Instant::now();
        while begun.elapsed() < A_FRAME {
            match self.keeper.as_ref().and_then(Keeper::poll) {
                None => return,
                Some(Told::Listed(kept) | Told::IsBack(kept)) => self.gallery.add_kept(ctx, *kept),
                Some(Told::ListedAll(runs)) => self.note_listed(runs),
                Some(Told::Kept(id, kept)) => {
                    if let Some((name, record)) = self.gallery.is_kept(id, *kept)
                        && let Some(keeper) = &self.keeper
                    {
                        keeper.rewrite(name, record);
                    }
                }
                Some(Told::Fetched(name, clip)) => {
                    if self.gallery.fetched(&name, clip).is_some() {
                        self.player.home();
                        self.player.play();
                    }
                }
                Some(Told::Failed(why)) => self.notice = Some(Notice::error(&why)),
            }
        }
        ctx.request_repaint();
    }

    fn pair_arrived(&mut self, pair: Arc<PairSummary>, now_secs: f64) {
        if pair.pair != self.document.settings().pair {
            return;
        }
        if self.document.is_new() {
            let typed = self.document.settings().prompt.clone();
            self.document = Document::new(pair.defaults.clone());
            if typed.is_empty() {
                self.view.wants_prompt = true;
            } else {
                self.document.apply(DocCommand::Prompt(typed), now_secs);
            }
        }
        self.rgb = Some(Arc::new(pair.rgb.clone()));
        self.pair = Some(pair);
        self.pair_error = None;
    }

    /// The wanted pair can be used: the document takes it with the settings that suit it, and keeps
    /// what the person wrote.
    fn change_pair(&mut self, pair: Arc<PairSummary>, now_secs: f64) {
        self.wanted = None;
        self.asked = pair.pair.clone();
        let now = self.document.settings();
        let settings = RunSettings {
            pair: pair.pair.clone(),
            prompt: now.prompt.clone(),
            negative: now.negative.clone(),
            seed: now.seed,
            ..pair.defaults.clone()
        };
        self.document.end_burst();
        self.document
            .apply(DocCommand::Pair(Box::new(settings)), now_secs);
        self.document.end_burst();
        self.pair_arrived(pair, now_secs);
    }

    /// Has the pair described that an undo or a restored run brought.
    pub(super) fn follow_pair(&mut self) {
        let pair = &self.document.settings().pair;
        if *pair != self.asked {
            self.asked = pair.clone();
            self.engine.describe(pair.clone());
            self.pair = None;
            self.pair_error = None;
        }
    }

    pub(super) fn refresh_forecast(&mut self) {
        let is_its = |pair: &&Arc<PairSummary>| pair.pair == self.document.settings().pair;
        if let Some(pair) = self.pair.as_ref().filter(is_its) {
            let sigmas = pair.defaults.distilled_sigmas.as_ref();
            self.document.complete(sigmas);
        }
        let settings = self.document.settings();
        // Of a seed that is yet to be drawn nothing is kept.
        let kept = match self.view.rolls_seed {
            true => 0,
            false => self.kept.of(settings),
        };
        self.forecast = Forecast::new(settings, self.pair.as_deref(), kept);
        self.forecast.rolls_seed = self.view.rolls_seed;
        if let (None, Some(why)) = (&self.pair, &self.pair_error) {
            self.forecast.problem = Some(why.clone());
        }
    }
}
