//! The models at the size they are published in, without their weights: sparse files with exactly
//! the tensors of tests/fixtures/full_size pass the check, and spoilt ones are told apart.

#![allow(clippy::disallowed_methods, reason = "tests spoil files on purpose")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use flowblend::models::{ModelError, PartCheck, check};

/// Name, dtype and sizes of a tensor.
type Row = (String, &'static str, Vec<usize>);

fn rows(name: &str) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/full_size");
    let text = fs::read_to_string(path.join(format!("{name}.txt"))).unwrap();
    let row = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let dtype = if words[1] == "F32" { "F32" } else { "BF16" };
        // A single number has no sizes.
        let sizes = words.get(2).into_iter().flat_map(|sizes| sizes.split('x'));
        let sizes = sizes
            .filter(|n| !n.is_empty())
            .map(|n| n.parse().unwrap())
            .collect();
        (words[0].to_owned(), dtype, sizes)
    };
    text.lines().map(row).collect()
}

/// Writes a safetensors file with these tensors whose data is a hole.
fn sparse(path: &Path, rows: &[Row]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut header = String::from("{");
    let mut at = 0u64;
    for (i, (name, dtype, sizes)) in rows.iter().enumerate() {
        let width = if *dtype == "F32" { 4 } else { 2 };
        let end = at + sizes.iter().product::<usize>() as u64 * width;
        let comma = if i == 0 { "" } else { "," };
        write!(
            header,
            r#"{comma}"{name}":{{"dtype":"{dtype}","shape":{sizes:?},"data_offsets":[{at},{end}]}}"#
        )
        .unwrap();
        at = end;
    }
    header.push('}');
    let mut file = File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes())
        .unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(8 + header.len() as u64 + at).unwrap();
}

