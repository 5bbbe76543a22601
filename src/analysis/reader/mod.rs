//! A small fixed network that reads a clip of the demo pair's world: which colours of objects are there,
//! and of each the shape, the motion and the size; the background's colour and pattern; an embedding.

mod network;
mod reading;
mod spec;
mod tensors;

pub use network::Reader;
pub use reading::{ColourReading, Reading, likeliest};
pub use spec::{ReaderSpec, Validation};
