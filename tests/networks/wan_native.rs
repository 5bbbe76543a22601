//! WAN in the files of its authors (safetensors, PyTorch checkpoints) and as GGUF, against what
//! diffusers and the authors' own code make of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::wan_fixtures::assert_close;
use candle_core::{DType, Device, Tensor};
use flowblend::models::wan::{TextEncoder, WanTransformer, WanVae};
use flowblend::models::{
    Family, LargeMatrices, Loading, NumberFormat, PartCheck, PartSize, check, check_compatible,
};
use flowblend::sampler::{
    Cancel, Context, Guided, ModelSet, SampleError, VelocityModel as _, denoise,
};
use flowblend::schedule::{Course, ModelRole, Plan, SigmaGrid};

/// Relative errors allowed, as in wan_parity.rs.
const NETWORK: f64 = 2e-4;
const RUN: f64 = 1e-3;

const TEXT_TOKENS: usize = 32;
const PROMPT: &str = "a red circle bouncing over a blue background";

fn fixture(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wan_native");
    path.join(name)
}

fn run() -> HashMap<String, Tensor> {
    candle_core::safetensors::load(fixture("run.safetensors"), &Device::Cpu).unwrap()
}

fn transformer(name: &str) -> WanTransformer {
    WanTransformer::load(&fixture(name), Loading::to(&Device::Cpu, DType::F32)).unwrap()
}

#[test]
fn the_parts_are_found_and_complete() {
    let parts = check(&fixture("large"));
    assert_eq!(parts.len(), 4);
    assert!(parts.iter().all(PartCheck::is_complete), "{parts:?}");
    // A lone file is a transformer; the other parts are missed by name.
    let parts = check(&fixture("small.gguf"));
    assert!(parts[0].is_complete(), "{parts:?}");
    let missing = parts[1].outcome.as_ref().unwrap_err().to_string();
    assert!(missing.contains("Wan2.1_VAE.safetensors"), "{missing}");
    check_compatible(&fixture("large"), &fixture("small.gguf")).unwrap();
}

#[test]
fn quantised_matrices_are_counted_as_they_lie_in_memory() {
    let size = |name: &str| Family::Wan.transformer_size(&fixture(name)).unwrap();
    let plain = size("large");
    let bytes = plain.bytes(DType::BF16.into(), true);
    assert_eq!((plain.quantised, bytes), (0, 2 * plain.parameters));
    let gguf = size("small.gguf");
    assert!(gguf.quantised > gguf.parameters / 2 && gguf.quantised < gguf.parameters);
    let bits = 8.0 * gguf.quantised_bytes as f64 / gguf.quantised as f64;
    // From Q4_K to Q8_0.
    assert!((4.5..8.6).contains(&bits), "{bits}");
    assert!(gguf.bytes(DType::F32.into(), true) < 3 * gguf.parameters);
    // Small matrices in bf16 are not kept so where f32 is asked for.
    let text = Family::Wan.text_size(&fixture("large")).unwrap();
    let bytes = text.bytes(DType::F32.into(), true);
    assert_eq!(
        (text.large, bytes),
        (LargeMatrices::default(), 4 * text.parameters)
    );
    let part = PartSize {
        parameters: 100_000,
        large: LargeMatrices {
            factors: 64_000,
            half_factors: 32_000,
            half_tables: 8_000,
        },
        ..PartSize::default()
    };
    let bytes = |dtype, integers, on_cpu| part.bytes(NumberFormat { dtype, integers }, on_cpu);
    let (f32, bf16) = (DType::F32, DType::BF16);
    assert_eq!(bytes(f32, false, false), 400_000);
    assert_eq!(bytes(bf16, false, false), 200_000);
    assert_eq!(bytes(f32, false, true), 40_000 * 2 + 60_000 * 4);
    assert_eq!(bytes(bf16, false, true), 200_000);
    // Of 64 numbers a scale of four bytes.
    let integers = 64_000 * 2 + 64_000 / 64 * 4;
    assert_eq!(bytes(f32, true, true), integers + 8_000 * 2 + 28_000 * 4);
    assert_eq!(bytes(bf16, true, true), integers + 36_000 * 2);
}

