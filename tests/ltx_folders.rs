//! Reading LTX-Video models: folders, the authors' single files, and what is said of those that do
//! not fit.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on should panic.

mod ltx_fixtures;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use flowblend::models::ModelError;
use flowblend::models::ltx::{
    DecodeOptions, LtxTransformer, LtxVae, Pipeline, TextEncoder, TransformerConfig, VaeConfig,
};
use flowblend::sampler::{Cancel, VelocityModel as _};
use ltx_fixtures::{json, model, tensors};
use tempfile::TempDir;

/// The weights of a part of the large model, as they are stored.
fn stored(part: &str) -> HashMap<String, Tensor> {
    let path = model("large").join(part);
    candle_core::safetensors::load(
        path.join("diffusion_pytorch_model.safetensors"),
        &Device::Cpu,
    )
    .unwrap()
}

/// The tensors of a part under the names that its authors give them.
fn native(part: &str) -> HashMap<String, Tensor> {
    let names = &json("names.json")[part];
    let mut ours = stored(part);
    let names = names.as_object().unwrap().iter();
    let native = names
        .map(|(native, name)| {
            let tensor = ours.remove(name.as_str().unwrap()).unwrap();
            (native.clone(), tensor)
        })
        .collect();
    assert!(ours.is_empty());
    native
}

/// A single file as the authors publish it: transformer and VAE together, with statistics that
/// nothing uses.
fn published(change: impl Fn(&mut HashMap<String, Tensor>)) -> (TempDir, PathBuf) {
    let mut all = native("transformer");
    all.extend(native("vae"));
    for unused in ["channel", "mean-of-stds", "mean-of-stds_over_std-of-means"] {
        let zeros = Tensor::zeros(128, DType::F32, &Device::Cpu).unwrap();
        all.insert(format!("vae.per_channel_statistics.{unused}"), zeros);
    }
    change(&mut all);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ltx.safetensors");
    candle_core::safetensors::save(&all, &path).unwrap();
    (folder, path)
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn velocity(model: &LtxTransformer) -> Vec<f32> {
    let cases = tensors("transformer");
    let context = model.context(&cases["1.text"]).unwrap();
    let velocity = model.velocity(&cases["1.latents"], 731.25, &context, &Cancel::new());
    numbers(&velocity.unwrap())
}

fn decoded(vae: &LtxVae) -> Vec<f32> {
    let latents = &tensors("vae")["1.latents"];
    let options = DecodeOptions::with_seed(3);
    let video = vae.decode(latents, options, &Cancel::new(), &mut |_, _| ());
    numbers(&video.unwrap())
}

fn open_transformer(path: &Path) -> Result<LtxTransformer, ModelError> {
    let config = LtxTransformer::read_config(&model("large")).unwrap();
    LtxTransformer::load_file(path, &config, &Device::Cpu, DType::F32)
}

fn open_vae(path: &Path) -> Result<LtxVae, ModelError> {
    let config = LtxVae::read_config(&model("large")).unwrap();
    LtxVae::load_file(path, &config, &Device::Cpu, DType::F32)
}

/// What is said of a failure, in one line.
fn said<T>(outcome: Result<T, ModelError>) -> String {
    let text = match outcome {
        Ok(_) => panic!("this should have failed"),
        Err(error) => error.to_string(),
    };
    assert!(!text.contains('\n'), "{text}");
    text
}

#[test]
fn a_single_file_gives_the_same_bits_as_the_folder() {
    let (_folder, path) = published(|_| ());
    let (dir, cpu) = (model("large"), Device::Cpu);
    let folder = LtxTransformer::load(&dir, &cpu, DType::F32).unwrap();
    let file = open_transformer(&path).unwrap();
    assert!(velocity(&folder) == velocity(&file));
    let folder = LtxVae::load(&dir, &cpu, DType::F32).unwrap();
    let file = open_vae(&path).unwrap();
    assert!(decoded(&folder) == decoded(&file));
}

#[test]
fn a_file_of_one_part_may_lack_the_prefix() {
    let bare = |part: &str, prefix: &str| {
        let tensors = native(part).into_iter();
        let tensors: HashMap<String, Tensor> = tensors
            .map(|(name, tensor)| (name.strip_prefix(prefix).unwrap().to_owned(), tensor))
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("{part}.safetensors"));
        candle_core::safetensors::save(&tensors, &path).unwrap();
        (folder, path)
    };
    let (_folder, path) = bare("transformer", "model.diffusion_model.");
    open_transformer(&path).unwrap();
    let (_folder, path) = bare("vae", "vae.");
    open_vae(&path).unwrap();
}

