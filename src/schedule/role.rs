use std::fmt;

use serde::{Deserialize, Serialize};

/// Which model of a pair a stage runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelRole {
    /// The large model: structure, motion, detail.
    Large,
    /// The small model of the same family.
    Small,
    /// A step-distilled small model.
    Distilled,
}

impl ModelRole {
    /// Every role, in the order menus show them.
    pub const ALL: [Self; 3] = [Self::Large, Self::Small, Self::Distilled];

    /// Its place in [`ALL`](Self::ALL), for what is kept of each.
    pub fn index(self) -> usize {
        match self {
            Self::Large => 0,
            Self::Small => 1,
            Self::Distilled => 2,
        }
    }

    /// The letter in a plan's name.
    pub fn letter(self) -> char {
        match self {
            Self::Large => 'L',
            Self::Small => 'S',
            Self::Distilled => 'D',
        }
    }

    /// The word people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Large => "large",
            Self::Small => "small",
            Self::Distilled => "distilled",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| {
            word.eq_ignore_ascii_case(role.name())
                || word.eq_ignore_ascii_case(&role.letter().to_string())
        })
    }
}

impl fmt::Display for ModelRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
