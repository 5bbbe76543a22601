use std::path::PathBuf;

use crate::engine::Candidate;

/// A pair that is to be added, as it is typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairForm {
    /// A folder with a `pair.json`, or the large model: a folder or a file.
    pub large: String,
    /// The small model.
    pub small: String,
    /// A step-distilled model.
    pub distilled: String,
    /// The steps, or the noise levels, that one was taught.
    pub taught: String,
    /// What the pair will be called.
    pub name: String,
}

/// A field of the form that names files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairField {
    /// The large model, or a whole pair.
    Large,
    /// The small model.
    Small,
    /// The distilled model.
    Distilled,
}

impl PairField {
    /// The field's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Large => "Large model",
            Self::Small => "Small model",
            Self::Distilled => "Distilled model",
        }
    }
}

/// What a person does on the page that adds a pair.
#[derive(Clone, Debug, PartialEq)]
pub enum AddRequest {
    /// Open the page.
    Open,
    /// Type something.
    Change(Box<PairForm>),
    /// Ask the desktop for a folder, or else a file.
    Choose(PairField, Chosen),
    /// Check the pair and add it.
    Add,
    /// Back to the list.
    Close,
}

/// What the desktop is asked for: models come as folders and as single files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// A folder.
    Folder,
    /// A file.
    File,
}

impl PairForm {
    /// The text of a field.
    pub fn text_mut(&mut self, field: PairField) -> &mut String {
        match field {
            PairField::Large => &mut self.large,
            PairField::Small => &mut self.small,
            PairField::Distilled => &mut self.distilled,
        }
    }

    /// The pair that is typed, or what it lacks before anybody can look at its files: a sentence.
    pub fn candidate(&self) -> Result<Candidate, String> {
        let given = |text: &str| {
            Some(text.trim())
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let path = |text: &str| given(text).map(PathBuf::from);
        let large = path(&self.large);
        let large = large.ok_or("Name the large model, or the folder of a whole pair")?;
        let (distilled, taught) = (path(&self.distilled), given(&self.taught));
        let taught = taught.map(|taught| taught.parse()).transpose();
        let taught = taught.map_err(|why: crate::schedule::DistilledGridError| why.to_string())?;
        match (&distilled, &taught) {
            (Some(_), None) => {
                return Err("Say in how many steps the distilled model was taught to go".to_owned());
            }
            (None, Some(_)) => {
                return Err("Name the distilled model that was taught these steps".to_owned());
            }
            _ => {}
        }
        Ok(Candidate {
            large,
            small: path(&self.small),
            distilled,
            taught,
            name: given(&self.name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::DistilledGrid;

    #[test]
    fn what_is_typed_becomes_a_pair_or_a_sentence() {
        let typed = |taught: &str| PairForm {
            large: " /models/large ".to_owned(),
            small: "/models/small.gguf".to_owned(),
            distilled: "/models/fast".to_owned(),
            taught: taught.to_owned(),
            name: "  ".to_owned(),
        };
        let pair = typed("4").candidate().unwrap();
        assert_eq!(pair.large, PathBuf::from("/models/large"));
        assert_eq!(pair.distilled, Some(PathBuf::from("/models/fast")));
        assert_eq!(pair.taught, Some(DistilledGrid::even(4).unwrap()));
        assert_eq!(pair.name, None);
        let levels = typed("1, 0.9375, 0.625,0").candidate().unwrap().taught;
        assert_eq!(levels.unwrap().sigmas(), [1.0, 0.9375, 0.625, 0.0]);

        let refused = |form: PairForm| form.candidate().unwrap_err();
        assert!(refused(typed("")).contains("how many steps"));
        assert!(refused(typed("four")).contains("'four' is no number"));
        assert!(refused(typed("1, 0.5")).contains("from 1 to 0"));
        assert!(refused(typed("0")).contains("0 steps"));
        let alone = PairForm {
            distilled: String::new(),
            ..typed("4")
        };
        assert!(refused(alone).contains("Name the distilled model"));
        assert!(refused(PairForm::default()).contains("Name the large model"));
    }
}
