use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::CliError;
use super::clips::NamedClip;
use super::features::FeatureOptions;
use super::options::GlobalOptions;
use super::table::Table;
use crate::analysis::{Extractor, Frechet, Reader, frechet};
use crate::media::Clip;
use crate::models::registry;

/// Endings of the files of a folder that are clips.
const CLIPS: [&str; 7] = ["mp4", "webm", "mov", "mkv", "gif", "avi", "m4v"];
/// The clip in a folder of the gallery.
const RUN: &str = "clip.mkv";

/// What turns clips into vectors.
enum Feature {
    /// A vector a frame.
    Frames(Extractor),
    /// A vector a clip.
    Reader(Box<Reader>),
}

/// The vectors of a set of clips, for each feature.
struct Set {
    name: String,
    vectors: Vec<Vec<Vec<f32>>>,
}

/// `flowblend compare --frechet`: how far sets of clips are from a reference set, as distributions of features.
pub(super) fn compare_sets(
    reference: &OsStr,
    sets: &[OsString],
    options: &FeatureOptions,
    global: &GlobalOptions,
) -> Result<(), CliError> {
    let features = features(options, global)?;
    let reference = Set::read(reference, &features)?;
    let mut rows = Vec::new();
    for set in sets {
        let set = Set::read(set, &features)?;
        let pairs = set.vectors.iter().zip(&reference.vectors);
        let found = pairs.map(|(one, other)| frechet(one, other));
        let found: Vec<Frechet> = found.collect::<Result<_, _>>().map_err(|why| {
            CliError::Failed(format!("{} and {}: {why}", set.name, reference.name))
        })?;
        rows.push((set.name, found));
    }
    for (name, found) in &rows {
        if let Some(biased) = found.iter().find(|found| found.is_biased()) {
            let [own, other] = biased.samples;
            eprintln!(
                "{name}: {own} and {other} vectors do not span {} dimensions, so that the distance comes out \
                 too large; compare it only with that of sets of as many",
                biased.dimensions
            );
        }
    }
    match global.json {
        true => println!("{}", to_json(&reference.name, &features, &rows)),
        false => print(&features, &rows),
    }
    Ok(())
}

/// The networks that are asked for, or else the bundled pair's reader.
fn features(options: &FeatureOptions, global: &GlobalOptions) -> Result<Vec<Feature>, CliError> {
    let networks = options.load(global)?;
    if !networks.is_empty() {
        return Ok(networks.into_iter().map(Feature::Frames).collect());
    }
    // It lies beside the pair whose clips it reads.
    let pair = registry::find("demo").map_err(failed)?;
    let home = pair.large.parent().unwrap_or(&pair.large);
    let reader = Reader::load(&home.join("evaluate")).map_err(failed)?;
    Ok(vec![Feature::Reader(Box::new(reader))])
}

impl Feature {
    /// What the distance stands on.
    fn name(&self) -> String {
        match self {
            Self::Frames(network) => format!("{network}, frames"),
            Self::Reader(_) => "reader of the bundled pair, clips".to_owned(),
        }
    }

    fn vectors(&self, clip: &Clip) -> Result<Vec<Vec<f32>>, String> {
        match self {
            Self::Frames(network) => {
                let seen = network.features(clip).map_err(|why| why.to_string())?;
                Ok(seen.frames().to_vec())
            }
            Self::Reader(reader) => {
                let read = reader
                    .read(clip)
                    .map_err(|why| format!("{why}, or pass --dinov2 or --clip"))?;
                Ok(vec![read.embedding])
            }
        }
    }
}

impl Set {
    fn read(name: &OsStr, features: &[Feature]) -> Result<Self, CliError> {
        let clips = clips(Path::new(name))?;
        let name = name.display().to_string();
        let mut vectors = vec![Vec::new(); features.len()];
        for (i, clip) in clips.iter().enumerate() {
            eprintln!("{name}: clip {} of {}", i + 1, clips.len());
            let clip = NamedClip::read(clip)?;
            for (feature, all) in features.iter().zip(&mut vectors) {
                let found = feature.vectors(&clip.clip);
                all.extend(found.map_err(|why| CliError::Failed(format!("{}: {why}", clip.name)))?);
            }
        }
        Ok(Self { name, vectors })
    }
}

/// The clips of a set: those in a folder, in the order of their names, or those that a text file lists, one a
/// line.
fn clips(set: &Path) -> Result<Vec<OsString>, CliError> {
    let unreadable = |why: std::io::Error| {
        CliError::Failed(format!(
            "{} cannot be read as a set of clips ({why}); give a folder of clips or a text file with the \
             name of one on each line",
            set.display()
        ))
    };
    let clips: Vec<OsString> = if set.is_dir() {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(set)
            .map_err(unreadable)?
            .filter_map(|entry| clip_of(entry.ok()?.path()))
            .collect();
        paths.sort();
        paths.into_iter().map(PathBuf::into_os_string).collect()
    } else {
        let text = std::fs::read_to_string(set).map_err(unreadable)?;
        let lines = text.lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty())
            .map(OsString::from)
            .collect()
    };
    match clips.is_empty() {
        true => Err(CliError::Failed(format!(
            "{} holds no clips; give a folder of clips or a text file with the name of one on each line",
            set.display()
        ))),
        false => Ok(clips),
    }
}

/// The clip that an entry of a folder is, or that lies in it where it is a run of the gallery.
fn clip_of(entry: PathBuf) -> Option<PathBuf> {
    let is_hidden = entry.file_name()?.to_string_lossy().starts_with('.');
    if entry.is_dir() {
        let clip = entry.join(RUN);
        return (clip.is_file() && !is_hidden).then_some(clip);
    }
    let ending = entry.extension()?.to_str()?.to_ascii_lowercase();
    (CLIPS.contains(&ending.as_str()) && !is_hidden).then_some(entry)
}

fn print(features: &[Feature], rows: &[(String, Vec<Frechet>)]) {
    let mut table = Table::new(&["Fréchet", "vectors", "dimensions", "feature", "set"]);
    for (name, found) in rows {
        for (feature, found) in features.iter().zip(found) {
            let [own, other] = found.samples;
            table.row(vec![
                format!("{:.4}", found.distance),
                format!("{own}, {other}"),
                found.dimensions.to_string(),
                feature.name(),
                name.clone(),
            ]);
        }
    }
    print!("{}", table.text());
}

fn to_json(reference: &str, features: &[Feature], rows: &[(String, Vec<Frechet>)]) -> Value {
    let distance = |(feature, found): (&Feature, &Frechet)| {
        json!({
            "feature": feature.name(),
            "frechet_distance": found.distance,
            "vectors": found.samples,
            "dimensions": found.dimensions,
            "is_biased": found.is_biased(),
        })
    };
    let sets: Vec<_> = rows
        .iter()
        .map(|(name, found)| {
            let distances: Vec<_> = features.iter().zip(found).map(distance).collect();
            json!({ "set": name, "distances": distances })
        })
        .collect();
    json!({ "reference": reference, "sets": sets })
}

fn failed(why: impl std::fmt::Display) -> CliError {
    CliError::Failed(why.to_string())
}
