//! The window. Its parts are landing; until they are all here it says so.

/// Opens the window.
pub fn run(_pipeline: crate::engine::PipelineFactory) -> anyhow::Result<()> {
    anyhow::bail!("the window is not in this build yet")
}
