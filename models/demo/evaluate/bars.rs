use serde::Serialize;

use crate::options::{LLL, LSL, LSS, SLL, SSS};
use crate::speed::Speed;
use crate::summary::{Curve, PlanSummary, Summary};

/// What the pair has to reach.
#[derive(Clone, Debug, Serialize)]
pub struct Bar {
    /// The demand.
    pub demand: String,
    /// What was measured.
    pub figure: String,
    /// Whether it is met; `None` where it was not measured.
    pub holds: Option<bool>,
}

impl Bar {
    fn new(demand: &str, measured: Option<(String, bool)>) -> Self {
        let (figure, holds) = measured.unzip();
        Self {
            demand: demand.to_owned(),
            figure: figure.unwrap_or_else(|| "not measured".to_owned()),
            holds,
        }
    }
}

/// Checks all demands.
pub fn bars(summary: &Summary, speed: Option<&Speed>) -> Vec<Bar> {
    let mut bars = of_content(&summary.plans);
    bars.extend(of_likeness(&summary.plans));
    let probe = summary.probe.as_ref();
    bars.push(of_valley(
        "relative l2",
        probe.map(|probe| &probe.relative_l2),
    ));
    bars.push(of_valley(
        "1 - cos",
        probe.map(|probe| &probe.one_minus_cosine),
    ));
    bars.extend(of_speed(summary, speed));
    bars
}

fn of_content(plans: &[PlanSummary]) -> Vec<Bar> {
    let points = |plan: usize| plans[plan].behind.map(|behind| 100.0 * behind.value);
    vec![
        Bar::new(
            "LLL shows all that was asked in 85 % of clips or more",
            plans[LLL]
                .all_right
                .map(|share| (format!("{:.1} %", 100.0 * share.value), share.value >= 0.85)),
        ),
        Bar::new(
            "LSL is within 3 points of LLL",
            points(LSL).map(|behind| (format!("{behind:.1} points below"), behind <= 3.0)),
        ),
        Bar::new(
            "SSS is at least 12 points below LLL",
            points(SSS).map(|behind| (format!("{behind:.1} points below"), behind >= 12.0)),
        ),
    ]
}

fn of_likeness(plans: &[PlanSummary]) -> Vec<Bar> {
    let psnr = |plan: usize| plans[plan].likeness.psnr.value;
    let apart = (psnr(SLL) - psnr(SSS)).abs();
    let above = psnr(LSL) - psnr(SSS);
    vec![
        Bar::new(
            "LSL is more like LLL than LSS, and LSS than SLL",
            Some((
                format!(
                    "PSNR {:.1} > {:.1} > {:.1} dB",
                    psnr(LSL),
                    psnr(LSS),
                    psnr(SLL)
                ),
                psnr(LSL) > psnr(LSS) && psnr(LSS) > psnr(SLL),
            )),
        ),
        Bar::new(
            "SLL is no more like LLL than SSS: within 3 dB of it",
            Some((format!("{apart:.1} dB apart"), apart <= 3.0)),
        ),
        Bar::new(
            "LSL has a PSNR to LLL of 24 dB or more",
            Some((format!("{:.1} dB", psnr(LSL)), psnr(LSL) >= 24.0)),
        ),
        Bar::new(
            "LSL is 8 dB above SSS or more",
            Some((format!("{above:.1} dB"), above >= 8.0)),
        ),
    ]
}

fn of_valley(measure: &str, curve: Option<&Curve>) -> Bar {
    Bar::new(
        &format!("the velocities' {measure} rises to 1.3 times its valley or more on both sides"),
        curve.map(|curve| {
            let (before, after) = (curve.before.value, curve.after.value);
            (
                format!("{before:.2} before, {after:.2} at the end"),
                before >= 1.3 && after >= 1.3,
            )
        }),
    )
}

fn of_speed(summary: &Summary, speed: Option<&Speed>) -> Vec<Bar> {
    let predicted = |plan: usize| summary.plans[plan].predicted_secs;
    let found = speed.map(Speed::speed_up);
    let share = found
        .zip(predicted(LLL).zip(predicted(LSL)))
        .map(|(found, (large, blended))| found / (large / blended));
    vec![
        Bar::new(
            "the denoise of LSL is 1.5 times as fast as LLL's or faster",
            found.map(|found| (format!("{found:.2} times"), found >= 1.5)),
        ),
        Bar::new(
            "that is 97 % or more of what the steps' times predict",
            share.map(|share| (format!("{:.1} %", 100.0 * share), share >= 0.97)),
        ),
    ]
}
