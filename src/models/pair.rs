use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::layout::home;
use super::loader::read_json;
use super::ltx::Pipeline;
use super::{Family, ModelError};
use crate::preview::RgbFactors;
use crate::project::Preset;
use crate::schedule::{DistilledGrid, FlowSchedule, ModelRole, Solver};

/// What is said where one of the two is missing.
pub(super) const DISTILLED_ALONE: &str = "distilled, the folder of a distilled model, and distilled_sigmas, the noise levels it was \
     taught, need one another";

/// A step-distilled model and what it was taught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distilled {
    /// Its folder or file; only its transformer is used.
    pub model: PathBuf,
    /// The noise levels that it jumps between.
    pub sigmas: DistilledGrid,
}

/// Two models of one family that can share a denoising run, and how they are best used.
#[derive(Clone, Debug, PartialEq)]
pub struct PairSpec {
    /// The name it is asked for by.
    pub name: String,
    /// Folder of the large model, which also gives VAE and text encoder.
    pub large: PathBuf,
    /// Folder of the small model; only its `transformer/` is used.
    pub small: PathBuf,
    /// Folder of the step-distilled small model, where there is one; only its `transformer/` is used.
    pub distilled: Option<PathBuf>,
    /// Under which terms the models may be used, where that is stated.
    pub licence: Option<String>,
    /// What a run uses where nothing else is asked for.
    pub defaults: PairDefaults,
}

/// What a run uses where nothing else is asked for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PairDefaults {
    /// Denoising steps.
    pub steps: usize,
    /// Shift of the sigma grid.
    pub shift: f64,
    /// Scale of classifier-free guidance.
    pub cfg: f64,
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Frames of the clip.
    pub frames: usize,
    /// Frames a second.
    pub fps: f64,
    /// Where each next stage starts, as fractions of the steps.
    pub boundaries: Vec<f64>,
    /// Tokens that prompts are cut and padded to.
    pub text_tokens: usize,
    /// How a run integrates.
    pub solver: Solver,
    /// The noise levels that the distilled model was taught to jump between.
    pub distilled_sigmas: Option<DistilledGrid>,
    /// The model's own scheduler, where its shift depends on the clip's size; `shift` is that of the size above.
    #[serde(skip)]
    pub dynamic_shift: Option<FlowSchedule>,
    /// Seed a fresh window starts with.
    pub seed: u64,
    /// A prompt to start from.
    pub prompt: String,
    /// A negative prompt to start from.
    pub negative: String,
    /// The linear map from latents to colours for previews; `None` where none was fitted.
    pub preview: Option<RgbFactors>,
    /// Words the models know, by the slot of a caption they fill; empty where anything goes.
    pub vocabulary: BTreeMap<String, Vec<String>>,
    /// Prompts with a seed that show the pair at its best.
    #[serde(deserialize_with = "presets")]
    pub presets: Vec<Preset>,
}

/// Reads presets one by one, so that an error says which of them it is about.
fn presets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Preset>, D::Error> {
    let read = |(i, value): (usize, serde_json::Value)| {
        serde_json::from_value(value)
            .map_err(|why| D::Error::custom(format!("preset {}: {why}", i + 1)))
    };
    let values = Vec::<serde_json::Value>::deserialize(deserializer)?;
    values.into_iter().enumerate().map(read).collect()
}

impl Default for PairDefaults {
    /// WAN 2.1 at 480p, as its authors sample it, with the boundaries published for it.
    fn default() -> Self {
        Self {
            steps: 50,
            shift: 3.0,
            cfg: 5.0,
            width: 832,
            height: 480,
            frames: 81,
            fps: 16.0,
            boundaries: vec![0.4, 0.8],
            text_tokens: 512,
            solver: Solver::Euler,
            distilled_sigmas: None,
            dynamic_shift: None,
            seed: 0,
            prompt: String::new(),
            negative: String::new(),
            preview: None,
            vocabulary: BTreeMap::new(),
            presets: Vec::new(),
        }
    }
}

/// pair.json as it is written.
#[derive(Deserialize)]
struct PairFile {
    name: String,
    large: PathBuf,
    small: PathBuf,
    distilled: Option<PathBuf>,
    licence: Option<String>,
    #[serde(flatten)]
    defaults: serde_json::Map<String, serde_json::Value>,
}

