//! The LTX-Video models against diffusers and transformers, on small models with random weights.

use crate::ltx_fixtures::{assert_close, errors, json, model, old_model, tensors};
use candle_core::{DType, Device, Tensor};
use flowblend::models::Loading;
use flowblend::models::ltx::{DecodeOptions, LtxTransformer, LtxVae, Pipeline, TextEncoder};
use flowblend::sampler::{
    Cancel, Context, Guided, ModelSet, SampleError, VelocityModel as _, denoise,
};
use flowblend::schedule::{Course, FlowSchedule, ModelRole, Plan, SigmaGrid};

/// Relative error allowed to one network, by l2 norm and by largest difference.
const NETWORK: f64 = 2e-4;
/// Relative error allowed to a whole run.
const RUN: f64 = 1e-3;
/// Transformer cases of the fixture; the last is in the conventions of LTXConditionPipeline.
const CASES: usize = 6;

fn transformer(name: &str) -> LtxTransformer {
    transformer_in(name, DType::F32)
}

fn transformer_in(name: &str, dtype: DType) -> LtxTransformer {
    LtxTransformer::load(&model(name), Loading::to(&Device::Cpu, dtype)).unwrap()
}

fn vae() -> LtxVae {
    LtxVae::load(&model("large"), Loading::to(&Device::Cpu, DType::F32)).unwrap()
}

fn prompts() -> (usize, Vec<String>) {
    let json = json("prompts.json");
    let prompts = json["prompts"].as_array().unwrap().iter();
    let prompts = prompts.map(|p| p.as_str().unwrap().to_owned()).collect();
    let text_tokens = json["text_tokens"].as_u64().unwrap();
    (text_tokens.try_into().unwrap(), prompts)
}

fn text_encoder(dtype: DType) -> TextEncoder {
    TextEncoder::load(
        &model("large"),
        prompts().0,
        Loading::to(&Device::Cpu, dtype),
    )
    .unwrap()
}

/// The velocity of one case of the fixture.
fn velocity(
    transformer: &mut LtxTransformer,
    cases: &std::collections::HashMap<String, Tensor>,
    case: usize,
) -> Tensor {
    let get = |name: &str| &cases[&format!("{case}.{name}")];
    let number = |name: &str| f64::from(get(name).to_vec1::<f32>().unwrap()[0]);
    transformer.set_frame_rate(number("frame_rate")).unwrap();
    transformer.set_pipeline(if case == CASES - 1 {
        Pipeline::Condition
    } else {
        Pipeline::Text
    });
    let context = transformer.context(get("text")).unwrap();
    transformer
        .velocity(get("latents"), number("timestep"), &context, &Cancel::new())
        .unwrap()
}

#[test]
fn transformer_predicts_the_same_velocity() {
    let mut transformer = transformer("large");
    let cases = tensors("transformer");
    for case in 0..CASES {
        let got = velocity(&mut transformer, &cases, case);
        let latents = cases[&format!("{case}.latents")].dims();
        let what = format!("velocity of {latents:?}");
        assert_close(&what, &got, &cases[&format!("{case}.velocity")], NETWORK);
    }
}

/// Options, noise and decoded video of one case of a fixture.
fn decoded(
    vae: &LtxVae,
    cases: &std::collections::HashMap<String, Tensor>,
    frames: usize,
) -> Tensor {
    let get = |name: &str| &cases[&format!("{frames}.{name}")];
    let told = get("decode").to_dtype(DType::F64).unwrap();
    let told = told.to_vec1::<f64>().unwrap();
    let options = DecodeOptions {
        timestep: told[0],
        noise_scale: told[1],
        seed: 0,
    };
    let (mut seen, mut all) = (0, 0);
    let video = vae
        .decode_with(
            get("latents"),
            Some(get("noise")),
            options,
            &Cancel::new(),
            &mut |done, of| {
                assert!(seen < done && done <= of);
                (seen, all) = (done, of);
            },
        )
        .unwrap();
    assert_eq!(seen, all);
    video
}

#[test]
fn vae_encodes_and_decodes_the_same() {
    let old = LtxVae::load(&old_model(), Loading::to(&Device::Cpu, DType::F32)).unwrap();
    for (name, vae, lengths) in [("vae", vae(), vec![1, 9, 17]), ("old_vae", old, vec![9])] {
        let cases = tensors(name);
        for frames in lengths {
            let get = |name: &str| &cases[&format!("{frames}.{name}")];
            let encoded = vae.encode(get("video"), &Cancel::new()).unwrap();
            let what = format!("{name}: {frames} frames encoded");
            assert_close(&what, &encoded, get("encoded"), NETWORK);
            let what = format!("{name}: {frames} frames decoded");
            let decoded = decoded(&vae, &cases, frames);
            assert_close(&what, &decoded, get("decoded"), NETWORK);
        }
    }
}