/// The same tensors in so many files with a list of what lies where, as large models are published.
fn sharded(folder: &Path, rows: &[Row], count: usize) {
    let mut places = Vec::new();
    for (i, part) in rows.chunks(rows.len().div_ceil(count)).enumerate() {
        let file = format!(
            "diffusion_pytorch_model-{:05}-of-{count:05}.safetensors",
            i + 1
        );
        sparse(&folder.join(&file), part);
        let place = |row: &Row| format!(r#""{}":"{file}""#, row.0);
        places.extend(part.iter().map(place));
    }
    put(
        &folder.join("diffusion_pytorch_model.safetensors.index.json"),
        &format!(r#"{{"weight_map":{{{}}}}}"#, places.join(",")),
    );
}

fn put(path: &Path, text: &str) {
    let mut file = File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A tokenizer, from the small fixture: the check asks only that it can be read.
fn tokenizer(path: &Path) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/wan/pair/large/tokenizer/tokenizer.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(fixture, path).unwrap();
}

fn assert_complete(model: &Path, transformer: usize, parameters: usize) {
    assert_parts(
        model,
        [
            (transformer, parameters),
            (194, 126_892_531),
            (242, 5_680_910_336),
            (0, 0),
        ],
    );
}

/// As [`assert_complete`] for LTX-Video.
fn assert_ltx_complete(model: &Path, transformer: usize, parameters: usize) {
    assert_parts(
        model,
        [
            (transformer, parameters),
            (226, 1_246_913_778),
            (219, 4_762_310_656),
            (0, 0),
        ],
    );
}

fn assert_parts(model: &Path, wanted: [(usize, usize); 4]) {
    let parts = check(model);
    for part in &parts {
        let state = part.outcome.as_ref().unwrap();
        assert!(part.is_complete(), "{}: {:?}", part.part, state.faults);
    }
    let counts: Vec<_> = parts
        .iter()
        .map(|part| part.outcome.as_ref().unwrap())
        .map(|state| (state.tensors, state.parameters))
        .collect();
    assert_eq!(counts, wanted);
}

/// A WAN model as its authors publish it.
fn native(model: &Path, name: &str) {
    let weights = model.join("diffusion_pytorch_model.safetensors");
    sparse(&weights, &rows(&format!("{name}.native")));
    sparse(
        &model.join("Wan2.1_VAE.safetensors"),
        &rows("wan-vae.native"),
    );
    sparse(
        &model.join("models_t5_umt5-xxl-enc-bf16.safetensors"),
        &rows("umt5-xxl.native"),
    );
    tokenizer(&model.join("google/umt5-xxl/tokenizer.json"));
}

#[test]
fn wan_as_its_authors_publish_it_is_complete() {
    for (name, tensors, parameters) in [
        ("wan-1.3b", 825, 1_418_996_800),
        ("wan-14b", 1095, 14_288_491_584),
    ] {
        let model = tempfile::tempdir().unwrap();
        native(model.path(), name);
        assert_complete(model.path(), tensors, parameters);
    }
}

#[test]
fn wan_in_the_layout_of_diffusers_is_complete() {
    for (name, shards, heads, layers, ffn, parameters) in [
        ("wan-1.3b", 2, 12, 30, 8960, 1_418_996_800),
        ("wan-14b", 12, 40, 40, 13824, 14_288_491_584),
    ] {
        let model = tempfile::tempdir().unwrap();
        let at = |path: &str| model.path().join(path);
        let tensors = rows(name);
        sharded(&at("transformer"), &tensors, shards);
        sparse(
            &at("vae/diffusion_pytorch_model.safetensors"),
            &rows("wan-vae"),
        );
        sparse(&at("text_encoder/model.safetensors"), &rows("umt5-xxl"));
        tokenizer(&at("tokenizer/tokenizer.json"));
        let config = format!(
            r#"{{"_class_name":"WanTransformer3DModel","num_attention_heads":{heads},
                "attention_head_dim":128,"num_layers":{layers},"ffn_dim":{ffn},"text_dim":4096}}"#
        );
        put(&at("transformer/config.json"), &config);
        put(
            &at("vae/config.json"),
            r#"{"_class_name":"AutoencoderKLWan"}"#,
        );
        put(
            &at("text_encoder/config.json"),
            r#"{"model_type":"umt5","vocab_size":256384,"d_model":4096,"d_kv":64,"d_ff":10240,
                "num_layers":24,"num_heads":64}"#,
        );
        assert_complete(model.path(), tensors.len(), parameters);
        // The same as a person sees it.
        let output = Command::new(env!("CARGO_BIN_EXE_flowblend"))
            .args(["models", "check"])
            .arg(model.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}");
        let counts = format!("{} tensors, {parameters} parameters", tensors.len());
        assert!(said.contains(&counts), "{said}");
        assert_eq!(said.matches("complete").count(), 4, "{said}");

        // LTX-Video's text encoder has one position bias where UMT5 has one a layer, and other words.
        sparse(&at("text_encoder/model.safetensors"), &rows("t5-xxl"));
        let text = check(model.path()).remove(2);
        let faults = text.outcome.unwrap().faults;
        let said: Vec<_> = faults.iter().map(ToString::to_string).collect();
        let names = |word: &str| said.iter().filter(|fault| fault.contains(word)).count();
        assert_eq!(names("relative_attention_bias"), 23, "{said:?}");
        assert_eq!(names("shared.weight"), 1, "{said:?}");
    }
}

#[test]
fn ltx_as_its_authors_publish_it_is_complete() {
    for (name, tensors, parameters) in [
        ("ltx-2b", 715, 1_923_385_472),
        ("ltx-13b", 1215, 13_042_569_344),
    ] {
        let model = tempfile::tempdir().unwrap();
        let at = |path: &str| model.path().join(path);
        let mut both = rows(&format!("{name}.native"));
        both.extend(rows("ltx-vae.native"));
        let unused = "vae.per_channel_statistics.mean-of-stds";
        both.push((unused.into(), "BF16", vec![128]));
        let file = at("ltxv.safetensors");
        sparse(&file, &both);
        sparse(&at("t5xxl_fp16.safetensors"), &rows("t5-xxl"));
        tokenizer(&at("tokenizer.json"));
        assert_ltx_complete(&file, tensors, parameters);
        assert_ltx_complete(model.path(), tensors, parameters);
    }
}

