//! `flowblend compare` on files and runs, held against the measures themselves.

use std::fs;
use std::path::Path;

use crate::program::flowblend;
use candle_core::{DType, Device};
use flowblend::analysis::{Extractor, Features, flicker, frechet, mean, psnr, sharpness, ssim};
use flowblend::engine::{EngineOptions, PairPipeline, Pipeline as _};
use flowblend::media::{Clip, EncodeOptions, Format, encode};
use flowblend::models::Loading;
use flowblend::models::vision::{ClipModel, Dinov2};
use flowblend::project::{PairRef, Recipe, RunSettings, write_bytes_atomic};
use flowblend::sampler::Cancel;
use flowblend::schedule::{ModelRole, Plan};
use serde_json::Value;

/// A grating that moves; `shift` moves it on, and the last frame is the most shifted.
fn grating(width: usize, height: usize, frames: usize, shift: f64) -> Clip {
    let level = |x: usize, y: usize, channel: usize, t: usize| {
        let phase = 0.45 * x as f64 + 0.3 * y as f64 - 0.8 * t as f64 + shift * (t + 1) as f64;
        (128.0 + 100.0 * (phase + channel as f64).sin()).round() as u8
    };
    let frame = |t| {
        (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| (0..3).map(move |c| level(x, y, c, t))))
            .collect()
    };
    Clip {
        width,
        height,
        fps: 12.0,
        frames: (0..frames).map(frame).collect(),
    }
}

fn write(clip: &Clip, path: &Path) {
    write_with(clip, path, None);
}

