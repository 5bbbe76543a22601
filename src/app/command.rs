use eframe::egui;
use std::path::PathBuf;

use egui::{Key, KeyboardShortcut, Modifiers};

use super::DocCommand;
use crate::engine::RunId;

/// Everything a person can ask for by menu, button or key. Texts, tooltips and keys live here and
/// nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Render the document.
    Generate,
    /// Stop the run.
    CancelRun,
    /// Write the shown clip to a file.
    Export,
    /// The pairs: what each needs, and more of them.
    Models,
    /// Close the window.
    Quit,
    /// Take the newest edit back.
    Undo,
    /// Bring the undone edit back.
    Redo,
    /// Start or stop playback.
    PlayPause,
    /// Play backwards; again for faster.
    PlayBackward,
    /// Stop playback.
    Pause,
    /// Play forwards; again for faster.
    PlayForward,
    /// One frame back.
    PreviousFrame,
    /// One frame on.
    NextFrame,
    /// One second back.
    BackSecond,
    /// One second on.
    ForwardSecond,
    /// To the first frame.
    FirstFrame,
    /// To the last frame.
    LastFrame,
    /// Play again from the start at the end, or stop there.
    Loop,
    /// Choose the boundary before.
    PreviousBoundary,
    /// Choose the boundary after.
    NextBoundary,
    /// Move the chosen boundary a step back.
    NudgeLeft,
    /// Move the chosen boundary a step on.
    NudgeRight,
    /// Fit the picture into the preview.
    ZoomFit,
    /// One pixel of the clip on one pixel of the screen.
    ZoomActual,
    /// Enlarge the picture.
    ZoomIn,
    /// Make the picture smaller.
    ZoomOut,
    /// Sharp pixels or smooth ones.
    Smooth,
    /// The dark or the light look.
    Theme,
    /// All keys in one window.
    Shortcuts,
    /// Name and version.
    About,
}

/// Where the shortcuts window lists a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Runs and files.
    Program,
    /// Playing the clip.
    Playback,
    /// The stage boundaries.
    Timeline,
    /// How things are shown.
    View,
}

impl Section {
    /// Every section, in the order of the shortcuts window.
    pub const ALL: [Self; 4] = [Self::Program, Self::Playback, Self::Timeline, Self::View];

    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Program => "Program",
            Self::Playback => "Playback",
            Self::Timeline => "Timeline",
            Self::View => "View",
        }
    }
}

impl Command {
    /// Every command.
    pub const ALL: [Self; 30] = [
        Self::Generate,
        Self::CancelRun,
        Self::Export,
        Self::Models,
        Self::Undo,
        Self::Redo,
        Self::Quit,
        Self::PlayPause,
        Self::PlayBackward,
        Self::Pause,
        Self::PlayForward,
        Self::PreviousFrame,
        Self::NextFrame,
        Self::BackSecond,
        Self::ForwardSecond,
        Self::FirstFrame,
        Self::LastFrame,
        Self::Loop,
        Self::PreviousBoundary,
        Self::NextBoundary,
        Self::NudgeLeft,
        Self::NudgeRight,
        Self::ZoomFit,
        Self::ZoomActual,
        Self::ZoomIn,
        Self::ZoomOut,
        Self::Smooth,
        Self::Theme,
        Self::Shortcuts,
        Self::About,
    ];

