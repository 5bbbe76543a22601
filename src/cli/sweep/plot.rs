use crate::engine::{PlanResult, Quality, SweepSummary};
use crate::plot::{Axis, Colour, Figure, Form, Panel, Point, Series};

/// The plans between predicted seconds and likeness to LLL, those that no other one beats in both joined by a
/// line.
pub(super) fn figure(summary: &SweepSummary, runs: usize) -> Figure {
    let has_ssim = summary
        .plans
        .iter()
        .any(|plan| plan.similarity.ssim.is_some());
    let (quality, label) = match has_ssim {
        true => (Quality::Ssim, "SSIM to LLL"),
        false => (Quality::Psnr, "PSNR to LLL, dB"),
    };
    let point = |plan: &PlanResult| {
        let (x, y) = (plan.secs?, quality.of(plan)?);
        (x.is_finite() && y.is_finite()).then(|| Point {
            x,
            y,
            spread: 0.0,
            name: Some(plan.plan.spec()),
        })
    };
    let front = summary.front(quality);
    let on_front = front.iter().filter_map(|i| point(&summary.plans[*i]));
    let on_front: Vec<Point> = on_front.collect();
    let rest = summary.plans.iter().enumerate();
    let rest = rest.filter(|(i, _)| !front.contains(i));
    let series = |form, colour, points| Series {
        form,
        colour,
        points,
    };
    Figure {
        title: "What each plan costs, and how like the large model alone it is".to_owned(),
        note: format!(
            "mean of {runs} prompt(s) and seed(s); the line joins the plans that no other one beats in both"
        ),
        panels: vec![Panel {
            x: Axis::new("predicted seconds"),
            y: Axis::new(label),
            series: vec![
                series(
                    Form::Dots,
                    Colour::Rest,
                    rest.filter_map(|(_, plan)| point(plan)).collect(),
                ),
                series(Form::Line, Colour::Measured, on_front.clone()),
                series(Form::Dots, Colour::Measured, on_front),
            ],
            spans: Vec::new(),
        }],
    }
}
