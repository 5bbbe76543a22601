//! Reading model folders: the forms they come in, and what is said of those that do not fit.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::wan_fixtures::{errors, model, tensors};
use candle_core::{DType, Device, Tensor};
use flowblend::models::wan::{TextEncoder, WanTransformer, WanVae, transformer_files};
use flowblend::models::{Family, Loading, ModelError, check_compatible, hash_files};
use flowblend::sampler::{Cancel, VelocityModel as _};
use tempfile::TempDir;

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

/// A copy of a fixture's model folder that a test may spoil.
struct Copy(TempDir);

impl Copy {
    fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&model(name), folder.path());
        Self(folder)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Replaces `from` by `to` in a text file, where it must occur.
    fn edit(&self, path: &str, from: &str, to: &str) {
        let old = fs::read_to_string(self.at(path)).unwrap();
        assert!(old.contains(from), "{path} has no {from}");
        put(&self.at(path), old.replace(from, to).as_bytes());
    }

    fn load(&self, path: &str) -> HashMap<String, Tensor> {
        candle_core::safetensors::load(self.at(path), &Device::Cpu).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn put(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

fn transformer(dir: &Path) -> Result<WanTransformer, ModelError> {
    WanTransformer::load(dir, Loading::to(&Device::Cpu, DType::F32))
}

fn velocity(dir: &Path) -> Tensor {
    let cases = tensors("transformer");
    let model = transformer(dir).unwrap();
    let context = model.context(&cases["1.text"]).unwrap();
    model
        .velocity(&cases["1.latents"], 731.25, &context, &Cancel::new())
        .unwrap()
}

/// What is said when the transformer in `dir` is loaded, which must fail, in one line.
fn said(dir: &Path) -> String {
    one_line(transformer(dir).map(drop))
}

fn one_line(outcome: Result<(), ModelError>) -> String {
    let text = outcome.unwrap_err().to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

fn text_encoder(dir: &Path) -> Result<TextEncoder, ModelError> {
    TextEncoder::load(dir, 16, Loading::to(&Device::Cpu, DType::F32))
}

#[test]
fn shards_load_like_a_single_file() {
    let folder = Copy::of("large");
    let whole = folder.at("transformer").join(WEIGHTS);
    let mut names: Vec<_> = folder
        .load(&format!("transformer/{WEIGHTS}"))
        .into_iter()
        .collect();
    names.sort_by(|a, b| a.0.cmp(&b.0));
    let mut map = serde_json::Map::new();
    let half = names.len() / 2;
    for (i, part) in [&names[..half], &names[half..]].into_iter().enumerate() {
        let file = format!("diffusion_pytorch_model-0000{}-of-00002.safetensors", i + 1);
        let tensors: HashMap<_, _> = part.iter().cloned().collect();
        candle_core::safetensors::save(&tensors, folder.at("transformer").join(&file)).unwrap();
        map.extend(tensors.into_keys().map(|name| (name, file.clone().into())));
    }
    fs::remove_file(whole).unwrap();
    let index = serde_json::json!({ "metadata": {}, "weight_map": map });
    put(
        &folder
            .at("transformer")
            .join(format!("{WEIGHTS}.index.json")),
        index.to_string().as_bytes(),
    );
    let bits = |dir: &Path| {
        let velocity = velocity(dir);
        velocity.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert!(bits(folder.0.path()) == bits(&model("large")));
    assert_eq!(
        Family::Wan.transformer_size(folder.0.path()).unwrap(),
        Family::Wan.transformer_size(&model("large")).unwrap()
    );

    let shard = folder.at("transformer/diffusion_pytorch_model-00002-of-00002.safetensors");
    fs::remove_file(&shard).unwrap();
    let text = said(folder.0.path());
    assert!(
        text.contains("shard") && text.contains(shard.to_str().unwrap()),
        "{text}"
    );
}

#[test]
fn every_stored_format_loads() {
    let want = velocity(&model("large"));
    for (dtype, tolerance) in [(DType::F32, 0.0), (DType::BF16, 0.02)] {
        let folder = Copy::of("large");
        let stored: HashMap<_, _> = folder
            .load(&format!("transformer/{WEIGHTS}"))
            .into_iter()
            .map(|(name, tensor)| (name, tensor.to_dtype(dtype).unwrap()))
            .collect();
        candle_core::safetensors::save(&stored, folder.at("transformer").join(WEIGHTS)).unwrap();
        let (l2, max) = errors(&velocity(folder.0.path()), &want);
        assert!(l2 <= tolerance && max <= tolerance, "{dtype:?}: {l2} {max}");
    }
    let folder = Copy::of("large");
    let mut stored = folder.load(&format!("transformer/{WEIGHTS}"));
    let bias = stored["proj_out.bias"].to_dtype(DType::F64).unwrap();
    stored.insert("proj_out.bias".into(), bias);
    candle_core::safetensors::save(&stored, folder.at("transformer").join(WEIGHTS)).unwrap();
    let text = said(folder.0.path());
    assert!(
        text.contains("`proj_out.bias`") && text.contains("F64"),
        "{text}"
    );
}

#[test]
fn missing_parts_are_named() {
    let folder = Copy::of("large");
    let text = said(&folder.at("nowhere"));
    assert!(
        text.contains("the model folder") && text.contains("nowhere"),
        "{text}"
    );

    fs::rename(
        folder.at("transformer").join(WEIGHTS),
        folder.at("transformer/diffusion_pytorch_model.bin"),
    )
    .unwrap();
    let text = said(folder.0.path());
    assert!(
        text.contains(WEIGHTS) && text.contains("safe_serialization"),
        "{text}"
    );

    fs::remove_file(folder.at("transformer/config.json")).unwrap();
    assert!(said(folder.0.path()).contains("transformer/config.json"));

    fs::remove_dir_all(folder.at("transformer")).unwrap();
    let text = said(folder.0.path());
    assert!(text.contains("the model's transformer folder"), "{text}");

    let small = model("small");
    let text = one_line(WanVae::load(&small, Loading::to(&Device::Cpu, DType::F32)).map(drop));
    assert!(text.contains("the model's vae folder"), "{text}");
    let text = one_line(text_encoder(&small).map(drop));
    assert!(text.contains("the model's text_encoder folder"), "{text}");
}

#[test]
fn cut_and_spoilt_weights_are_named() {
    let folder = Copy::of("large");
    let path = folder.at("transformer").join(WEIGHTS);
    let bytes = fs::read(&path).unwrap();
    let mut wild = bytes.clone();
    wild[9..40].fill(b'!');
    for (spoilt, why) in [
        (&bytes[..bytes.len() - 100], "bytes long, but is"),
        (&bytes[..200], "its header should take"),
        (&bytes[..3], "only 3 bytes"),
        (&[], "only 0 bytes"),
        (&wild[..], "its header cannot be read"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "its header should take",
        ),
    ] {
        put(&path, spoilt);
        let text = said(folder.0.path());
        assert!(text.contains(WEIGHTS) && text.contains(why), "{text}");
        assert!(transformer_files(folder.0.path()).is_err());
    }
}

#[test]
fn a_config_that_does_not_fit_names_the_tensor_and_both_shapes() {
    let config = "transformer/config.json";
    for (from, to, parts) in [
        (
            r#""ffn_dim": 128"#,
            r#""ffn_dim": 160"#,
            &["`blocks.0.ffn.net.0.proj.weight`", "[128, 64]", "[160, 64]"][..],
        ),
        (
            r#""num_layers": 3"#,
            r#""num_layers": 4"#,
            &["no tensor `blocks.3.norm2.weight`", "[64]"],
        ),
        (
            r#""num_layers": 3"#,
            r#""num_layers": 2"#,
            &["tensor `blocks.2.attn1.norm_k.weight`", "no place"],
        ),
        (
            r#""in_channels": 16"#,
            r#""in_channels": 48"#,
            &["out_channels is 16, but in_channels is 48"],
        ),
        (
            "WanTransformer3DModel",
            "LTXVideoTransformer3DModel",
            &["LTXVideoTransformer3DModel"],
        ),
        (
            r#""image_dim": null"#,
            r#""image_dim": 1280"#,
            &["image-to-video"],
        ),
        (
            r#""num_layers": 3"#,
            r#""num_layers": "#,
            &["does not parse"],
        ),
    ] {
        let folder = Copy::of("large");
        folder.edit(config, from, to);
        let text = said(folder.0.path());
        assert!(text.contains("transformer"), "{text}");
        for part in parts {
            assert!(text.contains(part), "{text} lacks {part}");
        }
    }
    let folder = Copy::of("large");
    folder.edit("vae/config.json", r#""base_dim": 4"#, r#""base_dim": 8"#);
    let text =
        one_line(WanVae::load(folder.0.path(), Loading::to(&Device::Cpu, DType::F32)).map(drop));
    let parts = [
        "`encoder.conv_in.weight`",
        "[4, 3, 3, 3, 3]",
        "[8, 3, 3, 3, 3]",
    ];
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    let folder = Copy::of("large");
    folder.edit(
        "text_encoder/config.json",
        r#""num_heads": 4"#,
        r#""num_heads": 2"#,
    );
    let text = one_line(text_encoder(folder.0.path()).map(drop));
    assert!(
        text.contains("SelfAttention.q.weight") && text.contains("[16, 32]"),
        "{text}"
    );
}

#[test]
fn a_bad_tokenizer_is_named() {
    let path = "tokenizer/tokenizer.json";
    let folder = Copy::of("large");
    put(&folder.at(path), b"{\"model\": 3}");
    let text = one_line(text_encoder(folder.0.path()).map(drop));
    assert!(
        text.contains("the tokenizer") && text.contains(path),
        "{text}"
    );
    fs::remove_file(folder.at(path)).unwrap();
    let text = one_line(text_encoder(folder.0.path()).map(drop));
    assert!(
        text.contains("the tokenizer is missing") && text.contains(path),
        "{text}"
    );

    // A tokenizer that knows more words than the encoder.
    let folder = Copy::of("large");
    let config = fs::read_to_string(folder.at("text_encoder/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let words = format!(r#""vocab_size": {}"#, config["vocab_size"]);
    folder.edit("text_encoder/config.json", &words, r#""vocab_size": 3"#);
    let mut stored = folder.load("text_encoder/model.safetensors");
    let table = stored["shared.weight"].narrow(0, 0, 3).unwrap();
    stored.insert("shared.weight".into(), table.contiguous().unwrap());
    candle_core::safetensors::save(&stored, folder.at("text_encoder/model.safetensors")).unwrap();
    let encoder = text_encoder(folder.0.path()).unwrap();
    let text = one_line(encoder.encode("a red circle").map(drop));
    assert!(text.contains("knows only 3 tokens"), "{text}");
}

#[test]
fn models_that_do_not_match_are_refused() {
    let large = model("large");
    check_compatible(&large, &model("small")).unwrap();
    check_compatible(&large, &large).unwrap();

    let refused = |dir: &Copy| one_line(check_compatible(&large, dir.0.path()));
    for (file, from, to, parts) in [
        (
            "transformer/config.json",
            r#""text_dim": 32"#,
            r#""text_dim": 64"#,
            &["text_dim", "32", "64"][..],
        ),
        (
            "vae/config.json",
            "-0.5",
            "-0.25",
            &["latents_mean of channel 0", "-0.5", "-0.25"],
        ),
        (
            "text_encoder/config.json",
            r#""num_layers": 3"#,
            r#""num_layers": 5"#,
            &["num_layers", "3", "5"],
        ),
        (
            "tokenizer/tokenizer.json",
            "\"</s>\"",
            "\"<end>\"",
            &["tokenizers differ"],
        ),
        (
            "scheduler/scheduler_config.json",
            "FlowMatchEulerDiscreteScheduler",
            "DDIMScheduler",
            &["flow_prediction", "epsilon"],
        ),
    ] {
        let folder = Copy::of("large");
        folder.edit(file, from, to);
        let text = refused(&folder);
        assert!(text.starts_with("the models cannot be blended"), "{text}");
        for part in parts {
            assert!(text.contains(part), "{text} lacks {part}");
        }
    }

    // The same config, but another training.
    let folder = Copy::of("large");
    let weights = format!("vae/{WEIGHTS}");
    let mut stored = folder.load(&weights);
    let bias = (&stored["post_quant_conv.bias"] + 1.0).unwrap();
    stored.insert("post_quant_conv.bias".into(), bias);
    candle_core::safetensors::save(&stored, folder.at(&weights)).unwrap();
    assert!(refused(&folder).contains("post_quant_conv.bias[0]"));
}

/// As the second expert of Wan 2.2 lies beside the first.
#[test]
fn a_transformers_own_folder_is_a_model_too() {
    let folder = model("small").join("transformer");
    assert_eq!(transformer_files(&folder).unwrap(), [folder.join(WEIGHTS)]);
    check_compatible(&model("large"), &folder).unwrap();
    let cases = tensors("transformer");
    let velocity = |dir: &Path| {
        let model = WanTransformer::load(dir, Loading::to(&Device::Cpu, DType::F32)).unwrap();
        let context = model.context(&cases["2.text"]).unwrap();
        let made = model.velocity(&cases["2.latents"], 250.0, &context, &Cancel::new());
        made.unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap()
    };
    assert!(velocity(&folder) == velocity(&model("small")));
}

#[test]
fn loading_tells_how_far_it_is_and_can_be_stopped() {
    let cancel = Cancel::new();
    let mut told = Vec::new();
    let mut tell = |done, of| told.push((done, of));
    let loading = Loading::to(&Device::Cpu, DType::F32).watched(&cancel, &mut tell);
    WanTransformer::load(&model("large"), loading).unwrap();
    let (done, of) = told[told.len() - 1];
    let path = model("large").join("transformer").join(WEIGHTS);
    let size = fs::metadata(path).unwrap().len();
    // All but the header.
    assert!(done == of && (size / 2..size).contains(&done));
    assert!(told.len() > 20 && told.is_sorted());

    let stop = cancel.clone();
    let mut seen = 0;
    let mut tell = |_, _| {
        seen += 1;
        if seen == 3 {
            stop.cancel();
        }
    };
    let loading = Loading::to(&Device::Cpu, DType::F32).watched(&cancel, &mut tell);
    let outcome = WanTransformer::load(&model("large"), loading);
    assert!(matches!(outcome, Err(ModelError::Cancelled)));
    assert_eq!(seen, 3);
}

#[test]
fn hashes_tell_weights_apart() {
    let hash = |dir: &Path| hash_files(&transformer_files(dir).unwrap()).unwrap();
    assert_eq!(hash(&model("large")).len(), 64);
    assert_eq!(hash(&model("large")), hash(Copy::of("large").0.path()));
    assert_ne!(hash(&model("large")), hash(&model("small")));
    // Known to be the plain SHA-256 of the file.
    let bytes = fs::read(model("small").join("transformer").join(WEIGHTS)).unwrap();
    use sha2::Digest as _;
    let plain: String = sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hash(&model("small")), plain);
}
