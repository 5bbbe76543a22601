//! Caches against diffusers' own and against the papers' equations, on the small models of both families; and what they promise.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use flowblend::models::{Loading, Transformer};
use flowblend::sampler::{
    COLLAPSED, Cancel, Context, Entered, Guided, ModelSet, Origin, Parts, SampleError, StepView,
    Trajectory, VelocityModel, denoise_from, measure_profile,
};
use flowblend::schedule::{
    CacheMethod, CacheProfile, CacheRule, Course, ModelRole, Plan, SigmaGrid,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Told {
    steps: usize,
    shift: f64,
    coefficients: [f64; 4],
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    family: String,
    method: CacheMethod,
    threshold: f64,
    spared: Vec<bool>,
    #[serde(default)]
    lengths: Vec<f64>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn told() -> Told {
    let text = std::fs::read_to_string(fixtures().join("caches/runs.json"));
    serde_json::from_str(&text.expect("run `python tests/reference/caches.py`")).unwrap()
}

fn tensors() -> HashMap<String, Tensor> {
    candle_core::safetensors::load(fixtures().join("caches/runs.safetensors"), &Device::Cpu)
        .unwrap()
}

/// One model in every role.
struct Model {
    transformer: Transformer,
    text: Context,
    profile: Option<CacheProfile>,
}

impl Model {
    fn of(family: &str, tensors: &HashMap<String, Tensor>) -> Self {
        let folder = fixtures().join(family).join("pair/large");
        let loading = Loading::to(&Device::Cpu, DType::F32);
        let transformer = Transformer::load(&folder, &folder, loading).unwrap();
        let text = transformer
            .context(&tensors[&format!("{family}.text")])
            .unwrap();
        Self {
            transformer,
            text,
            profile: None,
        }
    }

    fn all(&self) -> Guided<'_> {
        Guided {
            model: &self.transformer,
            prompt: &self.text,
            negative: &self.text,
            profile: self.profile.as_ref(),
        }
    }
}

impl ModelSet for Model {
    fn guided(&self, _: ModelRole) -> Result<Guided<'_>, SampleError> {
        Ok(self.all())
    }
}

/// A run of the plan, of guidance 1, with or without a cache.
fn course(told: &Told, plan: &Plan, cache: Option<CacheRule>) -> Course {
    let mut steps = plan.steps(told.steps, 1.0);
    if let Some(cache) = cache {
        cache.mark(&mut steps, told.steps);
    }
    Course::euler(SigmaGrid::flow_euler(told.steps, told.shift), steps)
}

fn walk(model: &Model, course: &Course, begun: Trajectory) -> Trajectory {
    denoise_from(begun, course, model, &Cancel::new(), &mut |_| Ok(())).unwrap()
}

fn pattern(trajectory: &Trajectory) -> String {
    let mark = |origin: &Origin| match origin {
        Origin::Computed => '#',
        Origin::Skipped => '-',
        Origin::GaveUp => '!',
    };
    trajectory.origins().iter().map(mark).collect()
}

/// The profile of a run: only what the method looks at says something.
fn profile(told: &Told, run: &Run) -> CacheProfile {
    let grid = SigmaGrid::flow_euler(told.steps, told.shift);
    let lengths = match run.lengths.is_empty() {
        true => vec![1.0; told.steps],
        false => run.lengths.clone(),
    };
    CacheProfile {
        sigmas: (0..told.steps).map(|i| grid.sigma(i)).collect(),
        magnitudes: lengths,
        velocity: vec![0.0; told.steps],
        first_block: vec![0.0; told.steps],
        by_time: vec![0.0; told.steps],
        guidance: Vec::new(),
        coefficients: told.coefficients,
        farthest: 10.0,
    }
}

