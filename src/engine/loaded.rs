use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};

use super::device::OpenDevice;
use super::pair_files::PairFiles;
use super::pipeline::RunError;
use super::tensor_cache::TensorCache;
use crate::media::Clip;
use crate::models::{
    DecodeProgress, Family, Loading, ModelError, PairSpec, TextEncoder, Transformer, Vae,
    check_pair,
};
use crate::sampler::{Cancel, Context, Guided, ModelSet, SampleError, VelocityModel as _};
use crate::schedule::{CacheProfile, ModelRole};

/// Bytes of a text's keys and values in a model that stay for the next run. Those of full-size models are far more, and make room
/// for the decode.
const KEPT_CONTEXT_BYTES: usize = 16 << 20;

/// A pair whose parts come into memory as they are needed and stay for the next run.
pub struct LoadedPair {
    files: Arc<PairFiles>,
    device: OpenDevice,
    /// By the index of their role.
    transformers: [Option<Transformer>; 3],
    vae: Option<Vae>,
    /// Text embeddings by prompt: the encoder is freed after use, and the same prompt is common.
    embeddings: HashMap<String, Tensor>,
    /// Those of earlier starts.
    kept: TensorCache,
    /// Keys and values of the last run's texts, where they are small.
    contexts: Mutex<HashMap<(ModelRole, String), Context>>,
    /// What caches know of the transformers, by the index of their role.
    profiles: [Option<CacheProfile>; 3],
    /// Seed of the run, for VAEs that decode with noise.
    seed: u64,
}

/// What is said where a plan wants a model that the pair has not.
pub(super) fn no_model(pair: &str, role: ModelRole) -> String {
    format!("the pair {pair} has no {role} model; use L and S in the plan")
}

impl LoadedPair {
    /// Checks that the models may be blended; loads nothing yet.
    pub fn open(spec: PairSpec, device: OpenDevice) -> Result<Self, RunError> {
        let files = PairFiles::read(spec, &device)?;
        Self::of(Arc::new(files), device)
    }

    /// The same of files that were looked through.
    pub(super) fn of(files: Arc<PairFiles>, device: OpenDevice) -> Result<Self, RunError> {
        check_pair(&files.spec)?;
        Ok(Self {
            files,
            device,
            transformers: [const { None }; 3],
            vae: None,
            embeddings: HashMap::new(),
            kept: TensorCache::default(),
            contexts: Mutex::default(),
            profiles: [const { None }; 3],
            seed: 0,
        })
    }

    /// The same pair with embeddings kept on disk in `folder`.
    #[must_use]
    pub fn with_embeddings_in(mut self, folder: Option<PathBuf>) -> Self {
        self.kept = TensorCache::new(folder);
        self
    }

    /// What its files say.
    pub(super) fn files(&self) -> &PairFiles {
        &self.files
    }

    /// What is in memory serves `files` as well; says whether it does. Anything else of theirs is another pair's.
    pub(super) fn takes(&mut self, files: &Arc<PairFiles>) -> bool {
        let tokens = |files: &PairFiles| files.spec.defaults.text_tokens;
        let serves = self.files.source == files.source && tokens(&self.files) == tokens(files);
        if serves {
            self.files = Arc::clone(files);
        }
        serves
    }

    /// Where the models lie.
    pub fn device(&self) -> &Device {
        &self.device.device
    }

    /// Number format of weights and, on a GPU, of activations.
    pub fn dtype(&self) -> DType {
        self.device.dtype
    }

    /// The family of all its models.
    pub fn family(&self) -> Family {
        self.files.family
    }

    /// The folder or file of the model of `role`.
    pub fn model_path(&self, role: ModelRole) -> Result<&Path, RunError> {
        let model = self.spec().model(role);
        model.ok_or_else(|| RunError::Failed(self.no_model(role)))
    }

    /// Tells caches what is known of a model.
    pub fn set_profile(&mut self, role: ModelRole, profile: Option<CacheProfile>) {
        self.profiles[role.index()] = profile;
    }

