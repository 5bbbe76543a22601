//! Questions and pages over the window.

use eframe::egui;
use egui::{
    Align, Button, Context, Frame, Grid, Id, Layout, Modal, Response, RichText, ScrollArea, Ui,
    vec2,
};

use super::theme::{bold, mono, palette, regular};
use crate::app::{Command, Notice, Request, Scene, Section};

/// A question or a page over the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialog {
    /// Stop the run?
    CancelRun,
    /// Close although something is going on?
    Quit,
    /// What becomes of unsaved work?
    Unsaved,
    /// All keys.
    Shortcuts,
    /// Name, version and licences.
    About,
}

/// What the person answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Do it.
    Yes,
    /// Leave things as they are.
    No,
    /// Go on without it.
    Without,
}

impl Dialog {
    /// Shows the dialog; `Some` once it was answered or put away.
    pub fn show(self, ctx: &Context) -> Option<Answer> {
        let modal = modal(ctx, "dialog").show(ctx, |ui| match self {
            Self::CancelRun => question(
                ui,
                "Cancel this run?",
                "The steps it took are kept: Generate goes on from there. Press Esc again to cancel it.",
                &[
                    ("Keep rendering", "The run goes on", Answer::No),
                    ("Cancel the run", "Stop after the step that is going (Esc)", Answer::Yes),
                ],
            ),
            Self::Quit => question(
                ui,
                "Quit now?",
                "A run or an export is still going on, and quitting drops it.",
                &[
                    ("Stay", "What is going on goes on (Esc)", Answer::No),
                    ("Quit", "Close flowblend at once", Answer::Yes),
                ],
            ),
            Self::Unsaved => question(
                ui,
                "Save the changes?",
                "The settings were changed since they were last saved. Finished runs are kept either way.",
                &[
                    ("Save", "Write the project to its file first", Answer::Yes),
                    ("Discard", "Go on without the changes", Answer::Without),
                    ("Cancel", "Leave everything as it is (Esc)", Answer::No),
                ],
            ),
            Self::Shortcuts => shortcuts(ui),
            Self::About => about(ui),
        });
        modal
            .inner
            .or_else(|| modal.backdrop_response.clicked().then_some(Answer::No))
    }
}

/// A modal with room around what it says.
pub(super) fn modal(ctx: &Context, name: &'static str) -> Modal {
    let frame = Frame::popup(&ctx.global_style()).inner_margin(20);
    Modal::new(Id::unique(name)).frame(frame)
}

/// What the window has to say of what is done on a page: its own line of messages lies behind it.
pub(super) fn message(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let is_of_page = |notice: &&Notice| {
        notice.is_error || matches!(notice.offer, Some((_, Request::PutPairBack(_))))
    };
    let Some(notice) = scene.notice.filter(is_of_page) else {
        return;
    };
    let palette = palette(ui);
    ui.horizontal_wrapped(|ui| {
        let colour = if notice.is_error {
            palette.error
        } else {
            palette.text
        };
        ui.label(
            RichText::new(&notice.text)
                .font(regular(12.0))
                .color(colour),
        );
        if let Some((words, request)) = &notice.offer
            && ui
                .button(*words)
                .on_hover_text(offer_hint(request))
                .clicked()
        {
            out.push(request.clone());
        }
    });
}

/// What the button of a message does.
pub(super) fn offer_hint(request: &Request) -> &'static str {
    match request {
        Request::Recover => "Take up the work that was not saved",
        _ => "Take it back",
    }
}

/// A question with its answers, each with its words and a hint, the one that loses nothing first. That one has the
/// keyboard.
pub(super) fn question(
    ui: &mut Ui,
    title: &str,
    text: &str,
    answers: &[(&str, &str, Answer)],
) -> Option<Answer> {
    ui.set_width(360.0);
    ui.spacing_mut().item_spacing.y = 12.0;
    ui.label(
        RichText::new(title)
            .font(bold(16.0))
            .color(palette(ui).text_strong),
    );
    ui.label(text);
    let mut answer = None;
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let mut buttons = Vec::new();
        for (i, (words, hint, meaning)) in answers.iter().enumerate() {
            let mut button = Button::new(*words);
            if i == 0 {
                button = button.fill(palette(ui).chosen);
            }
            let response = ui.add(button).on_hover_text(*hint);
            if response.clicked() {
                answer = Some(*meaning);
            }
            buttons.push(response);
        }
        if !buttons.iter().any(Response::has_focus)
            && let Some(first) = buttons.first()
        {
            first.request_focus();
        }
    });
    answer
}

/// The column of every section, so that columns are about as long as one another.
const SECTIONS: [(usize, Section); 4] = [
    (0, Section::Program),
    (1, Section::Timeline),
    (2, Section::Playback),
    (2, Section::View),
];

fn shortcuts(ui: &mut Ui) -> Option<Answer> {
    ui.set_width(960.0);
    title(ui, "Keyboard shortcuts");
    let height = (ui.ctx().content_rect().height() - 160.0).clamp(200.0, 560.0);
    let page = ScrollArea::vertical()
        .max_height(height)
        .min_scrolled_height(height);
    page.show(ui, |ui| {
        // Lines of a page, not rows of buttons.
        ui.spacing_mut().interact_size.y = 18.0;
        ui.columns(3, |columns| {
            for (column, section) in SECTIONS {
                shortcut_section(&mut columns[column], section);
            }
        });
        ui.label(
            RichText::new("A chosen boundary also takes Left and Right (Shift for 5 steps), Home and End. Click a stage or reach it with Tab to choose it; Delete, Backspace and Enter act on what is chosen. Single keys rest while you type; Esc leaves a text field, takes a drag back, and asks before it cancels a run.")
                .font(regular(12.0))
                .color(palette(ui).text_weak),
        );
    });
    close(ui)
}

fn shortcut_section(ui: &mut Ui, section: Section) {
    ui.label(
        RichText::new(section.title())
            .font(bold(12.0))
            .color(palette(ui).text_weak),
    );
    Grid::new(section.title())
        .num_columns(2)
        .min_col_width(96.0)
        .spacing(vec2(12.0, 3.0))
        .show(ui, |ui| {
            for command in Command::ALL.iter().copied() {
                if command.section() != section {
                    continue;
                }
                let keys = command.all_keys_text(ui.ctx()).join(", ");
                if keys.is_empty() {
                    continue;
                }
                ui.label(
                    RichText::new(keys)
                        .font(mono(12.0))
                        .color(palette(ui).text_strong),
                );
                ui.label(command.text());
                ui.end_row();
            }
        });
    ui.add_space(12.0);
}

fn about(ui: &mut Ui) -> Option<Answer> {
    ui.set_width(420.0);
    title(ui, "flowblend");
    ui.label(format!(
        "Version {}. Text to video with a large and a small diffusion model, blended by stage.",
        env!("CARGO_PKG_VERSION")
    ));
    ui.label(
        RichText::new("Its own code and its demo models are under the MIT licence. The fonts Inter and JetBrains Mono are under the SIL Open Font License 1.1, the icons, Phosphor, under the MIT licence.")
            .font(regular(12.0))
            .color(palette(ui).text_weak),
    );
    close(ui)
}

pub(super) fn title(ui: &mut Ui, text: &str) {
    ui.spacing_mut().item_spacing.y = 12.0;
    ui.label(
        RichText::new(text)
            .font(bold(16.0))
            .color(palette(ui).text_strong),
    );
}

fn close(ui: &mut Ui) -> Option<Answer> {
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let close = ui.button("Close").on_hover_text("Back to the window (Esc)");
        close.clicked().then_some(Answer::No)
    })
    .inner
}
