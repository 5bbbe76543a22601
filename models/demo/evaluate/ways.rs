//! The ways to a clip that `evaluate-demo --economy` holds against one another.

use std::str::FromStr;

use anyhow::Result;
use clap::Parser;
use flowblend::project::RunSettings;
use flowblend::schedule::{CacheMethod, CacheRule, Guidance, History, Plan, Solver};

use crate::options::{LLL, LSL, Over, Setup};

/// A way to a clip.
#[derive(Clone, Debug)]
pub struct Way {
    /// What sets it apart, for tables.
    pub name: String,
    /// What it is there for.
    pub part: Part,
    /// All of it.
    pub settings: RunSettings,
}

/// What a way is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// LLL, which quality is held against.
    Reference,
    /// LSL, which speed is held against.
    Blended,
    /// LLL with 20 steps of DPM++.
    FewLll,
    /// LSL with as many, of which fewer are large than the pair's own boundaries say.
    FewLarge,
    /// One thing on top of LSL, or of what is put together: no bar is about it.
    Alone,
    /// A multistep solver that keeps its history at boundaries, or does not.
    History,
    /// Several things on top of LSL.
    Together,
}

/// Several things at once, in the options of `flowblend generate`.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "flowblend generate",
    no_binary_name = true,
    disable_help_flag = true
)]
pub struct Combination {
    /// The models of the stages.
    #[arg(long, default_value = "LSL")]
    plan: String,
    #[command(flatten)]
    over: Over,
    /// Noise levels, the lower one first, between which there is guidance [default: all].
    #[arg(long, value_name = "LO,HI", value_delimiter = ',')]
    cfg_interval: Option<Vec<f64>>,
    /// Spares steps that would change little.
    #[arg(long, value_name = "METHOD[:F]")]
    cache: Option<CacheRule>,
}

impl FromStr for Combination {
    type Err = clap::Error;

    fn from_str(text: &str) -> Result<Self, clap::Error> {
        Self::try_parse_from(text.split_whitespace())
    }
}

impl Combination {
    fn settings(&self, own: &RunSettings) -> Result<RunSettings> {
        let interval = match self.cfg_interval.as_deref() {
            None => None,
            Some(&[low, high]) => Some([low, high]),
            Some(_) => anyhow::bail!("--cfg-interval takes two noise levels, such as 0.3,1"),
        };
        let settings = RunSettings {
            guidance: Guidance {
                interval,
                ..own.guidance
            },
            cache: self.cache,
            ..self.over.lay(own, &self.plan)?
        };
        settings.check()?;
        Ok(settings)
    }
}

/// What is put together where no `--way` says so. Chosen on the first 48 prompts (the card says what else was tried): most of
/// what few steps lose they lose at high noise, where the shift puts six of ten; the distilled model takes the middle in few jumps; and
/// two steps of the large model without guidance at the end are cheap and give its detail back.
const TOGETHER: &str =
    "--plan LDL --boundaries 0.6,0.8 --solver unipc --steps 10 --shift 2.5 --cfg-interval 0.5,1";

/// Boundaries that leave the large model 7 steps of 20.
const SPARSE: [f64; 2] = [0.3, 0.95];
/// Where guidance counts in a run that has less of it.
const GUIDED: [f64; 2] = [0.3, 1.0];

