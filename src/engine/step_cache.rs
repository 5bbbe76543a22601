//! The steps of earlier runs, so that a change of the plan computes no more than what it changes.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Device;

use super::paused::PausedRun;
use super::step_store::{Hold, StepStore, Stored};
use crate::project::{PairRef, RunSettings};
use crate::sampler::Trajectory;
use crate::schedule::{StepPlan, shared_steps};

/// Bytes of steps that are kept, unless another limit is set. A run of WAN at 832x480 with 81 frames takes 0.8 GB, one of the bundled
/// pair 4 MB.
pub(super) const MOST_BYTES: u64 = 2 << 30;

/// What the engine keeps of earlier runs, for whoever plans the next one.
#[derive(Clone, Debug, Default)]
pub struct KeptSteps(Vec<(RunSettings, usize)>);

impl KeptSteps {
    /// Of runs, each with the number of its first steps that are kept.
    pub fn new(runs: Vec<(RunSettings, usize)>) -> Self {
        Self(runs)
    }

    /// Leading steps of a run with these settings that are not computed again.
    pub fn of(&self, settings: &RunSettings) -> usize {
        let plans = settings.step_plans();
        self.0
            .iter()
            .filter(|(run, _)| run.differs_only_in_plan(settings))
            .map(|(run, steps)| shared_steps(&run.step_plans(), &plans).min(*steps))
            .max()
            .unwrap_or(0)
    }
}

/// Trajectories in memory, the one that was used last at the end, and more of them on disk.
pub(super) struct StepCache {
    runs: Vec<Kept>,
    most_bytes: u64,
    store: StepStore,
    /// What each pair's runs have as their source now. Steps of another source are of no use to them.
    sources: HashMap<PairRef, String>,
}

struct Kept {
    /// Tells apart what the settings do not: the models' files, the device, given noise.
    source: String,
    settings: RunSettings,
    plans: Vec<StepPlan>,
    trajectory: Trajectory,
}

impl Kept {
    /// Leading steps that a run has in common with this one.
    fn shared(&self, source: &str, settings: &RunSettings, plans: &[StepPlan]) -> usize {
        if self.source != source || !self.settings.differs_only_in_plan(settings) {
            return 0;
        }
        shared_steps(&self.plans, plans).min(self.trajectory.steps())
    }
}

impl StepCache {
    /// Keeps steps in memory, and in `folder` where there is one.
    pub(super) fn in_folder(folder: Option<PathBuf>) -> Self {
        Self {
            runs: Vec::new(),
            most_bytes: MOST_BYTES,
            store: StepStore::open(folder),
            sources: HashMap::new(),
        }
    }

    /// Keeps no more than so many bytes in memory and on disk from now on.
    pub(super) fn set_limits(&mut self, memory_bytes: u64, disk_bytes: u64) {
        self.most_bytes = memory_bytes;
        self.make_room();
        self.store.set_limit(disk_bytes);
    }

    /// Runs of `pair` have this source from now on.
    pub(super) fn set_source(&mut self, pair: &PairRef, source: String) {
        self.sources.insert(pair.clone(), source);
    }

    /// Brings the longest beginning that only the disk has into memory.
    fn fetch(&mut self, source: &str, settings: &RunSettings, plans: &[StepPlan]) {
        let in_memory = |kept: &Kept| kept.shared(source, settings, plans);
        let most = self.runs.iter().map(in_memory).max().unwrap_or(0);
        let on_disk = |stored: &Stored| {
            let fits = stored.source == source && stored.settings.differs_only_in_plan(settings);
            match fits {
                true => shared_steps(&stored.settings.step_plans(), plans).min(stored.steps),
                false => 0,
            }
        };
        let longest = self.store.known().iter().map(on_disk).enumerate();
        let Some((index, _)) = longest
            .max_by_key(|(_, steps)| *steps)
            .filter(|(_, steps)| *steps > most)
        else {
            return;
        };
        let Stored {
            source, settings, ..
        } = self.store.known()[index].clone();
        if let Some(trajectory) = self.store.read(index) {
            self.runs.push(Kept {
                plans: settings.step_plans(),
                source,
                settings,
                trajectory,
            });
            self.make_room();
        }
    }

    fn make_room(&mut self) {
        let bytes = |kept: &Kept| kept.trajectory.bytes();
        while self.runs.iter().map(bytes).sum::<u64>() > self.most_bytes {
            self.runs.remove(0);
        }
    }

    /// The longest beginning of a run that is known, if any step is.
    pub(super) fn begin(
        &mut self,
        source: &str,
        settings: &RunSettings,
        device: &Device,
    ) -> Option<Trajectory> {
        let plans = settings.step_plans();
        self.fetch(source, settings, &plans);
        let shared = |kept: &Kept| kept.shared(source, settings, &plans);
        let (at, steps) = self
            .runs
            .iter()
            .map(shared)
            .enumerate()
            .max_by_key(|(_, steps)| *steps)
            .filter(|(_, steps)| *steps > 0)?;
        let used = self.runs.remove(at);
        let begun = used.trajectory.first_steps(steps).to_device(device).ok();
        self.runs.push(used);
        begun
    }

