//! The figures as Markdown.

use flowblend::analysis::{Interval, ReaderSpec};

use crate::auto::Standing;
use crate::bars::Bar;
use crate::economy;
use crate::options::{LLL, Setup};
use crate::prompts::{Attribute, TRUSTED};
use crate::speed::Speed;
use crate::summary::{Likeness, PlanSummary, Probe, Summary};

/// All that is printed.
pub fn report(
    setup: &Setup,
    prompts: usize,
    spec: Option<&ReaderSpec>,
    summary: &Summary,
    speed: Option<&Speed>,
    bars: &[Bar],
) -> String {
    let settings = &setup.settings;
    let boundaries: Vec<String> = settings
        .plan
        .boundaries()
        .iter()
        .map(f64::to_string)
        .collect();
    let mut parts = vec![format!(
        "The pair {}: {}x{}, {} frames, {} steps, shift {}, guidance {}, boundaries {}. {prompts} prompts; in \
         brackets 95 % intervals, from a bootstrap over prompts.",
        setup.spec.name,
        settings.width,
        settings.height,
        settings.frames,
        settings.steps,
        settings.shift,
        settings.cfg,
        boundaries.join(" and "),
    )];
    match spec {
        Some(spec) => {
            parts.push(content(spec, &summary.plans));
            parts.extend(distrusted(spec));
        }
        None => parts.push(
            "Without the reader nothing is known of what the clips show: attributes and embedding distances are \
             left out."
                .to_owned(),
        ),
    }
    parts.push(likeness(&summary.plans));
    parts.push(look(&summary.plans));
    parts.push(costs(&summary.plans));
    if !summary.grid.is_empty() {
        parts.push(grid(summary));
    }
    parts.extend(summary.probe.as_ref().map(probe));
    parts.extend(speed.map(|speed| times(setup, speed)));
    parts.push(demands(bars));
    parts.join("\n\n") + "\n"
}

/// What is printed of plans that are found by themselves.
pub fn auto_report(
    setup: &Setup,
    prompts: usize,
    cost: &str,
    standings: &[Standing],
    speed: &Speed,
    bars: &[Bar],
) -> String {
    let rows = standings.iter().map(Standing::row);
    let parts = [
        format!("The pair {}, {prompts} prompts.", setup.spec.name),
        table(&Standing::HEADER, rows),
        cost.to_owned(),
        times(setup, speed),
        demands(bars),
    ];
    parts.join("\n\n") + "\n"
}

/// What is printed of ways on top of blending.
pub fn economy_report(
    setup: &Setup,
    prompts: usize,
    standings: &[economy::Standing],
    bars: &[Bar],
) -> String {
    let rows = standings.iter().map(economy::Standing::row);
    let parts = [
        format!("The pair {}, {prompts} prompts.", setup.spec.name),
        table(&economy::Standing::HEADER, rows),
        demands(bars),
    ];
    parts.join("\n\n") + "\n"
}

/// A Markdown table; all columns but the first are aligned to the right.
fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let names: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let rule = format!("|---|{}", "---:|".repeat(header.len().saturating_sub(1)));
    let mut lines = vec![line(&names), rule];
    lines.extend(rows.into_iter().map(|row| line(&row)));
    lines.join("\n")
}

/// A number for a table.
pub fn number(value: f64, digits: usize) -> String {
    if value.is_nan() {
        "-".to_owned()
    } else if value.is_infinite() {
        "same".to_owned()
    } else {
        format!("{value:.digits$}")
    }
}

/// A number with its interval.
pub fn ranged(interval: Interval, scale: f64, digits: usize) -> String {
    let text = |value: f64| number(scale * value, digits);
    if interval.value.is_finite() {
        let Interval { value, low, high } = interval;
        format!("{} ({} to {})", text(value), text(low), text(high))
    } else {
        text(interval.value)
    }
}

/// A value in words, or a dash where there is none.
pub fn maybe<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

/// A share with its interval, in percent.
pub fn percent(interval: Interval) -> String {
    ranged(interval, 100.0, 1)
}

fn content(spec: &ReaderSpec, plans: &[PlanSummary]) -> String {
    let trusted: Vec<Attribute> = Attribute::ALL
        .into_iter()
        .filter(|attribute| attribute.validation(spec) >= TRUSTED)
        .collect();
    let mut header = vec!["plan", "all right, %", "points below LLL"];
    header.extend(trusted.iter().map(|attribute| attribute.name()));
    let rows = plans.iter().enumerate().map(|(i, plan)| {
        let behind = plan.behind.filter(|_| i != LLL);
        let mut row = vec![
            plan.plan.to_owned(),
            maybe(plan.all_right, percent),
            maybe(behind, percent),
        ];
        let shares = trusted.iter().map(|attribute| plan.right(*attribute));
        row.extend(shares.map(|share| maybe(share, |share| number(100.0 * share.value, 1))));
        row
    });
    table(&header, rows)
}

fn distrusted(spec: &ReaderSpec) -> Option<String> {
    let left_out: Vec<String> = Attribute::ALL
        .into_iter()
        .map(|attribute| (attribute, attribute.validation(spec)))
        .filter(|(_, right)| *right < TRUSTED)
        .map(|(attribute, right)| format!("{} ({:.1} %)", attribute.name(), 100.0 * right))
        .collect();
    (!left_out.is_empty()).then(|| {
        format!(
            "Left out, since the reader is right in less than {:.0} % of unseen clips: {}.",
            100.0 * TRUSTED,
            left_out.join(", ")
        )
    })
}

fn alike(likeness: &Likeness) -> [String; 3] {
    [
        ranged(likeness.psnr, 1.0, 1),
        ranged(likeness.ssim, 1.0, 3),
        maybe(likeness.distance, |distance| ranged(distance, 1.0, 3)),
    ]
}

