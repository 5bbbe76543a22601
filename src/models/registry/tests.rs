use std::io::Write as _;

use super::*;
use crate::models::{Distilled, UserPlace};
use crate::schedule::DistilledGrid;

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
    let registry = registry(root.path());
    let pair = registry.find("toy").unwrap();
    assert_eq!(pair.large, root.path().join("toy").join("large"));
    assert_eq!((pair.defaults.steps, pair.defaults.fps), (30, 8.0));
    assert_eq!(pair.defaults.boundaries, [0.5, 0.75]);
    assert_eq!(pair.defaults.preview.unwrap().bias, [0.0, 0.0, 0.5]);
    let preset = &pair.defaults.presets[0];
    assert_eq!(
        (preset.name.as_str(), preset.prompt.as_str(), preset.seed),
        ("Dot", "a red dot", u64::MAX)
    );
    assert_eq!(names(&registry), ["toy"]);
    let unknown = registry.find("other").unwrap_err().to_string();
    assert!(
        unknown.contains("`other`") && unknown.contains("known pairs: toy"),
        "{unknown}"
    );
    assert!(registry.find("../toy").is_err());
}

fn registry(root: &Path) -> Registry {
    Registry {
        roots: vec![root.to_owned()],
        models: root.join("downloads"),
        user: UserPairs::read(Some(root.join("config/models.json"))),
    }
}

fn names(registry: &Registry) -> Vec<String> {
    registry.known().into_iter().map(|pair| pair.name).collect()
}

