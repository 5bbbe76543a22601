use eframe::egui;

use egui::Key::{self, *};
use egui::{KeyboardShortcut, Modifiers};

const fn plain(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::NONE, key)
}

const fn shift(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::SHIFT, key)
}

const fn alt(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::ALT, key)
}

const fn ctrl(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND, key)
}

const fn ctrl_shift(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND.plus(Modifiers::SHIFT), key)
}

/// Makes [`Command`] of rows: name, section, words in menus (`…` where a dialog follows), tooltip, keys
/// with the usual one first.
macro_rules! commands {
    ($($name:ident: $section:ident, $text:literal, $tooltip:literal, [$($key:expr),*];)*) => {
        /// Everything a person can ask for by menu, button or key. Texts, tooltips and keys live here
        /// and nowhere else.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Command {
            $(#[doc = $tooltip] $name,)*
        }

        impl Command {
            /// Every command, in the order of the shortcuts window.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The words in menus; `…` where a dialog follows.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it does, for tooltips.
            pub fn tooltip(self) -> &'static str {
                match self { $(Self::$name => $tooltip,)* }
            }

            /// The keys that give the command, the usual one first.
            pub fn shortcuts(self) -> &'static [KeyboardShortcut] {
                match self { $(Self::$name => const { &[$($key),*] },)* }
            }

            /// Where the shortcuts window lists it.
            pub fn section(self) -> Section {
                match self { $(Self::$name => Section::$section,)* }
            }
        }
    };
}

