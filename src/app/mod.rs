//! The window: events in, panels drawn, commands carried out. Nothing here waits.

mod actions;
mod analysis;
mod auto;
mod bench;
mod command;
mod compare_actions;
mod comparison;
mod document;
mod edit;
mod events;
mod export_settings;
mod exporter;
mod file_dialog;
mod files;
mod forecast;
mod frame_stats;
mod gallery;
mod history;
mod keys;
mod layout;
mod likeness;
mod live;
mod log;
mod models;
mod notice;
mod pair_form;
mod paused;
mod places;
mod playback;
mod probes;
mod queue;
mod removal;
mod request;
mod scene;
mod session;
mod settings;
mod timeline;
mod window;

use eframe::egui;
use std::path::PathBuf;
use std::time::Duration;

pub use analysis::{Analysis, AnalysisRequest, Limit, PlanSet, SweepView};
pub use bench::{Frames, WindowFigures, bench};
pub use command::{Command, Section};
pub use comparison::{CompareMode, CompareRequest, Comparison, GAINS, Sides};
pub use document::Document;
pub use edit::DocCommand;
pub use export_settings::ExportSettings;
pub use exporter::{
    ExportForm, ExportHost, ExportPage, ExportProgress, ExportRequest, ExportSource, Exporter,
};
pub use files::Files;
pub use forecast::{Forecast, sentence};
pub use frame_stats::{Doing, FrameStats, FrameTimes};
pub use gallery::{Gallery, GalleryRun, Showing};
pub use likeness::{Likeness, Likenesses};
pub use log::{Log, LogLine, LogRequest};
pub use models::{Models, ModelsSource, Pulling};
pub use notice::Notice;
pub use pair_form::{AddRequest, Chosen, PairField, PairForm};
pub use paused::{Paused, Resting, rest_words};
pub use places::Places;
pub use probes::{Probes, curve_so_far};
pub use queue::{Queue, Waiting};
pub use removal::Removal;
pub use request::Request;
pub use scene::{Estimate, Readiness, ReferenceState, Scene, Source};
pub use session::{ActiveRun, Outcome, RunSession, Sweeping};
pub use settings::{SetFolder, Settings, SettingsRequest};
pub use window::App;

use crate::engine::PipelineFactory;
use crate::project::report_crashes_to;

/// Set to anything, prints [`FrameStats`] to the standard error when the window closes.
const FRAME_STATS_VARIABLE: &str = "FLOWBLEND_FRAME_STATS";

/// Opens the window, with a project or the recipe of a clip where `file` is one, and returns when it is closed. `factory`
/// makes the pipeline on the engine's own thread.
pub fn run(factory: PipelineFactory, file: Option<PathBuf>) -> anyhow::Result<()> {
    open(Box::new(|cc| {
        let places = Places::of_user();
        if let Some(folder) = places.crashes.clone() {
            report_crashes_to(folder);
        }
        let app = App::new(cc, factory)?.with_places(places);
        Ok(Box::new(match file {
            Some(file) => app.with_file(file),
            None => app,
        }))
    }))
}

fn open(create: eframe::AppCreator<'_>) -> anyhow::Result<()> {
    // Asked here, since what the window library says of it is for programmers.
    #[cfg(target_os = "linux")]
    if ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"]
        .iter()
        .all(|name| std::env::var_os(name).is_none_or(|value| value.is_empty()))
    {
        anyhow::bail!(
            "there is no display to open the window on; start it from a desktop session, or use flowblend generate"
        );
    }
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("flowblend")
            .with_app_id("flowblend")
            .with_inner_size([1440.0, 900.0])
            // Smaller than the layout needs, which is then drawn smaller: screens have few points at a high scale.
            .with_min_inner_size([640.0, 400.0]),
        renderer: eframe::Renderer::Wgpu,
        ..eframe::NativeOptions::default()
    };
    eframe::run_native("flowblend", options, create).map_err(|why| {
        anyhow::anyhow!(
            "the window could not be opened ({why}); without a display or a graphics driver, use flowblend generate"
        )
    })
}

/// Whether the frame times are wanted at the end.
fn wants_frame_stats() -> bool {
    std::env::var_os(FRAME_STATS_VARIABLE).is_some()
}

/// A duration from seconds that may be anything.
fn duration(secs: f64) -> Duration {
    Duration::try_from_secs_f64(secs).unwrap_or_default()
}