fn likeness(plans: &[PlanSummary]) -> String {
    let header = [
        "like LLL, same noise",
        "PSNR, dB (median)",
        "SSIM",
        "embedding distance",
    ];
    let others = plans.iter().enumerate().filter(|(i, _)| *i != LLL);
    table(
        &header,
        others.map(|(_, plan)| {
            let mut row = vec![plan.plan.to_owned()];
            row.extend(alike(&plan.likeness));
            row
        }),
    )
}

fn look(plans: &[PlanSummary]) -> String {
    let header = ["plan", "sharpness", "to LLL, %", "flicker", "to LLL, %"];
    table(
        &header,
        plans.iter().enumerate().map(|(i, plan)| {
            let change = |change: Interval| maybe((i != LLL).then_some(change), percent);
            vec![
                plan.plan.to_owned(),
                ranged(plan.sharpness, 1.0, 2),
                change(plan.sharpness_change),
                ranged(plan.flicker, 1.0, 3),
                change(plan.flicker_change),
            ]
        }),
    )
}

fn costs(plans: &[PlanSummary]) -> String {
    let header = [
        "plan",
        "large steps, %",
        "denoise, s",
        "predicted, s",
        "GFLOPs, paper's count",
        "GFLOPs, all",
    ];
    table(
        &header,
        plans.iter().map(|plan| {
            vec![
                plan.plan.to_owned(),
                number(100.0 * plan.cost.large_share, 0),
                maybe(plan.measured_secs, |secs| number(secs, 3)),
                maybe(plan.predicted_secs, |secs| number(secs, 3)),
                number(plan.cost.paper_flops / 1e9, 1),
                number(plan.cost.full_flops / 1e9, 1),
            ]
        }),
    )
}

fn grid(summary: &Summary) -> String {
    let header = [
        "LSL: large first, %",
        "and last, %",
        "large steps, %",
        "PSNR, dB (median)",
        "SSIM",
        "embedding distance",
        "all right, %",
        "predicted speed-up",
    ];
    table(
        &header,
        summary.grid.iter().map(|cell| {
            let mut row = vec![
                number(100.0 * cell.early, 0),
                number(100.0 * cell.late, 0),
                number(100.0 * cell.large_share, 0),
            ];
            row.extend(alike(&cell.likeness));
            row.push(maybe(cell.all_right, percent));
            row.push(maybe(cell.predicted_speed_up, |times| number(times, 2)));
            row
        }),
    )
}

fn probe(probe: &Probe) -> String {
    let header = ["step", "sigma", "relative l2", "1 - cos"];
    let steps = table(
        &header,
        probe.sigmas.iter().enumerate().map(|(i, sigma)| {
            vec![
                (i + 1).to_string(),
                number(*sigma, 4),
                ranged(probe.relative_l2.steps[i], 1.0, 4),
                ranged(probe.one_minus_cosine.steps[i], 1.0, 5),
            ]
        }),
    );
    let valleys = [
        ("relative l2", &probe.relative_l2),
        ("1 - cos", &probe.one_minus_cosine),
    ]
    .map(|(name, curve)| {
        vec![
            name.to_owned(),
            (curve.valley + 1).to_string(),
            ranged(curve.first, 1.0, 2),
            ranged(curve.before, 1.0, 2),
            ranged(curve.after, 1.0, 2),
        ]
    });
    let header = [
        "small against large, along LLL",
        "valley at step",
        "first step, times that",
        "peak before, times that",
        "end, times that",
    ];
    format!("{}\n\n{steps}", table(&header, valleys))
}

fn times(setup: &Setup, speed: &Speed) -> String {
    let header = ["denoise, s", "median", "least", "most", "runs"];
    let rows = speed.denoise.iter().map(|timed| {
        let median = flowblend::analysis::median(timed.secs.iter().copied());
        let least = timed.secs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = timed.secs.iter().copied().fold(0.0, f64::max);
        vec![
            timed.plan.to_owned(),
            number(median, 3),
            number(least, 3),
            number(most, 3),
            timed.secs.len().to_string(),
        ]
    });
    let predicted = speed.predicted_speed_up(setup, &setup.settings.plan);
    format!(
        "{}\n\nOn {}: a large step {:.1} ms, a small one {:.1} ms, a decode {:.2} s (medians). LSL is {:.2} times as \
         fast as LLL; the steps predict {predicted:.2}.",
        table(&header, rows),
        speed.device,
        1e3 * speed.large_step,
        1e3 * speed.small_step,
        speed.decode,
        speed.speed_up(),
    )
}

fn demands(bars: &[Bar]) -> String {
    let rows = bars.iter().map(|bar| {
        let word = match bar.holds {
            Some(true) => "holds",
            Some(false) => "fails",
            None => "-",
        };
        vec![bar.demand.clone(), bar.figure.clone(), word.to_owned()]
    });
    table(&["bar", "measured", ""], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_markdown() {
        let rows = [vec!["LSL".to_owned(), "28.0".to_owned()]];
        assert_eq!(
            table(&["plan", "PSNR"], rows),
            "| plan | PSNR |\n|---|---:|\n| LSL | 28.0 |"
        );
    }

    #[test]
    fn intervals_are_short() {
        let interval = |value, low, high| Interval { value, low, high };
        assert_eq!(
            ranged(interval(0.875, 0.8, 0.9), 100.0, 1),
            "87.5 (80.0 to 90.0)"
        );
        let same = interval(f64::INFINITY, f64::INFINITY, f64::INFINITY);
        assert_eq!(ranged(same, 1.0, 1), "same");
    }
}