impl PairSpec {
    /// A pair from two model folders, with the defaults of their family. Its name is made of theirs;
    /// prompts are as long as the large model's tokenizer says, but no longer than the family's.
    pub fn from_folders(large: impl Into<PathBuf>, small: impl Into<PathBuf>) -> Self {
        let (large, small) = (large.into(), small.into());
        let name = |path: &Path| {
            path.file_name()
                .map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned())
        };
        let name = format!("{} + {}", name(&large), name(&small));
        Self {
            name,
            licence: None,
            defaults: match Family::of(&large) {
                Family::Wan => PairDefaults {
                    text_tokens: text_tokens(&large, PairDefaults::default().text_tokens),
                    ..PairDefaults::default()
                },
                Family::Ltx => PairDefaults::ltx(&large),
            },
            large,
            small,
            distilled: None,
        }
    }

    /// The same pair with this distilled model, or without one.
    #[must_use]
    pub fn with_distilled(self, distilled: Option<Distilled>) -> Self {
        let (model, sigmas) = distilled.map(|it| (it.model, it.sigmas)).unzip();
        Self {
            distilled: model,
            defaults: PairDefaults {
                distilled_sigmas: sigmas,
                ..self.defaults
            },
            ..self
        }
    }

    /// The folder or file of the model of `role`, where the pair has one.
    pub fn model(&self, role: ModelRole) -> Option<&Path> {
        match role {
            ModelRole::Large => Some(&self.large),
            ModelRole::Small => Some(&self.small),
            ModelRole::Distilled => self.distilled.as_deref(),
        }
    }

    /// Reads `<folder>/pair.json`; model folders in it are relative to `folder`.
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("pair.json");
        let fault = |reason: String| ModelError::Config {
            path: path.clone(),
            reason,
            hint: "correct the file, or fetch the pair again".into(),
        };
        let file: PairFile = read_json(&path)?;
        let defaults: PairDefaults =
            serde_json::from_value(serde_json::Value::Object(file.defaults))
                .map_err(|error| fault(error.to_string()))?;
        if let Some(reason) = defaults.fault() {
            return Err(fault(reason));
        }
        if file.distilled.is_some() != defaults.distilled_sigmas.is_some() {
            return Err(fault(DISTILLED_ALONE.into()));
        }
        Ok(Self {
            name: file.name,
            large: folder.join(file.large),
            small: folder.join(file.small),
            distilled: file.distilled.map(|distilled| folder.join(distilled)),
            licence: file.licence,
            defaults,
        })
    }
}

/// The prompt's length in tokens. Tokenizers without a limit of their own state an enormous one, and
/// a missing or unreadable file is met, and named, when the text encoder is loaded.
fn text_tokens(model: &Path, longest: usize) -> usize {
    let file = home(model).join("tokenizer").join("tokenizer_config.json");
    read_json::<serde_json::Value>(&file)
        .ok()
        .and_then(|config| config["model_max_length"].as_f64())
        .filter(|tokens| *tokens >= 1.0)
        .map_or(longest, |tokens| tokens.min(longest as f64) as usize)
}

/// Tokens that LTX-Video makes of a clip of `(width, height, frames)`.
fn ltx_tokens((width, height, frames): (usize, usize, usize)) -> usize {
    let [_, _, frames, height, width] = Family::Ltx.latent_shape(width, height, frames);
    frames * height * width
}

impl PairDefaults {
    /// LTX-Video as diffusers samples the version of the large model, with the boundaries published for
    /// WAN: none were for LTX-Video. What is wrong with the folder is met, and named, when it is loaded.
    fn ltx(large: &Path) -> Self {
        let pipeline = Pipeline::read(large).unwrap_or_default();
        let mut defaults = Self::of_ltx_pipeline(pipeline);
        defaults.text_tokens = text_tokens(large, defaults.text_tokens);
        let path = large.join("scheduler").join("scheduler_config.json");
        if let Ok(schedule) = read_json::<FlowSchedule>(&path)
            && schedule.fault().is_none()
        {
            let size = (defaults.width, defaults.height, defaults.frames);
            defaults.shift = schedule.shift_of(ltx_tokens(size));
            // The other pipeline makes its own grid, and so does whoever states another terminal level.
            if pipeline == Pipeline::Text && schedule.shift_terminal == Some(FlowSchedule::TERMINAL)
            {
                defaults.solver = Solver::EulerStretched;
            }
            defaults.dynamic_shift = Some(schedule).filter(|it| it.use_dynamic_shifting);
        }
        defaults
    }

    /// The shift that the model's own scheduler has at `(width, height, frames)`, where it depends on the size.
    pub fn shift_at(&self, size: (usize, usize, usize)) -> Option<f64> {
        let schedule = self.dynamic_shift.as_ref()?;
        Some(schedule.shift_of(ltx_tokens(size)))
    }

    /// Those of a published pair of `family`, whose folders are not there to say more: WAN 2.1's, or
    /// LTX-Video's from 0.9.7 on.
    pub fn published(family: Family) -> Self {
        match family {
            Family::Wan => Self::default(),
            Family::Ltx => Self::of_ltx_pipeline(Pipeline::Condition),
        }
    }

    fn of_ltx_pipeline(pipeline: Pipeline) -> Self {
        Self {
            steps: 40,
            shift: 1.0,
            cfg: 3.0,
            width: 768,
            height: 512,
            frames: 121,
            fps: 25.0,
            text_tokens: pipeline.text_tokens(),
            solver: match pipeline {
                Pipeline::Text => Solver::EulerLinspace,
                Pipeline::Condition => Solver::EulerQuadratic,
            },
            ..Self::default()
        }
    }

    /// What no run could use, in words; `None` where all is well.
    fn fault(&self) -> Option<String> {
        if self.steps == 0 || self.text_tokens == 0 {
            return Some("steps and text_tokens must be above 0".into());
        }
        if !(self.shift > 0.0 && self.fps > 0.0 && self.cfg.is_finite()) {
            return Some("shift and fps must be above 0".into());
        }
        let inside = self.boundaries.iter().all(|b| (0.0..=1.0).contains(b));
        if !inside || !self.boundaries.is_sorted() {
            return Some(format!(
                "boundaries {:?} must rise and lie between 0 and 1",
                self.boundaries
            ));
        }
        for (i, preset) in self.presets.iter().enumerate() {
            let number = i + 1;
            if preset.name.trim().is_empty() || preset.prompt.trim().is_empty() {
                return Some(format!("preset {number} needs a name and a prompt"));
            }
            if self.presets[..i].iter().any(|p| p.name == preset.name) {
                return Some(format!(
                    "preset {number} has the name of an earlier one, `{}`",
                    preset.name
                ));
            }
        }
        None
    }
}