#[test]
fn a_single_file_tells_its_configs() {
    // The small model in a width that 32 heads divide.
    let (_folder, path) = published(|tensors| {
        for (name, tensor) in tensors.iter_mut() {
            if name.starts_with("model.diffusion_model.") {
                let dims = tensor.dims().iter().map(|dim| match dim {
                    40 => 64,
                    160 => 256,
                    240 => 384,
                    other => *other,
                });
                let shape: Vec<usize> = dims.collect();
                *tensor = Tensor::zeros(shape, DType::F16, &Device::Cpu).unwrap();
            }
        }
    });
    let config = LtxTransformer::native_config(&path).unwrap();
    let want = TransformerConfig {
        attention_head_dim: 2,
        cross_attention_dim: 64,
        num_layers: 3,
        caption_channels: 32,
        ..TransformerConfig::ltx_2b()
    };
    assert_eq!(config, want);
    LtxTransformer::load_file(&path, &config, &Device::Cpu, DType::F32).unwrap();

    let config = LtxVae::native_config(&path).unwrap();
    let folder = LtxVae::read_config(&model("large")).unwrap();
    let want = VaeConfig {
        scaling_factor: 1.0,
        ..folder
    };
    assert_eq!(config, want);
}

#[test]
fn what_is_wrong_with_a_single_file_is_named_as_in_the_file() {
    let name = "model.diffusion_model.transformer_blocks.1.attn2.q_norm.weight";
    let (_folder, path) = published(|tensors| {
        let tensor = Tensor::zeros(39, DType::F16, &Device::Cpu).unwrap();
        tensors.insert(name.to_owned(), tensor);
    });
    let text = said(open_transformer(&path));
    assert!(text.contains(name) && text.contains("[39]"), "{text}");

    let (_folder, path) = published(|tensors| {
        tensors.remove(name);
    });
    let text = said(open_transformer(&path));
    assert!(text.contains("attn2.norm_q.weight"), "{text}");

    let strange = "vae.decoder.strange.weight";
    let (_folder, path) = published(|tensors| {
        let tensor = Tensor::zeros(3, DType::F16, &Device::Cpu).unwrap();
        tensors.insert(strange.to_owned(), tensor);
    });
    open_transformer(&path).unwrap();
    assert!(said(open_vae(&path)).contains(strange));

    let text = said(LtxTransformer::native_config(&path));
    assert!(text.contains("cross_attention_dim is 40"), "{text}");
    let (_folder, path) = published(|tensors| tensors.clear());
    assert!(said(LtxTransformer::native_config(&path)).contains("proj_in.weight"));
    assert!(said(LtxVae::native_config(&path)).contains("encoder.down_blocks.0"));
    let gone = path.with_file_name("gone.safetensors");
    assert!(said(open_vae(&gone)).contains("does not exist"));
}

