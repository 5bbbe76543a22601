//! The engine: its thread, its memory, what it keeps.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on should panic.

mod memory;
mod reuse;
mod source;
mod thread;
mod tiles;