    /// What caches know of a model.
    pub fn profile(&self, role: ModelRole) -> Option<&CacheProfile> {
        self.profiles[role.index()].as_ref()
    }

    /// What tells the model of `role` apart from all others.
    pub(super) fn identity(&self, role: ModelRole) -> Result<&str, RunError> {
        let identity = self.files.models[role.index()].as_deref();
        identity.ok_or_else(|| RunError::Failed(self.no_model(role)))
    }

    fn no_model(&self, role: ModelRole) -> String {
        no_model(&self.spec().name, role)
    }

    fn spec(&self) -> &PairSpec {
        &self.files.spec
    }

    /// Loads the transformer of `role`, unless it is there already. `progress` is told the bytes that
    /// were read and all of them.
    pub fn load_transformer(
        &mut self,
        role: ModelRole,
        cancel: &Cancel,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), RunError> {
        cancel.check()?;
        let path = self.model_path(role)?;
        if self.model(role).is_none() {
            let loading = Loading::to(&self.device.device, self.device.format());
            let loading = loading.watched(cancel, progress);
            let loaded = Transformer::load(path, &self.spec().large, loading)?;
            self.transformers[role.index()] = Some(loaded);
        }
        Ok(())
    }

    /// The transformers that are in memory.
    pub fn resident(&self) -> Vec<ModelRole> {
        let roles = ModelRole::ALL.into_iter();
        roles.filter(|role| self.model(*role).is_some()).collect()
    }

    /// Frees every transformer but those of `roles`.
    pub fn keep_transformers(&mut self, roles: &[ModelRole]) {
        for role in ModelRole::ALL {
            if !roles.contains(&role) {
                self.transformers[role.index()] = None;
            }
        }
    }

    /// Frees the VAE.
    pub fn drop_vae(&mut self) {
        self.vae = None;
    }

    /// Loads the VAE, unless it is there already.
    pub fn load_vae(
        &mut self,
        cancel: &Cancel,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), RunError> {
        if self.vae.is_none() {
            // The decode is short and sees every value; f32 keeps it free of banding.
            let loading = Loading::to(&self.device.device, DType::F32).watched(cancel, progress);
            self.vae = Some(Vae::load(&self.spec().large, loading)?);
        }
        Ok(())
    }

    /// Sets what some families want to know of a clip: its frames a second, for the transformers that
    /// are loaded, and the run's seed.
    pub fn set_clip(&mut self, fps: f64, seed: u64) -> Result<(), RunError> {
        self.seed = seed;
        for transformer in self.transformers.iter_mut().flatten() {
            transformer.set_frame_rate(fps)?;
        }
        Ok(())
    }