#[test]
fn ltx_in_the_layout_of_diffusers_is_complete() {
    for (name, config, parameters) in [
        ("ltx-2b", "", 1_923_385_472),
        (
            "ltx-13b",
            r#","attention_head_dim":128,"cross_attention_dim":4096,"num_layers":48"#,
            13_042_569_344,
        ),
    ] {
        let model = tempfile::tempdir().unwrap();
        let at = |path: &str| model.path().join(path);
        let tensors = rows(name);
        let stem = "diffusion_pytorch_model.safetensors";
        sparse(&at("transformer").join(stem), &tensors);
        sparse(&at("vae").join(stem), &rows("ltx-vae"));
        sparse(&at("text_encoder/model.safetensors"), &rows("t5-xxl"));
        tokenizer(&at("tokenizer/tokenizer.json"));
        let class = r#""_class_name":"LTXVideoTransformer3DModel""#;
        put(
            &at("transformer/config.json"),
            &format!("{{{class}{config}}}"),
        );
        put(
            &at("vae/config.json"),
            r#"{"_class_name":"AutoencoderKLLTXVideo","block_out_channels":[128,256,512,1024,2048],
                "down_block_types":["LTXVideo095DownBlock3D","LTXVideo095DownBlock3D",
                "LTXVideo095DownBlock3D","LTXVideo095DownBlock3D"],
                "decoder_block_out_channels":[256,512,1024],"layers_per_block":[4,6,6,2,2],
                "decoder_layers_per_block":[5,5,5,5],"timestep_conditioning":true,
                "spatio_temporal_scaling":[true,true,true,true],"upsample_factor":[2,2,2],
                "decoder_spatio_temporal_scaling":[true,true,true],
                "downsample_type":["spatial","temporal","spatiotemporal","spatiotemporal"],
                "upsample_residual":[true,true,true],"spatial_compression_ratio":32,
                "temporal_compression_ratio":8}"#,
        );
        put(
            &at("text_encoder/config.json"),
            r#"{"model_type":"t5","vocab_size":32128,"d_model":4096,"d_kv":64,"d_ff":10240,
                "num_layers":24,"num_heads":64}"#,
        );
        assert_ltx_complete(model.path(), tensors.len(), parameters);
    }
}

#[test]
fn every_fault_is_named() {
    let model = tempfile::tempdir().unwrap();
    native(model.path(), "wan-1.3b");
    let weights = model.path().join("diffusion_pytorch_model.safetensors");
    let mut spoilt = rows("wan-1.3b.native");
    let find = |name: &str| spoilt.iter().position(|row| row.0 == name).unwrap();
    let (gone, bent) = (
        find("blocks.7.self_attn.q.weight"),
        find("blocks.9.ffn.0.bias"),
    );
    spoilt[bent].2 = vec![8961];
    spoilt.push(("blocks.3.surprise".into(), "BF16", vec![2, 3]));
    spoilt.remove(gone);
    sparse(&weights, &spoilt);
    let parts = check(model.path());
    let broken: Vec<_> = parts.iter().filter(|part| !part.is_complete()).collect();
    let [PartCheck { part, outcome }] = broken[..] else {
        panic!("{parts:?}");
    };
    assert_eq!(*part, "transformer");
    let faults = &outcome.as_ref().unwrap().faults;
    assert_eq!(faults.len(), 3, "{faults:?}");
    for fault in faults {
        let text = fault.to_string();
        let said = match fault {
            ModelError::MissingTensor { .. } => "blocks.7.attn1.to_q.weight",
            ModelError::TensorShape { .. } => "[8961]",
            ModelError::UnexpectedTensor { .. } => "blocks.3.surprise",
            _ => panic!("{fault}"),
        };
        assert!(text.contains(said), "{text}");
    }
}
