//! Any bytes at all, read as a weight file: no panic, no range outside the file, no allocation that a
//! header merely claims (libFuzzer limits the memory).

#![no_main]
#![allow(dead_code, reason = "the loader's other half is not built here")]

#[path = "../../../src/models/weights/gguf.rs"]
mod gguf;
#[path = "../../../src/models/weights/header.rs"]
mod header;
#[path = "../../../src/models/weights/pickle.rs"]
mod pickle;
#[path = "../../../src/models/weights/safetensors.rs"]
mod safetensors;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match header::read_header(bytes) {
        Ok(tensors) => {
            for (name, tensor) in tensors {
                assert!(tensor.range.start <= tensor.range.end, "{name}");
                assert!(tensor.range.end <= bytes.len(), "{name}");
            }
        }
        Err(reason) => assert!(!reason.is_empty()),
    }
});
