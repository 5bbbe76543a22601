use std::path::PathBuf;

use candle_core::DType;
use clap::Args;

use super::CliError;
use super::clips::NamedClip;
use super::options::GlobalOptions;
use crate::analysis::{Extractor, Features};
use crate::engine::OpenDevice;
use crate::models::vision::{ClipModel, Dinov2};
use crate::models::{Loading, ModelError};

/// Networks that say how alike clips are in what they show.
#[derive(Debug, Args)]
pub(super) struct FeatureOptions {
    /// Also compare what DINOv2 sees, with the model in this folder, as transformers saves it: cosines between
    /// frames and between the clips' means.
    #[arg(long, value_name = "DIR")]
    dinov2: Option<PathBuf>,
    /// Also compare what CLIP sees, with the model in this folder, and how near each clip is to its prompt.
    #[arg(long, value_name = "DIR")]
    clip: Option<PathBuf>,
    /// With --clip: what the clips should show [default: the prompt in each clip's recipe].
    #[arg(long, value_name = "TEXT", requires = "clip")]
    prompt: Option<String>,
}

/// What a network makes of a clip.
pub(super) struct Seen {
    /// The network's name.
    pub(super) network: String,
    /// Cosine to the reference of every frame, and of the means over frames; `None` for the reference itself.
    pub(super) to_reference: Option<(Vec<f64>, f64)>,
    /// The prompt and every frame's cosine to it; `None` without a prompt, and of networks that do not read.
    pub(super) to_prompt: Option<(String, Vec<f64>)>,
}

impl FeatureOptions {
    /// Loads the networks that are asked for. They compute in f32 on every device.
    pub(super) fn load(&self, global: &GlobalOptions) -> Result<Vec<Extractor>, CliError> {
        if self.dinov2.is_none() && self.clip.is_none() {
            return Ok(Vec::new());
        }
        let choice = global.engine().device;
        let device = OpenDevice::open(choice, Some(DType::F32)).map_err(CliError::Failed)?;
        let device = device.device;
        let loading = || Loading::to(&device, DType::F32);
        let dinov2 = |folder: &PathBuf| -> Result<_, ModelError> {
            let network = Dinov2::load(folder, loading())?;
            Ok(Extractor::Dinov2(Box::new(network)))
        };
        let clip = |folder: &PathBuf| -> Result<_, ModelError> {
            let network = ClipModel::load(folder, loading())?;
            Ok(Extractor::Clip(Box::new(network)))
        };
        let networks = self.dinov2.iter().map(dinov2);
        let networks = networks.chain(self.clip.iter().map(clip));
        networks.collect::<Result<_, _>>().map_err(failed)
    }

    /// What the networks make of a clip, given what they made of the reference, or of the reference where that
    /// is not given.
    pub(super) fn see(
        &self,
        networks: &[Extractor],
        clip: &NamedClip,
        reference: Option<&[Features]>,
    ) -> Result<(Vec<Seen>, Vec<Features>), CliError> {
        let own = clip.recipe.as_ref().map(|recipe| &recipe.settings.prompt);
        let prompt = self.prompt.as_ref().or(own);
        let (mut seen, mut all) = (Vec::new(), Vec::new());
        for (i, network) in networks.iter().enumerate() {
            eprintln!("{} through {network}", clip.name);
            let features = network.features(&clip.clip).map_err(failed)?;
            let to_prompt = match (network, prompt) {
                (Extractor::Clip(network), Some(prompt)) => {
                    let text = network.text_features(prompt).map_err(failed)?;
                    let text = text.to_vec1::<f32>().map_err(failed)?;
                    Some((prompt.clone(), features.cosines_to(&text)))
                }
                _ => None,
            };
            let reference = reference.and_then(|all| all.get(i));
            seen.push(Seen {
                network: network.to_string(),
                to_reference: reference
                    .map(|other| (features.cosines(other), features.pooled_cosine(other))),
                to_prompt,
            });
            all.push(features);
        }
        Ok((seen, all))
    }
}

fn failed(why: impl std::fmt::Display) -> CliError {
    CliError::Failed(why.to_string())
}
