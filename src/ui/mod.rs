//! Panels and widgets. They look at the app's state, draw it, and return what the person asked for;
//! nothing here changes the document.

pub mod compare_bar;
pub mod compare_view;
pub mod cost_strip;
pub mod dialogs;
pub mod export_dialog;
pub mod format;
pub mod icons;
pub mod likeness_curve;
pub mod models_panel;
pub mod palette;
pub mod path_dialog;
pub mod paused_list;
pub mod presets;
pub mod preview_panel;
pub mod prompt_panel;
pub mod queue_panel;
pub mod runs_panel;
pub mod status_bar;
pub mod step_dialog;
pub mod theme;
pub mod timeline;
pub mod top_bar;
pub mod transport;
pub mod view;
pub mod vocabulary;
pub mod widgets;
