//! What spares passes of the models: a cache, and guidance that does not count everywhere.

use eframe::egui;
use egui::{CollapsingHeader, DragValue, RichText, Ui};

use super::prompt_panel::row;
use super::theme::{palette, regular};
use super::widgets::{chip, choice, edit, field, field_with_corner, number, text_width};
use crate::app::{DocCommand, Request, Scene};
use crate::schedule::{CacheMethod, CacheRule, Guidance};

/// The fields, folded away until they are asked for or in use.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let settings = scene.document.settings();
    let is_used = settings.cache.is_some() || !settings.guidance.is_plain();
    let colour = palette(ui).text_weak;
    let words = RichText::new("Cache and guidance")
        .font(regular(12.0))
        .color(colour);
    CollapsingHeader::new(words)
        .id_salt("economy")
        .default_open(false)
        .open(is_used.then_some(true))
        .show_unindented(ui, |ui| {
            cache(ui, settings.cache, out);
            guidance(ui, scene, out);
        })
        .header_response
        .on_hover_text("Spare steps that would change little, and guidance where it says little");
}

fn cache(ui: &mut Ui, cache: Option<CacheRule>, out: &mut Vec<Request>) {
    row(ui, |ui, column_px| {
        field(ui, "Cache", |ui| {
            let methods = std::iter::once((None, "Off".to_owned()));
            let methods: Vec<_> = methods
                .chain(CacheMethod::ALL.map(|method| (Some(method), method.words().to_owned())))
                .collect();
            let about = (
                "Cache",
                "Steps that would change little take up what an earlier one found; hatched on the timeline",
            );
            let chosen = cache.map(|cache| cache.method);
            if let Some(method) = choice(ui, about, column_px, chosen, &methods) {
                out.push(Request::Edit(DocCommand::Cache(method.map(CacheRule::new))));
            }
        });
        if let Some(cache) = cache {
            field(ui, "Threshold", |ui| {
                let mut threshold = cache.threshold;
                let value = DragValue::new(&mut threshold)
                    .range(0.001..=2.0)
                    .speed(0.001)
                    .max_decimals(3);
                let response = number(ui, column_px, value).on_hover_text(
                    "How much a step may change and still be spared: more is faster and less exact",
                )
                .accessible_name("Threshold");
                edit(&response, out, || {
                    DocCommand::Cache(Some(CacheRule { threshold, ..cache }))
                });
            });
        }
    });
}

fn guidance(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let guidance = scene.document.settings().guidance;
    let [mut low, mut high] = guidance.interval.unwrap_or([0.0, 1.0]);
    let mut rescale = guidance.rescale;
    // The whole way is no interval.
    let with = |low: f64, high: f64| Guidance {
        interval: ((low, high) != (0.0, 1.0)).then_some([low, high]),
        ..guidance
    };
    row(ui, |ui, column_px| {
        field(ui, "CFG rescale", |ui| {
            let value = DragValue::new(&mut rescale)
                .range(0.0..=1.0)
                .speed(0.005)
                .max_decimals(2);
            let response = number(ui, column_px, value).on_hover_text(
                "Scales the guided velocity back to the deviation of the prompt's own: against burnt colours at high CFG",
            )
            .accessible_name("CFG rescale");
            edit(&response, out, || {
                DocCommand::Guidance(Guidance {
                    rescale,
                    ..guidance
                })
            });
        });
        let mut is_chosen = false;
        let shows = scene
            .pair
            .and_then(|pair| pair.guided_between(scene.document.settings()));
        let corner = |ui: &mut Ui| {
            ui.add_enabled_ui(shows.is_some(), |ui| {
                let auto = chip(ui, shows.is_some() && guidance.interval == shows, "Auto")
                    .on_hover_text("Guidance only where it moves the velocity by a hundredth or more")
                    .on_disabled_hover_text(
                        "Not measured yet: the first run with TeaCache or MagCache does so for its models at its size",
                    );
                is_chosen = auto.clicked();
            });
        };
        field_with_corner(ui, "CFG at σ", corner, |ui| {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 4.0;
                let half_px = (column_px - text_width(ui, "–", regular(13.0)) - 8.0) / 2.0;
                let [from, to] = [(0.0, high), (low, 1.0)];
                let level = |value| DragValue::new(value).speed(0.005).fixed_decimals(2);
                let lower = number(ui, half_px, level(&mut low).range(from.0..=from.1))
                    .on_hover_text(
                        "Noise level below which there is no guidance; its steps take one pass",
                    )
                    .accessible_name("Lowest noise level with guidance");
                ui.label(RichText::new("–").color(palette(ui).text_weak));
                let upper = number(ui, half_px, level(&mut high).range(to.0..=to.1))
                    .on_hover_text(
                        "Noise level above which there is no guidance; its steps take one pass",
                    )
                    .accessible_name("Highest noise level with guidance");
                edit(&lower, out, || DocCommand::Guidance(with(low, high)));
                edit(&upper, out, || DocCommand::Guidance(with(low, high)));
            });
        });
        if is_chosen {
            let interval = shows;
            out.push(Request::Edit(DocCommand::Guidance(Guidance {
                interval,
                ..guidance
            })));
        }
    });
}
