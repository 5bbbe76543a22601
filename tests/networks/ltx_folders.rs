//! Reading LTX-Video models: folders, the authors' single files, and what is said of those that do
//! not fit.

use crate::ltx_fixtures;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::ltx_fixtures::{json, model, tensors};
use candle_core::{DType, Device, Tensor};
use flowblend::models::ltx::{
    DecodeOptions, LtxTransformer, LtxVae, Pipeline, TextEncoder, VaeConfig,
};
use flowblend::models::{Family, Loading, ModelError, check, check_compatible};
use flowblend::sampler::{Cancel, VelocityModel as _};
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
/// nothing uses. Beside it a config says how many heads there are, which for the published sizes is
/// known.
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
    put(
        &folder.path().join("config.json"),
        r#"{"num_attention_heads":4}"#,
    );
    (folder, path)
}

fn put(path: &Path, text: &str) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
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
    LtxTransformer::load(path, Loading::to(&Device::Cpu, DType::F32))
}

fn open_vae(path: &Path) -> Result<LtxVae, ModelError> {
    LtxVae::load(path, Loading::to(&Device::Cpu, DType::F32))
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
    let (folder, path) = published(|_| ());
    let dir = model("large");
    // No file says what the latents are scaled by; in every version that is 1.
    let unscaled = changed(
        "vae/config.json",
        "\"scaling_factor\": 0.8",
        "\"scaling_factor\": 1.0",
    );
    let want = (
        velocity(&open_transformer(&dir).unwrap()),
        decoded(&open_vae(unscaled.path()).unwrap()),
    );
    for model in [path.as_path(), folder.path()] {
        assert_eq!(Family::of(model), Family::Ltx);
        assert!(velocity(&open_transformer(model).unwrap()) == want.0);
        assert!(decoded(&open_vae(model).unwrap()) == want.1);
    }
}

/// As in the authors' repository, where files of later versions lie beside the folders of 0.9.0.
#[test]
fn a_single_file_goes_by_itself_and_not_by_folders_beside_it() {
    let (folder, path) = published(|_| ());
    let alone = decoded(&open_vae(&path).unwrap());
    let vae = folder.path().join("vae");
    std::fs::create_dir(&vae).unwrap();
    for file in ["config.json", "diffusion_pytorch_model.safetensors"] {
        std::fs::copy(
            ltx_fixtures::old_model().join("vae").join(file),
            vae.join(file),
        )
        .unwrap();
    }
    let index = r#"{"_class_name":"LTXConditionPipeline"}"#;
    put(&folder.path().join("model_index.json"), index);
    assert!(decoded(&open_vae(&path).unwrap()) == alone);
    assert_eq!(Pipeline::read(&path).unwrap(), Pipeline::Text);
    // The folder as a model is what they describe.
    assert_eq!(
        LtxVae::read_config(folder.path()).unwrap().latent_channels,
        4
    );
    assert_eq!(Pipeline::read(folder.path()).unwrap(), Pipeline::Condition);
}

#[test]
fn files_of_one_part_may_lack_the_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let bare = |part: &str, prefix: &str, file: &str| {
        let tensors = native(part).into_iter();
        let tensors: HashMap<String, Tensor> = tensors
            .map(|(name, tensor)| (name.strip_prefix(prefix).unwrap().to_owned(), tensor))
            .collect();
        candle_core::safetensors::save(&tensors, folder.path().join(file)).unwrap();
    };
    bare("transformer", "model.diffusion_model.", "ltx.safetensors");
    bare("vae", "vae.", "LTX-Video-VAE-BF16.safetensors");
    put(
        &folder.path().join("config.json"),
        r#"{"num_attention_heads":4}"#,
    );
    open_transformer(folder.path()).unwrap();
    open_vae(folder.path()).unwrap();
}

#[test]
fn a_single_file_tells_its_configs() {
    let (folder, path) = published(|_| ());
    let config = LtxTransformer::read_config(&path).unwrap();
    assert_eq!(
        config,
        LtxTransformer::read_config(&model("large")).unwrap()
    );
    assert_eq!(Pipeline::read(&path).unwrap(), Pipeline::Text);
    let vae = LtxVae::read_config(&path).unwrap();
    let want = VaeConfig {
        scaling_factor: 1.0,
        ..LtxVae::read_config(&model("large")).unwrap()
    };
    assert_eq!(vae, want);
    // Without a config beside it the number of heads is that of the published models.
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    let text = said(LtxTransformer::read_config(&path));
    assert!(text.contains("does not divide into 32 heads"), "{text}");
}