    /// The words in menus; `…` where a dialog follows.
    pub fn text(self) -> &'static str {
        match self {
            Self::Generate => "Generate",
            Self::CancelRun => "Cancel the run",
            Self::Export => "Export clip…",
            Self::Models => "Models…",
            Self::Quit => "Quit",
            Self::Undo => "Undo",
            Self::Redo => "Redo",
            Self::PlayPause => "Play or pause",
            Self::PlayBackward => "Play backwards",
            Self::Pause => "Pause",
            Self::PlayForward => "Play forwards",
            Self::PreviousFrame => "Previous frame",
            Self::NextFrame => "Next frame",
            Self::BackSecond => "Back one second",
            Self::ForwardSecond => "Forward one second",
            Self::FirstFrame => "First frame",
            Self::LastFrame => "Last frame",
            Self::Loop => "Loop",
            Self::PreviousBoundary => "Previous boundary",
            Self::NextBoundary => "Next boundary",
            Self::NudgeLeft => "Boundary one step left",
            Self::NudgeRight => "Boundary one step right",
            Self::ZoomFit => "Fit preview",
            Self::ZoomActual => "Actual size",
            Self::ZoomIn => "Zoom in",
            Self::ZoomOut => "Zoom out",
            Self::Smooth => "Smooth pixels",
            Self::Theme => "Light theme",
            Self::Shortcuts => "Keyboard shortcuts",
            Self::About => "About flowblend",
        }
    }

    /// What it does, for tooltips.
    pub fn tooltip(self) -> &'static str {
        match self {
            Self::Generate => "Render a clip with these settings",
            Self::CancelRun => "Stop the run; what it computed is dropped",
            Self::Export => "Write the shown clip to a video file",
            Self::Models => "Choose a pair of models, add one, or download one",
            Self::Quit => "Close flowblend",
            Self::Undo => "Take the newest edit back",
            Self::Redo => "Bring back what was undone",
            Self::PlayPause => "Start or stop playback",
            Self::PlayBackward => "Play backwards; press again for faster",
            Self::Pause => "Stop playback",
            Self::PlayForward => "Play forwards; press again for faster",
            Self::PreviousFrame => "Step one frame back",
            Self::NextFrame => "Step one frame on",
            Self::BackSecond => "Step one second back",
            Self::ForwardSecond => "Step one second on",
            Self::FirstFrame => "Go to the first frame",
            Self::LastFrame => "Go to the last frame",
            Self::Loop => "Start again at the end of the clip",
            Self::PreviousBoundary => "Choose the boundary before",
            Self::NextBoundary => "Choose the boundary after",
            Self::NudgeLeft => "Move the chosen boundary one step left",
            Self::NudgeRight => "Move the chosen boundary one step right",
            Self::ZoomFit => "Make the picture as large as the preview allows",
            Self::ZoomActual => "One pixel of the clip on one pixel of the screen",
            Self::ZoomIn => "Enlarge the picture",
            Self::ZoomOut => "Make the picture smaller",
            Self::Smooth => "Blend neighbouring pixels instead of showing sharp squares",
            Self::Theme => "Switch between the light and the dark look",
            Self::Shortcuts => "Show all keys",
            Self::About => "Show name, version and licences",
        }
    }

    /// The key that gives the command, the usual one first.
    pub fn shortcuts(self) -> Vec<KeyboardShortcut> {
        let plain = |key| vec![KeyboardShortcut::new(Modifiers::NONE, key)];
        let ctrl = |key| vec![KeyboardShortcut::new(Modifiers::COMMAND, key)];
        let shift = |key| vec![KeyboardShortcut::new(Modifiers::SHIFT, key)];
        match self {
            Self::Generate => ctrl(Key::Enter),
            Self::Export => ctrl(Key::E),
            Self::Models => ctrl(Key::M),
            Self::Quit => ctrl(Key::Q),
            Self::Undo => ctrl(Key::Z),
            Self::Redo => vec![
                KeyboardShortcut::new(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z),
                KeyboardShortcut::new(Modifiers::COMMAND, Key::Y),
            ],
            Self::PlayPause => plain(Key::Space),
            Self::PlayBackward => plain(Key::J),
            Self::Pause => plain(Key::K),
            Self::PlayForward => plain(Key::L),
            Self::PreviousFrame => plain(Key::ArrowLeft),
            Self::NextFrame => plain(Key::ArrowRight),
            Self::BackSecond => shift(Key::ArrowLeft),
            Self::ForwardSecond => shift(Key::ArrowRight),
            Self::FirstFrame => plain(Key::Home),
            Self::LastFrame => plain(Key::End),
            Self::PreviousBoundary => plain(Key::ArrowUp),
            Self::NextBoundary => plain(Key::ArrowDown),
            Self::NudgeLeft => plain(Key::OpenBracket),
            Self::NudgeRight => plain(Key::CloseBracket),
            Self::Shortcuts => plain(Key::F1),
            // Esc asks before it cancels, so it is not a plain shortcut of the command.
            Self::CancelRun
            | Self::Loop
            | Self::ZoomFit
            | Self::ZoomActual
            | Self::ZoomIn
            | Self::ZoomOut
            | Self::Smooth
            | Self::Theme
            | Self::About => Vec::new(),
        }
    }

    /// Whether the key would be typed into a text field that has the focus, and so must wait.
    pub fn yields_to_typing(self) -> bool {
        // A text field has its own undo, which knows the caret.
        matches!(self, Self::Undo | Self::Redo)
            || self
                .shortcuts()
                .iter()
                .any(|s| !s.modifiers.command && s.logical_key != Key::F1)
    }

    /// Where the shortcuts window lists it.
    pub fn section(self) -> Section {
        match self {
            Self::Generate
            | Self::CancelRun
            | Self::Export
            | Self::Models
            | Self::Quit
            | Self::Undo
            | Self::Redo => Section::Program,
            Self::PlayPause
            | Self::PlayBackward
            | Self::Pause
            | Self::PlayForward
            | Self::PreviousFrame
            | Self::NextFrame
            | Self::BackSecond
            | Self::ForwardSecond
            | Self::FirstFrame
            | Self::LastFrame
            | Self::Loop => Section::Playback,
            Self::PreviousBoundary | Self::NextBoundary | Self::NudgeLeft | Self::NudgeRight => {
                Section::Timeline
            }
            Self::ZoomFit
            | Self::ZoomActual
            | Self::ZoomIn
            | Self::ZoomOut
            | Self::Smooth
            | Self::Theme
            | Self::Shortcuts
            | Self::About => Section::View,
        }
    }

    /// Its keys as people read them, such as `Ctrl+E`.
    pub fn keys_text(self, ctx: &egui::Context) -> Option<String> {
        self.all_keys_text(ctx).into_iter().next()
    }

    /// All its keys as people read them, the usual one first.
    pub fn all_keys_text(self, ctx: &egui::Context) -> Vec<String> {
        if self == Self::CancelRun {
            return vec!["Esc".to_owned()];
        }
        let read = |shortcut: &KeyboardShortcut| {
            ctx.format_shortcut(shortcut)
                .replace("OpenBracket", "[")
                .replace("CloseBracket", "]")
        };
        self.shortcuts().iter().map(read).collect()
    }

    /// Tooltip and keys in one.
    pub fn hover_text(self, ctx: &egui::Context) -> String {
        match self.keys_text(ctx) {
            Some(keys) => format!("{} ({keys})", self.tooltip()),
            None => self.tooltip().to_owned(),
        }
    }
}