/// The difference's l2 norm over that of `want`.
fn error(got: &Tensor, want: &Tensor) -> f64 {
    let norm = |t: &Tensor| {
        f64::from(
            t.sqr()
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap(),
        )
        .sqrt()
    };
    norm(&(got - want).unwrap()) / norm(want)
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

fn alone() -> Plan {
    Plan::only(ModelRole::Large)
}

#[test]
fn each_cache_spares_the_steps_of_its_reference_and_comes_to_the_same_latents() {
    let (told, tensors) = (told(), tensors());
    assert_eq!(told.runs.len(), 8);
    for run in &told.runs {
        let mut model = Model::of(&run.family, &tensors);
        model.profile = Some(profile(&told, run));
        let rule = CacheRule {
            method: run.method,
            threshold: run.threshold,
        };
        let begun = Trajectory::starting_at(tensors[&format!("{}.initial", run.family)].clone());
        let walked = walk(&model, &course(&told, &alone(), Some(rule)), begun);
        let want: String = run
            .spared
            .iter()
            .map(|s| if *s { '-' } else { '#' })
            .collect();
        let what = format!("{} by {}", run.family, run.method.name());
        assert_eq!(pattern(&walked), want, "{what}");
        assert!(want.contains('-'), "{what}");
        for (at, i) in [9, told.steps - 1].into_iter().enumerate() {
            let want = |key: &str| {
                let all = &tensors[&format!("{}.{}.{key}", run.family, run.method.name())];
                all.get(at).unwrap()
            };
            // Twenty steps of networks that each agree to 2e-4.
            assert!(
                error(walked.velocity(i), &want("velocities")) < 1e-3,
                "{what}, step {i}"
            );
            assert!(
                error(walked.state(i + 1), &want("states")) < 1e-3,
                "{what}, step {i}"
            );
        }
    }
}

/// Rules that spare some steps of the small models' runs.
fn rules(told: &Told) -> Vec<(String, CacheRule, CacheProfile)> {
    let of = |run: &Run| {
        let rule = CacheRule {
            method: run.method,
            threshold: run.threshold,
        };
        (run.family.clone(), rule, profile(told, run))
    };
    told.runs.iter().map(of).collect()
}

#[test]
fn a_run_that_goes_on_is_one_that_never_stopped() {
    let (told, tensors) = (told(), tensors());
    let plans = [alone(), Plan::parse("LSL", &[0.3, 0.6]).unwrap()];
    for (family, rule, profile) in rules(&told) {
        let mut model = Model::of(&family, &tensors);
        model.profile = Some(profile);
        for plan in &plans {
            let course = course(&told, plan, Some(rule));
            let noise = tensors[&format!("{family}.initial")].clone();
            let whole = walk(&model, &course, Trajectory::starting_at(noise));
            for begun in 1..told.steps {
                let again = walk(&model, &course, whole.first_steps(begun));
                assert_eq!(
                    pattern(&again),
                    pattern(&whole),
                    "{family} {rule} from {begun}"
                );
                assert_eq!(
                    bits(again.last()),
                    bits(whole.last()),
                    "{family} {rule} from {begun}"
                );
            }
        }
    }
}

#[test]
fn a_cache_that_spares_nothing_changes_nothing() {
    let (told, tensors) = (told(), tensors());
    for (family, rule, profile) in rules(&told) {
        let mut model = Model::of(&family, &tensors);
        model.profile = Some(profile);
        let noise = || Trajectory::starting_at(tensors[&format!("{family}.initial")].clone());
        let plain = walk(&model, &course(&told, &alone(), None), noise());
        let rule = CacheRule {
            threshold: 1e-9,
            ..rule
        };
        let cached = walk(&model, &course(&told, &alone(), Some(rule)), noise());
        assert_eq!(bits(cached.last()), bits(plain.last()), "{family} {rule}");
        // Without a profile those that need one compute.
        model.profile = None;
        if matches!(rule.method, CacheMethod::TeaCache | CacheMethod::MagCache) {
            let rule = CacheRule {
                threshold: 9.0,
                ..rule
            };
            let cached = walk(&model, &course(&told, &alone(), Some(rule)), noise());
            assert_eq!(bits(cached.last()), bits(plain.last()), "{family} {rule}");
        }
    }
}

/// A network whose blocks turn everything round from step to step.
struct Turning {
    text: Context,
    profile: CacheProfile,
}

impl VelocityModel for Turning {
    fn context(&self, _: &Tensor) -> Result<Context, SampleError> {
        Ok(Context(Vec::new()))
    }

    fn velocity(
        &self,
        latents: &Tensor,
        timestep: f64,
        context: &Context,
        cancel: &Cancel,
    ) -> Result<Tensor, SampleError> {
        self.whole(latents, timestep, context, cancel)
    }

    fn parts(&self) -> Option<&dyn Parts> {
        Some(self)
    }
}

impl Parts for Turning {
    fn enter(&self, latents: &Tensor, timestep: f64) -> Result<Entered, SampleError> {
        let sign = if (timestep / 100.0).round() % 2.0 == 0.0 {
            1.0
        } else {
            -1.0
        };
        Ok(Entered {
            tokens: latents.flatten_all()?.reshape((1, (), 1))?,
            embedding: Tensor::new(&[sign], latents.device())?,
            modulation: Tensor::ones((6, 1), DType::F32, latents.device())?,
            shape: latents.shape().clone(),
        })
    }

    fn block_count(&self) -> usize {
        2
    }

    fn blocks(
        &self,
        entered: &Entered,
        tokens: &Tensor,
        blocks: Range<usize>,
        _: &Context,
        _: &Cancel,
    ) -> Result<Tensor, SampleError> {
        let sign = entered.embedding.to_vec1::<f64>()?[0];
        Ok((tokens + sign * 10.0 * blocks.len() as f64)?)
    }

    fn leave(&self, entered: &Entered, tokens: &Tensor) -> Result<Tensor, SampleError> {
        Ok(tokens.reshape(&entered.shape)?)
    }
}

impl ModelSet for Turning {
    fn guided(&self, _: ModelRole) -> Result<Guided<'_>, SampleError> {
        Ok(Guided {
            model: self,
            prompt: &self.text,
            negative: &self.text,
            profile: Some(&self.profile),
        })
    }
}

