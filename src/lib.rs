//! flowblend: text-to-video with a large and a small diffusion model of one family, blended by
//! stage along one denoising trajectory. ARCHITECTURE.md draws the rooms and their one-way rules.

pub mod analysis;
pub mod app;
pub mod cli;
pub mod engine;
pub mod hub;
pub mod library;
pub mod media;
pub mod models;
pub mod plot;
pub mod preview;
pub mod project;
pub mod sampler;
pub mod schedule;
pub mod ui;