    /// Those of `texts` whose embeddings are neither in memory nor on disk: for them the text encoder
    /// has to be loaded.
    pub fn unknown_texts<'a>(&mut self, texts: &[&'a str]) -> Result<Vec<&'a str>, RunError> {
        let mut unknown = Vec::new();
        for text in texts.iter().copied() {
            if self.embeddings.contains_key(text) || unknown.contains(&text) {
                continue;
            }
            match self.kept.get(&self.embedding_key(text), 3) {
                Some(embedding) => drop(self.embeddings.insert(text.to_owned(), embedding)),
                None => unknown.push(text),
            }
        }
        Ok(unknown)
    }

    fn embedding_key(&self, text: &str) -> String {
        let tokens = self.spec().defaults.text_tokens;
        let dtype = self.device.dtype;
        TensorCache::key(&[&self.files.text, &tokens.to_string(), dtype.as_str(), text])
    }

    /// Sends texts through the text encoder, unless their embeddings are known.
    pub fn encode_texts(
        &mut self,
        texts: &[&str],
        cancel: &Cancel,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), RunError> {
        let missing = self.unknown_texts(texts)?;
        if missing.is_empty() {
            return Ok(());
        }
        let tokens = self.spec().defaults.text_tokens;
        // Without integers: a UMT5 makes ten times the error of a transformer with them, and reads a text once.
        let loading = Loading::to(&self.device.device, self.device.dtype);
        let encoder = TextEncoder::load(
            &self.spec().large,
            tokens,
            loading.watched(cancel, progress),
        )?;
        for text in missing {
            cancel.check()?;
            let embedding = encoder.encode(text)?;
            self.kept.put(&self.embedding_key(text), &embedding);
            self.embeddings.insert(text.to_owned(), embedding);
        }
        Ok(())
    }

    /// Ties the models of `roles`, those that are loaded, to texts that
    /// [`encode_texts`](Self::encode_texts) has seen.
    pub fn guide(
        &self,
        roles: &[ModelRole],
        prompt: &str,
        negative: &str,
    ) -> Result<GuidedPair<'_>, RunError> {
        let embedding = |text: &str| {
            self.embeddings.get(text).ok_or_else(|| {
                RunError::Failed(format!(
                    "the prompt '{text}' has not been encoded; please report this"
                ))
            })
        };
        let mut kept = self.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, text), _| text == prompt || text == negative);
        let mut texts = HashMap::new();
        for role in roles {
            if let Some(model) = self.model(*role) {
                let mut context = |text: &str| -> Result<Context, RunError> {
                    let embedding = embedding(text)?;
                    let name = (*role, text.to_owned());
                    if let Some(context) = kept.get(&name) {
                        return Ok(context.clone());
                    }
                    let context = model.context(embedding)?;
                    if context.bytes() <= KEPT_CONTEXT_BYTES {
                        kept.insert(name, context.clone());
                    }
                    Ok(context)
                };
                texts.insert(*role, (context(prompt)?, context(negative)?));
            }
        }
        Ok(GuidedPair { pair: self, texts })
    }

    fn model(&self, role: ModelRole) -> Option<&Transformer> {
        self.transformers[role.index()].as_ref()
    }
}

/// The loaded models with the texts of one run.
pub struct GuidedPair<'a> {
    pair: &'a LoadedPair,
    texts: HashMap<ModelRole, (Context, Context)>,
}

impl ModelSet for GuidedPair<'_> {
    fn guided(&self, role: ModelRole) -> Result<Guided<'_>, SampleError> {
        let parts = self.pair.model(role).zip(self.texts.get(&role));
        let Some((model, (prompt, negative))) = parts else {
            return Err(SampleError::MissingModel(role.name()));
        };
        Ok(Guided {
            model,
            prompt,
            negative,
            profile: self.pair.profile(role),
        })
    }
}

impl LoadedPair {
    fn vae(&self) -> Result<&Vae, RunError> {
        self.vae
            .as_ref()
            .ok_or_else(|| RunError::Failed("the VAE is not loaded; please report this".to_owned()))
    }

    /// Turns final latents `(1, C, T, H, W)` into a clip, `in_tiles` where memory is short. `progress` is told the work
    /// done, all of it, and the frames that are new, as [`Vae::decode_frames`] does.
    pub fn decode(
        &self,
        latents: &Tensor,
        fps: f64,
        in_tiles: bool,
        cancel: &Cancel,
        progress: &mut DecodeProgress<'_>,
    ) -> Result<Clip, RunError> {
        let tiling = self.family().tiling();
        let (_, _, frames, height, width) = latents.dims5().map_err(ModelError::from)?;
        let (width, height, _) = tiling.pixels_of([frames, height, width]);
        let tiling = in_tiles.then_some(&tiling);
        let frames = self
            .vae()?
            .decode_frames(latents, tiling, self.seed, cancel, progress)?;
        Ok(Clip {
            width,
            height,
            fps,
            frames,
        })
    }
}

impl From<ModelError> for RunError {
    fn from(why: ModelError) -> Self {
        match why {
            ModelError::Cancelled => Self::Cancelled,
            why => Self::Failed(why.to_string()),
        }
    }
}

impl From<SampleError> for RunError {
    fn from(why: SampleError) -> Self {
        match why {
            SampleError::Cancelled => Self::Cancelled,
            why => Self::Failed(why.to_string()),
        }
    }
}
