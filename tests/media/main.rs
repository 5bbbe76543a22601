//! Files of clips: written, read again, refused.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on should panic.

mod media_support;
mod places;
mod roundtrip;
