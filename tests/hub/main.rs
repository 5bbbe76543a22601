//! Downloads from a model hub of our own that can misbehave.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on should panic.

mod downloads;
mod hub_server;
mod refusals;
