//! Spoilt model files: cut short, with bytes flipped, of the wrong kind. Each is refused in one
//! sentence, and nothing panics.

#![allow(clippy::disallowed_methods, reason = "tests spoil files on purpose")]

use std::fs;
use std::path::{Path, PathBuf};

use flowblend::models::{check, read_header};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use tempfile::TempDir;

/// Places at which each file is cut, and bytes that are flipped in each.
const CUTS: usize = 20;
const FLIPS: usize = 200;

fn fixture(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    path.join(name)
}

/// A copy of a folder that may be spoilt.
fn copy(from: &Path) -> TempDir {
    fn fill(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                fs::create_dir(&target).unwrap();
                fill(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let to = tempfile::tempdir().unwrap();
    fill(from, to.path());
    to
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What the check says of a model, one sentence a fault.
fn faults(model: &Path) -> Vec<String> {
    let mut said = Vec::new();
    for part in check(model) {
        match part.outcome {
            Err(why) => said.push(why.to_string()),
            Ok(state) => said.extend(state.faults.iter().map(ToString::to_string)),
        }
    }
    for sentence in &said {
        assert!(!sentence.contains('\n'), "{sentence}");
        assert!(sentence.len() > 20, "{sentence}");
    }
    said
}

/// Files whose absence or damage no loader minds.
fn is_idle(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    [
        "tokenizer_config.json",
        "scheduler_config.json",
        "model_index.json",
    ]
    .contains(&name)
        || name == "special_tokens_map.json"
}

fn number(random: &mut ChaCha8Rng, below: usize) -> usize {
    (random.next_u64() % below as u64) as usize
}

#[test]
fn files_cut_short_are_refused() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for model in ["wan/pair/large", "wan_native/large", "ltx/pair/large"] {
        let spoilt = copy(&fixture(model));
        assert_eq!(faults(spoilt.path()), Vec::<String>::new());
        for path in files(spoilt.path()).into_iter().filter(|p| !is_idle(p)) {
            let whole = fs::read(&path).unwrap();
            for _ in 0..CUTS {
                // The last bytes of a JSON file may be white space.
                let length = number(&mut random, whole.len() - 2);
                fs::write(&path, &whole[..length]).unwrap();
                let said = faults(spoilt.path());
                assert!(!said.is_empty(), "{} at {length}", path.display());
            }
            fs::write(&path, &whole).unwrap();
        }
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    for model in ["wan/pair/large", "wan_native/large", "ltx/pair/large"] {
        let spoilt = copy(&fixture(model));
        for path in files(spoilt.path()) {
            let whole = fs::read(&path).unwrap();
            for _ in 0..FLIPS / 4 {
                let mut bytes = whole.clone();
                let at = number(&mut random, bytes.len().min(2048));
                bytes[at] ^= 1 << number(&mut random, 8);
                fs::write(&path, &bytes).unwrap();
                faults(spoilt.path());
            }
            fs::write(&path, &whole).unwrap();
        }
    }
}

#[test]
fn flipped_headers_never_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    for name in [
        "wan_native/small.gguf",
        "wan_native/large/Wan2.1_VAE.pth",
        "wan_native/large/models_t5_umt5-xxl-enc-bf16.pth",
        "wan_native/large/diffusion_pytorch_model.safetensors",
    ] {
        let whole = fs::read(fixture(name)).unwrap();
        let sound = read_header(&whole).unwrap();
        assert!(!sound.is_empty());
        for _ in 0..FLIPS {
            let mut bytes = whole.clone();
            // Both ends: zip archives have their directory last.
            let near = number(&mut random, bytes.len().min(4096));
            let at = [near, bytes.len() - 1 - near][number(&mut random, 2)];
            bytes[at] ^= 1 << number(&mut random, 8);
            for (name, tensor) in read_header(&bytes).unwrap_or_default() {
                assert!(tensor.range.end <= bytes.len(), "{name}");
            }
        }
    }
}

#[test]
fn a_claim_is_not_believed() {
    // A GGUF header that claims 2^60 tensors, and a string of as many bytes.
    let mut gguf = b"GGUF\x03\0\0\0".to_vec();
    gguf.extend((1u64 << 60).to_le_bytes());
    gguf.extend(1u64.to_le_bytes());
    gguf.extend((1u64 << 60).to_le_bytes());
    let said = read_header(&gguf).unwrap_err();
    assert!(said.contains("past its end"), "{said}");
    // A safetensors header of 2^60 bytes.
    let said = read_header(&(1u64 << 60).to_le_bytes()).unwrap_err();
    assert!(said.contains("should take"), "{said}");
    // A config of an enormous size.
    let spoilt = copy(&fixture("wan/pair/large"));
    for (path, from, to) in [
        (
            "transformer/config.json",
            "\"num_layers\": 3",
            "\"num_layers\": 3000000000",
        ),
        (
            "transformer/config.json",
            "\"ffn_dim\": 128",
            "\"ffn_dim\": 9000000000000000000",
        ),
        (
            "transformer/config.json",
            "\"num_layers\": 3",
            "\"num_layers\": -3",
        ),
        (
            "vae/config.json",
            "\"base_dim\": 4",
            "\"base_dim\": 4000000000000",
        ),
        (
            "vae/config.json",
            "\"num_res_blocks\": 2",
            "\"num_res_blocks\": 2000000000",
        ),
        (
            "text_encoder/config.json",
            "\"num_layers\": 3",
            "\"num_layers\": 16000000",
        ),
        (
            "text_encoder/config.json",
            "\"d_model\": 32",
            "\"d_model\": 9000000000000000000",
        ),
    ] {
        let path = spoilt.path().join(path);
        let whole = fs::read_to_string(&path).unwrap();
        assert!(whole.contains(from), "{}: {from}", path.display());
        fs::write(&path, whole.replace(from, to)).unwrap();
        assert!(!faults(spoilt.path()).is_empty(), "{to}");
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn a_plain_t5_is_not_taken_for_umt5() {
    let spoilt = copy(&fixture("wan/pair/large"));
    let path = spoilt.path().join("text_encoder/config.json");
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("\"umt5\"", "\"t5\"");
    fs::write(&path, text).unwrap();
    let said = faults(spoilt.path());
    assert!(
        said[0].contains("t5") && said[0].contains("UMT5"),
        "{said:?}"
    );
}
