use eframe::egui;
use egui::{Context, Event, Key, KeyboardShortcut, Modifiers, Popup};

use super::{Command, Request};
use crate::ui::timeline::{boundary_id, stage_id};

/// Where the keyboard was when a key went down. Asked at the start of a frame, before egui's widgets
/// see the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keyboard {
    /// A text field had the focus in the frame before.
    pub is_typing: bool,
    /// A boundary of the timeline has the focus.
    pub on_boundary: bool,
    /// A stage of the timeline has it.
    pub on_stage: bool,
    /// Another widget has it.
    pub on_widget: bool,
    /// A menu or popup was open.
    pub in_popup: bool,
}

impl Keyboard {
    /// Where the keyboard is now. Kept for the next frame: Esc takes the focus away before anybody is
    /// asked.
    pub fn look(ctx: &Context, boundaries: usize) -> Self {
        let focused = ctx.memory(|memory| memory.focused());
        let on_boundary = (0..boundaries).any(|i| focused == Some(boundary_id(i)));
        let on_stage = (0..=boundaries).any(|i| focused == Some(stage_id(i)));
        let is_typing = ctx.text_edit_focused();
        Self {
            is_typing,
            on_boundary,
            on_stage,
            on_widget: focused.is_some() && !on_boundary && !on_stage && !is_typing,
            in_popup: Popup::is_any_open(ctx),
        }
    }

    /// Whether a command's key counts now.
    fn lets(self, command: Command) -> bool {
        if !command.yields_to_typing() {
            return true;
        }
        // In a menu arrows choose and letters search; on a button Space presses it.
        if self.is_typing || self.in_popup {
            return false;
        }
        // Keys that mean nothing to a button: edits, and a comparison, which has buttons of its own.
        let is_free = matches!(command, Command::Undo | Command::Redo | Command::Compare);
        if self.on_widget {
            return is_free;
        }
        match command {
            // These act on what has the focus, and never on what somebody chose long ago.
            Command::TypePlace => return self.on_boundary,
            Command::RemoveBoundary => return self.on_boundary || self.on_stage,
            _ => {}
        }
        let moves_boundary = matches!(
            command,
            Command::PreviousFrame
                | Command::NextFrame
                | Command::BackSecond
                | Command::ForwardSecond
                | Command::FirstFrame
                | Command::LastFrame
        );
        !((self.on_boundary || self.on_stage) && moves_boundary)
    }

    /// Takes the keys of commands out of the frame's input, in the order they were pressed.
    pub fn take(self, ctx: &Context, out: &mut Vec<Request>) {
        ctx.input_mut(|input| {
            input.events.retain(|event| {
                let Event::Key {
                    key,
                    pressed: true,
                    modifiers,
                    ..
                } = event
                else {
                    return true;
                };
                match meant(*key, *modifiers).filter(|command| self.lets(*command)) {
                    Some(command) => {
                        out.push(Request::Command(command));
                        false
                    }
                    None => true,
                }
            });
        });
    }
}

/// The command of a key. Where several fit, the one with the most modifiers: a plain key also matches
/// while Shift is held.
fn meant(key: Key, modifiers: Modifiers) -> Option<Command> {
    let weight = |s: &KeyboardShortcut| {
        let m = s.modifiers;
        usize::from(m.shift) + usize::from(m.command) + usize::from(m.alt)
    };
    Command::ALL
        .iter()
        .flat_map(|&command| command.shortcuts().iter().map(move |s| (s, command)))
        .filter(|(s, _)| s.logical_key == key && modifiers.matches_logically(s.modifiers))
        .max_by_key(|(s, _)| weight(s))
        .map(|(_, command)| command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_keys_rest_while_typing_and_in_menus() {
        for keyboard in [
            Keyboard {
                is_typing: true,
                ..Keyboard::default()
            },
            Keyboard {
                in_popup: true,
                ..Keyboard::default()
            },
        ] {
            for command in [
                Command::PlayPause,
                Command::NextFrame,
                Command::NudgeLeft,
                Command::Compare,
                Command::Undo,
            ] {
                assert!(!keyboard.lets(command), "{command:?}");
            }
            assert!(keyboard.lets(Command::Generate) && keyboard.lets(Command::Shortcuts));
        }
    }

    #[test]
    fn a_chosen_boundary_keeps_its_arrows_and_leaves_the_rest() {
        let keyboard = Keyboard {
            on_boundary: true,
            ..Keyboard::default()
        };
        assert!(!keyboard.lets(Command::NextFrame));
        assert!(!keyboard.lets(Command::FirstFrame));
        assert!(keyboard.lets(Command::PlayPause));
        assert!(keyboard.lets(Command::NextBoundary));
        assert!(keyboard.lets(Command::NudgeRight));
    }

    #[test]
    fn what_removes_and_types_needs_a_part_of_the_timeline() {
        let nowhere = Keyboard::default();
        assert!(!nowhere.lets(Command::RemoveBoundary) && !nowhere.lets(Command::TypePlace));
        assert!(nowhere.lets(Command::SplitStage) && nowhere.lets(Command::TimelineFit));
        let on_stage = Keyboard {
            on_stage: true,
            ..Keyboard::default()
        };
        assert!(on_stage.lets(Command::RemoveBoundary) && !on_stage.lets(Command::TypePlace));
        let on_boundary = Keyboard {
            on_boundary: true,
            ..Keyboard::default()
        };
        assert!(on_boundary.lets(Command::RemoveBoundary) && on_boundary.lets(Command::TypePlace));
        let typing = Keyboard {
            is_typing: true,
            on_boundary: true,
            ..Keyboard::default()
        };
        assert!(!typing.lets(Command::RemoveBoundary) && !typing.lets(Command::SplitStage));
    }

    #[test]
    fn shift_tells_redo_from_undo_and_a_second_from_a_frame() {
        let both = Modifiers::COMMAND | Modifiers::SHIFT;
        assert_eq!(meant(Key::Z, Modifiers::COMMAND), Some(Command::Undo));
        assert_eq!(meant(Key::Z, both), Some(Command::Redo));
        assert_eq!(
            meant(Key::ArrowLeft, Modifiers::NONE),
            Some(Command::PreviousFrame)
        );
        assert_eq!(
            meant(Key::ArrowLeft, Modifiers::SHIFT),
            Some(Command::BackSecond)
        );
        assert_eq!(meant(Key::Z, Modifiers::NONE), None);
    }

    #[test]
    fn space_presses_the_button_that_has_the_focus() {
        let keyboard = Keyboard {
            on_widget: true,
            ..Keyboard::default()
        };
        assert!(!keyboard.lets(Command::PlayPause));
        assert!(keyboard.lets(Command::Undo) && keyboard.lets(Command::Compare));
    }
}