    /// Keeps what a run computed, also one that was cancelled.
    pub(super) fn keep(&mut self, source: String, settings: &RunSettings, trajectory: &Trajectory) {
        if let Some((stored, trajectory)) = self.keep_in_memory(source, settings, trajectory) {
            self.store.write(stored, trajectory);
        }
    }

    /// Keeps steps until the program ends or others need the room. Gives them back where they are new.
    pub(super) fn keep_in_memory(
        &mut self,
        source: String,
        settings: &RunSettings,
        trajectory: &Trajectory,
    ) -> Option<(Stored, Trajectory)> {
        // On the device it would stand in the way of the next run.
        let trajectory = trajectory.to_device(&Device::Cpu).ok()?;
        let stored = Stored::of(source, settings, &trajectory);
        self.remember(&stored, &trajectory)
            .then_some((stored, trajectory))
    }

    /// Keeps what a paused run took until somebody lets it go. Gives the file that keeps it on disk, once
    /// all of it is there.
    pub(super) fn hold(
        &mut self,
        source: String,
        settings: &RunSettings,
        trajectory: &Trajectory,
        hold: Hold,
    ) -> Option<PathBuf> {
        let trajectory = trajectory.to_device(&Device::Cpu).ok()?;
        let stored = Stored::of(source, settings, &trajectory);
        self.remember(&stored, &trajectory);
        // Also where another run has these steps: that one may go.
        self.store.hold(stored, trajectory, hold)
    }

    /// Runs that rest, the oldest first.
    pub(super) fn paused(&self) -> Vec<PausedRun> {
        self.store.paused()
    }

    /// Has steps in memory, where no other run there has all of them. Says whether they are new.
    fn remember(&mut self, stored: &Stored, trajectory: &Trajectory) -> bool {
        let (source, settings, steps) = (&stored.source, &stored.settings, stored.steps);
        let plans = settings.step_plans();
        let known = |kept: &Kept| kept.shared(source, settings, &plans);
        if steps == 0 || self.runs.iter().any(|kept| known(kept) >= steps) {
            return false;
        }
        // What is but the beginning of this one.
        self.runs
            .retain(|kept| known(kept) < kept.trajectory.steps());
        self.runs.push(Kept {
            source: source.clone(),
            settings: settings.clone(),
            plans,
            trajectory: trajectory.clone(),
        });
        self.make_room();
        true
    }

    /// What is kept, for others.
    pub(super) fn told(&self) -> Arc<KeptSteps> {
        let in_memory = self
            .runs
            .iter()
            .map(|kept| (&kept.source, &kept.settings, kept.trajectory.steps()));
        let on_disk = self
            .store
            .known()
            .iter()
            .map(|stored| (&stored.source, &stored.settings, stored.steps));
        let told = in_memory
            .chain(on_disk)
            .filter(|(source, settings, _)| self.sources.get(&settings.pair) == Some(source))
            .map(|(_, settings, steps)| (settings.clone(), steps));
        Arc::new(KeptSteps::new(told.collect()))
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "tests write and wait as they like"
)]
mod tests {
    use candle_core::Tensor;

    use super::*;
    use crate::sampler::{
        Cancel, Context, Guided, ModelSet, SampleError, VelocityModel, denoise, initial_noise,
    };
    use crate::schedule::{Guidance, History, ModelRole, Plan, Solver};

    struct Still;

    impl VelocityModel for Still {
        fn context(&self, _: &Tensor) -> Result<Context, SampleError> {
            Ok(Context(Vec::new()))
        }

        fn velocity(
            &self,
            latents: &Tensor,
            _: f64,
            _: &Context,
            _: &Cancel,
        ) -> Result<Tensor, SampleError> {
            Ok(latents.zeros_like()?)
        }
    }

    struct Models(Context);

