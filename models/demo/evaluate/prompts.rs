use std::path::Path;

use anyhow::{Context as _, Result, bail};
use flowblend::analysis::{ReaderSpec, Reading, likeliest};
use serde::{Deserialize, Serialize};

/// A line of prompts.json: a caption and what it asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Prompt {
    /// The caption.
    pub prompt: String,
    /// Seed of the noise.
    pub seed: u64,
    /// The objects.
    pub things: Vec<Thing>,
    /// The background's colour.
    pub background: String,
    /// The background's pattern.
    pub pattern: String,
}

/// An object that a caption asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Thing {
    /// Its shape.
    pub shape: String,
    /// Its colour, of which no other object is.
    pub colour: String,
    /// What it does.
    pub motion: String,
    /// Its size, where the caption says it.
    pub size: Option<String>,
}

/// Reads `limit` prompts after the first `skip`.
pub fn read_prompts(path: &Path, skip: usize, limit: Option<usize>) -> Result<Vec<Prompt>> {
    let text = std::fs::read(path).with_context(|| {
        format!(
            "the prompts {} cannot be read; fetch the sources again",
            path.display()
        )
    })?;
    let prompts: Vec<Prompt> = serde_json::from_slice(&text).with_context(|| {
        format!(
            "the prompts {} do not parse; fetch the sources again",
            path.display()
        )
    })?;
    let chosen = prompts.into_iter().skip(skip);
    let prompts: Vec<Prompt> = chosen.take(limit.unwrap_or(usize::MAX)).collect();
    if prompts.is_empty() {
        bail!("there is no prompt to measure; give --prompts 1 or more and a smaller --skip");
    }
    Ok(prompts)
}

/// What a caption asks for, a kind at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// An object of each colour asked for, and of no other.
    Colours,
    /// Every object's shape.
    Shape,
    /// Every object's motion.
    Motion,
    /// The size of every object whose size the caption says.
    Size,
    /// The background's colour.
    Background,
    /// The background's pattern.
    Pattern,
}

impl Attribute {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 6] = [
        Self::Colours,
        Self::Shape,
        Self::Motion,
        Self::Size,
        Self::Background,
        Self::Pattern,
    ];

    /// The word in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Colours => "colours",
            Self::Shape => "shape",
            Self::Motion => "motion",
            Self::Size => "size",
            Self::Background => "background",
            Self::Pattern => "pattern",
        }
    }

    /// How often the reader is right about it.
    pub fn validation(self, spec: &ReaderSpec) -> f64 {
        let validation = &spec.validation;
        match self {
            Self::Colours => validation.colour,
            Self::Shape => validation.shape,
            Self::Motion => validation.motion,
            Self::Size => validation.size,
            Self::Background => validation.background,
            Self::Pattern => validation.pattern,
        }
    }
}

/// A reader that is right less often than this about an attribute does not judge it.
pub const TRUSTED: f64 = 0.98;

/// Which of the attributes asked for a clip shows.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// In the order of [`Attribute::ALL`]; `None` where the reader cannot tell or nothing was asked.
    pub right: [Option<bool>; 6],
}

impl Verdict {
    /// Whether the clip shows all that was asked.
    pub fn all_right(&self) -> bool {
        self.right.iter().all(|right| *right != Some(false))
    }
}

/// A prompt in the reader's terms: indices of its names.
#[derive(Clone, Debug)]
pub struct Asked {
    things: Vec<AskedThing>,
    background: usize,
    pattern: usize,
    trusted: [bool; 6],
}

#[derive(Clone, Debug)]
struct AskedThing {
    colour: usize,
    shape: usize,
    motion: usize,
    size: Option<usize>,
}

impl Asked {
    /// Looks the prompt's words up.
    pub fn new(prompt: &Prompt, spec: &ReaderSpec) -> Result<Self> {
        let index = |names: &[String], name: &str| {
            let found = names.iter().position(|known| known == name);
            found.with_context(|| {
                format!("the reader does not know '{name}', which a prompt asks for; train it again with models/demo/training/train_reader.py")
            })
        };
        let thing = |thing: &Thing| -> Result<AskedThing> {
            Ok(AskedThing {
                colour: index(&spec.colours, &thing.colour)?,
                shape: index(&spec.shapes, &thing.shape)?,
                motion: index(&spec.motions, &thing.motion)?,
                size: thing
                    .size
                    .as_ref()
                    .map(|size| index(&spec.sizes, size))
                    .transpose()?,
            })
        };
        Ok(Self {
            things: prompt.things.iter().map(thing).collect::<Result<_>>()?,
            background: index(&spec.backgrounds, &prompt.background)?,
            pattern: index(&spec.patterns, &prompt.pattern)?,
            trusted: Attribute::ALL.map(|attribute| attribute.validation(spec) >= TRUSTED),
        })
    }

