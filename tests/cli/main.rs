//! The headless program as a person meets it: the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on should panic.

mod auto;
mod bench;
mod cache;
mod compare;
mod distilled;
mod export;
mod generate;
#[path = "../hub/hub_server/mod.rs"]
mod hub_server;
mod layouts;
mod ltx;
#[path = "../networks/ltx_fixtures/mod.rs"]
mod ltx_fixtures;
mod models;
mod models_add;
mod models_home;
mod plan;
mod probe;
mod program;
mod refusals;
mod sweep;
#[path = "../networks/wan_fixtures/mod.rs"]
mod wan_fixtures;
