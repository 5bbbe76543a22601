//! The networks against the code they are held to, and the files they are read from.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on should panic.

mod bad_files;
mod cache_parity;
mod full_size;
mod ltx_fixtures;
mod ltx_folders;
mod ltx_parity;
mod reader_parity;
mod vision_parity;
mod wan_fixtures;
mod wan_folders;
mod wan_native;
mod wan_parity;
