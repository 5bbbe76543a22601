//! Stages of a distilled model from the command line. The small model stands for the distilled one: what it names is no
//! mean velocity, so the clips are of no use, but every step is taken as a distilled one's.

use crate::program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use candle_core::{Device, safetensors};
use flowblend::project::write_bytes_atomic;
use flowblend::schedule::{DistilledGrid, Solver};
use serde_json::{Value, json};
use tempfile::TempDir;

const RUN: [&str; 8] = [
    "--steps", "10", "--size", "64x64", "--frames", "5", "--seed", "3",
];

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo")
}

/// A folder of pairs in which `demo` has the small model as its distilled one, taught `sigmas`; and where to work.
struct Rig {
    folder: TempDir,
}

impl Rig {
    fn new(change: impl FnOnce(&mut Value)) -> Self {
        let folder = TempDir::new().unwrap();
        let read = fs::read(demo().join("pair.json")).unwrap();
        let mut pair: Value = serde_json::from_slice(&read).unwrap();
        for model in ["large", "small"] {
            pair[model] = json!(demo().join(model));
        }
        pair["distilled"] = json!(demo().join("small"));
        (pair["cfg"], pair["shift"]) = (json!(3.0), json!(1.0));
        pair["distilled_sigmas"] = json!([1.0, 0.75, 0.5, 0.25, 0.0]);
        change(&mut pair);
        let place = folder.path().join("models/demo");
        fs::create_dir_all(&place).unwrap();
        let text = serde_json::to_vec(&pair).unwrap();
        write_bytes_atomic(&place.join("pair.json"), true, &text).unwrap();
        Self { folder }
    }