#[test]
fn a_cache_that_was_tuned_for_another_model_is_given_up_before_it_spoils_a_step() {
    let told = Told {
        steps: 10,
        shift: 1.0,
        ..told()
    };
    // Its profile is that of a model of which nothing ever changes.
    let flat = CacheProfile {
        coefficients: [0.0; 4],
        ..profile(&told, &told.runs[0])
    };
    let model = Turning {
        text: Context(Vec::new()),
        profile: flat,
    };
    let noise = Tensor::randn(0f32, 1.0, (1, 4, 2, 3, 3), &Device::Cpu).unwrap();
    let walk = |cache, on_step: &mut dyn FnMut(usize, f64)| {
        let course = course(&told, &alone(), cache);
        let begun = Trajectory::starting_at(noise.clone());
        let on_step = &mut |view: StepView<'_>| {
            if let Some(off) = view.off {
                on_step(view.step, off);
            }
            Ok(())
        };
        denoise_from(begun, &course, &model, &Cancel::new(), on_step).unwrap()
    };
    let plain = walk(None, &mut |_, _| {});
    for method in [CacheMethod::TeaCache, CacheMethod::MagCache] {
        let mut looked = Vec::new();
        let rule = CacheRule::new(method);
        let walked = walk(Some(rule), &mut |step, off| looked.push((step, off)));
        // The step before the first that may be spared tells, and nothing is looked at any more.
        assert_eq!(pattern(&walked), "#!########", "{rule}");
        assert!(
            matches!(looked[..], [(1, off)] if off > COLLAPSED),
            "{looked:?}"
        );
        assert_eq!(bits(walked.last()), bits(plain.last()), "{rule}");
    }
}

#[test]
fn a_profile_tells_what_caches_will_spare() {
    let (told, tensors) = (told(), tensors());
    for family in ["wan", "ltx"] {
        let mut model = Model::of(family, &tensors);
        let noise = tensors[&format!("{family}.initial")].clone();
        let plain = course(&told, &alone(), None);
        let profile = measure_profile(&noise, &plain, &model.all(), &Cancel::new());
        let profile = profile.unwrap().unwrap();
        assert_eq!(profile.sigmas.len(), told.steps);
        assert_eq!((profile.velocity[0], profile.first_block[0]), (0.0, 0.0));
        model.profile = Some(profile.clone());
        for method in CacheMethod::ALL {
            let rule = CacheRule {
                method,
                threshold: 0.15,
            };
            let cached = course(&told, &alone(), Some(rule));
            let walked = walk(&model, &cached, Trajectory::starting_at(noise.clone()));
            let told = flowblend::schedule::expected_skips(&cached.steps, &cached.grid, |_| {
                Some(&profile)
            });
            let expected = told.iter().filter(|skip| **skip).count();
            let spared = pattern(&walked).matches('-').count();
            // By length and by time they are the same figures, step for step; the others measure anew along a way that is no longer
            // quite that of the profile.
            match method {
                CacheMethod::MagCache => {
                    let marks: String = told.iter().map(|s| if *s { '-' } else { '#' }).collect();
                    assert_eq!(pattern(&walked).replace('!', "#"), marks, "{family}");
                }
                _ => assert!(
                    expected.abs_diff(spared) <= 2,
                    "{family} {rule}: {expected}, {spared}"
                ),
            }
        }
    }
}
