use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RunSettings;
use crate::schedule::ModelRole;

/// The newest format this build writes and the newest it reads.
const FORMAT: u32 = 1;
/// The one key of the outer object; tells our comments from everybody else's.
const TAG: &str = "flowblend";
/// Where a recipe has that of the clip that is shown beside its own.
const BESIDE: &str = "beside";

/// What made a clip, as it travels in the clip's `comment` metadata: enough to restore the window and
/// to render the same frames again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Version of this structure.
    pub format: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// What the run was asked for, the seed filled in.
    pub settings: RunSettings,
    /// SHA-256 of the models' weights, by role, as hex.
    #[serde(default)]
    pub model_hashes: Vec<(ModelRole, String)>,
}

/// Why a text gives no recipe. Each is a whole sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// No comment of ours.
    #[error(
        "the file carries no flowblend recipe; only clips that flowblend exported can be restored"
    )]
    Foreign,
    /// Written by a later version.
    #[error(
        "the recipe has format {found}, but this version reads up to {FORMAT}; update flowblend to open it"
    )]
    Newer {
        /// The format it has.
        found: u64,
    },
    /// Ours, but unreadable.
    #[error(
        "the recipe is damaged ({0}); the clip still plays, but its settings cannot be restored"
    )]
    Damaged(serde_json::Error),
    /// Cannot be written as text: a model folder whose name is no Unicode.
    #[error("the settings cannot be written as a recipe ({0}); rename the model's folder")]
    Unwritable(serde_json::Error),
}

impl Recipe {
    /// A recipe of this version of the program.
    pub fn new(settings: RunSettings, model_hashes: Vec<(ModelRole, String)>) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings,
            model_hashes,
        }
    }

    /// One line of JSON: `{"flowblend":{"format":1,...}}`.
    pub fn to_json(&self) -> Result<String, RecipeError> {
        let inner = serde_json::to_value(self).map_err(RecipeError::Unwritable)?;
        Ok(Value::from_iter([(TAG, inner)]).to_string())
    }

    /// Reads what [`to_json`](Self::to_json) wrote. Unknown fields of the same format are ignored.
    pub fn from_json(text: &str) -> Result<Self, RecipeError> {
        let mut outer: Value = serde_json::from_str(text).map_err(|e| {
            // A cut-off recipe still starts like one.
            let ours = text.trim_start().starts_with(&format!("{{\"{TAG}\""));
            if ours {
                RecipeError::Damaged(e)
            } else {
                RecipeError::Foreign
            }
        })?;
        let inner = outer.get_mut(TAG).ok_or(RecipeError::Foreign)?.take();
        match inner.get("format").and_then(Value::as_u64) {
            Some(found) if found > u64::from(FORMAT) => Err(RecipeError::Newer { found }),
            _ => serde_json::from_value(inner).map_err(RecipeError::Damaged),
        }
    }
}

/// The recipe of two clips beside each other: the first one's, which is what opening the file restores, with
/// the second one's as its field `beside`. Recipes are texts here, so that those of later versions go
/// along whole; without one for the first clip there is none.
pub fn recipe_beside(first: &str, second: Option<&str>) -> Option<String> {
    let mut outer: Value = serde_json::from_str(first).ok()?;
    let inner = outer.get_mut(TAG)?.as_object_mut()?;
    let second = second.and_then(|text| serde_json::from_str::<Value>(text).ok());
    if let Some(second) = second.and_then(|mut outer| Some(outer.get_mut(TAG)?.take())) {
        inner.insert(BESIDE.to_owned(), second);
    }
    Some(outer.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::PairRef;
    use crate::schedule::{Guidance, History, Plan, Solver};

    fn recipe() -> Recipe {
        let settings = RunSettings {
            pair: PairRef::default(),
            prompt: "a \"red\" circle → right\nslowly".to_owned(),
            negative: String::new(),
            seed: u64::MAX,
            plan: Plan::parse("LSL", &[0.4, 0.8]).unwrap(),
            steps: 20,
            shift: 3.1,
            solver: Solver::Euler,
            history: History::default(),
            distilled_sigmas: None,
            cfg: 4.5,
            guidance: Guidance::default(),
            cache: None,
            width: 64,
            height: 48,
            frames: 17,
            fps: 23.976,
        };
        Recipe::new(settings, vec![(ModelRole::Large, "ab12".to_owned())])
    }

    #[test]
    fn json_keeps_everything() {
        let text = recipe().to_json().unwrap();
        assert!(text.starts_with(r#"{"flowblend":{"#) && !text.contains('\n'));
        assert_eq!(Recipe::from_json(&text).unwrap(), recipe());
    }

    #[test]
    fn a_recipe_beside_another_travels_in_it_and_is_not_in_the_way() {
        let first = recipe();
        let mut second = recipe();
        second.settings.seed = 7;
        let texts = [&first, &second].map(|recipe| recipe.to_json().unwrap());
        let both = recipe_beside(&texts[0], Some(&texts[1])).unwrap();
        assert_eq!(Recipe::from_json(&both).unwrap(), first);
        let parts: Value = serde_json::from_str(&both).unwrap();
        let kept: Recipe = serde_json::from_value(parts[TAG][BESIDE].clone()).unwrap();
        assert_eq!(kept, second);
        // The second one may have none; without the first one's there is nothing to restore.
        let alone = recipe_beside(&texts[0], Some("Lavc59")).unwrap();
        assert_eq!(Recipe::from_json(&alone).unwrap(), first);
        assert!(!alone.contains(BESIDE));
        assert_eq!(recipe_beside("Lavc59", Some(&texts[1])), None);
    }

    #[test]
    fn foreign_newer_and_damaged_are_told_apart() {
        for foreign in ["Lavc59", "", "{\"prompt\":1}", "[1]", "7"] {
            assert!(
                matches!(Recipe::from_json(foreign), Err(RecipeError::Foreign)),
                "{foreign}"
            );
        }
        let text = recipe().to_json().unwrap();
        let newer = text.replace("\"format\":1", "\"format\":9");
        let said = Recipe::from_json(&newer).unwrap_err().to_string();
        assert!(
            said.contains("format 9") && said.contains("update flowblend"),
            "{said}"
        );
        let cut = &text[..text.len() / 2];
        assert!(matches!(
            Recipe::from_json(cut),
            Err(RecipeError::Damaged(_))
        ));
        let wrong = text.replace("\"steps\":20", "\"steps\":\"many\"");
        assert!(matches!(
            Recipe::from_json(&wrong),
            Err(RecipeError::Damaged(_))
        ));
    }
}