/// What is said of a pair file.
fn fault(json: &str) -> String {
    let root = root_with("x", json);
    let error = registry(root.path()).find("x").unwrap_err();
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

fn models(name: &str, folder: &Path) -> UserPair {
    UserPair {
        name: name.into(),
        place: UserPlace::Models {
            large: folder.join("l"),
            small: folder.join("s"),
            distilled: None,
        },
    }
}

#[test]
fn what_was_added_is_found_at_the_next_start() {
    let root = root_with("toy", r#"{"name":"toy","large":"l","small":"s"}"#);
    let folder = root.path().join("toy");
    registry(root.path())
        .remember(models("mine", &folder))
        .unwrap();
    let mut again = registry(root.path());
    assert_eq!(names(&again), ["toy", "mine"]);
    assert_eq!(again.find("mine").unwrap().small, folder.join("s"));
    // The same name again is the same pair in another place.
    again.remember(models("mine", root.path())).unwrap();
    let third = registry(root.path());
    assert_eq!(names(&third), ["toy", "mine"]);
    assert_eq!(third.find("mine").unwrap().small, root.path().join("s"));
}

#[test]
fn only_what_was_added_is_forgotten_and_can_be_remembered_again() {
    let root = root_with("toy", r#"{"name":"toy","large":"l","small":"s"}"#);
    let mine = models("mine", root.path());
    let mut first = registry(root.path());
    let said = first.forget("toy").unwrap_err().to_string();
    assert!(
        said.contains("`toy`") && said.contains("none was"),
        "{said}"
    );
    first.remember(mine.clone()).unwrap();
    let said = first.forget("toy").unwrap_err().to_string();
    assert!(said.contains("added were mine"), "{said}");
    assert_eq!(first.forget("mine").unwrap(), mine);
    let mut again = registry(root.path());
    assert_eq!(names(&again), ["toy"]);
    again.remember(mine).unwrap();
    assert_eq!(names(&registry(root.path())), ["toy", "mine"]);
}

#[test]
fn what_cannot_be_read_hides_no_other() {
    let root = root_with("toy", r#"{"name":"toy","large":"l","small":"s"}"#);
    let spoil = |path: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = std::fs::File::create(path).unwrap();
        file.write_all(b"{").unwrap();
    };
    spoil("bad/pair.json");
    spoil("wan.json");
    spoil("config/models.json");
    let mut registry = registry(root.path());
    let known = registry.known();
    assert_eq!(known.len(), 4);
    assert_eq!(known.iter().filter(|pair| pair.spec.is_err()).count(), 3);
    assert!(registry.find("toy").is_ok());
    let said = registry.find("mine").unwrap_err().to_string();
    assert!(said.contains("models.json"), "{said}");
    // A file that cannot be read is not written over.
    assert!(registry.remember(models("mine", root.path())).is_err());
    assert!(registry.forget("mine").is_err());
}

#[test]
fn a_pair_of_a_manifest_is_found_once_its_folders_are_there() {
    let root = tempfile::tempdir().unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    std::fs::copy(sources.join("wan2.1.json"), root.path().join("wan2.1.json")).unwrap();
    let mut registry = registry(root.path());
    let said = registry.find("wan2.1").unwrap_err().to_string();
    assert!(said.contains("models pull wan2.1"), "{said}");
    let (manifest, place) = registry.manifest("wan2.1").unwrap();
    assert_eq!(place, root.path().join("downloads/wan2.1"));
    assert_eq!(manifest.licence, "Apache-2.0");
    let elsewhere = root.path().join("disk");
    let chosen = UserPair {
        name: "wan2.1".into(),
        place: UserPlace::Folder {
            folder: elsewhere.clone(),
        },
    };
    registry.remember(chosen).unwrap();
    for folder in ["large", "small"] {
        std::fs::create_dir_all(elsewhere.join(folder)).unwrap();
    }
    let spec = registry.find("wan2.1").unwrap();
    assert_eq!(spec.large, elsewhere.join("large"));
    assert_eq!(names(&registry), ["wan2.1"]);
}

#[test]
fn an_added_distilled_model_is_found_with_what_it_was_taught() {
    let root = tempfile::tempdir().unwrap();
    let taught = Distilled {
        model: root.path().join("d"),
        sigmas: DistilledGrid::even(4).unwrap(),
    };
    let mut pair = models("mine", root.path());
    if let UserPlace::Models { distilled, .. } = &mut pair.place {
        *distilled = Some(taught.clone());
    }
    registry(root.path()).remember(pair).unwrap();
    let spec = registry(root.path()).find("mine").unwrap();
    assert_eq!(spec.distilled, Some(taught.model));
    assert_eq!(spec.defaults.distilled_sigmas, Some(taught.sigmas));
    // A list from before there were any.
    let old = r#"{"pairs":[{"name":"old","large":"/l","small":"/s"}]}"#;
    let mut file = std::fs::File::create(root.path().join("config/models.json")).unwrap();
    file.write_all(old.as_bytes()).unwrap();
    let spec = registry(root.path()).find("old").unwrap();
    assert_eq!(
        (spec.distilled, spec.defaults.distilled_sigmas),
        (None, None)
    );
}

#[test]
fn a_manifests_distilled_model_belongs_to_the_pair_once_it_is_there() {
    let root = tempfile::tempdir().unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let name = "ltx-video.json";
    std::fs::copy(sources.join(name), root.path().join(name)).unwrap();
    let registry = registry(root.path());
    let (manifest, place) = registry.manifest("ltx-video").unwrap();
    for folder in ["large", "small", "distilled"] {
        std::fs::create_dir_all(place.join(folder)).unwrap();
    }
    // An empty folder is a download that was given up; the pair works without it.
    let spec = registry.find("ltx-video").unwrap();
    assert_eq!(
        (spec.distilled, spec.defaults.distilled_sigmas),
        (None, None)
    );
    for file in manifest.distilled.unwrap().files {
        std::fs::File::create(place.join("distilled").join(file.path)).unwrap();
    }
    let spec = registry.find("ltx-video").unwrap();
    assert_eq!(spec.distilled, Some(place.join("distilled")));
    assert_eq!(spec.defaults.distilled_sigmas, manifest.distilled_sigmas);
}
