use serde_json::{Value, json};

use super::clips::NamedClip;
use super::features::Seen;
use super::table::Table;
use crate::analysis::{Similarity, Worst, mean};

/// What was measured of one clip.
pub(super) struct Measured {
    pub(super) name: String,
    /// Frame by frame against the reference; none of the reference itself.
    pub(super) frames: Vec<Similarity>,
    /// `None` where the clip is too small for the measure, as below.
    pub(super) flicker: Option<f64>,
    pub(super) sharpness: Option<f64>,
    /// In the order of the networks.
    pub(super) seen: Vec<Seen>,
}

/// A table on stdout: the reference, which comes first, then the clips. Frames count from 1, as in
/// `export --still`.
pub(super) fn print(measured: &[Measured]) {
    let networks: Vec<_> = measured.iter().take(1).flat_map(|all| &all.seen).collect();
    let reads: Vec<bool> = (0..networks.len())
        .map(|i| measured.iter().any(|one| one.seen[i].to_prompt.is_some()))
        .collect();
    let mut heads = vec!["PSNR dB", "worst", "at", "SSIM", "worst", "at"];
    for (network, reads) in networks.iter().zip(&reads) {
        heads.extend([network.network.as_str(), "worst", "at", "pooled"]);
        heads.extend(reads.then_some("prompt"));
    }
    heads.extend(["flicker", "sharpness", "clip"]);
    let mut table = Table::new(&heads);
    for (i, one) in measured.iter().enumerate() {
        let mean_of = Similarity::mean(&one.frames);
        let mut cells = vec![cell(mean_of.map(|mean| mean.psnr_db()), 2)];
        cells.extend(worst_cells(Similarity::worst_psnr_db(&one.frames), 2));
        cells.push(cell(mean_of.and_then(|mean| mean.ssim), 4));
        cells.extend(worst_cells(Similarity::worst_ssim(&one.frames), 4));
        for (seen, reads) in one.seen.iter().zip(&reads) {
            let (cosines, pooled) = match &seen.to_reference {
                Some((cosines, pooled)) => (&cosines[..], Some(*pooled)),
                None => (&[][..], None),
            };
            cells.push(cell(mean_or_none(cosines), 4));
            cells.extend(worst_cells(Worst::of(cosines.iter().copied()), 4));
            cells.push(cell(pooled, 4));
            let prompt = seen.to_prompt.as_ref();
            cells.extend(reads.then(|| cell(prompt.and_then(|(_, all)| mean_or_none(all)), 4)));
        }
        cells.extend([cell(one.flicker, 3), cell(one.sharpness, 3)]);
        cells.push(match i {
            0 => format!("{} (reference)", one.name),
            _ => one.name.clone(),
        });
        table.row(cells);
    }
    print!("{}", table.text());
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

fn worst_cells(worst: Option<Worst>, digits: usize) -> [String; 2] {
    let frame = worst.map(|worst| (worst.frame + 1) as f64);
    [cell(worst.map(|worst| worst.value), digits), cell(frame, 0)]
}

fn mean_or_none(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| mean(values.iter().copied()))
}

/// Frames count from 1, as in `export --still`. PSNR is null where nothing differs.
pub(super) fn to_json(reference: &NamedClip, measured: &[Measured]) -> Value {
    let Some((first, clips)) = measured.split_first() else {
        return Value::Null;
    };
    let clips: Vec<_> = clips.iter().map(clip_json).collect();
    json!({
        "reference": {
            "clip": first.name,
            "width": reference.clip.width,
            "height": reference.clip.height,
            "frames": reference.clip.frames.len(),
            "flicker": first.flicker,
            "sharpness": first.sharpness,
            "features": first.seen.iter().map(seen_json).collect::<Vec<_>>(),
        },
        "clips": clips,
    })
}

fn clip_json(clip: &Measured) -> Value {
    let mean = Similarity::mean(&clip.frames);
    let frames = clip.frames.iter();
    let frames = frames.map(|f| json!({ "psnr_db": f.psnr_db(), "ssim": f.ssim }));
    json!({
        "clip": clip.name,
        "is_identical": clip.frames.iter().all(|frame| frame.mean_square == 0.0),
        "psnr_db": mean.map(|mean| mean.psnr_db()),
        "worst_psnr_db": worst_json(Similarity::worst_psnr_db(&clip.frames)),
        "ssim": mean.and_then(|mean| mean.ssim),
        "worst_ssim": worst_json(Similarity::worst_ssim(&clip.frames)),
        "flicker": clip.flicker,
        "sharpness": clip.sharpness,
        "frames": frames.collect::<Vec<_>>(),
        "features": clip.seen.iter().map(seen_json).collect::<Vec<_>>(),
    })
}

fn worst_json(worst: Option<Worst>) -> Option<Value> {
    worst.map(|worst| json!({ "frame": worst.frame + 1, "value": worst.value }))
}

fn seen_json(seen: &Seen) -> Value {
    let reference = seen.to_reference.as_ref().map(|(cosines, pooled)| {
        json!({
            "cosine": mean_or_none(cosines),
            "worst": worst_json(Worst::of(cosines.iter().copied())),
            "pooled_cosine": pooled,
            "frames": cosines,
        })
    });
    let prompt = seen.to_prompt.as_ref().map(|(prompt, cosines)| {
        json!({ "text": prompt, "cosine": mean_or_none(cosines), "frames": cosines })
    });
    json!({ "network": seen.network, "to_reference": reference, "to_prompt": prompt })
}
