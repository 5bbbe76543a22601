//! The WAN models against diffusers and transformers, on small models with random weights.

use crate::wan_fixtures::{assert_close, errors, model, tensors, text};
use candle_core::{DType, Device, Tensor};
use flowblend::models::Loading;
use flowblend::models::wan::{TextEncoder, WanTransformer, WanVae};
use flowblend::sampler::{
    Cancel, Context, Guided, ModelSet, SampleError, VelocityModel as _, denoise,
};
use flowblend::schedule::{Course, ModelRole, Plan, SigmaGrid};

/// Relative error allowed to one network, by l2 norm and by largest difference.
const NETWORK: f64 = 2e-4;
/// Relative error allowed to a whole run.
const RUN: f64 = 1e-3;

fn transformer(name: &str) -> WanTransformer {
    transformer_in(name, DType::F32)
}

fn transformer_in(name: &str, dtype: DType) -> WanTransformer {
    WanTransformer::load(&model(name), Loading::to(&Device::Cpu, dtype)).unwrap()
}

fn vae() -> WanVae {
    WanVae::load(&model("large"), Loading::to(&Device::Cpu, DType::F32)).unwrap()
}

fn json(name: &str) -> serde_json::Value {
    serde_json::from_str(&text(name)).unwrap()
}

fn prompts() -> (usize, Vec<String>) {
    let json = json("prompts.json");
    let prompts = json["prompts"].as_array().unwrap();
    let prompts = prompts
        .iter()
        .map(|p| p.as_str().unwrap().to_owned())
        .collect();
    (
        json["text_tokens"].as_u64().unwrap().try_into().unwrap(),
        prompts,
    )
}

#[test]
fn transformer_predicts_the_same_velocity() {
    let transformer = transformer("large");
    let cases = tensors("transformer");
    for i in 0..5 {
        let get = |name: &str| &cases[&format!("{i}.{name}")];
        let context = transformer.context(get("text")).unwrap();
        let time = f64::from(get("timestep").to_vec1::<f32>().unwrap()[0]);
        let velocity = transformer
            .velocity(get("latents"), time, &context, &Cancel::new())
            .unwrap();
        let what = format!("velocity of {:?} at {time}", get("latents").dims());
        assert_close(&what, &velocity, get("velocity"), NETWORK);
    }
}

#[test]
fn vae_encodes_and_decodes_the_same() {
    let vae = vae();
    let cases = tensors("vae");
    let cancel = Cancel::new();
    for frames in [1, 5, 9, 17] {
        let get = |name: &str| &cases[&format!("{frames}.{name}")];
        let encoded = vae.encode(get("video"), &cancel).unwrap();
        assert_close(
            &format!("encoded {frames} frames"),
            &encoded,
            get("encoded"),
            NETWORK,
        );
        let mut seen = Vec::new();
        let decoded = vae
            .decode(get("latents"), &cancel, &mut |done, of| {
                seen.push((done, of))
            })
            .unwrap();
        assert_close(
            &format!("decoded {frames} frames"),
            &decoded,
            get("decoded"),
            NETWORK,
        );
        let of = (frames - 1) / 4 + 1;
        assert_eq!(seen, (1..=of).map(|done| (done, of)).collect::<Vec<_>>());
    }
}

