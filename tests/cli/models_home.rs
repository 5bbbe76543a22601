//! A person with a home of their own who asks `flowblend models`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

pub fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo")
}

/// A person with a home of their own, and a root of models in it.
pub fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowblend"));
    command
        .current_dir(home)
        .args(arguments)
        .env("FLOWBLEND_MODELS", home.join("root"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_DATA_HOME", home.join("data"))
        .env_remove("HF_ENDPOINT");
    command
}

pub fn flowblend(home: &Path, arguments: &[&str]) -> Output {
    command(home, arguments).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The last line on stderr of a command that fails.
pub fn refused(home: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let output = flowblend(home, arguments);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    let last = error.lines().last().unwrap_or_default();
    for word in words {
        assert!(last.contains(word), "{arguments:?}: '{word}': {error}");
    }
}

/// The pair of that name in the list.
pub fn listed(home: &Path, name: &str) -> Option<Value> {
    let list = json_of(&flowblend(home, &["models", "list", "--json"]));
    let pairs = list["pairs"].as_array().unwrap();
    pairs.iter().find(|pair| pair["name"] == name).cloned()
}

pub fn put(path: &Path, value: &Value) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    serde_json::to_writer(fs::File::create(path).unwrap(), value).unwrap();
}

pub fn path(path: &Path) -> String {
    path.display().to_string()
}