/// All ways, or LLL, LSL and what is put together alone; `together` in place of the program's own combinations, if there are any.
pub fn ways(setup: &Setup, only_together: bool, together: &[Combination]) -> Result<Vec<Way>> {
    let own = &setup.settings;
    let (lll, lsl) = (
        own.with_plan(setup.plans[LLL].clone()),
        own.with_plan(setup.plans[LSL].clone()),
    );
    let sparse = own.with_plan(Plan::parse("LSL", &SPARSE)?);
    let few = |settings: &RunSettings, solver| RunSettings {
        solver,
        steps: 20,
        ..settings.clone()
    };
    let cached = |settings: &RunSettings, method| RunSettings {
        cache: Some(CacheRule::new(method)),
        ..settings.clone()
    };
    let mut ways = Vec::new();
    let mut add = |part, settings: RunSettings| {
        ways.push(Way {
            name: difference(&settings, own),
            part,
            settings,
        });
    };
    add(Part::Reference, lll.clone());
    add(Part::Blended, lsl.clone());
    add(Part::FewLll, few(&lll, Solver::DpmPp2M));
    add(Part::FewLarge, few(&sparse, Solver::DpmPp2M));
    for solver in Solver::ALL
        .into_iter()
        .filter(|one| one.most_estimates() > 1)
    {
        for history in [History::Keep, History::Reset] {
            let settings = RunSettings {
                history,
                ..few(&lsl, solver)
            };
            add(Part::History, settings);
        }
    }
    add(
        Part::Alone,
        own.with_plan(Plan::parse("LDL", own.plan.boundaries())?),
    );
    for method in CacheMethod::ALL {
        add(Part::Alone, cached(&lsl, method));
    }
    let guidance = Guidance {
        interval: Some(GUIDED),
        ..own.guidance
    };
    add(Part::Alone, RunSettings { guidance, ..lsl });
    if together.is_empty() {
        let chosen = TOGETHER.parse::<Combination>()?.settings(own)?;
        add(Part::Together, chosen.clone());
        add(Part::Alone, cached(&chosen, CacheMethod::MagCache));
    }
    for combination in together {
        add(Part::Together, combination.settings(own)?);
    }
    let is_bare = |way: &Way| matches!(way.part, Part::Reference | Part::Blended | Part::Together);
    ways.retain(|way| !only_together || is_bare(way));
    Ok(ways)
}

/// What sets settings apart from `own`, in words.
fn difference(settings: &RunSettings, own: &RunSettings) -> String {
    let plan = &settings.plan;
    let mut words = vec![if plan.boundaries() == own.plan.boundaries() {
        plan.letters()
    } else {
        plan.words()
    }];
    if (settings.solver, settings.steps) != (own.solver, own.steps) {
        words.push(format!("{} of {} steps", settings.solver, settings.steps));
    }
    if settings.history != own.history {
        words.push(format!("history {}", settings.history));
    }
    if settings.shift != own.shift {
        words.push(format!("shift {}", settings.shift));
    }
    if settings.cfg != own.cfg {
        words.push(format!("CFG {}", settings.cfg));
    }
    match settings.guidance.interval {
        Some([low, 1.0]) => words.push(format!("guidance above {low}")),
        Some([low, high]) => words.push(format!("guidance from {low} to {high}")),
        None => {}
    }
    if let Some(rule) = settings.cache {
        words.push(format!("{} at {}", rule.method.words(), rule.threshold));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowblend::project::PairRef;

    fn own() -> RunSettings {
        RunSettings {
            pair: PairRef::default(),
            prompt: "a red circle".to_owned(),
            negative: String::new(),
            seed: 1,
            plan: Plan::parse("LSL", &[0.4333, 0.9333]).unwrap(),
            steps: 30,
            shift: 1.0,
            solver: Solver::Euler,
            history: History::Reset,
            distilled_sigmas: None,
            cfg: 3.0,
            guidance: Guidance::default(),
            cache: None,
            width: 96,
            height: 96,
            frames: 25,
            fps: 12.0,
        }
    }

    #[test]
    fn a_combination_is_laid_over_the_pairs_own_settings_and_says_what_differs() {
        for (options, words) in [
            ("", "LSL"),
            ("--plan LLL --steps 20", "LLL, euler of 20 steps"),
            (
                "--plan LDL --boundaries 0.6,0.8 --solver unipc --steps 10 --shift 2.5 --cfg-interval 0.5,1",
                "LDL 0.60/0.80, unipc of 10 steps, shift 2.5, guidance above 0.5",
            ),
            (
                "--history keep --cfg 4 --cfg-interval 0.2,0.9 --cache magcache:0.2",
                "LSL, history keep, CFG 4, guidance from 0.2 to 0.9, MagCache at 0.2",
            ),
        ] {
            let combination: Combination = options.parse().unwrap();
            let settings = combination.settings(&own()).unwrap();
            assert_eq!(difference(&settings, &own()), words);
        }
    }

    #[test]
    fn a_combination_that_cannot_be_says_why() {
        for (options, word) in [
            ("--plan LXL", "X"),
            ("--boundaries 0.6", "boundar"),
            ("--cfg-interval 0.5", "0.3,1"),
            ("--cfg-interval 0.9,0.2", "0.9"),
            ("--solver heun --cache magcache", "Heun"),
        ] {
            let combination: Combination = options.parse().unwrap();
            let why = combination.settings(&own()).unwrap_err().to_string();
            assert!(
                why.to_lowercase().contains(&word.to_lowercase()),
                "{options}: {why}"
            );
        }
        assert!("--colour red".parse::<Combination>().is_err());
    }
}