#[test]
fn a_text_encoder_lies_beside_a_single_file() {
    let (folder, path) = published(|_| ());
    let source = model("large");
    let copy = |from: &str, to: &str| {
        std::fs::copy(source.join(from), folder.path().join(to)).unwrap();
    };
    copy("text_encoder/model.safetensors", "t5xxl_fp16.safetensors");
    copy("tokenizer/tokenizer.json", "tokenizer.json");
    let config = TextEncoder::read_config(&path).unwrap();
    let want = TextEncoder::read_config(&source).unwrap();
    assert_eq!((config.d_kv, config.num_heads), (want.d_kv, want.num_heads));
    // The small encoder's distance is not the published one's, so only the one-token prompt agrees.
    let encode = |model: &Path| {
        let mut encoder =
            TextEncoder::load(model, 48, Loading::to(&Device::Cpu, DType::F32)).unwrap();
        encoder.set_pipeline(Pipeline::Condition);
        numbers(&encoder.encode("").unwrap())
    };
    assert!(encode(&path) == encode(&source));
}

/// T5 was published with a SentencePiece model only, and so are most folders.
#[test]
fn a_sentencepiece_model_serves_as_tokenizer() {
    let folder = changed("vae/config.json", "3", "3");
    let tokenizer = folder.path().join("tokenizer");
    std::fs::remove_file(tokenizer.join("tokenizer.json")).unwrap();
    let cpu = Device::Cpu;
    let load = || TextEncoder::load(folder.path(), 48, Loading::to(&cpu, DType::F32));
    assert!(said(load()).contains("tokenizer.json"));
    let spiece = model("large").join("../../spiece.model");
    std::fs::copy(spiece, tokenizer.join("spiece.model")).unwrap();
    let encoder = load().unwrap();
    let cases = json("spiece.json");
    for case in cases.as_array().unwrap() {
        let ids = encoder.tokens(case[0].as_str().unwrap()).unwrap();
        let want: Vec<u32> = serde_json::from_value(case[1].clone()).unwrap();
        // Cut to 48 tokens, the end mark included.
        let kept = want.len().min(48) - 1;
        assert_eq!(ids[..kept], want[..kept]);
        assert_eq!(ids[kept..], [1]);
    }
    put(&tokenizer.join("spiece.model"), "not a model");
    let text = said(load());
    assert!(text.contains("not a whole SentencePiece model"), "{text}");
    check_compatible(&model("large"), folder.path()).unwrap();
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

    let (_folder, path) = published(|tensors| {
        tensors.remove("model.diffusion_model.patchify_proj.weight");
        tensors.remove("vae.encoder.down_blocks.1.conv.conv.weight");
    });
    assert!(said(open_transformer(&path)).contains("proj_in.weight"));
    let text = said(open_vae(&path));
    assert!(
        text.contains("encoder.down_blocks.0.downsamplers.0"),
        "{text}"
    );
}

#[test]
fn models_are_checked_without_being_loaded() {
    let parts = check(&model("large"));
    let complete = parts.iter().map(|part| (part.part, part.is_complete()));
    let all = ["transformer", "vae", "text_encoder", "tokenizer"];
    assert_eq!(complete.collect::<Vec<_>>(), all.map(|part| (part, true)));

    let (_folder, path) = published(|tensors| {
        tensors.remove("model.diffusion_model.proj_out.bias");
        tensors.remove("vae.decoder.up_blocks.3.conv.conv.bias");
    });
    let parts = check(&path);
    for (part, missing) in [
        (0, "proj_out.bias"),
        (1, "decoder.up_blocks.1.upsamplers.0.conv"),
    ] {
        let state = parts[part].outcome.as_ref().unwrap();
        assert_eq!(state.faults.len(), 1);
        assert!(state.faults[0].to_string().contains(missing));
    }
    assert!(parts[2].outcome.is_err() && parts[3].outcome.is_err());
}