#[test]
fn a_decode_does_not_depend_on_its_chunks() {
    let vae = vae();
    let latents = &tensors("vae")["17.latents"];
    let bits = |chunk| {
        let video = vae
            .decode_in_chunks(latents, chunk, &Cancel::new(), &mut |_, _| ())
            .unwrap();
        assert_eq!(video.dims(), &[1, 3, 17, 16, 16]);
        video.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let one_by_one = bits(1);
    for chunk in [2, 3, 4, 5, 100] {
        assert!(bits(chunk) == one_by_one, "chunks of {chunk}");
    }
}

#[test]
fn text_encoder_embeds_the_same() {
    let (text_tokens, prompts) = prompts();
    let encoder = TextEncoder::load(
        &model("large"),
        text_tokens,
        Loading::to(&Device::Cpu, DType::F32),
    )
    .unwrap();
    let want = &tensors("text")["embeddings"];
    for (i, prompt) in prompts.iter().enumerate() {
        let got = encoder.encode(prompt).unwrap();
        assert_close(
            &format!("embeddings of {prompt:?}"),
            &got,
            &want.narrow(0, i, 1).unwrap(),
            NETWORK,
        );
    }
    assert_eq!(encoder.tokens("").unwrap().len(), 1);
    assert_eq!(encoder.tokens(&prompts[3]).unwrap().len(), text_tokens);
}

/// Two transformers with the texts they are guided by.
struct Pair {
    models: [WanTransformer; 2],
    texts: [[Context; 2]; 2],
}

impl Pair {
    /// The transformers in `dtype`, with the texts' embeddings in f32.
    fn load(dtype: DType) -> Self {
        let (text_tokens, prompts) = prompts();
        let encoder = TextEncoder::load(
            &model("large"),
            text_tokens,
            Loading::to(&Device::Cpu, DType::F32),
        )
        .unwrap();
        let models = ["large", "small"].map(|name| transformer_in(name, dtype));
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

/// Walks along a fixture's run and gives its end; after every step it is where the fixture's is.
fn walk(fixture: &str, course: &Course) -> Tensor {
    let want = tensors(fixture);
    let sigmas: Vec<f32> = want["sigmas"].to_vec1().unwrap();
    assert_eq!(sigmas.len(), course.grid.sigmas().len());
    for (ours, theirs) in course.grid.sigmas().iter().zip(sigmas) {
        assert!((ours - f64::from(theirs)).abs() < 1e-6);
    }
    let end = denoise(
        &want["initial"],
        course,
        &Pair::load(DType::F32),
        &Cancel::new(),
        &mut |view| {
            let what = format!("{fixture} after step {}", view.step + 1);
            assert_close(&what, view.after, &want[&format!("{}.x", view.step)], RUN);
            Ok(())
        },
    );
    end.unwrap().last().clone()
}

fn whole_run(fixture: &str, stages: &str, boundaries: &[f64], steps: usize, cfg: f64) {
    let plan = Plan::parse(stages, boundaries).unwrap().steps(steps, cfg);
    let end = walk(
        fixture,
        &Course::euler(SigmaGrid::flow_euler(steps, 3.0), plan),
    );
    let frames = vae().decode(&end, &Cancel::new(), &mut |_, _| ()).unwrap();
    let want = &tensors(fixture)["frames"];
    assert_close(&format!("{fixture} frames"), &frames, want, RUN);
}

#[test]
fn a_guided_run_of_two_models_ends_in_the_same_frames() {
    whole_run("run_lsl", "LSL", &[0.4, 0.8], 10, 4.0);
}

#[test]
fn an_unguided_run_ends_in_the_same_frames() {
    whole_run("run_unguided", "LSL", &[0.25, 0.75], 4, 1.0);
}

/// As Wan 2.2 A14B is sampled: one expert down to a noise level, the other below it, with guidance of its own.
#[test]
fn two_experts_change_at_a_noise_level_as_in_diffusers() {
    let grid = SigmaGrid::flow_euler(10, 12.0);
    let boundary = grid.first_step_below(0.875);
    assert_eq!(boundary, 6);
    let plan = Plan::parse("LS", &[boundary as f64 / 10.0]).unwrap();
    let plan = plan.with_stage_cfgs(&[4.0, 3.0]).unwrap().steps(10, 4.0);
    walk("run_experts", &Course::euler(grid, plan));
}

/// f16 and bf16 are held to the error that diffusers itself makes in them: the worst of the same cases, and a whole run.
#[test]
fn half_precision_is_as_near_as_that_of_diffusers() {
    let theirs = json("half.json");
    let (text_tokens, prompts) = prompts();
    for (dtype, name) in [(DType::F16, "float16"), (DType::BF16, "bfloat16")] {
        let mut worst = std::collections::BTreeMap::<&str, (f64, f64)>::new();
        let mut meet = |what, got: &Tensor, want: &Tensor| {
            assert_eq!(got.dtype(), DType::F32);
            let (l2, max) = errors(got, want);
            let entry = worst.entry(what).or_default();
            *entry = (entry.0.max(l2), entry.1.max(max));
        };
        let (large, cancel) = (model("large"), Cancel::new());
        let transformer = WanTransformer::load(&large, Loading::to(&Device::Cpu, dtype)).unwrap();
        let cases = tensors("transformer");
        for i in 0..5 {
            let get = |name: &str| &cases[&format!("{i}.{name}")];
            let context = transformer.context(get("text")).unwrap();
            let time = f64::from(get("timestep").to_vec1::<f32>().unwrap()[0]);
            let velocity = transformer.velocity(get("latents"), time, &context, &cancel);
            meet("velocity", &velocity.unwrap(), get("velocity"));
        }
        let vae = WanVae::load(&large, Loading::to(&Device::Cpu, dtype)).unwrap();
        let cases = tensors("vae");
        for frames in [1, 5, 9, 17] {
            let get = |name: &str| &cases[&format!("{frames}.{name}")];
            let encoded = vae.encode(get("video"), &cancel).unwrap();
            meet("encoded", &encoded, get("encoded"));
            let decoded = vae.decode(get("latents"), &cancel, &mut |_, _| ());
            meet("decoded", &decoded.unwrap(), get("decoded"));
        }
        let encoder =
            TextEncoder::load(&large, text_tokens, Loading::to(&Device::Cpu, dtype)).unwrap();
        let want = &tensors("text")["embeddings"];
        for (i, prompt) in prompts.iter().enumerate() {
            let got = encoder.encode(prompt).unwrap();
            meet("text", &got, &want.narrow(0, i, 1).unwrap());
        }
        let want = &tensors("run_lsl");
        let plan = Plan::parse("LSL", &[0.4, 0.8]).unwrap().steps(10, 4.0);
        let course = Course::euler(SigmaGrid::flow_euler(10, 3.0), plan);
        let pair = Pair::load(dtype);
        let end = denoise(&want["initial"], &course, &pair, &cancel, &mut |_| Ok(()));
        meet("run", end.unwrap().last(), &want["9.x"]);
        for (what, (l2, max)) in worst {
            let [their_l2, their_max] = [0, 1].map(|i| theirs[name][what][i].as_f64().unwrap());
            println!(
                "{what} in {name}: l2 {l2:.2e} ({their_l2:.2e}), max {max:.2e} ({their_max:.2e})"
            );
            assert!(
                l2 < 1.5 * their_l2 && max < 1.5 * their_max,
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
    let decoded = vae.decode(&cases["0.latents"], &cancel, &mut |_, _| ());
    assert_eq!(decoded.unwrap_err().to_string(), "cancelled");

    // A flag raised after the second chunk stops the third.
    let cancel = Cancel::new();
    let mut chunks = 0;
    let latents = Tensor::zeros((1, 16, 6, 2, 2), DType::F32, &Device::Cpu).unwrap();
    let decoded = vae.decode(&latents, &cancel, &mut |done, _| {
        chunks = done;
        if done == 2 {
            cancel.cancel();
        }
    });
    assert_eq!(decoded.unwrap_err().to_string(), "cancelled");
    assert_eq!(chunks, 2);
}

#[test]
fn foreign_shapes_are_refused() {
    let (large, small) = (transformer("large"), transformer("small"));
    let cases = tensors("transformer");
    let context = small.context(&cases["0.text"]).unwrap();
    let mixed = large.velocity(&cases["0.latents"], 1.0, &context, &Cancel::new());
    assert!(mixed.unwrap_err().to_string().contains("text context"));
    let odd = Tensor::zeros((1, 16, 1, 3, 4), DType::F32, &Device::Cpu).unwrap();
    let context = large.context(&cases["0.text"]).unwrap();
    let error = large
        .velocity(&odd, 1.0, &context, &Cancel::new())
        .unwrap_err();
    assert!(error.to_string().contains("[1, 16, 1, 3, 4]"), "{error}");
    let vae = vae();
    let error = vae
        .decode(
            &odd.narrow(1, 0, 4).unwrap(),
            &Cancel::new(),
            &mut |_, _| {},
        )
        .unwrap_err();
    assert!(error.to_string().contains("(1, 16, T, h, w)"), "{error}");
    let video = Tensor::zeros((1, 3, 4, 16, 16), DType::F32, &Device::Cpu).unwrap();
    let error = vae.encode(&video, &Cancel::new()).unwrap_err();
    assert!(error.to_string().contains("4 k + 1"), "{error}");
}