    /// Compares what was asked with what the reader sees. An object that is not there has neither shape
    /// nor motion nor size.
    pub fn judge(&self, reading: &Reading) -> Verdict {
        let colours = reading.colours.iter().enumerate().all(|(colour, seen)| {
            seen.is_present() == self.things.iter().any(|thing| thing.colour == colour)
        });
        let of_all = |right: &dyn Fn(&AskedThing, &flowblend::analysis::ColourReading) -> bool| {
            self.things.iter().all(|thing| {
                let seen = &reading.colours[thing.colour];
                seen.is_present() && right(thing, seen)
            })
        };
        let sized = self.things.iter().any(|thing| thing.size.is_some());
        let right = [
            Some(colours),
            Some(of_all(&|thing, seen| likeliest(&seen.shape) == thing.shape)),
            Some(of_all(&|thing, seen| {
                likeliest(&seen.motion) == thing.motion
            })),
            sized.then(|| {
                self.things
                    .iter()
                    .filter_map(|thing| Some((&reading.colours[thing.colour], thing.size?)))
                    .all(|(seen, size)| seen.is_present() && likeliest(&seen.size) == size)
            }),
            Some(likeliest(&reading.background) == self.background),
            Some(likeliest(&reading.pattern) == self.pattern),
        ];
        let mut verdict = Verdict { right };
        for (right, trusted) in verdict.right.iter_mut().zip(self.trusted) {
            *right = right.filter(|_| trusted);
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowblend::analysis::ColourReading;

    fn spec(motion: f64) -> ReaderSpec {
        let json = serde_json::json!({
            "width": 96, "height": 96, "frames": 25,
            "colours": ["red", "blue", "white"], "shapes": ["circle", "ring", "none"],
            "motions": ["left", "up"], "sizes": ["small", "large"],
            "backgrounds": ["black", "grey"], "patterns": ["plain", "dotted"],
            "validation": {"colour": 1.0, "shape": 0.99, "motion": motion, "size": 0.98,
                           "background": 1.0, "pattern": 1.0},
        });
        serde_json::from_value(json).unwrap()
    }

    fn prompt() -> Prompt {
        let thing = |colour: &str, shape: &str, motion: &str, size: Option<&str>| Thing {
            shape: shape.into(),
            colour: colour.into(),
            motion: motion.into(),
            size: size.map(Into::into),
        };
        Prompt {
            prompt: "two things".into(),
            seed: 1,
            things: vec![
                thing("red", "circle", "left", Some("large")),
                thing("white", "ring", "up", None),
            ],
            background: "grey".into(),
            pattern: "plain".into(),
        }
    }

    /// What a reader says who sees all that the prompt asks for.
    fn seen() -> Reading {
        let thing = |present: f32, shape: usize, motion: usize, size: usize| ColourReading {
            present,
            shape: (0..3).map(|i| f32::from(u8::from(i == shape))).collect(),
            motion: (0..2).map(|i| f32::from(u8::from(i == motion))).collect(),
            size: (0..2).map(|i| f32::from(u8::from(i == size))).collect(),
        };
        Reading {
            colours: vec![
                thing(2.0, 0, 0, 1),
                thing(-3.0, 2, 0, 0),
                thing(0.5, 1, 1, 0),
            ],
            background: vec![0.0, 1.0],
            pattern: vec![1.0, 0.0],
            embedding: vec![1.0],
        }
    }

    #[test]
    fn each_attribute_is_judged_by_itself() {
        let asked = Asked::new(&prompt(), &spec(0.99)).unwrap();
        assert_eq!(asked.judge(&seen()).right, [Some(true); 6]);
        type Spoil = fn(&mut Reading);
        let cases: [(Spoil, &[usize]); 7] = [
            (|r| r.colours[1].present = 1.0, &[0]),
            (|r| r.colours[2].present = -1.0, &[0, 1, 2]),
            (|r| r.colours[0].shape = vec![0.0, 1.0, 0.0], &[1]),
            (|r| r.colours[2].motion = vec![1.0, 0.0], &[2]),
            (|r| r.colours[0].size = vec![1.0, 0.0], &[3]),
            (|r| r.background = vec![1.0, 0.0], &[4]),
            (|r| r.pattern = vec![0.0, 1.0], &[5]),
        ];
        for (spoil, wrong) in cases {
            let mut reading = seen();
            spoil(&mut reading);
            let verdict = asked.judge(&reading);
            for (i, right) in verdict.right.iter().enumerate() {
                assert_eq!(*right, Some(!wrong.contains(&i)), "{wrong:?} {i}");
            }
            assert!(!verdict.all_right());
        }
    }

    #[test]
    fn what_is_not_asked_or_not_trusted_is_not_judged() {
        let mut reading = seen();
        reading.colours[0].motion = vec![0.0, 1.0];
        reading.colours[0].size = vec![1.0, 0.0];
        let mut prompt = prompt();
        prompt.things[0].size = None;
        let verdict = Asked::new(&prompt, &spec(0.97)).unwrap().judge(&reading);
        assert_eq!((verdict.right[2], verdict.right[3]), (None, None));
        assert!(verdict.all_right());
    }

    #[test]
    fn a_word_the_reader_does_not_know_is_named() {
        let mut prompt = prompt();
        prompt.pattern = "tartan".into();
        let why = Asked::new(&prompt, &spec(1.0)).unwrap_err().to_string();
        assert!(why.contains("'tartan'"), "{why}");
    }
}
