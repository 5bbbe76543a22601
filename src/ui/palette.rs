//! Every command by its name.

use eframe::egui;
use egui::{Button, Context, Key, ScrollArea, TextEdit, vec2};

use super::dialogs::modal;
use super::theme::palette;
use crate::app::Command;

/// What is typed into the palette and which command is chosen.
#[derive(Clone, Debug, Default)]
pub struct PaletteState {
    typed: String,
    chosen: usize,
}

/// How the palette was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picked {
    /// With a command.
    Command(Command),
    /// With nothing.
    Nothing,
}

/// Shows the palette; `Some` once it is over.
pub fn show(ctx: &Context, state: &mut PaletteState) -> Option<Picked> {
    let modal = modal(ctx, "palette").show(ctx, |ui| {
        ui.set_width(440.0);
        ui.spacing_mut().item_spacing.y = 8.0;
        let (up, down, enter) = ui.input_mut(|i| {
            (
                i.consume_key(egui::Modifiers::NONE, Key::ArrowUp),
                i.consume_key(egui::Modifiers::NONE, Key::ArrowDown),
                i.consume_key(egui::Modifiers::NONE, Key::Enter),
            )
        });
        let field = ui
            .add(
                TextEdit::singleline(&mut state.typed)
                    .hint_text("Type what you want to do")
                    .desired_width(f32::INFINITY)
                    .margin(vec2(12.0, 8.0)),
            )
            .on_hover_text("Words of a command's name; Up and Down choose, Enter does it")
            .accessible_name("Command");
        field.request_focus();
        if field.changed() {
            state.chosen = 0;
        }
        let commands = matching(&state.typed);
        let last = commands.len().saturating_sub(1);
        if down {
            state.chosen += 1;
        }
        if up {
            state.chosen = state.chosen.saturating_sub(1);
        }
        state.chosen = state.chosen.min(last);
        let mut picked = commands
            .get(state.chosen)
            .filter(|_| enter)
            .map(|command| Picked::Command(*command));
        if commands.is_empty() {
            ui.label("No command has these words.");
        }
        let list = ScrollArea::vertical()
            .max_height(320.0)
            .auto_shrink([false, true]);
        list.show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            for (i, command) in commands.iter().enumerate() {
                let keys = command.keys_text(ui.ctx()).unwrap_or_default();
                let is_chosen = i == state.chosen;
                let mut button = Button::new(command.text())
                    .shortcut_text(keys)
                    .min_size(vec2(ui.available_width(), 28.0))
                    .frame_when_inactive(is_chosen);
                if is_chosen {
                    button = button.fill(palette(ui).chosen);
                }
                let response = ui.add(button).on_hover_text(command.tooltip());
                if is_chosen && (up || down) {
                    response.scroll_to_me(None);
                }
                if response.clicked() {
                    picked = Some(Picked::Command(*command));
                }
            }
        });
        picked
    });
    modal
        .inner
        .or_else(|| modal.backdrop_response.clicked().then_some(Picked::Nothing))
}

/// Commands with all the words in their name, those first whose name begins so.
fn matching(typed: &str) -> Vec<Command> {
    let typed = typed.trim().to_lowercase();
    let name = |command: &Command| command.text().to_lowercase();
    let mut commands: Vec<Command> = Command::ALL
        .iter()
        .copied()
        .filter(|command| *command != Command::Palette)
        .filter(|command| {
            typed
                .split_whitespace()
                .all(|word| name(command).contains(word))
        })
        .collect();
    commands.sort_by_key(|command| {
        let name = name(command);
        (name != typed, !name.starts_with(&typed))
    });
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_find_commands_and_a_beginning_comes_first() {
        assert_eq!(matching("boundary left"), [Command::NudgeLeft]);
        assert_eq!(matching("SAVE")[0], Command::Save);
        assert_eq!(matching("").len(), Command::ALL.len() - 1);
        assert!(matching("xyzzy").is_empty());
        // That is one's very name; another begins so, and "Play or pause" only has the word.
        let found = matching("pause");
        assert_eq!(found[..2], [Command::Pause, Command::PauseRun]);
        assert!(found[2..].contains(&Command::PlayPause));
    }
}