#[test]
fn networks_agree_with_their_reference() {
    let want = run();
    for (role, name) in [("large", "large"), ("small", "small.gguf")] {
        let model = transformer(name);
        let text = want["embeddings"].narrow(0, 0, 1).unwrap();
        let context = model.context(&text).unwrap();
        let velocity = model
            .velocity(&want["initial"], 700.0, &context, &Cancel::new())
            .unwrap();
        let name = format!("{role}.velocity");
        assert_close(&name, &velocity, &want[&name], NETWORK);
    }
    let model = fixture("large");
    let encoder =
        TextEncoder::load(&model, TEXT_TOKENS, Loading::to(&Device::Cpu, DType::F32)).unwrap();
    for (i, prompt) in [PROMPT, ""].into_iter().enumerate() {
        let embedding = encoder.encode(prompt).unwrap();
        let want = want["embeddings"].narrow(0, i, 1).unwrap();
        assert_close(&format!("embedding {i}"), &embedding, &want, NETWORK);
    }
    let vae = WanVae::load(&model, Loading::to(&Device::Cpu, DType::F32)).unwrap();
    let encoded = vae.encode(&want["video"], &Cancel::new()).unwrap();
    assert_close("encoded", &encoded, &want["encoded"], NETWORK);
}

/// As the authors publish the model of 14B.
#[test]
fn shards_with_an_index_are_one_model() {
    let stem = "diffusion_pytorch_model";
    let single = fixture("large").join(format!("{stem}.safetensors"));
    let tensors = candle_core::safetensors::load(&single, &Device::Cpu).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut places = serde_json::Map::new();
    for shard in 0..2 {
        let file = format!("{stem}-0000{}-of-00002.safetensors", shard + 1);
        let part: HashMap<String, Tensor> = tensors
            .iter()
            .filter(|(name, _)| name.len() % 2 == shard)
            .map(|(name, tensor)| (name.clone(), tensor.clone()))
            .collect();
        places.extend(part.keys().map(|name| (name.clone(), file.clone().into())));
        candle_core::safetensors::save(&part, folder.path().join(file)).unwrap();
    }
    let index = serde_json::json!({ "weight_map": places });
    let path = folder.path().join(format!("{stem}.safetensors.index.json"));
    let mut file = std::fs::File::create(path).unwrap();
    serde_json::to_writer(&mut file, &index).unwrap();

    assert!(check(folder.path())[0].is_complete());
    let want = run();
    let velocity = |path: &Path| {
        let model = WanTransformer::load(path, Loading::to(&Device::Cpu, DType::F32)).unwrap();
        let context = model.context(&want["embeddings"].narrow(0, 0, 1).unwrap());
        let made = model.velocity(&want["initial"], 500.0, &context.unwrap(), &Cancel::new());
        made.unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap()
    };
    assert!(velocity(folder.path()) == velocity(&single));

    let lost = folder
        .path()
        .join(format!("{stem}-00002-of-00002.safetensors"));
    std::fs::remove_file(&lost).unwrap();
    let said = check(folder.path())[0]
        .outcome
        .as_ref()
        .unwrap_err()
        .to_string();
    assert!(said.contains("00002-of-00002"), "{said}");
}

struct Pair {
    models: [WanTransformer; 2],
    texts: [[Context; 2]; 2],
}

impl ModelSet for Pair {
    fn guided(&self, role: ModelRole) -> Result<Guided<'_>, SampleError> {
        let at = usize::from(role != ModelRole::Large);
        let [prompt, negative] = &self.texts[at];
        Ok(Guided {
            model: &self.models[at],
            prompt,
            negative,
            profile: None,
        })
    }
}

#[test]
fn a_run_of_a_native_and_a_quantised_model_ends_in_the_same_frames() {
    let want = run();
    let model = fixture("large");
    let encoder =
        TextEncoder::load(&model, TEXT_TOKENS, Loading::to(&Device::Cpu, DType::F32)).unwrap();
    let models = ["large", "small.gguf"].map(transformer);
    let texts = models.each_ref().map(|model| {
        [PROMPT, ""].map(|text| model.context(&encoder.encode(text).unwrap()).unwrap())
    });
    let grid = SigmaGrid::flow_euler(10, 3.0);
    let plan = Plan::parse("LSL", &[0.4, 0.8]).unwrap().steps(10, 4.0);
    let cancel = Cancel::new();
    let end = denoise(
        &want["initial"],
        &Course::euler(grid, plan),
        &Pair { models, texts },
        &cancel,
        &mut |view| {
            let name = format!("{}.x", view.step);
            assert_close(&name, view.after, &want[&name], RUN);
            Ok(())
        },
    )
    .unwrap();
    let vae = WanVae::load(&model, Loading::to(&Device::Cpu, DType::F32)).unwrap();
    let frames = vae.decode(end.last(), &cancel, &mut |_, _| ()).unwrap();
    assert_close("frames", &frames, &want["frames"], RUN);
}
