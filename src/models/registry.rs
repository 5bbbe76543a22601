//! The pairs known on this machine: folders with a `pair.json` under a models root.

use std::path::{Path, PathBuf};

use super::{ModelError, PairSpec};

/// The variable that names one more models root.
const ROOT_VARIABLE: &str = "FLOWBLEND_MODELS";

/// The folders in which pairs are looked for, first come first: the one that the environment
/// names, `models/` beside the program or above it, `models/` in the working folder, and the one
/// of the sources that the program was built from.
pub fn roots() -> Vec<PathBuf> {
    let mut roots = Vec::new();
    if let Some(named) = std::env::var_os(ROOT_VARIABLE).filter(|value| !value.is_empty()) {
        roots.push(PathBuf::from(named));
    }
    if let Ok(program) = std::env::current_exe() {
        roots.extend(
            program
                .ancestors()
                .skip(1)
                .map(|folder| folder.join("models")),
        );
    }
    roots.push(PathBuf::from("models"));
    roots.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("models"));
    let mut seen = std::collections::HashSet::new();
    roots.retain(|root| root.is_dir() && seen.insert(root.clone()));
    roots
}

/// The pair called `name`: `<root>/<name>/pair.json` in the first root that has it.
pub fn find(name: &str) -> Result<PairSpec, ModelError> {
    find_in(&roots(), name)
}

/// The names of all pairs, in the order of [`roots`], then of the alphabet.
pub fn known() -> Vec<String> {
    known_in(&roots())
}

fn find_in(roots: &[PathBuf], name: &str) -> Result<PairSpec, ModelError> {
    // A name is one folder's name, never a path.
    let plain = !name.is_empty() && !name.contains(['/', '\\']) && name != "." && name != "..";
    let folder = roots
        .iter()
        .map(|root| root.join(name))
        .find(|folder| plain && folder.join("pair.json").is_file());
    match folder {
        Some(folder) => PairSpec::read(&folder),
        None => {
            let known = known_in(roots);
            let known = if known.is_empty() {
                "none".into()
            } else {
                known.join(", ")
            };
            Err(ModelError::UnknownPair {
                name: name.into(),
                known,
            })
        }
    }
}

fn known_in(roots: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for root in roots {
        let Ok(entries) = std::fs::read_dir(root) else {
            continue;
        };
        let mut here: Vec<String> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().join("pair.json").is_file())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !names.contains(name))
            .collect();
        here.sort();
        names.extend(here);
    }
    names
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{find_in, known_in};

    fn root_with(name: &str, json: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(name)).unwrap();
        let mut file = std::fs::File::create(root.path().join(name).join("pair.json")).unwrap();
        file.write_all(json.as_bytes()).unwrap();
        root
    }

    #[test]
    fn a_pair_is_found_and_read() {
        let root = root_with(
            "toy",
            r#"{"name":"toy","large":"large","small":"small","steps":30,"shift":2,"cfg":3,
                "width":64,"height":64,"frames":17,"fps":8,"boundaries":[0.5,0.75],
                "text_tokens":64,"prompt":"a dot","negative":"",
                "preview":{"factors":[[1,0,0]],"bias":[0,0,0.5]},
                "vocabulary":{"colour":["red","blue"]},
                "presets":[{"name":"Dot","prompt":"a red dot","seed":18446744073709551615}]}"#,
        );
        let roots = [root.path().to_owned()];
        let pair = find_in(&roots, "toy").unwrap();
        assert_eq!(pair.large, root.path().join("toy").join("large"));
        assert_eq!((pair.defaults.steps, pair.defaults.fps), (30, 8.0));
        assert_eq!(pair.defaults.boundaries, [0.5, 0.75]);
        assert_eq!(pair.defaults.preview.unwrap().bias, [0.0, 0.0, 0.5]);
        let preset = &pair.defaults.presets[0];
        assert_eq!(
            (preset.name.as_str(), preset.prompt.as_str(), preset.seed),
            ("Dot", "a red dot", u64::MAX)
        );
        assert_eq!(known_in(&roots), ["toy"]);
        let unknown = find_in(&roots, "other").unwrap_err().to_string();
        assert!(
            unknown.contains("`other`") && unknown.contains("known pairs: toy"),
            "{unknown}"
        );
        assert!(find_in(&roots, "../toy").is_err());
    }

    /// What is said of a pair file.
    fn fault(json: &str) -> String {
        let root = root_with("x", json);
        let error = find_in(&[root.path().to_owned()], "x").unwrap_err();
        let error = error.to_string();
        assert!(error.contains("pair.json"), "{error}");
        error
    }

    #[test]
    fn a_bad_pair_file_is_named() {
        let boundaries = r#"{"name":"x","large":"l","small":"s","boundaries":[0.8,0.4]}"#;
        let misspelt = r#"{"name":"x","large":"l","small":"s","stepps":3}"#;
        for (json, said) in [
            (boundaries, "must rise"),
            (misspelt, "unknown field `stepps`"),
            ("{", "does not parse"),
        ] {
            let error = fault(json);
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_bad_preset_is_named() {
        let good = r#"{"name":"a","prompt":"b","seed":1}"#;
        for (bad, said) in [
            (r#"{"name":"c","prompt":"b"}"#, "2: missing field `seed`"),
            (
                r#"{"name":"c","prompt":"b","seed":1,"size":2}"#,
                "2: unknown field `size`",
            ),
            (r#"{"name":"c","prompt":"b","seed":-1}"#, "2: invalid value"),
            (r#"{"name":" ","prompt":"b","seed":1}"#, "2 needs a name"),
            (good, "2 has the name of an earlier one, `a`"),
        ] {
            let error = fault(&format!(
                r#"{{"name":"x","large":"l","small":"s","presets":[{good},{bad}]}}"#
            ));
            assert!(error.contains(&format!("preset {said}")), "{error}");
        }
    }
}