    impl ModelSet for Models {
        fn guided(&self, _: ModelRole) -> Result<Guided<'_>, SampleError> {
            Ok(Guided {
                model: &Still,
                prompt: &self.0,
                negative: &self.0,
                profile: None,
            })
        }
    }

    fn settings(letters: &str, boundaries: &[f64]) -> RunSettings {
        RunSettings {
            pair: PairRef::default(),
            prompt: "a dot".into(),
            negative: String::new(),
            seed: 1,
            plan: Plan::parse(letters, boundaries).unwrap(),
            steps: 10,
            shift: 3.0,
            solver: Solver::Euler,
            history: History::default(),
            distilled_sigmas: None,
            cfg: 5.0,
            guidance: Guidance::default(),
            cache: None,
            width: 16,
            height: 16,
            frames: 1,
            fps: 8.0,
        }
    }

    fn trajectory(settings: &RunSettings) -> Trajectory {
        let noise = initial_noise(1, (1, 4, 1, 2, 2), &Device::Cpu).unwrap();
        denoise(
            &noise,
            &settings.course(),
            &Models(Context(Vec::new())),
            &Cancel::new(),
            &mut |_| Ok(()),
        )
        .unwrap()
    }

    fn cache() -> StepCache {
        cache_in(None)
    }

    fn cache_in(folder: Option<PathBuf>) -> StepCache {
        let mut cache = StepCache::in_folder(folder);
        cache.set_source(&PairRef::default(), "here".to_owned());
        cache
    }

    fn keep(cache: &mut StepCache, settings: &RunSettings) {
        cache.keep("here".to_owned(), settings, &trajectory(settings));
    }

    #[test]
    fn the_longest_beginning_in_common_is_taken() {
        let mut cache = cache();
        keep(&mut cache, &settings("LSL", &[0.3, 0.7]));
        keep(&mut cache, &settings("L", &[]));
        let told = cache.told();
        for (wanted, steps) in [
            (settings("LSL", &[0.3, 0.7]), 10),
            (settings("LSL", &[0.3, 0.9]), 7),
            (settings("LSL", &[0.5, 0.9]), 5),
            (settings("S", &[]), 0),
            (
                RunSettings {
                    seed: 2,
                    ..settings("L", &[])
                },
                0,
            ),
            (
                RunSettings {
                    cfg: 4.0,
                    ..settings("L", &[])
                },
                0,
            ),
        ] {
            assert_eq!(told.of(&wanted), steps);
            let begun = cache.begin("here", &wanted, &Device::Cpu);
            assert_eq!(begun.map_or(0, |begun| begun.steps()), steps);
            assert!(cache.begin("elsewhere", &wanted, &Device::Cpu).is_none());
        }
    }

    #[test]
    fn beginnings_of_other_runs_and_the_least_used_go() {
        let (short, long) = (settings("LS", &[0.5]), settings("LSL", &[0.3, 0.7]));
        let mut cache = cache();
        let begun = trajectory(&short).first_steps(4);
        cache.keep("here".to_owned(), &short, &begun);
        cache.keep("here".to_owned(), &short, &trajectory(&short));
        keep(&mut cache, &short);
        assert_eq!(cache.runs.len(), 1);
        assert_eq!(cache.runs[0].trajectory.steps(), 10);
        keep(&mut cache, &long);
        assert_eq!(cache.runs.len(), 2);

        // Room for two: the one that was not looked at goes.
        cache.most_bytes = 2 * cache.runs[0].trajectory.bytes();
        assert!(cache.begin("here", &short, &Device::Cpu).is_some());
        keep(&mut cache, &settings("S", &[]));
        assert_eq!((cache.told().of(&short), cache.told().of(&long)), (10, 3));
    }

    #[test]
    fn steps_on_disk_are_there_for_the_next_start_and_only_for_the_same_models() {
        let folder = tempfile::tempdir().unwrap();
        let steps = || Some(folder.path().join("steps"));
        let (run, changed) = (settings("LSL", &[0.3, 0.7]), settings("LSL", &[0.3, 0.9]));
        let whole = trajectory(&run);
        let mut first = cache_in(steps());
        first.keep("here".to_owned(), &run, &whole.first_steps(2));
        first.keep("here".to_owned(), &run, &whole);
        drop(first);

        let mut next = cache_in(steps());
        assert_eq!((next.told().of(&run), next.told().of(&changed)), (10, 7));
        let begun = next.begin("here", &changed, &Device::Cpu).unwrap();
        assert_eq!(begun.steps(), 7);
        for i in 0..=7 {
            let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(numbers(begun.state(i)), numbers(whole.state(i)));
            if i < 7 {
                assert_eq!(numbers(begun.velocity(i)), numbers(whole.velocity(i)));
            }
        }
        assert_eq!(begun.state(0).dims(), whole.state(0).dims());

        // Other weights under the same name.
        next.set_source(&PairRef::default(), "changed".to_owned());
        assert_eq!(next.told().of(&run), 0);
        assert!(next.begin("changed", &run, &Device::Cpu).is_none());

        // A spoilt file is as good as none.
        drop(next);
        for entry in std::fs::read_dir(steps().unwrap()).unwrap().flatten() {
            if entry.path().extension().unwrap() == "safetensors" {
                std::fs::write(entry.path(), b"spoilt").unwrap();
            }
        }
        let mut last = cache_in(steps());
        assert!(last.begin("here", &run, &Device::Cpu).is_none());
        assert_eq!(last.told().of(&run), 0);
    }
}