#[test]
fn a_seed_names_the_noise_of_a_decode() {
    let vae = vae();
    let latents = &tensors("vae")["1.latents"];
    let bits = |seed: u64| {
        let options = DecodeOptions::with_seed(seed);
        let video = vae.decode(latents, options, &Cancel::new(), &mut |_, _| ());
        let video = video.unwrap().flatten_all().unwrap();
        video.to_vec1::<f32>().unwrap()
    };
    assert_eq!(bits(7), bits(7));
    assert_ne!(bits(7), bits(8));
}

#[test]
fn text_encoder_embeds_the_same() {
    let (text_tokens, prompts) = prompts();
    let mut encoder = text_encoder(DType::F32);
    let lengths = &json("prompts.json")["lengths"];
    let want = tensors("text");
    for (pipeline, name) in [(Pipeline::Text, "seen"), (Pipeline::Condition, "masked")] {
        encoder.set_pipeline(pipeline);
        for (i, prompt) in prompts.iter().enumerate() {
            let got = encoder.encode(prompt).unwrap();
            assert_eq!(got.dim(1).unwrap() as u64, lengths[i].as_u64().unwrap());
            let what = format!("embeddings of {prompt:?}, padding {name}");
            assert_close(&what, &got, &want[&format!("{name}.{i}")], NETWORK);
        }
    }
    assert_eq!(encoder.tokens("").unwrap().len(), 1);
    assert_eq!(encoder.tokens(&prompts[3]).unwrap().len(), text_tokens);
}

/// Two transformers with the texts they are guided by.
struct Pair {
    models: [LtxTransformer; 2],
    texts: [[Context; 2]; 2],
}