// Esc asks before it cancels, so it is not a plain key of the command.
#[rustfmt::skip]
commands! {
    Generate: Program, "Generate", "Render a clip with these settings", [ctrl(Enter)];
    Enqueue: Program, "Add to queue", "Render these settings when their turn comes", [ctrl_shift(Enter)];
    CancelRun: Program, "Cancel the run", "Stop the run; Generate goes on from the steps it took", [];
    PauseRun: Program, "Pause the run", "Rest after the step that is going; the steps are kept on disk, and the device is free", [ctrl_shift(P)];
    ContinueRun: Program, "Continue the run", "Go on with the paused run where it rests", [ctrl_shift(R)];
    DropPaused: Program, "Drop the paused run", "Forget the paused run; its steps go when others need the room", [];
    RunToStep: Program, "Run to step…", "Render up to a step and pause there, to look at it first", [ctrl_shift(T)];
    Palette: Program, "Commands…", "Find a command by its name", [ctrl(P)];
    New: Program, "New", "Start over with the pair's own settings", [ctrl(N)];
    Open: Program, "Open…", "Open a project, or the settings of an exported clip", [ctrl(O)];
    Save: Program, "Save", "Write the project to its file", [ctrl(S)];
    SaveAs: Program, "Save as…", "Write the project to another file", [ctrl_shift(S)];
    Export: Program, "Export clip…", "Write the shown clip to a video file", [ctrl(E)];
    Models: Program, "Models…", "Choose a pair of models, add one, or download one", [ctrl(M)];
    Settings: Program, "Settings…", "Device, folders, preview, look and other things that stay", [ctrl(Comma)];
    Log: Program, "Log…", "Show what happened since the window opened", [ctrl(L)];
    EarlierPrompt: Program, "Earlier prompt", "Fetch the prompt that was rendered before", [alt(ArrowUp)];
    LaterPrompt: Program, "Later prompt", "Fetch the prompt that was rendered after", [alt(ArrowDown)];
    Undo: Program, "Undo", "Take the newest edit back", [ctrl(Z)];
    Redo: Program, "Redo", "Bring back what was undone", [ctrl_shift(Z), ctrl(Y)];
    Quit: Program, "Quit", "Close flowblend", [ctrl(Q)];
    PlayPause: Playback, "Play or pause", "Start or stop playback", [plain(Space)];
    PlayBackward: Playback, "Play backwards", "Play backwards; press again for faster", [plain(J)];
    Pause: Playback, "Pause", "Stop playback", [plain(K)];
    PlayForward: Playback, "Play forwards", "Play forwards; press again for faster", [plain(L)];
    PreviousFrame: Playback, "Previous frame", "Step one frame back", [plain(ArrowLeft)];
    NextFrame: Playback, "Next frame", "Step one frame on", [plain(ArrowRight)];
    BackSecond: Playback, "Back one second", "Step one second back", [shift(ArrowLeft)];
    ForwardSecond: Playback, "Forward one second", "Step one second on", [shift(ArrowRight)];
    FirstFrame: Playback, "First frame", "Go to the first frame", [plain(Home)];
    LastFrame: Playback, "Last frame", "Go to the last frame", [plain(End)];
    Loop: Playback, "Loop", "Start again at the end of the clip", [];
    PreviousBoundary: Timeline, "Previous boundary", "Choose the boundary before", [plain(ArrowUp)];
    NextBoundary: Timeline, "Next boundary", "Choose the boundary after", [plain(ArrowDown)];
    NudgeLeft: Timeline, "Boundary one step left", "Move the chosen boundary one step left", [plain(OpenBracket)];
    NudgeRight: Timeline, "Boundary one step right", "Move the chosen boundary one step right", [plain(CloseBracket)];
    Live: Timeline, "Live", "Render by itself when a change of the plan rests", [];
    Probe: Timeline, "Measure divergence", "See at which steps the two models differ; takes the steps that no run has taken yet", [plain(D)];
    Analysis: Timeline, "Analysis…", "Try many plans and see what each is worth against its seconds", [plain(A)];
    FindBoundaries: Timeline, "Find boundaries", "Put the boundaries at the edges of the valley where the models differ least; remembered, or measured along 8 steps of both", [plain(B)];
    GenerateOnline: Timeline, "Generate, plan decided in the run", "The small model takes over once the way to the clip is nearly straight, and the large one comes back where it bends; costs no evaluation more", [];
    GenerateSrDiffusion: Timeline, "Generate by SRDiffusion's rule", "The small model takes the rest once the large one's velocity changes evenly; costs no evaluation more", [];
    TypePlace: Timeline, "Type boundary's place…", "Type where the chosen boundary goes: a step, a percentage, a sigma or a timestep", [plain(Enter)];
    SplitStage: Timeline, "Split stage", "Split the stage under the pointer there, else the chosen one in its middle", [plain(S)];
    RemoveBoundary: Timeline, "Remove boundary or stage", "Remove the chosen boundary or stage; the stage before takes the steps", [plain(Delete), plain(Backspace)];
    StageMenu: Timeline, "Stage menu…", "Model, guidance and more of the chosen stage", [shift(F10), plain(Menu)];
    TimelineZoomIn: Timeline, "Zoom timeline in", "Show fewer steps, larger; Ctrl and the wheel do the same", [plain(Plus), plain(Equals)];
    TimelineZoomOut: Timeline, "Zoom timeline out", "Show more steps, smaller", [plain(Minus)];
    TimelineFit: Timeline, "Fit timeline", "Show the whole schedule", [shift(Z)];
    Compare: View, "Compare", "Hold the shown clip against another run or its LLL reference", [plain(C)];
    ZoomFit: View, "Fit preview", "Make the picture as large as the preview allows", [];
    ZoomActual: View, "Actual size", "One pixel of the clip on one pixel of the screen", [];
    ZoomIn: View, "Zoom in", "Enlarge the picture", [];
    ZoomOut: View, "Zoom out", "Make the picture smaller", [];
    Smooth: View, "Smooth pixels", "Blend neighbouring pixels instead of showing sharp squares", [];
    Theme: View, "Light theme", "Switch between the light and the dark look", [];
    Shortcuts: View, "Keyboard shortcuts", "Show all keys", [plain(F1)];
    About: View, "About flowblend", "Show name, version and licences", [];
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
    /// Whether the key would be typed into a text field that has the focus, and so must wait.
    pub fn yields_to_typing(self) -> bool {
        // A text field has its own undo, which knows the caret.
        matches!(self, Self::Undo | Self::Redo)
            || self
                .shortcuts()
                .iter()
                .any(|s| !s.modifiers.command && !s.modifiers.alt && s.logical_key != F1)
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
                .replace("Comma", ",")
                .replace("Plus", "+")
                .replace("Equals", "=")
                .replace("Minus", "\u{2212}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things() {
        let mut seen: Vec<(KeyboardShortcut, Command)> = Vec::new();
        for &command in Command::ALL {
            for &shortcut in command.shortcuts() {
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
