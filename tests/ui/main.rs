//! The window, used as a person would, over a pipeline without models.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on should panic.

mod analysis;
mod common;
mod compare;
mod controls;
mod economy;
mod export;
mod known;
mod log;
mod models;
mod pause;
mod settings;
mod snapshots;
mod stages;
mod studio;
mod timeline;
mod undo;
mod window;