impl Pair {
    /// The transformers in `dtype`, with the texts' embeddings in f32.
    fn load(pipeline: Pipeline, dtype: DType) -> Self {
        let (_, prompts) = prompts();
        // The fixture's runs of both pipelines take the embeddings of LTXPipeline.
        let encoder = text_encoder(DType::F32);
        let mut models = ["large", "small"].map(|name| transformer_in(name, dtype));
        for model in &mut models {
            model.set_pipeline(pipeline);
        }
        let texts = models.each_ref().map(|model| {
            [&prompts[0], &prompts[1]]
                .map(|prompt| model.context(&encoder.encode(prompt).unwrap()).unwrap())
        });
        Self { models, texts }
    }
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

/// Runs a fixture's plan and returns the latents.
fn whole_run(fixture: &str, pipeline: Pipeline, grid: &SigmaGrid, plan: &Plan, cfg: f64) -> Tensor {
    let want = tensors(fixture);
    let sigmas: Vec<f32> = want["sigmas"].to_vec1().unwrap();
    assert_eq!(sigmas.len(), grid.steps() + 1);
    for (ours, theirs) in grid.sigmas().iter().zip(sigmas) {
        assert!((ours - f64::from(theirs)).abs() < 1e-6);
    }
    let end = denoise(
        &want["initial"],
        &Course::euler(grid.clone(), plan.steps(grid.steps(), cfg)),
        &Pair::load(pipeline, DType::F32),
        &Cancel::new(),
        &mut |view| {
            let what = format!("{fixture} after step {}", view.step + 1);
            assert_close(&what, view.after, &want[&format!("{}.x", view.step)], RUN);
            Ok(())
        },
    );
    end.unwrap().last().clone()
}

#[test]
fn a_guided_run_of_two_models_ends_in_the_same_frames() {
    let want = tensors("run_lsl");
    let plan = Plan::parse("LSL", &[0.4, 0.8]).unwrap();
    let grid = FlowSchedule::default().linspace_grid(10, 12);
    let latents = whole_run("run_lsl", Pipeline::Text, &grid, &plan, 3.0);
    let video = vae()
        .decode_with(
            &latents,
            Some(&want["noise"]),
            DecodeOptions::with_seed(0),
            &Cancel::new(),
            &mut |_, _| (),
        )
        .unwrap();
    assert_eq!(video.dims(), [1, 3, 17, 64, 64]);
    // The pipeline gives pictures in 0..=1; the fixture holds the first and the last.
    let pictures = ((video.clamp(-1f32, 1f32).unwrap() + 1.0).unwrap() / 2.0).unwrap();
    let ends = [0, 16].map(|frame| pictures.narrow(2, frame, 1).unwrap());
    let ends = Tensor::cat(&ends, 2).unwrap();
    assert_close("run_lsl frames", &ends, &want["frames"], RUN);
}

#[test]
fn a_run_of_the_condition_pipeline_ends_in_the_same_latents() {
    let plan = Plan::parse("LSL", &[0.4, 0.8]).unwrap();
    let grid = SigmaGrid::linear_quadratic(10);
    whole_run("run_condition", Pipeline::Condition, &grid, &plan, 3.0);
}

/// f16 and bf16 are held to the error that diffusers itself makes in them: the worst of the same cases, and a whole run.
#[test]
fn half_precision_is_as_near_as_that_of_diffusers() {
    let theirs = json("half.json");
    for (dtype, name) in [(DType::F16, "float16"), (DType::BF16, "bfloat16")] {
        let mut worst = std::collections::BTreeMap::<&str, (f64, f64)>::new();
        let mut meet = |what, got: &Tensor, want: &Tensor| {
            assert_eq!(got.dtype(), DType::F32);
            let (l2, max) = errors(got, want);
            let entry = worst.entry(what).or_default();
            *entry = (entry.0.max(l2), entry.1.max(max));
        };
        let cases = tensors("transformer");
        let mut transformer = transformer_in("large", dtype);
        for case in 0..CASES {
            let got = velocity(&mut transformer, &cases, case);
            meet("velocity", &got, &cases[&format!("{case}.velocity")]);
        }
        let vae = LtxVae::load(&model("large"), Loading::to(&Device::Cpu, dtype)).unwrap();
        let cases = tensors("vae");
        for frames in [1, 9, 17] {
            let get = |name: &str| &cases[&format!("{frames}.{name}")];
            let encoded = vae.encode(get("video"), &Cancel::new()).unwrap();
            meet("encoded", &encoded, get("encoded"));
            meet("decoded", &decoded(&vae, &cases, frames), get("decoded"));
        }
        let encoder = text_encoder(dtype);
        let want = tensors("text");
        for (i, prompt) in prompts().1.iter().enumerate() {
            let got = encoder.encode(prompt).unwrap();
            meet("text", &got, &want[&format!("seen.{i}")]);
        }
        let want = tensors("run_lsl");
        let plan = Plan::parse("LSL", &[0.4, 0.8]).unwrap().steps(10, 3.0);
        let course = Course::euler(FlowSchedule::default().linspace_grid(10, 12), plan);
        let pair = Pair::load(Pipeline::Text, dtype);
        let cancel = Cancel::new();
        let end = denoise(&want["initial"], &course, &pair, &cancel, &mut |_| Ok(()));
        meet("run", end.unwrap().last(), &want["9.x"]);
        for (what, (l2, max)) in worst {
            let [their_l2, their_max] = [0, 1].map(|i| theirs[name][what][i].as_f64().unwrap());
            println!(
                "{what} in {name}: l2 {l2:.2e} ({their_l2:.2e}), max {max:.2e} ({their_max:.2e})"
            );
            // A largest difference is one number, and scatters more than the norm of all.
            assert!(
                l2 < 1.5 * their_l2 && max < 2.0 * their_max,
                "{what} in {name}: {l2:.2e}, {max:.2e}; theirs {their_l2:.2e}, {their_max:.2e}"
            );
        }
    }
}

#[test]
fn a_raised_flag_ends_the_work() {
    let cancel = Cancel::new();
    cancel.cancel();
    let cases = tensors("transformer");
    let transformer = transformer("small");
    let context = transformer.context(&cases["0.text"]).unwrap();
    let velocity = transformer.velocity(&cases["0.latents"], 1.0, &context, &cancel);
    assert!(matches!(velocity, Err(SampleError::Cancelled)));
    let vae = vae();
    let options = DecodeOptions::with_seed(1);
    let decoded = vae.decode(&cases["0.latents"], options, &cancel, &mut |_, _| ());
    assert_eq!(decoded.unwrap_err().to_string(), "cancelled");
    let video = Tensor::zeros((1, 3, 1, 32, 32), DType::F32, &Device::Cpu).unwrap();
    let encoded = vae.encode(&video, &cancel);
    assert_eq!(encoded.unwrap_err().to_string(), "cancelled");

    // A flag raised after the second layer stops the third.
    let cancel = Cancel::new();
    let mut layers = 0;
    let decoded = vae.decode(&cases["0.latents"], options, &cancel, &mut |_, _| {
        layers += 1;
        if layers == 2 {
            cancel.cancel();
        }
    });
    assert_eq!(decoded.unwrap_err().to_string(), "cancelled");
    assert_eq!(layers, 2);
}

#[test]
fn foreign_shapes_are_refused() {
    let (mut large, small) = (transformer("large"), transformer("small"));
    let cases = tensors("transformer");
    let context = small.context(&cases["0.text"]).unwrap();
    let mixed = large.velocity(&cases["0.latents"], 1.0, &context, &Cancel::new());
    assert!(mixed.unwrap_err().to_string().contains("text context"));
    let odd = Tensor::zeros((1, 64, 1, 2, 2), DType::F32, &Device::Cpu).unwrap();
    let context = large.context(&cases["0.text"]).unwrap();
    let error = large.velocity(&odd, 1.0, &context, &Cancel::new());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("[1, 64, 1, 2, 2]"), "{error}");
    let error = large.set_frame_rate(0.0).unwrap_err().to_string();
    assert!(error.contains("0 frames a second"), "{error}");
    let vae = vae();
    let options = DecodeOptions::with_seed(1);
    let error = vae.decode(&odd, options, &Cancel::new(), &mut |_, _| ());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("(1, 128, T, h, w)"), "{error}");
    let video = Tensor::zeros((1, 3, 8, 32, 32), DType::F32, &Device::Cpu).unwrap();
    let error = vae.encode(&video, &Cancel::new()).unwrap_err().to_string();
    assert!(error.contains("8 k + 1"), "{error}");
}