/// A copy of the large model's configs and tokenizer, with one text file changed.
fn changed(file: &str, from: &str, to: &str) -> TempDir {
    use std::io::Write as _;

    let folder = tempfile::tempdir().unwrap();
    let source = model("large");
    for part in ["transformer", "vae", "text_encoder", "tokenizer"] {
        std::fs::create_dir(folder.path().join(part)).unwrap();
        for entry in std::fs::read_dir(source.join(part)).unwrap() {
            let entry = entry.unwrap();
            let target = folder.path().join(part).join(entry.file_name());
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
    let text = std::fs::read_to_string(source.join(file)).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    let mut out = std::fs::File::create(folder.path().join(file)).unwrap();
    out.write_all(text.replace(from, to).as_bytes()).unwrap();
    folder
}

#[test]
fn unusable_folders_are_named() {
    let cpu = Device::Cpu;
    let transformer =
        |folder: &TempDir| said(LtxTransformer::load(folder.path(), &cpu, DType::F32));
    for (from, to, expected) in [
        ("\"num_layers\": 3", "\"num_layers\": -3", "-3"),
        (
            "\"num_layers\": 3",
            "\"num_layers\": 70000000000",
            "num_layers is 70000000000",
        ),
        (
            "\"num_layers\": 3",
            "\"num_layers\": 4",
            "transformer_blocks.3.",
        ),
        (
            "\"attention_head_dim\": 10",
            "\"attention_head_dim\": 20",
            "blocks have 80",
        ),
        (
            "LTXVideoTransformer3DModel",
            "WanTransformer3DModel",
            "WanTransformer3DModel",
        ),
    ] {
        let text = transformer(&changed("transformer/config.json", from, to));
        assert!(text.contains(expected), "{text}");
    }
    let vae = |folder: &TempDir| said(LtxVae::load(folder.path(), &cpu, DType::F32));
    for (from, to, expected) in [
        (
            "\"latent_channels\": 128",
            "\"latent_channels\": 0",
            "latent_channels holds 0",
        ),
        (
            "\"latent_channels\": 128",
            "\"latent_channels\": 64",
            "encoder.conv_out",
        ),
        (
            "\"temporal_compression_ratio\": 8",
            "\"temporal_compression_ratio\": 4",
            "come to 8",
        ),
        ("\"spatial\"", "\"cubic\"", "cubic"),
    ] {
        let text = vae(&changed("vae/config.json", from, to));
        assert!(text.contains(expected), "{text}");
    }
    let folder = changed("text_encoder/config.json", "\"t5\"", "\"umt5\"");
    let text = said(TextEncoder::load(folder.path(), 48, &cpu, DType::F32));
    assert!(text.contains("umt5 text encoder, not t5"), "{text}");
    let folder = changed(
        "text_encoder/config.json",
        "\"vocab_size\": 78",
        "\"vocab_size\": 20",
    );
    let text = said(TextEncoder::load(folder.path(), 48, &cpu, DType::F32));
    assert!(text.contains("shared.weight"), "{text}");
}

#[test]
fn the_index_decides_on_the_pipeline() {
    use std::io::Write as _;

    assert_eq!(Pipeline::read(&model("large")).unwrap(), Pipeline::Text);
    assert_eq!(Pipeline::read(&model("small")).unwrap(), Pipeline::Text);
    let folder = tempfile::tempdir().unwrap();
    let index = |class: &str| {
        let mut file = std::fs::File::create(folder.path().join("model_index.json")).unwrap();
        write!(file, r#"{{"_class_name":"{class}"}}"#).unwrap();
        Pipeline::read(folder.path())
    };
    assert_eq!(index("LTXConditionPipeline").unwrap(), Pipeline::Condition);
    assert!(said(index("WanPipeline")).contains("WanPipeline"));
}

/// The conventions change what a model gives by far more than the tolerance of the parity tests,
/// so that these tests would notice a mistaken one.
#[test]
fn the_conventions_matter() {
    let mut model_ = LtxTransformer::load(&model("large"), &Device::Cpu, DType::F32).unwrap();
    let usual = velocity(&model_);
    let apart = |other: Vec<f32>| {
        let pairs = usual.iter().zip(&other);
        let largest = pairs.map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        largest / usual.iter().fold(0f32, |peak, v| peak.max(v.abs()))
    };
    model_.set_frame_rate(24.0).unwrap();
    assert!(apart(velocity(&model_)) > 1e-3);
    model_.set_frame_rate(25.0).unwrap();
    model_.set_pipeline(Pipeline::Condition);
    assert!(apart(velocity(&model_)) > 1e-3);
    model_.set_pipeline(Pipeline::Text);
    assert_eq!(apart(velocity(&model_)), 0.0);
}