/// What a panel asks the app to do. Panels collect these while they draw; the app obeys afterwards.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A command without parameters.
    Command(Command),
    /// An edit of the document.
    Edit(DocCommand),
    /// A boundary was taken hold of.
    BeginDrag,
    /// A boundary was let go, or a field left.
    EndBurst,
    /// Choose a boundary for the keyboard.
    SelectBoundary(usize),
    /// Show a frame of the clip.
    Seek(usize),
    /// Show a finished run and take its settings.
    Restore(RunId),
    /// Take an unused random seed.
    RollSeed,
    /// Take the known pair of this name.
    UsePair(String),
    /// Make a pair known that lies elsewhere.
    AddPair,
    /// Download a public pair.
    PullPair(String),
    /// Stop the download.
    CancelPull,
    /// Put the list of models away.
    CloseModels,
    /// Put the message away.
    DismissNotice,
    /// Show a folder in the file manager.
    OpenFolder(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things() {
        let mut seen: Vec<(KeyboardShortcut, Command)> = Vec::new();
        for command in Command::ALL {
            for shortcut in command.shortcuts() {
                let taken = seen.iter().find(|(s, _)| *s == shortcut);
                assert_eq!(taken, None, "{command:?} shares a key");
                seen.push((shortcut, command));
            }
        }
    }

    #[test]
    fn every_command_is_listed_once_and_explained() {
        for (i, command) in Command::ALL.iter().enumerate() {
            assert!(!Command::ALL[i + 1..].contains(command));
            assert!(!command.text().is_empty() && !command.tooltip().is_empty());
        }
    }

    #[test]
    fn letters_wait_while_typing_and_generate_does_not() {
        assert!(Command::PlayPause.yields_to_typing());
        assert!(Command::PlayForward.yields_to_typing());
        assert!(Command::Undo.yields_to_typing());
        assert!(!Command::Generate.yields_to_typing());
        assert!(!Command::Export.yields_to_typing());
        assert!(!Command::Shortcuts.yields_to_typing());
    }
}