fn write_with(clip: &Clip, path: &Path, comment: Option<String>) {
    let options = EncodeOptions {
        format: Some(Format::Ffv1),
        comment,
        ..EncodeOptions::default()
    };
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    encode(clip, path, &options, false, &mut |_, _| {}, &|| false).unwrap();
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let output = flowblend(folder, &[&["compare", "--json"], arguments].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(folder: &Path, arguments: &[&str], words: &[&str]) {
    let output = flowblend(folder, &[&["compare"], arguments].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
    // What is on its way is told before.
    let last = error.lines().last().unwrap_or_default();
    for word in words {
        assert!(last.contains(word), "'{word}' is not in: {error}");
    }
}

fn near(value: &Value, want: f64) {
    let got = value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"));
    assert!((got - want).abs() < 1e-9 * want.abs(), "{got}, not {want}");
}

#[test]
fn files_and_runs_are_measured_against_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (reference, other) = (grating(24, 20, 4, 0.0), grating(24, 20, 4, 0.1));
    write(&reference, &at("lll.mkv"));
    // A run of the gallery, called by how its name begins.
    write(
        &other,
        &at("data/flowblend/runs/20261127T010203.000001/clip.mkv"),
    );
    let found = json(folder.path(), &["lll.mkv", "20261127T01", "lll.mkv"]);
    assert_eq!(found["reference"]["frames"], 4);
    near(
        &found["reference"]["sharpness"],
        sharpness(&reference).unwrap(),
    );
    let clip = &found["clips"][0];
    assert_eq!(clip["clip"], "20261127T01");
    near(&clip["psnr_db"], psnr(&reference, &other).unwrap());
    near(&clip["ssim"], ssim(&reference, &other).unwrap());
    near(&clip["flicker"], flicker(&other).unwrap());
    near(&clip["sharpness"], sharpness(&other).unwrap());
    // Every frame is further away than the one before it.
    assert_eq!(clip["frames"].as_array().unwrap().len(), 4);
    assert_eq!(clip["worst_psnr_db"]["frame"], 4);
    assert_eq!(clip["worst_psnr_db"]["value"], clip["frames"][3]["psnr_db"]);
    assert_eq!(clip["worst_ssim"]["value"], clip["frames"][3]["ssim"]);
    assert_eq!(clip["is_identical"], false);
    let same = &found["clips"][1];
    assert_eq!(
        (&same["is_identical"], &same["psnr_db"]),
        (&true.into(), &Value::Null)
    );

    let table = flowblend(folder.path(), &["compare", "lll.mkv", "20261127T01"]);
    let table = String::from_utf8(table.stdout).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(
        lines[0].contains("PSNR dB") && lines[1].ends_with("lll.mkv (reference)"),
        "{table}"
    );
    let mean = format!("{:.2}", psnr(&reference, &other).unwrap());
    assert!(lines[2].trim_start().starts_with(&mean), "{table}");
}

#[test]
fn clips_that_do_not_fit_are_refused_or_scaled() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(&grating(24, 20, 4, 0.0), &at("reference.mkv"));
    write(&grating(48, 40, 4, 0.0), &at("large.mkv"));
    write(&grating(24, 20, 3, 0.0), &at("short.mkv"));
    for run in ["20261127T010203.1", "20261127T010203.2"] {
        write(
            &grating(24, 20, 4, 0.0),
            &at("data/flowblend/runs").join(run).join("clip.mkv"),
        );
    }
    let sizes = "large.mkv has 48×40 pixels and reference.mkv has 24×20";
    refused(
        folder.path(),
        &["reference.mkv", "large.mkv"],
        &[sizes, "--resize"],
    );
    let lengths = "short.mkv has 3 frames and reference.mkv has 4";
    refused(
        folder.path(),
        &["reference.mkv", "short.mkv", "--resize"],
        &[lengths],
    );
    refused(
        folder.path(),
        &["reference.mkv", "gone.mkv"],
        &["gone.mkv", "neither a file nor a run"],
    );
    refused(
        folder.path(),
        &["reference.mkv", "2026"],
        &["2 runs", "20261127T010203.1"],
    );
    let scaled = json(folder.path(), &["reference.mkv", "large.mkv", "--resize"]);
    let want = grating(48, 40, 4, 0.0).resized(24, 20).unwrap();
    near(
        &scaled["clips"][0]["ssim"],
        ssim(&grating(24, 20, 4, 0.0), &want).unwrap(),
    );
}

/// What the clip of a run carries, with this prompt.
fn recipe(prompt: &str) -> Option<String> {
    let settings: RunSettings = serde_json::from_value(serde_json::json!({
        "pair": { "named": "demo" },
        "prompt": prompt,
        "seed": 1,
        "plan": Plan::parse("LSL", &[0.4, 0.8]).unwrap(),
        "steps": 8,
        "shift": 3.0,
        "solver": "euler",
        "cfg": 4.0,
        "width": 24,
        "height": 20,
        "frames": 4,
        "fps": 12.0,
    }))
    .unwrap();
    Some(Recipe::new(settings, Vec::new()).to_json().unwrap())
}

#[test]
fn networks_say_how_alike_clips_are_and_how_near_to_their_prompt() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vision");
    let (dinov2, clip) = (models.join("dinov2"), models.join("clip"));
    let folder = tempfile::tempdir().unwrap();
    let (reference, other) = (grating(24, 20, 4, 0.0), grating(24, 20, 4, 0.4));
    write(&reference, &folder.path().join("lll.mkv"));
    write_with(
        &other,
        &folder.path().join("lsl.mkv"),
        recipe("a red circle"),
    );
    let (dinov2_folder, clip_folder) = (dinov2.display().to_string(), clip.display().to_string());
    let arguments = [
        "lll.mkv",
        "lsl.mkv",
        "--dinov2",
        &dinov2_folder,
        "--clip",
        &clip_folder,
    ];
    let found = json(folder.path(), &arguments);

    let loading = || Loading::to(&Device::Cpu, DType::F32);
    let clip = ClipModel::load(&clip, loading()).unwrap();
    let words = |text: &str| clip.text_features(text).unwrap().to_vec1::<f32>().unwrap();
    let (circle, star) = (words("a red circle"), words("a star"));
    let dinov2 = Extractor::Dinov2(Box::new(Dinov2::load(&dinov2, loading()).unwrap()));
    let clip = Extractor::Clip(Box::new(clip));
    let seen = |network: &Extractor| -> [Features; 2] {
        [&reference, &other].map(|clip| network.features(clip).unwrap())
    };
    for (i, (name, [one, two])) in [("DINOv2", seen(&dinov2)), ("CLIP", seen(&clip))]
        .into_iter()
        .enumerate()
    {
        let features = &found["clips"][0]["features"][i];
        assert_eq!(features["network"], name);
        let cosines = two.cosines(&one);
        assert!(
            cosines.iter().all(|cosine| *cosine < 0.99999),
            "{cosines:?}"
        );
        near(&features["to_reference"]["cosine"], mean(cosines));
        near(
            &features["to_reference"]["pooled_cosine"],
            two.pooled_cosine(&one),
        );
    }
    let [one, two] = seen(&clip);
    // Each clip's own prompt: the reference carries none.
    let prompt = |found: &Value, name: &str| found[name]["features"][1]["to_prompt"].clone();
    assert_eq!(prompt(&found, "reference"), Value::Null);
    let own = &found["clips"][0]["features"][1]["to_prompt"];
    assert_eq!(own["text"], "a red circle");
    near(&own["cosine"], mean(two.cosines_to(&circle)));
    let told = json(
        folder.path(),
        &[&arguments[..], &["--prompt", "a star"]].concat(),
    );
    near(
        &prompt(&told, "reference")["cosine"],
        mean(one.cosines_to(&star)),
    );
    assert_eq!(found["clips"][0]["features"][0]["to_prompt"], Value::Null);

    let missing = ["lll.mkv", "lsl.mkv", "--dinov2", "nowhere"];
    refused(
        folder.path(),
        &missing,
        &["nowhere/config.json", "does not exist"],
    );
}