    fn flowblend(&self, arguments: &[&str]) -> Output {
        let mut command = program::command(self.folder.path(), arguments);
        command.env("FLOWBLEND_MODELS", self.folder.path().join("models"));
        command.output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.flowblend(&[arguments, &["--json"]].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn refused(&self, arguments: &[&str], code: i32, said: &str) {
        let output = self.flowblend(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    let values = value.as_array().unwrap().iter();
    values.map(|value| value.as_f64().unwrap()).collect()
}

fn words<'a>(steps: &'a Value, key: &str) -> Vec<&'a str> {
    let steps = steps.as_array().unwrap().iter();
    steps.map(|step| step[key].as_str().unwrap()).collect()
}

#[test]
fn a_plan_counts_the_distilled_models_own_steps_and_one_pass_each() {
    let rig = Rig::new(|_| {});
    let plan = |more: &[&str]| rig.json(&[&["plan"], &RUN[..], more].concat());
    let own = Solver::Euler.grid(10, 1.0);
    let ldl = plan(&["--plan", "LDL", "--boundaries", "0.3,0.8"]);
    let mut want = own.sigmas()[..4].to_vec();
    want.extend([0.5, 0.25]);
    want.extend(&own.sigmas()[8..]);
    assert_eq!(numbers(&ldl["sigmas"]), want);
    assert_eq!(
        words(&ldl["steps"], "model"),
        [
            "large",
            "large",
            "large",
            "distilled",
            "distilled",
            "distilled",
            "large",
            "large"
        ]
    );
    let cfgs: Vec<f64> = (0..8)
        .map(|i| ldl["steps"][i]["cfg"].as_f64().unwrap())
        .collect();
    assert_eq!(cfgs, [3.0, 3.0, 3.0, 1.0, 1.0, 1.0, 3.0, 3.0]);
    assert_eq!(numbers(&ldl["settings"]["distilled_sigmas"]).len(), 5);
    // The model has the small one's size: a distilled step costs half of a guided small one.
    let lsl = plan(&["--plan", "LSL", "--boundaries", "0.3,0.8"]);
    let flops = |plan: &Value, step: usize| plan["steps"][step]["full_flops"].as_f64().unwrap();
    assert_eq!(2.0 * flops(&ldl, 3), flops(&lsl, 3));
    let all: f64 = (0..8).map(|step| flops(&ldl, step)).sum();
    let told = ldl["cost"]["full_flops"].as_f64().unwrap();
    assert!((all / told - 1.0).abs() < 1e-9);

    let ddd = plan(&["--plan", "DDD"]);
    assert_eq!(numbers(&ddd["sigmas"]), [1.0, 0.75, 0.5, 0.25, 0.0]);
    let other = plan(&["--plan", "DDD", "--distilled-steps", "2"]);
    assert_eq!(numbers(&other["sigmas"]), [1.0, 0.5, 0.0]);
    // Who asks for guidance in a distilled stage has it.
    let guided = plan(&["--plan", "LDL", "--boundaries", "0.3,0.8", "--cfg", "3,2,3"]);
    assert_eq!(guided["steps"][3]["cfg"], 2.0);

    let output = rig.flowblend(&[&["plan", "--plan", "LDL"], &RUN[..]].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("10 steps, with the distilled model's own"),
        "{said}"
    );
}

#[test]
fn a_run_steps_straight_through_the_distilled_stage_and_keeps_its_levels() {
    let rig = Rig::new(|_| {});
    let here = rig.folder.path();
    for (solver, out) in [("euler", "a.mkv"), ("unipc", "b.mkv")] {
        let plan = [
            "--plan",
            "LDL",
            "--boundaries",
            "0.3,0.8",
            "--solver",
            solver,
        ];
        let files = ["--out", out, "--save-trajectory", solver];
        let run = rig.json(&[&["generate", "a red circle"], &RUN[..], &plan, &files].concat());
        let steps = &run["steps"];
        assert_eq!(steps.as_array().unwrap().len(), 8);
        assert!(steps.as_array().unwrap().iter().all(|step| step["of"] == 8));
        assert_eq!(run["models"].as_object().unwrap().len(), 2);

        let told: Value =
            serde_json::from_slice(&fs::read(here.join(solver).join("run.json")).unwrap()).unwrap();
        let load = |file: &str, name: &str| {
            let mut tensors =
                safetensors::load(here.join(solver).join(file), &Device::Cpu).unwrap();
            tensors.remove(name).unwrap()
        };
        let mut before = load("initial.safetensors", "latents");
        let mut distilled = 0;
        for step in told["steps"].as_array().unwrap() {
            let file = step["file"].as_str().unwrap();
            let (after, velocity) = (load(file, "latents"), load(file, "velocity"));
            if step["model"] == "distilled" {
                distilled += 1;
                let sigma = |key: &str| step[key].as_f64().unwrap();
                assert_eq!(step["timestep"].as_f64().unwrap(), sigma("sigma") * 1000.0);
                let moved = (velocity * (sigma("sigma_next") - sigma("sigma"))).unwrap();
                let apart = ((before + moved).unwrap() - &after).unwrap().abs().unwrap();
                assert_eq!(apart.max_all().unwrap().to_scalar::<f32>().unwrap(), 0.0);
            }
            before = after;
        }
        assert_eq!(distilled, 3);

        let (_, recipe) = flowblend::media::read_clip(&here.join(out)).unwrap();
        let recipe = flowblend::project::Recipe::from_json(&recipe.unwrap()).unwrap();
        let kept = recipe.settings.distilled_sigmas;
        assert_eq!(kept, DistilledGrid::even(4).ok());
    }
}

#[test]
fn a_sweep_holds_plans_with_distilled_stages_against_the_others() {
    let rig = Rig::new(|_| {});
    let plans = ["--plans", "LDL@0.3/0.8,LSL@0.3/0.8,D", "--out", "table.csv"];
    let run =
        |more: &[&str]| rig.json(&[&["sweep", "a red circle"], &RUN[..], &plans, more].concat());
    let swept = run(&[]);
    // LLL in full, of LSL seven more, of LDL three jumps and two large steps, of D all four.
    assert_eq!(swept["computed_steps"], 10 + 7 + 5 + 4);
    assert_eq!(swept["steps"], 10 + 10 + 8 + 4);
    let times = &swept["seconds_predicted_from"];
    assert_eq!(times["distilled_step"]["measured_steps"], 3 + 4);
    let plan = |letters: &str| {
        let plans = swept["plans"].as_array().unwrap().iter();
        plans
            .clone()
            .find(|plan| plan["letters"] == letters)
            .unwrap()
            .clone()
    };
    let step = |model: &str| times[model]["secs"].as_f64().unwrap();
    let decode = times["decode_secs"].as_f64().unwrap();
    let want = 5.0 * step("large_step") + 3.0 * step("distilled_step") + decode;
    assert!((plan("LDL")["predicted_secs"].as_f64().unwrap() / want - 1.0).abs() < 1e-9);
    assert_eq!(plan("D")["large_steps"], 0);
    // The table knows them again, but not with other levels.
    assert_eq!(run(&[])["clips_known"], 4);
    assert_eq!(run(&["--distilled-steps", "2"])["clips_known"], 2);
}

#[test]
fn what_cannot_be_is_refused_in_a_sentence() {
    let rig = Rig::new(|_| {});
    let without = Rig::new(|pair| {
        let pair = pair.as_object_mut().unwrap();
        pair.remove("distilled");
        pair.remove("distilled_sigmas");
    });
    for command in [&["plan"][..], &["generate", "a dot", "--out", "x.mkv"]] {
        without.refused(
            &[command, &["--plan", "LDL"]].concat(),
            1,
            "has no distilled model; use L and S",
        );
    }
    rig.refused(
        &["plan", "--distilled-steps", "0"],
        2,
        "cannot take 0 steps",
    );
    without.refused(
        &["sweep", "a dot", "--plans", "D"],
        1,
        "has no distilled model",
    );
    let (large, small) = (demo().join("large"), demo().join("small"));
    let (large, small) = (large.to_str().unwrap(), small.to_str().unwrap());
    let folders = [
        "plan",
        "--large",
        large,
        "--small",
        small,
        "--distilled",
        small,
    ];
    rig.refused(
        &[&folders[..], &["--plan", "LDL"]].concat(),
        1,
        "give --distilled-steps",
    );
    let told = rig.json(&[&folders[..], &["--plan", "D", "--distilled-steps", "4"]].concat());
    assert_eq!(numbers(&told["sigmas"]).len(), 5);
    let ends = Rig::new(|pair| pair["distilled_sigmas"] = json!([1.0, 0.5]));
    ends.refused(&["plan"], 1, "from 1 to 0");
    let alone = Rig::new(|pair| drop(pair.as_object_mut().unwrap().remove("distilled_sigmas")));
    alone.refused(&["plan"], 1, "need one another");
}

#[test]
fn the_list_of_models_has_the_distilled_one_and_says_what_is_wrong_with_it() {
    let pair = |rig: &Rig| {
        let listed = rig.json(&["models"]);
        let pairs = listed["pairs"].as_array().unwrap().iter();
        pairs
            .clone()
            .find(|pair| pair["name"] == "demo")
            .unwrap()
            .clone()
    };
    let (rig, without) = (
        Rig::new(|_| {}),
        Rig::new(|pair| {
            let pair = pair.as_object_mut().unwrap();
            pair.remove("distilled");
            pair.remove("distilled_sigmas");
        }),
    );
    let whole = pair(&rig);
    assert_eq!(whole["state"], "ready");
    assert_eq!(whole["distilled"], json!(demo().join("small")));
    // It is counted where all lie side by side.
    let together = |pair: &Value| pair["memory"]["together"].as_u64().unwrap();
    assert!(together(&whole) > together(&pair(&without)));

    let gone = Rig::new(|pair| pair["distilled"] = json!("nowhere"));
    let gone = pair(&gone);
    assert_eq!(gone["state"], "incomplete");
    assert!(
        gone["faults"][0]
            .as_str()
            .unwrap()
            .contains("the distilled model is missing")
    );

    let ltx = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ltx/pair/small");
    let other = Rig::new(|pair| pair["distilled"] = json!(ltx));
    let other = pair(&other);
    assert_eq!(other["state"], "incompatible", "{other}");
    assert!(
        other["faults"][0]
            .as_str()
            .unwrap()
            .contains("distilled model"),
        "{other}"
    );
}