#[test]
fn models_that_do_not_match_are_refused() {
    let (large, small) = (model("large"), model("small"));
    check_compatible(&large, &small).unwrap();
    check_compatible(&large, changed("vae/config.json", "3", "3").path()).unwrap();
    let wan = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wan/pair/small");
    let text = said(check_compatible(&large, &wan));
    assert!(
        text.contains("LTX-Video") && text.contains("WAN 2.1"),
        "{text}"
    );
    let other = changed(
        "vae/config.json",
        "\"scaling_factor\": 0.8",
        "\"scaling_factor\": 1.0",
    );
    let text = said(check_compatible(&large, other.path()));
    assert!(text.contains("0.8") && text.contains("1.0"), "{text}");

    // The statistics of the latents are compared by value.
    let other = changed("vae/config.json", "3", "3");
    let path = other.path().join("vae/diffusion_pytorch_model.safetensors");
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    let mean = (&tensors["latents_mean"] + 0.1).unwrap();
    tensors.insert("latents_mean".into(), mean);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let text = said(check_compatible(&large, other.path()));
    assert!(text.contains("latents_mean[0]"), "{text}");
}

/// The VAE of 0.9.0 has as many channels as that of 0.9.7, so only its blocks tell.
#[test]
fn an_old_vae_does_not_go_with_a_transformer_of_later_versions() {
    let blocks = ["\"num_layers\": 3", "\"num_layers\": 48"];
    let folder = changed("transformer/config.json", blocks[0], blocks[1]);
    check_compatible(folder.path(), &model("small")).unwrap();
    let (old, vae) = (
        model("large").join("../../old/vae"),
        folder.path().join("vae"),
    );
    for file in ["config.json", "diffusion_pytorch_model.safetensors"] {
        std::fs::copy(old.join(file), vae.join(file)).unwrap();
    }
    let refused = said(check_compatible(folder.path(), &model("small")));
    let checked = check(folder.path()).remove(1);
    assert_eq!(checked.part, "vae");
    for text in [refused, said(checked.outcome)] {
        for words in [
            "vae/config.json",
            "LTXVideoDownBlock3D",
            "LTXVideo095DownBlock3D",
            "48",
        ] {
            assert!(text.contains(words), "{text}");
        }
    }
}

/// A copy of the large model's configs and tokenizer, with one text file changed.
fn changed(file: &str, from: &str, to: &str) -> TempDir {
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
    put(&folder.path().join(file), &text.replace(from, to));
    folder
}

#[test]
fn unusable_folders_are_named() {
    let cpu = Device::Cpu;
    let transformer = |folder: &TempDir| {
        said(LtxTransformer::load(
            folder.path(),
            Loading::to(&cpu, DType::F32),
        ))
    };
    for (from, to, expected) in [
        ("\"num_layers\": 3", "\"num_layers\": -3", "-3"),
        (
            "\"num_layers\": 3",
            "\"num_layers\": 1000000",
            "more than 1024",
        ),
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
    let vae = |folder: &TempDir| said(LtxVae::load(folder.path(), Loading::to(&cpu, DType::F32)));
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
    let text = said(TextEncoder::load(
        folder.path(),
        48,
        Loading::to(&cpu, DType::F32),
    ));
    assert!(text.contains("umt5 text encoder, not t5"), "{text}");
    let folder = changed(
        "text_encoder/config.json",
        "\"vocab_size\": 78",
        "\"vocab_size\": 20",
    );
    let text = said(TextEncoder::load(
        folder.path(),
        48,
        Loading::to(&cpu, DType::F32),
    ));
    assert!(text.contains("shared.weight"), "{text}");
}

#[test]
fn the_index_decides_on_the_pipeline() {
    assert_eq!(Pipeline::read(&model("large")).unwrap(), Pipeline::Text);
    assert_eq!(Pipeline::read(&model("small")).unwrap(), Pipeline::Text);
    let folder = tempfile::tempdir().unwrap();
    let index = |class: &str| {
        let text = format!(r#"{{"_class_name":"{class}"}}"#);
        put(&folder.path().join("model_index.json"), &text);
        Pipeline::read(folder.path())
    };
    assert_eq!(index("LTXConditionPipeline").unwrap(), Pipeline::Condition);
    assert!(said(index("WanPipeline")).contains("WanPipeline"));
}

/// The conventions change what a model gives by far more than the tolerance of the parity tests,
/// so that these tests would notice a mistaken one.
#[test]
fn the_conventions_matter() {
    let mut model_ =
        LtxTransformer::load(&model("large"), Loading::to(&Device::Cpu, DType::F32)).unwrap();
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