#[test]
fn sets_of_clips_are_compared_as_distributions() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vision/dinov2");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let clips: Vec<Clip> = (0..4)
        .map(|i| grating(24, 20, 4, 0.3 * f64::from(i)))
        .collect();
    write(&clips[0], &at("reference/a.mkv"));
    // A run of the gallery is a folder with its clip.
    write(&clips[1], &at("reference/run/clip.mkv"));
    write(&clips[2], &at("c.mkv"));
    write(&clips[3], &at("d.mkv"));
    write_bytes_atomic(&at("list.txt"), false, b"c.mkv\n\nd.mkv\n").unwrap();
    let weights = models.display().to_string();
    let sets = ["--frechet", "reference", "list.txt"];
    let found = json(
        folder.path(),
        &[&sets[..], &["--dinov2", &weights]].concat(),
    );

    let network = Dinov2::load(&models, Loading::to(&Device::Cpu, DType::F32)).unwrap();
    let network = Extractor::Dinov2(Box::new(network));
    let frames = |clips: &[Clip]| -> Vec<Vec<f32>> {
        let all = clips.iter().map(|clip| network.features(clip).unwrap());
        all.flat_map(|features| features.frames().to_vec())
            .collect()
    };
    let want = frechet(&frames(&clips[2..]), &frames(&clips[..2])).unwrap();
    assert!(want.distance > 1e-3, "{want:?}");
    let distance = &found["sets"][0]["distances"][0];
    near(&distance["frechet_distance"], want.distance);
    assert_eq!(distance["feature"], "DINOv2, frames");
    // Eight frames do not span 24 dimensions.
    assert_eq!(
        (&distance["vectors"][0], &distance["is_biased"]),
        (&8.into(), &true.into())
    );

    // Without weights it is the reader's business, which knows one size.
    refused(folder.path(), &sets, &["a.mkv", "96x96x25", "--dinov2"]);
    fs::create_dir(at("empty")).unwrap();
    refused(
        folder.path(),
        &["--frechet", "empty", "reference"],
        &["empty holds no clips"],
    );
}

/// Prompts that the bundled pair can draw.
const DRAWN: [&str; 6] = [
    "a red circle bouncing over a blue background",
    "a small green star orbiting over a striped purple background",
    "a cyan triangle moving right over a plain grey background",
    "a large white square pulsing over a green background",
    "a yellow ring growing over a dotted black background",
    "an orange cross moving up over a brown background",
];

/// A clip a prompt, by one model alone, in few steps.
fn draw(pipeline: &mut PairPipeline, set: &Path, model: ModelRole, first_seed: u64) {
    let defaults = pipeline.describe(&PairRef::default()).unwrap().defaults;
    for (seed, prompt) in (first_seed..).zip(DRAWN) {
        let run = RunSettings {
            prompt: prompt.to_owned(),
            seed,
            plan: Plan::only(model),
            steps: 12,
            ..defaults.clone()
        };
        let run = pipeline.run(&run.into(), &Cancel::new(), &mut |_| {});
        write(&run.unwrap().clip, &set.join(format!("{seed}.mkv")));
    }
}

#[test]
fn the_readers_distance_tells_the_small_models_clips_from_the_large_ones() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = PairPipeline::with_cache_in(EngineOptions::default(), None);
    for (set, model, first_seed) in [
        ("lll", ModelRole::Large, 10),
        ("other lll", ModelRole::Large, 20),
        ("sss", ModelRole::Small, 10),
    ] {
        draw(&mut pipeline, &folder.path().join(set), model, first_seed);
    }
    let found = json(
        folder.path(),
        &["--frechet", "lll", "other lll", "sss", "lll"],
    );
    let distance = |set: usize| {
        let told = &found["sets"][set]["distances"][0];
        assert_eq!(told["feature"], "reader of the bundled pair, clips");
        assert_eq!(told["vectors"], serde_json::json!([6, 6]));
        assert_eq!(told["is_biased"], true);
        told["frechet_distance"].as_f64().unwrap()
    };
    let (other, small, itself) = (distance(0), distance(1), distance(2));
    assert!(itself.abs() < 1e-6 * other, "{itself}");
    // Other noise moves the set; the other model, from the same noise, moves it farther.
    assert!(small > 1.5 * other, "SSS {small}, another LLL {other}");
}
