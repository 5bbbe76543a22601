use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use crossbeam_channel::{RecvTimeoutError, bounded};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::CliError;
use crate::hub::{Checked, PullJob, PullOptions, PullProgress, PullStatus, Pulled, SUMS_FILE};
use crate::project::size_text;

/// Where there is no bar, how often a line tells of a file in work.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often Ctrl+C is looked for while nothing arrives.
const LOOK: Duration = Duration::from_millis(200);

/// Options of `flowblend models pull`.
#[derive(Debug, Args)]
pub(super) struct PullArgs {
    /// A pair that a manifest describes, such as wan2.1.
    name: String,
    /// The folder for its files; it is remembered [default: the folder it was put into before, else
    /// the user's folder of models].
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// The hub's address, for a mirror [default: HF_ENDPOINT, else the usual one].
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Leave the distilled model out, where the pair has one; only stages of the letter D need it.
    #[arg(long)]
    without_distilled: bool,
}

/// `flowblend models pull`.
pub(super) fn pull(args: &PullArgs, as_json: bool) -> Result<(), CliError> {
    let (sender, news) = bounded::<bool>(1);
    let interrupt = sender.clone();
    ctrlc::set_handler(move || {
        // Full only when the loop below is awake already; it is asked for again then.
        let _ = interrupt.send_timeout(true, LOOK);
    })
    .map_err(|why| CliError::Failed(format!("Ctrl+C cannot be handled: {why}")))?;
    let options = PullOptions {
        endpoint: args.endpoint.clone(),
        to: args.to.clone(),
        without_distilled: args.without_distilled,
        ..PullOptions::default()
    };
    let wake = Arc::new(move || {
        // Full: the loop below will look anyway.
        let _ = sender.try_send(false);
    });
    let job = PullJob::start(&args.name, options, wake).map_err(|why| {
        CliError::Failed(format!(
            "the download's thread cannot start: {why}; close other programs and try again"
        ))
    })?;
    let mut line = PullLine::new();
    loop {
        match news.recv_timeout(LOOK) {
            // Not waited for: a silent connection may hold it for long, and the part that is on disk
            // is as good as after a power cut.
            Ok(true) => {
                line.clear();
                return Err(CliError::Paused("downloaded"));
            }
            Ok(false) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        match job.status() {
            PullStatus::Running(progress) => line.show(&progress),
            PullStatus::Finished(pulled) => {
                line.clear();
                tell(&pulled, as_json);
                return Ok(());
            }
            PullStatus::Cancelled => return Err(CliError::Paused("downloaded")),
            PullStatus::Failed(why) => {
                line.clear();
                return Err(CliError::Failed(why));
            }
        }
    }
}

fn tell(pulled: &Pulled, as_json: bool) {
    if as_json {
        println!("{}", json!(pulled));
        return;
    }
    let new: Vec<_> = pulled.files.iter().filter(|file| file.is_new).collect();
    if new.is_empty() {
        eprintln!("every file was there already");
    } else {
        let by = |checked| new.iter().filter(|file| file.checked == checked).count();
        eprintln!(
            "{} files are new, {}: checked by the manifest's checksum {}, by the hub's {}, by length alone {}; all checksums are in {SUMS_FILE}",
            new.len(),
            size_text(new.iter().map(|file| file.bytes).sum()),
            by(Checked::Manifest),
            by(Checked::Hub),
            by(Checked::Size)
        );
    }
    println!("{}", pulled.folder.display());
}

/// Tells on stderr how far a pull is: a bar on a terminal, lines otherwise.
struct PullLine {
    bar: Option<ProgressBar>,
    file: String,
    told: Option<Instant>,
}

impl PullLine {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "{bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta} {wide_msg}",
            );
            let bar = ProgressBar::new(0);
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            file: String::new(),
            told: None,
        }
    }

    fn show(&mut self, progress: &PullProgress) {
        if progress.file.is_empty() {
            return;
        }
        let is_new = self.file != progress.file;
        if is_new {
            self.file.clone_from(&progress.file);
        }
        if let Some(bar) = &self.bar {
            if is_new {
                bar.set_message(progress.file.clone());
            }
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        } else if is_new || self.told.is_none_or(|told| told.elapsed() >= LINE_EVERY) {
            self.told = Some(Instant::now());
            eprintln!(
                "{} of {}, {}",
                size_text(progress.done),
                size_text(progress.total),
                progress.file
            );
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
